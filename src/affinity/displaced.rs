//! When the node of a conversation cannot serve: it is down, in maintenance, gone, or accepted no byte.

use super::conversation::{Phase, State};
use super::counters::count;
use super::journal::What;
use super::place::{Choice, admit, can_serve, waited_for};
use super::{Affinity, Ask, Code, OnNodeDown, Refusal, SharedSessions, Visit};
use crate::upstream::{Health, Node, NodeId, Pick};

impl Visit {
    /// Finds who takes over and moves the conversation there, or refuses. `tried`: the request was offered to the node
    /// and not one byte was accepted; else the node's state alone says that it cannot serve.
    ///
    /// A reservation is placed again like new work. A conversation that exists goes to another route tag of the request
    /// (WebLogic names its secondary there), then where `on_node_down` says. It stays there when its first node returns.
    pub(super) fn displace(&mut self, state: &mut State, ask: &Ask<'_>, tried: bool) -> Result<(), Refusal> {
        let affinity = std::sync::Arc::clone(&self.affinity);
        if state.phase == Phase::Pending {
            let choice = affinity.choose(ask)?;
            count(&affinity.counters.replaced);
            affinity.set_node(state, choice.node);
            affinity.report(state, || What::Moved);
            let code = if self.code == Code::First { Code::First } else { Code::Joined };
            self.go(code, choice);
            return Ok(());
        }
        let old = state.node;
        match affinity.taken_over(old, ask, tried) {
            Ok(choice) => self.move_to(state, choice),
            Err(Refusal::SessionLost { node }) => {
                let elsewhere = ask.nodes.get(old).is_none()
                    && affinity.registry.with(old, |live| live.is_configured()) == Some(true);
                if !elsewhere && matches!(state.phase, Phase::Live) {
                    // Parallel calls are to hear the same; then the id counts as unknown, so that nobody is shut out for ever.
                    count(&affinity.counters.orphaned);
                    affinity.keep_for(state, Phase::Lost, ask.policy.tombstone, ask.now);
                }
                Err(Refusal::SessionLost { node })
            }
            Err(refusal) => Err(refusal),
        }
    }

    fn move_to(&mut self, state: &mut State, choice: Choice) -> Result<(), Refusal> {
        count(&self.affinity.counters.moved);
        self.affinity.set_node(state, choice.node);
        state.moved = true;
        self.affinity.report(state, || What::Moved);
        self.pinned = true;
        self.go(choice.by, choice);
        Ok(())
    }
}

impl Affinity {
    /// The node that a sealed cookie names: it has the session, as if a pin said so. Where it cannot serve, who takes over.
    pub(super) fn sealed(&self, old: NodeId, ask: &Ask<'_>) -> Result<Choice, Refusal> {
        if let Some(node) = ask.nodes.get(old).filter(|node| can_serve(node, ask)) {
            return admit(node, Code::Sealed, ask);
        }
        let choice = self.taken_over(old, ask, ask.tried.contains(&old))?;
        count(&self.counters.moved);
        Ok(choice)
    }

    /// Who takes over from a node that has a session and cannot serve: another route tag of the request, then whom
    /// `on_node_down` says.
    fn taken_over(&self, old: NodeId, ask: &Ask<'_>, tried: bool) -> Result<Choice, Refusal> {
        if let Some((node, _)) = self.tagged(ask, Some(old)) {
            return admit(node, Code::Secondary, ask);
        }
        match ask.policy.on_node_down {
            OnNodeDown::Failover => {
                if let Some(choice) = takes_over(old, ask)? {
                    return Ok(choice);
                }
                // Within a group nobody else has the session, and the group may never come back.
                if ask.policy.nodes_share_sessions != SharedSessions::Group {
                    return Err(Refusal::NoNode);
                }
            }
            // Whoever has left the configuration of this upstream does not return.
            OnNodeDown::Wait if ask.nodes.get(old).is_some() => return Err(Refusal::Away { node: old }),
            OnNodeDown::Fault | OnNodeDown::Wait => {}
        }
        let up = ask.nodes.get(old).is_some_and(|node| node.live.serves() && node.live.health() == Health::Up);
        if tried && up {
            return Err(Refusal::TryLater { node: old });
        }
        Err(Refusal::SessionLost { node: old })
    }
}

/// The successor, nodes of the group, any: as far as the nodes share their sessions.
fn takes_over(from: NodeId, ask: &Ask<'_>) -> Result<Option<Choice>, Refusal> {
    let old = ask.nodes.get(from);
    let group = old.and_then(|node| node.group.as_deref());
    let within =
        |node: &&Node| ask.policy.nodes_share_sessions != SharedSessions::Group || node.group.as_deref() == group;
    let successor =
        old.and_then(|node| ask.nodes.get(node.successor?)).filter(|node| node.id != from && can_serve(node, ask));
    if let Some(successor) = successor.filter(within) {
        return admit(successor, Code::Moved, ask).map(Some);
    }
    let mut exclude: smallvec::SmallVec<[_; 8]> = ask.tried.into();
    exclude.push(from);
    let pick = Pick { exclude: &exclude, random: ask.random, now_ms: ask.now.0, ..Pick::default() };
    let anywhere = ask.policy.nodes_share_sessions != SharedSessions::Group;
    let picks = [group.map(|_| Pick { group, ..pick }), anywhere.then_some(pick)];
    for &pick in picks.iter().flatten() {
        if let Some(choice) = waited_for(pick, ask, Code::Moved) {
            return Ok(Some(choice));
        }
        while let Some(node) = ask.nodes.pick(pick) {
            if let Ok(choice) = admit(node, Code::Moved, ask) {
                return Ok(Some(choice));
            }
        }
    }
    match picks.iter().flatten().find_map(|pick| ask.nodes.eligible(pick).next()) {
        // All that could take over are at their limit: it waits at one of them.
        Some(node) => Err(Refusal::Busy { node: node.id }),
        None => Ok(None),
    }
}
