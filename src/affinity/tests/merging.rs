//! Two tables that both serve, each told what the other one binds, come to say the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::world::print;
use super::*;

/// What one table tells the other. What it applies itself it does not tell back.
#[derive(Debug, Default)]
struct Wire {
    told: Mutex<Vec<(u64, u64, Change)>>,
    applying: AtomicBool,
    /// Up to where the other table's changes are applied.
    known: AtomicU64,
}

impl Sink for Wire {
    fn tell(&self, position: u64, change: &Change) {
        if !self.applying.load(Relaxed) {
            self.told.lock().push((position, self.known.load(Relaxed), change.clone()));
        }
    }
}

/// One of the two.
struct Side {
    world: World,
    wire: Arc<Wire>,
    follower: Follower,
    succeeds: bool,
}

impl Side {
    fn new(nodes: &str, succeeds: bool) -> Self {
        let world = World::of(nodes);
        let wire = Arc::<Wire>::default();
        world.affinity.journal().attach(Arc::clone(&wire) as Arc<dyn Sink>);
        world.affinity.agree(true);
        let follower = Follower::new(Arc::clone(&world.affinity));
        Self { world, wire, follower, succeeds }
    }

    fn hear(&mut self, position: u64, known: u64, change: &Change) {
        let rule = if self.succeeds { Rule::UnlessLater(known) } else { Rule::Theirs(known) };
        self.wire.applying.store(true, Relaxed);
        self.follower.apply_by(change, rule, Now(self.world.now));
        self.wire.applying.store(false, Relaxed);
        self.wire.known.store(position, Relaxed);
    }
}

/// A process and its successor, with the same nodes.
struct Pair([Side; 2]);

impl Pair {
    fn of(nodes: &str) -> Self {
        Self([Side::new(nodes, false), Side::new(nodes, true)])
    }

    fn at_old(&mut self, script: &str) -> &mut Self {
        self.run(0, script)
    }

    fn at_new(&mut self, script: &str) -> &mut Self {
        self.run(1, script)
    }

    fn run(&mut self, side: usize, script: &str) -> &mut Self {
        self.0[side].world.run(script);
        let now = self.0.iter().map(|side| side.world.now).max().unwrap_or_default();
        self.0.iter_mut().for_each(|side| side.world.now = now);
        self
    }

    /// What the one has told reaches the other, `at_most` of it.
    fn deliver(&mut self, from: usize, at_most: usize) {
        let told: Vec<_> = {
            let mut told = self.0[from].wire.told.lock();
            let count = told.len().min(at_most);
            told.drain(..count).collect()
        };
        for (position, known, change) in told {
            self.0[1 - from].hear(position, known, &change);
        }
    }

    /// Everything that was told has arrived.
    fn meet(&mut self) -> &mut Self {
        self.deliver(0, usize::MAX);
        self.deliver(1, usize::MAX);
        assert!(self.0.iter().all(|side| side.wire.told.lock().is_empty()), "nothing echoes");
        self
    }

    /// The node of a key in each.
    fn nodes_of(&self, key: &str) -> [Option<String>; 2] {
        [0, 1].map(|side| {
            let world = &self.0[side].world;
            let conversation = world.affinity.find(print(key))?;
            world.registry.name(conversation.node()).map(|name| name.to_string())
        })
    }
}

#[test]
fn what_begins_in_either_goes_on_and_ends_in_both() {
    let mut pair = Pair::of("a b c");
    pair.at_old("- > s:1 = bal a").meet().at_new("s:1 > s:2 = pin a").meet().at_old("s:2 = pin a");
    pair.at_new("- > s:3 = bal *").meet().at_old("s:3 > s:4 = pin a").meet().at_new("s:4 = pin a");
    // It ends where it did not begin.
    pair.at_new("s:2 > end = pin a").meet().at_old("unknown s:1 s:2").at_new("unknown s:1 s:2");
    pair.at_old("s:4 > end = pin a").meet().at_old("unknown s:3 s:4").at_new("unknown s:3 s:4");
    let gauges = pair.0.each_ref().map(|side| side.world.affinity.gauges());
    assert_eq!(gauges.map(|gauges| (gauges.conversations, gauges.keys)), [(0, 0), (0, 0)]);
}

#[test]
fn an_id_that_comes_first_to_both_at_once_goes_to_one_node_and_is_one_conversation() {
    let mut pair = Pair::of("a b c d e");
    for id in 0..20 {
        let key = format!("c:{id}");
        pair.at_old(&format!("{key} = new *")).at_new(&format!("{key} = new *"));
        let [old, new] = pair.nodes_of(&key);
        assert_eq!(old, new, "{key}");
    }
    pair.meet();
    pair.at_old("c:1 > s:1 = pin *")
        .meet()
        .at_new("s:1 > end = pin *")
        .meet()
        .at_old("unknown c:1 s:1")
        .at_new("unknown c:1 s:1");
}

#[test]
fn what_both_bind_differently_at_once_is_as_the_successor_says() {
    let mut pair = Pair::of("a b");
    pair.at_old("drain b\nc:1 = new a").at_new("drain a\nc:1 = new b").meet();
    assert_eq!(pair.nodes_of("c:1"), [Some("b".to_owned()), Some("b".to_owned())]);
    // What the old process says knowing that holds.
    pair.at_old("ready b\n- > s:2 = bal a").meet();
    pair.at_new("ready a\ndrain b\nc:9 > s:9 = new a").meet().at_old("drain a\n- > s:9 = bal b").meet();
    assert_eq!(pair.nodes_of("s:9"), [Some("b".to_owned()), Some("b".to_owned())]);
}

#[test]
fn what_is_in_flight_in_one_for_long_does_not_expire_in_the_other() {
    let mut pair = Pair::of("a b");
    pair.at_old("- > s:1 = bal a").meet();
    let visit = pair.0[0].world.place("s:1").expect("a node");
    for _ in 0..50 {
        pair.at_old("wait 1m").meet();
        let now = Now(pair.0[0].world.now);
        assert_eq!(pair.0[0].world.affinity.tell_use(0, 100, now), None);
        pair.meet();
        for side in &pair.0 {
            side.world.affinity.sweep(now, 100);
        }
        pair.meet();
    }
    pair.at_new("s:1 = pin a");
    drop(visit);
}

/// xorshift64*.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % count
    }
}

/// `MERGING_SEEDS` sets how many lives there are.
#[test]
fn whatever_happens_both_tables_say_the_same_in_the_end() {
    let seeds = std::env::var("MERGING_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let mut wrong = Vec::new();
    for seed in 1..seeds {
        let mut dice = Dice(seed * 0x9e37_79b9);
        let mut pair = Pair::of("a b c");
        for _ in 0..60 {
            let side = dice.below(2) as usize;
            // Answers wait for what they bind, so seldom is much under way.
            if dice.below(3) == 0 {
                pair.meet();
            }
            match dice.below(8) {
                0 | 1 => pair.deliver(side, 1 + dice.below(4) as usize),
                2 => {
                    let node = ["a", "b", "c"][dice.below(3) as usize];
                    let state = ["drain", "ready", "ready"][dice.below(3) as usize];
                    pair.run(0, &format!("{state} {node}")).run(1, &format!("{state} {node}"));
                }
                _ => {
                    let request = match dice.below(3) {
                        0 => "-".to_owned(),
                        1 => format!("c:{}", dice.below(6)),
                        _ => format!("s:{}{}", ["a", "b", "c"][dice.below(3) as usize], dice.below(3)),
                    };
                    let answer = match dice.below(6) {
                        0 => "end".to_owned(),
                        1 => "fault".to_owned(),
                        2 | 3 => "id".to_owned(),
                        _ => String::new(),
                    };
                    pair.0[side].world.now += 1;
                    let world = &mut pair.0[side].world;
                    if let Ok(mut visit) = world.place(&request) {
                        visit.commit(Now(world.now)).expect("nobody else moves it");
                        // Nodes issue ids of their own.
                        let id = format!("s:{}{}", world.name(&visit), dice.below(3));
                        let answer = if answer == "id" { id } else { answer };
                        world.answer(visit, &answer);
                    }
                    pair.run(side, "");
                }
            }
        }
        pair.meet();
        for id in 0..6 {
            for key in [format!("c:{id}"), format!("s:a{id}"), format!("s:b{id}"), format!("s:c{id}")] {
                let [old, new] = pair.nodes_of(&key);
                if !(old == new || old.is_none() || new.is_none()) {
                    wrong.push(format!("seed {seed}: {key} is {old:?}'s and {new:?}'s"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {seeds}:\n{}", wrong.len(), wrong.join("\n"));
}
