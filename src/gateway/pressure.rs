//! What all clients together use of what there is only so much of: descriptors, connections, buffers.
//!
//! Looked at when a connection is accepted; requests on connections that stand are never refused for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::affinity::Now;
use crate::config::model;

/// Descriptors that no client takes: listening sockets, logs, the admin API and whoever calls it.
const RESERVE: u64 = 64;

/// It is told that there is enough again when nothing was refused for so long, so that the log does not flap.
const CALM_MS: u64 = 5_000;

/// What is scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scarce {
    /// `limits.connections`, or as many as descriptors allow.
    Connections = 0,
    /// `limits.connections` of the listener.
    Listener = 1,
    /// `limits.buffers`.
    Buffers = 2,
    /// The system has no descriptor left.
    Descriptors = 3,
}

impl Scarce {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Connections, Self::Listener, Self::Buffers, Self::Descriptors];

    /// The word in metrics and logs.
    pub fn text(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Listener => "listener",
            Self::Buffers => "buffers",
            Self::Descriptors => "descriptors",
        }
    }
}

/// What all clients together use.
#[derive(Debug, Default)]
pub struct Pressure {
    /// Descriptors that the process may have; 0 = not known.
    descriptors: AtomicU64,
    connections: AtomicUsize,
    /// Bytes of buffers in use, by worker.
    buffers: Mutex<Vec<Arc<AtomicU64>>>,
    /// Bytes of answers read ahead for slow clients.
    ahead: AtomicU64,
    refused: [AtomicU64; 4],
    /// When a connection was last refused for it; 0 = not since it was told that there is room again.
    refused_at: [AtomicU64; 4],
}

impl Pressure {
    /// How many descriptors the process may have.
    pub fn set_descriptors(&self, count: u64) {
        self.descriptors.store(count, Relaxed);
    }

    /// Client connections that may stand. Unless the file says a number: half of the descriptors beyond a reserve, so that
    /// each can have a node connection.
    pub fn connections_max(&self, limits: &model::ProcessLimits) -> usize {
        let auto = match self.descriptors.load(Relaxed) {
            0 => usize::MAX,
            count => usize::try_from(count.saturating_sub(RESERVE) / 2).unwrap_or(usize::MAX),
        };
        limits.connections.map_or(auto, |count| count as usize).max(1)
    }

    /// Client connections that stand.
    pub fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// A client connection begins, whether or not there is room. `of_listener`: connections of its listener that stand.
    pub fn enter(&self, of_listener: &AtomicUsize) {
        self.connections.fetch_add(1, Relaxed);
        of_listener.fetch_add(1, Relaxed);
    }

    /// A client connection has ended.
    pub fn leave(&self, of_listener: &AtomicUsize) {
        self.connections.fetch_sub(1, Relaxed);
        of_listener.fetch_sub(1, Relaxed);
    }

    /// Where one more worker says how many bytes its buffers hold.
    pub fn buffers_of_worker(&self) -> Arc<AtomicU64> {
        let bytes = Arc::<AtomicU64>::default();
        self.buffers.lock().push(Arc::clone(&bytes));
        bytes
    }

    /// Bytes that the buffers of all workers hold.
    pub fn buffers(&self) -> u64 {
        self.buffers.lock().iter().map(|bytes| bytes.load(Relaxed)).sum()
    }

    /// Takes so many bytes more for answers that are read ahead. False, and nothing taken, if they were more than `most` then.
    pub fn read_ahead(&self, bytes: u64, most: u64) -> bool {
        let more = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= most);
        self.ahead.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Gives them back.
    pub fn passed_on(&self, bytes: u64) {
        self.ahead.fetch_sub(bytes, Relaxed);
    }

    /// Bytes of answers read ahead.
    pub fn ahead(&self) -> u64 {
        self.ahead.load(Relaxed)
    }

    /// A client connection begins if there is room for it; looking and counting are one step, as several workers accept at
    /// once.
    ///
    /// # Errors
    /// What keeps it away; nothing is counted then.
    pub fn admit(
        &self,
        limits: &model::ProcessLimits,
        listener: &model::Listener,
        of_listener: &AtomicUsize,
    ) -> Result<(), Scarce> {
        if self.buffers() >= limits.buffers {
            return Err(Scarce::Buffers);
        }
        if !enter_below(&self.connections, self.connections_max(limits)) {
            return Err(Scarce::Connections);
        }
        let most = listener.limits.connections.map_or(usize::MAX, |most| most as usize);
        if !enter_below(of_listener, most) {
            self.connections.fetch_sub(1, Relaxed);
            return Err(Scarce::Listener);
        }
        Ok(())
    }

    /// Whether one more connection would be kept away.
    pub fn is_full(
        &self,
        limits: &model::ProcessLimits,
        listener: &model::Listener,
        of_listener: &AtomicUsize,
    ) -> bool {
        self.connections() >= self.connections_max(limits)
            || listener.limits.connections.is_some_and(|most| of_listener.load(Relaxed) >= most as usize)
            || self.buffers() >= limits.buffers
    }

    /// Takes note that a connection was refused. True if that is a change that is worth telling.
    pub fn refuse(&self, why: Scarce, now: Now) -> bool {
        self.refused[why as usize].fetch_add(1, Relaxed);
        self.refused_at[why as usize].swap(now.0, Relaxed) == 0
    }

    /// Takes note that a connection was taken. What there is enough of again, and worth telling.
    pub fn take(&self, now: Now) -> impl Iterator<Item = Scarce> + '_ {
        Scarce::ALL.into_iter().filter(move |why| {
            let at = self.refused_at[*why as usize].load(Relaxed);
            let is_over = at != 0 && now.0 >= at + CALM_MS;
            is_over && self.refused_at[*why as usize].compare_exchange(at, 0, Relaxed, Relaxed).is_ok()
        })
    }

    /// Connections refused since the process began.
    pub fn refused(&self, why: Scarce) -> u64 {
        self.refused[why as usize].load(Relaxed)
    }
}

/// Counts one more, unless there are `most`.
fn enter_below(count: &AtomicUsize, most: usize) -> bool {
    count.fetch_update(Relaxed, Relaxed, |count| (count < most).then_some(count + 1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_can_have_a_node_connection_unless_the_file_says_otherwise() {
        let pressure = Pressure::default();
        let limits = model::ProcessLimits::default();
        assert_eq!(pressure.connections_max(&limits), usize::MAX);
        pressure.set_descriptors(1024);
        assert_eq!(pressure.connections_max(&limits), 480);
        pressure.set_descriptors(10);
        assert_eq!(pressure.connections_max(&limits), 1);
        assert_eq!(pressure.connections_max(&model::ProcessLimits { connections: Some(7), ..limits }), 7);
    }

    #[test]
    fn workers_that_accept_at_once_take_no_more_than_there_is_room_for() {
        let yaml = "listeners: [{name: a, address: '127.0.0.1:0', limits: {connections: 5}}, {name: b, address: '127.0.0.2:0'}]\n\
                    routes: [{upstream: u}]\nupstreams: {u: {nodes: [{name: n, url: 'http://127.0.0.1:1'}]}}\n";
        let config = crate::config::Config::parse(yaml, "test.yaml").expect("a good file").config;
        let limits = model::ProcessLimits { connections: Some(8), ..Default::default() };
        for _ in 0..50 {
            let (pressure, standing) = (Pressure::default(), [AtomicUsize::new(0), AtomicUsize::new(0)]);
            let admit = |of: usize| pressure.admit(&limits, &config.listeners[of], &standing[of]);
            let admitted = move |of| (0..6).filter(|_| admit(of).is_ok()).count();
            let [a, b] = std::thread::scope(|scope| {
                [[0; 4], [1; 4]]
                    .map(|four| four.map(|of| scope.spawn(move || admitted(of))))
                    .map(|four| four.map(|thread| thread.join().expect("no panic")).iter().sum::<usize>())
            });
            assert!(a <= 5 && a + b <= 8, "{a} and {b}");
            assert_eq!(pressure.connections(), a + b);
            assert!(standing[0].load(Relaxed) == a && standing[1].load(Relaxed) == b);
            while admit(1).is_ok() {}
            assert_eq!((pressure.connections(), admit(0)), (8, Err(Scarce::Connections)));
        }
    }

    #[test]
    fn a_change_of_state_is_told_once() {
        let pressure = Pressure::default();
        assert_eq!([1, 2].map(|now| pressure.refuse(Scarce::Buffers, Now(now))), [true, false]);
        assert_eq!(pressure.refused(Scarce::Buffers), 2);
        assert_eq!(pressure.take(Now(CALM_MS)).count(), 0, "it may come again at once");
        assert_eq!(pressure.take(Now(CALM_MS + 2)).collect::<Vec<_>>(), [Scarce::Buffers]);
        assert_eq!(pressure.take(Now(CALM_MS + 3)).count(), 0);
        assert!(pressure.refuse(Scarce::Buffers, Now(CALM_MS + 4)));
    }
}
