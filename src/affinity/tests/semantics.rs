//! The semantics of the rule language that are the table's business (catalogue §2.2, by number).

use super::*;

#[test]
fn an_id_that_a_node_issues_pins_its_conversation() {
    check(
        &mut World::of("a b"),
        "
        > s:1        = bal a
        > s:2        = bal b
        s:1          = pin a
        s:1          = pin a
        s:2          = pin b
        s:3          = unknown a
        s:3          = unknown b
        ",
    );
}

#[test]
fn all_keys_of_an_exchange_lead_to_one_conversation() {
    let mut world = World::of("a b");
    check(
        &mut world,
        "
        c:offer > s:seq s:cookie = new a
        s:seq        = pin a
        c:offer      = pin a
        s:cookie > s:rotated = pin a
        s:rotated    = pin a
        ",
    );
    assert_eq!(world.affinity.gauges().conversations, 1);
    assert_eq!(world.at("a"), 1);
}

#[test]
fn the_first_known_pin_in_rule_order_decides_and_a_conflict_is_counted() {
    let mut world = World::of("a b");
    check(
        &mut world,
        "
        > s:1        = bal a
        > s:2        = bal b
        s:9 s:2 s:1  = pin b
        s:1 s:2      = pin a
        ",
    );
    assert_eq!(world.count("conflicts"), 2);
}

#[test]
fn an_answer_may_take_a_key_from_another_conversation_and_a_request_may_not() {
    let mut world = World::of("a b");
    check(
        &mut world,
        "
        > s:1           = bal a
        > s:2           = bal b
        s:2 > s:1       = pin b
        s:1             = pin b
        c:x > s:3       = new a
        s:2 c:x         = pin b
        c:x             = pin a
        ",
    );
    assert_eq!(world.count("rebound"), 1);
    assert_eq!(world.at("a"), 1, "the conversation that lost its only key is gone");
}

#[test]
fn an_unknown_server_issued_id_creates_no_state() {
    let mut world = World::of("a b");
    check(&mut world, "s:forged = unknown a \n s:forged = unknown b \n unknown s:forged");
    assert_eq!(world.affinity.gauges(), Gauges::default());
}

#[test]
fn a_client_issued_id_joins_the_conversation_that_another_key_of_the_request_names() {
    check(
        &mut World::of("a b"),
        "
        > s:1        = bal a
        s:1 c:x      = pin a
        c:x          = pin a
        ",
    );
}

#[test]
fn a_client_issued_binding_is_dropped_when_its_requests_all_failed() {
    check(&mut World::of("a b"), "c:x > fault = new a \n unknown c:x \n c:x = new b");
    // One success proves it, and a later failure does not matter.
    check(&mut World::of("a b"), "c:x = new a \n c:x > fault = pin a \n c:x = pin a");
    // No answer proves nothing.
    check(&mut World::of("a b"), "c:x > silence = new a \n c:x = pin a");
    // Only the client-issued key goes; what was learnt meanwhile stays.
    check(&mut World::of("a b"), "c:x > fault s:1 = new a \n unknown c:x \n s:1 = pin a");
}

#[test]
fn a_client_issued_binding_waits_for_the_last_request_in_flight() {
    let mut world = World::of("a b");
    let mut one = world.place("c:x").expect("a place");
    let mut two = world.place("c:x").expect("a place");
    assert_eq!((one.code(), two.code()), (Code::First, Code::Joined));
    one.commit(Now(1)).expect("its node");
    two.commit(Now(1)).expect("its node");
    world.answer(one, "fault");
    assert!(world.affinity.find(world::print("c:x")).is_some(), "another request may still prove it");
    world.answer(two, "fault");
    assert!(world.affinity.find(world::print("c:x")).is_none());
}

#[test]
fn a_weak_key_stands_in_only_for_an_id_that_could_not_be_learnt() {
    check(
        &mut World::of("a b"),
        "
        w:ip              = bal a
        w:ip              = bal b
        w:ip s:secret     = weak b
        w:ip unreadable   = weak b
        w:ip              = bal a
        w:ip s:secret     = weak a
        wait 61s
        w:ip s:secret     = unknown b
        > w:taught        = bal a
        w:taught unreadable = weak a
        ",
    );
}

#[test]
fn a_weak_key_binds_nothing() {
    let mut world = World::of("a b");
    check(&mut world, "w:ip = bal a \n w:ip s:1 = weak a \n unknown s:1");
    assert_eq!(world.affinity.gauges().conversations, 0);
}

#[test]
fn an_end_removes_the_keys_known_before_and_keeps_those_of_this_answer() {
    let mut world = World::of("a b c");
    check(
        &mut world,
        "
        > s:1            = bal a
        s:1 > s:1 end    = pin a
        unknown s:1
        > s:2            = bal b
        s:2 > s:3 end    = pin b
        unknown s:2
        s:3              = pin b
        ",
    );
    assert_eq!((world.at("a"), world.at("b")), (0, 1));
    assert_eq!(world.count("ended"), 2);
}

#[test]
fn an_end_in_the_first_exchange_leaves_what_it_taught() {
    check(&mut World::of("a b"), "> s:1 end = bal a \n s:1 = pin a");
    check(&mut World::of("a b"), "c:x > s:1 end = new a \n unknown c:x \n s:1 = pin a");
}

#[test]
fn a_loss_drops_the_pin_only_where_the_request_carried_a_known_key() {
    let mut world = World::of("a b");
    check(
        &mut world,
        "
        > s:1            = bal a
        s:1 > lost       = pin a
        unknown s:1
        s:1 > lost       = unknown b
        > s:2            = bal a
        s:2 > lost s:3   = pin a
        unknown s:2
        s:3              = pin a
        ",
    );
    assert_eq!(world.count("lost"), 2);
}

#[test]
fn an_ended_conversation_lingers_for_retransmissions() {
    let mut world = World::of("a b").policy(|policy| policy.linger = world::duration("60s"));
    check(
        &mut world,
        "
        > s:1            = bal a
        s:1 > end        = pin a
        s:1 > end        = linger a
        wait 59s
        s:1 > fault      = linger a
        wait 2s
        s:1              = unknown b
        ",
    );
    assert_eq!((world.at("a"), world.count("ended")), (0, 1));
}

#[test]
fn an_id_used_anew_while_it_lingers_is_a_conversation_again() {
    let mut world = World::of("a b").policy(|policy| policy.linger = world::duration("60s"));
    check(
        &mut world,
        "
        c:x              = new a
        c:x > end        = pin a
        c:x              = linger a
        wait 5m
        c:x              = pin a
        ",
    );
    assert_eq!(world.at("a"), 1);
}

#[test]
fn a_conversation_keeps_its_latest_keys() {
    let mut world = World::of("a b").policy(|policy| policy.keys_per_conversation = 4);
    check(
        &mut world,
        "
        c:x > s:1        = new a
        c:x > s:2        = pin a
        s:2 > s:3        = pin a
        c:x              = pin a
        s:3 > s:4        = pin a
        unknown s:1
        c:x              = pin a
        ",
    );
    assert_eq!(world.count("dropped_keys"), 1);
}

#[test]
fn idle_time_slides_and_the_last_day_does_not() {
    let mut world = World::of("a b").policy(|policy| {
        policy.idle = world::duration("30m");
        policy.max = Some(world::duration("70m"));
    });
    check(
        &mut world,
        "
        > s:1            = bal a
        wait 29m
        s:1              = pin a
        wait 29m
        s:1              = pin a
        wait 13m
        s:1              = unknown b
        ",
    );
    check(&mut World::of("a b"), "> s:1 = bal a \n wait 30m \n s:1 = unknown b");
}

#[test]
fn a_request_in_flight_is_never_idle() {
    let mut world = World::of("a b");
    check(&mut world, "> s:1 = bal a");
    let mut visit = world.place("s:1").expect("a place");
    visit.commit(Now(world.now)).expect("its node");
    check(&mut world, "wait 45m \n s:1 = pin a");
    while world.affinity.sweep(Now(world.now), 100) == 100 {}
    world.answer(visit, "");
    check(&mut world, "wait 29m \n s:1 = pin a");
}

#[test]
fn an_answer_may_tell_the_time_to_live() {
    check(&mut World::of("a b"), "> s:1 ttl=2h = bal a \n wait 119m \n s:1 = pin a \n wait 2h \n s:1 = unknown b");
    let mut world = World::of("a b").policy(|policy| policy.max = Some(world::duration("1h")));
    check(&mut world, "> s:1 ttl=2h = bal a \n wait 61m \n s:1 = unknown b");
}

#[test]
fn a_weak_key_that_names_the_connection_lasts_as_long_as_that() {
    check(
        &mut World::of("a b"),
        "
        unreadable w:conn1    = bal a
        unreadable w:address  = bal b
        wait 10m
        unreadable w:conn1    = weak a
        unreadable w:address  = bal *
        ",
    );
}
