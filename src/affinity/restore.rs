//! The journal read back: conversations of another process enter this table, one by one; [`refill`](super::refill) takes those of a
//! file.
//!
//! What comes in is [`Record`]s and [`Change`]s of another table. A node is found by name. One that the configuration
//! does not name is remembered all the same (`homeless`): its conversations then meet what `on_node_down` says instead of
//! silently beginning anew elsewhere, and serve again should the node come back. What is over is left out; what finds no
//! room is too, and counted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::conversation::{Key, Phase, State};
use super::counters::count;
use super::journal::{Change, Keys, Record, Stage, What, slack, ticks};
use super::lifecycle::Leaves;
use super::{Affinity, Conversation, Now, Policy};
use crate::session::{Fingerprint, NameTag};
use crate::upstream::{Live, NodeId};

/// What came of restoring.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// Conversations that are in the table.
    pub conversations: usize,
    /// Their keys.
    pub keys: usize,
    /// Of these, conversations whose node the configuration does not name.
    pub homeless: usize,
    /// Conversations left out because their time is over, or they have no key.
    pub expired: usize,
    /// Conversations left out because the table is full.
    pub full: usize,
    /// Keys that another conversation has as well, and used later.
    pub conflicts: usize,
    /// Records that no longer stand for what is in the table under their number: conversations left out, or given another
    /// number.
    pub stale: Vec<u32>,
    /// Some have another number now.
    pub renumbered: bool,
}

/// Whose a key is, or where a conversation goes, if two tables say different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The conversation used last has it.
    Latest,
    /// The other table is right. Nothing after this position of the journal here had reached it.
    Theirs(u64),
    /// The other table is right, unless it could not know what was bound here: nothing after this position of the journal here
    /// had reached it. With [`Rule::Theirs`] on the other side both tables come to say the same.
    UnlessLater(u64),
}

impl Rule {
    /// Whether the other table's word, whose conversation was used then, counts for more than this conversation.
    fn is_theirs(self, own: &State, last_used: u64) -> bool {
        match self {
            Self::Latest => own.last_used <= last_used,
            Self::Theirs(_) => true,
            Self::UnlessLater(known) => own.position <= known,
        }
    }

    /// Whether the other table knew of this conversation when it said its word, all its keys considered.
    fn was_known(self, own: &State) -> bool {
        match self {
            Self::Latest => false,
            Self::Theirs(known) | Self::UnlessLater(known) => own.position <= known,
        }
    }
}

/// Why a conversation is left out.
pub(super) enum LeftOut {
    Expired,
    Full,
}

/// A node, and whether the configuration names it.
type Found = (NodeId, bool);

/// Nodes by name, found once.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    all: HashMap<(Arc<str>, Arc<str>), (NodeId, bool)>,
    /// Some of them by the very same names: what comes from one file or process shares them.
    recent: Vec<(Arc<str>, Arc<str>, Found)>,
}

/// More are hardly found faster one by one than by their names.
const RECENT: usize = 16;

impl Nodes {
    /// The node, and whether the configuration names it.
    pub fn find(&mut self, affinity: &Affinity, record: &Record) -> (NodeId, bool) {
        let is_it = |(group, node, _): &&(Arc<str>, Arc<str>, _)| {
            Arc::ptr_eq(node, &record.node) && Arc::ptr_eq(group, &record.group)
        };
        if let Some((_, _, found)) = self.recent.iter().find(is_it) {
            return *found;
        }
        let (group, node) = (Arc::clone(&record.group), Arc::clone(&record.node));
        let found = *self.all.entry((Arc::clone(&group), Arc::clone(&node))).or_insert_with(|| {
            let live = affinity.registry.machine(&record.group, &record.node);
            (live.id(), live.is_configured())
        });
        if self.recent.len() < RECENT {
            self.recent.push((group, node, found));
        }
        found
    }
}

impl Affinity {
    /// Enters one conversation, at rest; how many of its keys are another one's. What it `claims` it may take from another by the
    /// rule; its other keys may have been taken from it since.
    pub(super) fn adopt(
        &self,
        record: &Record,
        claims: &[Fingerprint],
        node: NodeId,
        rule: Rule,
        now: Now,
    ) -> Result<(Arc<Conversation>, usize), LeftOut> {
        let last_used = used_until(record, now);
        let due = record.due_if_used(Now(last_used));
        if due <= now.0 || record.keys.is_empty() {
            return Err(LeftOut::Expired);
        }
        let mut conflicts = 0;
        let keys: Keys = record
            .keys
            .iter()
            .copied()
            .filter(|&key| {
                let mine = self
                    .table
                    .get(key)
                    .is_none_or(|other| claims.contains(&key) && rule.is_theirs(&other.lock(), last_used));
                conflicts += usize::from(!mine);
                mine
            })
            .collect();
        if keys.is_empty() {
            return Err(LeftOut::Expired);
        }
        if !self.claim_keys(keys.len()) {
            return Err(LeftOut::Full);
        }
        let phase = match record.stage {
            Stage::Live => Phase::Live,
            Stage::Lingering => Phase::Lingering,
            Stage::Lost => Phase::Lost,
        };
        let conversation = Arc::new(Conversation::new(node, phase, &Policy::default(), now));
        let mut taken: SmallVec<[(Arc<Conversation>, Fingerprint); 2]> = SmallVec::new();
        {
            let mut state = conversation.lock();
            // As told, though it may lie ahead of this clock: whoever shares it knows the conversation by it.
            (state.created, state.last_used) = (record.created.0, last_used);
            (state.idle, state.max) = (record.idle, record.max);
            // Whatever request comes now is a later one than the first answer's.
            (state.answered, state.confirmed, state.moved) = (true, record.confirmed, record.moved);
            let max = self.max_conversations();
            let Some(slot) = self.roll.enter_at(record.id, &conversation, due, now, max) else {
                drop(state);
                self.table.release(keys.len());
                return Err(LeftOut::Full);
            };
            state.slot = slot;
            state.told = ticks(record.last_used);
            if state.is_counted() {
                self.registry.with(node, Live::add_conversation);
            }
            for key in keys {
                state.keys.push(Key::new(key, record.name_of(key), false));
                if let Some(previous) = self.table.put(key, &conversation) {
                    self.table.release(1);
                    taken.push((previous, key));
                }
            }
            self.report_heard(&mut state, || What::Bound(record.keys.clone()));
        }
        for (previous, key) in taken {
            conflicts += usize::from(self.disown_heard(&previous, key) != node);
        }
        self.counters.conflicts.fetch_add(conflicts as u64, std::sync::atomic::Ordering::Relaxed);
        Ok((conversation, conflicts))
    }

    /// Tells of a change that was heard from another table: others may have to know, but nobody here waits for that, and the
    /// other table needs not be told.
    pub(super) fn report_heard(&self, state: &mut State, what: impl FnOnce() -> What) {
        let own = state.position;
        self.report(state, what);
        state.position = own;
    }

    pub(super) fn spare_at(&self, slot: u32) {
        let (found, _) = self.roll.some(slot, 1);
        let Some(conversation) = found.first() else { return };
        let mut state = conversation.lock();
        if state.slot == slot && state.may_go() && !state.spare {
            state.spare = true;
            self.roll.spare(slot, state.phase != Phase::Live);
        }
    }
}

/// Which conversation here is which one there.
#[derive(Debug, Default)]
struct Pairs {
    /// By the number there, with the time at which it began there.
    ours: HashMap<u32, (u64, Arc<Conversation>)>,
    /// The number there, by the address of the one here, which is its own as long as it is held above.
    theirs: HashMap<usize, u32>,
}

impl Pairs {
    fn ours(&self, record: &Record) -> Option<&Arc<Conversation>> {
        self.ours.get(&record.id).filter(|(created, _)| *created == record.created.0).map(|(_, ours)| ours)
    }

    fn is_anothers(&self, ours: &Arc<Conversation>, id: u32) -> bool {
        self.theirs.get(&address(ours)).is_some_and(|number| *number != id)
    }

    fn pair(&mut self, record: &Record, ours: &Arc<Conversation>) {
        self.part(record.id);
        if let Some(before) = self.theirs.insert(address(ours), record.id) {
            self.ours.remove(&before);
        }
        self.ours.insert(record.id, (record.created.0, Arc::clone(ours)));
    }

    fn part(&mut self, id: u32) {
        if let Some((_, ours)) = self.ours.remove(&id) {
            self.theirs.remove(&address(&ours));
        }
    }
}

fn address(conversation: &Arc<Conversation>) -> usize {
    Arc::as_ptr(conversation).addr()
}

/// Follows the table of another process: applies what its journal tells, in that order.
///
/// Meanwhile this table may be in use: what both know is merged. Keys are added, never replaced as a whole; of two
/// conversations that claim one key, the one used last has it; one that is used here does not expire because it was not used
/// there.
#[derive(Debug)]
pub struct Follower {
    affinity: Arc<Affinity>,
    nodes: Nodes,
    pairs: Pairs,
    /// What is not known here begins only by being bound there.
    only_bound: bool,
    /// What came of it so far; `stale` and `renumbered` mean nothing here.
    pub sum: Restored,
}

impl Follower {
    /// Nothing heard yet.
    pub fn new(affinity: Arc<Affinity>) -> Self {
        Self { affinity, nodes: Nodes::default(), pairs: Pairs::default(), only_bound: false, sum: Restored::default() }
    }

    /// As [`Follower::new`], for one of several tables that change the same conversations: what another one has ended does not
    /// come back by the last word of one that has not heard so. Bindings are told as such, or found elsewhere.
    pub fn of_several(affinity: Arc<Affinity>) -> Self {
        Self { only_bound: true, ..Self::new(affinity) }
    }

    /// The other table has changed.
    pub fn apply(&mut self, change: &Change, now: Now) {
        self.apply_by(change, Rule::Latest, now);
    }

    /// As [`Follower::apply`], with this rule where the tables disagree.
    pub fn apply_by(&mut self, change: &Change, rule: Rule, now: Now) {
        self.affinity.tell(now);
        let Change { what, record } = change;
        let mine = self.find(what, record, rule);
        let is_gone = matches!(what, What::Gone { .. });
        if is_gone {
            self.pairs.part(record.id);
        }
        match mine {
            Some(conversation) => self.change(&conversation, what, record, rule, now),
            None if is_gone => {}
            None if self.only_bound && !matches!(what, What::Bound(_) | What::Present) => {}
            None => {
                let claims = match what {
                    What::Bound(keys) if rule != Rule::Latest => keys,
                    What::Bound(_) | What::Present | What::Moved => &record.keys,
                    _ if rule == Rule::Latest => &record.keys,
                    _ => &Keys::new(),
                };
                self.enter(record, claims, rule, now);
            }
        }
    }

    /// The conversation here that is the other table's one: the one that came by this number and began at that time, for the
    /// other table may have given the number to another one without a word if it did so because of what it heard from here.
    ///
    /// Where both processes serve, it may have begun here, or in both at once: then a key of both leads to it. But a key also
    /// leads to a conversation from which it was taken there; so one that is another one's there, or that the other table
    /// knew of when it began this one, is not it.
    fn find(&mut self, what: &What, record: &Record, rule: Rule) -> Option<Arc<Conversation>> {
        if let Some(known) = self.pairs.ours(record)
            && known.lock().phase != Phase::Gone
        {
            return Some(Arc::clone(known));
        }
        let told: &[Fingerprint] = match what {
            What::Bound(keys) | What::Unbound(keys) => keys,
            _ => &[],
        };
        let (node, _) = self.nodes.find(&self.affinity, record);
        let keys = record.keys.iter().chain(told).copied();
        let found = keys.filter_map(|key| self.affinity.table.get(key)).find(|conversation| {
            if self.pairs.is_anothers(conversation, record.id) {
                return false;
            }
            let state = conversation.lock();
            let is_possible = state.phase != Phase::Gone && (state.node == node || *what == What::Moved);
            // The first word of one that began there too is that it was bound.
            let is_twin = matches!(what, What::Bound(_) | What::Present) && !rule.was_known(&state);
            is_possible && (state.created == record.created.0 || is_twin)
        })?;
        self.pairs.pair(record, &found);
        Some(found)
    }

    fn enter(&mut self, record: &Record, claims: &[Fingerprint], rule: Rule, now: Now) {
        let (node, configured) = self.nodes.find(&self.affinity, record);
        match self.affinity.adopt(record, claims, node, rule, now) {
            Ok((conversation, conflicts)) => {
                let slot = {
                    let state = conversation.lock();
                    self.sum.keys += state.keys.len();
                    state.slot
                };
                self.sum.conversations += 1;
                self.sum.homeless += usize::from(!configured);
                self.sum.conflicts += conflicts;
                self.affinity.spare_at(slot);
                self.pairs.pair(record, &conversation);
            }
            Err(LeftOut::Expired) => self.sum.expired += 1,
            Err(LeftOut::Full) => self.sum.full += 1,
        }
    }

    fn change(&mut self, conversation: &Arc<Conversation>, what: &What, record: &Record, rule: Rule, now: Now) {
        let affinity = Arc::clone(&self.affinity);
        if let What::Bound(keys) = what {
            self.bind(conversation, keys, rule);
        } else if *what == What::Present {
            self.bind(conversation, &record.keys, rule);
        }
        let mut state = conversation.lock();
        if state.phase == Phase::Gone {
            return;
        }
        let used_here = state.in_flight > 0 || state.last_used > used_until(record, now);
        if matches!(state.phase, Phase::Live | Phase::Pending) && record.stage == Stage::Live {
            state.last_used = state.last_used.max(used_until(record, now));
            (state.idle, state.max) = (record.idle, record.max);
            affinity.roll.requeue(state.slot, state.due());
        }
        match what {
            What::Unbound(keys) => {
                for &key in keys {
                    if state.forget(key).is_some() {
                        affinity.table.remove(key, conversation);
                    }
                }
                affinity.report(&mut state, || What::Unbound(keys.clone()));
                if state.keys.is_empty() && state.in_flight == 0 {
                    affinity.retire(conversation, &mut state, Leaves::Quietly);
                }
            }
            What::Moved => {
                let (node, _) = self.nodes.find(&affinity, record);
                if node != state.node && rule.is_theirs(&state, u64::MAX) {
                    count(&affinity.counters.moved);
                    affinity.set_node(&mut state, node);
                    state.moved = record.moved;
                    affinity.report_heard(&mut state, || What::Moved);
                }
            }
            What::Confirmed if !state.confirmed => {
                state.confirmed = true;
                if state.phase == Phase::Live && std::mem::take(&mut state.spare) {
                    affinity.roll.keep(state.slot);
                }
                affinity.report(&mut state, || What::Confirmed);
            }
            What::Stage => match record.stage {
                Stage::Live => {
                    affinity.set_phase(&mut state, Phase::Live);
                    state.outlives(now, ms(record.idle));
                    affinity.report(&mut state, || What::Stage);
                }
                Stage::Lingering => affinity.keep_for(&mut state, Phase::Lingering, ms(record.idle), now),
                Stage::Lost => affinity.keep_for(&mut state, Phase::Lost, ms(record.idle), now),
            },
            What::Gone { ended } if *ended || !used_here => {
                affinity.retire(conversation, &mut state, Leaves::Quietly);
            }
            What::Used => affinity.report_use(&mut state, now),
            What::Bound(_) | What::Present | What::Confirmed | What::Gone { .. } => {}
        }
    }

    /// Binds further keys of the other table's conversation.
    fn bind(&mut self, conversation: &Arc<Conversation>, keys: &[Fingerprint], rule: Rule) {
        let affinity = Arc::clone(&self.affinity);
        let mut taken: SmallVec<[(Arc<Conversation>, Fingerprint); 2]> = SmallVec::new();
        let mut bound = Keys::new();
        let node = {
            let mut state = conversation.lock();
            if state.phase == Phase::Gone {
                return;
            }
            for &key in keys {
                // Of two conversations one is only ever tried; one that is in use at this moment is this table's.
                let is_ours =
                    |other: Arc<Conversation>| other.try_lock().is_none_or(|other| !rule.is_theirs(&other, 0));
                let may_be_ours = matches!(rule, Rule::UnlessLater(_));
                if state.has(key) || may_be_ours && affinity.table.get(key).is_some_and(is_ours) {
                    continue;
                }
                if !affinity.claim_keys(1) {
                    continue;
                }
                if let Some(previous) = affinity.table.put(key, conversation) {
                    affinity.table.release(1);
                    taken.push((previous, key));
                }
                state.keys.push(Key::new(key, NameTag::default(), false));
                bound.push(key);
            }
            self.sum.keys += bound.len();
            if !bound.is_empty() {
                affinity.report_heard(&mut state, || What::Bound(bound));
            }
            state.node
        };
        for (previous, key) in taken {
            if affinity.disown_heard(&previous, key) != node {
                self.sum.conflicts += 1;
                count(&affinity.counters.conflicts);
            }
        }
    }
}

/// When it was last used at the latest; that may be a little later than now. A clock that went back moves it to now.
fn used_until(record: &Record, now: Now) -> u64 {
    let told = record.last_used.0.min(now.0);
    match record.stage {
        Stage::Live => told.saturating_add(millis(slack(ms(record.idle)))),
        Stage::Lingering | Stage::Lost => told,
    }
}

fn ms(millis: u32) -> Duration {
    Duration::from_millis(millis.into())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
