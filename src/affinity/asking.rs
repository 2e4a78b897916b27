//! Recovery by asking: which node is asked next whether it knows a session that the table does not.

use std::sync::Arc;
use std::time::Duration;

use super::place::{admit, can_serve};
use super::{Affinity, Ask, Code, Now, Refusal, Visit};
use crate::session::Fingerprint;
use crate::upstream::NodeId;

/// How long it is remembered that no node knows a key: a client that goes on trying costs one node a request, as it would
/// without asking. Shorter than people take to begin anew. Taste.
pub const NOBODY_FOR: Duration = Duration::from_secs(30);

/// Stands among the hints for "nobody". No machine has this number.
const NOBODY: NodeId = NodeId(u32::MAX);

impl Affinity {
    /// A visit to the next node that may know the session: one that serves existing conversations and was not asked
    /// ([`Ask::tried`]). Which one is first is left to chance, so that no node is asked for all others.
    ///
    /// # Errors
    ///
    /// [`Refusal::UnknownKey`]: there is none.
    pub fn place_asked(self: &Arc<Self>, ask: &Ask<'_>) -> Result<Visit, Refusal> {
        self.tell(ask.now);
        let nodes = ask.nodes.nodes();
        let first = usize::try_from(ask.random % nodes.len().max(1) as u64).unwrap_or(0);
        let mut candidates = nodes.iter().cycle().skip(first).take(nodes.len()).filter(|node| can_serve(node, ask));
        let choice = candidates.find_map(|node| admit(node, Code::Asked, ask).ok()).ok_or(Refusal::UnknownKey)?;
        let mut visit = Visit::new(Arc::clone(self), ask);
        visit.go(Code::Asked, choice);
        Ok(visit)
    }

    /// Whether a further node could be asked.
    pub fn can_ask_more(&self, ask: &Ask<'_>) -> bool {
        ask.nodes.nodes().iter().any(|node| can_serve(node, ask))
    }

    /// Remembers that no node knows this key, for [`NOBODY_FOR`].
    pub fn nobody_knows(&self, key: Fingerprint, now: Now) {
        let until = now.0.saturating_add(NOBODY_FOR.as_millis() as u64);
        self.hints.put(key, NOBODY, until);
    }

    /// Whether it was found out a moment ago that no node knows this key.
    pub fn is_nobodys(&self, key: Fingerprint, now: Now) -> bool {
        self.hints.get(key, now) == Some(NOBODY)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::world::{World, print, request_keys};
    use super::super::{End, Outcome};
    use super::*;
    use crate::session::{Learnt, LearntKey, NameTag};
    use crate::upstream::{Admin, Health};

    /// The nodes asked one after the other, in the order of their names.
    fn asked(world: &World) -> String {
        let keys = request_keys("s:1");
        let mut tried = Vec::new();
        loop {
            let ask = Ask {
                keys: &keys,
                nodes: &world.nodes,
                policy: &world.policy,
                tried: &tried,
                proposal: None,
                held: None,
                now: Now(world.now),
                random: 7,
            };
            match world.affinity.place_asked(&ask) {
                Ok(visit) => {
                    assert_eq!(visit.code(), Code::Asked);
                    tried.push(visit.node());
                }
                Err(refusal) => {
                    assert_eq!(refusal, Refusal::UnknownKey);
                    assert!(!world.affinity.can_ask_more(&ask));
                    break;
                }
            }
        }
        let mut names: Vec<_> =
            tried.iter().map(|id| world.registry.name(*id).expect("registered").to_string()).collect();
        names.sort_unstable();
        names.concat()
    }

    #[test]
    fn whoever_may_hold_sessions_is_asked_once() {
        let world = World::of("a b c d e");
        world.registry.machine("g", "b").set_admin(Admin::Drain);
        world.registry.machine("g", "c").set_admin(Admin::Maint);
        world.registry.machine("g", "d").set_health(Health::Down);
        assert_eq!(asked(&world), "abe");
    }

    #[test]
    fn what_a_node_confirms_is_a_conversation_there() {
        let mut world = World::of("a b");
        let keys = request_keys("s:1");
        let tried = [world.registry.machine("g", "a").id()];
        let ask = Ask {
            keys: &keys,
            nodes: &world.nodes,
            policy: &world.policy,
            tried: &tried,
            proposal: None,
            held: None,
            now: Now(world.now),
            random: 0,
        };
        let mut visit = world.affinity.place_asked(&ask).expect("b");
        visit.commit(Now(world.now)).expect("nobody moves it");
        let key = LearntKey { rule: 0, fingerprint: print("s:1"), kind: Learnt::Pin, name: NameTag::default() };
        visit.learn(&[key], &world.policy, Now(world.now));
        visit.finish(End::of(Outcome::Success), &world.policy, Now(world.now));
        world.run("s:1 = pin b");
    }

    #[test]
    fn that_nobody_knows_a_key_is_remembered_for_a_moment() {
        let world = World::of("a");
        let later = |ms| Now(world.now + ms);
        world.affinity.nobody_knows(print("s:1"), later(0));
        assert!(world.affinity.is_nobodys(print("s:1"), later(29_999)));
        assert!(!world.affinity.is_nobodys(print("s:1"), later(30_000)));
        assert!(!world.affinity.is_nobodys(print("s:2"), later(0)));
    }
}
