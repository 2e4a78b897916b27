//! Reload and stop.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::soap::{AXIS2, Trio, envelope, group_id, login, login_node, post, served_by};
use crate::support::{Castile, Event, Node, PATIENCE, Peer, config, eventually, ok};

#[test]
fn three_reloads_under_load_lose_no_request_and_move_no_conversation() {
    let nodes = [0, 1, 2].map(login_node);
    let yaml = config(&[&nodes[0], &nodes[1], &nodes[2]], AXIS2);
    let mut castile = Castile::start(&yaml);
    let address = castile.address("public");
    let sessions: Vec<_> = (0..30).map(|_| login(&castile)).collect();
    let (done, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let failed = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|thread| {
                let (sessions, done, over) = (&sessions, &done, &over);
                scope.spawn(move || {
                    let mut failed = Vec::new();
                    let mut client = Peer::connect(address);
                    for round in 0.. {
                        if over.load(Ordering::SeqCst) {
                            return failed;
                        }
                        let (id, owner) = &sessions[(thread * 7 + round) % sessions.len()];
                        if round % 3 == thread % 3 {
                            // Connections that begin in the middle of it, as well as those that live through it.
                            client = Peer::connect(address);
                        }
                        let answer = client.ask(post("", envelope(&group_id(id), "<next/>")));
                        if answer.status() != 200 || served_by(&answer) != *owner {
                            failed.push((id.clone(), answer.start_line()));
                        }
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                    failed
                })
            })
            .collect();
        for reload in 0..3 {
            let before = done.load(Ordering::SeqCst);
            eventually("requests before a reload", || done.load(Ordering::SeqCst) >= before + 200);
            // Listeners come and go meanwhile.
            let more = ", {name: more, address: '127.0.0.3:0'}]\nroutes";
            castile.reload(&if reload == 1 { yaml.clone() } else { yaml.replacen("]\nroutes", more, 1) });
        }
        let before = done.load(Ordering::SeqCst);
        eventually("requests after the last reload", || done.load(Ordering::SeqCst) >= before + 200);
        over.store(true, Ordering::SeqCst);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(castile.gateway.reloads(), 3);
}

#[test]
fn a_reload_opens_new_listeners_and_closes_those_that_are_gone() {
    let node = login_node(0);
    let yaml = config(&[&node], "");
    let mut castile = Castile::start(&yaml);
    let both = yaml.replacen("]\nroutes", ", {name: partners, address: '127.0.0.2:0'}]\nroutes", 1);
    castile.reload(&both);
    let partners = castile.address("partners");
    let mut kept = Peer::connect(partners);
    assert_eq!(kept.ask(post("", envelope("", ""))).status(), 200);
    castile.reload(&yaml);
    eventually("the listener has gone", || TcpStream::connect(partners).is_err());
    assert_eq!(kept.ask(post("", envelope("", ""))).status(), 200, "a connection that stands is served on");
    assert_eq!(castile.ask(post("", envelope("", ""))).status(), 200);
}

#[test]
fn a_nodes_new_url_takes_its_pins_along() {
    let trio = Trio::start(AXIS2);
    let (id, owner) = trio.login();
    let moved = login_node(owner + 10);
    let yaml = config(&[&trio.nodes[0], &trio.nodes[1], &trio.nodes[2]], AXIS2)
        .replace(&trio.nodes[owner].url(), &moved.url());
    let Trio { mut castile, nodes } = trio;
    castile.reload(&yaml);
    for _ in 0..6 {
        assert_eq!(served_by(&castile.ask(post("", envelope(&group_id(&id), "<next/>")))), owner + 10);
    }
    drop(nodes);
}

#[test]
fn a_request_under_way_keeps_the_configuration_it_began_with() {
    let (asked, may_answer) = (Event::new(), Event::new());
    let node = Node::answering({
        let (asked, may_answer) = (asked.clone(), may_answer.clone());
        move |_| {
            asked.happen();
            may_answer.wait();
            ok("", "old")
        }
    });
    let other = Node::answering(|_| ok("", "new"));
    let mut castile = Castile::start(&config(&[&node], ""));
    let mut client = castile.client();
    client.send(post("", "<x/>"));
    asked.wait();
    castile.reload(&config(&[&other], ""));
    assert_eq!(castile.ask(post("", "<x/>")).text(), "new");
    may_answer.happen();
    assert_eq!(client.answer().text(), "old");
}

#[test]
fn fewer_conversations_allowed_evict_nobody() {
    let trio = Trio::start(AXIS2);
    let sessions: Vec<_> = (0..20).map(|_| trio.login()).collect();
    let ask = |castile: &Castile, id: &str| served_by(&castile.ask(post("", envelope(&group_id(id), "<next/>"))));
    for (id, owner) in &sessions {
        assert_eq!(ask(&trio.castile, id), *owner);
    }
    let yaml = config(&[&trio.nodes[0], &trio.nodes[1], &trio.nodes[2]], AXIS2);
    let Trio { mut castile, nodes } = trio;
    castile.reload(&format!("{yaml}\naffinity: {{max_conversations: 3}}"));
    for (id, owner) in &sessions {
        assert_eq!(ask(&castile, id), *owner);
    }
    drop(nodes);
}

#[test]
fn a_stop_lets_requests_under_way_finish() {
    let (asked, may_answer) = (Event::new(), Event::new());
    let node = Node::answering({
        let (asked, may_answer) = (asked.clone(), may_answer.clone());
        move |_| {
            asked.happen();
            may_answer.wait();
            ok("", "finished")
        }
    });
    let castile = Castile::start(&config(&[&node], ""));
    let address = castile.address("public");
    let mut idle = castile.client();
    let mut client = castile.client();
    client.send(post("", "<x/>"));
    asked.wait();
    let stopping = std::thread::spawn(move || castile.stop());
    idle.expect_close();
    eventually("nobody is accepted any more", || TcpStream::connect(address).is_err());
    assert!(!stopping.is_finished());
    may_answer.happen();
    let answer = client.answer();
    assert_eq!((answer.text().as_str(), answer.field("connection").as_deref()), ("finished", Some("close")));
    client.expect_close();
    let log = stopping.join().unwrap();
    assert_eq!((log.len(), &log[0]["status"]), (1, &200.into()));
}

#[test]
fn a_stop_is_bounded() {
    let asked = Event::new();
    let node = Node::start({
        let asked = asked.clone();
        move |connection| {
            connection.request();
            asked.happen();
            connection.peer.rest();
        }
    });
    let castile = Castile::start(&config(&[&node], ""));
    let mut client = castile.client();
    client.send(post("", "<x/>"));
    asked.wait();
    let began = Instant::now();
    castile.stop_within(Duration::from_millis(300));
    assert!(began.elapsed() < PATIENCE);
    client.expect_close();
}
