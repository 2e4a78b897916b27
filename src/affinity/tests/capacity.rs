//! A full table: expired ones go, then unconfirmed ones, longest idle first, confirmed live ones never.

use super::*;

fn small(conversations: usize, keys: usize, when_full: WhenFull) -> World {
    World::with("a b", Limits { max_conversations: conversations, max_keys: keys, max_hints: 10, when_full })
}

#[test]
fn a_flood_of_first_requests_pushes_out_its_own_kind_only() {
    let mut world = small(10, 100, WhenFull::ServeUnpinned);
    for id in 0..5 {
        check(&mut world, &format!("c:{id} = new * \n c:{id} = pin *"));
    }
    let homes: Vec<_> = (0..5).map(|id| world.exchange(&format!("c:{id}"))).collect();
    for id in 0..1000 {
        check(&mut world, &format!("c:flood{id} = new *"));
    }
    for (id, home) in homes.iter().enumerate() {
        assert_eq!(world.exchange(&format!("c:{id}")), *home);
    }
    assert_eq!(world.affinity.gauges().conversations, 10);
    assert_eq!(world.count("evicted"), 995);
}

#[test]
fn the_unconfirmed_one_that_is_longest_idle_goes_first() {
    let mut world = small(3, 100, WhenFull::ServeUnpinned);
    check(
        &mut world,
        "
        c:1 > silence = new *
        c:2 > silence = new *
        c:3 > silence = new *
        c:1 > silence = pin *
        c:4           = new *
        unknown c:2
        c:1           = pin *
        c:3           = pin *
        ",
    );
}

#[test]
fn a_request_that_comes_before_the_first_answer_is_accounted_for_confirms_all_the_same() {
    let mut world = small(10, 100, WhenFull::ServeUnpinned);
    let mut first = world.place("c:1").expect("a place");
    first.commit(Now(world.now)).expect("its node");
    // A parallel first request is no proof that anybody has had an answer.
    check(&mut world, "c:1 > silence = pin *");
    let confirmed =
        |world: &World, id: &str| world.affinity.find(world::print(id)).expect("it is known").lock().confirmed;
    assert!(!confirmed(&world, "c:1"));
    first.leave_node();
    check(&mut world, "c:1 > silence = pin *");
    assert!(confirmed(&world, "c:1"));
    world.answer(first, "");
}

#[test]
fn expired_ones_go_before_unconfirmed_ones() {
    let mut world = small(2, 100, WhenFull::ServeUnpinned);
    check(
        &mut world,
        "
        c:old         = new *
        c:old         = pin *
        wait 29m
        c:young       = new *
        wait 2m
        c:new         = new *
        unknown c:old
        c:young       = pin *
        ",
    );
    assert_eq!((world.count("expired"), world.count("evicted")), (1, 0));
}

#[test]
fn ended_ones_that_linger_go_before_live_ones() {
    let mut world = small(2, 100, WhenFull::ServeUnpinned).policy(|policy| policy.linger = world::duration("60s"));
    check(
        &mut world,
        "
        c:1           = new *
        c:2           = new *
        c:2 > end     = pin *
        c:3           = new *
        unknown c:2
        c:1           = pin *
        ",
    );
}

#[test]
fn a_table_full_of_confirmed_ones_serves_others_unpinned_and_alike() {
    let mut world = small(2, 100, WhenFull::ServeUnpinned);
    check(&mut world, "c:1 = new a \n c:1 = pin a \n c:2 = new b \n c:2 = pin b");
    let first = world.exchange("c:3");
    assert!(first.starts_with("full "));
    for _ in 0..5 {
        assert_eq!(world.exchange("c:3"), first);
    }
    check(&mut world, "> s:4 = bal * \n unknown c:3 s:4 \n c:1 = pin a \n c:2 = pin b");
    assert_eq!(world.count("served_unpinned"), 7);
}

#[test]
fn a_full_table_may_refuse_before_forwarding() {
    let mut world = small(1, 100, WhenFull::Reject);
    check(
        &mut world,
        "
        c:1           = new a
        c:2           = new *
        c:2           = pin *
        c:3           = nofit
        s:4           = nofit
        -             = nofit
        c:2 > s:5     = pin *
        s:5           = pin *
        ",
    );
    assert_eq!(world.count("refused_full"), 3);
}

#[test]
fn what_is_in_flight_is_not_pushed_out() {
    let mut world = small(1, 100, WhenFull::ServeUnpinned);
    let mut visit = world.place("c:1").expect("a place");
    visit.commit(Now(world.now)).expect("its node");
    check(&mut world, "c:2 = full *");
    world.answer(visit, "");
    check(&mut world, "c:2 = new * \n unknown c:1");
}

#[test]
fn at_the_limit_of_keys_a_key_is_refused_and_its_conversation_is_not() {
    let mut world = small(10, 3, WhenFull::ServeUnpinned);
    check(
        &mut world,
        "
        c:1 > s:2 s:3 = new a
        c:1 > s:4     = pin a
        unknown s:4
        s:3           = pin a
        c:5           = full *
        ",
    );
    assert_eq!(world.count("refused_keys"), 2);
    assert_eq!(world.affinity.gauges().keys, 3);
}

#[test]
fn fewer_conversations_allowed_evict_nobody() {
    let mut world = small(4, 100, WhenFull::ServeUnpinned);
    check(&mut world, "c:1 = new * \n c:2 = new * \n c:3 = new * \n c:4 = new *");
    world.affinity.set_limits(Limits { max_conversations: 2, ..Limits::default() });
    check(&mut world, "c:1 = pin * \n c:2 = pin * \n c:3 = pin *");
    check(&mut world, "c:5 = new * \n unknown c:4 \n c:5 = pin * \n c:6 = full *");
    check(&mut world, "c:1 = pin * \n c:2 = pin * \n c:3 = pin *");
}

#[test]
fn a_sweep_removes_what_is_over_and_nothing_else() {
    let mut world = small(100, 100, WhenFull::ServeUnpinned);
    check(&mut world, "c:1 > s:1 = new * \n c:2 = new * \n wait 29m \n c:2 = pin * \n wait 2m");
    while world.affinity.sweep(Now(world.now), 10) == 10 {}
    assert_eq!(world.affinity.gauges().conversations, 1);
    assert_eq!(world.affinity.gauges().keys, 1);
    check(&mut world, "c:2 = pin *");
    world.now += 100_000_000;
    while world.affinity.sweep(Now(world.now), 10) == 10 {}
    assert_eq!(world.affinity.gauges(), Gauges::default());
    assert_eq!((world.at("a"), world.at("b")), (0, 0));
}
