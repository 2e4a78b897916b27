//! What this gateway has to tell the others: a [`Sink`] of its table's journal.
//!
//! While the store answers, changes wait in their order for the next write. While it is away, what became of each
//! conversation is kept instead, so that what is kept is bounded by the table: when the store is back, a new binding is
//! claimed (another gateway may have bound it meanwhile), a move is written, an end is told.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::affinity::{Change, Keys, Record, Sink, What};

thread_local! {
    /// This thread applies what others have told: nothing of that is told back.
    static APPLYING: Cell<bool> = const { Cell::new(false) };
}

/// Runs something whose changes of the table are not told to the fleet.
pub fn untold<T>(what: impl FnOnce() -> T) -> T {
    struct Reset(bool);
    impl Drop for Reset {
        fn drop(&mut self) {
            APPLYING.set(self.0);
        }
    }
    let _reset = Reset(APPLYING.replace(true));
    what()
}

/// More changes than these that wait mean that the store does not keep up.
const WAITING_MAX: usize = 100_000;

/// What became of a conversation while the store was away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// As it is now; of one that is gone: as it was.
    pub record: Record,
    /// Keys were bound to it.
    pub bound: bool,
    /// It was moved.
    pub moved: bool,
    /// It came to an end.
    pub ended: bool,
    /// Keys it has no more.
    pub unbound: Keys,
}

/// What waits to be told.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    /// Something waits.
    pub wake: Notify,
    /// Up to here the store knows.
    settled: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<(u64, Change)>,
    told: u64,
    is_away: bool,
    kept: HashMap<(u32, u64), Kept>,
}

impl Sink for Outbox {
    fn tell(&self, position: u64, change: &Change) {
        let mut waiting = self.waiting.lock();
        waiting.told = waiting.told.max(position);
        if APPLYING.get() {
            return;
        }
        if waiting.is_away || waiting.queue.len() >= WAITING_MAX {
            waiting.keep(change);
            return;
        }
        waiting.queue.push_back((position, change.clone()));
        drop(waiting);
        self.wake.notify_one();
    }

    fn settled(&self) -> u64 {
        self.settled.load(Ordering::Acquire)
    }
}

impl Waiting {
    fn keep(&mut self, Change { what, record }: &Change) {
        let kept = self.kept.entry((record.id, record.created.0)).or_insert_with(|| Kept {
            record: record.clone(),
            bound: false,
            moved: false,
            ended: false,
            unbound: Keys::new(),
        });
        kept.record = record.clone();
        match what {
            What::Bound(_) | What::Present => kept.bound = true,
            What::Moved => kept.moved = true,
            What::Unbound(keys) => kept.unbound.extend(keys.iter().copied()),
            What::Gone { ended } => kept.ended = *ended,
            What::Confirmed | What::Used | What::Stage => {}
        }
        if matches!(what, What::Gone { ended: false }) {
            // Its time was over: it is over in the store as well.
            self.kept.remove(&(record.id, record.created.0));
        }
    }
}

impl Outbox {
    /// For a journal that has told so much already.
    pub fn new(position: u64) -> Arc<Self> {
        let outbox = Self::default();
        outbox.settled.store(position, Ordering::Release);
        Arc::new(outbox)
    }

    /// What waits, at most so many.
    pub fn take(&self, at_most: usize) -> Vec<(u64, Change)> {
        let mut waiting = self.waiting.lock();
        let count = waiting.queue.len().min(at_most);
        waiting.queue.drain(..count).collect()
    }

    /// The store knows all up to this position.
    pub fn written(&self, position: u64) {
        let waiting = self.waiting.lock();
        let position = if waiting.queue.is_empty() { waiting.told } else { position };
        if !waiting.is_away {
            self.settled.fetch_max(position, Ordering::AcqRel);
        }
    }

    /// The store is away: nobody waits for it. What was about to be written is kept with the rest.
    pub fn store_is_away(&self, unwritten: Vec<(u64, Change)>) {
        let mut waiting = self.waiting.lock();
        waiting.is_away = true;
        for (_, change) in unwritten {
            waiting.keep(&change);
        }
        while let Some((_, change)) = waiting.queue.pop_front() {
            waiting.keep(&change);
        }
        self.settled.store(u64::MAX, Ordering::Release);
    }

    /// Some of what was kept, to be written first. `None`: nothing was left, and from now on changes are written as they come.
    pub fn kept(&self, at_most: usize) -> Option<Vec<Kept>> {
        let mut waiting = self.waiting.lock();
        if waiting.kept.is_empty() {
            waiting.is_away = false;
            self.settled.store(waiting.told, Ordering::Release);
            return None;
        }
        let some: Vec<_> = waiting.kept.keys().take(at_most).copied().collect();
        Some(some.iter().filter_map(|key| waiting.kept.remove(key)).collect())
    }

    /// It could not be written: it is kept on, unless something newer is.
    pub fn keep_on(&self, unwritten: Vec<Kept>) {
        let mut waiting = self.waiting.lock();
        for old in unwritten {
            match waiting.kept.entry((old.record.id, old.record.created.0)) {
                std::collections::hash_map::Entry::Vacant(free) => {
                    free.insert(old);
                }
                std::collections::hash_map::Entry::Occupied(mut newer) => {
                    let newer = newer.get_mut();
                    newer.bound |= old.bound;
                    newer.moved |= old.moved;
                    newer.unbound.extend(old.unbound);
                }
            }
        }
    }

    /// Changes that wait.
    pub fn waiting(&self) -> usize {
        let waiting = self.waiting.lock();
        waiting.queue.len() + waiting.kept.len()
    }

    /// Whether more wait than the store keeps up with.
    pub fn is_flooded(&self) -> bool {
        let waiting = self.waiting.lock();
        !waiting.is_away && !waiting.kept.is_empty()
    }
}
