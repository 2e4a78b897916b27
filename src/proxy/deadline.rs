//! One timer for all timeouts of a connection.
//!
//! Every read and write has a limit, but nearly none is reached. So a deadline is only a number, written often, and the timer
//! behind it is armed anew only when it fires too early.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline that can be moved at no cost.
#[derive(Debug)]
pub struct Deadline {
    due: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

impl Default for Deadline {
    fn default() -> Self {
        Self { due: None, sleep: Box::pin(sleep_until(Instant::now())) }
    }
}

impl Deadline {
    /// Due after `limit` from now.
    pub fn set(&mut self, limit: Duration) {
        self.set_from(Instant::now(), limit);
    }

    /// Due after `limit` from `now`.
    pub fn set_from(&mut self, now: Instant, limit: Duration) {
        self.due = now.checked_add(limit);
    }

    /// Ready when the deadline has passed.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.due else { return Poll::Pending };
        // A timer that is armed for later than `due` would come too late; one armed for earlier is armed again when it fires.
        if self.sleep.deadline() > due {
            self.sleep.as_mut().reset(due);
        }
        loop {
            match self.sleep.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if Instant::now() >= due => return Poll::Ready(()),
                Poll::Ready(()) => self.sleep.as_mut().reset(due),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_moves_both_ways() {
        let start = Instant::now();
        let mut deadline = Deadline::default();
        deadline.set(Duration::from_secs(10));
        assert!(poll_fn(|cx| Poll::Ready(deadline.poll(cx))).await.is_pending());
        deadline.set(Duration::from_secs(20));
        assert!(poll_fn(|cx| Poll::Ready(deadline.poll(cx))).await.is_pending());
        deadline.set(Duration::from_secs(5));
        poll_fn(|cx| deadline.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 5);
        deadline.set(Duration::from_secs(7));
        poll_fn(|cx| deadline.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 12);
    }
}
