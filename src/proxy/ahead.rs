//! A client that takes its answer slowly must not keep the node waiting: within a bound the rest of the answer is read ahead,
//! and once the node has said all, its place and its connection are for others.
//!
//! None of this happens before a client has been waited for ([`TARRY`]): a moment without room is how every stream runs.
//! What cannot be held keeps the node, but makes way for others (`limits.make_way`).

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::buffer::Buffer;
use super::client::Client;
use super::deadline::Deadline;
use super::forward::{ClientEnd, Ended, Forward, Passed, Waiting};
use super::h1::Fill;
use super::pace::Pace;
use super::worker::Worker;
use crate::gateway::Gateway;
use crate::head::Fields;

/// So long a client is waited for before it counts as slow: more than a round trip of most, so that only few answers are
/// read ahead, and far less than anybody in a line for the node would notice. Taste.
pub const TARRY: Duration = Duration::from_millis(100);

/// Of an answer whose length is not known, so much more is asked for at a time.
const STEP: u64 = 64 << 10;

/// What one answer has taken of the memory for answers read ahead. Given back when dropped.
#[derive(Debug)]
pub struct Ahead {
    gateway: Arc<Gateway>,
    /// Of one answer.
    most: u64,
    /// Of all together.
    most_of_all: u64,
    bytes: u64,
}

impl Ahead {
    /// Nothing taken yet.
    pub fn new(worker: &Worker) -> Self {
        let limits = worker.gateway.snapshot().config.limits;
        // So that answers read ahead alone never keep new connections away.
        let most_of_all = limits.buffers / 4;
        Self { gateway: Arc::clone(&worker.gateway), most: limits.read_ahead, most_of_all, bytes: 0 }
    }

    /// Whether an answer may be held of which `held` bytes are here and, if that is known, `coming` are to come.
    fn may_hold(&mut self, held: u64, coming: Option<u64>) -> bool {
        let wanted = match coming {
            // Part of it would cost memory and free nothing.
            Some(coming) => held.saturating_add(coming),
            None if held < self.bytes => return true,
            None => (held + STEP).min(self.most.max(held + 1)),
        };
        if wanted <= self.bytes {
            return true;
        }
        let may = wanted <= self.most && self.gateway.pressure.read_ahead(wanted - self.bytes, self.most_of_all);
        if may {
            self.bytes = wanted;
        }
        may
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.gateway.pressure.passed_on(self.bytes);
    }
}

/// What of an answer is still to be sent, when the node has nothing more to do with it.
#[derive(Debug)]
pub struct Rest {
    bytes: Bytes,
    trailers: Option<Fields>,
    _held: Option<Ahead>,
}

#[derive(Debug)]
enum Bytes {
    AsReceived(Buffer),
    Rewritten(Vec<u8>),
}

impl<C: Client> Forward<'_, '_, C> {
    /// The client has been waited for since then, and counts as slow: it may have to make way, and its answer is read ahead
    /// from now on.
    pub(super) fn is_slow(&mut self, cx: &Context<'_>, waiting: Waiting, since: Option<Instant>) {
        let stall = self.timeouts.stall;
        let patience = if waiting == Waiting::ClientTakes {
            self.ahead.get_or_insert_with(|| Ahead::new(self.worker));
            self.paces[1].patience(self.passed.bytes_out, stall)
        } else {
            self.paces[0].patience(self.passed.bytes_in, stall)
        };
        self.deadline.set_from(since.unwrap_or_else(Instant::now), patience);
        let since_ms = self.worker.gateway.now().0.saturating_sub(TARRY.as_millis() as u64);
        self.in_the_way = self.lesson.visit.place().map(|live| live.is_in_the_way(since_ms));
        cx.waker().wake_by_ref();
    }

    /// The client is slow: reads on, as far as the answer can be held. What is waited for then, or [`Ended::Ahead`] where
    /// the node has said all.
    pub(super) fn read_ahead(
        &mut self,
        cx: &mut Context<'_>,
        request_is_out: bool,
        scanned: &mut usize,
    ) -> Result<Waiting, Ended> {
        // Where the request is not out, neither connection has an end from which it could go on.
        if !request_is_out || !self.client.has_begun() {
            return Ok(Waiting::ClientTakes);
        }
        loop {
            let whole = self.node.wire.body_is_whole();
            let body = self.node.wire.body();
            if body.len() > *scanned || whole {
                self.lesson.message(self.request.view(self.message), self.head, &body[*scanned..], whole);
                *scanned = body.len();
            }
            if self.is_held(cx) {
                return Ok(Waiting::Store);
            }
            let held = match &mut self.answer {
                Some(answer) => {
                    answer.take(self.node.wire.body(), whole);
                    let taken = std::mem::take(scanned);
                    self.node.wire.consume_body(taken);
                    answer.out.len()
                }
                None => self.node.wire.input.len(),
            };
            if whole {
                return Err(Ended::Ahead(Box::new(self.rest())));
            }
            let Some(ahead) = &mut self.ahead else { return Ok(Waiting::ClientTakes) };
            if !ahead.may_hold(held as u64, self.node.wire.body_remaining()) {
                return Ok(Waiting::ClientTakes);
            }
            match self.node.wire.poll_body(cx, &self.worker.buffers) {
                Poll::Ready(Fill::More) => {}
                Poll::Ready(fill) => return Err(Ended::broken_off(fill)),
                Poll::Pending => return Ok(Waiting::ClientTakes),
            }
        }
    }

    fn rest(&mut self) -> Rest {
        // It has no place any more that others could use.
        self.in_the_way = None;
        let trailers = self.node.wire.trailers().filter(|fields| !fields.is_empty()).cloned();
        let bytes = match &mut self.answer {
            Some(answer) => Bytes::Rewritten(std::mem::take(&mut answer.out)),
            None => {
                let (body, is_all) = self.node.wire.take_body();
                if !is_all {
                    // What came behind the answer nobody has asked for.
                    self.passed.reusable = None;
                }
                Bytes::AsReceived(body)
            }
        };
        Rest { bytes, trailers, _held: self.ahead.take() }
    }
}

impl Rest {
    fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::AsReceived(buffer) => buffer.filled(),
            Bytes::Rewritten(bytes) => bytes,
        }
    }

    fn consume(&mut self, count: usize) {
        match &mut self.bytes {
            Bytes::AsReceived(buffer) => buffer.consume(count),
            Bytes::Rewritten(bytes) => drop(bytes.drain(..count)),
        }
    }

    /// Sends it, at the client's pace.
    pub async fn send<C: Client>(
        mut self,
        client: &mut C,
        deadline: &mut Deadline,
        pace: &mut Pace,
        stall: Duration,
        passed: &mut Passed,
    ) -> Ended {
        passed.node_is_done = true;
        let mut since = Instant::now();
        deadline.set_from(since, pace.patience(passed.bytes_out, stall));
        poll_fn(|cx| {
            let before = passed.bytes_out;
            loop {
                match client.poll_send(cx, self.bytes(), true, self.trailers.as_ref()) {
                    Poll::Ready(Ok(count)) => {
                        passed.bytes_out += count as u64;
                        self.consume(count);
                        if self.bytes().is_empty() && client.is_sent() {
                            return Poll::Ready(Ended::Answered);
                        }
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Ended::Client(ClientEnd::Gone)),
                    Poll::Pending => break,
                }
            }
            if passed.bytes_out > before {
                let now = Instant::now();
                pace.waited(now - since);
                since = now;
                deadline.set_from(now, pace.patience(passed.bytes_out, stall));
            }
            deadline.poll(cx).map(|()| Ended::Client(ClientEnd::Stalled))
        })
        .await
    }
}
