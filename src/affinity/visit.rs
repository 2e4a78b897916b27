//! The life of one request, as the table sees it: up to the first byte. What its answer does is in `answer`.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::conversation::{Phase, State};
use super::place::{Choice, admit};
use super::{Affinity, Ask, Code, Conversation, Now, Outcome, Refusal};
use crate::session::{Fingerprint, RequestKeys, WeakKey};
use crate::upstream::{InFlight, Live, NodeId};

/// One request from its placement to the end of its answer.
///
/// While it lives its conversation is in use and its node has one request more. Dropped without [`Visit::finish`] it counts
/// as not answered, which proves nothing.
#[derive(Debug)]
#[must_use = "dropping a visit ends it"]
pub struct Visit {
    pub(super) affinity: Arc<Affinity>,
    pub(super) conversation: Option<Arc<Conversation>>,
    /// Further conversations on the same node whose keys the request carries: in use as well.
    pub(super) others: SmallVec<[Arc<Conversation>; 1]>,
    pub(super) node: NodeId,
    pub(super) admitted: Option<InFlight>,
    pub(super) code: Code,
    chosen_by: Code,
    pub(super) conflict: bool,
    /// A conversation existed when this visit last looked.
    pub(super) pinned: bool,
    /// A byte may have been written.
    committed: bool,
    pub(super) known: SmallVec<[u16; 4]>,
    pub(super) key: Option<Fingerprint>,
    /// The keys of the request that its conversation has, themselves.
    pub(super) carried: SmallVec<[Fingerprint; 2]>,
    weak: SmallVec<[WeakKey; 2]>,
    weak_for: Duration,
    /// The conversation that the request used is over.
    pub(super) over: bool,
    /// Keys that this very answer has bound.
    pub(super) learnt: SmallVec<[Fingerprint; 2]>,
}

impl Visit {
    pub(super) fn new(affinity: Arc<Affinity>, ask: &Ask<'_>) -> Self {
        Self {
            affinity,
            conversation: None,
            others: SmallVec::new(),
            node: NodeId(u32::MAX),
            admitted: None,
            code: Code::Balanced,
            chosen_by: Code::Balanced,
            conflict: false,
            pinned: false,
            committed: false,
            known: SmallVec::new(),
            key: ask.keys.pins.first().map(|pin| pin.fingerprint),
            carried: SmallVec::new(),
            weak: ask.keys.weak.clone(),
            weak_for: ask.policy.weak,
            over: false,
            learnt: SmallVec::new(),
        }
    }

    /// The request goes to that node.
    pub(super) fn go(&mut self, code: Code, choice: Choice) {
        self.code = code;
        self.chosen_by = choice.by;
        // The session is there already, whoever keeps track of it.
        self.pinned |= choice.by == Code::Sealed;
        self.node = choice.node;
        self.admitted = Some(choice.admitted);
    }

    /// The node to connect to.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Why that node.
    pub fn code(&self) -> Code {
        self.code
    }

    /// For [`Code::First`], [`Code::Joined`] and [`Code::Unpinned`]: how the node was chosen ([`Code::Route`],
    /// [`Code::Hash`], [`Code::Balanced`] ...), as far as this request did it. Else the code itself.
    pub fn chosen_by(&self) -> Code {
        self.chosen_by
    }

    /// Known keys of the request named different nodes; the first in rule order decided.
    pub fn conflict(&self) -> bool {
        self.conflict
    }

    /// The key that decided, or the first pin key: for logs.
    pub fn key(&self) -> Option<Fingerprint> {
        self.key
    }

    /// Which of the request's pins ([`RequestKeys::pins`], by index) were known, whichever conversation they name.
    pub fn known(&self) -> &[u16] {
        &self.known
    }

    /// Whether a known pin of the request belongs to this rule. For `replaced` conditions.
    pub fn knows_rule(&self, keys: &RequestKeys, rule: u16) -> bool {
        self.known.iter().any(|&index| keys.pins.get(usize::from(index)).is_some_and(|pin| pin.rule == rule))
    }

    /// Whether the answer to this request is the first since the conversation changed node. For `moved` conditions;
    /// ask before [`Visit::finish`].
    pub fn after_move(&self) -> bool {
        self.conversation.as_ref().is_some_and(|conversation| {
            let state = conversation.lock();
            state.moved && state.node == self.node
        })
    }

    /// Where in the journal the conversation's node and keys were last told, if whoever has to know of them does not yet:
    /// before the client may act on the answer, that position must be [settled](super::Journal::poll_settled).
    pub fn unsettled(&self) -> Option<u64> {
        let journal = self.affinity.journal();
        if journal.is_settled(u64::MAX) {
            return None;
        }
        let position = self.conversation.as_ref()?.lock().position;
        (!journal.is_settled(position)).then_some(position)
    }

    /// Whether a conversation exists already: then its node is offered the request `attempts` times before
    /// [`Visit::replace`]; else one failure is enough.
    pub fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// Says that the connection stands and the first byte is about to be written. Call it for every request.
    ///
    /// # Errors
    ///
    /// The conversation has another node by now: a parallel request could not reach this one. [`Visit::node`] is the new
    /// one, admitted; connect there and commit again. Nothing may be written to the old one.
    pub fn commit(&mut self, now: Now) -> Result<(), NodeId> {
        if let Some(conversation) = &self.conversation {
            let mut state = conversation.lock();
            if state.is_counted() && state.node != self.node {
                let node = state.node;
                drop(state);
                self.follow(node);
                return Err(node);
            }
            if state.phase == Phase::Pending {
                state.phase = Phase::Live;
            }
        }
        self.committed = true;
        let until = now.0.saturating_add(self.weak_for.as_millis() as u64);
        for key in &self.weak {
            // A connection's number never comes again: what outlives it is pushed out in time and misleads nobody.
            let until = if key.is_connection { u64::MAX } else { until };
            self.affinity.hints.put(key.fingerprint, self.node, until);
        }
        Ok(())
    }

    /// The request goes where its conversation has gone, whatever the limit there: it has been admitted once, and few
    /// requests follow a move.
    fn follow(&mut self, node: NodeId) {
        self.node = node;
        self.admitted = self.affinity.registry.live(node).map(|live| live.enter());
    }

    /// The machine at which the request has a place now.
    pub fn place(&self) -> Option<&Arc<Live>> {
        self.admitted.as_ref().map(InFlight::live)
    }

    /// The node has answered whole: it has one request less from now on. To be said before the client has all of it, so
    /// that its next request confirms the conversation, however early it comes.
    pub fn leave_node(&mut self) {
        self.admitted = None;
        if matches!(self.code, Code::First | Code::Joined)
            && let Some(conversation) = &self.conversation
        {
            conversation.lock().answered = true;
        }
    }

    /// The node accepted no byte of the request (`attempts` times, for a conversation that exists): another node, where
    /// that is allowed. `ask.tried` names all nodes that failed, the present one included. The same node may come back,
    /// once: a parallel request could write to it meanwhile, so the conversation exists ([`Visit::is_pinned`]) and its node
    /// is to be offered the request as often as that demands.
    ///
    /// # Errors
    ///
    /// As [`Affinity::place`].
    pub fn replace(&mut self, ask: &Ask<'_>) -> Result<NodeId, Refusal> {
        self.affinity.tell(ask.now);
        self.admitted = None;
        if let Some(conversation) = self.conversation.clone() {
            let mut state = conversation.lock();
            match state.phase {
                Phase::Lost => return Err(Refusal::SessionLost { node: state.node }),
                Phase::Gone => {}
                _ => {
                    self.replace_pinned(&mut state, ask)?;
                    return Ok(self.node);
                }
            }
        }
        let choice = match self.code {
            Code::Unpinned
                if !matches!(self.chosen_by, Code::Route | Code::LearntRoute | Code::Weak | Code::Sealed) =>
            {
                self.affinity.balance(ask, self.key.map(|key| key.0), self.chosen_by)?
            }
            _ => self.affinity.choose(ask)?,
        };
        let code = if self.code == Code::Unpinned { Code::Unpinned } else { choice.by };
        self.go(code, choice);
        Ok(self.node)
    }

    fn replace_pinned(&mut self, state: &mut State, ask: &Ask<'_>) -> Result<(), Refusal> {
        let exists = state.phase != Phase::Pending;
        if let Some(node) = ask.nodes.get(state.node).filter(|node| node.live.serves()) {
            // A parallel request has moved it already, or could write to this very node since this one found a mere
            // reservation: one failed connect must not cost an existing conversation its node.
            let moved = state.node != self.node && !ask.tried.contains(&node.id);
            if moved || (exists && !self.pinned) {
                let choice = admit(node, self.chosen_by, ask)?;
                self.pinned = exists;
                self.go(self.code, choice);
                return Ok(());
            }
        }
        self.displace(state, ask, true)
    }

    /// Ends the visit for all conversations it uses.
    pub(super) fn leave(&mut self, outcome: Outcome, now: Now) {
        let said = self.says(outcome);
        for conversation in self.conversation.take().into_iter().chain(std::mem::take(&mut self.others)) {
            self.affinity.leave(&conversation, &mut conversation.lock(), said, now);
        }
    }

    /// What the visit says at its end: where it was, and how it went if anything was sent.
    pub(super) fn says(&self, outcome: Outcome) -> (NodeId, Option<Outcome>) {
        (self.node, self.committed.then_some(outcome))
    }

    /// An answer has come: something was written, whatever the caller told.
    pub(super) fn answered(&mut self) {
        self.committed = true;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if self.conversation.is_some() || !self.others.is_empty() {
            let now = self.affinity.latest();
            self.leave(Outcome::NoAnswer, now);
        }
    }
}
