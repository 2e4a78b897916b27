//! What operators do: look through the table, move a conversation, unbind one.
//!
//! Looking takes a few conversations at a time, each locked by itself, so that no request waits for it. What is changed is
//! one conversation with all its keys, in one step under its lock, as a request would change it.

use std::ops::ControlFlow;
use std::sync::Arc;

use smallvec::SmallVec;

use super::conversation::{Look, Phase, State};
use super::counters::count;
use super::journal::What;
use super::lifecycle::Leaves;
use super::{Affinity, Conversation, Now};
use crate::session::{Fingerprint, NameTag};
use crate::upstream::NodeId;

/// Conversations taken off the roll at a time: its lock is held for some microseconds.
const STEP: usize = 64;

/// Where a conversation stands, as operators see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Reserved: no node has accepted a byte yet.
    Reserved,
    /// It exists.
    Live,
    /// It has ended and still answers retransmissions.
    Lingering,
    /// Its node cannot serve; whoever asks hears so for a moment.
    Lost,
}

/// A conversation, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its node.
    pub node: NodeId,
    /// Where it stands.
    pub standing: Standing,
    /// When it began.
    pub created: Now,
    /// When a request last began or ended using it.
    pub last_used: Now,
    /// When it will be over if nobody uses it before; `None` = not by itself.
    pub due: Option<Now>,
    /// Requests in flight.
    pub in_flight: u32,
    /// A later request has carried one of its keys.
    pub is_confirmed: bool,
    /// Its keys.
    pub keys: SmallVec<[(Fingerprint, NameTag); 4]>,
    /// Its place on the roll: [`Affinity::look_through`] goes on after it.
    pub place: u32,
}

/// What moving or unbinding a conversation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operated {
    /// The node it had.
    pub from: NodeId,
    /// Requests in flight at that moment. They end where they are.
    pub in_flight: u32,
    /// Its keys.
    pub keys: usize,
}

impl Affinity {
    /// Shows conversations from a place on, looking at `at_most` places. Returns where to go on; `None` = that was all. One
    /// that lives through a whole walk is shown exactly once.
    pub fn look_through(
        &self,
        from: u32,
        at_most: u32,
        now: Now,
        mut each: impl FnMut(&Arc<Conversation>, Seen) -> ControlFlow<()>,
    ) -> Option<u32> {
        let mut at = from;
        let end = from.saturating_add(at_most);
        while at < end {
            let (conversations, next) = self.roll.some(at, STEP.min((end - at) as usize));
            for conversation in conversations {
                let Some(seen) = conversation.seen(now) else { continue };
                let next = seen.place + 1;
                if each(&conversation, seen).is_break() {
                    return Some(next);
                }
            }
            at = next?;
        }
        Some(at)
    }

    /// Gives a conversation with all its keys to another node, at once. Requests in flight end where they are; those that have
    /// written nothing yet follow. `None`: it is over.
    pub fn relocate(&self, conversation: &Conversation, to: NodeId, now: Now) -> Option<Operated> {
        let mut state = conversation.lock();
        if !state.is_counted() || state.look(now) != Look::Alive {
            return None;
        }
        let operated = state.operated();
        if operated.from != to {
            count(&self.counters.relocated);
            self.set_node(&mut state, to);
            state.moved = state.phase == Phase::Live;
            self.report(&mut state, || What::Moved);
        }
        Some(operated)
    }

    /// Forgets a conversation with all its keys, at once. Requests in flight end where they are; what their answers teach
    /// begins a new one. `None`: it is over.
    pub fn unbind(&self, conversation: &Arc<Conversation>) -> Option<Operated> {
        let mut state = conversation.lock();
        if state.phase == Phase::Gone {
            return None;
        }
        let operated = state.operated();
        count(&self.counters.unbound);
        self.retire(conversation, &mut state, Leaves::Quietly);
        Some(operated)
    }
}

impl Conversation {
    /// What it looks like now; `None`: it is over.
    pub fn seen(&self, now: Now) -> Option<Seen> {
        let state = self.lock();
        if matches!(state.look(now), Look::Gone | Look::Expired) {
            return None;
        }
        let standing = match state.phase {
            Phase::Pending => Standing::Reserved,
            Phase::Live => Standing::Live,
            Phase::Lingering => Standing::Lingering,
            Phase::Lost => Standing::Lost,
            Phase::Gone => return None,
        };
        let due = state.due();
        Some(Seen {
            node: state.node,
            standing,
            created: Now(state.created),
            last_used: Now(state.last_used),
            due: (due != u64::MAX).then_some(Now(due)),
            in_flight: state.in_flight,
            is_confirmed: state.confirmed,
            keys: state.keys.iter().map(|key| (key.fingerprint(), key.name)).collect(),
            place: state.slot,
        })
    }
}

impl State {
    fn operated(&self) -> Operated {
        Operated { from: self.node, in_flight: self.in_flight, keys: self.keys.len() }
    }
}
