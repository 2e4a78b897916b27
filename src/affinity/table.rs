//! Fingerprint → conversation: the table proper.
//!
//! Shards behind read-write locks, a fingerprint is its own hash (it is a keyed one already). An entry is 24 bytes.
//!
//! Not a cache crate: moka at its bound refuses new entries silently (TinyLFU) or evicts whom it likes (LRU), where we must
//! push out expired, then unconfirmed conversations and never others; it costs 650 bytes a conversation of two keys and
//! 0.25 to 1.6 µs a look-up (measured), and of its features nothing but the map would be used.
//!
//! There is no front cache per worker either: a hot look-up takes about 10 ns of an exchange's 160 to 200 (measured,
//! `examples/affinity_cost.rs`), and the cache misses on a cold conversation, the large part, a front could not save.
//!
//! A shard's lock is the last of any chain: roll and conversations may be locked when it is taken, never the other way.

use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;
use smallvec::SmallVec;

use super::Conversation;
use super::sync::{AtomicUsize, Ordering::Relaxed, RwLock, RwLockWriteGuard};
use crate::session::Fingerprint;

/// Enough that two of a few dozen workers seldom meet; a power of two.
const SHARDS: usize = 256;

/// Finds conversations by any of their keys.
#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[RwLock<Shard>]>,
    keys: AtomicUsize,
}

type Shard = HashTable<Entry>;

#[derive(Debug)]
struct Entry {
    high: u64,
    low: u64,
    conversation: Arc<Conversation>,
}

impl Entry {
    fn new(key: Fingerprint, conversation: &Arc<Conversation>) -> Self {
        Self { high: high(key), low: low(key), conversation: Arc::clone(conversation) }
    }

    fn is(&self, key: Fingerprint) -> bool {
        self.low == low(key) && self.high == high(key)
    }
}

fn high(key: Fingerprint) -> u64 {
    (key.0 >> 64) as u64
}

fn low(key: Fingerprint) -> u64 {
    key.0 as u64
}

fn shard(key: Fingerprint) -> usize {
    high(key) as usize % SHARDS
}

impl Table {
    pub fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect(), keys: AtomicUsize::new(0) }
    }

    /// Keys in the table, claimed ones included.
    pub fn keys(&self) -> usize {
        self.keys.load(Relaxed)
    }

    /// Allocates for so many keys at once, which saves growing step by step.
    pub fn reserve(&self, keys: usize) {
        // Keys are spread evenly, but for a few standard deviations.
        let each = keys / SHARDS;
        for shard in &self.shards {
            shard.write().reserve(each + each / 16, |entry| entry.low);
        }
    }

    /// Makes sure of room for so many keys. Whoever claims inserts them or [`Table::release`]s them.
    pub fn claim(&self, keys: usize, max: usize) -> bool {
        self.keys.fetch_update(Relaxed, Relaxed, |n| (n + keys <= max).then_some(n + keys)).is_ok()
    }

    /// Gives claimed room back.
    pub fn release(&self, keys: usize) {
        self.keys.fetch_sub(keys, Relaxed);
    }

    /// The conversation of a key.
    pub fn get(&self, key: Fingerprint) -> Option<Arc<Conversation>> {
        let shard = self.shards[shard(key)].read();
        shard.find(low(key), |entry| entry.is(key)).map(|entry| Arc::clone(&entry.conversation))
    }

    /// Binds a key, claimed before, unless it is bound: then its conversation is returned and the claim stands.
    pub fn insert(&self, key: Fingerprint, conversation: &Arc<Conversation>) -> Result<(), Arc<Conversation>> {
        let mut shard = self.shards[shard(key)].write();
        match place(&mut shard, key) {
            Place::Occupied(entry) => Err(Arc::clone(&entry.get().conversation)),
            Place::Vacant(vacant) => {
                vacant.insert(Entry::new(key, conversation));
                Ok(())
            }
        }
    }

    /// Binds all these different keys, claimed before, or, if one of them is bound, none: then the claim stands. Shards
    /// are locked in order, so that overlapping sets cannot lock each other out.
    pub fn insert_all(&self, keys: &[Fingerprint], conversation: &Arc<Conversation>) -> Result<(), ()> {
        if let [key] = keys {
            return self.insert(*key, conversation).map_err(drop);
        }
        let mut numbers: SmallVec<[usize; 8]> = keys.iter().map(|&key| shard(key)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut shards: SmallVec<[RwLockWriteGuard<'_, Shard>; 8]> =
            numbers.iter().map(|&number| self.shards[number].write()).collect();
        let of = |key| numbers.binary_search(&shard(key)).expect("its shard is among those locked");
        if keys.iter().any(|&key| shards[of(key)].find(low(key), |entry| entry.is(key)).is_some()) {
            return Err(());
        }
        for &key in keys {
            shards[of(key)].insert_unique(low(key), Entry::new(key, conversation), |entry| entry.low);
        }
        Ok(())
    }

    /// Binds a key whatever it was bound to. A key that was not bound must have been claimed; the previous conversation
    /// is returned.
    pub fn put(&self, key: Fingerprint, conversation: &Arc<Conversation>) -> Option<Arc<Conversation>> {
        let mut shard = self.shards[shard(key)].write();
        match place(&mut shard, key) {
            Place::Occupied(mut entry) => {
                Some(std::mem::replace(&mut entry.get_mut().conversation, Arc::clone(conversation)))
            }
            Place::Vacant(vacant) => {
                vacant.insert(Entry::new(key, conversation));
                None
            }
        }
    }

    /// Binds a key to an heir if it is bound to this conversation.
    pub fn pass(&self, key: Fingerprint, from: &Arc<Conversation>, heir: &Arc<Conversation>) -> bool {
        let mut shard = self.shards[shard(key)].write();
        match place(&mut shard, key) {
            Place::Occupied(mut entry) if Arc::ptr_eq(&entry.get().conversation, from) => {
                entry.get_mut().conversation = Arc::clone(heir);
                true
            }
            _ => false,
        }
    }

    /// Unbinds a key if it is bound to this conversation.
    pub fn remove(&self, key: Fingerprint, conversation: &Arc<Conversation>) -> bool {
        let mut shard = self.shards[shard(key)].write();
        let Ok(entry) =
            shard.find_entry(low(key), |entry| entry.is(key) && Arc::ptr_eq(&entry.conversation, conversation))
        else {
            return false;
        };
        let (entry, _) = entry.remove();
        drop(shard);
        self.release(1);
        drop(entry);
        true
    }
}

fn place(shard: &mut Shard, key: Fingerprint) -> Place<'_, Entry> {
    shard.entry(low(key), |entry| entry.is(key), |entry| entry.low)
}
