//! A node chosen ahead of the placement, for whoever has to agree on it with others first.

use std::cell::Cell;
use std::sync::Arc;

use super::conversation::{Look, NEVER};
use super::journal::{KeyNames, Keys, Record, Stage};
use super::place::Choice;
use super::{Affinity, Ask, Now, Refusal};
use crate::session::Fingerprint;
use crate::upstream::NodeId;

/// A node for new work, admitted there, and when its conversation begins. [`Affinity::place`] with it
/// ([`Ask::proposal`]) chooses that node, once; dropped, it leaves the node again.
pub struct Proposal {
    node: NodeId,
    began: Now,
    choice: Cell<Option<Choice>>,
}

impl std::fmt::Debug for Proposal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proposal").field("node", &self.node).field("began", &self.began).finish_non_exhaustive()
    }
}

impl Proposal {
    /// The node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// When the conversation begins.
    pub fn began(&self) -> Now {
        self.began
    }

    pub(super) fn take(&self) -> Option<Choice> {
        self.choice.take()
    }
}

impl Affinity {
    /// The node that a request without a known pin would get now.
    ///
    /// # Errors
    /// As [`Affinity::place`].
    pub fn propose(&self, ask: &Ask<'_>) -> Result<Proposal, Refusal> {
        let choice = self.choose(ask)?;
        Ok(Proposal { node: choice.node, began: ask.now, choice: Cell::new(Some(choice)) })
    }

    /// The conversation that such a request would begin with these keys.
    pub fn proposed(&self, proposal: &Proposal, keys: &[Fingerprint], ask: &Ask<'_>) -> Option<Record> {
        let live = self.registry.live(proposal.node)?;
        let millis = |time: std::time::Duration| u32::try_from(time.as_millis()).unwrap_or(NEVER);
        Some(Record {
            id: u32::MAX,
            group: Arc::clone(live.group()),
            node: Arc::clone(live.name()),
            keys: Keys::from_slice(keys),
            names: KeyNames::new(),
            created: proposal.began,
            last_used: proposal.began,
            idle: millis(ask.policy.idle),
            max: ask.policy.max.map_or(NEVER, millis),
            stage: Stage::Live,
            confirmed: false,
            moved: false,
        })
    }

    /// The live conversation of a key, as values.
    pub fn record(&self, key: Fingerprint, now: Now) -> Option<Record> {
        let conversation = self.table.get(key)?;
        let state = conversation.lock();
        if state.look(now) != Look::Alive {
            return None;
        }
        let live = self.registry.live(state.node)?;
        Some(Record::of(&state, live.group(), live.name()))
    }
}
