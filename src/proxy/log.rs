//! What is told of one request: gathered while it passes, written as one line of the access log.

use std::net::IpAddr;

use tokio::time::Instant;

use super::connection::Connection;
use super::forward::version_text;
use super::forwarding;
use super::request_id::{Reference, RequestId};
use super::worker::Worker;
use crate::affinity::Code;
use crate::gateway::Snapshot;
use crate::head::Request;
use crate::session::{Fingerprint, Place, RequestView, RuleSet};
use crate::soap;
use crate::telemetry::Record;
use crate::telemetry::series::Counted;
use crate::upstream::NodeId;

/// What is told of one request.
#[derive(Debug)]
pub struct Told {
    started: Instant,
    /// Milliseconds since 1970.
    pub started_unix_ms: u64,
    /// The client, as far as trusted proxies tell.
    pub client: IpAddr,
    /// The request's id.
    pub id: RequestId,
    /// The SOAP version the request's message has.
    pub soap: Option<soap::Version>,
    /// The operation the head gives.
    pub http_action: Option<String>,
    /// Index of the route.
    pub route: Option<usize>,
    /// The node.
    pub node: Option<NodeId>,
    /// The decision.
    pub code: Code,
    /// The key that decided, or the first one learnt.
    pub key: Option<Fingerprint>,
    /// The status the client got.
    pub status: u16,
    /// The failure.
    pub failure: Option<&'static str>,
    /// Request body bytes passed on.
    pub bytes_in: u64,
    /// Response body bytes passed on.
    pub bytes_out: u64,
    /// Microseconds until the node began to answer.
    pub node_us: Option<u64>,
    /// How long it waited for a place.
    pub queued: Option<std::time::Duration>,
    /// Keys bound by the answer.
    pub learnt: u32,
    /// What became of the conversation.
    pub event: Option<&'static str>,
    /// Connects that failed.
    pub retries: u32,
    /// Its known keys named different nodes.
    pub conflict: bool,
    secrets: Vec<Vec<u8>>,
}

impl Told {
    /// Nothing but the request.
    pub fn new(worker: &Worker, connection: &Connection, snapshot: &Snapshot, request: &Request) -> Self {
        let peer = connection.peer.ip().to_canonical();
        let trusted = &connection.listener.config.trusted_proxies;
        let client =
            if trusted.is_empty() { peer } else { forwarding::client_address(peer, request.fields(), trusted) };
        let ids = snapshot.config.request_id.as_ref();
        let id = RequestId::of(ids, request.fields(), connection.is_trusted(), worker.serial());
        Self {
            started: Instant::now(),
            started_unix_ms: crate::gateway::unix_ms(),
            client,
            id,
            soap: None,
            http_action: None,
            route: None,
            node: None,
            code: Code::NoNode,
            key: None,
            status: 0,
            failure: None,
            bytes_in: 0,
            bytes_out: 0,
            node_us: None,
            queued: None,
            learnt: 0,
            event: None,
            retries: 0,
            conflict: false,
            secrets: Vec::new(),
        }
    }

    /// The request's id.
    pub fn request_id(&self) -> &str {
        self.id.text()
    }

    /// The request's id with what is done with it.
    pub fn reference<'a>(&'a self, snapshot: &'a Snapshot) -> Reference<'a> {
        Reference { config: snapshot.config.request_id.as_ref(), id: &self.id }
    }

    /// Remembers the ids that the URL holds, so that the log does not show them.
    pub fn hide_ids(&mut self, rules: &RuleSet, view: &RequestView<'_>) {
        let reads_url =
            rules.keys().iter().any(|key| key.match_selectors().iter().any(|selector| *selector.place() == Place::Url));
        if reads_url {
            let secrets = &mut self.secrets;
            rules.hits(view, &mut |hit| {
                if *hit.selector.place() == Place::Url {
                    secrets.push(hit.value.into_owned());
                }
            });
        }
    }

    /// Counts the request, and writes its line.
    pub fn log(&self, worker: &Worker, connection: &Connection, snapshot: &Snapshot, request: &Request) {
        let total = self.started.elapsed();
        worker.tally.count(self.code, self.status, total);
        self.count(worker, snapshot, total);
        if !worker.lines.is_on() {
            return;
        }
        let route = self.route.map(|route| snapshot.routes.get(route));
        let upstream = route.map(|route| &route.upstream);
        let node = upstream.zip(self.node).and_then(|(upstream, node)| upstream.nodes.get(node));
        let path = safe_path(request.path(), &self.secrets);
        worker.lines.push(&Record {
            time_unix_ms: self.started_unix_ms,
            listener: &connection.listener.config.name,
            client: self.client,
            http: version_text(request.version),
            method: request.method(),
            host: request.authority(),
            path: &path,
            route: route.map(|route| route.label.as_str()),
            upstream: upstream.map(|upstream| upstream.config.name.as_str()),
            node: node.map(|node| &*node.name),
            decision: self.code.text(),
            key: self.key,
            operation: self.http_action.as_deref(),
            status: self.status,
            failure: self.failure,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            total_us: total.as_micros() as u64,
            node_us: self.node_us,
            queued_us: self.queued.map(|time| time.as_micros() as u64),
            learnt: self.learnt,
            event: self.event,
            retries: self.retries,
            request_id: self.request_id(),
        });
    }
}

impl Told {
    /// Counts it at its upstream and node.
    fn count(&self, worker: &Worker, snapshot: &Snapshot, total: std::time::Duration) {
        let Some(route) = self.route.map(|route| snapshot.routes.get(route)) else { return };
        let Some(series) = route.upstream.series(self.node) else { return };
        series.count(
            worker.index,
            &Counted {
                code: self.code,
                learnt: self.learnt,
                retries: self.retries,
                conflict: self.conflict,
                event: self.event,
                first_byte: self.node_us.map(std::time::Duration::from_micros),
                total,
            },
        );
    }
}

/// The path without what could be an id: path parameters, ASP.NET's `/(..)/`, and the values of URL keys.
fn safe_path<'a>(path: &'a [u8], secrets: &[Vec<u8>]) -> std::borrow::Cow<'a, [u8]> {
    let is_plain = memchr::memchr2(b';', b'(', path).is_none() && secrets.is_empty();
    if is_plain {
        return path.into();
    }
    let mut safe = Vec::with_capacity(path.len());
    for (index, segment) in path.split(|byte| *byte == b'/').enumerate() {
        if index > 0 {
            safe.push(b'/');
        }
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        safe.extend_from_slice(if name.starts_with(b"(") { b"(*)" } else { name });
    }
    for secret in secrets {
        // A key may be the path with its query: what counts is what the log would show of it.
        let shown = secret.split(|byte| *byte == b'?').next().unwrap_or_default();
        if shown.is_empty() || shown == b"/" {
            continue;
        }
        while let Some(at) = memchr::memmem::find(&safe, shown) {
            safe.splice(at..at + shown.len(), *b"*");
        }
    }
    safe.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_logged_without_ids() {
        let check = |path: &str, secrets: &[&str], expected: &str| {
            let secrets: Vec<Vec<u8>> = secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect();
            assert_eq!(safe_path(path.as_bytes(), &secrets).as_ref(), expected.as_bytes(), "{path}");
        };
        check("/a/b", &[], "/a/b");
        check("/a;jsessionid=X.n1/b;c=d", &[], "/a/b");
        check("/(S(abc))/Counter.asmx", &[], "/(*)/Counter.asmx");
        check("/subs/17/x", &["/subs/17/x?idx=7"], "*");
        check("/(ABC)/x", &["ABC"], "/(*)/x");
        check("/s/ABC/x", &["ABC"], "/s/*/x");
    }
}
