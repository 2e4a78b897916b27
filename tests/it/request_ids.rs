//! A request is found again by one id: in the logs of the gateway and the nodes, and in every Fault.

use crate::support::soap::{AXIS2, Trio, envelope, group_id, login_node, post};
use crate::support::{Castile, config};

fn with(settings: &str) -> (Castile, crate::support::Node) {
    let node = login_node(0);
    let castile = Castile::start(&format!("{}request_id: {settings}\n", config(&[&node], "")));
    (castile, node)
}

#[test]
fn the_id_of_a_client_reaches_the_node_and_the_log_and_the_message_is_else_untouched() {
    let trio = Trio::start(AXIS2);
    let answer = trio.castile.ask(post("X-A: 1\r\nx-ReQuest-iD: night-17\r\nX-B:  2\r\n", envelope("", "<x/>")));
    assert_eq!(answer.field("x-request-id"), None, "nobody asked for it");
    trio.castile.ask(post("", envelope("", "<x/>")));
    let mut seen: Vec<_> = trio.nodes.iter().flat_map(crate::support::Node::requests).collect();
    seen.sort_by_key(|request| request.field("x-a").is_none());
    let lines = seen[0].lines();
    let at = lines.iter().position(|line| line == "x-ReQuest-iD: night-17").expect("it passes as it came");
    assert_eq!((lines[at - 1].as_str(), lines[at + 1].as_str()), ("X-A: 1", "X-B: 2"));
    let made = seen[1].field("x-request-id").expect("one is made");
    let log = trio.castile.stop();
    assert_eq!((&log[0]["request_id"], &log[1]["request_id"]), (&"night-17".into(), &made.into()));
}

#[test]
fn every_fault_and_every_answer_of_our_own_quotes_it() {
    let trio = Trio::start(&(AXIS2.replace("]}", "], unknown_key: reject}") + "\nrequest_framing: as_received"));
    let lost = trio.castile.ask(post("X-Request-ID: call-9\r\n", envelope(&group_id("nobody"), "<x/>")));
    assert!(lost.text().contains("SessionLost") && lost.text().contains(">call-9<"), "{}", lost.text());
    let plain =
        trio.castile.ask("GET /app HTTP/1.1\r\nHost: h\r\nX-Request-ID: call-10\r\nTransfer-Encoding: gzip\r\n\r\n");
    assert!(plain.status() >= 400 && plain.text().contains("(request "), "{}", plain.text());
    let log = trio.castile.stop();
    assert_eq!(log[0]["request_id"], "call-9");
}

#[test]
fn the_client_gets_it_where_that_is_wanted() {
    let (castile, node) = with("{headers: [X-Correlation-ID], answer: true}");
    assert_eq!(castile.ask(post("x-correlation-id: c1\r\n", "")).field("X-Correlation-ID").as_deref(), Some("c1"));
    let made = castile.ask(post("X-Request-ID: c2\r\n", "")).field("x-correlation-id").expect("a made one");
    assert_eq!(node.requests()[1].field("x-correlation-id").as_deref(), Some(made.as_str()));
    assert_eq!(node.requests()[1].field("x-request-id").as_deref(), Some("c2"), "which is just another field here");
    let refused = castile.ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    let id = refused.field("x-correlation-id").expect("of what was no request, too");
    assert!(refused.status() == 400 && refused.text().contains(&id), "{}", refused.text());
}

#[test]
fn strangers_are_not_believed_where_only_proxies_are() {
    let (castile, node) = with("{headers: [X-Request-ID, traceparent], accept: trusted}");
    let trace = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    castile.ask(post(&format!("X-Request-ID: forged\r\nX_Request_ID: forged\r\n{trace}"), ""));
    let seen = String::from_utf8_lossy(&node.bytes()).into_owned();
    assert!(!seen.contains("forged") && !seen.contains("4bf92f35") && seen.contains("X-Request-ID: "), "{seen}");

    let yaml = format!("{}request_id: {{accept: trusted}}\n", config(&[&node], ""));
    let castile = Castile::start(&yaml.replace("'127.0.0.1:0'", "'127.0.0.1:0', trusted_proxies: 127.0.0.0/8"));
    castile.ask(post("X-Request-ID: of-a-proxy\r\n", ""));
    assert_eq!(node.requests()[1].field("x-request-id").as_deref(), Some("of-a-proxy"));
}

#[test]
fn a_trace_is_passed_on_as_it_came() {
    let (castile, node) = with("{headers: traceparent}");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    castile.ask(post(&format!("traceparent: {trace}\r\ntracestate: a=1\r\n"), ""));
    castile.ask(post("", ""));
    let (given, made) = (&node.requests()[0], &node.requests()[1]);
    assert_eq!(
        (given.field("traceparent").as_deref(), given.field("tracestate").as_deref()),
        (Some(trace), Some("a=1"))
    );
    let made = made.field("traceparent").expect("one is made");
    let log = castile.stop();
    assert_eq!(log[0]["request_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(log[1]["request_id"].as_str(), made.get(3..35));
}

#[test]
fn off_leaves_every_field_alone() {
    let (castile, node) = with("none");
    castile.ask(post("X-Request-ID: a\r\nX-Request-ID: b c\r\n", ""));
    castile.ask(post("", ""));
    assert_eq!(node.requests()[0].all("x-request-id"), ["a", "b c"]);
    assert_eq!(node.requests()[1].field("x-request-id"), None);
    assert_eq!(castile.stop()[0]["request_id"].as_str().map(str::len), Some(16));
}
