//! Clients that take or send slowly, and what others notice of it.

use std::net::TcpStream;
use std::sync::atomic::Ordering::Relaxed;

use crate::support::soap::{envelope, post};
use crate::support::{Castile, Node, Peer, chunked, config, eventually, ok};

/// More than the systems of both sides hold for a client with a small window.
const LARGE: usize = 8 << 20;
/// So much that such a client has to be waited for, and no more than is read ahead.
const MEDIUM: usize = 200 << 10;

/// Answers as many bytes as the field `X-Bytes` says, in chunks where there is a field `X-Chunked`.
fn node() -> Node {
    Node::answering(|request| {
        let bytes = request.field("x-bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or(2);
        let body = vec![b'x'; bytes];
        match request.field("x-chunked") {
            Some(_) => [
                &b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
                &chunked(&body, &[1000], ""),
            ]
            .concat(),
            None => ok("Content-Type: text/xml\r\n", body),
        }
    })
}

/// A client of which the system takes only little that it has not read.
fn small_window(castile: &Castile) -> Peer {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a buffer can be small");
    socket.connect(&castile.address("public").into()).expect("the address is listened on");
    Peer::plain(TcpStream::from(socket))
}

/// One request at a time, and one worker, so that it has the node connection that is free.
fn one_place(node: &Node, read_ahead: &str, limits: &str) -> Castile {
    let upstream = config(&[node], &format!("limits: {{requests: 1, connections: 1, {limits}}}"));
    Castile::start(&format!("workers: 1\nlimits: {{read_ahead: {read_ahead}}}\n{upstream}"))
}

fn want(bytes: usize, fields: &str) -> Vec<u8> {
    post(&format!("X-Bytes: {bytes}\r\n{fields}"), envelope("", "<x/>"))
}

/// A client that has been answered so many bytes of which it reads nothing, and who comes then.
fn next_to_slow_reader(castile: &Castile, node: &Node, bytes: usize, fields: &str) -> (Peer, u16) {
    let mut slow = small_window(castile);
    slow.send(want(bytes, fields));
    node.wait_for(1);
    let next = castile.ask(want(2, "")).status();
    (slow, next)
}

fn made_way(castile: &Castile) -> u64 {
    castile.gateway.snapshot().upstreams[0].events.made_way.load(Relaxed)
}

#[test]
fn a_node_is_free_although_the_client_has_not_taken_its_answer() {
    for fields in ["", "X-Chunked: yes\r\n"] {
        let node = node();
        let castile = one_place(&node, "256KiB", "queue_timeout: 10s, make_way: none");
        let (mut slow, next) = next_to_slow_reader(&castile, &node, MEDIUM, fields);
        assert_eq!(next, 200, "{fields}");
        let held = castile.gateway.pressure.ahead();
        assert!(held > 0, "the answer is held: {fields}");
        assert_eq!(node.connections(), 1, "the connection carries the next request");
        assert_eq!(slow.answer().body.len(), MEDIUM, "and nothing is lost");
        assert_eq!(slow.ask(want(5, "")).body.len(), 5, "the client's connection goes on");
        assert_eq!(castile.gateway.pressure.ahead(), 0);
        // What is not read ahead keeps its place.
        let node = self::node();
        let castile = one_place(&node, "0", "queue_timeout: 300ms, make_way: none");
        let (mut slow, next) = next_to_slow_reader(&castile, &node, MEDIUM, fields);
        assert_eq!(next, 503, "{fields}");
        assert_eq!(slow.answer().body.len(), MEDIUM);
    }
}

#[test]
fn a_rewritten_answer_is_read_ahead_as_well() {
    let node = Node::answering(|_| ok("Content-Type: text/xml\r\n", format!("<a>{}</a>", "x".repeat(MEDIUM))));
    let limits = "rewrite: {wsdl: true}\nlimits: {requests: 1, queue_timeout: 10s, make_way: none}";
    let castile = Castile::start(&config(&[&node], limits));
    let (mut slow, next) = next_to_slow_reader(&castile, &node, 0, "");
    assert_eq!(next, 200);
    assert_eq!(slow.answer().body.len(), MEDIUM + 7);
}

#[test]
fn a_slow_reader_of_a_large_answer_makes_way_for_others() {
    let node = node();
    let castile = one_place(&node, "256KiB", "queue_timeout: 10s, make_way: 300ms");
    let mut slow = small_window(&castile);
    slow.send(want(LARGE, ""));
    node.wait_for(1);
    assert_eq!(castile.ask(want(2, "")).status(), 200);
    assert_eq!(made_way(&castile), 1);
    assert!(slow.rest().len() < LARGE, "its answer was broken off");
    assert_eq!(castile.gateway.pressure.ahead(), 0);
}

#[test]
fn a_slow_upload_makes_way_too() {
    let node = node();
    let castile = one_place(&node, "256KiB", "queue_timeout: 10s, make_way: 300ms");
    let mut slow = castile.client();
    let request = post("", envelope("", &"x".repeat(100_000)));
    slow.send(&request[..50_000]);
    eventually("it has a place", || node.connections() == 1);
    assert_eq!(castile.ask(want(2, "")).status(), 200);
    assert_eq!(slow.answer().status(), 408);
    assert_eq!(made_way(&castile), 1);
}

#[test]
fn who_is_slow_keeps_its_place_where_that_is_wanted() {
    let node = node();
    let castile = one_place(&node, "256KiB", "queue_timeout: 300ms, make_way: none");
    let (mut slow, next) = next_to_slow_reader(&castile, &node, LARGE, "");
    assert_eq!(next, 503);
    assert_eq!(slow.answer().body.len(), LARGE);
}
