//! How long a node that takes nothing new will still have conversations.

use super::{Affinity, Now};
use crate::upstream::NodeId;

/// Conversations looked at while newcomers wait.
const AT_ONCE: usize = 4096;

/// The conversations of one node, and when they would be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// Conversations pinned to it, ended ones that linger not counted.
    pub conversations: u64,
    /// Requests in flight of these.
    pub in_flight: u64,
    /// Milliseconds until half of them have expired, if none is used again.
    pub half_idle_ms: u64,
    /// Milliseconds until the last one has expired, if none is used again; a request in flight counts as ending now.
    pub all_idle_ms: u64,
    /// Milliseconds until the last one is over however much it is used (`ttl.max`); `None` = one of them has no last day.
    pub at_the_latest_ms: Option<u64>,
}

impl Affinity {
    /// The outlook of a node. Looks at every conversation of the table, some thousand at a time, so that requests never wait
    /// for longer than these take; a conversation that begins or ends meanwhile may be missed.
    pub fn outlook(&self, node: NodeId, now: Now) -> Outlook {
        let mut idle = Vec::new();
        let mut latest = Some(0);
        let mut outlook = Outlook::default();
        let mut slot = Some(0);
        while let Some(from) = slot {
            let (conversations, next) = self.roll.some(from, AT_ONCE);
            slot = next;
            for conversation in conversations {
                let state = conversation.lock();
                if state.node != node || !state.is_counted() || state.is_over(now) {
                    continue;
                }
                let due = if state.in_flight > 0 { state.rest_due(now) } else { state.due() };
                outlook.in_flight += u64::from(state.in_flight);
                idle.push(due.saturating_sub(now.0));
                latest = latest.zip(state.last_day()).map(|(latest, day)| day.saturating_sub(now.0).max(latest));
            }
        }
        idle.sort_unstable();
        outlook.conversations = idle.len() as u64;
        outlook.half_idle_ms = idle.get(idle.len().saturating_sub(1) / 2).copied().unwrap_or(0);
        outlook.all_idle_ms = idle.last().copied().unwrap_or(0);
        outlook.at_the_latest_ms = latest;
        outlook
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::world::World;
    use super::*;

    fn outlook(world: &World, name: &str) -> Outlook {
        world.affinity.outlook(world.registry.machine("g", name).id(), Now(world.now))
    }

    #[test]
    fn it_tells_when_a_node_would_be_free() {
        let mut world = World::of("a").policy(|policy| policy.idle = Duration::from_secs(60));
        assert_eq!(outlook(&world, "a"), Outlook { at_the_latest_ms: Some(0), ..Outlook::default() });
        world.run("c:1 = new a \n wait 30s \n c:2 = new a \n wait 10s \n c:3 = new a");
        let told = outlook(&world, "a");
        let about = |ms: u64, seconds: u64| ms.abs_diff(seconds * 1000) < 10;
        assert!(told.conversations == 3 && told.in_flight == 0, "{told:?}");
        assert!(about(told.half_idle_ms, 50) && about(told.all_idle_ms, 60), "{told:?}");
        assert_eq!(told.at_the_latest_ms, None, "used again and again, they have no end");
        world.run("wait 45s");
        let visit = world.place("c:2").expect("a place");
        let told = outlook(&world, "a");
        assert!(told.conversations == 2 && told.in_flight == 1 && about(told.all_idle_ms, 60), "{told:?}");
        drop(visit);
    }

    #[test]
    fn with_a_last_day_it_tells_that_too() {
        let mut world = World::of("a b").policy(|policy| policy.max = Some(Duration::from_secs(600)));
        world.run("c:1 = new a \n c:2 = new b \n wait 100s \n c:1 = pin a");
        let told = outlook(&world, "a");
        assert!(told.at_the_latest_ms.is_some_and(|ms| ms.abs_diff(500_000) < 10), "{told:?}");
        assert_eq!(told.conversations, 1);
    }
}
