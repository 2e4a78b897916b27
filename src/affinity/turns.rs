//! Waiting: for a turn in one's conversation (`sticky.concurrency`), and what a request that has waited brings along.
//!
//! Nothing is kept for a conversation in which nobody waits: how many requests it has under way is known anyway. Who has
//! to wait stands in a line of its own, beside the table. A turn that becomes free is given to the first in the line, who
//! then asks again; until then it is kept for it, so that nobody who comes later overtakes.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use parking_lot::Mutex;

use super::conversation::{Look, State};
use super::{Affinity, Ask, Conversation};
use crate::upstream::{InFlight, NodeId, Settled, Ticket};

/// What a request that has waited brings along when it asks again.
#[derive(Debug, Default)]
pub struct Held {
    place: RefCell<Option<InFlight>>,
    turn: RefCell<Option<Turn>>,
}

impl Held {
    /// It has a node: what else it got goes to others.
    pub fn give_up(&self) {
        self.set_place(None);
        self.set_turn(None);
    }

    /// A place at a node.
    pub fn set_place(&self, place: Option<InFlight>) {
        // Dropped outside the borrow: the next in line may be woken by it.
        let before = self.place.replace(place);
        drop(before);
    }

    /// A turn in its conversation.
    pub fn set_turn(&self, turn: Option<Turn>) {
        let before = self.turn.replace(turn);
        drop(before);
    }

    /// The node at which there is a place.
    pub(super) fn node(&self) -> Option<NodeId> {
        self.place.borrow().as_ref().map(|place| place.live().id())
    }

    /// The place, if it is at this node.
    pub(super) fn take_place(&self, node: NodeId) -> Option<InFlight> {
        let fits = self.node() == Some(node);
        fits.then(|| self.place.take()).flatten()
    }
}

/// The lines of all conversations.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// How many lines there are: who leaves a conversation need not look where there is none.
    lines: AtomicUsize,
    /// By the address of the conversation, which whoever stands in the line keeps alive.
    by_conversation: Mutex<HashMap<usize, Line>>,
}

#[derive(Debug)]
struct Line {
    /// At once.
    limit: u32,
    /// Turns kept for requests that have been told and not yet asked again.
    granted: u32,
    waiting: VecDeque<Arc<Ticket>>,
}

impl Turns {
    /// Requests that wait for a turn.
    pub fn waiting(&self) -> usize {
        if self.lines.load(Relaxed) == 0 {
            return 0;
        }
        self.by_conversation.lock().values().map(|line| line.waiting.len()).sum()
    }

    /// Whether a request may begin to use the conversation, whose lock the caller holds.
    pub fn may_begin(&self, conversation: &Arc<Conversation>, state: &State, limit: u32, held: Option<&Held>) -> bool {
        if self.lines.load(Relaxed) == 0 {
            return state.in_flight < limit;
        }
        let own = held.is_some_and(|held| held.turn.borrow().as_ref().is_some_and(|turn| turn.is_in(conversation)));
        let mut lines = self.by_conversation.lock();
        let Some(line) = lines.get_mut(&address(conversation)) else { return state.in_flight < limit };
        if !own {
            return line.waiting.is_empty() && state.in_flight + line.granted < limit;
        }
        line.granted -= 1;
        self.close_if_empty(&mut lines, conversation);
        drop(lines);
        if let Some(turn) = held.and_then(|held| held.turn.take()) {
            turn.used_up();
        }
        true
    }

    /// A request has left the conversation, whose lock the caller holds.
    pub fn freed(&self, conversation: &Arc<Conversation>, state: &State) {
        if self.lines.load(Relaxed) == 0 {
            return;
        }
        let mut lines = self.by_conversation.lock();
        if let Some(line) = lines.get_mut(&address(conversation)) {
            while state.in_flight + line.granted < line.limit {
                let Some(first) = line.waiting.pop_front() else { break };
                line.granted += u32::from(first.settle(Settled::Place(0)));
            }
            self.close_if_empty(&mut lines, conversation);
        }
    }

    fn close_if_empty(&self, lines: &mut HashMap<usize, Line>, conversation: &Arc<Conversation>) {
        let address = address(conversation);
        if lines.get(&address).is_some_and(|line| line.granted == 0 && line.waiting.is_empty()) {
            lines.remove(&address);
            self.lines.fetch_sub(1, Relaxed);
        }
    }
}

fn address(conversation: &Arc<Conversation>) -> usize {
    Arc::as_ptr(conversation).addr()
}

/// A request's turn in its conversation: waited for, then kept until it asks again. Dropped, it goes to the next.
#[derive(Debug)]
pub struct Turn {
    affinity: Arc<Affinity>,
    conversation: Arc<Conversation>,
    ticket: Arc<Ticket>,
    /// It has come, and is counted as granted in the line.
    has_come: bool,
}

impl Turn {
    /// Ready when it has come.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.ticket.poll(cx).map(|_| self.has_come = true)
    }

    fn is_in(&self, conversation: &Arc<Conversation>) -> bool {
        self.has_come && Arc::ptr_eq(&self.conversation, conversation)
    }

    fn used_up(mut self) {
        self.has_come = false;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let came = self.ticket.give_up().is_some() || self.has_come;
        let turns = &self.affinity.turns;
        let mut lines = turns.by_conversation.lock();
        let Some(line) = lines.get_mut(&address(&self.conversation)) else { return };
        if came {
            line.granted -= 1;
            while let Some(next) = line.waiting.pop_front() {
                if next.settle(Settled::Place(0)) {
                    line.granted += 1;
                    break;
                }
            }
        } else {
            line.waiting.retain(|ticket| !Arc::ptr_eq(ticket, &self.ticket));
        }
        turns.close_if_empty(&mut lines, &self.conversation);
    }
}

impl Affinity {
    /// A turn in the conversation of this request, which [`Refusal::InUse`](super::Refusal::InUse) told of. It has come
    /// already where the conversation is over or free by now. `None`: `most` wait already.
    pub fn wait_for_turn(self: &Arc<Self>, ask: &Ask<'_>, most: u32) -> Option<Option<Turn>> {
        let limit = ask.policy.concurrency?;
        for pin in &ask.keys.pins {
            let Some(conversation) = self.table.get(pin.fingerprint) else { continue };
            let state = conversation.lock();
            if state.look(ask.now) != Look::Alive {
                continue;
            }
            let mut lines = self.turns.by_conversation.lock();
            let line = lines.get(&address(&conversation));
            if line.map_or(state.in_flight < limit, |line| {
                line.waiting.is_empty() && state.in_flight + line.granted < limit
            }) {
                return Some(None);
            }
            if line.map_or(0, |line| line.waiting.len()) >= most as usize {
                return None;
            }
            let ticket = Arc::<Ticket>::default();
            let line = lines.entry(address(&conversation)).or_insert_with(|| {
                self.turns.lines.fetch_add(1, Relaxed);
                Line { limit, granted: 0, waiting: VecDeque::new() }
            });
            line.limit = limit;
            line.waiting.push_back(Arc::clone(&ticket));
            drop(lines);
            drop(state);
            return Some(Some(Turn { affinity: Arc::clone(self), conversation, ticket, has_come: false }));
        }
        Some(None)
    }

    /// Requests that wait for a turn in their conversation.
    pub fn waiting_for_turns(&self) -> usize {
        self.turns.waiting()
    }
}
