//! What the caller says and hears: requests, refusals, ends.

use std::time::Duration;

use super::{Code, Held, Policy};
use crate::session::RequestKeys;
use crate::upstream::{NodeId, NodeSet};

/// Milliseconds of a clock that all callers of one table share and that never goes back. A running gateway counts them from
/// 1970, so that they mean the same to another process.
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
    /// What it got by waiting; `None` = it never waits.
    pub held: Option<&'a Held>,
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
    /// The node of its conversation cannot serve, and `on_node_down: wait`: it may return. The pin stays.
    #[error("the node of this conversation is away")]
    Away {
        /// The node that has it.
        node: NodeId,
    },
    /// The node of its conversation is at its request limit.
    #[error("the node of this conversation is at its limit")]
    Busy {
        /// The node that has it.
        node: NodeId,
    },
    /// Its conversation has as many requests under way as may run at once.
    #[error("the conversation is in use by other requests")]
    InUse,
    /// All nodes that could take it are at their request limit.
    #[error("all nodes are at their limit")]
    AllBusy,
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
            Self::TryLater { .. } | Self::Away { .. } => Code::Later,
            Self::Busy { .. } | Self::AllBusy | Self::InUse => Code::Busy,
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
    /// Where it is lost: the client hears it from us, not by the node's answer. Then whoever brings the keys within
    /// [`Policy::tombstone`] hears it too.
    pub is_told: bool,
    /// An `end` condition held. Never fires on a Fault: the caller's conditions see to that.
    pub ended: bool,
    /// The answer told the time to live (`ttl.from`); capped by [`Policy::max`].
    pub ttl: Option<Duration>,
}

impl End {
    /// An answer that says nothing about its conversation.
    pub fn of(outcome: Outcome) -> Self {
        Self { outcome, lost: false, is_told: false, ended: false, ttl: None }
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
