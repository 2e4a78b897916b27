//! The order of placement: pins, route tags, weak keys, hash keys, the balancer; draining, ejection.

use super::*;

#[test]
fn route_tags_are_tried_in_order_after_pins() {
    check(
        &mut World::of("a/1 b/2"),
        "
        r:2          = route b
        r:2          = route b
        r:9 r:2      = route b
        r:9          = bal a
        s:x r:2      = route b
        c:x r:2      = new b
        c:x r:1      = pin b
        down b
        r:2 r:1      = route a
        r:2          = bal a
        ",
    );
}

#[test]
fn a_route_is_learnt_from_the_node_that_answered() {
    check(
        &mut World::of("a b"),
        "
        > r:clone1   = bal a
        > r:clone2   = bal b
        r:clone2     = learnt b
        r:clone1     = learnt a
        wait 10h
        r:clone1     = learnt a
        ",
    );
}

#[test]
fn a_hash_key_always_finds_the_same_node() {
    let mut world = World::of("a b c");
    let first = world.exchange("h:mailbox");
    assert!(first.starts_with("hash "));
    for _ in 0..10 {
        assert_eq!(world.exchange("h:mailbox"), first);
    }
    assert_eq!(world.exchange("h:mailbox c:x"), first.replace("hash", "new"));
}

#[test]
fn unknown_ids_are_refused_where_that_is_the_policy() {
    let mut world = World::of("a/1 b").policy(|policy| policy.unknown_key = UnknownKey::Reject);
    check(
        &mut world,
        "
        s:1          = reject
        s:1 c:x      = reject
        s:1 r:1      = route a
        c:x          = new a
        s:1 c:x      = pin a
        w:ip > s:2   = bal b
        s:1 w:ip     = weak b
        s:2          = pin b
        ",
    );
    assert_eq!(world.count("refused_unknown"), 2);
}

#[test]
fn a_draining_node_keeps_its_conversations_and_gets_no_new_ones() {
    check(
        &mut World::of("a/1 b"),
        "
        w:ip > s:1   = bal a
        drain a
        s:1          = pin a
        > s:2        = bal b
        c:x          = new b
        r:1          = route a
        w:old s:9    = unknown b
        h:1          = hash b
        h:2          = hash b
        h:3          = hash b
        s:1          = pin a
        ready a
        drain b
        s:2          = pin b
        c:y          = new a
        drain a
        c:z          = none
        ",
    );
}

#[test]
fn a_weak_hit_on_a_draining_node_counts_as_existing() {
    check(&mut World::of("a b"), "w:ip = bal a \n drain a \n w:ip s:secret = weak a");
}

#[test]
fn an_ejected_node_keeps_its_conversations_and_gets_no_new_ones() {
    check(
        &mut World::of("a b"),
        "
        > s:1        = bal a
        eject a
        s:1          = pin a
        c:x          = new b
        c:y          = new b
        wait 10s
        c:z          = new a
        ",
    );
}

#[test]
fn a_node_at_its_limit_is_passed_over_and_its_conversations_wait() {
    let mut world = World::of("a b");
    check(&mut world, "> s:1 = bal a");
    drop(world.place("c:skip"));
    let held: Vec<_> = (0..8).map(|_| world.place("s:1").expect("room")).collect();
    check(&mut world, "s:1 = busy \n c:x = new b \n c:y = new b");
    drop(held);
    check(&mut world, "s:1 = pin a");
}

#[test]
fn a_request_without_keys_leaves_nothing_behind() {
    let mut world = World::of("a b");
    check(&mut world, "- = bal a \n - = bal b \n - = bal a");
    assert_eq!(world.affinity.gauges(), Gauges::default());
    assert_eq!(world.registry.machines().iter().map(|live| live.requests()).sum::<u32>(), 0);
}
