//! The balancer: which node takes new work.
//!
//! *Turns.* Every node has a virtual time of its next turn; the earliest turn is taken and the node's next one is one
//! stride (1/weight) later. Taking a turn is one compare-and-set, so no turn is taken twice however many workers there
//! are. First turns lie half a stride in, which spreads heavy nodes between light ones (weights 5, 1, 1: a a b c a a a).
//! A node that was away re-enters at the present turn and does not make up for what it missed. The load policies use
//! turns to break ties, which gives idle nodes their weighted shares.

use std::cmp::Ordering;
use std::sync::atomic::Ordering::Relaxed;

use super::{Node, NodeId, NodeSet};

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

pub(super) fn stride(weight: u16) -> u64 {
    TURN / u64::from(weight.max(1))
}

impl NodeSet {
    /// The node for a new conversation: ready, not down, not ejected, with room, not excluded. `None` if there is none.
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

    fn candidates<'s, 'p>(&'s self, pick: &Pick<'p>) -> impl Iterator<Item = &'s Node> + use<'s, 'p> {
        let Pick { exclude, group, now_ms, .. } = *pick;
        self.nodes().iter().filter(move |node| {
            node.live.takes_new(now_ms)
                && node.has_room()
                && !exclude.contains(&node.id)
                && group.is_none_or(|group| node.group.as_deref() == Some(group))
        })
    }

    /// The least loaded candidate for its weight, then the one whose turn is next.
    fn in_turn(&self, pick: &Pick<'_>, load: impl Fn(&Node) -> u64) -> Option<&Node> {
        loop {
            let present = self.turn.load(Relaxed);
            let (node, stored, turn) = self
                .candidates(pick)
                .map(|node| {
                    let stored = node.turn.load(Relaxed);
                    (load(node), node, stored, stored.max(present))
                })
                .min_by(|a, b| by_load((a.0, a.1), (b.0, b.1)).then(a.3.cmp(&b.3)))
                .map(|(_, node, stored, turn)| (node, stored, turn))?;
            if node.turn.compare_exchange_weak(stored, turn + stride(node.weight), Relaxed, Relaxed).is_ok() {
                self.turn.fetch_max(turn, Relaxed);
                return Some(node);
            }
        }
    }

    fn at_random(&self, pick: &Pick<'_>) -> Option<&Node> {
        let total: u64 = self.candidates(pick).map(|node| u64::from(node.weight)).sum();
        let draw = |random: u64| {
            let mut left = mix(random) % total.max(1);
            self.candidates(pick).find(|node| {
                let weight = u64::from(node.weight);
                let found = left < weight;
                left = left.saturating_sub(weight);
                found
            })
        };
        // Candidates may have changed since they were summed up: then any of them will do.
        let one = draw(pick.random).or_else(|| self.candidates(pick).next())?;
        let other = draw(pick.random ^ 0x9e37_79b9_7f4a_7c15).unwrap_or(one);
        let load = |node: &Node| u64::from(node.live.requests());
        Some(if by_load((load(other), other), (load(one), one)).is_lt() { other } else { one })
    }

    /// Weighted rendezvous: the highest of `-weight / ln(uniform hash of key and name)` wins, so that a node that goes
    /// takes along only its own keys (Schindelhauer and Schomaker 2005).
    fn by_key(&self, key: u128, pick: &Pick<'_>) -> Option<&Node> {
        let score = |node: &Node| {
            let hash = mix(mix(key as u64 ^ node.name_hash) ^ (key >> 64) as u64);
            let uniform = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
            -f64::from(node.weight) / uniform.ln()
        };
        self.candidates(pick).map(|node| (score(node), node)).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, node)| node)
    }
}

/// Compares `load / weight` without dividing.
fn by_load((a_load, a): (u64, &Node), (b_load, b): (u64, &Node)) -> Ordering {
    (a_load * u64::from(b.weight)).cmp(&(b_load * u64::from(a.weight)))
}

/// The finaliser of splitmix64: every input bit reaches every output bit.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
