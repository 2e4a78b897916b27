//! A random life of a small gateway, with the promises checked after every step.
//!
//! The model knows less than the table and is therefore sure of it: for every conversation that a client uses as it should,
//! the node that holds its state. `SIMULATION_SEED=N` replays one run,
//! `SIMULATION_SEEDS=N` runs that many.

use std::collections::HashMap;
use std::sync::Arc;

use super::*;
use crate::upstream::{Admin, Health, NodeId};

/// A small generator (xorshift64*), so that a seed means the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// What a client knows of its conversation.
struct Client {
    /// Keys that answers have told it, newest last; the first may be its own.
    keys: Vec<String>,
    /// The node that holds the state, once a request was answered.
    home: Option<NodeId>,
    last_used: u64,
    /// A request was answered without a Fault.
    proved: bool,
    /// A second request, after the first answer, has been placed by one of the keys.
    confirmed: bool,
}

const NODES: [&str; 4] = ["a", "b", "c", "d"];
const CONVERSATIONS: usize = 24;

struct Simulation {
    seed: u64,
    step: u64,
    random: Random,
    world: World,
    clients: HashMap<u64, Client>,
    running: Vec<(u64, Visit)>,
    next: u64,
    failover: bool,
    mirror: Arc<journal::Mirror>,
    follower: journal::Other,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let failover = random.one_in(2);
        let limits =
            Limits { max_conversations: CONVERSATIONS, max_keys: 200, max_hints: 16, when_full: WhenFull::default() };
        let world = World::with("a b c d", limits).policy(|policy| {
            policy.linger = world::duration(if seed.is_multiple_of(3) { "10s" } else { "0s" });
            if failover {
                policy.on_node_down = OnNodeDown::Failover;
                policy.nodes_share_sessions = SharedSessions::All;
            }
        });
        let mirror = journal::Mirror::of(&world);
        let follower = journal::Other::default();
        let clients = HashMap::new();
        Self { seed, step: 0, random, world, clients, running: Vec::new(), next: 0, failover, mirror, follower }
    }

    fn fail(&self, what: &str) -> ! {
        panic!("seed {} step {}: {what}", self.seed, self.step);
    }

    fn run(&mut self, steps: u64) {
        for step in 0..steps {
            self.step = step;
            self.world.now += self.random.below(2_000);
            match self.random.below(20) {
                0..8 => self.begin(),
                8..15 => self.end(),
                15 => self.node_changes(),
                16 if self.random.one_in(4) => self.world.now += self.random.below(40 * 60_000),
                16 | 17 => drop(self.world.affinity.sweep(Now(self.world.now), 5)),
                18 if self.running.len() > 12 => self.abort(),
                _ => self.begin_again(),
            }
            self.check();
        }
        while !self.running.is_empty() {
            self.abort();
            self.check();
        }
        self.world.now += 10 * 3_600_000;
        while self.world.affinity.sweep(Now(self.world.now), 10) == 10 {}
        let Gauges { conversations, spare, keys, .. } = self.world.affinity.gauges();
        if (conversations, spare, keys) != (0, 0, 0) || NODES.iter().any(|node| self.world.at(node) != 0) {
            self.fail("something stayed behind");
        }
    }

    /// A new client sends its first request, with or without an id of its own.
    fn begin(&mut self) {
        let id = self.next;
        self.next += 1;
        let own = self.random.one_in(2);
        let keys = if own { vec![format!("c:{id}")] } else { Vec::new() };
        let now = self.world.now;
        self.clients.insert(id, Client { keys, home: None, last_used: now, proved: false, confirmed: false });
        self.request(id);
    }

    fn begin_again(&mut self) {
        let ids: Vec<u64> = self.clients.keys().copied().collect();
        if !ids.is_empty() {
            let mut ids = ids;
            ids.sort_unstable();
            let id = ids[self.random.below(ids.len() as u64) as usize];
            self.request(id);
        }
    }

    fn request(&mut self, id: u64) {
        let client = &self.clients[&id];
        if client.keys.is_empty() && (client.home.is_some() || self.running.iter().any(|(own, _)| *own == id)) {
            // Without an id, a second request would be a session of its own.
            return;
        }
        let request = match client.keys.len() {
            0 => "-".to_owned(),
            n if self.random.one_in(3) => client.keys[n - 1..].join(" "),
            _ => client.keys.join(" "),
        };
        let protected = self.is_protected(id);
        let home_serves =
            client.home.and_then(|home| self.world.nodes.get(home)).is_some_and(|node| node.live.serves());
        match self.world.place(&request) {
            Ok(mut visit) => {
                let mut tried = Vec::new();
                // The connect fails now and then; a conversation that exists is given up only where nodes share.
                while self.random.one_in(8) && (!visit.is_pinned() || (self.failover && !home_serves)) {
                    tried.push(self.world.name(&visit));
                    let tried: Vec<&str> = tried.iter().map(String::as_str).collect();
                    if ["none", "busy"].contains(&self.world.replace(&mut visit, &request, &tried).as_str()) {
                        return;
                    }
                }
                while visit.commit(Now(self.world.now)).is_err() {}
                let client = self.clients.get_mut(&id).expect("it is there");
                if protected && home_serves && client.home != Some(visit.node()) {
                    self.fail(&format!("client {id} with {request} moved silently, code {}", visit.code()));
                }
                if !home_serves && visit.code() == Code::Moved {
                    client.home = Some(visit.node());
                }
                if matches!(visit.code(), Code::First | Code::Unknown | Code::Unpinned) {
                    // Its conversation is over: what nodes issued for that one means nothing any more.
                    client.keys.retain(|key| key.starts_with("c:"));
                    (client.home, client.proved, client.confirmed) = (None, false, false);
                }
                client.confirmed |= client.home.is_some() && visit.code() == Code::Pinned;
                client.last_used = self.world.now;
                self.running.push((id, visit));
            }
            Err(Refusal::SessionLost { .. }) if protected && home_serves => {
                self.fail(&format!("client {id} lost while its node serves"))
            }
            Err(Refusal::SessionLost { .. }) => drop(self.clients.remove(&id)),
            Err(Refusal::Busy { .. } | Refusal::AllBusy | Refusal::NoNode) => {}
            Err(refusal) => self.fail(&format!("unexpected: {refusal}")),
        }
    }

    /// Whether the promise covers this client: confirmed, used within its idle time.
    fn is_protected(&self, id: u64) -> bool {
        let client = &self.clients[&id];
        let running = self.running.iter().any(|(own, _)| *own == id);
        client.confirmed && client.proved && (running || self.world.now < client.last_used + 30 * 60_000)
    }

    /// One of the running requests is answered.
    fn end(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let (id, visit) = self.running.swap_remove(self.random.below(self.running.len() as u64) as usize);
        let node = visit.node();
        let code = visit.code();
        let more = self.running.iter().any(|(own, _)| *own == id);
        let Some(client) = self.clients.get_mut(&id) else {
            // The client has given up; so has the conversation.
            self.world.answer(visit, "silence");
            return;
        };
        client.last_used = self.world.now;
        let fresh = format!("s:{id}.{}", self.step);
        match self.random.below(10) {
            0 => drop(self.world.answer(visit, "fault")),
            1 => drop(self.world.answer(visit, "silence")),
            2 if !more => {
                self.world.answer(visit, "end");
                self.clients.remove(&id);
            }
            3 if !more => {
                self.world.answer(visit, "lost");
                self.clients.remove(&id);
            }
            4..7 => {
                let learning = self.world.answer(visit, &fresh);
                if learning.bound == 1 {
                    client.keys.push(fresh);
                    client.proved = true;
                    client.home.get_or_insert(node);
                }
            }
            _ => {
                self.world.answer(visit, "");
                // Only a request that was placed by the table proves where the state is.
                if !client.keys.is_empty() && matches!(code, Code::Pinned | Code::First | Code::Joined) {
                    client.home.get_or_insert(node);
                    client.proved = true;
                }
            }
        }
    }

    fn abort(&mut self) {
        let (_, visit) = self.running.swap_remove(0);
        drop(visit);
    }

    fn node_changes(&mut self) {
        let live = self.world.registry.machine("g", NODES[self.random.below(4) as usize]);
        match self.random.below(8) {
            0 if self.random.one_in(3) => drop(live.set_health(Health::Down)),
            1 => drop(live.set_admin(Admin::Drain)),
            2 if self.random.one_in(3) => drop(live.set_admin(Admin::Maint)),
            3 => live.eject_until(self.world.now + 10_000),
            4 | 5 => drop(live.set_admin(Admin::Ready)),
            _ => drop(live.set_health(Health::Up)),
        }
    }

    /// What must hold after every step.
    fn check(&mut self) {
        let affinity = &self.world.affinity;
        let Gauges { conversations, keys, hints, .. } = affinity.gauges();
        if conversations > CONVERSATIONS || keys > 200 || hints > 16 {
            self.fail("a limit is exceeded");
        }
        let counted: u64 = NODES.iter().map(|node| self.world.at(node)).sum();
        if counted > conversations as u64 {
            self.fail("nodes count conversations that are not there");
        }
        let running: u32 = self.world.registry.machines().iter().map(|live| live.requests()).sum();
        if running as usize != self.running.len() {
            self.fail("nodes count requests that do not run");
        }
        let mut seen = 0;
        affinity.inspect(|node, keys, phase_counts| {
            seen += usize::from(phase_counts);
            for key in keys {
                if affinity.find(*key).is_none_or(|conversation| conversation.node() != node) {
                    self.fail("a key does not lead to its conversation");
                }
            }
        });
        if seen as u64 != counted {
            self.fail(&format!("nodes count {counted} of {seen} conversations"));
        }
        if let Err(why) = self.mirror.agrees(&self.world) {
            self.fail(&format!("the journal told otherwise: {why}"));
        }
        let told = std::mem::take(&mut *self.mirror.told.lock());
        self.follower.apply(&told, self.world.now);
        if let Err(why) = self.follower.agrees(&self.world) {
            self.fail(&format!("who follows knows otherwise: {why}"));
        }
    }
}

#[test]
fn the_promises_hold_at_every_step_of_a_random_life() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("SIMULATION_SEEDS").unwrap_or(60),
    };
    for seed in seeds {
        Simulation::new(seed).run(600);
    }
}
