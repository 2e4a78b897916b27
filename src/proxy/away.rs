//! `on_node_down: wait`: a request is held for a while for the node of its conversation to return.
//!
//! What was read of it stays within `inspect`; the rest stays with the client. Nothing of it has been written, so that nothing
//! can be executed twice. No more than `limits.queue` requests of an upstream wait at a time.

use std::future::poll_fn;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::client::Client;
use super::connection::Connection;
use super::deadline::Deadline;
use super::log::Told;
use super::pool::NodeConnection;
use super::reach;
use super::reply::Failure;
use super::worker::Worker;
use crate::affinity::{Ask, OnNodeDown, Policy, Refusal, Visit};
use crate::gateway::{Route, Upstream};
use crate::head::Request;
use crate::session::RequestKeys;
use crate::upstream::{Health, NodeId};

/// Between the first two looks; each further pause is twice as long, up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(100);
/// A node that nobody checks is tried this often.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// As [`reach::reach`], but waits for a node that is away.
///
/// # Errors
/// As there; once the wait is over, as with `on_node_down: fault`.
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
    let mut node = match reach::reach(worker, connection, route, keys, request, client, deadline, told).await {
        Err(Failure::Placement(Refusal::Away { node })) => node,
        reached => return reached,
    };
    let upstream = &*route.upstream;
    let wait = upstream.config.sticky.as_ref().map(|sticky| sticky.wait).unwrap_or_default();
    let until = Instant::now() + wait;
    if let Some(_place) = upstream.events.begin_waiting(upstream.config.limits.queue) {
        upstream.events.waited.fetch_add(1, Relaxed);
        told.event = Some("waited");
        let mut pause = PAUSE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            deadline.set(pause.min(left));
            let has_gone = poll_fn(|cx| match client.poll_gone(cx) {
                Poll::Ready(()) => Poll::Ready(true),
                Poll::Pending => deadline.poll(cx).map(|()| false),
            });
            if has_gone.await {
                return Err(Failure::ClientGone);
            }
            let serves = upstream.nodes.get(node).is_none_or(|node| node.live.serves());
            if !serves {
                // Its check tells, and looking costs nothing.
                continue;
            }
            pause = (pause * 2).min(PAUSE_MAX);
            match reach::reach(worker, connection, route, keys, request, client, deadline, told).await {
                Err(Failure::Placement(Refusal::Away { node: still })) => node = still,
                reached => return reached,
            }
        }
        upstream.events.waited_in_vain.fetch_add(1, Relaxed);
    }
    let refusal = give_up(worker, upstream, keys, node);
    told.code = refusal.code();
    Err(refusal.into())
}

/// What `on_node_down: fault` says of a request whose node is still away.
fn give_up(worker: &Worker, upstream: &Upstream, keys: &RequestKeys, node: NodeId) -> Refusal {
    // It is there, but does not accept: for a moment, as its check knows better.
    let is_up = upstream.nodes.get(node).is_some_and(|node| node.live.serves() && node.live.health() == Health::Up);
    if is_up {
        return Refusal::TryLater { node };
    }
    let policy = Policy { on_node_down: OnNodeDown::Fault, ..upstream.policy.clone() };
    let ask = Ask {
        keys,
        nodes: &upstream.nodes,
        policy: &policy,
        tried: &[node],
        held: None,
        now: worker.gateway.now(),
        random: worker.random(),
    };
    match worker.gateway.affinity.place(&ask) {
        Err(refusal) => refusal,
        // It was moved or has expired in this very moment: the next request finds out.
        Ok(_) => Refusal::TryLater { node },
    }
}
