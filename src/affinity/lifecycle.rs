//! The whole table, and how conversations enter, change and leave it.
//!
//! Order of locks: a conversation, then roll, shard or turns. Of two conversations the second is only ever tried, never waited for.

use std::sync::Arc;
use std::time::Duration;

use super::conversation::{Key, Phase, State};
use super::counters::count;
use super::hints::Hints;
use super::journal::{Journal, Keys, What};
use super::roll::Roll;
use super::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use super::table::Table;
use super::turns::Turns;
use super::{Conversation, Counters, Gauges, Limits, Now, Outcome, WhenFull};
use crate::session::Fingerprint;
use crate::upstream::{Fate, Live, NodeId, Registry};

/// Due conversations that one newcomer looks through for a place.
const LOOKS: usize = 64;
/// Conversations that one key looks through for room.
const KEY_LOOKS: usize = 4;

/// The table of conversations: one for the process, shared by all workers, surviving reloads.
#[derive(Debug)]
pub struct Affinity {
    pub(super) registry: Arc<Registry>,
    pub(super) table: Table,
    pub(super) roll: Roll,
    pub(super) hints: Hints,
    pub(super) turns: Turns,
    pub(super) counters: Counters,
    pub(super) journal: Journal,
    /// How many other processes serve the same conversations at present.
    agreeing: AtomicUsize,
    max_conversations: AtomicUsize,
    max_keys: AtomicUsize,
    rejects_when_full: AtomicBool,
    /// The latest time that anybody passed: for visits that are dropped without one.
    latest: AtomicU64,
}

/// Why a conversation leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaves {
    /// Its time is over.
    Expired,
    /// It was pushed out.
    Evicted,
    /// Counted elsewhere.
    Quietly,
}

impl Affinity {
    /// An empty table.
    pub fn new(limits: Limits, registry: Arc<Registry>) -> Arc<Self> {
        Arc::new(Self {
            registry,
            table: Table::new(),
            roll: Roll::new(),
            hints: Hints::new(limits.max_hints),
            turns: Turns::default(),
            counters: Counters::default(),
            journal: Journal::default(),
            agreeing: AtomicUsize::new(0),
            max_conversations: AtomicUsize::new(limits.max_conversations),
            max_keys: AtomicUsize::new(limits.max_keys),
            rejects_when_full: AtomicBool::new(limits.when_full == WhenFull::Reject),
            latest: AtomicU64::new(0),
        })
    }

    /// New bounds after a reload. Nobody is evicted by it: with lower ones, newcomers must each find a place.
    pub fn set_limits(&self, limits: Limits) {
        self.max_conversations.store(limits.max_conversations, Relaxed);
        self.max_keys.store(limits.max_keys, Relaxed);
        self.hints.set_max(limits.max_hints);
        self.rejects_when_full.store(limits.when_full == WhenFull::Reject, Relaxed);
    }

    /// Another process serves the same conversations from now on (or no more): client-issued ids that nobody knows are placed
    /// by their hash meanwhile, so that both place one alike that comes to both at once.
    pub fn agree(&self, with_another: bool) {
        if with_another {
            self.agreeing.fetch_add(1, Relaxed);
        } else {
            self.agreeing.fetch_sub(1, Relaxed);
        }
    }

    /// Whether another process serves the same conversations.
    pub fn agrees(&self) -> bool {
        self.agreeing.load(Relaxed) > 0
    }

    /// Counts since the process began.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Present sizes.
    pub fn gauges(&self) -> Gauges {
        let (conversations, spare) = self.roll.len();
        Gauges { conversations, spare, keys: self.table.keys(), hints: self.hints.len() }
    }

    /// The conversation of a key, for the admin API and tests; it may be over already.
    pub fn find(&self, key: Fingerprint) -> Option<Arc<Conversation>> {
        self.table.get(key)
    }

    /// Whether a key belongs to a conversation that has not expired. Uses nothing: the conversation stays as idle as it is.
    pub fn is_known(&self, key: Fingerprint, now: Now) -> bool {
        self.table
            .get(key)
            .is_some_and(|conversation| conversation.lock().look(now) == super::conversation::Look::Alive)
    }

    /// Whether a key belongs to a conversation, be it one that is lost. Uses nothing.
    pub fn is_bound(&self, key: Fingerprint, now: Now) -> bool {
        use super::conversation::Look;
        self.table
            .get(key)
            .is_some_and(|conversation| matches!(conversation.lock().look(now), Look::Alive | Look::Lost))
    }

    /// Removes conversations whose time is over, looking at `at_most`; the control plane calls it now and then. Returns how
    /// many it looked at, so that a caller goes on at once while that is `at_most`.
    pub fn sweep(&self, now: Now, at_most: usize) -> usize {
        self.tell(now);
        (0..at_most).find(|_| self.look_at_due(now, None) == Due::None).unwrap_or(at_most)
    }

    /// Notes the time for visits that are dropped without one.
    pub(super) fn tell(&self, now: Now) {
        if self.latest.load(Relaxed) < now.0 {
            self.latest.fetch_max(now.0, Relaxed);
        }
    }

    pub(super) fn latest(&self) -> Now {
        Now(self.latest.load(Relaxed))
    }

    pub(super) fn max_conversations(&self) -> usize {
        self.max_conversations.load(Relaxed)
    }

    pub(super) fn max_keys(&self) -> usize {
        self.max_keys.load(Relaxed)
    }

    pub(super) fn rejects_when_full(&self) -> bool {
        self.rejects_when_full.load(Relaxed)
    }

    /// Whether a newcomer would find neither a free place nor one that somebody may leave.
    pub(super) fn is_full(&self, now: Now) -> bool {
        let full = || {
            let (conversations, spare) = self.roll.len();
            conversations >= self.max_conversations.load(Relaxed) && spare == 0
        };
        full() && {
            self.sweep(now, LOOKS);
            full()
        }
    }

    /// Enters a new conversation on the roll, with one request in flight. The caller has made it and keeps its lock until
    /// its keys are bound, so that nobody finds it half made. False: only live ones could make room.
    pub(super) fn begin(&self, conversation: &Arc<Conversation>, state: &mut State, now: Now) -> bool {
        // At rest it would be due then: the roll is asked again at that time anyway.
        let due = state.rest_due(now);
        let max = self.max_conversations.load(Relaxed);
        let slot = self.roll.enter(conversation, due, now, max).or_else(|| self.make_way(conversation, due, now));
        let Some(slot) = slot else { return false };
        state.slot = slot;
        state.in_flight = 1;
        self.count_at(state.node, Live::add_conversation);
        true
    }

    /// Hands the place of an expired, else of the spare conversation that is first to go, to a newcomer.
    fn make_way(&self, newcomer: &Arc<Conversation>, due: u64, now: Now) -> Option<u32> {
        for _ in 0..LOOKS {
            match self.look_at_due(now, Some((newcomer, due))) {
                Due::Handed(slot) => return Some(slot),
                Due::Looked => {}
                Due::None => break,
            }
        }
        self.evict(Some((newcomer, due)))
    }

    /// Looks at one conversation that seems due. Its place goes to the heir, or becomes free.
    fn look_at_due(&self, now: Now, heir: Option<(&Arc<Conversation>, u64)>) -> Due {
        let Some((slot, conversation)) = self.roll.next_due(now) else { return Due::None };
        let Some(mut state) = conversation.try_lock() else {
            self.roll.requeue_if(slot, &conversation, now.0 + 1);
            return Due::Looked;
        };
        if state.phase == Phase::Gone || state.slot != slot {
            return Due::Looked;
        }
        if !state.is_over(now) {
            // What is in flight cannot be over before its idle time has passed from now.
            let due = if state.in_flight > 0 { state.rest_due(now) } else { state.due() };
            self.roll.requeue(slot, due);
            return Due::Looked;
        }
        match heir {
            Some((newcomer, due)) => {
                self.strike(&conversation, &mut state, Leaves::Expired, Some((newcomer, due)));
                Due::Handed(slot)
            }
            None => {
                self.retire(&conversation, &mut state, Leaves::Expired);
                Due::Looked
            }
        }
    }

    /// Pushes out the first spare conversation. Its slot, handed to the heir if there is one.
    fn evict(&self, heir: Option<(&Arc<Conversation>, u64)>) -> Option<u32> {
        for _ in 0..LOOKS {
            let candidates = self.roll.spares::<8>();
            candidates.first()?.as_ref()?;
            for conversation in candidates.iter().flatten() {
                // One that is locked is being used at this moment.
                let Some(mut state) = conversation.try_lock() else { continue };
                if state.may_go() {
                    let slot = state.slot;
                    self.strike(conversation, &mut state, Leaves::Evicted, heir);
                    return Some(slot);
                }
            }
            if candidates.iter().flatten().count() < candidates.len() {
                return None;
            }
            super::sync::spin_loop();
        }
        None
    }

    /// Takes a conversation out of the table.
    pub(super) fn retire(&self, conversation: &Arc<Conversation>, state: &mut State, why: Leaves) {
        self.strike(conversation, state, why, None);
    }

    fn strike(
        &self,
        conversation: &Arc<Conversation>,
        state: &mut State,
        why: Leaves,
        heir: Option<(&Arc<Conversation>, u64)>,
    ) {
        // An ended one that lingered has been counted.
        match why {
            Leaves::Expired if state.phase == Phase::Live => {
                count(&self.counters.expired);
                self.count_at(state.node, |live| live.fates.count(Fate::Expired));
            }
            Leaves::Evicted if state.phase == Phase::Live => {
                count(&self.counters.evicted);
                self.count_at(state.node, |live| live.fates.count(Fate::Evicted));
            }
            _ => {}
        }
        self.report(state, || What::Gone { ended: why == Leaves::Quietly });
        self.set_phase(state, Phase::Gone);
        for key in std::mem::take(&mut state.keys) {
            self.table.remove(key.fingerprint(), conversation);
        }
        state.spare = false;
        match heir {
            Some((newcomer, due)) => self.roll.replace(state.slot, newcomer, due),
            None => self.roll.leave(state.slot),
        }
    }

    /// Changes the phase, and with it what the node counts.
    pub(super) fn set_phase(&self, state: &mut State, phase: Phase) {
        let was = state.is_counted();
        state.phase = phase;
        match (was, state.is_counted()) {
            (false, true) => self.count_at(state.node, Live::add_conversation),
            (true, false) => self.count_at(state.node, Live::remove_conversation),
            _ => {}
        }
    }

    /// The conversation is the node's from now on.
    pub(super) fn set_node(&self, state: &mut State, node: NodeId) {
        if state.is_counted() {
            self.count_at(state.node, Live::remove_conversation);
            self.count_at(node, Live::add_conversation);
        }
        if state.phase == Phase::Live && state.node != node {
            self.count_at(state.node, |live| live.fates.count(Fate::MovedAway));
            self.count_at(node, |live| live.fates.count(Fate::MovedHere));
        }
        state.node = node;
    }

    fn count_at(&self, node: NodeId, change: impl FnOnce(&Live)) {
        self.registry.with(node, change);
    }

    /// A conversation that is over stays findable for a while: one that lingers, or one that is lost.
    pub(super) fn keep_for(&self, state: &mut State, phase: Phase, time: Duration, now: Now) {
        self.set_phase(state, phase);
        state.outlives(now, time);
        self.roll.requeue(state.slot, state.due());
        self.report(state, || What::Stage);
    }

    /// A request begins to use it.
    pub(super) fn enter(&self, state: &mut State, now: Now) {
        self.enter_unproved(state, now);
        if state.answered && !state.confirmed {
            state.confirmed = true;
            self.report(state, || What::Confirmed);
        }
    }

    /// As [`Affinity::enter`], by something that is no later request.
    pub(super) fn enter_unproved(&self, state: &mut State, now: Now) {
        if std::mem::take(&mut state.spare) {
            self.roll.keep(state.slot);
        }
        state.in_flight += 1;
        state.used(now);
        self.report_use(state, now);
    }

    /// A request ends using it, at this node. `outcome` is `None` where nothing of the request was sent.
    pub(super) fn leave(
        &self,
        conversation: &Arc<Conversation>,
        state: &mut State,
        (at, outcome): (NodeId, Option<Outcome>),
        now: Now,
    ) {
        state.in_flight -= 1;
        self.turns.freed(conversation, state);
        state.used(now);
        self.report_use(state, now);
        match outcome {
            Some(Outcome::Success) => state.keys.iter_mut().for_each(|key| key.provisional = false),
            Some(Outcome::Failure) => state.failed = true,
            Some(Outcome::NoAnswer) => state.unanswered = true,
            None => {}
        }
        if matches!(outcome, Some(Outcome::Success | Outcome::Failure)) {
            state.answered = true;
            if state.moved && state.node == at {
                state.moved = false;
                self.report(state, || What::Used);
            }
        }
        if state.in_flight > 0 || state.phase == Phase::Gone {
            return;
        }
        let (failed, unanswered) = (std::mem::take(&mut state.failed), std::mem::take(&mut state.unanswered));
        if failed && !unanswered {
            self.withdraw(conversation, state);
        }
        if state.phase == Phase::Pending || state.keys.is_empty() {
            // No node has accepted a byte, or nothing leads here any more.
            self.retire(conversation, state, Leaves::Quietly);
        } else if state.may_go() {
            state.spare = true;
            self.roll.spare(state.slot, state.phase != Phase::Live);
        }
    }

    /// Drops client-issued keys that no answer has proved: all their requests failed.
    fn withdraw(&self, conversation: &Arc<Conversation>, state: &mut State) {
        let table = &self.table;
        let counters = &self.counters;
        let mut withdrawn = Keys::new();
        state.keys.retain(|key| {
            if key.provisional {
                table.remove(key.fingerprint(), conversation);
                withdrawn.push(key.fingerprint());
                count(&counters.withdrawn);
            }
            !key.provisional
        });
        if !withdrawn.is_empty() {
            self.report(state, || What::Unbound(withdrawn));
        }
    }

    /// Makes sure of room for so many keys.
    pub(super) fn claim_keys(&self, keys: usize) -> bool {
        let max = self.max_keys.load(Relaxed);
        for _ in 0..KEY_LOOKS {
            if self.table.claim(keys, max) {
                return true;
            }
            if self.look_at_due(self.latest(), None) == Due::None && self.evict(None).is_none() {
                break;
            }
        }
        let claimed = self.table.claim(keys, max);
        if !claimed {
            self.counters.refused_keys.fetch_add(keys as u64, Relaxed);
        }
        claimed
    }

    /// Adds a key that the table has bound already, and drops those unused for longest beyond `max`.
    pub(super) fn add_key(&self, conversation: &Arc<Conversation>, state: &mut State, key: Key, max: usize) {
        state.keys.push(key);
        while state.keys.len() > max.max(1) {
            let old = state.keys.remove(0);
            self.table.remove(old.fingerprint(), conversation);
            count(&self.counters.dropped_keys);
            self.report(state, || What::Unbound(Keys::from_slice(&[old.fingerprint()])));
        }
    }
}

/// What came of looking at a due conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Nothing is due.
    None,
    /// It was removed, or goes on.
    Looked,
    /// Its slot is the heir's.
    Handed(u32),
}
