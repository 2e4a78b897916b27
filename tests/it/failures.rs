//! When a node cannot serve.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::soap::{
    AXIS2, CLIENT_ISSUED, client_id, envelope, envelope12, group_id, login, login_node, post, reply_to, served_by,
};
use crate::support::{Castile, Event, Node, config, eventually, ok, parallel, refusing_address};

/// The configuration of these nodes with another one, first, that nobody listens for.
fn with_refusing(address: std::net::SocketAddr, nodes: &[&Node], settings: &str) -> String {
    config(nodes, settings).replacen("nodes: [", &format!("nodes: [{{name: gone, url: 'http://{address}'}}, "), 1)
}

#[test]
fn a_new_request_is_tried_elsewhere_when_a_node_accepts_no_byte() {
    let (_held, gone) = refusing_address();
    let node = login_node(1);
    let castile = Castile::start(&with_refusing(gone, &[&node], AXIS2));
    for _ in 0..6 {
        assert_eq!(castile.ask(post("", envelope("", "<x/>"))).status(), 200);
    }
    assert_eq!(node.count(), 6);
    let log = castile.stop();
    assert!(log.iter().any(|line| line["retries"] == 1), "{log:?}");
}

#[test]
fn parallel_first_requests_move_together_when_their_node_accepts_no_byte() {
    let (_held, gone) = refusing_address();
    let nodes = [0, 1].map(login_node);
    let castile = Castile::start(&with_refusing(gone, &[&nodes[0], &nodes[1]], CLIENT_ISSUED));
    for round in 0..10 {
        let request = post("", envelope(&client_id(&format!("round {round}")), "<x/>"));
        let served = parallel(8, |_| served_by(&castile.ask(&request)));
        assert!(served.iter().all(|node| *node == served[0]), "round {round}: {served:?}");
    }
}

#[test]
fn where_no_node_accepts_a_byte_the_client_may_try_again() {
    let ((_a, one), (_b, two)) = (refusing_address(), refusing_address());
    let castile = Castile::start(&format!(
        "listeners: [{{name: public, address: '127.0.0.1:0'}}]\nroutes: [{{upstream: app}}]\n\
         upstreams: {{app: {{nodes: [{{name: a, url: 'http://{one}'}}, {{name: b, url: 'http://{two}'}}]}}}}\n"
    ));
    let answer = castile.ask(post("SOAPAction: \"x\"\r\n", envelope("", "<x/>")));
    assert_eq!(answer.status(), 503);
    assert!(answer.field("retry-after").is_some());
    assert!(answer.text().contains("NodeUnavailable") && answer.text().contains("Fault"), "{}", answer.text());
    let plain = castile.ask("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(plain.status(), 503);
    assert!(plain.field("content-type").is_some_and(|value| value.starts_with("text/plain")));
}

/// A node that reads a request and then fails as told.
fn failing(how: fn(&mut crate::support::Peer)) -> (Node, Arc<AtomicUsize>) {
    let executed: Arc<AtomicUsize> = Arc::default();
    let node = Node::start({
        let executed = Arc::clone(&executed);
        move |connection| {
            if connection.request().is_some() {
                executed.fetch_add(1, Ordering::SeqCst);
                how(&mut connection.peer);
            }
        }
    });
    (node, executed)
}

#[test]
fn a_request_that_a_node_accepted_is_never_sent_again() {
    let closes: fn(&mut crate::support::Peer) = |_| ();
    let half_head: fn(&mut crate::support::Peer) = |peer| drop(peer.try_send("HTTP/1.1 200 OK\r\nContent-Le"));
    for how in [closes, half_head] {
        let (a, executed_a) = failing(how);
        let (b, executed_b) = failing(how);
        let castile = Castile::start(&config(&[&a, &b], AXIS2));
        for (message, media, status) in
            [(envelope("", "<x/>"), "text/xml", 500), (envelope12("", "<x/>"), "application/soap+xml", 500)]
        {
            let answer = castile.ask(post(&format!("Content-Type: {media}\r\n"), message));
            assert_eq!(answer.status(), status);
            assert!(answer.field("content-type").is_some_and(|value| value.starts_with(media)));
            assert!(answer.text().contains("NodeFailed") && answer.text().contains("may have been executed"));
        }
        assert_eq!(executed_a.load(Ordering::SeqCst) + executed_b.load(Ordering::SeqCst), 2);
        drop(castile);
    }
}

#[test]
fn a_node_that_resets_counts_as_having_accepted() {
    let node = Node::start(|connection| {
        let peer = std::mem::replace(&mut connection.peer, crate::support::Peer::plain(loopback()));
        let mut peer = peer;
        if let Some(request) = peer.request() {
            connection.note(&request);
            peer.reset();
        }
    });
    let other = login_node(1);
    let castile = Castile::start(&config(&[&node, &other], AXIS2));
    let answers: Vec<_> = (0..4).map(|_| castile.ask(post("", envelope("", "<x/>"))).status()).collect();
    assert_eq!(answers.iter().filter(|status| **status == 500).count(), 2, "{answers:?}");
    assert_eq!((node.count(), other.count()), (2, 2));
}

/// Some connection, to stand in the place of another.
fn loopback() -> std::net::TcpStream {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens")
}

#[test]
fn a_kept_connection_that_the_node_closed_carries_no_request() {
    let closed = Event::new();
    let node = Node::start({
        let closed = closed.clone();
        move |connection| {
            connection.request();
            connection.send(ok("", "ok"));
            if connection.number == 0 {
                connection.peer.end();
                closed.happen();
            } else {
                while connection.request().is_some() {
                    connection.send(ok("", "ok"));
                }
            }
        }
    });
    let castile = Castile::start(&format!("workers: 1\n{}", config(&[&node], "")));
    let mut client = castile.client();
    assert_eq!(client.ask(post("", "<a/>")).text(), "ok");
    closed.wait();
    // One more turn of the worker, on another connection, lets the end of the first one arrive.
    for _ in 0..5 {
        assert_eq!(client.ask(post("", "<b/>")).text(), "ok");
    }
}

/// A session on a node that stops listening: the request that belongs there, the gateway, the node left.
struct Orphaned {
    castile: Castile,
    request: Vec<u8>,
    other: Node,
    gone: &'static str,
}

fn orphaned(settings: &str) -> Orphaned {
    let nodes = [login_node(0), login_node(1)];
    let mut castile = Castile::start(&config(&[&nodes[0], &nodes[1]], settings));
    let (id, owner) = login(&castile);
    // The node goes: its name stays, and nobody listens where it now should be.
    let (held, address) = refusing_address();
    let (url, nowhere) = (nodes[owner].url(), format!("http://{address}"));
    castile.reload(&config(&[&nodes[0], &nodes[1]], settings).replace(&url, &nowhere));
    std::mem::forget(held);
    let mut nodes = nodes.into_iter();
    let (first, second) = (nodes.next().expect("two"), nodes.next().expect("two"));
    let other = if owner == 0 { second } else { first };
    let gone = if owner == 0 { "n0" } else { "n1" };
    Orphaned { castile, request: post("", envelope(&group_id(&id), "<next/>")), other, gone }
}

#[test]
fn a_lost_session_is_told_as_such() {
    let lost = orphaned(&format!("{}\ntimeouts: {{connect: 300ms}}", AXIS2.replace("]}", "], on_node_down: fault}")));
    let before = lost.other.count();
    let began = std::time::Instant::now();
    let answer = lost.castile.ask(&lost.request);
    assert_eq!(answer.status(), 500);
    assert!(answer.text().contains("SessionLost"), "{}", answer.text());
    // Parallel calls hear the same.
    for answer in parallel(6, |_| lost.castile.ask(&lost.request)) {
        assert!(answer.text().contains("SessionLost"), "{}", answer.text());
    }
    assert_eq!(lost.other.count(), before, "nobody else was asked");
    // After five seconds the dead id counts as new: a client that goes on trying gets through.
    let mut client = lost.castile.client();
    eventually("the dead id is taken for a new one", || client.ask(&lost.request).status() == 200);
    assert!(began.elapsed().as_secs() >= 4, "the tombstone stood for {:?} only", began.elapsed());
    drop(client);
    let log = lost.castile.stop();
    assert_eq!(
        (&log[1]["decision"], &log[1]["failure"], &log[1]["node"]),
        (&"lost".into(), &"SessionLost".into(), &lost.gone.into())
    );
}

#[test]
fn failover_moves_the_conversation() {
    let moved =
        orphaned(&format!("{}\ntimeouts: {{connect: 300ms}}", AXIS2.replace("]}", "], on_node_down: failover}")));
    let before = moved.other.count();
    for _ in 0..4 {
        assert_eq!(moved.castile.ask(&moved.request).status(), 200);
    }
    assert_eq!(moved.other.count(), before + 4);
    let log = moved.castile.stop();
    assert_eq!(log[1]["decision"], "move", "{}", log[1]);
    assert_eq!(log[2]["decision"], "pin", "{}", log[2]);
}

#[test]
fn an_answer_after_the_request_failed_to_go_out_is_still_passed_on() {
    // A node that answers from the head alone and closes: what it said counts.
    let node = Node::start(|connection| {
        if let Some(head) = connection.peer.head() {
            connection.note(&head);
            connection.send(b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 4\r\n\r\nwho?");
        }
        connection.peer.end();
        connection.peer.rest();
    });
    let castile = Castile::start(&config(&[&node], ""));
    let answer = castile.ask(post("", vec![b'x'; 4 << 20]));
    assert_eq!((answer.status(), answer.text().as_str()), (401, "who?"));
}

#[test]
fn a_client_that_goes_away_in_the_middle_of_its_request_ends_it_at_the_node() {
    let (asked, gone) = (Event::new(), Event::new());
    let node = Node::start({
        let (asked, gone) = (asked.clone(), gone.clone());
        move |connection| {
            connection.peer.until(b"half");
            asked.happen();
            connection.peer.expect_close();
            gone.happen();
        }
    });
    let castile = Castile::start(&config(&[&node], ""));
    let mut client = castile.client();
    client.send("POST /app HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nhalf");
    asked.wait();
    client.reset();
    gone.wait();
}

#[test]
fn a_client_that_goes_away_in_the_middle_of_its_answer_ends_it_at_the_node() {
    let gone = Event::new();
    let node = Node::start({
        let gone = gone.clone();
        move |connection| {
            connection.request();
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while connection.peer.try_send(chunk()).is_ok() {}
            gone.happen();
        }
    });
    let castile = Castile::start(&config(&[&node], ""));
    let mut client = castile.client();
    client.send(post("", "<a/>"));
    client.until(b"xxxx");
    client.reset();
    gone.wait();
}

fn chunk() -> Vec<u8> {
    [b"1000\r\n", &[b'x'; 0x1000][..], b"\r\n"].concat()
}

#[test]
fn an_answer_of_our_own_leaves_the_connection_usable() {
    let node = login_node(0);
    let yaml = config(&[&node], "").replace("routes: [{upstream: app}]", "routes: [{path: /app, upstream: app}]");
    let castile = Castile::start(&yaml);
    let mut client = castile.client();
    let elsewhere = String::from_utf8(post("", envelope("", ""))).expect("text").replace("/app", "/other");
    for _ in 0..3 {
        let fault = client.ask(&elsewhere);
        assert_eq!((fault.status(), fault.field("connection")), (404, None));
        assert_eq!(client.ask(post("", envelope("", ""))).status(), 200);
    }
}

#[test]
fn a_node_at_its_limit_is_passed_over_and_pinned_requests_may_try_again() {
    let (asked, may_answer) = (Event::new(), Event::new());
    let nodes = [0, 1].map(|number| {
        let (asked, may_answer) = (asked.clone(), may_answer.clone());
        Node::answering(move |request| {
            let fields = format!("Content-Type: text/xml\r\nX-Node: {number}\r\n");
            if request.field("x-slow").is_some() {
                asked.happen();
                may_answer.wait();
            }
            let header = if request.field("x-login").is_some() { reply_to("limited") } else { String::new() };
            ok(&fields, envelope(&header, "<ok/>"))
        })
    });
    let castile =
        Castile::start(&config(&[&nodes[0], &nodes[1]], &format!("{AXIS2}\nlimits: {{requests: 1, queue: 0}}")));
    let (id, owner) = login(&castile);
    let mut slow = castile.client();
    slow.send(post("X-Slow: yes\r\n", envelope(&group_id(&id), "<slow/>")));
    asked.wait();
    let busy = castile.ask(post("", envelope(&group_id(&id), "<next/>")));
    assert_eq!(busy.status(), 503);
    assert!(busy.field("retry-after").is_some() && busy.text().contains("Overloaded"), "{}", busy.text());
    for _ in 0..4 {
        assert_ne!(served_by(&castile.ask(post("", envelope("", "<new/>")))), owner);
    }
    may_answer.happen();
    assert_eq!(served_by(&slow.answer()), owner);
    assert_eq!(served_by(&castile.ask(post("", envelope(&group_id(&id), "<next/>")))), owner);
}

#[test]
fn an_address_that_nothing_serves_is_told_in_plain_text_or_as_a_fault() {
    let node = login_node(0);
    let yaml = config(&[&node], "").replace("routes: [{upstream: app}]", "routes: [{path: /app, upstream: app}]");
    let castile = Castile::start(&yaml);
    let plain = castile.ask("GET /other HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((plain.status(), plain.text().starts_with("NoRoute: ")), (404, true));
    let soap = String::from_utf8(post("", envelope("", ""))).expect("text").replace("/app", "/other");
    let fault = castile.ask(soap);
    assert!(fault.text().contains("faultcode"), "{}", fault.text());
}
