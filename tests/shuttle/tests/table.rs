//! The table of conversations under every order of threads that shuttle can think of.
//!
//! Each test is led through `SHUTTLE_ITERATIONS` (500) random orders and as many of the few-preemptions kind, which find rare
//! races sooner. A failure prints a schedule; `shuttle::replay(test, "...")` repeats it.

mod world;

use std::sync::Arc;

use castile_shuttle::affinity::{Code, Limits, Outcome, WhenFull};
use castile_shuttle::upstream::NodeId;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::Mutex;
use shuttle::thread;
use shuttle::{Config, Runner};
use world::{Told, World, finish};

/// Preemptions that the second kind of scheduler places.
const PREEMPTIONS: usize = 4;

fn lead(test: impl Fn() + Send + Sync + Clone + 'static) {
    let runs = std::env::var("SHUTTLE_ITERATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(500);
    let mut config = Config::new();
    // The loop of a placement ends only because others get on.
    config.max_steps = shuttle::MaxSteps::FailAfter(200_000);
    Runner::new(RandomScheduler::new(runs), config.clone()).run(test.clone());
    Runner::new(PctScheduler::new(PREEMPTIONS, runs), config).run(test);
}

fn roomy() -> Limits {
    Limits { max_hints: 8, ..Limits::default() }
}

fn spawn_all(threads: Vec<Box<dyn FnOnce() + Send>>) {
    let handles: Vec<_> = threads.into_iter().map(thread::spawn).collect();
    for handle in handles {
        handle.join().expect("threads end");
    }
}

/// Three first requests of one client; connects fail as told. All that are sent must be sent to one node.
fn first_contact(requests: [&'static str; 3], fails: fn(usize, NodeId) -> bool) {
    let world = World::new(roomy());
    let sent: Arc<Mutex<Vec<NodeId>>> = Arc::default();
    let threads = requests.into_iter().enumerate().map(|(number, request)| {
        let (world, sent) = (world.clone(), Arc::clone(&sent));
        Box::new(move || {
            let Ok(mut visit) = world.place(request) else { return };
            let mut tried = Vec::new();
            loop {
                if fails(number, visit.node()) && !visit.is_pinned() && tried.len() < 2 {
                    tried.push(visit.node());
                    if world.replace(&mut visit, request, &tried).is_err() {
                        return;
                    }
                } else if visit.commit(world.now()).is_ok() {
                    break;
                }
            }
            sent.lock().expect("no poison").push(visit.node());
            finish(&world, visit, Outcome::Success, false);
        }) as Box<dyn FnOnce() + Send>
    });
    spawn_all(threads.collect());
    let sent = sent.lock().expect("no poison").clone();
    assert!(sent.windows(2).all(|two| two[0] == two[1]), "one id reached several nodes: {sent:?}");
    world.check_at_rest();
}

#[test]
fn first_contact_is_single() {
    lead(|| first_contact(["c:a"; 3], |_, _| false));
    lead(|| first_contact(["c:a c:b", "c:b c:c", "c:b"], |_, _| false));
}

#[test]
fn first_contact_is_single_while_connects_fail() {
    lead(|| first_contact(["c:a"; 3], |thread, node| (thread + node.index()).is_multiple_of(2)));
    lead(|| first_contact(["c:a c:b", "c:b", "c:b c:a"], |_, node| node.index() == 0));
}

#[test]
fn a_key_bound_while_its_conversation_ends_is_never_left_behind() {
    lead(|| {
        let world = World::new(roomy());
        world.exchange("-", "s:1", Outcome::Success);
        let threads: Vec<Box<dyn FnOnce() + Send>> = vec![
            Box::new({
                let world = world.clone();
                move || {
                    let visit = world.sent("s:1");
                    finish(&world, visit, Outcome::Success, true);
                }
            }),
            Box::new({
                let world = world.clone();
                move || {
                    let mut visit = world.sent("s:1");
                    world.learn(&mut visit, "s:2");
                    finish(&world, visit, Outcome::Success, false);
                }
            }),
            Box::new({
                let world = world.clone();
                move || {
                    world.exchange("s:1 c:own", "", Outcome::Failure);
                }
            }),
        ];
        spawn_all(threads);
        world.check_at_rest();
    });
}

#[test]
fn a_sweep_takes_nothing_that_is_used() {
    lead(|| {
        let world = World::new(roomy());
        world.exchange("-", "s:1", Outcome::Success);
        world.wait(world::IDLE - 1);
        let used = {
            let world = world.clone();
            thread::spawn(move || {
                let visit = world.sent("s:1");
                let is_pinned = visit.code() == Code::Pinned;
                if is_pinned {
                    assert!(world.is_known("s:1"), "a conversation in use has gone");
                }
                finish(&world, visit, Outcome::Success, false);
                is_pinned
            })
        };
        let sweeper = {
            let world = world.clone();
            thread::spawn(move || {
                world.wait(2);
                world.sweep();
            })
        };
        let is_pinned = used.join().expect("it ends");
        sweeper.join().expect("it ends");
        assert_eq!(world.is_known("s:1"), is_pinned, "used, or swept away, but not both");
        world.check_at_rest();
    });
}

#[test]
fn a_full_table_pushes_out_no_confirmed_conversation() {
    lead(|| {
        let limits = Limits { max_conversations: 2, max_keys: 6, max_hints: 4, when_full: WhenFull::ServeUnpinned };
        let world = World::new(limits);
        world.exchange("-", "s:1", Outcome::Success);
        let confirming = {
            let world = world.clone();
            thread::spawn(move || {
                let mut was_pinned = false;
                for _ in 0..2 {
                    let told = world.exchange("s:1", "", Outcome::Success);
                    let is_pinned = told == Told::Code(Code::Pinned);
                    assert!(!was_pinned || is_pinned, "confirmed, and pushed out all the same");
                    was_pinned = is_pinned;
                }
            })
        };
        let flood = ["c:x", "c:y"].map(|id| {
            let world = world.clone();
            thread::spawn(move || {
                world.exchange(id, "", Outcome::Success);
                world.exchange("-", &format!("s:{id}"), Outcome::Success);
            })
        });
        confirming.join().expect("it ends");
        flood.into_iter().for_each(|thread| thread.join().expect("it ends"));
        world.check_at_rest();
    });
}

#[test]
fn an_id_issued_twice_leads_to_one_conversation() {
    lead(|| {
        let world = World::new(roomy());
        let threads = (0..3).map(|number| {
            let world = world.clone();
            Box::new(move || {
                world.exchange(&format!("c:{number}"), "s:same", Outcome::Success);
                world.exchange("s:same", "", Outcome::Success);
            }) as Box<dyn FnOnce() + Send>
        });
        spawn_all(threads.collect());
        world.check_at_rest();
    });
}

fn random_life(time_passes: bool) {
    let limits = Limits { max_conversations: 4, max_keys: 10, max_hints: 4, when_full: WhenFull::ServeUnpinned };
    let world = World::new(limits);
    let threads = (0..3).map(|_| {
        let world = world.clone();
        Box::new(move || {
            for _ in 0..4 {
                world.something(time_passes);
            }
        }) as Box<dyn FnOnce() + Send>
    });
    spawn_all(threads.collect());
    if !time_passes {
        world.check_copy();
    }
    world.check_at_rest();
}

#[test]
fn nothing_is_left_of_a_random_life() {
    lead(|| random_life(true));
}

#[test]
fn who_follows_a_random_life_knows_the_same() {
    lead(|| random_life(false));
}
