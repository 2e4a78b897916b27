//! When a node cannot serve (DESIGN §8).

use super::*;

fn failover(nodes: &str, share: SharedSessions) -> World {
    World::of(nodes).policy(|policy| {
        policy.on_node_down = OnNodeDown::Failover;
        policy.nodes_share_sessions = share;
    })
}

#[test]
fn a_dead_node_loses_its_conversations_and_parallel_calls_hear_the_same() {
    let mut world = World::of("a b");
    check(
        &mut world,
        "
        > s:1        = bal a
        down a
        s:1          = lost
        s:1          = lost
        up a
        s:1          = lost
        wait 5s
        s:1          = unknown b
        ",
    );
    assert_eq!((world.count("orphaned"), world.at("a")), (1, 0));
}

#[test]
fn who_brings_the_keys_of_a_session_that_we_told_was_replaced_hears_that_it_is_lost() {
    check(
        &mut World::of("a b"),
        "
        > s:1        = bal a
        s:1 > told s:2 = pin a
        s:1          = lost
        s:2          = pin a
        wait 5s
        s:1          = unknown *
        ",
    );
    // What the node itself has told its client needs no repeating.
    check(&mut World::of("a b"), "> s:1 = bal a \n s:1 > lost = pin a \n s:1 = unknown *");
}

#[test]
fn after_the_tombstone_a_client_issued_id_begins_anew() {
    check(
        &mut World::of("a b"),
        "c:x = new a \n maint a \n c:x = lost \n wait 6s \n c:x = new b \n ready a \n c:x = pin b",
    );
}

#[test]
fn a_connect_that_failed_is_lost_or_later_as_the_check_says() {
    for (health, expected, after) in [("up a", "later", "pin a"), ("ready a", "lost", "lost")] {
        let mut world = World::of("a b");
        check(&mut world, &format!("> s:1 = bal a \n {health}"));
        let mut visit = world.place("s:1").expect("a place");
        assert!(visit.is_pinned());
        assert_eq!(world.replace(&mut visit, "s:1", &["a"]), expected);
        drop(visit);
        check(&mut world, &format!("s:1 = {after}"));
    }
}

#[test]
fn a_second_route_tag_takes_over_before_any_policy() {
    let mut world = World::of("a/1 b/2 c/3");
    check(
        &mut world,
        "
        > s:1        = bal a
        down a
        s:1 r:1 r:3  = second c
        s:1 r:1 r:3  = pin c
        up a
        s:1 r:1      = pin c
        ",
    );
    assert_eq!(world.count("moved"), 1);
}

#[test]
fn failover_goes_to_the_successor_then_the_group_then_anyone() {
    check(&mut failover("a>c b c", SharedSessions::All), "> s:1 = bal a \n down a \n s:1 = move c");
    check(&mut failover("a@x b@y c@x", SharedSessions::All), "> s:1 = bal a \n down a \n s:1 = move c");
    check(&mut failover("a@x b@y c@x", SharedSessions::All), "> s:1 = bal a \n down a \n down c \n s:1 = move b");
    check(&mut failover("a@x b@y c@x", SharedSessions::Group), "> s:1 = bal a \n down a \n down c \n s:1 = lost");
    check(
        &mut failover("a b", SharedSessions::All),
        "> s:1 = bal a \n down a \n down b \n s:1 = none \n up a \n s:1 = pin a",
    );
}

#[test]
fn a_moved_conversation_stays_and_says_so_once() {
    let mut world = failover("a b", SharedSessions::All);
    check(&mut world, "> s:1 = bal a \n > s:quiet = bal b \n down b");
    check(&mut world, "s:quiet > silence = move a");
    let mut visit = world.place("s:quiet").expect("a place");
    visit.commit(Now(world.now)).expect("its node");
    assert!(visit.after_move(), "no answer has come since");
    world.answer(visit, "");
    let visit = world.place("s:quiet").expect("a place");
    assert!(!visit.after_move());
    drop(visit);
    check(&mut world, "up b \n s:quiet = pin a \n s:1 = pin a");
    assert_eq!((world.at("a"), world.at("b"), world.count("moved")), (2, 0, 1));
}

#[test]
fn who_sent_nothing_while_its_node_was_away_resumes_there() {
    let mut world = failover("a b", SharedSessions::All);
    check(
        &mut world,
        "> s:1 = bal a \n down a \n c:begun = new b \n c:again = new b \n up a \n s:1 = pin a \n c:begun = pin b",
    );
}

#[test]
fn a_first_request_that_no_byte_was_accepted_of_is_placed_again() {
    let mut world = World::of("a b c");
    let mut visit = world.place("c:x").expect("a place");
    assert!(!visit.is_pinned());
    assert_eq!(world.replace(&mut visit, "c:x", &["a"]), "new b");
    assert_eq!(world.replace(&mut visit, "c:x", &["a", "b"]), "new c");
    visit.commit(Now(world.now)).expect("its node");
    world.answer(visit, "");
    check(&mut world, "c:x = pin c");
    assert_eq!((world.at("a"), world.at("b"), world.at("c")), (0, 0, 1));
}

#[test]
fn parallel_first_requests_follow_the_reservation() {
    let mut world = World::of("a b");
    let mut one = world.place("c:x").expect("a place");
    let mut two = world.place("c:x").expect("a place");
    assert_eq!(world.replace(&mut one, "c:x", &["a"]), "new b");
    let moved = two.commit(Now(world.now)).expect_err("it has moved");
    assert_eq!(moved, one.node());
    assert_eq!(two.commit(Now(world.now)), Ok(()));
    assert_eq!(one.commit(Now(world.now)), Ok(()));
    // Now it exists: a failed connect no longer moves it.
    let mut three = world.place("c:x").expect("a place");
    assert_eq!(world.replace(&mut three, "c:x", &["b"]), "lost");
}

/// It happened: a request saw a reservation, its connect failed, and meanwhile a parallel one had written to the same node.
/// The single failure then ended the conversation for both.
#[test]
fn one_failed_connect_does_not_end_what_a_parallel_request_has_begun() {
    let mut world = World::of("a b");
    let mut one = world.place("c:x").expect("a place");
    let mut two = world.place("c:x").expect("a place");
    one.commit(Now(world.now)).expect("its node");
    assert!(!two.is_pinned());
    assert_eq!(world.replace(&mut two, "c:x", &["a"]), "join a", "its node is offered the request again");
    assert!(two.is_pinned());
    world.answer(one, "");
    check(&mut world, "c:x = pin a");
    assert_eq!(world.replace(&mut two, "c:x", &["a"]), "lost", "now all attempts were made");
}

#[test]
fn a_reservation_that_nobody_could_use_leaves_nothing() {
    let mut world = World::of("a");
    let mut visit = world.place("c:x").expect("a place");
    assert_eq!(world.replace(&mut visit, "c:x", &["a"]), "none");
    drop(visit);
    check(&mut world, "unknown c:x");
    assert_eq!((world.affinity.gauges(), world.at("a")), (Gauges::default(), 0));
}

#[test]
fn a_request_without_conversation_is_placed_again() {
    let mut world = World::of("a/1 b/2");
    let mut visit = world.place("r:1 r:2").expect("a place");
    assert_eq!(world.replace(&mut visit, "r:1 r:2", &["a"]), "route b");
    let mut visit = world.place("s:stranger").expect("a place");
    assert_eq!(world.name(&visit), "a");
    assert_eq!(world.replace(&mut visit, "s:stranger", &["a"]), "unknown b");
}

#[test]
fn a_conversation_of_another_upstream_is_not_ended_by_one_that_lacks_its_node() {
    let mut world = World::of("a b");
    check(&mut world, "> s:1 = bal a");
    let all = std::mem::replace(
        &mut world.nodes,
        world::node_set(&world.registry.clone(), "b", crate::upstream::Balance::RoundRobin),
    );
    check(&mut world, "s:1 = lost");
    world.nodes = all;
    check(&mut world, "s:1 = pin a");
}

#[test]
fn who_may_wait_for_its_node_is_not_lost() {
    let mut world = World::of("a b").policy(|policy| policy.on_node_down = OnNodeDown::Wait);
    check(&mut world, "> s:1 = bal a \n down a \n s:1 = later \n s:1 = later \n up a \n s:1 = pin a");
    assert_eq!((world.count("orphaned"), world.at("a")), (0, 1));
}
