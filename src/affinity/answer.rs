//! What an answer does: teaches keys, tells a loss, ends a conversation.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use smallvec::SmallVec;

use super::conversation::{Key, Look, Phase, State};
use super::counters::count;
use super::journal::{Keys, What};
use super::lifecycle::Leaves;
use super::{Affinity, Code, Conversation, End, Learning, Now, Outcome, Policy, Visit};
use crate::session::{Fingerprint, Learnt, LearntKey};
use crate::upstream::NodeId;

impl Visit {
    /// Binds the keys of (a part of) the answer, before that part is passed on. May be called several times.
    ///
    /// Keys go to the conversation of the request; without one, to the conversation on this node that has one of them,
    /// else to a new one. The answer is the authority: a key of another conversation is taken from it.
    pub fn learn(&mut self, keys: &[LearntKey], policy: &Policy, now: Now) -> Learning {
        let mut learning = Learning::default();
        self.affinity.tell(now);
        self.answered();
        let mut pins: SmallVec<[LearntKey; 4]> = SmallVec::new();
        for key in keys {
            let until = match key.kind {
                Learnt::Pin => {
                    if !pins.iter().any(|pin| pin.fingerprint == key.fingerprint) {
                        pins.push(*key);
                    }
                    continue;
                }
                Learnt::Route => u64::MAX,
                Learnt::Weak => now.0.saturating_add(policy.weak.as_millis() as u64),
            };
            self.affinity.hints.put(key.fingerprint, self.node, until);
            learning.hints += 1;
        }
        if pins.is_empty() || !policy.pins {
            return learning;
        }
        // A conversation may end while this binds, by a parallel request: then what this answer teaches begins a new one.
        loop {
            self.leave_if_over(now);
            if self.over {
                // What the request carried has ended with it.
                pins.retain(|key| !self.carried.contains(&key.fingerprint));
            }
            if pins.is_empty() {
                break;
            }
            let Some(conversation) = self.conversation_for(&pins, policy, now) else {
                learning.refused += pins.len() as u16;
                self.affinity.counters.refused_keys.fetch_add(pins.len() as u64, Relaxed);
                if self.code != Code::Unpinned {
                    count(&self.affinity.counters.served_unpinned);
                }
                break;
            };
            if self.bind(&conversation, &pins, policy, &mut learning) {
                break;
            }
        }
        learning
    }

    /// Leaves the request's conversation if it is over: what comes now is not its own.
    fn leave_if_over(&mut self, now: Now) {
        let Some(conversation) = self.conversation.clone() else { return };
        let mut state = conversation.lock();
        if matches!(state.phase, Phase::Lingering | Phase::Lost | Phase::Gone) {
            self.affinity.leave(&conversation, &mut state, (self.node, None), now);
            self.conversation = None;
            self.over = true;
        }
    }

    /// The conversation that takes the keys of this answer, in use by this visit.
    fn conversation_for(&mut self, pins: &[LearntKey], policy: &Policy, now: Now) -> Option<Arc<Conversation>> {
        if self.conversation.is_none() {
            let affinity = Arc::clone(&self.affinity);
            let known = pins.iter().find_map(|key| affinity.enter_at(key.fingerprint, self.node, now));
            self.conversation = known.or_else(|| {
                let new = Arc::new(Conversation::new(self.node, Phase::Live, policy, now));
                let begun = affinity.begin(&new, &mut new.lock(), now);
                begun.then_some(new)
            });
        }
        self.conversation.clone()
    }

    /// Binds under the conversation's lock. False if it is over.
    fn bind(
        &mut self,
        conversation: &Arc<Conversation>,
        pins: &[LearntKey],
        policy: &Policy,
        learning: &mut Learning,
    ) -> bool {
        let affinity = Arc::clone(&self.affinity);
        let mut taken: SmallVec<[(Arc<Conversation>, Fingerprint); 2]> = SmallVec::new();
        let before = self.learnt.len();
        {
            let mut state = conversation.lock();
            match state.phase {
                // It was not said before that the node took the request, but it has answered.
                Phase::Pending => state.phase = Phase::Live,
                Phase::Live => {}
                Phase::Lingering | Phase::Lost | Phase::Gone => return false,
            }
            // Who brings one of these keys has had this answer.
            state.answered = true;
            for &LearntKey { fingerprint: key, name, .. } in pins {
                if state.has(key) {
                    learning.known += 1;
                    continue;
                }
                if !affinity.claim_keys(1) {
                    learning.refused += 1;
                    continue;
                }
                match affinity.table.put(key, conversation) {
                    None => {
                        learning.bound += 1;
                        count(&affinity.counters.learnt);
                    }
                    Some(previous) => {
                        affinity.table.release(1);
                        learning.rebound += 1;
                        count(&affinity.counters.rebound);
                        taken.push((previous, key));
                    }
                }
                self.learnt.push(key);
                affinity.add_key(conversation, &mut state, Key::new(key, name, false), policy.keys_per_conversation);
            }
            if self.learnt.len() > before && affinity.journal().is_on() {
                let kept: Keys = self.learnt[before..].iter().copied().filter(|&key| state.has(key)).collect();
                affinity.report(&mut state, || What::Bound(kept));
            }
        }
        for (previous, key) in taken {
            if affinity.disown(&previous, key) != self.node {
                learning.conflicts += 1;
                count(&affinity.counters.conflicts);
            }
        }
        true
    }

    /// The answer has ended, or will not come. Order within: `lost`, then `ended`; keys learnt from this very answer
    /// go on as a new conversation.
    pub fn finish(mut self, end: End, policy: &Policy, now: Now) {
        self.affinity.tell(now);
        if end.outcome != Outcome::NoAnswer {
            self.answered();
        }
        if let Some(conversation) = self.conversation.take() {
            let affinity = &self.affinity;
            let mut state = conversation.lock();
            if let Some(ttl) = end.ttl
                && state.phase == Phase::Live
            {
                state.outlives(now, ttl);
                affinity.roll.requeue(state.slot, state.rest_due(now));
                affinity.report(&mut state, || What::Used);
            }
            let lost = end.lost && !self.known.is_empty();
            if lost || end.ended {
                self.end(&conversation, &mut state, (lost, end.is_told), policy, now);
            } else if end.outcome == Outcome::Success
                && state.phase == Phase::Lingering
                && state.node == self.node
                && self.key.is_some_and(|key| state.has(key))
            {
                // The client uses the id anew, and the node plays along.
                affinity.set_phase(&mut state, Phase::Live);
                state.outlives(now, policy.idle);
                affinity.report(&mut state, || What::Stage);
            }
            self.affinity.leave(&conversation, &mut state, self.says(end.outcome), now);
        }
        self.leave(end.outcome, now);
    }

    /// Ends the conversation; keys that this answer taught begin a new one.
    fn end(
        &mut self,
        conversation: &Arc<Conversation>,
        state: &mut State,
        (lost, is_told): (bool, bool),
        policy: &Policy,
        now: Now,
    ) {
        if matches!(state.phase, Phase::Gone | Phase::Lost) {
            return;
        }
        let affinity = &self.affinity;
        let fresh: SmallVec<[Fingerprint; 2]> = self.learnt.iter().copied().filter(|&key| state.has(key)).collect();
        if fresh.len() == state.keys.len() {
            // Nothing was known before this answer.
            return;
        }
        if state.phase == Phase::Live || state.phase == Phase::Pending {
            count(if lost { &affinity.counters.lost } else { &affinity.counters.ended });
        }
        if !fresh.is_empty() {
            affinity.bequeath((conversation, state), &fresh, self.node, policy, now);
        }
        if lost && is_told {
            // Parallel calls are to hear the same.
            affinity.keep_for(state, Phase::Lost, policy.tombstone, now);
        } else if lost || policy.linger.is_zero() {
            affinity.retire(conversation, state, Leaves::Quietly);
        } else {
            affinity.keep_for(state, Phase::Lingering, policy.linger, now);
        }
    }
}

impl Affinity {
    /// Enters the conversation of a key if it lives on this node.
    fn enter_at(&self, key: Fingerprint, node: NodeId, now: Now) -> Option<Arc<Conversation>> {
        let conversation = self.table.get(key)?;
        let mut state = conversation.lock();
        let lives = state.node == node && state.phase == Phase::Live && state.look(now) == Look::Alive;
        if !lives {
            return None;
        }
        // An answer does not confirm: only a request that brings a key back does.
        self.enter_unproved(&mut state, now);
        drop(state);
        Some(conversation)
    }

    /// A key has been taken from this conversation. Its node is returned.
    pub(super) fn disown(&self, conversation: &Arc<Conversation>, key: Fingerprint) -> NodeId {
        let node = self.dispossess(conversation, key);
        self.with_owner(key, |owner| self.report(owner, || What::Bound(Keys::from_slice(&[key]))));
        node
    }

    /// As [`Affinity::disown`], where another table says whose the key is: nothing was bound here.
    pub(super) fn disown_heard(&self, conversation: &Arc<Conversation>, key: Fingerprint) -> NodeId {
        let node = self.dispossess(conversation, key);
        self.with_owner(key, |owner| self.report_heard(owner, || What::Bound(Keys::from_slice(&[key]))));
        node
    }

    fn dispossess(&self, conversation: &Arc<Conversation>, key: Fingerprint) -> NodeId {
        let mut state = conversation.lock();
        let had = state.forget(key).is_some();
        if state.keys.is_empty() && state.in_flight == 0 && state.phase != Phase::Gone {
            self.retire(conversation, &mut state, Leaves::Quietly);
        } else if had && state.phase != Phase::Gone {
            self.report(&mut state, || What::Unbound(Keys::from_slice(&[key])));
        }
        state.node
    }

    /// Whose a key is that changed hands is told once more: of two that bound it in the same instant, the first may have told
    /// of it last, and would be taken for its owner.
    fn with_owner(&self, key: Fingerprint, tell: impl FnOnce(&mut State)) {
        if !self.journal().is_on() {
            return;
        }
        if let Some(owner) = self.table.get(key) {
            let mut state = owner.lock();
            if state.has(key) {
                tell(&mut state);
            }
        }
    }

    /// Keys that the last answer of a conversation taught begin a new one on the node that answered.
    fn bequeath(
        &self,
        (conversation, state): (&Arc<Conversation>, &mut State),
        keys: &[Fingerprint],
        node: NodeId,
        policy: &Policy,
        now: Now,
    ) {
        let heir = Arc::new(Conversation::new(node, Phase::Live, policy, now));
        let mut new = heir.lock();
        if !self.begin(&heir, &mut new, now) {
            // No room: the keys go with the rest.
            self.counters.refused_keys.fetch_add(keys.len() as u64, Relaxed);
            return;
        }
        for &key in keys {
            let name = state.forget(key).map(|key| key.name).unwrap_or_default();
            if self.table.pass(key, conversation, &heir) {
                new.keys.push(Key::new(key, name, false));
            }
        }
        // In this order: who follows would else take the heir for the old one, which has its key and its node.
        self.report(state, || What::Unbound(keys.into()));
        self.report(&mut new, || What::Bound(keys.into()));
        self.leave(&heir, &mut new, (node, Some(Outcome::Success)), now);
    }
}
