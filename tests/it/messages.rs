//! Messages pass untouched.

use crate::support::soap::{envelope, post};
use crate::support::{Castile, Node, Peer, config, ok};

/// Whether a gateway must add this field to requests, and take it from clients it does not trust.
fn is_added(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "via" || name == "forwarded" || name == "x-request-id" || name.starts_with("x-forwarded-")
}

fn without_added(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().filter(|line| !is_added(line.split(':').next().unwrap_or_default())).collect()
}

/// The field lines and the body of `request` as the node gets them.
fn arrives(request: &[u8]) -> (Vec<String>, Vec<u8>) {
    let node = Node::answering(|_| ok("", ""));
    let castile = Castile::start(&config(&[&node], ""));
    assert_eq!(castile.ask(request).status(), 200);
    let message = node.wait_for(1);
    (without_added(message.lines()), message.body)
}

/// The answer as the client gets it.
fn comes_back(answer: &'static [u8]) -> (Peer, Castile, Node) {
    let node = Node::start(move |connection| {
        while connection.request().is_some() {
            connection.send(answer);
        }
    });
    let castile = Castile::start(&config(&[&node], ""));
    let mut client = castile.client();
    client.send(post("", envelope("", "<x/>")));
    (client, castile, node)
}

#[test]
fn request_fields_keep_case_order_and_bytes() {
    let request = b"POST /app HTTP/1.1\r\nhOST: a.example:8280\r\nX-b: 1\r\nSOAPAction: \"urn:next\"\r\nx-B:2\r\n\
        X-Empty:\r\nX-Bytes: caf\xe9 \xf0\x9f\x98\x80\r\nCONTENT-type: text/xml; charset=utf-8\r\nX-b: 3 , 4\r\n\
        Content-Length: 3\r\nCookie: a=1\r\nCookie: b=2; $Version=1\r\nAccept: */*\r\n\r\nabc";
    let node = Node::answering(|_| ok("", ""));
    let castile = Castile::start(&config(&[&node], ""));
    assert_eq!(castile.ask(request).status(), 200);
    let head = node.wait_for(1).head;
    let sent: Vec<&[u8]> = request.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).collect();
    let mut rest: Vec<&[u8]> = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).collect();
    rest.retain(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default().to_ascii_lowercase();
        !is_added(&String::from_utf8_lossy(&name))
    });
    let name_of = |line: &&[u8]| line.split(|byte| *byte == b':').next().unwrap_or_default().to_vec();
    let value_of = |line: &&[u8]| line.splitn(2, |byte| *byte == b':').nth(1).unwrap_or_default().trim_ascii().to_vec();
    let sent = &sent[..sent.len() - 2];
    let rest = &rest[..rest.len() - 2];
    assert_eq!(sent.iter().map(name_of).collect::<Vec<_>>(), rest.iter().map(name_of).collect::<Vec<_>>());
    assert_eq!(sent.iter().map(value_of).collect::<Vec<_>>(), rest.iter().map(value_of).collect::<Vec<_>>());
}

#[test]
fn request_bodies_pass_byte_for_byte() {
    let every_byte: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let (_, body) = arrives(&post("Content-Type: application/octet-stream\r\n", &every_byte));
    assert!(body == every_byte);
    let odd = "\u{feff}<?xml version='1.1'?>\r\n<!-- \r -->  <s:Envelope/>\n\n";
    assert_eq!(arrives(&post("", odd)).1, odd.as_bytes());
}

#[test]
fn answers_keep_fields_and_bytes() {
    let (mut client, _castile, _node) = comes_back(
        b"HTTP/1.1 200 OK\r\nServer: N/1\r\nset-COOKIE: a=1; Path=/x\r\nSet-Cookie: b=2\r\nX-Latin: \xe9\r\n\
          Date: Mon, 23 Nov 2026 10:00:00 GMT\r\nContent-Type: text/xml\r\nContent-Length: 5\r\nx-last: 1\r\n\r\n\x00\xff\r\n.",
    );
    let mut answer = client.head().expect("a head");
    // Nothing is added, nothing taken away.
    let expected: &[u8] =
        b"HTTP/1.1 200 OK\r\nServer: N/1\r\nset-COOKIE: a=1; Path=/x\r\nSet-Cookie: b=2\r\nX-Latin: \xe9\r\n\
          Date: Mon, 23 Nov 2026 10:00:00 GMT\r\nContent-Type: text/xml\r\nContent-Length: 5\r\nx-last: 1\r\n\r\n";
    assert!(answer.head == expected, "{}", String::from_utf8_lossy(&answer.head));
    client.body(&mut answer);
    assert_eq!(answer.body, b"\x00\xff\r\n.");
}

#[test]
fn reason_phrases_pass_as_they_came() {
    for reason in [&b"OK"[..], b"", b"Everything is fine, really", b"caf\xe9 \xc3\xa9", b"Unable to find: x\ty", b" "] {
        let answer = [b"HTTP/1.1 500 ", reason, b"\r\nContent-Length: 0\r\n\r\n"].concat();
        let (mut client, _castile, _node) = comes_back(Box::leak(answer.into_boxed_slice()));
        let head = client.head().expect("a head").head;
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default().to_vec();
        assert_eq!(line.trim_ascii_end(), [b"HTTP/1.1 500 ", reason].concat().trim_ascii_end(), "{reason:?}");
    }
}

#[test]
fn an_answer_that_is_no_http_is_the_nodes_failure() {
    for answer in [
        &b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n"[..],
        b"HTTP/1.1 200 O\nX-Injected: 1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 O\x1bK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: \x07\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"<html>hello</html>\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
    ] {
        let (mut client, castile, _node) = comes_back(answer);
        let fault = client.answer();
        assert_eq!(fault.status(), 500, "{}", String::from_utf8_lossy(answer));
        assert!(fault.text().contains("NodeFailed"), "{}", fault.text());
        assert!(!String::from_utf8_lossy(&fault.head).contains("Injected"));
        drop(client);
        assert_eq!(castile.stop()[0]["failure"], "NodeFailed");
    }
}

#[test]
fn bytes_behind_an_answer_close_the_nodes_connection() {
    let node = Node::start(|connection| {
        while connection.request().is_some() {
            connection.send([ok("", "one"), b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\ninjected".to_vec()].concat());
        }
    });
    let castile = Castile::start(&format!("workers: 1\n{}", config(&[&node], "")));
    for _ in 0..3 {
        assert_eq!(castile.ask(post("", "<x/>")).text(), "one");
    }
    assert_eq!(node.connections(), 3, "a connection with unasked bytes must carry no other request");
}

#[test]
fn interim_answers_are_relayed() {
    let (mut client, _castile, _node) = comes_back(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 \r\n\r\n\
          HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    assert_eq!(client.head().expect("100").start_line(), "HTTP/1.1 100 Continue");
    let hints = client.head().expect("103");
    assert_eq!((hints.status(), hints.field("link").as_deref()), (103, Some("</a>")));
    assert_eq!(client.head().expect("102").status(), 102);
    assert_eq!(client.answer().text(), "ok");
}

#[test]
fn switching_protocols_unasked_is_refused() {
    let (mut client, _castile, _node) =
        comes_back(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nbytes");
    let fault = client.answer();
    assert_eq!(fault.status(), 500);
    assert!(fault.text().contains("NodeFailed"), "{}", fault.text());
}

#[test]
fn hop_by_hop_fields_stay_behind() {
    let (lines, _) = arrives(
        b"POST /app HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade, HTTP2-Settings, X-Mine\r\nUpgrade: h2c\r\n\
          HTTP2-Settings: AAMAAABk\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Connection: keep-alive\r\n\
          X-Yours: 2\r\nContent-Length: 0\r\n\r\n",
    );
    let names: Vec<_> = lines.iter().map(|line| line.split(':').next().unwrap_or_default()).collect();
    assert_eq!(names, ["Host", "X-Yours", "Content-Length"]);
}

#[test]
fn a_request_without_a_body_gets_no_framing() {
    let (lines, _) = arrives(b"GET /app?x=%2f;y HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(lines, ["Host: h"]);
}
