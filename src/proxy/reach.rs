//! Reaching the node of a request: placed, connected, and the connection kept for the next one.

use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::Instant;

use super::client::Client;
use super::connection::Connection;
use super::deadline::Deadline;
use super::forward::Ended;
use super::log::Told;
use super::pool::{ConnectError, NodeConnection};
use super::queue::{self, Patience};
use super::reply::Failure;
use super::worker::Worker;
use crate::affinity::{Ask, Code, Held, Refusal, Visit};
use crate::gateway::{Route, Upstream};
use crate::head::{Name, Request, Response};
use crate::session::RequestKeys;
use crate::session::spec::Connection as Sharing;
use crate::upstream::NodeId;

/// Between two tries to reach the node of a conversation.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Places the request and reaches the node: nothing of it has been written when this returns.
#[allow(clippy::too_many_arguments)]
pub async fn reach<C: Client>(
    worker: &Worker,
    connection: &Connection,
    route: &Route,
    keys: &RequestKeys,
    request: &Request,
    client: &mut C,
    deadline: &mut Deadline,
    told: &mut Told,
) -> Result<(Visit, Box<NodeConnection>), Failure> {
    let upstream = &*route.upstream;
    let gateway = &worker.gateway;
    let mut tried: SmallVec<[NodeId; 4]> = SmallVec::new();
    let patience = Patience::default();
    let mut visit = loop {
        let ask = ask(worker, upstream, keys, &tried, &patience.held);
        match gateway.affinity.place(&ask) {
            Ok(visit) => break visit,
            Err(refusal) => patience.wait(worker, upstream, client, &ask, refusal, deadline, told).await?,
        }
    };
    patience.held.give_up();
    let began = Instant::now();
    let mut attempts_here = 0;
    // However often one request is offered to a node, it counts once against it.
    let mut blamed: SmallVec<[NodeId; 4]> = SmallVec::new();
    loop {
        told.code = visit.code();
        told.node = Some(visit.node());
        told.key = visit.key();
        told.conflict = visit.conflict();
        let left = route.timeouts.connect.saturating_sub(began.elapsed()).max(Duration::from_millis(10));
        match obtain(worker, connection, upstream, visit.node(), request, left).await {
            Ok(node) => match visit.commit(gateway.now()) {
                Ok(()) => return Ok((visit, node)),
                Err(_moved) => {
                    // What a client has authenticated is never anybody else's.
                    if !is_own(connection, upstream) {
                        worker.pool.give(upstream, told.node.unwrap_or(visit.node()), node, None);
                    }
                    continue;
                }
            },
            Err(error) => {
                told.retries += 1;
                attempts_here += 1;
                let name = upstream.nodes.get(visit.node()).map(|node| node.name.clone()).unwrap_or_default();
                tracing::warn!(node = %name, upstream = upstream.config.name, %error, "cannot connect to node");
                if error.is_nodes() && !blamed.contains(&visit.node()) {
                    blamed.push(visit.node());
                    node_failed(worker, upstream, visit.node());
                }
                let exists = visit.is_pinned();
                if exists && matches!(error, ConnectError::Limit) {
                    told.code = Code::Busy;
                    return Err(Refusal::Busy { node: visit.node() }.into());
                }
                // Nor must it cost a session its node that we have run out.
                if exists && matches!(error, ConnectError::Exhausted(_)) {
                    told.code = Code::Later;
                    return Err(Refusal::TryLater { node: visit.node() }.into());
                }
                // The node of a conversation may only have stumbled: it is asked again before it is given up.
                if exists && attempts_here < upstream.config.attempts && began.elapsed() < route.timeouts.connect {
                    tokio::time::sleep(RETRY_PAUSE).await;
                    continue;
                }
                attempts_here = 0;
                tried.push(visit.node());
                if tried.len() as u32 >= upstream.config.attempts && !exists {
                    return Err(Failure::Unreachable);
                }
                loop {
                    let ask = ask(worker, upstream, keys, &tried, &patience.held);
                    match visit.replace(&ask) {
                        Ok(_) => break,
                        Err(Refusal::NoNode) => {
                            told.code = Refusal::NoNode.code();
                            return Err(Failure::Unreachable);
                        }
                        Err(refusal) => patience.wait(worker, upstream, client, &ask, refusal, deadline, told).await?,
                    }
                }
                patience.held.give_up();
            }
        }
    }
}

/// Takes note of how an exchange went, and tells if that keeps new conversations away from its node.
pub fn observe(worker: &Worker, upstream: &Upstream, node: Option<NodeId>, ended: &Ended, blames_node: bool) {
    let Some(known) = node.and_then(|node| upstream.nodes.get(node)) else { return };
    match ended {
        Ended::Answered if blames_node => {
            let observe = &upstream.config.health.observe;
            let now_ms = worker.gateway.now().0;
            let allowed = observe.receiver_faults.map(std::num::NonZeroU32::get);
            if let Some(time) = known.live.blamed_itself(now_ms, allowed, observe.eject) {
                let (node, upstream) = (&known.name, &upstream.config.name);
                tracing::warn!(%node, upstream, ?time, "node is ejected: its answers in a row blame itself");
            }
        }
        Ended::Answered | Ended::Withheld | Ended::Ahead(_) => known.live.went_well(),
        Ended::Node(_) => node_failed(worker, upstream, known.id),
        Ended::Client(_) => {}
    }
}

/// Takes note that a node failed, and tells if that keeps new conversations away from it.
pub fn node_failed(worker: &Worker, upstream: &Upstream, node: NodeId) {
    let Some(node) = upstream.nodes.get(node) else { return };
    let observe = &upstream.config.health.observe;
    if let Some(time) = node.live.failed(worker.gateway.now().0, observe.connect_failures, observe.eject) {
        tracing::warn!(node = %node.name, upstream = upstream.config.name, ?time, "node is ejected: it failed in a row");
    }
}

fn ask<'a>(
    worker: &Worker,
    upstream: &'a Upstream,
    keys: &'a RequestKeys,
    tried: &'a [NodeId],
    held: &'a Held,
) -> Ask<'a> {
    Ask {
        keys,
        nodes: &upstream.nodes,
        policy: &upstream.policy,
        tried,
        held: Some(held),
        now: worker.gateway.now(),
        random: worker.random(),
    }
}

/// A connection to the node: this client's own, an idle one, or a new one.
pub async fn obtain(
    worker: &Worker,
    connection: &Connection,
    upstream: &Upstream,
    node: NodeId,
    request: &Request,
    limit: Duration,
) -> Result<Box<NodeConnection>, ConnectError> {
    if request.fields().known(Name::Authorization).is_some_and(binds_connection) {
        connection.own.borrow_mut().is_bound = true;
    }
    if is_own(connection, upstream) {
        if let Some(own) = connection.own.borrow_mut().take(upstream.serial, node) {
            return Ok(own);
        }
    } else if let Some(idle) = worker.pool.take(upstream, node) {
        return Ok(idle);
    }
    let open = queue::open(worker, upstream, node, limit).await?;
    worker.pool.connect(upstream, node, open, limit).await
}

/// Whether node connections of this client belong to it alone.
fn is_own(connection: &Connection, upstream: &Upstream) -> bool {
    upstream.connection == Sharing::PerClient || connection.own.borrow().is_bound
}

/// Whether these credentials authenticate the connection instead of the request (RFC 4559, MS-NTHT).
fn binds_connection(value: &[u8]) -> bool {
    let scheme = value.split(|byte| matches!(byte, b' ' | b'\t' | b',')).next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"NTLM") || scheme.eq_ignore_ascii_case(b"Negotiate")
}

/// Keeps the node connection for the next request, if it can carry one.
#[allow(clippy::too_many_arguments)]
pub fn keep(
    worker: &Worker,
    connection: &Connection,
    upstream: &Upstream,
    node: Option<NodeId>,
    mut wire: Box<NodeConnection>,
    reusable: Option<Option<Duration>>,
    head: &Response,
) {
    let offers = head.status == 401 && head.fields().all_known(Name::WwwAuthenticate).any(binds_connection);
    if offers {
        connection.own.borrow_mut().is_bound = true;
    }
    let (Some(told), Some(node)) = (reusable, node) else { return };
    wire.wire.input.release(&worker.buffers);
    if is_own(connection, upstream) {
        connection.own.borrow_mut().give(upstream.serial, node, wire);
    } else {
        worker.pool.give(upstream, node, wire, told);
    }
}
