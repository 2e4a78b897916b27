//! Nobody waits for ever.

use std::time::{Duration, Instant};

use crate::support::soap::{AXIS2, CLIENT_ISSUED, envelope, login_node, post};
use crate::support::{Castile, Event, Node, PATIENCE, config, ok};

/// With these timeouts of the listener.
fn listening(yaml: &str, timeouts: &str) -> String {
    yaml.replace("address: '127.0.0.1:0'", &format!("address: '127.0.0.1:0', timeouts: {{{timeouts}}}"))
}

#[test]
fn a_head_that_does_not_come_is_answered_408() {
    let node = login_node(0);
    let castile = Castile::start(&listening(&config(&[&node], ""), "header: 1s"));
    let mut client = castile.client();
    client.send("POST /app HTTP/1.1\r\nHo");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.field("connection").as_deref()), (408, Some("close")));
    client.expect_close();
    assert_eq!(node.connections(), 0);
}

#[test]
fn a_head_that_comes_byte_by_byte_has_no_more_time() {
    let node = login_node(0);
    let castile = Castile::start(&listening(&config(&[&node], ""), "header: 300ms"));
    let mut client = castile.client();
    let began = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n");
    // Every byte is progress, but the limit is for the whole head.
    while client.try_send("X: y\r\n").is_ok() && began.elapsed() < PATIENCE {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert!(began.elapsed() < PATIENCE);
}

#[test]
fn a_connection_without_a_request_is_closed_without_a_word() {
    let node = login_node(0);
    let castile = Castile::start(&listening(&config(&[&node], ""), "header: 1s, idle: 200ms"));
    castile.client().expect_close();
    let mut used = castile.client();
    assert_eq!(used.ask(post("", envelope("", ""))).status(), 200);
    used.expect_close();
}

#[test]
fn a_body_that_does_not_come_is_answered_408() {
    for settings in [CLIENT_ISSUED, ""] {
        let node = Node::start(|connection| {
            connection.peer.head();
            connection.peer.rest();
        });
        let castile = Castile::start(&config(&[&node], &format!("{settings}\ntimeouts: {{stall: 200ms}}")));
        let mut client = castile.client();
        client
            .send("POST /app HTTP/1.1\r\nHost: h\r\nContent-Type: text/xml\r\nContent-Length: 100\r\n\r\n<s:Envelope");
        let answer = client.answer();
        assert_eq!(answer.status(), 408, "{settings}");
        client.expect_close();
    }
}

#[test]
fn a_node_that_does_not_answer_has_failed() {
    let node = Node::start(|connection| {
        connection.request();
        connection.peer.rest();
    });
    let castile = Castile::start(&config(&[&node], "timeouts: {response: 200ms}"));
    let mut client = castile.client();
    let answer = client.ask(post("", envelope("", "<x/>")));
    assert_eq!(answer.status(), 500);
    assert!(answer.text().contains("NodeFailed") && answer.text().contains("may have been executed"));
    assert_eq!(node.count(), 1, "never sent again");
    let plain = castile.ask("GET /app HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(plain.status(), 504);
}

#[test]
fn a_route_may_wait_longer_than_its_upstream() {
    let slow = Event::new();
    let node = Node::answering({
        let slow = slow.clone();
        move |request| {
            if request.start_line().starts_with("POST /app ") {
                slow.wait();
            }
            ok("", "ok")
        }
    });
    let yaml = config(&[&node], "timeouts: {response: 100ms}")
        .replace("routes: [", "routes: [{path: /app, upstream: app, timeouts: {response: 15m}}, ");
    let castile = Castile::start(&yaml);
    let mut client = castile.client();
    client.send(post("", "<x/>"));
    // The other route's limit passes meanwhile, on the same clock.
    let other = Node::start(|connection| drop(connection.peer.rest()));
    let quick = Castile::start(&config(&[&other], "timeouts: {response: 100ms}"));
    assert_eq!(quick.ask("GET /x HTTP/1.1\r\nHost: h\r\n\r\n").status(), 504);
    slow.happen();
    assert_eq!(client.answer().text(), "ok");
}

#[test]
fn an_answer_that_stalls_is_broken_off() {
    let node = Node::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
        connection.peer.expect_close();
    });
    let castile = Castile::start(&config(&[&node], "timeouts: {stall: 200ms}"));
    let mut client = castile.client();
    client.send(post("", "<x/>"));
    let all = client.rest();
    assert!(!all.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&all));
}

#[test]
fn a_client_that_takes_nothing_does_not_hold_its_node() {
    let given_up = Event::new();
    let node = Node::start({
        let given_up = given_up.clone();
        move |connection| {
            connection.request();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            while connection.peer.try_send([b'x'; 0x10000]).is_ok() {}
            given_up.happen();
        }
    });
    let castile = Castile::start(&config(&[&node], "timeouts: {stall: 300ms}"));
    let mut client = castile.client();
    client.send(post("", "<x/>"));
    given_up.wait();
}

#[test]
fn a_connect_that_hangs_is_tried_elsewhere() {
    // A queue of one that is full: further connects are neither taken nor refused.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    listener.listen(0).expect("it can listen");
    let address = listener.local_addr().expect("bound");
    let full: Vec<_> = (0..4)
        .map(|_| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
            socket.set_nonblocking(true).expect("a socket can be so");
            let _ = socket.connect(&address);
            socket
        })
        .collect();
    let node = login_node(1);
    let url = format!("http://{}", address.as_socket().expect("an IP address"));
    let yaml = config(&[&node], &format!("{AXIS2}\ntimeouts: {{connect: 300ms}}")).replacen(
        "nodes: [",
        &format!("nodes: [{{name: hangs, url: '{url}'}}, "),
        1,
    );
    let castile = Castile::start(&yaml);
    for _ in 0..2 {
        assert_eq!(castile.ask(post("", envelope("", "<x/>"))).status(), 200);
    }
    drop(full);
}
