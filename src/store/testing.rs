//! For tests: a shared store in the memory of this process, and links to it that can be slow, silent or cut.
//!
//! [`Engine`] is what a server would be: values, log, state, members. A gateway has a [`Link`] to it, each its own, with a
//! [`Condition`] of its own, so that a store can be away for one gateway and there for another. Times are those of tokio's
//! clock: they stand still where a test pauses it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::shared::{Beat, Claim, Job, Position, Read, Scan, Shared, StoreError, Value, Write};
use crate::session::Fingerprint;

/// How a link fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// Every call is answered at once.
    #[default]
    Fine,
    /// Every call is done so late.
    Slow(Duration),
    /// Every call fails at once, also those that wait.
    Away,
    /// No call is answered or done while it is so; then they go on. A stopped process, a network that drops everything.
    Silent,
    /// Every call is done, and its answer lost.
    Deaf,
}

/// A store in this process.
#[derive(Debug)]
pub struct Engine {
    held: Mutex<Held>,
    /// Told of every change: of what is held, and of conditions.
    changed: watch::Sender<()>,
}

/// One gateway's way to the store.
#[derive(Debug)]
pub struct Link {
    engine: Arc<Engine>,
    condition: Mutex<Condition>,
}

#[derive(Debug)]
struct Held {
    epoch: u64,
    values: BTreeMap<Fingerprint, (Value, Option<Instant>)>,
    log: VecDeque<Vec<u8>>,
    log_max: usize,
    last: u64,
    states: BTreeMap<String, Vec<u8>>,
    /// What each said, when, and until when it counts.
    members: HashMap<String, (Vec<u8>, Instant, Instant)>,
}

/// Entries of the log that one call of [`Shared::read`] gives at most, and values of one step of a scan.
const PIECE: usize = 100;

impl Engine {
    /// An empty store whose log keeps so many entries.
    pub fn new(log_max: usize) -> Arc<Self> {
        let held = Held {
            epoch: 1,
            values: BTreeMap::new(),
            log: VecDeque::new(),
            log_max,
            last: 0,
            states: BTreeMap::new(),
            members: HashMap::new(),
        };
        Arc::new(Self { held: Mutex::new(held), changed: watch::Sender::new(()) })
    }

    /// Another way to this store.
    pub fn link(self: &Arc<Self>) -> Arc<Link> {
        Arc::new(Link { engine: self.clone(), condition: Mutex::default() })
    }

    /// Loses everything, as a server that comes back empty.
    pub fn lose(&self) {
        let mut held = self.held.lock();
        held.epoch += 1;
        held.values.clear();
        held.log.clear();
        held.last = 0;
        held.states.clear();
        held.members.clear();
        drop(held);
        self.changed.send_replace(());
    }

    /// What stands under a key, whatever the links are like.
    pub fn value(&self, key: Fingerprint) -> Option<Value> {
        self.held.lock().value(key).cloned()
    }
}

impl Link {
    /// From now on it fares so; calls that wait hear of it.
    pub fn set(&self, condition: Condition) {
        *self.condition.lock() = condition;
        self.engine.changed.send_replace(());
    }

    /// One call, as this link's condition has it.
    async fn call<T>(&self, act: impl FnOnce(&mut Held) -> T) -> Result<T, StoreError> {
        self.arrive().await?;
        let answer = act(&mut self.engine.held.lock());
        self.engine.changed.send_replace(());
        let condition = *self.condition.lock();
        if condition == Condition::Deaf { Err(away("the answer was lost")) } else { Ok(answer) }
    }

    /// Until a call comes to the store.
    async fn arrive(&self) -> Result<(), StoreError> {
        let mut changed = self.engine.changed.subscribe();
        let begun = Instant::now();
        loop {
            let condition = *self.condition.lock();
            match condition {
                Condition::Fine | Condition::Deaf => return Ok(()),
                Condition::Away => return Err(away("the link is cut")),
                Condition::Slow(time) => match tokio::time::timeout_at(begun + time, changed.changed()).await {
                    Err(_) => return Ok(()),
                    Ok(result) => result.map_err(|_| away("the store is gone"))?,
                },
                Condition::Silent => changed.changed().await.map_err(|_| away("the store is gone"))?,
            }
        }
    }
}

fn away(why: &str) -> StoreError {
    StoreError::Away(format!("store for tests: {why}"))
}

impl Held {
    fn value(&self, key: Fingerprint) -> Option<&Value> {
        let (value, until) = self.values.get(&key)?;
        until.is_none_or(|until| Instant::now() < until).then_some(value)
    }

    fn is_of(&self, key: Fingerprint, owner: u64) -> bool {
        self.value(key).is_some_and(|value| value.owner == owner)
    }

    fn put(&mut self, keys: &[Fingerprint], value: &Value, time: Option<Duration>) {
        let until = time.map(|time| Instant::now() + time);
        for key in keys {
            self.values.insert(*key, (value.clone(), until));
        }
    }

    fn append(&mut self, entry: &[u8]) {
        self.last += 1;
        self.log.push_back(entry.to_vec());
        if self.log.len() > self.log_max {
            self.log.pop_front();
        }
    }

    fn claim(&mut self, keys: &[Fingerprint], value: &Value, time: Option<Duration>, log: &[u8]) -> Claim {
        let taken = keys.iter().enumerate().find_map(|(at, key)| Some((at, self.value(*key)?.clone())));
        if let Some((at, value)) = taken {
            return Claim::Taken(at, value);
        }
        self.put(keys, value, time);
        self.append(log);
        Claim::Won(Position(self.last))
    }

    fn write(&mut self, changes: &[Write]) -> Position {
        for change in changes {
            match change {
                Write::Put(keys, value, time) => self.put(keys, value, *time),
                Write::Renew(keys, value, time) => {
                    let theirs: Vec<_> = keys.iter().copied().filter(|key| self.is_of(*key, value.owner)).collect();
                    self.put(&theirs, value, *time);
                }
                Write::Remove(keys, owner) => {
                    for key in keys {
                        if self.is_of(*key, *owner) {
                            self.values.remove(key);
                        }
                    }
                }
                Write::Log(entry) => self.append(entry),
                Write::State(name, Some(bytes)) => {
                    self.states.insert(name.clone(), bytes.clone());
                }
                Write::State(name, None) => {
                    self.states.remove(name);
                }
            }
        }
        Position(self.last)
    }

    /// `None` = nothing yet.
    fn read(&self, after: u64) -> Option<Read> {
        let first = self.last - self.log.len() as u64;
        // A position beyond the end belongs to a log that was lost.
        if after < first || after > self.last {
            return Some(Read::Gap(Position(self.last)));
        }
        let entries: Vec<_> = self.log.iter().skip((after - first) as usize).take(PIECE).cloned().collect();
        (!entries.is_empty()).then_some(Read::Entries(entries))
    }

    fn scan(&self, from: Option<Vec<u8>>) -> Scan {
        let from = from.and_then(|bytes| bytes.try_into().ok()).map_or(0, u128::from_be_bytes);
        let keys: Vec<_> = self.values.range(Fingerprint(from)..).take(PIECE + 1).map(|(key, _)| *key).collect();
        let values = keys.iter().take(PIECE).filter_map(|key| Some((*key, self.value(*key)?.clone()))).collect();
        Scan { values, next: keys.get(PIECE).map(|key| key.0.to_be_bytes().to_vec()) }
    }
}

impl Shared for Link {
    fn describe(&self) -> String {
        "a store for tests".to_owned()
    }

    fn epoch(&self) -> Job<'_, u64> {
        Box::pin(self.call(|held| held.epoch))
    }

    fn claim(&self, keys: &[Fingerprint], value: &Value, time: Option<Duration>, log: &[u8]) -> Job<'_, Claim> {
        let (keys, value, log) = (keys.to_vec(), value.clone(), log.to_vec());
        Box::pin(self.call(move |held| held.claim(&keys, &value, time, &log)))
    }

    fn get(&self, keys: &[Fingerprint]) -> Job<'_, Vec<Option<Value>>> {
        let keys = keys.to_vec();
        Box::pin(self.call(move |held| keys.iter().map(|key| held.value(*key).cloned()).collect()))
    }

    fn write(&self, changes: &[Write]) -> Job<'_, Position> {
        let changes = changes.to_vec();
        Box::pin(self.call(move |held| held.write(&changes)))
    }

    fn read(&self, after: Position, wait: Duration) -> Job<'_, Read> {
        Box::pin(async move {
            let until = Instant::now() + wait;
            loop {
                let mut changed = self.engine.changed.subscribe();
                self.arrive().await?;
                let read = self.engine.held.lock().read(after.0);
                if let Some(read) = read {
                    return if *self.condition.lock() == Condition::Deaf {
                        Err(away("the answer was lost"))
                    } else {
                        Ok(read)
                    };
                }
                if tokio::time::timeout_at(until, changed.changed()).await.is_err() {
                    return Ok(Read::Entries(Vec::new()));
                }
            }
        })
    }

    fn last(&self) -> Job<'_, Position> {
        Box::pin(self.call(|held| Position(held.last)))
    }

    fn scan(&self, from: Option<Vec<u8>>) -> Job<'_, Scan> {
        Box::pin(self.call(move |held| held.scan(from)))
    }

    fn states(&self) -> Job<'_, Vec<(String, Vec<u8>)>> {
        Box::pin(self.call(|held| held.states.clone().into_iter().collect()))
    }

    fn beat(&self, member: &str, bytes: &[u8], time: Duration) -> Job<'_, ()> {
        let (member, bytes) = (member.to_owned(), bytes.to_vec());
        Box::pin(self.call(move |held| {
            let now = Instant::now();
            held.members.insert(member, (bytes, now, now + time));
        }))
    }

    fn members(&self) -> Job<'_, Vec<Beat>> {
        Box::pin(self.call(|held| {
            let now = Instant::now();
            held.members.retain(|_, (_, _, until)| now < *until);
            let mut all: Vec<_> = held
                .members
                .iter()
                .map(|(member, (bytes, said, _))| Beat {
                    member: member.clone(),
                    bytes: bytes.clone(),
                    age: now - *said,
                })
                .collect();
            all.sort_by(|a, b| a.member.cmp(&b.member));
            all
        }))
    }
}
