//! The life of one request, as the table sees it. (Signatures first; being filled in.)

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::{Code, Counters, Gauges, Limits, Policy};
use crate::session::{Fingerprint, LearntKey, RequestKeys};
use crate::upstream::{InFlight, NodeId, NodeSet, Pick, Registry};

/// Milliseconds of a monotonic clock that all callers of one table share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Now(pub u64);

/// A request that wants a node.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// What it carries.
    pub keys: &'a RequestKeys,
    /// The nodes of its upstream.
    pub nodes: &'a NodeSet,
    /// The policies of its upstream.
    pub policy: &'a Policy,
    /// Nodes that accepted no byte of it.
    pub tried: &'a [NodeId],
    /// The present.
    pub now: Now,
    /// A random number.
    pub random: u64,
}

/// Why no node gets the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The node of its conversation cannot serve and nobody else has the session. The client must begin anew.
    #[error("the node of this conversation cannot serve")]
    SessionLost {
        /// The node that had it.
        node: NodeId,
    },
    /// The node of its conversation did not accept it although its check says up; the pin stays.
    #[error("the node of this conversation did not accept the request")]
    TryLater {
        /// The node that has it.
        node: NodeId,
    },
    /// The node of its conversation is at its request limit.
    #[error("the node of this conversation is at its limit")]
    Busy {
        /// The node that has it.
        node: NodeId,
    },
    /// No node takes new work.
    #[error("no node takes new work")]
    NoNode,
    /// It carries a key that nobody knows, and `unknown_key: reject`.
    #[error("the request carries a session id that is not known here")]
    UnknownKey,
    /// Only live conversations could make room, and `when_full: reject`.
    #[error("the table of conversations is full")]
    TableFull,
}

impl Refusal {
    /// The decision code.
    pub fn code(self) -> Code {
        match self {
            Self::SessionLost { .. } => Code::Lost,
            Self::TryLater { .. } => Code::Later,
            Self::Busy { .. } => Code::Busy,
            Self::NoNode => Code::NoNode,
            Self::UnknownKey => Code::Rejected,
            Self::TableFull => Code::Full,
        }
    }
}

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Neither a Fault nor a 5xx. An empty 202 is a success.
    Success,
    /// A Fault or a 5xx.
    Failure,
    /// No answer, or not all of it: timeout, abort, client gone. Proves nothing.
    NoAnswer,
}

/// What the end of an exchange says about its conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// How the request was answered.
    pub outcome: Outcome,
    /// A `lost` condition held. Counts only where the request carried a known key.
    pub lost: bool,
    /// An `end` condition held. Never fires on a Fault: the caller's conditions see to that.
    pub ended: bool,
    /// The answer told the time to live (`ttl.from`); capped by [`Policy::max`].
    pub ttl: Option<Duration>,
}

impl End {
    /// An answer that says nothing about its conversation.
    pub fn of(outcome: Outcome) -> Self {
        Self { outcome, lost: false, ended: false, ttl: None }
    }
}

/// What learning the keys of an answer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Learning {
    /// New keys bound.
    pub bound: u16,
    /// Keys that the conversation had already.
    pub known: u16,
    /// Keys taken from another conversation.
    pub rebound: u16,
    /// Of these, from a conversation on another node.
    pub conflicts: u16,
    /// Keys refused because the table is full.
    pub refused: u16,
    /// Hints remembered.
    pub hints: u16,
}

/// The table of conversations: one for the process, shared by all workers, surviving reloads.
#[derive(Debug)]
pub struct Affinity {
    #[expect(dead_code, reason = "being filled in")]
    registry: Arc<Registry>,
    counters: Counters,
}

impl Affinity {
    /// An empty table.
    pub fn new(_limits: Limits, registry: Arc<Registry>) -> Arc<Self> {
        Arc::new(Self { registry, counters: Counters::default() })
    }

    /// New bounds after a reload. Nobody is evicted by it.
    pub fn set_limits(&self, _limits: Limits) {}

    /// The node for a request, admitted there. Everything about the conversation that can be known before connecting
    /// has happened when this returns: first contact is reserved, the conversation is in use.
    ///
    /// # Errors
    ///
    /// See [`Refusal`]; nothing stays behind, except that a lost conversation is remembered as lost for a while.
    pub fn place(self: &Arc<Self>, ask: &Ask<'_>) -> Result<Visit, Refusal> {
        let pick = Pick { exclude: ask.tried, random: ask.random, now_ms: ask.now.0, ..Pick::default() };
        let node = ask.nodes.pick(pick).ok_or(Refusal::NoNode)?;
        let admitted = node.live.try_enter(node.limits.requests).ok_or(Refusal::NoNode)?;
        Ok(Visit { node: node.id, code: Code::Balanced, admitted, known: SmallVec::new() })
    }

    /// Removes up to `at_most` conversations that have expired; the control plane calls it now and then. Returns how
    /// many it looked at, so that a caller goes on while that is `at_most`.
    pub fn sweep(&self, _now: Now, _at_most: usize) -> usize {
        0
    }

    /// known
    pub fn is_known(&self, _key: Fingerprint, _now: Now) -> bool {
        false
    }
    /// Counts since the process began.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Present sizes.
    pub fn gauges(&self) -> Gauges {
        Gauges::default()
    }
}

/// One request from its placement to the end of its answer. While it lives its conversation is in use and its node
/// has one request more. Dropped without [`Visit::finish`] it counts as not answered, which proves nothing.
#[derive(Debug)]
#[must_use = "dropping a visit ends it"]
pub struct Visit {
    node: NodeId,
    code: Code,
    #[expect(dead_code, reason = "holds the admission")]
    admitted: InFlight,
    known: SmallVec<[u16; 4]>,
}

impl Visit {
    /// The node to connect to.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Why that node.
    pub fn code(&self) -> Code {
        self.code
    }

    /// For [`Code::First`] and [`Code::Unpinned`]: how the node was chosen ([`Code::Route`], [`Code::Hash`],
    /// [`Code::Balanced`] ...). Else the code itself.
    pub fn chosen_by(&self) -> Code {
        self.code
    }

    /// Known keys of the request named different nodes; the first in rule order decided.
    pub fn conflict(&self) -> bool {
        false
    }

    /// The key that decided, or the first pin key: for logs.
    pub fn key(&self) -> Option<Fingerprint> {
        None
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
        false
    }

    /// Says that the connection stands and the first byte is about to be written. Call it for every request.
    ///
    /// # Errors
    ///
    /// The conversation has another node by now: a parallel request could not reach this one. [`Visit::node`] is the new
    /// one, admitted; connect there and commit again. Nothing may be written to the old one.
    pub fn commit(&mut self, _now: Now) -> Result<(), NodeId> {
        Ok(())
    }

    /// The node accepted no byte of the request (`attempts` times, for a conversation that exists): another node, where
    /// that is allowed. `ask.tried` names all nodes that failed, the present one included.
    ///
    /// # Errors
    ///
    /// As [`Affinity::place`].
    pub fn replace(&mut self, ask: &Ask<'_>) -> Result<NodeId, Refusal> {
        let pick = Pick { exclude: ask.tried, random: ask.random, now_ms: ask.now.0, ..Pick::default() };
        let node = ask.nodes.pick(pick).ok_or(Refusal::NoNode)?;
        self.admitted = node.live.try_enter(node.limits.requests).ok_or(Refusal::NoNode)?;
        self.node = node.id;
        Ok(node.id)
    }

    /// Whether a key of an answer still has to be bound: false where [`Visit::learn`] would change nothing, so that a
    /// piece need not wait for anybody.
    pub fn is_new(&self, _key: &LearntKey) -> bool {
        true
    }

    /// Binds the keys of (a part of) the answer, before that part is passed on. May be called several times.
    pub fn learn(&mut self, _keys: &[LearntKey], _policy: &Policy, _now: Now) -> Learning {
        Learning::default()
    }

    /// The answer has ended, or will not come. Order within: `lost`, then `ended`; keys learnt from this very answer
    /// go on as a new conversation.
    pub fn finish(self, _end: End, _policy: &Policy, _now: Now) {}
}
