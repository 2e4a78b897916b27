//! Recovery by asking: `unknown_key: ask_nodes`.

use crate::support::soap::{AXIS2, envelope, envelope12, group_id, post, served_by};
use crate::support::{Castile, Message, Node, chunked, config, eventually, ok};

const FAULT: &str = "Unable to find corresponding context for the serviceGroupId: x";

/// A node that knows one session, and tells by a Fault, before it executes anything, that it does not know another one.
/// What it says then is `fault`.
fn node(number: usize, fault: &'static str) -> Node {
    Node::answering(move |request| {
        let fields = format!("Content-Type: text/xml\r\nX-Node: {number}\r\n");
        if !request.text().contains("ServiceGroupId") || request.text().contains(&format!("urn:uuid:known-{number}<")) {
            return ok(&fields, envelope("", "<executed/>"));
        }
        let fault = envelope(
            "",
            &format!("<s:Fault><faultcode>s:Server</faultcode><faultstring>{fault}</faultstring></s:Fault>"),
        );
        let mut answer = ok(&fields, fault);
        answer.splice(9..15, *b"500 No");
        answer
    })
}

fn start(ask: &str, fault: &'static str) -> (Castile, [Node; 3]) {
    let nodes = [0, 1, 2].map(|number| node(number, fault));
    let settings = AXIS2.replace("]}", &format!("], unknown_key: ask_nodes, {ask}}}"));
    let castile = Castile::start(&config(&[&nodes[0], &nodes[1], &nodes[2]], &settings));
    (castile, nodes)
}

fn carrying(id: &str) -> Vec<u8> {
    post("", envelope(&group_id(id), "<x/>"))
}

fn event(castile: &Castile, name: &str) -> u64 {
    let snapshot = castile.gateway.snapshot();
    let found = snapshot.upstreams[0].events.each().find(|(event, _)| *event == name);
    found.expect("there is such an event").1
}

/// How often each node was asked with this id.
fn asked(nodes: &[Node; 3], id: &str) -> Vec<usize> {
    let carries = |message: &&Message| message.text().contains(id);
    nodes.iter().map(|node| node.requests().iter().filter(carries).count()).collect()
}

#[test]
fn an_old_session_is_found_and_bound_where_it_is() {
    let (castile, nodes) = start("ask: {per_second: 1000}", FAULT);
    for round in 0..3 {
        for owner in [2, 0, 1] {
            let id = format!("urn:uuid:known-{owner}");
            let answer = castile.ask(carrying(&id));
            assert_eq!((answer.status(), served_by(&answer)), (200, owner), "round {round}");
        }
    }
    for owner in 0..3 {
        let counts = asked(&nodes, &format!("urn:uuid:known-{owner}<"));
        assert_eq!(counts[owner], 3, "once it was found it is a pin: {counts:?}");
        assert!(counts.iter().all(|count| *count <= 3) && counts.iter().sum::<usize>() <= 5, "{counts:?}");
    }
    eventually("all are counted", || (event(&castile, "asked"), event(&castile, "found")) == (3, 3));
    let log = castile.stop();
    assert_eq!((&log[0]["decision"], &log[0]["event"]), (&"ask".into(), &"found".into()), "{}", log[0]);
    assert_eq!(log[8]["decision"], "pin", "{}", log[8]);
}

#[test]
fn the_whole_request_reaches_each_node_as_it_came() {
    let (castile, nodes) = start("ask: {nodes: 3}", FAULT);
    let message = envelope(&group_id("urn:uuid:nobodys"), &format!("<x>{}</x>", "y".repeat(30_000)));
    let head = "POST /app HTTP/1.1\r\nHost: h\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = castile.ask([head.as_bytes(), &chunked(message.as_bytes(), &[1000], "")].concat());
    assert!(answer.text().contains("Unable to find"), "the last answer passes: {}", answer.text());
    for node in &nodes {
        let requests = node.requests();
        assert_eq!((requests.len(), requests[0].text()), (1, message.clone()));
    }
}

#[test]
fn an_invented_id_does_not_cost_every_node_a_request_for_ever() {
    let (castile, nodes) = start("ask: {per_second: 1}", FAULT);
    for _ in 0..5 {
        assert_eq!(castile.ask(carrying("urn:uuid:invented")).status(), 500);
    }
    assert_eq!(asked(&nodes, "invented").iter().sum::<usize>(), 3 + 4, "that nobody knows it is remembered");
    let before: usize = nodes.iter().map(Node::count).sum();
    for number in 0..20 {
        castile.ask(carrying(&format!("urn:uuid:other-{number}")));
    }
    let all = nodes.iter().map(Node::count).sum::<usize>() - before;
    let seconds = event(&castile, "asked") as usize;
    assert_eq!(all, 20 + 2 * (seconds - 1), "only {seconds} were asked for");
    assert!(seconds < 15, "one a second may be, not {seconds} of 21");
}

#[test]
fn a_fault_that_may_have_come_from_the_service_is_not_asked_elsewhere() {
    let (castile, nodes) = start("ask: {nodes: 3}", "division by zero");
    let answer = castile.ask(carrying("urn:uuid:nobodys"));
    assert!(answer.text().contains("division by zero"), "{}", answer.text());
    assert_eq!(asked(&nodes, "nobodys").iter().sum::<usize>(), 1);
    assert_eq!(castile.gateway.affinity.gauges().conversations, 0, "and it confirms nothing");
}

#[test]
fn messages_too_large_to_be_held_are_balanced() {
    let (castile, nodes) = start("ask: {bytes: 1KiB}", FAULT);
    let large = post("", envelope(&group_id("urn:uuid:large"), &"<x/>".repeat(1000)));
    assert_eq!(castile.ask(large).status(), 500);
    assert_eq!(asked(&nodes, "large").iter().sum::<usize>(), 1);
    assert_eq!(castile.stop()[0]["decision"], "unknown");
}

#[test]
fn nodes_that_do_not_answer_are_passed_over() {
    let (castile, _nodes) = start("ask: {nodes: 3}", FAULT);
    let gone = castile.gateway.registry.machines()[0].clone();
    gone.set_admin(castile::upstream::Admin::Maint);
    for owner in [1, 2] {
        assert_eq!(served_by(&castile.ask(carrying(&format!("urn:uuid:known-{owner}")))), owner);
    }
    let draining = castile.gateway.registry.machines()[1].clone();
    draining.set_admin(castile::upstream::Admin::Drain);
    let soap12 = envelope12(&group_id("urn:uuid:known-1"), "<x/>");
    assert_eq!(served_by(&castile.ask(post("", soap12))), 1, "who drains has sessions, too");
}

#[test]
fn without_it_nobody_is_asked() {
    let nodes = [0, 1, 2].map(|number| node(number, FAULT));
    let castile = Castile::start(&config(&[&nodes[0], &nodes[1], &nodes[2]], AXIS2));
    assert_eq!(castile.ask(carrying("urn:uuid:invented")).status(), 500);
    assert_eq!(asked(&nodes, "invented").iter().sum::<usize>(), 1);
}
