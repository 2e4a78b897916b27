//! Several gateways that behave as one: each table follows all others, through a store that they share.
//!
//! ```text
//! request ── consult ──► claim / get ─────────────► store: values ◄── writer ◄── outbox ◄── journal of the table
//!                                                          log  ──► reader ──► followers ──► table
//! ```
//!
//! * **First contact is single** across gateways because a key that no table knows is claimed in the store before its request
//!   is placed ([`consult`](Fleet::consult)); of several, one wins, and its node is used by all. The node proposed is that of
//!   the id's hash, on which gateways agree that cannot talk.
//! * **Learnt before used** holds across gateways because what an answer binds is in the store, values and log in one step,
//!   before that piece of the answer goes on: the [`Outbox`] is a sink of the journal for which answers wait.
//! * **Every table follows all others** by the log, whose order is the order of the values: where two gateways bound one key at
//!   once, all come to what the store says. So bindings made before an outage are known to all of them, and an operator's
//!   move or end reaches all.
//! * **When the store is away** ([`Breaker`]), nobody waits for it. With `on_store_down: local` ids that nobody knows are placed
//!   by their hash alone; what is bound meanwhile is claimed when the store is back, and where
//!   another gateway was faster, its word holds: counted and logged as a conflict. With `reject`, what would need the store is
//!   refused.
//!
//! All this runs on a thread of its own, with its own runtime: neither a slow admin request nor a worker's long turn delays it,
//! and it delays no worker.

mod breaker;
mod consult;
mod counts;
pub mod entry;
mod members;
mod outbox;
mod reader;
mod writer;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

pub use breaker::Breaker;
pub use consult::{Consulted, Outcome};
pub use counts::Counts;
pub use members::Member;
pub use outbox::Outbox;

use super::shared::{Position, Shared, StoreError, Write};
use crate::affinity::{Affinity, Now, Sink};

/// The number of a conversation that is claimed in the store before its table gives it one.
const UNNUMBERED: u32 = u32::MAX;

/// How a gateway takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Its name, for people.
    pub name: String,
    /// The longest that one call of the store may take.
    pub budget: Duration,
    /// What tells the fingerprint keys of gateways apart, without telling them.
    pub key_mark: u64,
    /// What would need a store that is away is refused, instead of being decided here.
    pub rejects: bool,
}

/// A clock that all tables share: see [`Now`].
pub type Clock = Box<dyn Fn() -> Now + Send + Sync>;

/// Who hears of the fleet's state: a name, and its value or that it is gone.
pub type Hears = Box<dyn Fn(&str, Option<&[u8]>) + Send + Sync>;

/// This gateway's part in the fleet.
#[derive(Debug)]
pub struct Fleet {
    core: Arc<Core>,
    runtime: tokio::runtime::Handle,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What all its tasks share.
pub(super) struct Core {
    store: Arc<dyn Shared>,
    affinity: Arc<Affinity>,
    options: Options,
    /// Who it is: drawn at the start.
    id: u64,
    started: Now,
    clock: Clock,
    outbox: Arc<Outbox>,
    breaker: Breaker,
    claiming: consult::Claiming,
    counts: Counts,
    /// Up to here the log is applied.
    applied: AtomicU64,
    /// Up to here in this table's journal the log has come.
    seen: AtomicU64,
    /// The epoch of the store when it was last asked; 0: never.
    epoch: AtomicU64,
    members: members::Members,
    hears: Mutex<Option<Hears>>,
    /// Orders given while the store was away, the latest of each name.
    orders: Mutex<Vec<(String, Option<Vec<u8>>)>>,
    /// When each name of the fleet's state was set last, by the clock of who set it.
    stamps: Mutex<HashMap<String, u64>>,
    stopping: AtomicBool,
    stop: Notify,
    /// What is wrong at present, for people.
    trouble: Mutex<Option<String>>,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("store", &self.store).field("id", &self.id).finish_non_exhaustive()
    }
}

impl Fleet {
    /// Joins: from now on this table tells the others and follows them. `hears` is told the fleet's state, as it is and
    /// whenever it changes.
    ///
    /// # Errors
    /// There is no thread to be had, or no random number.
    pub fn join(
        store: Arc<dyn Shared>,
        affinity: &Arc<Affinity>,
        options: Options,
        clock: Clock,
        hears: Hears,
    ) -> std::io::Result<Self> {
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(|error| std::io::Error::other(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let outbox = Outbox::new(affinity.journal().position());
        let core = Arc::new(Core {
            store,
            affinity: Arc::clone(affinity),
            options,
            id: u64::from_be_bytes(id) | 1,
            started: clock(),
            clock,
            outbox: Arc::clone(&outbox),
            breaker: Breaker::default(),
            claiming: consult::Claiming::default(),
            counts: Counts::default(),
            applied: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            members: members::Members::default(),
            hears: Mutex::new(Some(hears)),
            orders: Mutex::default(),
            stamps: Mutex::default(),
            stopping: AtomicBool::new(false),
            stop: Notify::new(),
            trouble: Mutex::default(),
        });
        affinity.journal().attach(outbox as Arc<dyn Sink>);
        // Always, not only while the store is away: a claim that came to the store although nobody heard so then says the
        // same as what was decided without it.
        affinity.agree(true);
        let own = Arc::clone(&core);
        let thread = std::thread::Builder::new().name("fleet".to_owned()).spawn(move || {
            runtime.block_on(async {
                let (writing, reading) = (own.write_on(), own.read_on());
                tokio::join!(writing, reading, own.return_on(), own.beat_on());
            });
        })?;
        Ok(Self { core, runtime: handle, thread: Mutex::new(Some(thread)) })
    }

    /// What is wrong with the store at present.
    pub fn trouble(&self) -> Option<String> {
        self.core.trouble.lock().clone()
    }

    /// What it counts.
    pub fn counts(&self) -> &Counts {
        &self.core.counts
    }

    /// Whether the store is not asked at present.
    pub fn is_away(&self) -> bool {
        self.core.breaker.is_open()
    }

    /// Changes that the store does not have yet.
    pub fn pending(&self) -> usize {
        self.core.outbox.waiting()
    }

    /// Up to here the log is applied here.
    pub fn applied(&self) -> Position {
        Position(self.core.applied.load(Ordering::Acquire))
    }

    /// Who this is, among [`Fleet::members`].
    pub fn id(&self) -> u64 {
        self.core.id
    }

    /// What and where the store is.
    pub fn describe(&self) -> String {
        self.core.store.describe()
    }

    /// Somebody waited in vain for a change to be in the store.
    pub fn is_late(&self) {
        self.core.fail(&StoreError::Away("a write takes too long".to_owned()));
    }

    /// Changes the fleet's state: every gateway hears of it. The position of the log that says so.
    ///
    /// # Errors
    /// The store is away: every gateway that can be reached hears of it once it is back.
    pub async fn order(&self, name: &str, value: Option<Vec<u8>>) -> Result<Position, StoreError> {
        let core = Arc::clone(&self.core);
        let name = name.to_owned();
        self.run(async move { core.order(name, value).await }).await
    }

    /// A name of the fleet's state is of no use any more. Nobody waits for it.
    pub fn forget(&self, name: &str) {
        let (core, name) = (Arc::clone(&self.core), name.to_owned());
        self.runtime.spawn(async move { core.order(name, None).await });
    }

    /// The position of the log by which everything is told that was changed here so far.
    ///
    /// # Errors
    /// The store is away, or does not keep up.
    pub async fn told(&self) -> Result<Position, StoreError> {
        let core = Arc::clone(&self.core);
        let position = core.affinity.journal().position();
        self.run(async move {
            core.settle(position).await?;
            core.call(core.store.last()).await
        })
        .await
    }

    /// Those that fell silent in the last ten minutes without taking their leave: they may still serve, cut off from the store.
    pub fn silent(&self) -> Vec<Member> {
        self.core.members.silent()
    }

    /// Waits until every live member has applied the log up to this position; those that have not, and [`Fleet::silent`].
    pub async fn await_applied(&self, position: Position, patience: Duration) -> Vec<Member> {
        let core = Arc::clone(&self.core);
        let waited = self.run(async move { Ok(core.await_applied(position, patience).await) }).await;
        waited.unwrap_or_else(|_| self.members())
    }

    /// Who is there, this one included, as of a second ago.
    pub fn members(&self) -> Vec<Member> {
        self.core.members.list()
    }

    /// Runs on the fleet's thread.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone = |_| StoreError::Away("the gateway stops".to_owned());
        self.runtime.spawn(work).await.map_err(gone)?
    }

    /// Tells what is left to tell, and leaves.
    pub fn leave(&self) {
        self.core.stopping.store(true, Ordering::Release);
        self.core.stop.notify_waiters();
        self.core.outbox.wake.notify_one();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the fleet's thread panicked");
        }
        let sink = Arc::clone(&self.core.outbox) as Arc<dyn Sink>;
        self.core.affinity.journal().detach(&sink);
        self.core.affinity.agree(false);
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Core {
    fn now(&self) -> Now {
        (self.clock)()
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Sleeps, but not through the end.
    async fn pause(&self, time: Duration) {
        if !self.is_stopping() {
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                () = self.stop.notified() => {}
            }
        }
    }

    /// One call within its budget. What fails opens the breaker.
    async fn call<T>(&self, job: super::shared::Job<'_, T>) -> Result<T, StoreError> {
        if self.breaker.is_open() {
            return Err(StoreError::Away("the store is away".to_owned()));
        }
        let result = self.within(self.options.budget, job).await;
        if let Err(error) = &result {
            self.fail(error);
        }
        result
    }

    async fn within<T>(&self, budget: Duration, job: super::shared::Job<'_, T>) -> Result<T, StoreError> {
        let began = tokio::time::Instant::now();
        self.counts.call();
        let result = match tokio::time::timeout(budget, job).await {
            Ok(result) => result,
            Err(_) => {
                self.counts.timed_out();
                Err(StoreError::Away(format!("{}: no answer within {budget:?}", self.store.describe())))
            }
        };
        self.counts.took(began.elapsed(), result.is_ok());
        result
    }

    /// The store is away from now on: said once.
    fn fail(&self, error: &StoreError) {
        let opens = self.breaker.open();
        if opens {
            self.counts.opened();
            let so = if self.options.rejects {
                "what needs it is refused"
            } else {
                "serving goes on, new ids are placed by their hash"
            };
            tracing::error!(%error, "the shared store is away: {so}");
        }
        *self.trouble.lock() = Some(error.to_string());
        self.outbox.store_is_away(Vec::new());
        self.affinity.journal().progressed();
    }

    async fn order(&self, name: String, value: Option<Vec<u8>>) -> Result<Position, StoreError> {
        let value = value.map(|value| self.stamped(&name, &value));
        let log = entry::state(self.id, &name, value.as_deref());
        let changes = [Write::State(name.clone(), value.clone()), Write::Log(log)];
        let written = self.call(self.store.write(&changes)).await;
        if written.is_err() {
            let mut orders = self.orders.lock();
            orders.retain(|(own, _)| *own != name);
            orders.push((name, value));
        }
        written
    }

    /// A value of the fleet's state with its time, which is later than that of every value known here.
    fn stamped(&self, name: &str, value: &[u8]) -> Vec<u8> {
        let mut stamps = self.stamps.lock();
        let known = stamps.entry(name.to_owned()).or_default();
        *known = self.now().0.max(*known + 1);
        [&known.to_be_bytes()[..], value].concat()
    }

    /// Hears of the fleet's state, unless a later word is known: gateways that could not reach the store tell late.
    fn hear_state(&self, name: &str, value: Option<&[u8]>) {
        let mut stamps = self.stamps.lock();
        let value = match value {
            None => {
                stamps.remove(name);
                None
            }
            Some(bytes) => {
                let Some((stamp, rest)) = stamp_of(bytes) else { return counts::count(&self.counts.unreadable) };
                let known = stamps.entry(name.to_owned()).or_default();
                if *known > stamp {
                    return;
                }
                *known = stamp;
                Some(rest)
            }
        };
        drop(stamps);
        if let Some(hears) = &*self.hears.lock() {
            outbox::untold(|| hears(name, value));
        }
    }
}

/// The time of a value of the fleet's state, and the value.
fn stamp_of(bytes: &[u8]) -> Option<(u64, &[u8])> {
    bytes.split_first_chunk::<8>().map(|(stamp, rest)| (u64::from_be_bytes(*stamp), rest))
}
