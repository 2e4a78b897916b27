//! A conversation: what Castile keeps about one session.
//!
//! All of it stands behind one small lock, so that a node change, an end or an expiry is one step for all its keys. The
//! lock is hardly ever contended (requests of one conversation mostly follow each other) and costs less than the cache
//! miss of touching the conversation at all; packing node and flags into one atomic word saved nothing measurable and
//! would have spread the rules over compare-and-set loops.

use std::time::Duration;

use smallvec::SmallVec;

use super::sync::{Mutex, MutexGuard};
use super::{Now, Policy};
use crate::session::{Fingerprint, NameTag};
use crate::upstream::NodeId;

/// What Castile keeps about one session: its node, its keys and its times.
#[derive(Debug)]
pub struct Conversation {
    state: Mutex<State>,
}

/// Where a conversation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Reserved by a first request of which no node has accepted a byte.
    Pending,
    /// It exists.
    Live,
    /// It has ended; its keys still lead to its node until [`State::due`].
    Lingering,
    /// Its node cannot serve; whoever asks before [`State::due`] hears so.
    Lost,
    /// It is out of the table; only requests in flight still hold it.
    Gone,
}

/// What a look at a conversation shows a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// It decides.
    Alive,
    /// It is to be told that it is lost.
    Lost,
    /// Its time is over: it must leave the table.
    Expired,
    /// It has left the table.
    Gone,
}

/// One key of a conversation. Bytes instead of a `u128` keep it at 20 bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    bytes: [u8; 16],
    pub name: NameTag,
    /// Bound by a request and not yet proved by an answer.
    pub provisional: bool,
}

impl Key {
    pub fn new(key: Fingerprint, name: NameTag, provisional: bool) -> Self {
        Self { bytes: key.0.to_ne_bytes(), name, provisional }
    }

    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(u128::from_ne_bytes(self.bytes))
    }
}

/// Times of a conversation that never come.
pub(super) const NEVER: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct State {
    pub node: NodeId,
    pub in_flight: u32,
    pub created: u64,
    /// When it was last used; of one that is over: when it ended.
    pub last_used: u64,
    /// How long it outlives that. (No field of its own for the end of lingering keeps a conversation at 128 bytes.)
    pub idle: u32,
    pub max: u32,
    /// Its place on the roll.
    pub slot: u32,
    /// When the journal last told of it, in its units; 0: never.
    pub told: u32,
    /// Where in the journal its node and keys were last told.
    pub position: u64,
    pub phase: Phase,
    /// An answer has ended, so the next request confirms.
    pub answered: bool,
    /// A later request has carried one of its keys: it is never pushed out.
    pub confirmed: bool,
    /// It stands on the list of those that may be pushed out.
    pub spare: bool,
    /// It changed node, and no answer has come since.
    pub moved: bool,
    /// Since it was last at rest: a request failed, a request was not answered.
    pub failed: bool,
    pub unanswered: bool,
    /// In the order of their last use, as far as that matters: see [`State::touch`].
    pub keys: SmallVec<[Key; 2]>,
}

impl Conversation {
    pub(super) fn new(node: NodeId, phase: Phase, policy: &Policy, now: Now) -> Self {
        let state = State {
            node,
            in_flight: 0,
            created: now.0,
            last_used: now.0,
            idle: millis(policy.idle),
            max: policy.max.map_or(NEVER, millis),
            slot: u32::MAX,
            told: 0,
            position: 0,
            phase,
            answered: false,
            confirmed: false,
            spare: false,
            moved: false,
            failed: false,
            unanswered: false,
            keys: SmallVec::new(),
        };
        Self { state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        self.state.try_lock()
    }

    /// The node it is pinned to.
    pub fn node(&self) -> NodeId {
        self.lock().node
    }

    /// Its keys.
    pub fn keys(&self) -> Vec<Fingerprint> {
        self.lock().keys.iter().map(Key::fingerprint).collect()
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u32 {
        self.lock().in_flight
    }

    /// When it began and when it was last used.
    pub fn times(&self) -> (Now, Now) {
        let state = self.lock();
        (Now(state.created), Now(state.last_used))
    }
}

impl State {
    /// What a request sees of it now.
    pub fn look(&self, now: Now) -> Look {
        match self.phase {
            Phase::Gone => Look::Gone,
            Phase::Lost if now.0 < self.due() => Look::Lost,
            Phase::Lost => Look::Expired,
            Phase::Lingering if now.0 < self.due() || self.in_flight > 0 => Look::Alive,
            Phase::Lingering => Look::Expired,
            Phase::Pending | Phase::Live if now.0 < self.due() => Look::Alive,
            Phase::Pending | Phase::Live => Look::Expired,
        }
    }

    /// When its time is over, if nothing uses it before. What is in flight is never idle, but has a last day too.
    pub fn due(&self) -> u64 {
        match self.phase {
            Phase::Lingering | Phase::Lost => after(self.last_used, self.idle),
            _ => {
                let idle = if self.in_flight > 0 { u64::MAX } else { after(self.last_used, self.idle) };
                idle.min(after(self.created, self.max))
            }
        }
    }

    /// When it is over however much it is used; `None` = never.
    pub fn last_day(&self) -> Option<u64> {
        (self.max != NEVER).then(|| after(self.created, self.max))
    }

    /// When it would be over if it were at rest from now on.
    pub fn rest_due(&self, now: Now) -> u64 {
        after(now.0, self.idle).min(after(self.created, self.max))
    }

    /// Whether it may leave the table now, all requests considered.
    pub fn is_over(&self, now: Now) -> bool {
        match self.phase {
            Phase::Gone => false,
            Phase::Lingering | Phase::Lost => self.in_flight == 0 && now.0 >= self.due(),
            Phase::Pending | Phase::Live => now.0 >= self.due(),
        }
    }

    /// Whether a full table may push it out: at rest, and either over already or never confirmed.
    pub fn may_go(&self) -> bool {
        self.in_flight == 0
            && match self.phase {
                Phase::Lingering | Phase::Lost => true,
                Phase::Pending | Phase::Live => !self.confirmed,
                Phase::Gone => false,
            }
    }

    /// A request has begun or ended using it. What is over does not live longer by being asked for.
    pub fn used(&mut self, now: Now) {
        if self.is_counted() {
            self.last_used = self.last_used.max(now.0);
        }
    }

    /// It outlives this moment by so much. What an answer told is capped by the policy's last day.
    pub fn outlives(&mut self, now: Now, time: Duration) {
        self.last_used = now.0;
        self.idle = millis(time).min(self.max);
    }

    /// Whether its node counts it.
    pub fn is_counted(&self) -> bool {
        matches!(self.phase, Phase::Pending | Phase::Live)
    }

    /// Whether it is one of its keys.
    pub fn has(&self, key: Fingerprint) -> bool {
        self.position(key).is_some()
    }

    /// Notes that a request carried this key, so that it is not the next to go when there are too many.
    pub fn touch(&mut self, key: Fingerprint) {
        // Two or three keys are never too many, and which of them is the oldest matters to nobody.
        if self.keys.len() > 3
            && let Some(index) = self.position(key)
        {
            self.keys[index..].rotate_left(1);
        }
    }

    /// Takes a key out, if it was one of its keys.
    pub fn forget(&mut self, key: Fingerprint) -> Option<Key> {
        self.position(key).map(|index| self.keys.remove(index))
    }

    fn position(&self, key: Fingerprint) -> Option<usize> {
        self.keys.iter().position(|own| own.fingerprint() == key)
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(NEVER)
}

fn after(start: u64, millis: u32) -> u64 {
    if millis == NEVER { u64::MAX } else { start.saturating_add(u64::from(millis)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_of_two_keys_is_one_allocation_of_at_most_128_bytes() {
        // With the two counts that an Arc keeps.
        assert!(size_of::<Conversation>() + 2 * size_of::<usize>() <= 128);
    }
}
