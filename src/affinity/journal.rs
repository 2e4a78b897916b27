//! The journal: every change of the table that a file or another process has to know.
//!
//! Whoever has to know is a [`Sink`]. With none attached the journal costs a load of a flag where something changes, and a
//! request that changes nothing does not come near it. A change is told under the lock of its conversation, after it was
//! made, so the changes of one conversation come in their order; and under one lock of the journal, so all sinks see all
//! changes in one order, which [`positions`](Journal::position) count.
//!
//! A [`Change`] says two things: *what* happened, for a reader who merges it into a table of its own
//! ([`Follower`](super::Follower)), and the whole conversation as it is now ([`Record`]), for one who only keeps the latest
//! state under its number (the disk store). Both are values: keys as fingerprints, nodes by name, times as [`Now`], which
//! is wall-clock time in a running gateway. A reader to whom a number is new takes the record whole, whatever happened.
//! `id` is the conversation's place in this process's table: unique among those that live; it goes to another one only
//! after [`What::Gone`] was told.
//!
//! To take over what was there before: attach, then [`walk`](super::Affinity::walk) the table in steps; each conversation
//! is told as [`What::Present`] under its lock, so nothing is missed or told in the wrong order.
//!
//! *Used* is told coarsely (see [`slack`]), never once a request. Hints (weak keys, learnt routes) are not told: they bind
//! nothing.
//!
//! **Waiting.** Some changes must be known elsewhere before a client may act on them. A sink for which that matters says
//! how far it has come ([`Sink::settled`]) and calls [`Journal::progressed`] when it has come further; a request asks its
//! [`Visit`](super::Visit) for the position of what last bound its conversation and waits by [`Journal::poll_settled`].

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use smallvec::SmallVec;

use super::conversation::{Key, NEVER, Phase, State};
use super::sync::{AtomicBool, AtomicU64, Mutex, Ordering};
use super::{Affinity, Now};
use crate::session::{Fingerprint, NameTag};

/// Fingerprints of keys.
pub type Keys = SmallVec<[Fingerprint; 2]>;

/// Names of keys. Five take no more room than a pointer to more would.
pub type KeyNames = SmallVec<[NameTag; 5]>;

/// One conversation as values: all that another table needs to serve it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number in the table that tells of it.
    pub id: u32,
    /// The affinity group of its node.
    pub group: Arc<str>,
    /// The name of its node.
    pub node: Arc<str>,
    /// Its keys.
    pub keys: Keys,
    /// Their names, in the same order; none, if whoever tells of it does not know them.
    pub names: KeyNames,
    /// When it began.
    pub created: Now,
    /// When it was last used, give or take [`slack`]; of one that is over: when it ended.
    pub last_used: Now,
    /// How long it outlives that, in milliseconds; the greatest number is for ever.
    pub idle: u32,
    /// How long it lives at most, in milliseconds; the greatest number is for ever.
    pub max: u32,
    /// Where it stands.
    pub stage: Stage,
    /// A later request has carried one of its keys: a full table never pushes it out.
    pub confirmed: bool,
    /// It changed node, and no answer has come since.
    pub moved: bool,
}

/// Where a conversation that others know of stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It exists, or is about to.
    Live,
    /// It has ended and still serves retransmissions.
    Lingering,
    /// Its node cannot serve: whoever asks hears so.
    Lost,
}

/// What happened to a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It was there before: see [`Affinity::walk`].
    Present,
    /// These keys lead to it from now on, and to no other.
    Bound(Keys),
    /// These keys lead to it no more.
    Unbound(Keys),
    /// It is another node's.
    Moved,
    /// A full table no longer pushes it out.
    Confirmed,
    /// It was used since it was last told, or outlives that by another time.
    Used,
    /// It lingers, is lost, or lives again: [`Record::stage`].
    Stage,
    /// It has left the table; `ended`: not because its time was over or a full table pushed it out.
    Gone {
        /// It came to an end.
        ended: bool,
    },
}

impl What {
    /// Whether a client may act on it: then whoever tells the client may have to wait until it is known elsewhere.
    fn binds(&self) -> bool {
        matches!(self, Self::Bound(_) | Self::Moved)
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub what: What,
    /// The conversation after it; of one that is gone: as it was.
    pub record: Record,
}

/// Whoever has to know of changes.
pub trait Sink: Send + Sync + std::fmt::Debug {
    /// A change, at its position. Called under locks by whoever serves a request: it must only take note, soon, and call
    /// nothing of the table or the journal.
    fn tell(&self, position: u64, change: &Change);

    /// All changes up to this position are where they will not be lost. Requests wait for it, so a sink for which nobody
    /// shall wait, or which cannot keep up at present, says that all are.
    fn settled(&self) -> u64 {
        u64::MAX
    }

    /// All changes up to this position are where every *other* sink wants them: for a sink that answers for them. As with
    /// [`Sink::tell`], it must only take note.
    fn others_settled(&self, _position: u64) {}
}

/// The changes of one table, and who is told.
#[derive(Debug)]
pub struct Journal {
    on: AtomicBool,
    told: Mutex<Told>,
    settled: AtomicU64,
    waiting: Mutex<Vec<(u64, Waker)>>,
}

#[derive(Debug, Default)]
struct Told {
    position: u64,
    sinks: Vec<Arc<dyn Sink>>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            on: AtomicBool::new(false),
            told: Mutex::default(),
            settled: AtomicU64::new(u64::MAX),
            waiting: Mutex::default(),
        }
    }
}

impl Journal {
    /// Tells a sink of every change from now on.
    pub fn attach(&self, sink: Arc<dyn Sink>) {
        self.told.lock().sinks.push(sink);
        self.on.store(true, Ordering::Release);
        self.progressed();
    }

    /// Tells a sink nothing any more.
    pub fn detach(&self, sink: &Arc<dyn Sink>) {
        let mut told = self.told.lock();
        told.sinks.retain(|own| !Arc::ptr_eq(own, sink));
        self.on.store(!told.sinks.is_empty(), Ordering::Release);
        drop(told);
        self.progressed();
    }

    /// Whether anybody is told.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// How many changes were told so far.
    pub fn position(&self) -> u64 {
        self.told.lock().position
    }

    /// Whether all sinks that matter have this change.
    pub fn is_settled(&self, position: u64) -> bool {
        self.settled.load(Ordering::Acquire) >= position
    }

    /// Ready once all sinks that matter have this change.
    pub fn poll_settled(&self, cx: &Context<'_>, position: u64) -> Poll<()> {
        if self.is_settled(position) {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock();
        // Whoever makes progress takes this lock afterwards.
        if self.is_settled(position) {
            return Poll::Ready(());
        }
        match waiting.iter_mut().find(|(_, waker)| waker.will_wake(cx.waker())) {
            Some((own, _)) => *own = position,
            None => waiting.push((position, cx.waker().clone())),
        }
        Poll::Pending
    }

    /// A sink has come further: wakes who waited for it.
    pub fn progressed(&self) {
        let settled = {
            let told = self.told.lock();
            let all: SmallVec<[u64; 4]> = told.sinks.iter().map(|sink| sink.settled()).collect();
            for (index, sink) in told.sinks.iter().enumerate() {
                let others = all.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, settled)| *settled);
                sink.others_settled(others.min().unwrap_or(u64::MAX));
            }
            let settled = all.into_iter().min().unwrap_or(u64::MAX);
            self.settled.store(settled, Ordering::Release);
            settled
        };
        let ready: Vec<Waker> = {
            let mut waiting = self.waiting.lock();
            waiting.extract_if(.., |(position, _)| *position <= settled).map(|(_, waker)| waker).collect()
        };
        ready.into_iter().for_each(Waker::wake);
    }

    fn tell(&self, change: &Change) -> u64 {
        let mut told = self.told.lock();
        told.position += 1;
        for sink in &told.sinks {
            sink.tell(told.position, change);
        }
        told.position
    }

    fn tell_one(&self, sink: &dyn Sink, change: &Change) {
        let told = self.told.lock();
        sink.tell(told.position, change);
    }
}

/// By how much what others know of a conversation's last use may be behind: a sixteenth of its idle time, two seconds
/// at least and one minute at most. So a conversation in steady use is told once a minute or so, and a restart, which allows
/// for it, ends none early.
pub fn slack(idle: Duration) -> Duration {
    (idle / 16).clamp(Duration::from_secs(2), Duration::from_secs(60))
}

/// Units of 1,024 ms: what [`State::told`] counts in.
pub(super) fn ticks(now: Now) -> u32 {
    ((now.0 >> 10) as u32).max(1)
}

impl Record {
    pub(super) fn of(state: &State, group: &Arc<str>, node: &Arc<str>) -> Self {
        Self {
            id: state.slot,
            group: Arc::clone(group),
            node: Arc::clone(node),
            keys: state.keys.iter().map(Key::fingerprint).collect(),
            names: state.keys.iter().map(|key| key.name).collect(),
            created: Now(state.created),
            last_used: Now(state.last_used),
            idle: state.idle,
            max: state.max,
            stage: match state.phase {
                Phase::Lingering => Stage::Lingering,
                Phase::Lost => Stage::Lost,
                Phase::Pending | Phase::Live | Phase::Gone => Stage::Live,
            },
            confirmed: state.confirmed,
            moved: state.moved,
        }
    }

    /// Whether the names of its keys are known.
    pub fn has_names(&self) -> bool {
        !self.keys.is_empty() && self.names.len() == self.keys.len()
    }

    /// The name of a key of it; the default one, if that is not known.
    pub fn name_of(&self, key: Fingerprint) -> NameTag {
        let place = self.keys.iter().position(|&known| known == key).filter(|_| self.has_names());
        place.map_or_else(NameTag::default, |place| self.names[place])
    }

    /// When its time is over; `u64::MAX`: never.
    pub fn due(&self) -> u64 {
        self.due_if_used(self.last_used)
    }

    /// When its time would be over had it last been used then.
    pub fn due_if_used(&self, last: Now) -> u64 {
        let after = |start: u64, time: u32| if time == NEVER { u64::MAX } else { start.saturating_add(time.into()) };
        let idle = after(last.0, self.idle);
        match self.stage {
            Stage::Live => idle.min(after(self.created.0, self.max)),
            Stage::Lingering | Stage::Lost => idle,
        }
    }
}

impl Affinity {
    /// Who is told of changes.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Tells a sink of the conversations with numbers from `from` on, `at_most` of them, as [`What::Present`], each under its
    /// lock. The number to go on from, or `None` once all were told. Requests wait for a step at most as long as it takes to
    /// copy so many references.
    pub fn walk(&self, from: u32, at_most: usize, sink: &dyn Sink) -> Option<u32> {
        let (conversations, next) = self.roll.some(from, at_most);
        for conversation in conversations {
            let mut state = conversation.lock();
            if state.phase != Phase::Gone
                && !state.keys.is_empty()
                && let Some(live) = self.registry.live(state.node)
            {
                let record = Record::of(&state, live.group(), live.full_name());
                state.told = ticks(record.last_used);
                self.journal.tell_one(sink, &Change { what: What::Present, record });
            }
        }
        next
    }

    /// Tells of the conversations in use with numbers from `from` on, `at_most` of them, that they are in use: what is in
    /// flight for longer than its idle time is idle for nobody. The number to go on from, or `None` at the end.
    pub fn tell_use(&self, from: u32, at_most: usize, now: Now) -> Option<u32> {
        let (conversations, next) = self.roll.some(from, at_most);
        for conversation in conversations {
            let mut state = conversation.lock();
            if state.in_flight > 0 && state.phase == Phase::Live {
                state.used(now);
                self.report_use(&mut state, now);
            }
        }
        next
    }

    /// Tells of a change that was just made to this conversation, if anybody listens.
    pub(super) fn report(&self, state: &mut State, what: impl FnOnce() -> What) {
        if self.journal.is_on() {
            self.tell_change(state, what());
        }
    }

    /// Tells that a conversation is in use, if that was last told long enough ago.
    pub(super) fn report_use(&self, state: &mut State, now: Now) {
        if state.told != 0 && state.phase == Phase::Live && self.journal.is_on() {
            // Whole units of it: what is in the same unit was told.
            let slack = slack(Duration::from_millis(state.idle.into())).as_millis() >> 10;
            if u128::from(ticks(now).saturating_sub(state.told)) >= slack {
                self.tell_change(state, What::Used);
            }
        }
    }

    #[cold]
    fn tell_change(&self, state: &mut State, what: What) {
        // That it is gone was the last word; and what nobody could find was never told.
        if state.phase == Phase::Gone {
            return;
        }
        if state.told == 0 && (state.keys.is_empty() || matches!(what, What::Gone { .. })) {
            return;
        }
        let Some(live) = self.registry.live(state.node) else { return };
        let binds = what.binds();
        let record = Record::of(state, live.group(), live.full_name());
        state.told = ticks(record.last_used);
        let position = self.journal.tell(&Change { what, record });
        if binds {
            state.position = position;
        }
    }
}
