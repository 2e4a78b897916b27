//! Nodes of one upstream, as one configuration snapshot sees them.

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use super::{Balance, Live, NodeId, ramp};

/// What one node may be given at a time, over all workers. 0 = no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeLimits {
    /// Requests at a time.
    pub requests: u32,
    /// Open connections.
    pub connections: u32,
}

impl Default for NodeLimits {
    /// 1024 each, as in the reference configuration.
    fn default() -> Self {
        Self { requests: 1024, connections: 1024 }
    }
}

/// A node as configured; see [`NodeSet::new`].
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// The machine.
    pub live: Arc<Live>,
    /// 1 to 256; a share of new work.
    pub weight: u16,
    /// Route tags that name this node.
    pub routes: Vec<Box<[u8]>>,
    /// Replication group.
    pub group: Option<Arc<str>>,
    /// Where its conversations go first when it cannot serve.
    pub successor: Option<NodeId>,
    /// What it may be given at a time.
    pub limits: NodeLimits,
    /// For how long it gets new work slowly after it came, in milliseconds; 0 = at once.
    pub slow_start_ms: u64,
    /// It has left the configuration: its conversations go on there, nothing new begins.
    pub has_left: bool,
    /// By its own word nothing new begins there at present.
    pub rests: bool,
}

impl NodeSpec {
    /// A node of weight 1 with default limits.
    pub fn new(live: Arc<Live>) -> Self {
        Self {
            live,
            weight: 1,
            routes: Vec::new(),
            group: None,
            successor: None,
            limits: NodeLimits::default(),
            slow_start_ms: 0,
            has_left: false,
            rests: false,
        }
    }
}

/// One node of a [`NodeSet`].
#[derive(Debug)]
pub struct Node {
    /// The machine's id.
    pub id: NodeId,
    /// The machine's name.
    pub name: Arc<str>,
    /// 1 to 256.
    pub weight: u16,
    /// Route tags that name this node.
    pub routes: Vec<Box<[u8]>>,
    /// Replication group.
    pub group: Option<Arc<str>>,
    /// Where its conversations go first when it cannot serve.
    pub successor: Option<NodeId>,
    /// What it may be given at a time.
    pub limits: NodeLimits,
    /// For how long it gets new work slowly after it came, in milliseconds; 0 = at once.
    pub slow_start_ms: u64,
    /// It has left the configuration: its conversations go on there, nothing new begins.
    pub has_left: bool,
    /// By its own word nothing new begins there at present.
    pub rests: bool,
    /// Its living state.
    pub live: Arc<Live>,
    /// Hash of the name, equal on every gateway (ids are not), for rendezvous hashing.
    pub(super) name_hash: u64,
    /// Round robin: the virtual time of the node's next turn, see `balance`.
    pub(super) turn: AtomicU64,
}

impl Node {
    /// Whether new conversations may begin here: configured, ready, not down, not ejected.
    pub fn takes_new(&self, now_ms: u64) -> bool {
        !self.has_left && !self.rests && self.live.takes_new(now_ms)
    }

    /// Its weight for new work now, in units of 1/64; never 0.
    pub(super) fn present_weight(&self, now_ms: u64) -> u32 {
        // Nearly always nobody starts slowly, and then no clock of the node is looked at.
        let elapsed = if self.slow_start_ms == 0 { u64::MAX } else { self.live.there_for_ms(now_ms) };
        ramp::present_weight(self.weight, elapsed, self.slow_start_ms)
    }

    /// The same node for the set of a configuration that names it no longer: nothing new begins there.
    pub fn left(&self) -> NodeSpec {
        NodeSpec {
            live: Arc::clone(&self.live),
            weight: self.weight,
            routes: self.routes.clone(),
            group: self.group.clone(),
            successor: self.successor,
            limits: self.limits,
            slow_start_ms: self.slow_start_ms,
            has_left: true,
            rests: false,
        }
    }

    /// Whether the node has room for another request, and nobody waits for it.
    pub fn has_room(&self) -> bool {
        self.live.has_room(self.limits.requests)
    }
}

/// The nodes of one upstream with their balancing policy. Built per configuration snapshot, shared by all workers.
#[derive(Debug)]
pub struct NodeSet {
    nodes: Box<[Node]>,
    pub(super) balance: Balance,
    /// Per cent; see [`NodeSet::with_panic`].
    pub(super) panic: u32,
    by_id: HashMap<NodeId, u32>,
    by_route: HashMap<Box<[u8]>, SmallVec<[u32; 2]>>,
    /// Round robin: the latest turn taken.
    pub(super) turn: AtomicU64,
}

impl NodeSet {
    /// The set of these nodes; a machine named twice counts once, the first time.
    pub fn new(balance: Balance, specs: Vec<NodeSpec>) -> Self {
        let mut nodes: Vec<Node> = Vec::with_capacity(specs.len());
        let mut by_id = HashMap::new();
        let mut by_route: HashMap<Box<[u8]>, SmallVec<[u32; 2]>> = HashMap::new();
        for spec in specs {
            let index = nodes.len() as u32;
            if by_id.contains_key(&spec.live.id()) {
                continue;
            }
            by_id.insert(spec.live.id(), index);
            for tag in &spec.routes {
                by_route.entry(tag.clone()).or_default().push(index);
            }
            spec.live.add_set();
            let weight = spec.weight.clamp(1, 256);
            nodes.push(Node {
                id: spec.live.id(),
                name: Arc::clone(spec.live.name()),
                weight,
                routes: spec.routes,
                group: spec.group,
                successor: spec.successor,
                limits: spec.limits,
                slow_start_ms: spec.slow_start_ms,
                has_left: spec.has_left,
                rests: spec.rests,
                name_hash: name_hash(spec.live.name()),
                live: spec.live,
                turn: AtomicU64::new(super::balance::stride(u32::from(weight) * ramp::WHOLE) / 2),
            });
        }
        Self { nodes: nodes.into(), balance, panic: 50, by_id, by_route, turn: AtomicU64::new(0) }
    }

    /// The same set with this panic threshold, in per cent: where fewer of the nodes that could serve are left by ejection,
    /// ejections count for nothing. 0 = only where none is left. Default: 50, as in Envoy.
    pub fn with_panic(mut self, percent: u32) -> Self {
        self.panic = percent;
        self
    }

    /// All nodes, in configured order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The balancing policy.
    pub fn balance(&self) -> Balance {
        self.balance
    }

    /// The place of a machine in [`NodeSet::nodes`], for arrays kept beside the set.
    pub fn index(&self, id: NodeId) -> Option<usize> {
        // A scan beats hashing for the sizes that occur.
        if self.nodes.len() <= 16 {
            return self.nodes.iter().position(|node| node.id == id);
        }
        self.by_id.get(&id).map(|&index| index as usize)
    }

    /// The node of this id, if it is in the set.
    pub fn get(&self, id: NodeId) -> Option<&Node> {
        self.index(id).map(|index| &self.nodes[index])
    }

    /// The nodes with this route tag, in configured order.
    pub fn with_route(&self, tag: &[u8]) -> impl Iterator<Item = &Node> {
        self.by_route.get(tag).into_iter().flatten().map(|&index| &self.nodes[index as usize])
    }
}

impl Drop for NodeSet {
    fn drop(&mut self) {
        self.nodes.iter().for_each(|node| node.live.remove_set());
    }
}

fn name_hash(name: &str) -> u64 {
    // A fixed key: every gateway must get the same number.
    let mut hasher = SipHasher13::new();
    hasher.write(name.as_bytes());
    hasher.finish()
}
