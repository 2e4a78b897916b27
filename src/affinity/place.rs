//! Placement: which node serves a request.
//!
//! Known pins in rule order; the sealed cookie; route tags; weak keys where they may stand in; hash keys; the balancer. What the request
//! carries of unknown client-issued keys is then bound, all or none, to the node found.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use smallvec::SmallVec;

use super::conversation::{Key, Look, Phase, State};
use super::counters::count;
use super::journal::{Keys, What};
use super::lifecycle::Leaves;
use super::{Affinity, Ask, Code, Conversation, Proposal, Refusal, UnknownKey, Visit};
use crate::session::{Fingerprint, NameTag, PinKey};
use crate::upstream::{InFlight, Node, NodeId, Pick};

/// A node found for new work, and how.
#[derive(Debug)]
pub(super) struct Choice {
    pub node: NodeId,
    pub admitted: InFlight,
    pub by: Code,
}

/// Another request was faster: look again.
pub(super) struct Again;

impl Affinity {
    /// The node for a request, admitted there. Everything about the conversation that can be known before connecting
    /// has happened when this returns: first contact is reserved, the conversation is in use.
    ///
    /// # Errors
    ///
    /// See [`Refusal`]; nothing stays behind, except that a lost conversation is remembered as lost for a while.
    pub fn place(self: &Arc<Self>, ask: &Ask<'_>) -> Result<Visit, Refusal> {
        self.tell(ask.now);
        loop {
            // Each round somebody else has made progress: bound one of the keys, or ended the conversation found.
            match self.attempt(ask) {
                Ok(Ok(visit)) => return Ok(visit),
                Ok(Err(Again)) => {}
                Err(refusal) => {
                    match refusal {
                        Refusal::UnknownKey => count(&self.counters.refused_unknown),
                        Refusal::TableFull => count(&self.counters.refused_full),
                        _ => {}
                    }
                    return Err(refusal);
                }
            }
        }
    }

    fn attempt(self: &Arc<Self>, ask: &Ask<'_>) -> Result<Result<Visit, Again>, Refusal> {
        let mut visit = Visit::new(Arc::clone(self), ask);
        let lost = visit.match_pins(self, ask)?;
        if visit.conversation.is_some() {
            let joined = visit.join_keys(ask);
            if joined.is_ok() {
                count(&self.counters.matched);
            }
            return Ok(joined.map(|()| visit));
        }
        if let Some(node) = lost {
            return Err(Refusal::SessionLost { node });
        }
        let issued = client_issued(&ask.keys.pins);
        if ask.policy.pins && issued.is_empty() && self.rejects_when_full() && self.is_full(ask.now) {
            return Err(Refusal::TableFull);
        }
        let choice = self.choose(ask)?;
        if issued.is_empty() || !ask.policy.pins {
            if !ask.keys.pins.is_empty() {
                count(&self.counters.unknown);
            }
            visit.go(choice.by, choice);
            return Ok(Ok(visit));
        }
        self.first_contact(visit, choice, &issued, ask)
    }

    /// Reserves client-issued keys that nobody knows for the node chosen.
    fn first_contact(
        &self,
        mut visit: Visit,
        choice: Choice,
        issued: &[Fingerprint],
        ask: &Ask<'_>,
    ) -> Result<Result<Visit, Again>, Refusal> {
        let conversation = Arc::new(Conversation::new(choice.node, Phase::Pending, ask.policy, ask.now));
        {
            let mut state = conversation.lock();
            if let Some(proposal) = ask.proposal {
                // As others have been told.
                state.created = proposal.began().0;
            }
            if !self.claim_keys(issued.len()) {
                return self.unpinned(visit, choice, issued, ask).map(Ok);
            }
            if !self.begin(&conversation, &mut state, ask.now) {
                self.table.release(issued.len());
                return self.unpinned(visit, choice, issued, ask).map(Ok);
            }
            if self.table.insert_all(issued, &conversation).is_err() {
                self.table.release(issued.len());
                self.retire(&conversation, &mut state, Leaves::Quietly);
                return Ok(Err(Again));
            }
            state.keys.extend(issued.iter().map(|&key| Key::new(key, name_of(key, &ask.keys.pins), true)));
            self.report(&mut state, || What::Bound(issued.into()));
        }
        self.counters.reserved.fetch_add(issued.len() as u64, Relaxed);
        visit.conversation = Some(conversation);
        visit.carried.extend_from_slice(issued);
        visit.go(Code::First, choice);
        Ok(Ok(visit))
    }

    /// A first request that finds no room. Client-issued keys are placed by their hash, so that parallel ones agree.
    fn unpinned(
        &self,
        mut visit: Visit,
        choice: Choice,
        issued: &[Fingerprint],
        ask: &Ask<'_>,
    ) -> Result<Visit, Refusal> {
        if self.rejects_when_full() {
            return Err(Refusal::TableFull);
        }
        let choice = match choice.by {
            Code::Route | Code::LearntRoute | Code::Weak | Code::Hash => choice,
            Code::Sealed | Code::Secondary | Code::Moved => choice,
            _ => {
                drop(choice);
                self.balance(ask, Some(issued[0].0), Code::Hash)?
            }
        };
        count(&self.counters.served_unpinned);
        visit.go(Code::Unpinned, choice);
        Ok(visit)
    }

    /// The node for a request without a known pin.
    pub(super) fn choose(&self, ask: &Ask<'_>) -> Result<Choice, Refusal> {
        if let Some(choice) = ask.proposal.and_then(Proposal::take) {
            return Ok(choice);
        }
        let keys = ask.keys;
        if let Some(sealed) = keys.sealed {
            return self.sealed(sealed.node, ask);
        }
        if let Some((node, by)) = self.tagged(ask, None) {
            return admit(node, by, ask);
        }
        let stranger = keys.has_server_issued_pin();
        if stranger || keys.unreadable {
            let remembered = keys.weak.iter().find_map(|key| self.hinted(key.fingerprint, ask));
            if let Some(node) = remembered {
                return admit(node, Code::Weak, ask);
            }
        }
        if stranger && ask.policy.unknown_key == UnknownKey::Reject {
            return Err(Refusal::UnknownKey);
        }
        match keys.hash {
            Some(key) => self.balance(ask, Some(key.0), Code::Hash),
            None => {
                // A hash balancer without a hash key takes what the request has of keys.
                let hashes = ask.nodes.balance() == crate::upstream::Balance::Hash;
                let key = match keys.pins.iter().find(|pin| pin.client_issued) {
                    Some(pin) if self.agrees() => Some(pin.fingerprint.0),
                    _ => keys.pins.first().filter(|_| hashes).map(|pin| pin.fingerprint.0),
                };
                self.balance(ask, key, if stranger { Code::Unknown } else { Code::Balanced })
            }
        }
    }

    /// A node for new work.
    pub(super) fn balance(&self, ask: &Ask<'_>, key: Option<u128>, by: Code) -> Result<Choice, Refusal> {
        let pick = Pick { exclude: ask.tried, key, random: ask.random, now_ms: ask.now.0, ..Pick::default() };
        if let Some(choice) = waited_for(pick, ask, by) {
            return Ok(choice);
        }
        // A node may fill up between being picked and being entered; then it is passed over in the next round.
        while let Some(node) = ask.nodes.pick(pick) {
            if let Ok(choice) = admit(node, by, ask) {
                return Ok(choice);
            }
        }
        Err(if ask.nodes.eligible(&pick).next().is_some() { Refusal::AllBusy } else { Refusal::NoNode })
    }

    /// The first node that the request's route tags name, can serve and is not `not`.
    pub(super) fn tagged<'a>(&self, ask: &Ask<'a>, not: Option<NodeId>) -> Option<(&'a Node, Code)> {
        ask.keys.routes.iter().find_map(|route| {
            let fits = |node: &&Node| Some(node.id) != not && can_serve(node, ask);
            let configured = ask.nodes.with_route(&route.tag).find(fits).map(|node| (node, Code::Route));
            configured
                .or_else(|| self.hinted(route.fingerprint, ask).filter(fits).map(|node| (node, Code::LearntRoute)))
        })
    }

    fn hinted<'a>(&self, key: Fingerprint, ask: &Ask<'a>) -> Option<&'a Node> {
        self.hints.get(key, ask.now).and_then(|id| ask.nodes.get(id)).filter(|node| can_serve(node, ask))
    }
}

impl Visit {
    /// Looks every pin up. The first that is known decides and settles the node. The node of a conversation that is
    /// known to be lost is returned, in case that nothing else decides.
    fn match_pins(&mut self, affinity: &Affinity, ask: &Ask<'_>) -> Result<Option<NodeId>, Refusal> {
        let mut lost = None;
        for (index, pin) in ask.keys.pins.iter().enumerate() {
            let Some(conversation) = affinity.table.get(pin.fingerprint) else { continue };
            if self.conversation.as_ref().is_some_and(|own| Arc::ptr_eq(own, &conversation)) {
                conversation.lock().touch(pin.fingerprint);
                self.know(index, pin.fingerprint);
                continue;
            }
            let mut state = conversation.lock();
            if state.phase == Phase::Lingering && !ask.nodes.get(state.node).is_some_and(|node| can_serve(node, ask)) {
                // It was over anyway.
                affinity.retire(&conversation, &mut state, Leaves::Quietly);
                continue;
            }
            match state.look(ask.now) {
                Look::Gone => continue,
                Look::Expired => {
                    affinity.retire(&conversation, &mut state, Leaves::Expired);
                    continue;
                }
                Look::Lost => {
                    lost = lost.or(Some(state.node));
                    continue;
                }
                Look::Alive => {}
            }
            self.know(index, pin.fingerprint);
            if self.conversation.is_none() {
                if let Some(limit) = ask.policy.concurrency
                    && !affinity.turns.may_begin(&conversation, &state, limit, ask.held)
                {
                    return Err(Refusal::InUse);
                }
                affinity.enter(&mut state, ask.now);
                state.touch(pin.fingerprint);
                self.key = Some(pin.fingerprint);
                let settled = self.settle(&mut state, ask);
                drop(state);
                // Kept even where it is refused, so that the visit leaves it again.
                self.conversation = Some(conversation);
                settled?;
            } else if state.node != self.node {
                self.conflict = true;
            } else if !self.others.iter().any(|other| Arc::ptr_eq(other, &conversation)) {
                affinity.enter(&mut state, ask.now);
                drop(state);
                self.others.push(conversation);
            }
        }
        if self.conflict {
            count(&affinity.counters.conflicts);
        }
        Ok(lost)
    }

    fn know(&mut self, index: usize, key: Fingerprint) {
        self.known.push(index as u16);
        self.carried.push(key);
    }

    /// Binds client-issued keys that nobody knows to the conversation found.
    fn join_keys(&mut self, ask: &Ask<'_>) -> Result<(), Again> {
        if self.known.len() == ask.keys.pins.len() || !ask.policy.pins {
            return Ok(());
        }
        let Some(conversation) = &self.conversation else { return Ok(()) };
        let affinity = &self.affinity;
        let mut state = conversation.lock();
        for (index, pin) in ask.keys.pins.iter().enumerate() {
            if !pin.client_issued || self.known.contains(&(index as u16)) || state.has(pin.fingerprint) {
                continue;
            }
            match state.phase {
                // Ended by a parallel request since it was found: this key must not be bound to it.
                Phase::Gone | Phase::Lost => return Err(Again),
                Phase::Lingering => return Ok(()),
                Phase::Pending | Phase::Live => {}
            }
            if !affinity.claim_keys(1) {
                continue;
            }
            match affinity.table.insert(pin.fingerprint, conversation) {
                Ok(()) => {
                    let key = Key::new(pin.fingerprint, pin.name, true);
                    affinity.add_key(conversation, &mut state, key, ask.policy.keys_per_conversation);
                    affinity.report(&mut state, || What::Bound(Keys::from_slice(&[pin.fingerprint])));
                    self.carried.push(pin.fingerprint);
                    count(&affinity.counters.reserved);
                }
                // Bound by a parallel request in this instant; its conversation keeps it.
                Err(_) => affinity.table.release(1),
            }
        }
        Ok(())
    }

    /// Settles on the node of the conversation just entered, or on the one that takes over.
    fn settle(&mut self, state: &mut State, ask: &Ask<'_>) -> Result<(), Refusal> {
        let Some(node) = ask.nodes.get(state.node).filter(|node| can_serve(node, ask)) else {
            return self.displace(state, ask, false);
        };
        self.pinned = state.phase != Phase::Pending;
        let code = match state.phase {
            Phase::Pending => Code::Joined,
            Phase::Lingering => Code::Lingering,
            _ => Code::Pinned,
        };
        self.go(code, admit(node, code, ask)?);
        Ok(())
    }
}

/// Whether an existing conversation can be served by the node.
pub(super) fn can_serve(node: &Node, ask: &Ask<'_>) -> bool {
    node.live.serves() && !ask.tried.contains(&node.id)
}

/// The place that the request got by waiting, if it is at a node that may be chosen.
pub(super) fn waited_for(pick: Pick<'_>, ask: &Ask<'_>, by: Code) -> Option<Choice> {
    let held = ask.held?.node()?;
    let node = ask.nodes.eligible(&pick).find(|node| node.id == held)?;
    admit(node, by, ask).ok()
}

/// Admits the request at a node that must be this one.
pub(super) fn admit(node: &Node, by: Code, ask: &Ask<'_>) -> Result<Choice, Refusal> {
    let waited_for = ask.held.and_then(|held| held.take_place(node.id));
    match waited_for.or_else(|| node.live.try_enter(node.limits.requests)) {
        Some(admitted) => Ok(Choice { node: node.id, admitted, by }),
        None => Err(Refusal::Busy { node: node.id }),
    }
}

/// The name of one of these keys.
fn name_of(key: Fingerprint, pins: &[PinKey]) -> NameTag {
    pins.iter().find(|pin| pin.fingerprint == key).map(|pin| pin.name).unwrap_or_default()
}

/// The different client-issued keys among these.
fn client_issued(pins: &[PinKey]) -> SmallVec<[Fingerprint; 4]> {
    let mut keys = SmallVec::new();
    for pin in pins.iter().filter(|pin| pin.client_issued) {
        if !keys.contains(&pin.fingerprint) {
            keys.push(pin.fingerprint);
        }
    }
    keys
}
