//! A store that several gateways share: bytes under keys, an ordered log, who is there.
//!
//! A store knows nothing of conversations. What the bytes mean is said in one place for all of them; here is what each must
//! do, and do as one step ("atomically"), because gateways build on it:
//!
//! * **[`claim`](Shared::claim)** is put-if-absent for several keys: all or none. Of gateways that claim at once one wins, and
//!   the others hear what the winner wrote.
//! * **[`write`](Shared::write)** changes values and appends to the log in one step, so that the order of the log is the order
//!   of the values: whoever replays the log ends with what the store holds.
//! * **The log** has numbered entries, without gaps, in the order in which they became visible. It is bounded; who comes too
//!   late is told so ([`Read::Gap`]) and reads everything anew ([`Shared::scan`]).
//!
//! Values go by themselves when their time is over, not before it and at most some seconds late; writing a value sets its
//! time anew. Only fingerprints, node names and times are stored, never an id that a client sent.
//!
//! A future that is dropped (its time budget was used up) leaves the store usable; whether its change was made is unknown.

use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

use crate::session::Fingerprint;

/// The work of one call.
pub type Job<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why a store did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or broke off: where, and why.
    #[error("{0}")]
    Away(String),
    /// It answers, but does not do that: credentials, permissions, memory, a version. Says what helps.
    #[error("{0}")]
    Refused(String),
}

/// A number in the log; the first entry has 1. 0 is before all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Position(pub u64);

/// What stands under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Whose it is: the same number under all keys of one conversation, another one for the next conversation under a key.
    pub owner: u64,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// None of the keys was there; now all are, and this is where the log says so.
    Won(Position),
    /// One was: this is the first of them, by its index, and its value. Nothing was changed.
    Taken(usize, Value),
}

/// One change. The changes of one call are made in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// These keys have this value for so long (`None` = for ever), whatever they had.
    Put(Vec<Fingerprint>, Value, Option<Duration>),
    /// As [`Write::Put`], but a key that another owner has keeps its value and its time.
    Renew(Vec<Fingerprint>, Value, Option<Duration>),
    /// These keys go, each only if this is its value's owner.
    Remove(Vec<Fingerprint>, u64),
    /// An entry of the log.
    Log(Vec<u8>),
    /// This name of the fleet's state has this value, or none. Such names are few: nodes, registrations.
    State(String, Option<Vec<u8>>),
}

/// What the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// The entries after the position asked for, in order, numbered from the next one on; empty if none came in time.
    Entries(Vec<Vec<u8>>),
    /// Entries after that position are gone. Read everything anew, then go on from this position.
    Gap(Position),
}

/// A step through all values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    /// Some of them. One may be told twice; what is there all the time is told at least once.
    pub values: Vec<(Fingerprint, Value)>,
    /// Where to go on; `None` = that was all.
    pub next: Option<Vec<u8>>,
}

/// A gateway that has said lately that it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Which one.
    pub member: String,
    /// What it said.
    pub bytes: Vec<u8>,
    /// How long ago, by the clock of the store.
    pub age: Duration,
}

/// A store that several gateways share.
pub trait Shared: Send + Sync + Debug {
    /// What it is and where, for people; no credentials.
    fn describe(&self) -> String;

    /// The number that the store was given when it was new. Another one than before says that what it held is lost.
    fn epoch(&self) -> Job<'_, u64>;

    /// Gives all these keys (few, different, in order) this value if none of them has one, and appends `log` if it did.
    fn claim(&self, keys: &[Fingerprint], value: &Value, time: Option<Duration>, log: &[u8]) -> Job<'_, Claim>;

    /// The values of these keys.
    fn get(&self, keys: &[Fingerprint]) -> Job<'_, Vec<Option<Value>>>;

    /// Makes these changes, all or none. The position of the last entry of the log after them.
    fn write(&self, changes: &[Write]) -> Job<'_, Position>;

    /// The log after a position, a bounded piece of it; waits so long for the first entry. On a connection of its own: it
    /// delays nobody.
    fn read(&self, after: Position, wait: Duration) -> Job<'_, Read>;

    /// The number of the last entry of the log.
    fn last(&self) -> Job<'_, Position>;

    /// Some values, from the beginning (`None`) or where the last step ended.
    fn scan(&self, from: Option<Vec<u8>>) -> Job<'_, Scan>;

    /// The whole state of the fleet, by name.
    fn states(&self) -> Job<'_, Vec<(String, Vec<u8>)>>;

    /// Says that this member is there, for so long; zero: it leaves.
    fn beat(&self, member: &str, bytes: &[u8], time: Duration) -> Job<'_, ()>;

    /// Who is there.
    fn members(&self) -> Job<'_, Vec<Beat>>;
}
