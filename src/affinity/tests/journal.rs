//! What the journal tells is the table, and a table that follows it serves the same.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::*;
use crate::affinity::conversation::Phase;
use crate::session::Fingerprint;
use crate::upstream::Registry;

/// Keeps what it is told: the latest record of each number, and every change.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    pub records: Mutex<HashMap<u32, Record>>,
    pub told: Mutex<Vec<Change>>,
    settled: AtomicU64,
}

impl Sink for Mirror {
    fn tell(&self, _: u64, change: &Change) {
        match change.what {
            What::Gone { .. } => drop(self.records.lock().remove(&change.record.id)),
            _ => drop(self.records.lock().insert(change.record.id, change.record.clone())),
        }
        self.told.lock().push(change.clone());
    }

    fn settled(&self) -> u64 {
        self.settled.load(Relaxed)
    }
}

impl Mirror {
    /// Told of everything from now on.
    pub fn of(world: &World) -> Arc<Self> {
        let mirror = Arc::<Self>::default();
        world.affinity.journal().attach(Arc::clone(&mirror) as Arc<dyn Sink>);
        mirror
    }

    /// Whether every conversation of the table is as it was told.
    pub fn agrees(&self, world: &World) -> Result<(), String> {
        let records = self.records.lock();
        let mut found = 0;
        for conversation in world.affinity.roll.all() {
            let state = conversation.lock();
            let Some(record) = records.get(&state.slot) else {
                if state.keys.is_empty() {
                    continue;
                }
                return Err(format!("{:?} was not told", state.keys));
            };
            found += 1;
            let stage = match state.phase {
                Phase::Lingering => Stage::Lingering,
                Phase::Lost => Stage::Lost,
                _ => Stage::Live,
            };
            let name = world.registry.name(state.node);
            let same = name.as_deref() == Some(&record.node)
                && sorted(state.keys.iter().map(|key| key.fingerprint())) == sorted(record.keys.iter().copied())
                && (stage, state.confirmed, state.moved) == (record.stage, record.confirmed, record.moved)
                && (state.created, state.max, state.idle) == (record.created.0, record.max, record.idle)
                && state.last_used.abs_diff(record.last_used.0) <= 120_000 + 60 * 60_000 * u64::from(state.in_flight);
            if !same {
                return Err(format!("{state:?} was told as {record:?}"));
            }
        }
        if found == records.len() { Ok(()) } else { Err(format!("{} were told, {found} are there", records.len())) }
    }
}

fn sorted(keys: impl Iterator<Item = Fingerprint>) -> Vec<u128> {
    let mut keys: Vec<u128> = keys.map(|key| key.0).collect();
    keys.sort_unstable();
    keys
}

/// Another process that follows.
pub(super) struct Other {
    registry: Arc<Registry>,
    affinity: Arc<Affinity>,
    follower: Follower,
    now: u64,
}

impl Default for Other {
    fn default() -> Self {
        let registry = Registry::new();
        // Other numbers for the same nodes.
        registry.machine("g", "z");
        let affinity = Affinity::new(Limits::default(), Arc::clone(&registry));
        let follower = Follower::new(Arc::clone(&affinity));
        Self { registry, affinity, follower, now: 0 }
    }
}

impl Other {
    pub fn apply(&mut self, changes: &[Change], now: u64) {
        self.now = now;
        for change in changes {
            self.follower.apply(change, Now(now));
        }
    }

    /// Whether whatever serves there is served here, by the same node, and whatever is gone there is gone here.
    pub fn agrees(&self, world: &World) -> Result<(), String> {
        let mut there = 0;
        for conversation in world.affinity.roll.all() {
            let state = conversation.lock();
            // One that is in use there does not look idle to itself only.
            if state.is_over(Now(self.now)) || state.in_flight > 0 {
                there += state.keys.len();
                continue;
            }
            let name = world.registry.name(state.node);
            for key in state.keys.iter().map(|key| key.fingerprint()) {
                there += 1;
                let Some(own) = self.affinity.find(key) else { return Err(format!("{key:?} is not known")) };
                if self.registry.name(own.node()) != name {
                    return Err(format!("{key:?} is another node's"));
                }
                if own.lock().is_over(Now(self.now)) {
                    return Err(format!("{key:?} is over already at {}: {:?}\nthere {state:?}", self.now, *own.lock()));
                }
            }
        }
        let here = self.affinity.gauges().keys;
        if here <= there { Ok(()) } else { Err(format!("{here} keys here, {there} there")) }
    }
}

/// A table that has read the records, in the order of their numbers.
fn restored(mirror: &Mirror, now: u64, limits: Limits) -> (World, Restored) {
    let mut world = World::with("a b c", limits);
    world.now = now;
    let mut records: Vec<Record> = mirror.records.lock().values().cloned().collect();
    records.sort_by_key(|record| record.id);
    let came = world.affinity.restore(records, Now(now));
    (world, came)
}

#[test]
fn what_was_told_is_restored_under_the_same_numbers() {
    let mut world = World::of("a b c").policy(|policy| policy.linger = world::duration("1m"));
    let mirror = Mirror::of(&world);
    world.run("c:1 > s:1 = new a\ns:1 > s:1b = pin a\n- > s:2 = bal b\ns:2 > end = pin b\n- > s:3 = bal c");
    let (mut again, came) = restored(&mirror, world.now + 1_000, Limits::default());
    assert_eq!((came.conversations, came.keys, came.homeless, came.stale.len()), (3, 5, 0, 0), "{came:?}");
    again.run("s:1 = pin a\nc:1 = pin a\ns:1b = pin a\ns:2 = linger b\ns:3 = pin c");
    let gauges = again.affinity.gauges();
    assert_eq!((gauges.conversations, gauges.keys), (3, 5));
    assert_eq!((again.at("a"), again.at("b"), again.at("c")), (1, 1, 1), "who uses an ended one anew revives it");
    // Its confirmed one stays, whatever comes.
    assert_eq!(world.affinity.roll.some(0, 99).0.len(), 3);
}

#[test]
fn threads_that_restore_at_once_give_everybody_the_same_numbers() {
    let mut world = World::of("a b c");
    let mirror = Mirror::of(&world);
    for id in 0..300 {
        world.run(&format!("c:{id} > s:{id} = new *"));
    }
    // Some have gone, so that their numbers are free.
    world.run("s:7 > end = pin *\ns:150 > end = pin *\ns:299 > end = pin *");
    let mut records: Vec<Record> = mirror.records.lock().values().cloned().collect();
    records.sort_by_key(|record| std::cmp::Reverse(record.id));
    let mut again = World::of("a b c");
    again.now = world.now;
    let refill = again.affinity.refill(299, 600, Now(world.now));
    std::thread::scope(|scope| {
        for part in records.chunks(20) {
            scope.spawn(|| refill.enter(part));
        }
    });
    let came = refill.finish();
    assert_eq!((came.conversations, came.keys, came.stale.len(), came.renumbered), (297, 594, 0, false), "{came:?}");
    again.run("s:1 = pin *\nc:298 = pin *\nunknown s:7 c:150 s:299");
    // Whoever comes gets a number that is free.
    again.run("- > s:a = bal *\n- > s:b = bal *\n- > s:c = bal *\nwait 1s\ns:a = pin *");
    assert_eq!(again.affinity.gauges().conversations, 300);
    assert_eq!(again.affinity.roll.some(0, 1_000).0.len(), 300);
}

#[test]
fn the_numbers_of_those_that_are_left_out_are_told() {
    let mut world = World::of("a b c");
    let mirror = Mirror::of(&world);
    world.run("- > s:1 = bal a\nwait 20m\n- > s:2 = bal b\n- > s:3 = bal c");
    let (mut again, came) = restored(&mirror, world.now + 15 * 60_000, Limits::default());
    assert_eq!((came.conversations, came.expired, came.stale.as_slice()), (2, 1, &[0_u32][..]), "{came:?}");
    again.run("unknown s:1\ns:2 = pin b\ns:3 = pin c");
    // Their numbers are free for others.
    again.run("- > s:4 = bal a");
    assert_eq!(again.affinity.roll.some(0, 1).0.len(), 1);

    let limits = Limits { max_conversations: 1, ..Limits::default() };
    let (_, came) = restored(&mirror, world.now, limits);
    assert_eq!((came.conversations, came.full), (1, 2), "{came:?}");
}

#[test]
fn a_node_that_is_no_longer_configured_is_remembered() {
    let mut world = World::of("a b c d");
    let mirror = Mirror::of(&world);
    world.run("- > s:1 = bal a\n- > s:2 = bal b\n- > s:3 = bal c\n- > s:4 = bal d");
    let (mut again, came) = restored(&mirror, world.now, Limits::default());
    assert_eq!((came.conversations, came.homeless), (4, 1), "{came:?}");
    again.run("s:4 = lost\ns:1 = pin a");
}

#[test]
fn a_clock_that_went_back_makes_nobody_live_for_ever() {
    let mut world = World::of("a b c");
    let mirror = Mirror::of(&world);
    world.run("- > s:1 = bal a");
    let (mut again, came) = restored(&mirror, world.now - 500_000, Limits::default());
    assert_eq!(came.conversations, 1);
    again.run("s:1 = pin a\nwait 31m\ns:1 = unknown *");
}

#[test]
fn steady_use_is_told_once_a_minute_and_survives() {
    let mut world = World::of("a b c");
    let mirror = Mirror::of(&world);
    world.run("- > s:1 = bal a\ns:1 = pin a");
    let before = mirror.told.lock().len();
    for _ in 0..600 {
        world.run("wait 1s\ns:1 = pin a");
    }
    let told = mirror.told.lock().len() - before;
    assert!((8..=11).contains(&told), "{told} times in ten minutes");
    world.run("wait 29m");
    let (mut again, _) = restored(&mirror, world.now, Limits::default());
    again.run("s:1 = pin a");
    // What was restored is told on.
    let mirror = Mirror::of(&again);
    again.run("wait 2m\ns:1 = pin a");
    assert_eq!(mirror.told.lock().len(), 1);
}

#[test]
fn the_whole_table_is_walked_in_steps() {
    let mut world = World::of("a b c");
    for id in 0..50 {
        world.run(&format!("- > s:{id} = bal *"));
    }
    let mirror = Mirror::default();
    let (mut from, mut steps) = (Some(0), 0);
    while let Some(next) = from {
        from = world.affinity.walk(next, 7, &mirror);
        steps += 1;
    }
    assert_eq!(steps, 8);
    mirror.agrees(&world).expect("it has seen all");
    let mut other = Other::default();
    other.apply(&mirror.told.lock(), world.now);
    other.agrees(&world).expect("it serves all");
}

#[test]
fn a_change_is_waited_for_until_it_is_settled() {
    let mut world = World::of("a b c");
    let cx = Context::from_waker(Waker::noop());
    let mirror = Mirror::of(&world);
    let visit = world.place("c:1").expect("there are nodes");
    let position = visit.unsettled().expect("it was just told");
    let journal = world.affinity.journal();
    assert_eq!(journal.poll_settled(&cx, position), Poll::Pending);
    mirror.settled.store(position, Relaxed);
    journal.progressed();
    assert_eq!(journal.poll_settled(&cx, position), Poll::Ready(()));
    assert_eq!(visit.unsettled(), None);
    let sink = Arc::clone(&mirror) as Arc<dyn Sink>;
    drop(visit);
    journal.detach(&sink);
    assert!(!journal.is_on() && journal.is_settled(u64::MAX));
}

#[test]
fn who_follows_keeps_what_it_has_learnt_itself() {
    let mut world = World::of("a b c");
    let mirror = Mirror::of(&world);
    let mut other = Other::default();
    let mut follow = |world: &World| {
        let told = std::mem::take(&mut *mirror.told.lock());
        other.apply(&told, world.now);
        Arc::clone(&other.affinity)
    };
    world.run("- > s:1 = bal a");
    let affinity = follow(&world);
    let nodes = world::node_set(&affinity.registry, "a b c", crate::upstream::Balance::RoundRobin);
    let mut second = World { registry: Arc::clone(&affinity.registry), affinity, nodes, ..World::of("a") };
    second.now = world.now;
    second.run("s:1 > s:here = pin a");
    world.run("s:1 > s:there = pin a");
    follow(&world);
    second.run("s:1 = pin a\ns:here = pin a\ns:there = pin a");
    // Idle there, in use here.
    second.run("wait 29m\ns:here = pin a\nwait 2m");
    world.run("wait 31m");
    while world.affinity.sweep(Now(world.now), 10) == 10 {}
    assert_eq!(world.affinity.gauges().conversations, 0);
    follow(&world);
    second.run("s:there = pin a");
}
