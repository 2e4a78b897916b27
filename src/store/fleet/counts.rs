//! What the fleet counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counts since the process began.
#[derive(Debug, Default)]
pub struct Counts {
    /// Calls of the store.
    pub calls: AtomicU64,
    /// Those that failed, time-outs included.
    pub failures: AtomicU64,
    /// Those that ran out of time.
    pub timeouts: AtomicU64,
    /// Microseconds spent in calls.
    pub call_micros: AtomicU64,
    /// How often the store was found to be away.
    pub opened: AtomicU64,
    /// Keys claimed first here, requests counted.
    pub claims_won: AtomicU64,
    /// Claims that another gateway had won.
    pub claims_lost: AtomicU64,
    /// Conversations that a request found in the store and not in the table.
    pub fetched: AtomicU64,
    /// Entries of the log by others, applied.
    pub heard: AtomicU64,
    /// Changes written.
    pub told: AtomicU64,
    /// Bindings made here while the store was away that another gateway had made on another node.
    pub conflicts: AtomicU64,
    /// How often everything was read anew.
    pub resyncs: AtomicU64,
    /// Entries or values that could not be read.
    pub unreadable: AtomicU64,
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Counts {
    pub(super) fn call(&self) {
        count(&self.calls);
    }

    pub(super) fn timed_out(&self) {
        count(&self.timeouts);
    }

    pub(super) fn took(&self, time: Duration, is_ok: bool) {
        self.call_micros.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Relaxed);
        if !is_ok {
            count(&self.failures);
        }
    }

    pub(super) fn opened(&self) {
        count(&self.opened);
    }
}
