//! InLine for a place at a node, or at any of several.

use std::sync::Arc;
use std::task::{Context, Poll};

use smallvec::SmallVec;

use super::gate::{Gate, Rank, Settled, Ticket, Turn};
use super::{InFlight, Live, Node, OpenConnection};

/// One request in line for a place at a node, or at any of several: the first that becomes free is its. Dropped, it
/// leaves the line, and a place that it got and did not take goes to the next.
#[derive(Debug)]
pub struct InLine {
    ticket: Arc<Ticket>,
    kind: Kind,
    places: SmallVec<[(Arc<Live>, Option<Turn>); 2]>,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Connection,
}

impl Kind {
    fn gate(self, live: &Live) -> &Gate {
        match self {
            Self::Request => &live.requests,
            Self::Connection => &live.connections,
        }
    }
}

impl InLine {
    /// In line for a request at any of these nodes. `most`: so many of its rank may wait at each. `None`: no line takes
    /// one more.
    pub fn for_request<'n>(nodes: impl IntoIterator<Item = &'n Node>, rank: Rank, most: u32) -> Option<Self> {
        let places = nodes.into_iter().map(|node| (&node.live, node.limits.requests));
        Self::stand(Kind::Request, places, rank, most)
    }

    /// In line for a connection to this machine.
    pub fn for_connection(live: &Arc<Live>, limit: u32) -> Self {
        // As many as there are requests admitted: these are bounded already.
        let waiting = Self::stand(Kind::Connection, [(live, limit)], Rank::Pinned, u32::MAX);
        waiting.unwrap_or_else(|| Self { ticket: Arc::default(), kind: Kind::Connection, places: SmallVec::new() })
    }

    fn stand<'n>(
        kind: Kind,
        places: impl IntoIterator<Item = (&'n Arc<Live>, u32)>,
        rank: Rank,
        most: u32,
    ) -> Option<Self> {
        let mut waiting = Self { ticket: Arc::default(), kind, places: SmallVec::new() };
        for (live, limit) in places {
            // The place must be known before the gate may hand it out.
            let index = waiting.places.len();
            waiting.places.push((Arc::clone(live), None));
            waiting.places[index].1 = kind.gate(live).stand(&waiting.ticket, index, rank, limit, most);
        }
        waiting.places.iter().any(|(_, turn)| turn.is_some()).then_some(waiting)
    }

    /// Tells a request to make way whose client has been waited for since `before_ms` or longer, at one of the machines
    /// waited for.
    pub fn clear_the_way(&self, before_ms: u64) {
        let mut in_line = self.places.iter().filter(|(_, turn)| turn.is_some());
        in_line.any(|(live, _)| live.clear_the_way(before_ms));
    }

    /// Ready with a place for a request, or with nothing where it is time to look again.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Option<InFlight>> {
        self.poll_live(cx).map(|live| live.map(|live| live.admitted()))
    }

    /// Ready with a place for a connection, or with nothing where it is time to look again.
    pub fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<Option<OpenConnection>> {
        self.poll_live(cx).map(|live| live.map(|live| live.opened()))
    }

    fn poll_live(&mut self, cx: &mut Context<'_>) -> Poll<Option<&Arc<Live>>> {
        self.ticket.poll(cx).map(|how| match how {
            Settled::Place(index) => self.places.get(index).map(|(live, _)| live),
            Settled::LookAgain => None,
        })
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        let unused = self.ticket.give_up();
        for (live, turn) in &self.places {
            if let Some(turn) = turn {
                self.kind.gate(live).walk_away(*turn);
            }
        }
        if let Some((live, _)) = unused.and_then(|index| self.places.get(index)) {
            self.kind.gate(live).leave();
        }
    }
}

#[cfg(test)]
#[path = "wait_tests.rs"]
mod tests;
