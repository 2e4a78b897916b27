//! Exchanges kept for whoever asked for some of them, for a while: one capture at a time, bounded in number and bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{Snapshot, Upstream};
use crate::head::{Request, Response};

/// Bytes kept of each body; a longer one is cut.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Exchanges that are kept at once while they pass.
const UNDER_WAY_MAX: u32 = 32;
/// Finished exchanges that wait to be fetched.
const WAITING_MAX: usize = 16;

/// The capture of a gateway, if one runs.
#[derive(Debug, Default)]
pub struct Captures {
    is_on: AtomicBool,
    running: Mutex<Option<Arc<Running>>>,
}

/// A capture that runs.
#[derive(Debug)]
pub struct Running {
    /// The label of the route; `None` = every route.
    pub route: Option<String>,
    until: Instant,
    left: AtomicU32,
    under_way: AtomicU32,
    queue: mpsc::Sender<Captured>,
}

/// An exchange as the client sent and got it, with the ids and secrets it holds.
#[derive(Debug)]
pub struct Captured {
    /// The request's head.
    pub request: Request,
    /// Its body, out of its framing.
    pub request_body: Body,
    /// The head of the final answer; `None` = the client got none.
    pub response: Option<Response>,
    /// Its body.
    pub response_body: Body,
    /// The route's upstream; `None` = no route matched.
    pub upstream: Option<Arc<Upstream>>,
    /// The configuration it was served by.
    pub snapshot: Arc<Snapshot>,
    /// Where it came from.
    pub client_ip: std::net::IpAddr,
    /// The decision code.
    pub decision: &'static str,
    /// The fingerprint of the key that decided, or of the first one learnt.
    pub key: Option<crate::session::Fingerprint>,
}

/// A body, or its begin.
#[derive(Debug, Default, Clone)]
pub struct Body {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether there was more than is kept.
    pub is_cut: bool,
}

impl Body {
    /// Keeps what there is room for.
    pub fn keep(&mut self, more: &[u8]) {
        let room = BODY_BYTES_MAX - self.bytes.len();
        self.is_cut |= more.len() > room;
        self.bytes.extend_from_slice(&more[..more.len().min(room)]);
    }
}

/// A capture is running already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another capture is running; wait for its end")]
pub struct Busy;

impl Captures {
    /// Begins a capture of at most `limit` exchanges until `until`; `route`: only of the route with this label.
    ///
    /// # Errors
    /// One is running.
    pub fn begin(&self, route: Option<String>, limit: u32, until: Instant) -> Result<mpsc::Receiver<Captured>, Busy> {
        let mut running = self.running.lock();
        if running.is_some() {
            return Err(Busy);
        }
        let (queue, captured) = mpsc::channel(WAITING_MAX);
        let (left, under_way) = (AtomicU32::new(limit), AtomicU32::new(0));
        *running = Some(Arc::new(Running { route, until, left, under_way, queue }));
        self.is_on.store(true, Ordering::Relaxed);
        Ok(captured)
    }

    /// Ends the capture.
    pub fn end(&self) {
        self.is_on.store(false, Ordering::Relaxed);
        *self.running.lock() = None;
    }

    /// The capture that runs: one atomic load where there is none.
    pub fn running(&self) -> Option<Arc<Running>> {
        if !self.is_on.load(Ordering::Relaxed) {
            return None;
        }
        let running = self.running.lock().clone()?;
        let is_over = Instant::now() >= running.until || running.left.load(Ordering::Relaxed) == 0;
        (!is_over).then_some(running)
    }
}

impl Running {
    /// A place for one exchange while it passes; `None` = there are enough.
    pub fn enter(self: &Arc<Self>) -> Option<UnderWay> {
        let enter = |count: u32| (count < UNDER_WAY_MAX).then_some(count + 1);
        self.under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter).ok()?;
        Some(UnderWay(Arc::clone(self)))
    }
}

/// One exchange that passes.
#[derive(Debug)]
pub struct UnderWay(Arc<Running>);

impl UnderWay {
    /// Hands the exchange over, if it is of the route and there is room. `route`: its label.
    pub fn hand_over(self, route: Option<&str>, captured: Captured) {
        let running = &self.0;
        if running.route.is_some() && running.route.as_deref() != route {
            return;
        }
        let take = |left: u32| left.checked_sub(1);
        if running.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            // Who does not fetch in time gets fewer.
            let _ = running.queue.try_send(captured);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
