//! A count with a limit, and the line of those who wait for a place under it.
//!
//! Who finds room takes it by one atomic step; the line, behind a lock, is touched only where somebody stands in it. A
//! place that becomes free is handed to the first in the line, whichever worker freed it and whichever waits, and nobody
//! who comes later overtakes. No wake-up is lost: who frees a place counts down and then looks whether anybody waits; who
//! waits says so and then looks whether there is room; in the one order that all threads see, one of the two comes second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// Who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// Requests of conversations that exist: only this node can serve them.
    Pinned,
    /// New work.
    New,
}

/// A place in a line: in order of rank, then of arrival.
pub(super) type Turn = (Rank, u64);

/// A count with a limit and a line.
#[derive(Debug, Default)]
pub(super) struct Gate {
    count: AtomicU32,
    /// How many stand in the line: who leaves need not look where nobody does.
    waiting: AtomicU32,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    next: u64,
    standing: BTreeMap<Turn, Standing>,
    of_rank: [u32; 2],
}

#[derive(Debug)]
struct Standing {
    ticket: Arc<Ticket>,
    /// Which of the ticket's gates this is.
    gate: usize,
    limit: u32,
}

impl Gate {
    /// How many are in.
    pub fn count(&self) -> u32 {
        self.count.load(Relaxed)
    }

    /// How many of this rank stand in the line.
    pub fn waiting(&self, rank: Rank) -> u32 {
        if self.is_awaited() { self.line.lock().of_rank[rank as usize] } else { 0 }
    }

    /// Whether anybody stands in the line.
    pub fn is_awaited(&self) -> bool {
        self.waiting.load(Relaxed) != 0
    }

    /// Whether one more may come in at once (0 = no limit).
    pub fn has_room(&self, limit: u32) -> bool {
        limit == 0 || self.count() < limit && !self.is_awaited()
    }

    /// Lets one in if there is room and nobody waits for it.
    pub fn try_enter(&self, limit: u32) -> bool {
        if limit == 0 {
            self.enter();
            return true;
        }
        !self.is_awaited() && self.enter_within(limit)
    }

    /// Lets one in whatever the limit.
    pub fn enter(&self) {
        self.count.fetch_add(1, SeqCst);
    }

    fn enter_within(&self, limit: u32) -> bool {
        self.count.fetch_update(SeqCst, SeqCst, |count| (limit == 0 || count < limit).then_some(count + 1)).is_ok()
    }

    /// One goes. Whoever waits first takes its place.
    pub fn leave(&self) {
        self.count.fetch_sub(1, SeqCst);
        if self.waiting.load(SeqCst) != 0 {
            self.hand_out(&mut self.line.lock());
        }
    }

    /// Stands in the line, if fewer than `most` of its rank do. There may be a place at once.
    pub fn stand(&self, ticket: &Arc<Ticket>, gate: usize, rank: Rank, limit: u32, most: u32) -> Option<Turn> {
        let mut line = self.line.lock();
        if line.of_rank[rank as usize] >= most {
            return None;
        }
        let turn = (rank, line.next);
        line.next += 1;
        line.of_rank[rank as usize] += 1;
        line.standing.insert(turn, Standing { ticket: Arc::clone(ticket), gate, limit });
        self.tell(&line);
        self.hand_out(&mut line);
        Some(turn)
    }

    /// Leaves the line, if it has not been left by being served.
    pub fn walk_away(&self, turn: Turn) {
        let mut line = self.line.lock();
        if line.standing.remove(&turn).is_some() {
            line.of_rank[turn.0 as usize] -= 1;
            self.tell(&line);
            // Who stood behind may have a larger limit.
            self.hand_out(&mut line);
        }
    }

    /// Sends everybody away to look again: what they wait for may not come any more.
    pub fn recall(&self) {
        if !self.is_awaited() {
            return;
        }
        let mut line = self.line.lock();
        for standing in std::mem::take(&mut line.standing).into_values() {
            standing.ticket.settle(Settled::LookAgain);
        }
        line.of_rank = [0; 2];
        self.tell(&line);
    }

    /// Gives free places to those who stand first.
    fn hand_out(&self, line: &mut Line) {
        while let Some(first) = line.standing.first_entry() {
            // Served at another gate, or gone: it is about to take itself out.
            if first.get().ticket.is_waiting() {
                if !self.enter_within(first.get().limit) {
                    break;
                }
                if !first.get().ticket.settle(Settled::Place(first.get().gate)) {
                    self.count.fetch_sub(1, SeqCst);
                }
            }
            let turn = *first.key();
            first.remove();
            line.of_rank[turn.0 as usize] -= 1;
        }
        self.tell(line);
    }

    fn tell(&self, line: &Line) {
        self.waiting.store(line.standing.len() as u32, SeqCst);
    }
}

/// What became of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// A place at this of the ticket's gates; it is counted in.
    Place(usize),
    /// Nothing: the world has changed.
    LookAgain,
}

/// One who waits, at one gate or at several at once.
#[derive(Debug, Default)]
pub struct Ticket(Mutex<TicketState>);

#[derive(Debug)]
enum TicketState {
    Waiting(Option<Waker>),
    Settled(Settled),
    Over,
}

impl Default for TicketState {
    fn default() -> Self {
        Self::Waiting(None)
    }
}

impl Ticket {
    fn is_waiting(&self) -> bool {
        matches!(*self.0.lock(), TicketState::Waiting(_))
    }

    /// False if it is no longer waiting.
    pub fn settle(&self, how: Settled) -> bool {
        let mut state = self.0.lock();
        let TicketState::Waiting(waker) = &mut *state else { return false };
        let waker = waker.take();
        *state = TicketState::Settled(how);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Ready once, when it is settled.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<Settled> {
        let mut state = self.0.lock();
        match &mut *state {
            TicketState::Settled(how) => {
                let how = *how;
                *state = TicketState::Over;
                Poll::Ready(how)
            }
            TicketState::Waiting(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            TicketState::Over => Poll::Ready(Settled::LookAgain),
        }
    }

    /// It waits no longer: the place that it got and nobody took.
    pub fn give_up(&self) -> Option<usize> {
        match std::mem::replace(&mut *self.0.lock(), TicketState::Over) {
            TicketState::Settled(Settled::Place(gate)) => Some(gate),
            _ => None,
        }
    }
}
