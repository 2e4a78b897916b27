//! One worker: a thread with its own runtime, its own connections and its own pool of node connections.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;

use super::buffer::Buffers;
use super::pool::Pool;
use super::request_id::Serial;
use super::server::Command;
use super::stop::Stop;
use crate::gateway::Gateway;
use crate::telemetry::Lines;
use crate::telemetry::metrics::Tally;
use crate::upstream::NodeId;

/// What the connections of one worker share. Never leaves its thread.
#[derive(Debug)]
pub struct Worker {
    /// 0 to workers - 1.
    pub index: usize,
    /// What all workers share.
    pub gateway: Arc<Gateway>,
    /// Buffers at hand.
    pub buffers: Buffers,
    /// Idle node connections.
    pub pool: Pool,
    /// Access-log lines on their way.
    pub lines: Lines,
    /// What it counts.
    pub tally: Arc<Tally>,
    /// Whether it is time to go.
    pub stop: Stop,
    /// Where every worker, this one included, hears of what another wants.
    pub others: Rc<[UnboundedSender<Command>]>,
    /// Client connections of every worker.
    pub loads: Arc<Loads>,
    /// Connections that are being refused.
    pub refusing: Cell<usize>,
    random: Cell<u64>,
    request_ids: (u64, u64, Cell<u64>),
}

/// Client connections of each worker, so that one with many can hand new ones on.
#[derive(Debug)]
pub struct Loads {
    counts: Vec<AtomicUsize>,
    listeners: Mutex<HashMap<SocketAddr, Arc<AtomicUsize>>>,
    gateway: Arc<Gateway>,
}

impl Loads {
    /// No connections yet, for so many workers.
    pub fn new(workers: usize, gateway: Arc<Gateway>) -> Arc<Self> {
        let counts = (0..workers).map(|_| AtomicUsize::new(0)).collect();
        Arc::new(Self { counts, listeners: Mutex::default(), gateway })
    }

    /// Where the connections of a listener are counted, by its configured address.
    pub fn of_listener(&self, configured: SocketAddr) -> Arc<AtomicUsize> {
        Arc::clone(self.listeners.lock().entry(configured).or_default())
    }

    /// Connections of this worker.
    pub fn of(&self, worker: usize) -> usize {
        self.counts[worker].load(Ordering::Relaxed)
    }

    /// All connections.
    pub fn total(&self) -> usize {
        self.counts.iter().map(|count| count.load(Ordering::Acquire)).sum()
    }

    /// The worker with the fewest connections, and how many.
    pub fn least(&self) -> (usize, usize) {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).enumerate();
        counts.min_by_key(|(_, count)| *count).unwrap_or_default()
    }

    /// Counts a connection to a worker, which all together and its listener count already; it counts out of all three when
    /// dropped.
    pub fn enter(self: &Arc<Self>, worker: usize, listener: &Arc<AtomicUsize>) -> Load {
        self.counts[worker].fetch_add(1, Ordering::Relaxed);
        Load { loads: Arc::clone(self), worker, listener: Arc::clone(listener) }
    }
}

/// One client connection of a worker.
#[derive(Debug)]
pub struct Load {
    loads: Arc<Loads>,
    worker: usize,
    listener: Arc<AtomicUsize>,
}

impl Drop for Load {
    fn drop(&mut self) {
        // Who sees that the worker has one less shall find room.
        self.loads.gateway.pressure.leave(&self.listener);
        self.loads.counts[self.worker].fetch_sub(1, Ordering::Release);
    }
}

/// Numbers client connections over all workers: the value of `conn` keys.
static NEXT_CONNECTION: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

impl Worker {
    /// A worker of this gateway. `seed` starts its random numbers.
    pub fn new(
        index: usize,
        gateway: Arc<Gateway>,
        loads: Arc<Loads>,
        others: Rc<[UnboundedSender<Command>]>,
        seed: u64,
    ) -> Rc<Self> {
        let lines = gateway.access_log.lines();
        let tally = gateway.tally();
        Rc::new(Self {
            index,
            refusing: Cell::new(0),
            buffers: Buffers::new(gateway.pressure.buffers_of_worker()),
            pool: Pool::default(),
            lines,
            tally,
            gateway,
            stop: Stop::default(),
            others,
            loads,
            random: Cell::new(seed | 1),
            request_ids: (seed.rotate_left(17) ^ 0x9e37_79b9_7f4a_7c15, scatter(seed.rotate_left(41)), Cell::new(0)),
        })
    }

    /// A random number, good enough for balancing (xorshift64*).
    pub fn random(&self) -> u64 {
        let mut x = self.random.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.random.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// What the id of the next request is made of: unique in this process. No system call, no lock.
    pub fn serial(&self) -> Serial {
        let (seed, worker, count) = &self.request_ids;
        let next = count.get() + 1;
        count.set(next);
        // Zeros are no valid ids of a trace and its parent.
        Serial { worker: (*worker).max(1), request: scatter(seed ^ (next << 8 | self.index as u64 & 0xff)).max(1) }
    }

    /// Asks every worker to give up an idle connection to this machine.
    pub fn ask_for_connection(&self, node: NodeId) {
        self.pool.give_up_idle(node);
        for (index, other) in self.others.iter().enumerate() {
            if index != self.index {
                // One that has stopped keeps none.
                let _ = other.send(Command::GiveUpIdle(node));
            }
        }
    }

    /// A number for a client connection, unique in this process.
    pub fn connection_number(&self) -> u64 {
        NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed)
    }
}

/// A bijection: ids differ as long as counters do (splitmix64).
fn scatter(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
