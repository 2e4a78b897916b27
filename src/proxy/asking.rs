//! Recovery by asking (`unknown_key: ask_nodes`): a request carries an id that nobody knows here, and a node that does not know
//! it either says so before it executes anything. So the nodes are asked in turn, with the request itself, until one serves it.

use std::sync::atomic::Ordering::Relaxed;

use smallvec::SmallVec;

use super::connection::Connection;
use super::log::Told;
use super::pool::NodeConnection;
use super::reach;
use super::reply::Failure;
use super::rewrite::Beginning;
use super::worker::Worker;
use crate::affinity::{Ask, Refusal, UnknownKey, Visit};
use crate::gateway::{Route, Upstream};
use crate::head::Request;
use crate::session::RequestKeys;
use crate::upstream::NodeId;

/// A request that the nodes are asked by.
#[derive(Debug)]
pub struct Question {
    /// Its whole message, sent to each of them.
    pub body: Vec<u8>,
    asked: SmallVec<[NodeId; 8]>,
    at_most: usize,
}

/// How many bytes of a message may be held to ask with it, if its keys are worth asking for: one of them is read by rules
/// that say `not_executed`, none is known or places the request, none was asked for in vain a moment ago, and not too many
/// others are.
pub fn may_ask(worker: &Worker, upstream: &Upstream, keys: &RequestKeys) -> Option<u64> {
    if upstream.policy.unknown_key != UnknownKey::AskNodes
        || !keys.routes.is_empty()
        || !keys.weak.is_empty()
        || keys.sealed.is_some()
    {
        return None;
    }
    let sticky = upstream.config.sticky.as_ref()?;
    let (gateway, now) = (&worker.gateway, worker.gateway.now());
    let is_worth_it = keys.pins.iter().any(|pin| upstream.rules.may_ask(pin.rule));
    if !is_worth_it || keys.pins.iter().any(|pin| pin.client_issued || gateway.affinity.is_bound(pin.fingerprint, now))
    {
        return None;
    }
    let in_vain = keys.pins.iter().any(|pin| gateway.affinity.is_nobodys(pin.fingerprint, now));
    if in_vain || !upstream.events.may_ask(now.0, sticky.ask.per_second) {
        upstream.events.not_asked.fetch_add(1, Relaxed);
        return None;
    }
    Some(sticky.ask.bytes)
}

impl Question {
    /// A question with this message.
    pub fn new(upstream: &Upstream, body: Vec<u8>) -> Self {
        upstream.events.asked.fetch_add(1, Relaxed);
        let at_most = upstream.config.sticky.as_ref().map_or(1, |sticky| sticky.ask.nodes as usize);
        Self { body, asked: SmallVec::new(), at_most }
    }

    /// Reaches the next node to be asked: nothing has been written to it when this returns.
    ///
    /// # Errors
    /// Nobody is left, and no answer to pass on.
    pub async fn reach(
        &mut self,
        worker: &Worker,
        connection: &Connection,
        route: &Route,
        keys: &RequestKeys,
        request: &Request,
        told: &mut Told,
    ) -> Result<(Visit, Box<NodeConnection>), Failure> {
        let upstream = &*route.upstream;
        loop {
            let placed = worker.gateway.affinity.place_asked(&self.ask(worker, upstream, keys));
            let mut visit = placed.inspect_err(|_| told.code = Refusal::UnknownKey.code())?;
            self.asked.push(visit.node());
            told.code = visit.code();
            told.node = Some(visit.node());
            told.key = visit.key();
            match reach::obtain(worker, connection, upstream, visit.node(), request, route.timeouts.connect).await {
                Ok(node) => {
                    // Nobody can have moved it: it has no conversation yet.
                    let _ = visit.commit(worker.gateway.now());
                    return Ok((visit, node));
                }
                Err(error) => {
                    told.retries += 1;
                    tracing::warn!(upstream = upstream.config.name, %error, "cannot connect to a node to be asked");
                    if error.is_nodes() {
                        reach::node_failed(worker, upstream, visit.node());
                    }
                }
            }
        }
    }

    /// What goes out: the held message, with what is rewritten at its begin.
    pub fn beginning(&self, rewritten: Option<Beginning>) -> Option<Beginning> {
        let (mut bytes, replaced) = rewritten.map_or((Vec::new(), 0), |begin| (begin.bytes, begin.replaces));
        bytes.extend_from_slice(&self.body[replaced..]);
        (!bytes.is_empty()).then_some(Beginning { bytes, replaces: 0 })
    }

    /// Whether nobody else can be asked.
    pub fn is_last(&self, worker: &Worker, upstream: &Upstream, keys: &RequestKeys) -> bool {
        self.asked.len() >= self.at_most || !worker.gateway.affinity.can_ask_more(&self.ask(worker, upstream, keys))
    }

    fn ask<'a>(&'a self, worker: &Worker, upstream: &'a Upstream, keys: &'a RequestKeys) -> Ask<'a> {
        Ask {
            keys,
            nodes: &upstream.nodes,
            policy: &upstream.policy,
            tried: &self.asked,
            proposal: None,
            held: None,
            now: worker.gateway.now(),
            random: worker.random(),
        }
    }
}

/// Takes note of how asking ended: the answer goes to the client.
pub fn ended(worker: &Worker, upstream: &Upstream, keys: &RequestKeys, is_found: bool) {
    if is_found {
        upstream.events.found.fetch_add(1, Relaxed);
        return;
    }
    let now = worker.gateway.now();
    for pin in &keys.pins {
        worker.gateway.affinity.nobody_knows(pin.fingerprint, now);
    }
}
