//! What is counted of the requests of one upstream at one node: decisions, events, times.
//!
//! Each worker counts in a shard of its own, so that counting never waits for another core: a request costs a handful of
//! uncontended additions.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

use super::metrics::BOUNDS;
use crate::affinity::Code;

/// Shards; workers beyond share them, which is as right and a little slower.
const SHARDS: usize = 64;

/// What happened to a request besides its decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Its answer taught keys.
    Learnt,
    /// It carried a known key.
    Matched,
    /// It carried keys, and nobody knew them.
    Unknown,
    /// Its known keys named different nodes.
    Conflict,
    /// The node said that it does not know the session.
    Lost,
    /// The node gave a new session although a known one was asked for.
    Replaced,
    /// Its conversation ended.
    Ended,
    /// Its conversation moved to this node because its own could not serve.
    Moved,
    /// A connect to a node failed before it was served or given up.
    Retried,
}

impl Event {
    /// All events, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Learnt,
        Self::Matched,
        Self::Unknown,
        Self::Conflict,
        Self::Lost,
        Self::Replaced,
        Self::Ended,
        Self::Moved,
        Self::Retried,
    ];

    /// The label.
    pub fn text(self) -> &'static str {
        match self {
            Self::Learnt => "learnt",
            Self::Matched => "matched",
            Self::Unknown => "unknown",
            Self::Conflict => "conflict",
            Self::Lost => "lost",
            Self::Replaced => "replaced",
            Self::Ended => "ended",
            Self::Moved => "moved",
            Self::Retried => "retried",
        }
    }
}

/// What is counted of one request.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// The decision.
    pub code: Code,
    /// Keys that its answer bound.
    pub learnt: u32,
    /// Connects that failed.
    pub retries: u32,
    /// Whether its known keys named different nodes.
    pub conflict: bool,
    /// `lost`, `ended` or `replaced`, as in the access log.
    pub event: Option<&'static str>,
    /// From the node's connection to the first byte of its answer; `None` = there was none.
    pub first_byte: Option<Duration>,
    /// From the request's head to the end of its answer.
    pub total: Duration,
}

/// What is counted at one node for one upstream.
#[derive(Debug)]
pub struct Series {
    shards: [OnceLock<Box<Shard>>; SHARDS],
}

impl Default for Series {
    fn default() -> Self {
        Self { shards: [const { OnceLock::new() }; SHARDS] }
    }
}

#[derive(Debug)]
#[repr(align(64))]
struct Shard {
    decisions: [AtomicU64; Code::ALL.len()],
    events: [AtomicU64; Event::ALL.len()],
    first_byte: Times,
    total: Times,
}

#[derive(Debug)]
struct Times {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Times {
    const fn new() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BOUNDS.len() + 1], micros: AtomicU64::new(0) }
    }

    fn add(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        self.buckets[BOUNDS.partition_point(|bound| *bound < seconds)].fetch_add(1, Relaxed);
        self.micros.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }
}

/// Times added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Histogram {
    /// How many lay between the bound before and this one; the last is beyond all bounds.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// Microseconds altogether.
    pub micros: u64,
}

impl Series {
    /// Counts a request, for this worker.
    pub fn count(&self, worker: usize, request: &Counted) {
        let shard = self.shards[worker % SHARDS].get_or_init(|| {
            Box::new(Shard {
                decisions: [const { AtomicU64::new(0) }; Code::ALL.len()],
                events: [const { AtomicU64::new(0) }; Event::ALL.len()],
                first_byte: Times::new(),
                total: Times::new(),
            })
        });
        let event = |event: Event, times: u64| {
            shard.events[event as usize].fetch_add(times, Relaxed);
        };
        shard.decisions[request.code as usize].fetch_add(1, Relaxed);
        match request.code {
            Code::Pinned | Code::Lingering => event(Event::Matched, 1),
            Code::Unknown | Code::Rejected => event(Event::Unknown, 1),
            Code::Secondary | Code::Moved => {
                event(Event::Matched, 1);
                event(Event::Moved, 1);
            }
            _ => {}
        }
        if request.learnt > 0 {
            event(Event::Learnt, request.learnt.into());
        }
        if request.conflict {
            event(Event::Conflict, 1);
        }
        match request.event {
            Some("lost") => event(Event::Lost, 1),
            Some("ended") => event(Event::Ended, 1),
            Some("replaced") => event(Event::Replaced, 1),
            _ => {}
        }
        if request.retries > 0 {
            event(Event::Retried, request.retries.into());
        }
        if let Some(time) = request.first_byte {
            shard.first_byte.add(time);
        }
        shard.total.add(request.total);
    }

    fn sum(&self, of: impl Fn(&Shard) -> u64) -> u64 {
        self.shards.iter().filter_map(OnceLock::get).map(|shard| of(shard)).sum()
    }

    /// Requests with this decision.
    pub fn decisions(&self, code: Code) -> u64 {
        self.sum(|shard| shard.decisions[code as usize].load(Relaxed))
    }

    /// How often this happened.
    pub fn events(&self, event: Event) -> u64 {
        self.sum(|shard| shard.events[event as usize].load(Relaxed))
    }

    /// Times to the first byte.
    pub fn first_byte(&self) -> Histogram {
        self.histogram(|shard| &shard.first_byte)
    }

    /// Times to the end.
    pub fn total(&self) -> Histogram {
        self.histogram(|shard| &shard.total)
    }

    fn histogram(&self, of: impl Fn(&Shard) -> &Times) -> Histogram {
        Histogram {
            buckets: std::array::from_fn(|bucket| self.sum(|shard| of(shard).buckets[bucket].load(Relaxed))),
            micros: self.sum(|shard| of(shard).micros.load(Relaxed)),
        }
    }
}

/// The series of every upstream and node that this process has known. What leaves the configuration is no longer shown, and
/// goes on where it was when it returns: a counter never falls.
#[derive(Debug, Default)]
pub struct Book(Mutex<HashMap<(String, String), Arc<Series>>>);

impl Book {
    /// The series of a node of an upstream; the empty node stands for requests that none was found for.
    pub fn series(&self, upstream: &str, node: &str) -> Arc<Series> {
        Arc::clone(self.0.lock().entry((upstream.to_owned(), node.to_owned())).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_count_apart_and_are_summed_up() {
        let series = Series::default();
        let request = Counted {
            code: Code::Moved,
            learnt: 2,
            retries: 0,
            conflict: true,
            event: Some("lost"),
            first_byte: Some(Duration::from_millis(2)),
            total: Duration::from_secs(7000),
        };
        for worker in [0, 1, 1, SHARDS, 1000] {
            series.count(worker, &request);
        }
        assert_eq!(series.decisions(Code::Moved), 5);
        for (event, count) in [
            (Event::Learnt, 10),
            (Event::Matched, 5),
            (Event::Moved, 5),
            (Event::Conflict, 5),
            (Event::Lost, 5),
            (Event::Ended, 0),
            (Event::Retried, 0),
        ] {
            assert_eq!(series.events(event), count, "{event:?}");
        }
        assert_eq!(series.first_byte().buckets[1], 5);
        assert_eq!(series.total().buckets[BOUNDS.len()], 5);
        assert_eq!(series.total().micros, 35_000_000_000);
        assert!(Event::ALL.iter().enumerate().all(|(number, event)| *event as usize == number));
    }

    #[test]
    fn a_series_that_returns_goes_on_where_it_was() {
        let book = Book::default();
        let series = book.series("u", "n");
        assert!(Arc::ptr_eq(&series, &book.series("u", "n")));
        assert!(!Arc::ptr_eq(&series, &book.series("u", "")));
    }
}
