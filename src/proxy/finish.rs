//! What an answer says about its conversation, once it is known.

use std::sync::atomic::{AtomicU64, Ordering};

use super::log::Told;
use super::reply::Failure;
use super::worker::Worker;
use crate::affinity::{Code, End, Outcome};
use crate::gateway::{Lesson, Upstream};
use crate::head::Response;
use crate::session::{RequestKeys, RequestView};

/// An answer was not for the client: another node is asked, or the client hears that its session was replaced.
pub fn withheld_ends(
    worker: &Worker,
    upstream: &Upstream,
    lesson: Lesson<'_>,
    is_asked: bool,
    told: &mut Told,
) -> Result<bool, Failure> {
    let end = End { lost: !is_asked, is_told: !is_asked, ..End::of(Outcome::Failure) };
    lesson.visit.finish(end, &upstream.policy, worker.gateway.now());
    if is_asked {
        return Ok(false);
    }
    count(&upstream.events.moved);
    replaced_after_move(upstream, told);
    Err(Failure::SessionReplaced)
}

/// The first answer after a move gave a new session.
fn replaced_after_move(upstream: &Upstream, told: &mut Told) {
    count(&upstream.events.replaced_after_move);
    told.event = Some("replaced");
    let (upstream, request) = (&upstream.config.name, told.request_id());
    tracing::warn!(upstream, request, "the session did not come along when its conversation was moved");
}

fn count(event: &AtomicU64) {
    event.fetch_add(1, Ordering::Relaxed);
}

/// What the answer says about its conversation: `lost`, then `end`. Whether it blames its node is returned.
#[allow(clippy::too_many_arguments)]
pub fn finish(
    upstream: &Upstream,
    request: RequestView<'_>,
    keys: &RequestKeys,
    lesson: Lesson<'_>,
    head: &Response,
    is_answered: bool,
    worker: &Worker,
    told: &mut Told,
) -> bool {
    let now = worker.gateway.now();
    if matches!(told.code, Code::Moved | Code::Secondary) {
        count(&upstream.events.moved);
    }
    told.learnt = u32::from(lesson.sum.bound) + u32::from(lesson.sum.rebound);
    if told.key.is_none() {
        told.key = lesson.keys().first().map(|key| key.fingerprint);
    }
    if !is_answered {
        lesson.visit.finish(End::of(Outcome::NoAnswer), &upstream.policy, now);
        return false;
    }
    let end = lesson.end(request, keys, head);
    if lesson.is_replaced(keys) {
        match lesson.visit.after_move() {
            true => replaced_after_move(upstream, told),
            false => count(&upstream.events.replaced),
        }
    }
    told.event = match (end.lost, end.ended) {
        (true, _) => Some("lost"),
        (false, true) => Some("ended"),
        (false, false) => told.event,
    };
    if end.lost {
        count(&upstream.events.lost);
        tracing::info!(
            upstream = upstream.config.name,
            request = told.request_id(),
            "the node does not know the session; its pin is dropped"
        );
    }
    let blames_node = lesson.blames_node(head, &end);
    lesson.visit.finish(end, &upstream.policy, now);
    blames_node
}
