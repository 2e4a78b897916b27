//! Exchanges without a network: sample messages take the steps of the data path, through the same functions and a real table.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::affinity::{Ask, Refusal, Visit};
use crate::config::{Config, Problem, model};
use crate::gateway::{Gateway, Lesson, RouteMatch, Snapshot, StartError, Upstream, reading};
use crate::head::{self, Name};
use crate::session::{Keyer, RequestKeys, RequestView};
use crate::soap::{self, Reader, Stop};

use super::message::{RequestMessage, ResponseMessage};

/// Every sample comes from this client; an address for documentation (RFC 5737).
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// Every sample comes over this connection.
const CONNECTION: u64 = 1;

/// A gateway that serves nobody.
#[derive(Debug)]
pub struct Rehearsal {
    gateway: Arc<Gateway>,
    snapshot: Arc<Snapshot>,
}

/// A request as far as its matching.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The request.
    pub message: &'a RequestMessage,
    /// The operation that its head gives.
    pub http_action: Option<String>,
    /// Its route, by index; `None` where none matches.
    pub route: Option<usize>,
    /// What the upstream's rules made of its message; `None` where they read nothing of it.
    pub reader: Option<Reader>,
    /// Why the upstream refuses it.
    pub refused: Option<Stop>,
    /// Its keys.
    pub keys: RequestKeys,
}

impl Asked<'_> {
    /// The request as rules see it.
    pub fn view(&self) -> RequestView<'_> {
        RequestView {
            head: &self.message.head,
            facts: self.reader.as_ref().map(Reader::facts),
            http_action: self.http_action.as_deref(),
            client_ip: CLIENT,
            connection: CONNECTION,
        }
    }
}

/// Nodes and routes for rules that stand alone: three nodes, everything goes to them.
const STAND: &str = "\
listeners: [{name: sample, address: '127.0.0.1:0'}]
routes: [{upstream: sample}]
upstreams:
  sample:
    nodes:
      - {name: node-1, url: 'http://127.0.0.1:1'}
      - {name: node-2, url: 'http://127.0.0.1:2'}
      - {name: node-3, url: 'http://127.0.0.1:3'}
";

/// A configuration with these rules and three nodes.
///
/// # Errors
/// Problems of [`STAND`], of which a test holds that there are none.
pub fn stand(sticky: model::Sticky) -> Result<model::Config, Vec<Problem>> {
    let mut config = Config::parse(STAND, "sample.yaml")?.config;
    config.upstreams.iter_mut().for_each(|upstream| upstream.sticky = Some(sticky.clone()));
    Ok(config)
}

impl Rehearsal {
    /// A gateway with this configuration and an empty table. Nothing is opened: no listener, no log.
    ///
    /// # Errors
    /// The configuration cannot be compiled.
    pub fn new(mut config: model::Config) -> Result<Self, StartError> {
        config.listeners.clear();
        config.access_log = None;
        config.audit = None;
        config.upstreams.iter_mut().for_each(|upstream| upstream.tls = None);
        let gateway = Gateway::new(config)?;
        let snapshot = gateway.snapshot();
        Ok(Self { gateway, snapshot })
    }

    /// The configuration.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The upstream that serves this request.
    pub fn upstream(&self, asked: &Asked<'_>) -> Option<&Upstream> {
        asked.route.map(|route| &*self.snapshot.routes.get(route).upstream)
    }

    /// Makes the fingerprints of an upstream's keys.
    pub fn keyer<'a>(&'a self, upstream: &'a Upstream) -> Keyer<'a> {
        Keyer { fingerprinter: &self.gateway.fingerprinter, group: &upstream.config.affinity_group }
    }

    /// Route, intake and match.
    pub fn ask<'a>(&self, message: &'a RequestMessage) -> Asked<'a> {
        let fields = message.head.fields();
        let http_action = soap::operation::http_action(fields.known(Name::ContentType), fields.known(Name::SoapAction));
        let mut asked =
            Asked { message, http_action, route: None, reader: None, refused: None, keys: RequestKeys::default() };
        let routes = &self.snapshot.routes;
        let mut found = routes.find(&message.head, asked.http_action.as_deref(), None, false);
        if found == RouteMatch::NeedsMessage {
            let reader = read(reading::operation_reader(&message.head, &self.snapshot), message.body.as_deref());
            found = routes.find(&message.head, asked.http_action.as_deref(), Some(reader.facts()), true);
        }
        let RouteMatch::Found(route) = found else { return asked };
        asked.route = Some(route);
        let upstream = &*routes.get(route).upstream;
        let wanted = upstream.rules.request_wanted();
        if message.body.is_some() && !wanted.is_empty() {
            let reader = reading::reader(wanted, fields, self.snapshot.inspect);
            asked.reader = Some(read(reader, message.body.as_deref()));
        }
        asked.refused = upstream.refuses(asked.reader.as_ref());
        let mut keys = RequestKeys::default();
        let unreadable = reading::is_unreadable(asked.reader.as_ref());
        upstream.keys(&asked.view(), unreadable, self.keyer(upstream), crate::gateway::unix_ms() / 1000, &mut keys);
        asked.keys = keys;
        asked
    }

    /// Placement, up to the first byte for the node.
    ///
    /// # Errors
    /// No node gets the request.
    pub fn place(&self, asked: &Asked<'_>) -> Result<Visit, Refusal> {
        let upstream = self.upstream(asked).ok_or(Refusal::NoNode)?;
        let now = self.gateway.now();
        let ask = Ask {
            keys: &asked.keys,
            nodes: &upstream.nodes,
            policy: &upstream.policy,
            tried: &[],
            proposal: None,
            held: None,
            now,
            random: 0,
        };
        let mut visit = self.gateway.affinity.place(&ask)?;
        // Nobody else is here who could have moved the conversation.
        let _ = visit.commit(now);
        Ok(visit)
    }

    /// Everything that an answer teaches, bound. [`Rehearsal::finish`] ends the exchange.
    pub fn learn<'a>(
        &'a self,
        upstream: &'a Upstream,
        asked: &Asked<'_>,
        visit: Visit,
        answer: &ResponseMessage,
    ) -> Lesson<'a> {
        let mut lesson =
            Lesson::new(&self.gateway, &self.snapshot, upstream, self.keyer(upstream), visit, answered_at(answer));
        lesson.head(asked.view(), &answer.head, answer.body.is_some());
        lesson.message(asked.view(), &answer.head, answer.body.as_deref().unwrap_or_default(), true);
        lesson
    }

    /// The end of an exchange.
    pub fn finish(&self, upstream: &Upstream, asked: &Asked<'_>, lesson: Lesson<'_>, answer: &ResponseMessage) {
        let end = lesson.end(asked.view(), &asked.keys, &answer.head);
        lesson.visit.finish(end, &upstream.policy, self.gateway.now());
    }
}

/// When an answer was given, in seconds since 1970: what it says itself, so that a recorded cookie has not expired
/// meanwhile; else now.
fn answered_at(answer: &ResponseMessage) -> i64 {
    let told = answer.head.fields().get(b"date").and_then(head::unix_seconds);
    told.unwrap_or_else(|| (crate::gateway::unix_ms() / 1000) as i64)
}

/// Reads a whole message.
pub fn read(mut reader: Box<Reader>, body: Option<&[u8]>) -> Reader {
    reader.push(body.unwrap_or_default());
    reader.end();
    *reader
}
