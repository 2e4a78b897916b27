//! The sealed cookie: what clients get, what nodes get, and what counts.

use crate::support::{Castile, Message, Node, config, ok};

const ONE: &str = "11111111111111111111111111111111111111";
const TWO: &str = "22222222222222222222222222222222222222";

fn sticky(key: &str, more: &str) -> String {
    let keys: Vec<_> = key.split(' ').map(|key| format!("'{key}'")).collect();
    format!("sticky: {{on_node_down: fault, cookie: {{name: C, keys: [{}]{more}}}}}", keys.join(", "))
}

fn nodes() -> [Node; 2] {
    [0, 1].map(|number| Node::answering(move |_| ok("", number.to_string())))
}

fn start(nodes: &[Node; 2], key: &str, more: &str) -> Castile {
    let yaml = config(&[&nodes[0], &nodes[1]], &sticky(key, more));
    Castile::start(&(yaml + "admin: {address: '127.0.0.1:0'}\n"))
}

fn ask(castile: &Castile, cookie: &str) -> Message {
    let cookie = if cookie.is_empty() { String::new() } else { format!("Cookie: {cookie}\r\n") };
    castile.ask(format!("GET /app HTTP/1.1\r\nHost: h\r\n{cookie}\r\n"))
}

/// The pair that the answer sets.
fn pair(answer: &Message) -> String {
    let line = answer.field("set-cookie").expect("a cookie is set");
    line.split(';').next().unwrap_or_default().to_owned()
}

fn counted(castile: &Castile, event: &str) -> bool {
    let text = castile.ask_admin("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").text();
    text.contains(&format!("castile_upstream_events_total{{upstream=\"app\",event=\"{event}\"}} 1\n"))
}

#[test]
fn the_cookie_keeps_its_client_on_the_node_and_never_goes_there() {
    let nodes = nodes();
    let castile = start(&nodes, ONE, ", path: /app, same_site: lax, persistent: true, ttl: 60s");
    let first = ask(&castile, "");
    let line = first.field("set-cookie").expect("a cookie is set");
    assert!(line.ends_with("; Path=/app; Max-Age=60; HttpOnly; SameSite=Lax"), "{line}");
    let own = pair(&first);
    for _ in 0..4 {
        let next = ask(&castile, &format!("a=\"1\";  {own}; b=2"));
        assert_eq!((next.text(), next.field("set-cookie")), (first.text(), None));
    }
    let node = &nodes[first.text().parse::<usize>().expect("a number")];
    assert_eq!(node.requests().last().and_then(|request| request.field("cookie")).as_deref(), Some("a=\"1\"; b=2"));
    ask(&castile, &own);
    assert_eq!(node.requests().last().and_then(|request| request.field("cookie")), None);
    let log = castile.stop();
    assert_eq!((&log[0]["decision"], &log[1]["decision"]), (&"bal".into(), &"cookie".into()));
}

#[test]
fn keys_are_rotated() {
    let nodes = nodes();
    let old = ask(&start(&nodes, ONE, ""), "");
    let castile = start(&nodes, &format!("{TWO} {ONE}"), "");
    let renewed = ask(&castile, &pair(&old));
    assert_eq!(renewed.text(), old.text());
    let castile = start(&nodes, TWO, "");
    let kept = ask(&castile, &pair(&renewed));
    assert_eq!((kept.text(), kept.field("set-cookie")), (old.text(), None));
    assert!(ask(&castile, &pair(&old)).field("set-cookie").is_some(), "the old key opens nothing any more");
    assert!(counted(&castile, "cookies_invalid"));
}

#[test]
fn forged_and_replayed_cookies_count_as_absent() {
    let nodes = nodes();
    let castile = start(&nodes, ONE, "");
    assert!(ask(&castile, "C=n0").field("set-cookie").is_some());
    assert!(counted(&castile, "cookies_invalid"));
    let castile = start(&nodes, ONE, "");
    let own = pair(&ask(&castile, ""));
    // The same key, another affinity group.
    let group =
        config(&[&nodes[0], &nodes[1]], &sticky(ONE, "")).replace("sticky:", "affinity_group: other\n    sticky:");
    let other = Castile::start(&(group + "admin: {address: '127.0.0.1:0'}\n"));
    assert!(ask(&other, &own).field("set-cookie").is_some());
    assert!(counted(&other, "cookies_invalid"));
}

#[test]
fn cookies_that_name_different_nodes_do_not_count() {
    let nodes = nodes();
    let castile = start(&nodes, ONE, "");
    let (one, other) = (ask(&castile, ""), ask(&castile, ""));
    assert_ne!(one.text(), other.text());
    assert!(ask(&castile, &format!("{}; {}", pair(&one), pair(&other))).field("set-cookie").is_some());
    assert!(counted(&castile, "cookies_in_conflict"));
    assert_eq!(ask(&castile, &format!("{}; {0}", pair(&one))).text(), one.text());
    assert_eq!(castile.stop()[2]["decision"], "bal");
}

#[test]
fn a_node_that_drains_keeps_its_clients_and_one_in_maintenance_loses_them() {
    let nodes = nodes();
    let castile = start(&nodes, ONE, "");
    let first = ask(&castile, "");
    let (own, node) = (pair(&first), first.text());
    let set = |state: &str| {
        let request = format!("POST /v1/nodes/app/n{node}/{state} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(castile.ask_admin(request).status(), 200);
    };
    set("drain");
    assert_eq!(ask(&castile, &own).text(), node);
    assert_ne!(ask(&castile, "").text(), node);
    set("maint");
    let lost = ask(&castile, &own);
    assert!(lost.status() >= 500, "{}", lost.status());
    assert_eq!(lost.field("set-cookie").as_deref(), Some("C=; Path=/; Max-Age=0; HttpOnly"), "its client begins anew");
    assert_ne!(ask(&castile, "").text(), node);
}

#[test]
fn the_cookie_holds_over_http_2_as_well() {
    let nodes = nodes();
    let castile = start(&nodes, ONE, "");
    let client = crate::http2::Client::connect(castile.address("public"));
    let first = client.ask(&[], "");
    let line = first.field("set-cookie").expect("a cookie is set");
    let own = line.split(';').next().unwrap_or_default();
    for _ in 0..4 {
        // Clients may split what they send (RFC 9113 §8.2.3).
        let next = client.ask(&[("cookie", "a=1"), ("cookie", own), ("cookie", "b=2")], "");
        assert_eq!((next.text(), next.field("set-cookie")), (first.text(), None));
        assert_eq!(ask(&castile, own).text(), first.text(), "and over HTTP/1.1");
    }
    let node = &nodes[first.text().parse::<usize>().expect("a number")];
    let cookies: Vec<_> = node.requests().iter().map(|request| request.field("cookie")).collect();
    assert!(cookies.contains(&Some("a=1; b=2".to_owned())), "{cookies:?}");
    assert!(!cookies.iter().flatten().any(|cookie| cookie.contains("C=")), "{cookies:?}");
}

#[test]
fn who_is_taken_over_by_another_node_gets_a_cookie_of_that_one() {
    let nodes = nodes();
    let yaml =
        config(&[&nodes[0], &nodes[1]], &sticky(ONE, "").replace("on_node_down: fault", "on_node_down: failover"));
    let castile = Castile::start(&(yaml + "admin: {address: '127.0.0.1:0'}\n"));
    let first = ask(&castile, "");
    let (own, node) = (pair(&first), first.text());
    let set = |state: &str| {
        let request = format!("POST /v1/nodes/app/n{node}/{state} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(castile.ask_admin(request).status(), 200);
    };
    set("maint");
    let moved = ask(&castile, &own);
    assert_ne!(moved.text(), node);
    let new = pair(&moved);
    set("ready");
    for _ in 0..4 {
        let next = ask(&castile, &new);
        assert_eq!((next.text(), next.field("set-cookie")), (moved.text(), None), "no failback");
    }
}
