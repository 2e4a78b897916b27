//! Hints: weak keys and learnt routes. They help to place and bind nothing.
//!
//! Bounded, least recently used first out, apart from the pins, so that whoever floods it costs others a guess at most.

use hashbrown::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::Now;
use super::sync::{AtomicUsize, Mutex, Ordering::Relaxed};
use crate::session::Fingerprint;
use crate::upstream::NodeId;

const NONE: u32 = u32::MAX;
/// Shards of a large table; a small one is exact in one.
const SHARDS: usize = 16;

/// Key → the node last seen with it.
#[derive(Debug)]
pub(super) struct Hints {
    shards: Box<[Mutex<Lru>]>,
    max: AtomicUsize,
}

impl Hints {
    pub fn new(max: usize) -> Self {
        let shards = if max >= 64 * SHARDS { SHARDS } else { 1 };
        Self { shards: (0..shards).map(|_| Mutex::default()).collect(), max: AtomicUsize::new(max) }
    }

    pub fn set_max(&self, max: usize) {
        self.max.store(max, Relaxed);
    }

    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().index.len()).sum()
    }

    /// Remembers a node until then; the newest wins.
    pub fn put(&self, key: Fingerprint, node: NodeId, until: u64) {
        let max = self.max.load(Relaxed).div_ceil(self.shards.len());
        self.shard(key).lock().put(key, node, until, max);
    }

    /// The node remembered.
    pub fn get(&self, key: Fingerprint, now: Now) -> Option<NodeId> {
        self.shard(key).lock().get(key, now)
    }

    fn shard(&self, key: Fingerprint) -> &Mutex<Lru> {
        &self.shards[(key.0 >> 64) as usize % self.shards.len()]
    }
}

/// A fingerprint is a keyed hash already.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = self.0.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

/// Slots chained from the most to the least recently used.
#[derive(Debug)]
struct Lru {
    index: HashMap<Fingerprint, u32, BuildHasherDefault<AsIs>>,
    slots: Vec<Slot>,
    first: u32,
    last: u32,
}

#[derive(Debug)]
struct Slot {
    key: Fingerprint,
    until: u64,
    node: NodeId,
    before: u32,
    after: u32,
}

impl Default for Lru {
    fn default() -> Self {
        Self { index: HashMap::default(), slots: Vec::new(), first: NONE, last: NONE }
    }
}

impl Lru {
    fn get(&mut self, key: Fingerprint, now: Now) -> Option<NodeId> {
        let slot = *self.index.get(&key)?;
        if now.0 >= self.slots[slot as usize].until {
            // It goes when its turn comes; nobody can find it any more.
            return None;
        }
        self.unlink(slot);
        self.link_first(slot);
        Some(self.slots[slot as usize].node)
    }

    fn put(&mut self, key: Fingerprint, node: NodeId, until: u64, max: usize) {
        if max == 0 {
            return;
        }
        let slot = if let Some(&slot) = self.index.get(&key) {
            self.unlink(slot);
            slot
        } else if self.slots.len() < max {
            self.slots.push(Slot { key, until, node, before: NONE, after: NONE });
            self.slots.len() as u32 - 1
        } else {
            let slot = self.last;
            self.unlink(slot);
            self.index.remove(&self.slots[slot as usize].key);
            slot
        };
        self.index.insert(key, slot);
        let this = &mut self.slots[slot as usize];
        (this.key, this.node, this.until) = (key, node, until);
        self.link_first(slot);
    }

    fn link_first(&mut self, slot: u32) {
        let first = std::mem::replace(&mut self.first, slot);
        let this = &mut self.slots[slot as usize];
        (this.before, this.after) = (NONE, first);
        match first {
            NONE => self.last = slot,
            first => self.slots[first as usize].before = slot,
        }
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { before, after, .. } = self.slots[slot as usize];
        match before {
            NONE => self.first = after,
            before => self.slots[before as usize].after = after,
        }
        match after {
            NONE => self.last = before,
            after => self.slots[after as usize].before = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(max: usize, puts: &[(u128, u32)], gets: &[(u128, Option<u32>)]) {
        let hints = Hints::new(max);
        for &(key, node) in puts {
            hints.put(Fingerprint(key), NodeId(node), 1000);
        }
        for &(key, node) in gets {
            assert_eq!(hints.get(Fingerprint(key), Now(999)), node.map(NodeId), "key {key}");
            assert_eq!(hints.get(Fingerprint(key), Now(1000)), None, "key {key} is too old");
        }
        assert!(hints.len() <= max);
    }

    #[test]
    fn the_newest_hint_wins_and_the_least_recently_used_goes() {
        check(2, &[(1, 1), (2, 2)], &[(1, Some(1)), (2, Some(2)), (3, None)]);
        check(2, &[(1, 1), (1, 2)], &[(1, Some(2))]);
        check(2, &[(1, 1), (2, 2), (3, 3)], &[(1, None), (2, Some(2)), (3, Some(3))]);
        check(2, &[(1, 1), (2, 2), (1, 1), (3, 3)], &[(1, Some(1)), (2, None), (3, Some(3))]);
        check(1, &[(1, 1), (2, 2), (3, 3)], &[(3, Some(3))]);
        check(0, &[(1, 1)], &[(1, None)]);
    }
}
