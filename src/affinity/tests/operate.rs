//! What operators do, under requests in flight.

use std::ops::ControlFlow;

use super::world::print;
use super::*;

#[test]
fn a_moved_conversation_takes_all_its_keys_along() {
    let mut world = World::of("a b");
    check(&mut world, "> s:1 s:2 = bal a \n s:1 = pin a");
    let conversation = world.affinity.find(print("s:1")).expect("it is bound");
    let b = world.registry.machine("g", "b").id();
    let moved = world.affinity.relocate(&conversation, b, Now(world.now)).expect("it lives");
    assert_eq!((moved.keys, moved.in_flight), (2, 0));
    assert_eq!((world.at("a"), world.at("b"), world.count("relocated")), (0, 1, 1));
    check(&mut world, "s:1 = pin b \n s:2 = pin b");
    world.affinity.relocate(&conversation, b, Now(world.now));
    assert_eq!(world.count("relocated"), 1, "it was there already");
}

#[test]
fn what_has_written_nothing_follows_a_move_and_what_has_ends_where_it_is() {
    let mut world = World::of("a b");
    check(&mut world, "> s:1 = bal a");
    let conversation = world.affinity.find(print("s:1")).expect("it is bound");
    let b = world.registry.machine("g", "b").id();
    let mut written = world.place("s:1").expect("it is served");
    written.commit(Now(world.now)).expect("nothing has moved");
    let mut waiting = world.place("s:1").expect("it is served");
    let moved = world.affinity.relocate(&conversation, b, Now(world.now)).expect("it lives");
    assert_eq!(moved.in_flight, 2);
    assert_eq!(waiting.commit(Now(world.now)), Err(b));
    assert_eq!(world.name(&written), "a");
    world.answer(written, "s:3");
    world.answer(waiting, "");
    check(&mut world, "s:3 = pin b \n s:1 = pin b");
}

#[test]
fn an_unbound_conversation_is_forgotten_and_may_begin_anew() {
    let mut world = World::of("a b");
    check(&mut world, "> s:1 s:2 = bal a");
    let conversation = world.affinity.find(print("s:2")).expect("it is bound");
    let mut written = world.place("s:1").expect("it is served");
    written.commit(Now(world.now)).expect("nothing has moved");
    assert_eq!(world.affinity.unbind(&conversation).map(|unbound| (unbound.keys, unbound.in_flight)), Some((2, 1)));
    assert_eq!(world.affinity.unbind(&conversation), None);
    assert_eq!(world.affinity.relocate(&conversation, world.registry.machine("g", "b").id(), Now(world.now)), None);
    check(&mut world, "unknown s:1 s:2");
    world.answer(written, "s:9");
    check(&mut world, "s:9 = pin a");
    assert_eq!(world.affinity.gauges().conversations, 1);
}

#[test]
fn a_walk_shows_each_conversation_once_however_it_is_cut() {
    let mut world = World::of("a");
    for id in 0..300 {
        world.exchange(&format!("> s:{id}"));
    }
    for at_most in [1, 7, 64, 100, 1000] {
        let (mut seen, mut from) = (Vec::new(), Some(0));
        while let Some(at) = from {
            from = world.affinity.look_through(at, at_most, Now(world.now), |_, one| {
                seen.push(one.keys[0].0);
                if seen.len() % 10 == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        }
        assert_eq!(seen.len(), 300, "{at_most}");
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 300, "{at_most}");
    }
    world.now += 3_600_000;
    world.affinity.look_through(0, 1000, Now(world.now), |_, one| panic!("{one:?} has expired"));
}
