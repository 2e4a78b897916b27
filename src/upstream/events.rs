//! What is counted of an upstream beside its requests, and what bounds its rarer doings. Lives as long as the process.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// Counts of one upstream since the process began. They only grow.
        #[derive(Debug, Default)]
        pub struct UpstreamEvents {
            $($(#[doc = $doc])+ pub $name: AtomicU64,)*
            waiting: AtomicU32,
            bucket: Mutex<Bucket>,
        }

        impl UpstreamEvents {
            /// Names and values, for metrics.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
                [$((stringify!($name), self.$name.load(Relaxed)),)*].into_iter()
            }
        }
    };
}

events! {
    /// Conversations moved to another node because theirs could not serve.
    moved,
    /// First answers after a move that gave a new session: it was not replicated.
    replaced_after_move,
    /// Other answers that gave a new value of a key although the request carried a known one: a login, an expiry.
    replaced,
    /// Answers that told that the node does not know the session.
    lost,
    /// Requests held because the node of their conversation was away (`on_node_down: wait`).
    waited,
    /// Of these, those for which it did not return in time.
    waited_in_vain,
    /// Requests whose unknown key the nodes were asked for (`unknown_key: ask_nodes`).
    asked,
    /// Of these, those that a node knew.
    found,
    /// Requests whose unknown key nobody was asked for: too many, or asked a moment ago.
    not_asked,
    /// Requests given up because their client was waited for while others waited for their node (`limits.make_way`).
    made_way,
    /// Sealed cookies set in answers.
    cookies_set,
    /// Sealed cookies of requests that were forged, altered, or sealed for others: they counted as absent.
    cookies_invalid,
    /// Sealed cookies of requests whose time was over: they counted as absent.
    cookies_expired,
    /// Requests whose good sealed cookies named different nodes: none of them counted.
    cookies_in_conflict,
}

impl UpstreamEvents {
    /// A place among those who wait for their node, of `limit`; free again when dropped.
    pub fn begin_waiting(&self, limit: u32) -> Option<Waiting<'_>> {
        let entered = self.waiting.fetch_update(Relaxed, Relaxed, |count| (count < limit).then_some(count + 1));
        // Lazily: one that never entered must not leave.
        entered.is_ok().then(|| Waiting { events: self })
    }

    /// Requests that wait for their node at present.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed)
    }

    /// Whether nodes may be asked once more: at most `per_second` on average, and so many at once.
    pub fn may_ask(&self, now_ms: u64, per_second: u32) -> bool {
        self.bucket.lock().take(now_ms, per_second)
    }
}

/// Somebody who waits.
#[derive(Debug)]
pub struct Waiting<'a> {
    events: &'a UpstreamEvents,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.events.waiting.fetch_sub(1, Relaxed);
    }
}

/// A token bucket, as deep as one second fills it. Counts what was taken, so that an empty one is a full bucket.
#[derive(Debug, Default)]
struct Bucket {
    /// Thousandths of a token.
    taken: u64,
    at_ms: u64,
}

impl Bucket {
    fn take(&mut self, now_ms: u64, per_second: u32) -> bool {
        let per_second = u64::from(per_second);
        let elapsed = now_ms.saturating_sub(self.at_ms);
        self.taken = self.taken.saturating_sub(elapsed.saturating_mul(per_second));
        self.at_ms = self.at_ms.max(now_ms);
        let fits = self.taken + 1000 <= per_second * 1000;
        if fits {
            self.taken += 1000;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_so_many_a_second() {
        let mut bucket = Bucket::default();
        let mut given = |ms: u64, tries: usize| (0..tries).filter(|_| bucket.take(ms, 10)).count();
        for (ms, tries, expected) in
            [(1, 20, 10), (50, 5, 0), (101, 5, 1), (601, 20, 5), (60_000, 50, 10), (59_000, 5, 0), (60_200, 5, 2)]
        {
            assert_eq!(given(ms, tries), expected, "at {ms} ms");
        }
        assert!(!Bucket::default().take(1, 0), "none is none");
    }

    #[test]
    fn those_who_wait_are_bounded() {
        let events = UpstreamEvents::default();
        let places: Vec<_> = (0..3).filter_map(|_| events.begin_waiting(2)).collect();
        assert_eq!((places.len(), events.waiting()), (2, 2));
        drop(places);
        assert!(events.begin_waiting(1).is_some());
        assert_eq!(events.waiting(), 0);
    }
}
