//! What the table of conversations costs: memory of a million conversations of two keys, time of look-ups and exchanges.
//!
//! `cargo run --release --example affinity_cost`

use std::sync::Arc;

use castile::affinity::{Affinity, Ask, End, Limits, Now, Outcome, Policy};
use castile::session::{Fingerprint, Learnt, LearntKey, NameTag, PinKey, RequestKeys};
use castile::upstream::{Balance, NodeSet, NodeSpec, Registry};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MILLION: u64 = 1_000_000;

fn main() {
    let registry = Registry::new();
    let specs = ["a", "b", "c", "d"].map(|name| {
        let mut spec = NodeSpec::new(registry.machine("g", name));
        spec.limits.requests = 0;
        spec
    });
    let nodes = NodeSet::new(Balance::RoundRobin, specs.into());
    let affinity = Affinity::new(Limits { max_conversations: 3_000_000, ..Limits::default() }, registry);
    let bench = Bench { affinity, nodes, policy: Policy::default() };

    bench.cost("pinned exchange, one conversation", 2 * MILLION, 1, |bench, _| bench.pinned(0));
    bench.cost("look-up, one conversation", 2 * MILLION, 1, |bench, _| {
        let found = bench.affinity.find(key(0, 0));
        assert!(std::hint::black_box(found).is_some());
    });
    for conversations in [100_000, MILLION] {
        let before = rss();
        let begun = bench.affinity.gauges().conversations as u64;
        bench.cost("first exchange, one key reserved, one learnt", conversations - begun, 1, |bench, i| {
            bench.first(begun + i)
        });
        let bytes = (rss() - before) as f64 / (conversations - begun) as f64;
        println!("{:>60}", format!("{:?}", bench.affinity.gauges()));
        println!("{:>60}", format!("{bytes:.0} bytes a conversation of two keys"));
        bench.cost("look-up at random", 2 * MILLION, 1, |bench, i| {
            assert!(bench.affinity.find(key(shuffle(i) % conversations, 0)).is_some());
        });
        bench.cost("pinned exchange at random", 2 * MILLION, 1, |bench, i| bench.pinned(shuffle(i) % conversations));
        bench.cost("pinned exchange at random, 2 threads", 2 * MILLION, 2, |bench, i| {
            bench.pinned(shuffle(i) % conversations);
        });
    }
    bench.cost("first exchange in a full table", MILLION, 1, {
        let limits = Limits { max_conversations: 1_000_000, ..Limits::default() };
        bench.affinity.set_limits(limits);
        |bench, i| bench.first(10 * MILLION + i)
    });
    println!("{:>60}", format!("{:?}", bench.affinity.gauges()));
    bench.cost("unpinned exchange (balancer alone)", 2 * MILLION, 1, |bench, _| bench.unpinned());
    bench.cost("unpinned exchange, 2 threads", 2 * MILLION, 2, |bench, _| bench.unpinned());
}

struct Bench {
    affinity: Arc<Affinity>,
    nodes: NodeSet,
    policy: Policy,
}

impl Bench {
    fn cost(&self, what: &str, n: u64, threads: u64, f: impl Fn(&Self, u64) + Sync) {
        let start = cpu();
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let f = &f;
                scope.spawn(move || (thread..n).step_by(threads as usize).for_each(|i| f(self, i)));
            }
        });
        let nanos = (cpu() - start) as f64 / n as f64;
        println!("{what:>45}: {nanos:7.0} ns of CPU, {} MiB resident", rss() >> 20);
    }

    fn exchange(&self, keys: &RequestKeys, learnt: &[LearntKey]) {
        let ask = Ask {
            keys,
            nodes: &self.nodes,
            policy: &self.policy,
            tried: &[],
            proposal: None,
            held: None,
            now: Now(1),
            random: 1,
        };
        let mut visit = self.affinity.place(&ask).expect("a node serves");
        visit.commit(Now(1)).expect("nobody moves it");
        if !learnt.is_empty() {
            visit.learn(learnt, &self.policy, Now(1));
        }
        visit.finish(End::of(Outcome::Success), &self.policy, Now(1));
    }

    fn first(&self, i: u64) {
        let learnt = LearntKey { rule: 0, fingerprint: key(i, 1), kind: Learnt::Pin, name: NameTag::default() };
        self.exchange(&one(key(i, 0), true), &[learnt]);
    }

    fn pinned(&self, i: u64) {
        self.exchange(&one(key(i, 0), true), &[]);
    }

    fn unpinned(&self) {
        self.exchange(&RequestKeys::default(), &[]);
    }
}

fn one(fingerprint: Fingerprint, client_issued: bool) -> RequestKeys {
    let mut keys = RequestKeys::default();
    keys.pins.push(PinKey { rule: 0, fingerprint, client_issued, name: NameTag::default() });
    keys
}

fn key(i: u64, n: u64) -> Fingerprint {
    Fingerprint(u128::from(shuffle(2 * i + n)) << 64 | u128::from(shuffle(!(2 * i + n))))
}

fn shuffle(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// CPU time of this process in nanoseconds, in steps of 10 ms; true on a busy machine too.
fn cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = text.split(' ').skip(13).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
    ticks.sum::<u64>() * 10_000_000
}

/// Resident bytes of this process.
fn rss() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}
