//! The roll: every conversation of the table once, by due time, and those that may be pushed out in their order.
//!
//! A slab with two intrusive lists through it. *Due times* stand in a wheel of coarse ticks and are lazy: a conversation
//! that is used stays where it is, is found when its old time comes, and goes back to its new one. So a request touches no
//! lock here, and each conversation is looked at once in its idle time. *Spare* conversations (at rest and unconfirmed, or
//! over and lingering) stand in the order in which they would go. All operations take constant time, and an end takes its
//! entry along: nothing stale stays behind.

use std::sync::Arc;

use super::sync::Mutex;
use super::{Conversation, Now};

/// Milliseconds of one tick: how late a conversation may leave memory. It counts as expired to the millisecond anyway.
const TICK: u64 = 512;
/// Ticks of the wheel, 35 minutes; later times wait at its far end and are queued again from there.
const TICKS: u64 = 4096;
/// Slots are allocated in blocks, so that growing never copies a million of them.
const BLOCK: usize = 4096;
/// No slot.
pub(super) const NONE: u32 = u32::MAX;

/// All conversations of the table.
#[derive(Debug)]
pub(super) struct Roll {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    blocks: Vec<Vec<Slot>>,
    /// First free slot; they are chained by `due.next`.
    free: u32,
    len: usize,
    wheel: Box<[u32]>,
    /// The tick to be looked at next.
    tick: u64,
    spare_first: u32,
    spare_last: u32,
    spares: usize,
}

#[derive(Debug, Clone, Copy)]
struct Links {
    before: u32,
    after: u32,
}

const UNLINKED: Links = Links { before: NONE, after: NONE };

/// 32 bytes.
#[derive(Debug)]
struct Slot {
    conversation: Option<Arc<Conversation>>,
    due: Links,
    /// The bucket of the wheel it hangs in.
    bucket: u32,
    spare: Links,
    is_spare: bool,
}

impl Roll {
    pub fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                blocks: Vec::new(),
                free: NONE,
                len: 0,
                wheel: vec![NONE; TICKS as usize].into(),
                tick: 0,
                spare_first: NONE,
                spare_last: NONE,
                spares: 0,
            }),
        }
    }

    /// Conversations, and how many of them are spare.
    pub fn len(&self) -> (usize, usize) {
        let inner = self.inner.lock();
        (inner.len, inner.spares)
    }

    /// Enters a conversation if there are fewer than `max`. Its slot is returned.
    pub fn enter(&self, conversation: &Arc<Conversation>, due: u64, now: Now, max: usize) -> Option<u32> {
        let mut inner = self.inner.lock();
        if inner.len >= max {
            return None;
        }
        if inner.len == 0 {
            inner.tick = now.0 / TICK;
        }
        let slot = inner.allocate();
        inner.fill(slot, conversation, due);
        Some(slot)
    }

    /// Makes this many slots for [`Roll::enter_at`], in whatever order they will be asked for. Of a roll that nobody is on; until
    /// [`Roll::release_rest`] they are given to nobody else.
    pub fn reserve(&self, slots: u32) {
        let mut inner = self.inner.lock();
        while inner.slots() < slots {
            inner.append();
        }
    }

    /// Reserved slots that nobody came for are free from now on.
    pub fn release_rest(&self) {
        let mut inner = self.inner.lock();
        inner.free = NONE;
        for slot in (0..inner.slots()).rev() {
            if inner.slot(slot).conversation.is_none() {
                inner.release(slot);
            }
        }
    }

    /// As [`Roll::enter`], in this slot if it is reserved, or has not been used yet and is no further than `max`; else in any.
    pub fn enter_at(&self, slot: u32, conversation: &Arc<Conversation>, due: u64, now: Now, max: usize) -> Option<u32> {
        let mut inner = self.inner.lock();
        if inner.len >= max {
            return None;
        }
        if inner.len == 0 {
            inner.tick = now.0 / TICK;
        }
        let slot = if inner.is_reserved(slot) {
            slot
        } else if slot >= inner.slots() && (slot as usize) < max {
            while inner.slots() < slot {
                let unused = inner.append();
                inner.release(unused);
            }
            inner.append()
        } else {
            inner.allocate()
        };
        inner.fill(slot, conversation, due);
        Some(slot)
    }

    /// Strikes a conversation off and gives its slot to another: whoever comes takes the place of who goes, however many
    /// there are.
    pub fn replace(&self, slot: u32, conversation: &Arc<Conversation>, due: u64) {
        let mut inner = self.inner.lock();
        inner.unhang(slot);
        inner.unspare(slot);
        let old = inner.slot(slot).conversation.replace(Arc::clone(conversation));
        inner.hang(slot, due);
        drop(inner);
        drop(old);
    }

    /// Strikes a conversation off.
    pub fn leave(&self, slot: u32) {
        let mut inner = self.inner.lock();
        inner.unhang(slot);
        inner.unspare(slot);
        let old = inner.slot(slot).conversation.take();
        inner.release(slot);
        inner.len -= 1;
        drop(inner);
        drop(old);
    }

    /// Its time is another one. Needed only where it is earlier than before, or after [`Roll::next_due`].
    pub fn requeue(&self, slot: u32, due: u64) {
        let mut inner = self.inner.lock();
        inner.unhang(slot);
        inner.hang(slot, due);
    }

    /// As [`Roll::requeue`], for a caller who does not hold the conversation's lock: nothing happens if the slot has gone
    /// to another one.
    pub fn requeue_if(&self, slot: u32, conversation: &Arc<Conversation>, due: u64) {
        let mut inner = self.inner.lock();
        let same = inner.slot(slot).conversation.as_ref().is_some_and(|own| Arc::ptr_eq(own, conversation));
        if same && inner.slot(slot).bucket == NONE {
            inner.hang(slot, due);
        }
    }

    /// A conversation whose time seems to be over; it is taken off the wheel, so the caller removes it or queues it again.
    pub fn next_due(&self, now: Now) -> Option<(u32, Arc<Conversation>)> {
        let mut inner = self.inner.lock();
        if inner.len == 0 {
            return None;
        }
        while inner.tick <= now.0 / TICK {
            let slot = inner.wheel[(inner.tick % TICKS) as usize];
            if slot != NONE {
                inner.unhang(slot);
                let conversation = inner.slot(slot).conversation.clone();
                return conversation.map(|conversation| (slot, conversation));
            }
            inner.tick += 1;
        }
        None
    }

    /// The first conversations that may be pushed out.
    pub fn spares<const N: usize>(&self) -> [Option<Arc<Conversation>>; N] {
        let mut inner = self.inner.lock();
        let mut slot = inner.spare_first;
        std::array::from_fn(|_| {
            (slot != NONE).then(|| {
                let this = inner.slot(slot);
                slot = this.spare.after;
                this.conversation.clone()
            })?
        })
    }

    /// Conversations in slots from `from` on, at most so many slots, and the slot to go on from.
    pub fn some(&self, from: u32, at_most: usize) -> (Vec<Arc<Conversation>>, Option<u32>) {
        let mut inner = self.inner.lock();
        let slots = inner.slots();
        let end = slots.min(from.saturating_add(u32::try_from(at_most).unwrap_or(u32::MAX)));
        let some = (from..end).filter_map(|slot| inner.slot(slot).conversation.clone()).collect();
        (some, (end < slots).then_some(end))
    }

    #[cfg(test)]
    pub fn all(&self) -> Vec<Arc<Conversation>> {
        self.inner.lock().blocks.iter().flatten().filter_map(|slot| slot.conversation.clone()).collect()
    }

    /// It may be pushed out: after all others, or before them.
    pub fn spare(&self, slot: u32, first: bool) {
        let mut inner = self.inner.lock();
        inner.unspare(slot);
        let (before, after) = if first { (NONE, inner.spare_first) } else { (inner.spare_last, NONE) };
        inner.slot(slot).spare = Links { before, after };
        inner.slot(slot).is_spare = true;
        inner.join_spares(before, slot);
        inner.join_spares(slot, after);
        inner.spares += 1;
    }

    /// It may no longer be pushed out.
    pub fn keep(&self, slot: u32) {
        self.inner.lock().unspare(slot);
    }
}

impl Inner {
    fn slot(&mut self, slot: u32) -> &mut Slot {
        &mut self.blocks[slot as usize / BLOCK][slot as usize % BLOCK]
    }

    fn allocate(&mut self) -> u32 {
        if self.free != NONE {
            let slot = self.free;
            self.free = self.slot(slot).due.after;
            self.slot(slot).due = UNLINKED;
            return slot;
        }
        self.append()
    }

    /// So many slots were used so far.
    fn slots(&self) -> u32 {
        self.blocks.last().map_or(0, |last| ((self.blocks.len() - 1) * BLOCK + last.len()) as u32)
    }

    /// Free slots are chained, so one that is empty and no link of the chain is reserved, as long as the chain is empty.
    fn is_reserved(&mut self, slot: u32) -> bool {
        self.free == NONE && slot < self.slots() && self.slot(slot).conversation.is_none()
    }

    fn release(&mut self, slot: u32) {
        let free = self.free;
        self.slot(slot).due.after = free;
        self.free = slot;
    }

    fn fill(&mut self, slot: u32, conversation: &Arc<Conversation>, due: u64) {
        self.len += 1;
        self.slot(slot).conversation = Some(Arc::clone(conversation));
        self.hang(slot, due);
    }

    fn append(&mut self) -> u32 {
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let block = self.blocks.len() - 1;
        let slots = &mut self.blocks[block];
        slots.push(Slot { conversation: None, due: UNLINKED, bucket: NONE, spare: UNLINKED, is_spare: false });
        (block * BLOCK + slots.len() - 1) as u32
    }

    fn hang(&mut self, slot: u32, due: u64) {
        let tick = due.div_ceil(TICK).clamp(self.tick, self.tick + TICKS - 1);
        let bucket = (tick % TICKS) as u32;
        let first = std::mem::replace(&mut self.wheel[bucket as usize], slot);
        if first != NONE {
            self.slot(first).due.before = slot;
        }
        let this = self.slot(slot);
        this.due = Links { before: NONE, after: first };
        this.bucket = bucket;
    }

    fn unhang(&mut self, slot: u32) {
        let this = self.slot(slot);
        let (bucket, Links { before, after }) = (this.bucket, this.due);
        if bucket == NONE {
            return;
        }
        this.bucket = NONE;
        this.due = UNLINKED;
        if before == NONE {
            self.wheel[bucket as usize] = after;
        } else {
            self.slot(before).due.after = after;
        }
        if after != NONE {
            self.slot(after).due.before = before;
        }
    }

    fn unspare(&mut self, slot: u32) {
        let this = self.slot(slot);
        if !std::mem::take(&mut this.is_spare) {
            return;
        }
        let Links { before, after } = std::mem::replace(&mut this.spare, UNLINKED);
        self.join_spares(before, after);
        self.spares -= 1;
    }

    /// Makes two spares neighbours; `NONE` stands for the ends.
    fn join_spares(&mut self, before: u32, after: u32) {
        if before == NONE {
            self.spare_first = after;
        } else {
            self.slot(before).spare.after = after;
        }
        if after == NONE {
            self.spare_last = before;
        } else {
            self.slot(after).spare.before = before;
        }
    }
}
