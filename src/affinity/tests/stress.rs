//! Threads against one table.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

use super::world::{node_set, print, request_keys};
use super::*;
use crate::session::{Learnt, LearntKey, NameTag};
use crate::upstream::{Balance, NodeId, NodeSet, Registry};

const THREADS: u64 = 8;

fn nodes(registry: &Registry) -> NodeSet {
    let registered = node_set(registry, "a b c d", Balance::RoundRobin);
    let specs = registered.nodes().iter().map(|node| {
        let mut spec = crate::upstream::NodeSpec::new(Arc::clone(&node.live));
        spec.limits.requests = 0;
        spec
    });
    NodeSet::new(Balance::RoundRobin, specs.collect())
}

/// Eight threads send the first requests of the same ids at the same time; a connect fails whenever `fails` says so for
/// thread, id and node. Returns on which nodes the requests of each id were committed.
fn first_contact(
    ids: u64,
    request: impl Fn(u64, u64) -> String + Sync,
    fails: impl Fn(u64, u64, NodeId) -> bool + Sync,
) -> (Arc<Affinity>, Vec<u64>) {
    let registry = Registry::new();
    let nodes = nodes(&registry);
    let affinity = Affinity::new(Limits::default(), registry);
    let policy = Policy::default();
    let barrier = Barrier::new(THREADS as usize);
    let refused = AtomicU64::new(0);
    let used: Vec<AtomicU64> = (0..ids).map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (affinity, nodes, policy, barrier) = (&affinity, &nodes, &policy, &barrier);
            let (used, refused, request, fails) = (&used, &refused, &request, &fails);
            scope.spawn(move || {
                for id in 0..ids {
                    let text = request(thread, id);
                    let keys = request_keys(&text);
                    if id % 64 == 0 {
                        barrier.wait();
                    }
                    let mut tried: Vec<NodeId> = Vec::new();
                    let ask = Ask {
                        keys: &keys,
                        nodes,
                        policy,
                        tried: &[],
                        proposal: None,
                        held: None,
                        now: Now(id),
                        random: id,
                    };
                    // No panic here: the others would wait at the barrier for ever.
                    let Ok(mut visit) = affinity.place(&ask) else {
                        refused.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    loop {
                        if fails(thread, id, visit.node()) && tried.len() < 3 && !visit.is_pinned() {
                            tried.push(visit.node());
                            if visit.replace(&Ask { tried: &tried, ..ask }).is_err() {
                                refused.fetch_add(1, Ordering::Relaxed);
                                break;
                            }
                        } else if visit.commit(Now(id)).is_ok() {
                            used[id as usize].fetch_or(1 << visit.node().index(), Ordering::Relaxed);
                            break;
                        }
                    }
                    visit.finish(End::of(Outcome::Success), policy, Now(id));
                }
            });
        }
    });
    assert_eq!(refused.into_inner(), 0, "nodes were there for all");
    (affinity, used.into_iter().map(AtomicU64::into_inner).collect())
}

fn check_single(used: &[u64]) {
    let split: Vec<_> = used.iter().enumerate().filter(|(_, nodes)| nodes.count_ones() != 1).collect();
    assert!(split.is_empty(), "{} of {} ids reached several nodes: {split:?}", split.len(), used.len());
}

#[test]
fn first_contact_is_single_for_one_key() {
    let (affinity, used) = first_contact(4_000, |_, id| format!("c:{id}"), |_, _, _| false);
    check_single(&used);
    assert_eq!((affinity.gauges().conversations, affinity.gauges().keys), (4_000, 4_000));
}

#[test]
fn first_contact_is_single_for_overlapping_sets_of_keys() {
    // All carry the middle key; who carries which of the others, and in which order, differs by thread.
    let request = |thread: u64, id: u64| match thread % 4 {
        0 => format!("c:{id}m c:{id}x"),
        1 => format!("c:{id}x c:{id}m c:{id}y"),
        2 => format!("c:{id}m"),
        _ => format!("c:{id}z c:{id}y c:{id}m"),
    };
    let (affinity, used) = first_contact(3_000, request, |_, _, _| false);
    check_single(&used);
    assert_eq!(affinity.gauges().conversations, 3_000);
    assert_eq!(affinity.gauges().keys, 12_000);
}

#[test]
fn first_contact_is_single_while_connects_fail() {
    let fails = |thread: u64, id: u64, node: NodeId| (thread + id + node.index() as u64).is_multiple_of(3);
    let (_, used) = first_contact(4_000, |_, id| format!("c:{id}"), fails);
    check_single(&used);
    let (_, used) = first_contact(2_000, |thread, id| format!("c:{id} c:{id}.{}", thread % 2), fails);
    check_single(&used);
}

#[test]
fn a_small_table_keeps_its_bounds_and_counts_under_threads() {
    let registry = Registry::new();
    let nodes = nodes(&registry);
    let limits = Limits { max_conversations: 50, max_keys: 120, max_hints: 20, when_full: WhenFull::ServeUnpinned };
    let affinity = Affinity::new(limits, Arc::clone(&registry));
    let policy = Policy { idle: world::duration("50ms"), ..Policy::default() };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (affinity, nodes, policy) = (&affinity, &nodes, &policy);
            scope.spawn(move || {
                let mut random = thread + 1;
                let mut draw = |n: u64| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (random >> 33) % n
                };
                for step in 0..20_000u64 {
                    let now = Now(step / 16);
                    let text = format!("c:{} s:{} w:{}", draw(40), draw(200), draw(30));
                    let keys = request_keys(&text);
                    let ask =
                        Ask { keys: &keys, nodes, policy, tried: &[], proposal: None, held: None, now, random: step };
                    let Ok(mut visit) = affinity.place(&ask) else { continue };
                    if draw(10) == 0 {
                        let tried = [visit.node()];
                        if visit.replace(&Ask { tried: &tried, ..ask }).is_err() {
                            continue;
                        }
                    }
                    while visit.commit(now).is_err() {}
                    let fingerprint = print(&format!("s:{}", draw(200)));
                    if draw(2) == 0 {
                        visit.learn(
                            &[LearntKey { rule: 0, fingerprint, kind: Learnt::Pin, name: NameTag::default() }],
                            policy,
                            now,
                        );
                    }
                    let outcome = [Outcome::Success, Outcome::Success, Outcome::Failure, Outcome::NoAnswer];
                    let end = End { lost: draw(20) == 0, ended: draw(20) == 0, ..End::of(outcome[draw(4) as usize]) };
                    if draw(30) > 0 {
                        visit.finish(end, policy, now);
                    }
                    let Gauges { conversations, keys, hints, .. } = affinity.gauges();
                    assert!(conversations <= 50 && keys <= 120 && hints <= 20);
                }
            });
        }
    });
    while affinity.sweep(Now(10_000_000), 100) == 100 {}
    let Gauges { conversations, spare, keys, .. } = affinity.gauges();
    assert_eq!((conversations, spare, keys), (0, 0, 0));
    for live in registry.machines() {
        assert_eq!((live.conversations(), live.requests()), (0, 0), "{}", live.name());
    }
}
