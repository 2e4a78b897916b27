//! Reading the begin of a request's message: as much as placing it needs, and no more.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::client::Client;
use super::deadline::Deadline;
use super::h1::Fill;
use super::pace::Pace;
use super::reply::Failure;
use super::worker::Worker;
use crate::gateway::Gateway;
use crate::head::{Response, Version};
use crate::soap::Reader;

/// Messages up to this size are held without asking: every connection has a buffer of that size anyway.
pub const FREE_BYTES: u64 = super::buffer::SMALL as u64;

/// The message of a request as far as it was read.
#[derive(Debug)]
pub struct Message {
    /// Reads it; `None` where no rule wants anything of it.
    pub reader: Option<Box<Reader>>,
    /// Bytes of the body at hand that the reader has seen.
    pub scanned: usize,
    /// The end of the body was told to the reader.
    pub ended: bool,
    /// 100 (Continue) was sent by us.
    pub continued: bool,
    held: Option<Held>,
}

impl Message {
    /// A message of which nothing was read.
    pub fn new(reader: Option<Box<Reader>>) -> Self {
        Self { reader, scanned: 0, ended: false, continued: false, held: None }
    }

    /// Shows the reader what has arrived.
    pub fn scan(&mut self, body: &[u8], is_whole: bool) {
        if let Some(reader) = &mut self.reader {
            if body.len() > self.scanned {
                reader.push(&body[self.scanned..]);
            }
            if is_whole && !self.ended {
                reader.end();
                self.ended = true;
            }
        }
        self.scanned = body.len();
    }

    /// Whether the message may grow to `bytes` before any of it goes on. `limit` is for all messages together.
    fn may_hold(&mut self, worker: &Worker, bytes: u64, limit: u64) -> bool {
        let wanted = bytes.saturating_sub(FREE_BYTES);
        let has = self.held.as_ref().map_or(0, |held| held.bytes);
        if wanted <= has {
            return true;
        }
        if !worker.gateway.inspect_more(wanted - has, limit) {
            return false;
        }
        self.held.get_or_insert_with(|| Held { gateway: Arc::clone(&worker.gateway), bytes: 0 }).bytes = wanted;
        true
    }

    /// All that was held has gone on.
    pub fn release(&mut self) {
        self.held = None;
    }
}

/// What one message has taken of the budget for messages held until they can be placed. Given back when dropped.
#[derive(Debug)]
struct Held {
    gateway: Arc<Gateway>,
    bytes: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gateway.inspect_less(self.bytes);
    }
}

/// Limits of [`read`].
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Bytes of one message.
    pub message: u64,
    /// Bytes of all messages held at once.
    pub total: u64,
    /// Between two pieces.
    pub stall: Duration,
    /// What is asked of the client.
    pub pace: Pace,
}

/// Reads on until `enough` says so, the body is whole, or the budget is used up. What was read stays with the client.
///
/// # Errors
/// The body is broken, or does not come.
pub async fn read<C: Client>(
    worker: &Worker,
    client: &mut C,
    message: &mut Message,
    expects_continue: bool,
    mut budget: Budget,
    deadline: &mut Deadline,
    mut enough: impl FnMut(&Message) -> bool,
) -> Result<(), Failure> {
    loop {
        message.scan(client.body(), client.body_is_whole());
        if client.body_is_whole() || enough(message) {
            return Ok(());
        }
        let at_hand = client.body().len() as u64;
        if at_hand >= budget.message || !message.may_hold(worker, at_hand.max(1) * 2, budget.total) {
            return Ok(());
        }
        if expects_continue && !message.continued {
            let mut head = Response::new();
            head.start(Version::Http11, 100, b"Continue");
            client.interim(&head);
            message.continued = true;
        }
        let began = Instant::now();
        deadline.set_from(began, budget.pace.patience(at_hand, budget.stall));
        let fill = poll_fn(|cx| {
            // A failed write shows when reading fails.
            let _ = client.poll_flush(cx);
            if let Poll::Ready(fill) = client.poll_body(cx) {
                return Poll::Ready(Some(fill));
            }
            deadline.poll(cx).map(|()| None)
        })
        .await;
        budget.pace.waited(began.elapsed());
        match fill {
            Some(Fill::More) => {}
            Some(Fill::Broken(error)) => return Err(Failure::BadBody(error)),
            Some(Fill::Truncated | Fill::Failed(_)) => return Err(Failure::ClientGone),
            None => return Err(Failure::ClientTimeout),
        }
    }
}
