//! What runs of real stacks taught (`tests/interop/README.md` has the list), each point from the outside.

use crate::support::soap::{envelope, post};
use crate::support::{Castile, Message, Node, chunked, config, ok};

/// The head that a node gets of this request.
fn arrives(settings: &str, request: impl AsRef<[u8]>) -> Message {
    let node = Node::answering(|_| ok("", ""));
    let castile = Castile::start(&config(&[&node], settings));
    assert_eq!(castile.ask(request).status(), 200);
    node.wait_for(1)
}

const OFFERS: &str = "Accept: application/fastinfoset, text/xml, application/soap+msbin1\r\nAccept-Encoding: br, gzip\r\n\
    Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nX-Caps: 1\r\n";

#[test]
fn nodes_are_not_asked_for_answers_that_rules_could_not_read() {
    let body = "sticky: {keys: [{key: k, learn: body a, match: body b}], strip_request_headers: [x-caps]}";
    let request = arrives(body, post(OFFERS, envelope("", "<x/>")));
    assert_eq!(
        (request.all("accept"), request.all("accept-encoding")),
        (vec!["text/xml".to_owned()], vec!["gzip".to_owned()])
    );
    for gone in ["upgrade", "http2-settings", "x-caps"] {
        assert_eq!(request.field(gone), None, "{gone}");
    }
}

#[test]
fn where_no_rule_reads_messages_they_may_be_asked_for_everything() {
    let request =
        arrives("sticky: {keys: [{key: k, learn: cookie a, match: cookie a}]}", post(OFFERS, envelope("", "<x/>")));
    assert_eq!(request.field("accept").as_deref(), Some("application/fastinfoset, text/xml, application/soap+msbin1"));
    assert_eq!(request.field("accept-encoding").as_deref(), Some("br, gzip"));
    assert_eq!((request.field("upgrade"), request.field("x-caps").as_deref()), (None, Some("1")));
}

#[test]
fn a_status_line_may_have_nine_thousand_characters_and_a_node_may_speak_http_1_0() {
    let reason = "Unable to find corresponding context for the serviceGroupId: ".to_owned() + &"x".repeat(9000);
    let answer = format!("HTTP/1.0 500 {reason}\r\nContent-Type: text/xml\r\n\r\n{}", envelope("", "<x/>"));
    let node = Node::start(move |connection| {
        let _ = connection.request();
        connection.send(&answer);
    });
    let castile = Castile::start(&config(&[&node], ""));
    let found = castile.ask(post("", envelope("", "<x/>")));
    assert!(found.start_line().ends_with(&reason), "{}", found.start_line());
    assert_eq!(found.text(), envelope("", "<x/>"));
}

#[test]
fn chunked_requests_get_a_length_for_nodes_that_cannot_read_chunks() {
    let body = envelope("", "<x/>");
    let head = "POST /app HTTP/1.1\r\nHost: h\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n";
    let sent = [head.as_bytes(), &chunked(body.as_bytes(), &[1, 7, 30], "")].concat();
    let request = arrives("request_framing: content_length", &sent);
    assert_eq!(
        (request.field("transfer-encoding"), request.field("content-length")),
        (None, Some(body.len().to_string()))
    );
    assert_eq!(request.text(), body);
    assert!(arrives("", &sent).is_chunked());
}

#[test]
fn what_is_too_long_to_be_given_a_length_is_refused_with_a_fault() {
    let node = Node::answering(|_| ok("", ""));
    let castile = Castile::start(&config(&[&node], "request_framing: content_length"));
    let mut client = castile.client();
    let head = "POST /app HTTP/1.1\r\nHost: h\r\nContent-Type: text/xml\r\nSOAPAction: \"\"\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(head);
    // More than `inspect.bytes_per_message`; the answer may come before all of it was sent.
    for _ in 0..80 {
        if client.try_send([format!("{:x}\r\n", 64 << 10).as_bytes(), &vec![b'x'; 64 << 10], b"\r\n"].concat()).is_err()
        {
            break;
        }
    }
    let _ = client.try_send("0\r\n\r\n");
    let fault = client.answer();
    assert!(fault.status() >= 400 && fault.text().contains("Fault"), "{}", fault.text());
    assert_eq!(node.count(), 0);
}

#[test]
fn a_node_connection_is_not_used_longer_than_node_idle() {
    let node = Node::answering(|_| ok("", ""));
    let castile = Castile::start(&format!("workers: 1\n{}", config(&[&node], "timeouts: {node_idle: 20ms}")));
    let mut client = castile.client();
    // Each round waits as long as the last one did and a little more, until that was too long for the connection.
    let begun = std::time::Instant::now();
    crate::support::eventually("another connection is made", || {
        let wait = begun.elapsed();
        let asked = std::time::Instant::now();
        while asked.elapsed() < wait.min(std::time::Duration::from_millis(40)) {
            std::thread::yield_now();
        }
        assert_eq!(client.ask(post("", "<a/>")).status(), 200);
        node.connections() > 1
    });
}

#[test]
fn idle_clients_are_kept_longer_than_they_keep_their_connections() {
    // Axis2's clients fail when a connection they kept is closed under their next request; they keep it for a minute.
    let idle = castile::config::model::ListenerTimeouts::default().idle;
    assert!(idle >= std::time::Duration::from_secs(75), "{idle:?}");
}

#[test]
fn cookies_of_old_clients_keep_their_conversation_and_their_bytes() {
    let node = || Node::answering(|_| ok("Set-Cookie: JSESSIONID=abc.node0; Path=/app\r\nSet-Cookie: 17\r\n", ""));
    let nodes = [node(), node()];
    let castile = Castile::start(&config(&[&nodes[0], &nodes[1]], "sticky: {presets: [servlet-jsessionid]}"));
    assert_eq!(castile.ask(post("", "<a/>")).status(), 200);
    let first = usize::from(nodes[1].count() == 1);
    for lines in [
        "Cookie: JSESSIONID=abc.node0; Path=/axis2; HttpOnly=null\r\n",
        "Cookie: $Version=1;JSESSIONID=abc.node0;$Path=/app\r\n",
        "Cookie: other=1\r\nCookie:\r\nCookie: JSESSIONID=abc.node0\r\n",
        "Cookie: 17; nameless; JSESSIONID=abc.node0\r\n",
        "Cookie: JSESSIONID=\"abc.node0\"\r\n",
        "Cookie: $Version=\"1\"; JSESSIONID=\"abc.node0\"; $Path=\"/app\"\r\n",
    ] {
        let before = nodes[first].count();
        assert_eq!(castile.ask(post(lines, "<a/>")).status(), 200);
        let request = nodes[first].wait_for(before + 1);
        let sent: Vec<_> = lines.lines().map(|line| line["Cookie:".len()..].trim().to_owned()).collect();
        assert_eq!(request.all("cookie"), sent);
    }
}

#[test]
fn a_cookie_in_quotes_and_one_without_are_the_same() {
    for (given, kept) in [("\"q-1\"", "q-1"), ("q-1", "\"q-1\""), ("\"q-1\"", "\"q-1\"")] {
        let node = || {
            Node::answering(move |request| match request.field("cookie") {
                None => ok(&format!("Set-Cookie: SID={given}; Version=1; Path=/\r\n"), ""),
                // As Tomcat ends a session, by a name alone.
                Some(_) if request.text().contains("logout") => ok("Set-Cookie: SID=\"\"; Max-Age=0\r\n", ""),
                Some(_) => ok("", ""),
            })
        };
        let nodes = [node(), node()];
        let rules = "sticky: {keys: [{key: sid, match: cookie SID, learn: cookie SID}], end: [{cookie_deleted: SID}]}";
        let castile = Castile::start(&config(&[&nodes[0], &nodes[1]], rules));
        let log = [post("", "<a/>")]
            .into_iter()
            .chain(["<b/>", "<b/>", "<logout/>", "<c/>"].map(|body| post(&format!("Cookie: SID={kept}\r\n"), body)));
        for request in log {
            assert_eq!(castile.ask(request).status(), 200);
        }
        let mut decisions: Vec<_> = castile.stop().iter().map(|line| line["decision"].to_string()).collect();
        // Lines of one millisecond come in any order.
        decisions.sort_unstable();
        let expected = ["bal", "pin", "pin", "pin", "unknown"].map(|code| format!("\"{code}\""));
        assert_eq!(decisions, expected, "{given} {kept}");
    }
}

#[test]
fn host_passes_and_forwarding_fields_tell_what_was_asked_for() {
    let request = arrives("", "POST /a HTTP/1.1\r\nHost: soap.example:8280\r\nContent-Length: 0\r\n\r\n");
    let field = |name: &str| request.field(name);
    assert_eq!(field("host").as_deref(), Some("soap.example:8280"));
    assert_eq!(field("x-forwarded-host").as_deref(), Some("soap.example:8280"));
    assert_eq!(
        (field("x-forwarded-proto").as_deref(), field("x-forwarded-port").as_deref()),
        (Some("http"), Some("8280"))
    );
    assert_eq!(field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert!(field("forwarded").is_some_and(|value| value.contains("for=127.0.0.1") && value.contains("proto=http")));
}
