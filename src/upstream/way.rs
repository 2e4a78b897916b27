//! Requests that hold a place at a machine only because their client is slow, and make way when others wait for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;

use super::Live;
use super::gate::{Settled, Ticket};

/// Those at one machine, who has been waited for longest first.
#[derive(Debug, Default)]
pub(super) struct Way(Mutex<Standing>);

#[derive(Debug, Default)]
struct Standing {
    next: u64,
    /// By the time since when the client is waited for, and a number.
    by_age: BTreeMap<(u64, u64), Arc<Ticket>>,
}

/// One request that may have to make way. Dropped, it goes on as any.
#[derive(Debug)]
pub struct InTheWay {
    live: Arc<Live>,
    at: (u64, u64),
    ticket: Arc<Ticket>,
}

impl Live {
    /// The client of a request here has been waited for since then: it may be told to make way.
    pub fn is_in_the_way(self: &Arc<Self>, since_ms: u64) -> InTheWay {
        let ticket = Arc::<Ticket>::default();
        let mut standing = self.way.0.lock();
        let at = (since_ms, standing.next);
        standing.next += 1;
        standing.by_age.insert(at, Arc::clone(&ticket));
        drop(standing);
        InTheWay { live: Arc::clone(self), at, ticket }
    }

    /// Tells the one whose client has been waited for longest to make way, if that is since `before_ms` or longer. False:
    /// nobody has to.
    pub fn clear_the_way(&self, before_ms: u64) -> bool {
        let mut standing = self.way.0.lock();
        match standing.by_age.first_entry() {
            Some(first) if first.key().0 <= before_ms => {
                let ticket = first.remove();
                drop(standing);
                ticket.settle(Settled::LookAgain)
            }
            _ => false,
        }
    }
}

impl InTheWay {
    /// Ready when it has to make way.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.ticket.poll(cx).map(|_| ())
    }
}

impl Drop for InTheWay {
    fn drop(&mut self) {
        self.live.way.0.lock().by_age.remove(&self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::NodeId;

    #[test]
    fn who_has_been_waited_for_longest_goes_first_and_nobody_too_early() {
        let live = Arc::new(Live::new(NodeId(0), "g".into(), "n".into()));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let [late, early, gone] = [300, 200, 100].map(|since| live.is_in_the_way(since));
        drop(gone);
        assert!(!live.clear_the_way(199), "one that would have had to is no longer there");
        assert!(live.clear_the_way(250));
        assert!(early.poll(&mut cx).is_ready() && late.poll(&mut cx).is_pending());
        assert!(!live.clear_the_way(250), "each is told once");
        assert!(live.clear_the_way(300) && late.poll(&mut cx).is_ready());
        drop((early, late));
        assert!(live.way.0.lock().by_age.is_empty());
    }
}
