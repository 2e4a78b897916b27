//! The balancer: which node takes new work.
//!
//! *Turns.* Every node has a virtual time of its next turn; the earliest turn is taken and the node's next one is one
//! stride (1/weight) later. Taking a turn is one compare-and-set, so no turn is taken twice however many workers there
//! are. First turns lie half a stride in, which spreads heavy nodes between light ones (weights 5, 1, 1: a a b c a a a).
//! A node that was away re-enters at the present turn and does not make up for what it missed. The load policies use
//! turns to break ties, which gives idle nodes their weighted shares.

use std::cmp::Ordering;
use std::sync::atomic::Ordering::Relaxed;

use super::{Node, NodeId, NodeSet, ramp};

/// How new work is spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Balance {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// Where fewest requests run for its weight; ties in turn.
    LeastRequests,
    /// Where fewest conversations live for its weight; ties in turn.
    LeastConversations,
    /// Two drawn by weight, the less busy one of them.
    Random,
    /// By key (weighted rendezvous); a request without a key is placed at random.
    Hash,
}

/// What is asked of the balancer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pick<'a> {
    /// Nodes not to be chosen: they were tried.
    pub exclude: &'a [NodeId],
    /// Places by rendezvous hash of this key, whatever the policy.
    pub key: Option<u128>,
    /// Only nodes of this replication group.
    pub group: Option<&'a str>,
    /// A random number.
    pub random: u64,
    /// Monotonic milliseconds.
    pub now_ms: u64,
}

/// One turn of a node of weight 1. Divided by weights up to 256 it errs by less than 0.03 %; at 100,000 turns a second
/// the virtual time lasts for five years.
const TURN: u64 = 1 << 20;

/// The stride of a weight in units of 1/64.
pub(super) fn stride(weight: u32) -> u64 {
    TURN * u64::from(ramp::WHOLE) / u64::from(weight.max(1))
}

impl NodeSet {
    /// The node for a new conversation: ready, not down, not ejected, with room, not excluded. `None` if there is none.
    ///
    /// Where ejection leaves too few of those that could serve, it counts for nothing: the fault may be ours, or the
    /// network's, the few left would break under the load of all, and a node that fails now and then serves more than none.
    pub fn pick(&self, pick: Pick<'_>) -> Option<&Node> {
        let node = match (pick.key, self.balance) {
            (Some(key), _) => self.by_key(key, &pick),
            (None, Balance::Random | Balance::Hash) => self.at_random(&pick),
            (None, Balance::RoundRobin) => self.in_turn(&pick, |_| 0),
            (None, Balance::LeastRequests) => self.in_turn(&pick, |node| u64::from(node.live.requests())),
            (None, Balance::LeastConversations) => self.in_turn(&pick, |node| node.live.conversations()),
        }?;
        node.live.chosen(pick.now_ms);
        Some(node)
    }

    /// The nodes that [`NodeSet::pick`] would choose from if all had room.
    pub fn eligible<'s, 'p>(&'s self, pick: &Pick<'p>) -> impl Iterator<Item = &'s Node> + use<'s, 'p> {
        let Pick { exclude, group, now_ms, .. } = *pick;
        let panics = self.panics(now_ms);
        self.nodes().iter().filter(move |node| {
            (node.takes_new(now_ms) || panics && node.takes_new(u64::MAX))
                && !exclude.contains(&node.id)
                && group.is_none_or(|group| node.group.as_deref() == Some(group))
        })
    }

    fn candidates<'s, 'p>(&'s self, pick: &Pick<'p>) -> impl Iterator<Item = &'s Node> + use<'s, 'p> {
        self.eligible(pick).filter(|node| node.has_room())
    }

    /// Whether ejection leaves too few nodes.
    fn panics(&self, now_ms: u64) -> bool {
        let could_serve = || self.nodes().iter().filter(|node| node.takes_new(u64::MAX));
        let left = could_serve().filter(|node| !node.live.is_ejected(now_ms)).count();
        left == 0 || left * 100 < could_serve().count() * self.panic as usize
    }

    /// The least loaded candidate for its weight, then the one whose turn is next. A node that starts slowly is no
    /// candidate between its turns, however idle it is, unless there is nobody else.
    fn in_turn(&self, pick: &Pick<'_>, load: impl Fn(&Node) -> u64) -> Option<&Node> {
        loop {
            let present = self.turn.load(Relaxed);
            let (node, weight, stored, turn) = self
                .candidates(pick)
                .map(|node| {
                    let stored = node.turn.load(Relaxed);
                    let weight = node.present_weight(pick.now_ms);
                    let must_wait = stored > present && weight < u32::from(node.weight) * ramp::WHOLE;
                    (must_wait, (load(node), weight), node, stored, stored.max(present))
                })
                .min_by(|a, b| a.0.cmp(&b.0).then(by_load(a.1, b.1)).then(a.4.cmp(&b.4)))
                .map(|(_, (_, weight), node, stored, turn)| (node, weight, stored, turn))?;
            if node.turn.compare_exchange_weak(stored, turn + stride(weight), Relaxed, Relaxed).is_ok() {
                self.turn.fetch_max(turn, Relaxed);
                return Some(node);
            }
        }
    }

    fn at_random(&self, pick: &Pick<'_>) -> Option<&Node> {
        let weight = |node: &Node| u64::from(node.present_weight(pick.now_ms));
        let total: u64 = self.candidates(pick).map(weight).sum();
        let draw = |random: u64| {
            let mut left = mix(random) % total.max(1);
            self.candidates(pick).find(|node| {
                let weight = weight(node);
                let found = left < weight;
                left = left.saturating_sub(weight);
                found
            })
        };
        // Candidates may have changed since they were summed up: then any of them will do.
        let one = draw(pick.random).or_else(|| self.candidates(pick).next())?;
        let other = draw(pick.random ^ 0x9e37_79b9_7f4a_7c15).unwrap_or(one);
        let load = |node: &Node| (u64::from(node.live.requests()), node.present_weight(pick.now_ms));
        Some(if by_load(load(other), load(one)).is_lt() { other } else { one })
    }

    /// Weighted rendezvous: the highest of `-weight / ln(uniform hash of key and name)` wins, so that a node that goes
    /// takes along only its own keys (Schindelhauer and Schomaker 2005).
    fn by_key(&self, key: u128, pick: &Pick<'_>) -> Option<&Node> {
        let score = |node: &Node| {
            let hash = mix(mix(key as u64 ^ node.name_hash) ^ (key >> 64) as u64);
            let uniform = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
            -f64::from(node.present_weight(pick.now_ms)) / uniform.ln()
        };
        self.candidates(pick).map(|node| (score(node), node)).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, node)| node)
    }
}

/// Compares `load / weight` without dividing.
fn by_load((a_load, a): (u64, u32), (b_load, b): (u64, u32)) -> Ordering {
    (a_load * u64::from(b)).cmp(&(b_load * u64::from(a)))
}

/// The finaliser of splitmix64: every input bit reaches every output bit.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::super::{Admin, Health, Live, NodeSpec, Registry};
    use super::*;

    /// Nodes as `name*weight`; the first letter is the name.
    fn set(balance: Balance, nodes: &str) -> NodeSet {
        let registry = Registry::new();
        let specs = nodes.split(' ').map(|node| {
            let (name, weight) = node.split_once('*').unwrap_or((node, "1"));
            let mut spec = NodeSpec::new(registry.machine("g", name));
            spec.weight = weight.parse().expect("a weight");
            spec.limits.requests = 1000;
            spec
        });
        NodeSet::new(balance, specs.collect())
    }

    fn live<'s>(set: &'s NodeSet, name: &str) -> &'s Arc<Live> {
        &set.nodes().iter().find(|node| &*node.name == name).expect("there is such a node").live
    }

    fn pick(set: &NodeSet, random: u64) -> String {
        set.pick(Pick { random, now_ms: 1, ..Pick::default() }).map_or("-".into(), |node| node.name.to_string())
    }

    fn order(set: &NodeSet, n: u64) -> String {
        (0..n).map(|random| pick(set, random)).collect::<Vec<_>>().concat()
    }

    fn shares(set: &NodeSet, n: u64) -> BTreeMap<String, u64> {
        let mut shares = BTreeMap::new();
        (0..n).for_each(|random| *shares.entry(pick(set, random)).or_default() += 1);
        shares
    }

    #[test]
    fn round_robin_takes_turns_by_weight_and_spreads_them() {
        assert_eq!(order(&set(Balance::RoundRobin, "a b c"), 7), "abcabca");
        assert_eq!(order(&set(Balance::RoundRobin, "a*5 b c"), 14), "aaabcaaaaabcaa");
        assert_eq!(order(&set(Balance::RoundRobin, "a*2 b*1"), 6), "abaaba");
        let shares = shares(&set(Balance::RoundRobin, "a*256 b*3 c*1"), 26_000);
        assert!((25_599..=25_601).contains(&shares["a"]), "{shares:?}");
        assert!((299..=301).contains(&shares["b"]), "{shares:?}");
    }

    #[test]
    fn a_node_that_returns_does_not_make_up_for_what_it_missed() {
        let set = set(Balance::RoundRobin, "a b");
        live(&set, "b").set_health(Health::Down);
        assert_eq!(order(&set, 100), "a".repeat(100));
        live(&set, "b").set_health(Health::Up);
        let next = order(&set, 10);
        assert_eq!(next.matches('b').count(), 5, "{next}");
    }

    /// A set whose node `b` came at 1,000 ms and starts slowly, over 10 s.
    fn with_newcomer(balance: Balance) -> NodeSet {
        let registry = Registry::new();
        let specs = ["a", "b", "c"].map(|name| {
            let mut spec = NodeSpec::new(registry.machine("g", name));
            spec.slow_start_ms = 10_000;
            spec
        });
        let set = NodeSet::new(balance, specs.into());
        live(&set, "b").comes(1_000);
        set
    }

    /// How many of 3,000 picks at this time `b` gets.
    fn newcomers_share(set: &NodeSet, now_ms: u64) -> usize {
        let pick = |random| set.pick(Pick { random, now_ms, ..Pick::default() }).expect("a node").name.to_string();
        (0..3_000).filter(|random| pick(*random) == "b").count()
    }

    #[test]
    fn a_node_that_came_gets_new_work_gently() {
        for balance in [Balance::RoundRobin, Balance::Random, Balance::LeastRequests, Balance::LeastConversations] {
            for (now_ms, expected) in [(1_000, 143), (6_000, 600), (11_000, 1_000), (20_000, 1_000)] {
                let share = newcomers_share(&with_newcomer(balance), now_ms);
                assert!(share.abs_diff(expected) < 60, "{balance:?} at {now_ms} ms: {share} of 3,000, not {expected}");
            }
        }
    }

    #[test]
    fn the_least_busy_node_waits_for_its_turn_while_it_starts() {
        let set = with_newcomer(Balance::LeastConversations);
        for name in ["a", "c"] {
            (0..1_000).for_each(|_| live(&set, name).add_conversation());
        }
        let share = newcomers_share(&set, 1_000);
        assert!((100..300).contains(&share), "{share} of 3,000");
        assert_eq!(newcomers_share(&set, 11_000), 3_000, "then it gets all, as the policy says");
    }

    #[test]
    fn where_only_newcomers_are_left_they_serve() {
        let set = with_newcomer(Balance::LeastRequests);
        live(&set, "a").set_health(Health::Down);
        live(&set, "c").set_admin(Admin::Drain);
        assert_eq!(newcomers_share(&set, 1_000), 3_000);
    }

    #[test]
    fn who_comes_up_returns_or_was_ejected_starts_slowly() {
        let set = with_newcomer(Balance::RoundRobin);
        let b = live(&set, "b");
        assert_eq!(b.there_for_ms(50_000), 49_000);
        assert_eq!(live(&set, "a").there_for_ms(50_000), u64::MAX, "it was there from the beginning");
        b.set_health_at(Health::Up, 60_000);
        assert_eq!(b.there_for_ms(60_000), 59_000, "it was never down");
        b.set_health_at(Health::Down, 61_000);
        b.set_health_at(Health::Up, 62_000);
        assert_eq!(b.there_for_ms(63_000), 1_000);
        b.set_admin_at(Admin::Drain, 70_000);
        b.set_admin_at(Admin::Ready, 71_000);
        assert_eq!(b.there_for_ms(72_000), 10_000, "it has served all along");
        b.set_admin_at(Admin::Maint, 73_000);
        b.set_admin_at(Admin::Ready, 74_000);
        assert_eq!(b.there_for_ms(75_000), 1_000);
        b.eject_until(80_000);
        assert_eq!(b.there_for_ms(81_000), 1_000);
    }

    #[test]
    fn a_node_that_left_gets_nothing_new() {
        let registry = Registry::new();
        let mut gone = NodeSpec::new(registry.machine("g", "a"));
        gone.has_left = true;
        let set = NodeSet::new(Balance::RoundRobin, vec![gone, NodeSpec::new(registry.machine("g", "b"))]);
        assert_eq!(order(&set, 3), "bbb");
        live(&set, "b").eject_until(5);
        assert_eq!(order(&set, 3), "bbb", "it does not count among those who could serve");
    }

    #[test]
    fn a_missing_node_leaves_its_share_to_all_others() {
        let set = set(Balance::RoundRobin, "a b c d");
        live(&set, "b").set_admin(Admin::Drain);
        assert_eq!(shares(&set, 300), BTreeMap::from([("a".into(), 100), ("c".into(), 100), ("d".into(), 100)]));
    }

    #[test]
    fn who_must_not_get_new_work_gets_none() {
        let set = set(Balance::RoundRobin, "a b c d e f");
        live(&set, "a").set_admin(Admin::Drain);
        live(&set, "b").set_admin(Admin::Maint);
        live(&set, "c").set_health(Health::Down);
        live(&set, "d").eject_until(2);
        let full: Vec<_> = (0..1000).map(|_| live(&set, "e").try_enter(1000).expect("room")).collect();
        assert!(live(&set, "e").try_enter(1000).is_none());
        assert_eq!(order(&set, 3), "fff");
        let f = set.nodes()[5].id;
        assert!(set.pick(Pick { exclude: &[f], now_ms: 1, ..Pick::default() }).is_none());
        let later = set.pick(Pick { exclude: &[f], now_ms: 2, ..Pick::default() });
        assert_eq!(later.map(|node| &*node.name), Some("d"), "ejection is over");
        drop(full);
        assert_eq!(live(&set, "e").requests(), 0);
    }

    #[test]
    fn where_all_are_ejected_none_is() {
        let set = set(Balance::RoundRobin, "a b c");
        live(&set, "a").set_health(Health::Down);
        live(&set, "b").eject_until(5);
        assert_eq!(order(&set, 2), "cc");
        live(&set, "c").eject_until(5);
        let served = order(&set, 4);
        assert!(served.contains('b') && served.contains('c') && !served.contains('a'), "{served}");
    }

    #[test]
    fn where_ejection_leaves_too_few_it_counts_for_nothing() {
        for (panic, ejected, expected) in [
            (50, "", "abcd"),
            (50, "a", "bcd"),
            (50, "ab", "cd"),
            (50, "abc", "abcd"),
            (50, "abcd", "abcd"),
            (0, "abc", "d"),
            (0, "abcd", "abcd"),
            (100, "a", "abcd"),
        ] {
            let set = set(Balance::RoundRobin, "a b c d").with_panic(panic);
            ejected.chars().for_each(|name| live(&set, &name.to_string()).eject_until(5));
            let served: std::collections::BTreeSet<char> = order(&set, 40).chars().collect();
            assert_eq!(served.iter().collect::<String>(), expected, "{panic} {ejected}");
        }
    }

    #[test]
    fn least_requests_goes_where_least_is_done_for_the_weight() {
        let set = set(Balance::LeastRequests, "a*2 b");
        let mut running = Vec::new();
        let mut order = String::new();
        for _ in 0..9 {
            let node = set.pick(Pick { now_ms: 1, ..Pick::default() }).expect("a node");
            order.push_str(&node.name);
            running.push(node.live.try_enter(0).expect("no limit"));
        }
        assert_eq!((order.matches('a').count(), order.matches('b').count()), (6, 3), "{order}");
        drop(running);
        assert_eq!(shares(&set, 30)["b"], 10, "idle nodes take turns by weight");
    }

    #[test]
    fn least_conversations_goes_where_fewest_live() {
        let set = set(Balance::LeastConversations, "a b");
        live(&set, "a").add_conversation();
        live(&set, "a").add_conversation();
        assert_eq!(order(&set, 3), "bbb");
        live(&set, "b").add_conversation();
        live(&set, "b").add_conversation();
        assert!((5..=6).contains(&shares(&set, 10)["a"]), "ties are broken in turn, by whose is next");
    }

    #[test]
    fn random_follows_the_weights() {
        let shares = shares(&set(Balance::Random, "a*3 b*1"), 40_000);
        assert!((29_000..31_000).contains(&shares["a"]), "{shares:?}");
    }

    #[test]
    fn of_two_drawn_at_random_the_less_busy_one_is_taken() {
        let set = set(Balance::Random, "a b");
        let _busy = live(&set, "a").try_enter(0);
        let shares = shares(&set, 40_000);
        assert!((9_000..11_000).contains(&shares["a"]), "only where both draws are a: {shares:?}");
    }

    #[test]
    fn a_node_that_goes_takes_along_only_its_own_hash_keys() {
        let set = set(Balance::Hash, "a*2 b c");
        let place = |key: u64| {
            let key = Some(u128::from(super::mix(key)) << 64 | u128::from(super::mix(!key)));
            set.pick(Pick { key, now_ms: 1, ..Pick::default() }).expect("a node").name.to_string()
        };
        let before: Vec<_> = (0..10_000).map(place).collect();
        let at_a = before.iter().filter(|name| *name == "a").count();
        assert!((4_800..5_200).contains(&at_a), "half of the keys for half of the weight: {at_a}");
        live(&set, "b").set_health(Health::Down);
        for (key, before) in before.iter().enumerate() {
            let after = place(key as u64);
            assert!(before == "b" || after == *before, "key {key} moved from {before} to {after}");
            assert_ne!(after, "b");
        }
    }

    #[test]
    fn no_turn_is_taken_twice_by_parallel_workers() {
        let set = set(Balance::RoundRobin, "a*3 b*2 c*1");
        let counts: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(|| shares(&set, 15_000))).collect();
            workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
        });
        let total = |name: &str| counts.iter().map(|shares| shares.get(name).copied().unwrap_or(0)).sum::<u64>();
        assert_eq!(total("a") + total("b") + total("c"), 60_000);
        assert!(total("a").abs_diff(30_000) <= 2 && total("b").abs_diff(20_000) <= 2, "{counts:?}");
    }
}
