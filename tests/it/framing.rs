//! Where messages end, on both sides.

use crate::support::soap::{AXIS2, CLIENT_ISSUED, client_id, envelope, post};
use crate::support::{Castile, Event, Node, Peer, chunked, config, ok};

/// A gateway before a node that answers every request with these bytes, and closes if told to.
fn answering(answer: &'static [u8], closes: bool) -> (Castile, Node) {
    let node = Node::start(move |connection| {
        while connection.request().is_some() {
            connection.send(answer);
            if closes {
                return;
            }
        }
    });
    let castile = Castile::start(&format!("workers: 1\n{}", config(&[&node], "")));
    (castile, node)
}

fn chunked_post(body: &[u8], sizes: &[usize], trailers: &str) -> Vec<u8> {
    let head = "POST /app HTTP/1.1\r\nHost: h\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n";
    [head.as_bytes(), &chunked(body, sizes, trailers)].concat()
}

#[test]
fn a_length_stays_a_length_and_chunks_stay_chunks() {
    let (castile, node) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false);
    let mut client = castile.client();
    assert_eq!(client.ask(post("", "<a/>")).text(), "ok");
    let first = node.wait_for(1);
    assert_eq!((first.field("content-length").as_deref(), first.is_chunked()), (Some("4"), false));
    let body: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    assert_eq!(client.ask(chunked_post(&body, &[1, 2, 70_000, 3], "")).text(), "ok");
    let second = node.wait_for(2);
    assert_eq!((second.field("content-length"), second.is_chunked()), (None, true));
    assert!(second.body == body);
}

#[test]
fn chunked_answers_reach_the_client_in_chunks() {
    let (castile, _node) =
        answering(b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n1\r\na\r\n4;x=y\r\nbcde\r\n0\r\n\r\n", false);
    let mut client = castile.client();
    for _ in 0..3 {
        let answer = client.ask(post("", "<a/>"));
        assert_eq!((answer.text().as_str(), answer.is_chunked()), ("abcde", true));
    }
}

#[test]
fn trailers_pass_both_ways() {
    let (castile, node) = answering(
        b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 17\r\n\r\n",
        false,
    );
    let mut client = castile.client();
    let answer = client.ask(chunked_post(b"hello", &[5], "X-Check: abc\r\nX-Two: 2\r\n"));
    assert_eq!(String::from_utf8_lossy(&answer.trailers), "X-Sum: 17\r\n");
    assert_eq!(String::from_utf8_lossy(&node.wait_for(1).trailers), "X-Check: abc\r\nX-Two: 2\r\n");
    assert_eq!(client.ask(post("", "<a/>")).text(), "ok", "the connection goes on");
}

#[test]
fn a_client_of_http_1_0_gets_an_answer_that_ends_with_the_connection() {
    let (castile, node) =
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false);
    let mut client = castile.client();
    client.send("POST /app HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: 4\r\n\r\n<a/>");
    let answer = client.answer();
    assert_eq!((answer.text().as_str(), answer.is_chunked()), ("hello", false));
    client.expect_close();
    assert_eq!(node.wait_for(1).start_line(), "POST /app HTTP/1.1");
}

#[test]
fn a_client_of_http_1_0_may_keep_its_connection() {
    let (castile, _node) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false);
    let mut client = castile.client();
    for _ in 0..2 {
        let answer =
            client.ask("POST /app HTTP/1.0\r\nHost: h\r\nConnection: Keep-Alive\r\nContent-Length: 4\r\n\r\n<a/>");
        assert_eq!(answer.text(), "ok");
        assert!(answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("keep-alive")));
    }
}

#[test]
fn a_node_of_http_1_0_may_end_its_answer_by_closing() {
    for answer in [&b"HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n\r\n<ok/>"[..], b"HTTP/1.1 200 OK\r\n\r\n<ok/>"] {
        let (castile, node) = answering(answer, true);
        let mut client = castile.client();
        for _ in 0..3 {
            assert_eq!(client.ask(post("", "<a/>")).text(), "<ok/>");
        }
        assert_eq!(node.connections(), 3);
    }
}

#[test]
fn a_cut_answer_never_looks_whole() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhellozz\r\n",
    ] {
        let (castile, _node) = answering(answer, true);
        let mut client = castile.client();
        client.send(post("Connection: close\r\n", "<a/>"));
        let all = String::from_utf8_lossy(&client.rest()).into_owned();
        assert!(all.contains("NodeFailed") || !all.ends_with("0\r\n\r\n") && !all.contains("Length: 5\r\n"), "{all}");
        drop(client);
        assert_eq!(castile.stop()[0]["failure"], "NodeFailed");
    }
}

#[test]
fn answers_without_bodies_leave_the_connection_usable() {
    for answer in [
        &b"HTTP/1.1 204 No Content\r\n\r\n"[..],
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nETag: \"x\"\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let (castile, node) = answering(answer, false);
        let mut client = castile.client();
        for _ in 0..3 {
            let answer = client.ask(post("", "<a/>"));
            assert!(answer.body.is_empty());
        }
        assert_eq!(node.connections(), 1, "{}", String::from_utf8_lossy(answer));
    }
}

#[test]
fn head_answers_have_the_length_and_no_body() {
    let (castile, node) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 4711\r\nX-A: b\r\n\r\n", false);
    let mut client = castile.client();
    for _ in 0..3 {
        client.send("HEAD /app?wsdl HTTP/1.1\r\nHost: h\r\n\r\n");
        let head = client.head().expect("an answer");
        assert_eq!((head.status(), head.field("content-length").as_deref()), (200, Some("4711")));
    }
    assert_eq!(node.connections(), 1);
}

#[test]
fn get_and_options_pass() {
    let (castile, node) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false);
    let mut client = castile.client();
    assert_eq!(client.ask("GET /app?wsdl HTTP/1.1\r\nHost: h\r\n\r\n").text(), "ok");
    assert_eq!(node.wait_for(1).start_line(), "GET /app?wsdl HTTP/1.1");
    assert_eq!(client.ask("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").text(), "ok");
    assert_eq!(node.wait_for(2).start_line(), "OPTIONS * HTTP/1.1");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let node = Node::answering(|request| ok("", request.body.clone()));
    let castile = Castile::start(&config(&[&node], ""));
    let mut client = castile.client();
    let all: Vec<u8> = (0..20)
        .flat_map(|i| {
            if i % 2 == 0 {
                post("", format!("<a{i}/>"))
            } else {
                chunked_post(format!("<a{i}/>").as_bytes(), &[2], "")
            }
        })
        .collect();
    client.send(all);
    for i in 0..20 {
        assert_eq!(client.answer().text(), format!("<a{i}/>"));
    }
}

#[test]
fn connections_are_used_again_on_both_sides() {
    let (castile, node) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false);
    let mut client = castile.client();
    for _ in 0..50 {
        assert_eq!(client.ask(post("", "<a/>")).text(), "ok");
    }
    assert_eq!((castile.connections(), node.connections()), (1, 1));
}

#[test]
fn keep_alive_false_opens_a_connection_for_each_request() {
    let node = Node::answering(|_| ok("", "ok"));
    let castile = Castile::start(&format!("workers: 1\n{}", config(&[&node], "keep_alive: false")));
    let mut client = castile.client();
    for _ in 0..3 {
        assert_eq!(client.ask(post("", "<a/>")).text(), "ok");
    }
    assert_eq!(node.connections(), 3);
    assert_eq!(node.wait_for(1).field("connection").as_deref(), Some("close"));
}

#[test]
fn connection_close_is_heeded_on_either_side() {
    let (castile, node) = answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", false);
    let mut client = castile.client();
    for _ in 0..2 {
        let answer = client.ask(post("", "<a/>"));
        assert_eq!(answer.text(), "ok");
        assert_eq!(answer.field("connection"), None, "the node's close is not the client's");
    }
    assert_eq!(node.connections(), 2, "the node said that it closes");
    let answer = client.ask(post("Connection: close\r\n", "<a/>"));
    assert_eq!(answer.field("connection").as_deref(), Some("close"));
    client.expect_close();
}

fn expecting(fields: &str, length: usize) -> String {
    format!(
        "POST /app HTTP/1.1\r\nHost: h\r\nContent-Type: text/xml\r\n{fields}Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// A node that says 100 only when asked to, as the field of the request tells.
fn careful_node() -> Node {
    Node::start(|connection| {
        while let Some(mut head) = connection.peer.head() {
            let expects = head.field("expect").is_some();
            if head.field("x-refuse").is_some() {
                connection.note(&head);
                connection.send(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno");
                return;
            }
            if expects {
                connection.send(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            connection.peer.body(&mut head);
            connection.note(&head);
            connection.send(ok("", "ok"));
        }
    })
}

#[test]
fn where_rules_read_the_message_the_gateway_says_continue() {
    let node = careful_node();
    let castile = Castile::start(&config(&[&node], CLIENT_ISSUED));
    let mut client = castile.client();
    let message = envelope(&client_id("1"), "");
    client.send(expecting("", message.len()));
    assert_eq!(client.head().expect("an answer").status(), 100);
    assert_eq!(node.connections(), 0, "no node is needed before the message can be placed");
    client.send(&message);
    assert_eq!(client.head().expect("an answer").status(), 200);
    assert_eq!(client.bytes(2), b"ok");
    let request = node.wait_for(1);
    assert_eq!((request.field("expect"), request.text()), (None, message));
}

#[test]
fn elsewhere_the_nodes_continue_is_relayed() {
    let node = careful_node();
    let castile = Castile::start(&config(&[&node], ""));
    let mut client = castile.client();
    client.send(expecting("", 4));
    assert_eq!(client.head().expect("an answer").start_line(), "HTTP/1.1 100 Continue");
    client.send("<a/>");
    assert_eq!(client.answer().text(), "ok");
    let request = node.wait_for(1);
    assert_eq!((request.field("expect").as_deref(), request.text().as_str()), (Some("100-continue"), "<a/>"));
}

#[test]
fn a_final_answer_without_continue_closes_both_connections() {
    let node = careful_node();
    let castile = Castile::start(&config(&[&node], ""));
    let mut client = castile.client();
    client.send(expecting("X-Refuse: 1\r\n", 4));
    let answer = client.answer();
    assert_eq!((answer.status(), answer.text().as_str()), (417, "no"));
    assert_eq!(answer.field("connection").as_deref(), Some("close"));
    client.expect_close();
    let mut other = castile.client();
    assert_eq!(other.ask(post("", "<a/>")).text(), "ok");
    assert_eq!(node.connections(), 2);
}

#[test]
fn the_node_sees_the_first_bytes_before_the_client_has_sent_the_last() {
    let arrived = Event::new();
    let node = Node::start({
        let arrived = arrived.clone();
        move |connection| {
            let mut head = connection.peer.head().expect("a request");
            connection.peer.until(b"first");
            arrived.happen();
            head.body = connection.peer.until(b"0\r\n\r\n");
            connection.send(ok("", "ok"));
        }
    });
    let castile = Castile::start(&config(&[&node], AXIS2));
    let mut client = castile.client();
    client.send("POST /app HTTP/1.1\r\nHost: h\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n");
    // Axis2 ids stand in the Header, so everything behind it need not be awaited.
    let begin = envelope("", "first");
    let begin = begin.split("</s:Body>").next().expect("a beginning");
    client.send(format!("{:x}\r\n{begin}\r\n", begin.len()));
    arrived.wait();
    client.send("6\r\nsecond\r\n0\r\n\r\n");
    assert_eq!(client.answer().text(), "ok");
}

#[test]
fn an_answer_streams_while_the_node_still_writes() {
    let may_end = Event::new();
    let node = Node::start({
        let may_end = may_end.clone();
        move |connection| {
            connection.request().expect("a request");
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 11\r\n\r\nfirst ");
            may_end.wait();
            connection.send(b"piece");
        }
    });
    let castile = Castile::start(&config(&[&node], AXIS2));
    let mut client = castile.client();
    client.send(post("", envelope("", "")));
    client.until(b"first ");
    may_end.happen();
    assert_eq!(client.bytes(5), b"piece");
}

#[test]
fn an_answer_may_come_before_the_request_is_whole() {
    let node = Node::start(|connection| {
        let head = connection.peer.head().expect("a request");
        connection.note(&head);
        connection.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig");
        connection.peer.rest();
    });
    let castile = Castile::start(&config(&[&node], ""));
    let mut client = castile.client();
    client.send("POST /app HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n12345");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.text().as_str()), (413, "big"));
    client.expect_close();
}

/// Reads what a client gets for a request in pieces, each a write of its own.
fn in_pieces(castile: &Castile, request: &[u8], size: usize) -> Peer {
    let mut client = castile.client();
    for piece in request.chunks(size) {
        client.send(piece);
    }
    client
}

#[test]
fn requests_may_arrive_in_any_pieces() {
    let node = Node::answering(|request| ok("", request.body.clone()));
    let castile = Castile::start(&config(&[&node], AXIS2));
    let message = envelope("", "<a/>");
    for size in [1, 2, 3, 7, 50] {
        assert_eq!(in_pieces(&castile, &post("", &message), size).answer().text(), message);
        assert_eq!(in_pieces(&castile, &chunked_post(message.as_bytes(), &[5], ""), size).answer().text(), message);
    }
}
