//! Holding a piece of an answer until what it teaches is known wherever it has to be.
//!
//! Where pins are durable before the reply, or another process takes over, a client must not get a key that a restart would
//! forget. Held is the piece in which a key of the message ends; for keys of the head, and for what the request itself
//! bound, the last piece; of an answer without a body, the head. What was passed on before is flushed meanwhile.

use std::task::{Context, Poll};
use std::time::Duration;

use super::client::Client;
use super::forward::{ClientEnd, Ended, Forward, Waiting};

/// How long a piece waits. A commit takes milliseconds, on a busy disk some hundred; whoever waits longer waits for a disk
/// that hangs.
pub(super) const STORE_PATIENCE: Duration = Duration::from_secs(1);

impl<C: Client> Forward<'_, '_, C> {
    /// Whether the piece at hand teaches what whoever has to know does not know yet.
    pub(super) fn is_held(&mut self, cx: &Context<'_>) -> bool {
        let Some(position) = self.lesson.unsettled else { return false };
        let is_held = self.worker.gateway.affinity.journal().poll_settled(cx, position).is_pending();
        if !is_held {
            self.lesson.unsettled = None;
        }
        is_held
    }

    /// While a piece is held, those before it go on.
    pub(super) fn let_go_ahead(&mut self, cx: &mut Context<'_>) -> Result<Option<Waiting>, Ended> {
        if self.passed.bytes_out > 0
            && let Poll::Ready(Err(_)) = self.client.poll_flush(cx)
        {
            return Err(Ended::Client(ClientEnd::Gone));
        }
        Ok(Some(Waiting::Store))
    }

    /// What is to be known elsewhere has taken too long: the answer goes on, and nobody waits until the store is well again.
    pub(super) fn stop_waiting(&mut self, cx: &Context<'_>) {
        self.lesson.unsettled = None;
        if let Some(store) = self.worker.gateway.store() {
            store.is_late();
        }
        if let Some(fleet) = self.worker.gateway.fleet() {
            fleet.is_late();
        }
        cx.waker().wake_by_ref();
    }
}
