//! Hand-overs in which one of the two hangs, dies or is late.

use std::time::{Duration, Instant};

use crate::handover::{Client, Site, login, three, use_id, yaml};
use crate::support::process::Process;
use crate::support::soap::{AXIS2, envelope, post, served_by};
use crate::support::tls::Authority;
use crate::support::{Event, Node, Peer, config, eventually, ok};

/// Answers wait for the other process at most a second; whoever needs longer than this was not let go.
const BOUND: Duration = Duration::from_secs(8);

#[test]
fn a_successor_that_hangs_holds_nobody_up_for_long() {
    let nodes = three();
    let site = Site::new(&yaml(&nodes, AXIS2));
    let mut old = site.run();
    let address = old.address("public");
    let mut kept: Vec<Client> = (0..3).map(|_| Client::new(address)).collect();
    let sessions: Vec<_> = kept.iter_mut().map(login).collect();
    let new = site.succeed(&old);
    new.signal("STOP");
    // What the old process binds cannot be acknowledged; its clients are answered all the same.
    let began = Instant::now();
    let mut taught = Vec::new();
    for client in &mut kept {
        let mut peer = client.peer.take().expect("it was kept");
        let answer = peer.ask(post("X-Login: yes\r\n", envelope("", "<login/>")));
        assert_eq!(answer.status(), 200);
        let text = answer.text();
        let id = text.split("axis2\">").nth(1).and_then(|rest| rest.split('<').next()).expect("an id").to_owned();
        taught.push((id, served_by(&answer)));
    }
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    old.line(&["the other process of the hand-over does not answer"]);
    new.signal("CONT");
    // Late, but not lost.
    let mut fresh = Client::new(address);
    for (id, node) in sessions.iter().chain(&taught) {
        assert_eq!(served_by(&fresh.ask(use_id(id))), *node);
    }
    assert!(old.ended().success(), "{}", old.log());
}

#[test]
fn a_successor_that_is_killed_before_it_serves_changes_nothing() {
    let nodes = three();
    let site = Site::new(&yaml(&nodes, AXIS2));
    let mut old = site.run();
    let mut client = Client::new(old.address("public"));
    let (id, node) = login(&mut client);
    for round in 0..3 {
        let mut new = Process::run(&site.file(), &["--take-over"]);
        old.nth_line(&["a new process takes over"], round);
        new.signal("KILL");
        new.ended();
        if old.log().contains("handed over;") {
            // It was quicker than this test: the next tests are about that.
            return;
        }
        assert!(old.lives());
        assert_eq!(served_by(&client.ask(use_id(&id))), node);
        assert_eq!(served_by(&Client::new(client.address).ask(use_id(&id))), node);
        old.nth_line(&["hand-over failed"], round);
    }
}

#[test]
fn connections_outlive_the_hand_over_no_longer_than_the_limit() {
    let (arrived, never) = (Event::new(), Event::new());
    let (come, go) = (arrived.clone(), never.clone());
    let node = Node::answering(move |_| {
        come.happen();
        go.wait();
        ok("", "late")
    });
    let site = Site::new(&format!("{}\nhandover: {{socket: control, limit: 1s}}", config(&[&node], "")));
    let mut old = site.run();
    let mut waiting = Peer::connect(old.address("public"));
    waiting.send(post("", envelope("", "<x/>")));
    arrived.wait();
    let began = Instant::now();
    let _new = site.succeed(&old);
    assert!(old.lives());
    assert!(old.ended().success(), "{}", old.log());
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    never.happen();
}

#[test]
fn listeners_with_tls_are_handed_over_as_well() {
    let nodes = three();
    let authority = Authority::new("people");
    let identity = authority.sign("gateway.test");
    let tls = format!(
        "address: '127.0.0.1:0', tls: {{certificate: '{}', key: '{}'}}",
        identity.certificate.display(),
        identity.key.display()
    );
    let site = Site::new(&yaml(&nodes, AXIS2).replace("address: '127.0.0.1:0'", &tls));
    let mut old = site.run();
    let address = old.address("public");
    let connect = || authority.connect(address, "gateway.test", None);
    let mut client = Client { address, peer: Some(connect()) };
    let (id, node) = login(&mut client);
    let _new = site.succeed(&old);
    let mut fresh = Client { address, peer: Some(connect()) };
    assert_eq!(served_by(&fresh.ask(use_id(&id))), node);
    let mut peer = client.peer.take().expect("it was kept");
    let answer = peer.ask(use_id(&id));
    assert_eq!((served_by(&answer), answer.field("connection").as_deref()), (node, Some("close")));
    eventually("the old process ends", || !old.lives());
}
