//! Nodes that go away and return: waiting for them, moving on, and what comes along.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use castile::upstream::{Admin, Health, Live};

use crate::support::soap::{AXIS2, envelope, group_id, login, login_node, post, reply_to, served_by};
use crate::support::{Castile, Node, config, eventually, ok, refusing_address};

fn settings(more: &str) -> String {
    format!("{}\ntimeouts: {{connect: 300ms}}", AXIS2.replace("]}", &format!("], {more}}}")))
}

fn machine(castile: &Castile, node: usize) -> Arc<Live> {
    let machines = castile.gateway.registry.machines();
    Arc::clone(machines.iter().find(|live| **live.name() == *format!("n{node}")).expect("there is such a node"))
}

/// Waits until so many were counted: some are only once the answer is out.
fn comes_to(castile: &Castile, name: &str, count: u64) {
    eventually(&format!("{count} {name}"), || event(castile, name) == count);
}

fn event(castile: &Castile, name: &str) -> u64 {
    let snapshot = castile.gateway.snapshot();
    let found = snapshot.upstreams[0].events.each().find(|(event, _)| *event == name);
    found.expect("there is such an event").1
}

/// Two nodes, and a session on one of them.
fn with_session(more: &str) -> (Castile, [Node; 2], Vec<u8>, usize) {
    let nodes = [0, 1].map(login_node);
    let castile = Castile::start(&config(&[&nodes[0], &nodes[1]], &settings(more)));
    let (id, owner) = login(&castile);
    (castile, nodes, post("", envelope(&group_id(&id), "<next/>")), owner)
}

#[test]
fn a_request_waits_for_its_node_to_return() {
    let (castile, nodes, mine, owner) = with_session("on_node_down: wait, wait: 20s");
    let live = machine(&castile, owner);
    live.set_health(Health::Down);
    let before = nodes[1 - owner].count();
    let mut client = castile.client();
    client.send(&mine);
    eventually("it waits", || castile.gateway.snapshot().upstreams[0].events.waiting() == 1);
    live.set_health(Health::Up);
    assert_eq!(served_by(&client.answer()), owner);
    assert_eq!(nodes[1 - owner].count(), before, "nobody else was asked");
    assert_eq!((event(&castile, "waited"), event(&castile, "waited_in_vain")), (1, 0));
    let log = castile.stop();
    assert_eq!((&log[1]["decision"], &log[1]["event"]), (&"pin".into(), &"waited".into()), "{}", log[1]);
}

#[test]
fn who_waited_in_vain_is_told_that_the_session_is_lost() {
    let (castile, _nodes, mine, owner) = with_session("on_node_down: wait, wait: 300ms");
    machine(&castile, owner).set_admin(Admin::Maint);
    let began = std::time::Instant::now();
    let answer = castile.ask(&mine);
    assert!(answer.text().contains("SessionLost"), "{}", answer.text());
    assert!(began.elapsed().as_millis() >= 300);
    assert!(castile.ask(&mine).text().contains("SessionLost"));
    assert_eq!(event(&castile, "waited_in_vain"), 1, "whoever asks next hears it at once");
}

#[test]
fn a_client_that_goes_away_is_not_waited_for() {
    let (castile, nodes, mine, owner) = with_session("on_node_down: wait, wait: 1h");
    machine(&castile, owner).set_health(Health::Down);
    let before = nodes[owner].count();
    let waiting = |count| {
        eventually("so many wait", || castile.gateway.snapshot().upstreams[0].events.waiting() == count);
    };
    let mut client = castile.client();
    client.send(&mine);
    waiting(1);
    drop(client);
    waiting(0);
    machine(&castile, owner).set_health(Health::Up);
    assert_eq!(served_by(&castile.ask(&mine)), owner, "the session is where it was");
    assert_eq!(nodes[owner].count(), before + 1, "what was left was never sent");
    let log = castile.stop();
    assert!(log.iter().any(|line| line["failure"] == "ClientGone" && line["event"] == "waited"), "{log:?}");
}

/// One request may wait.
fn limited() -> (Castile, [Node; 2], Vec<u8>, usize) {
    let nodes = [0, 1].map(login_node);
    let settings = settings("on_node_down: wait, wait: 20s") + "\nlimits: {queue: 1}";
    let castile = Castile::start(&config(&[&nodes[0], &nodes[1]], &settings));
    let (id, owner) = login(&castile);
    (castile, nodes, post("", envelope(&group_id(&id), "<next/>")), owner)
}

#[test]
fn no_more_wait_than_may() {
    let (castile, _nodes, mine, owner) = limited();
    let live = machine(&castile, owner);
    live.set_health(Health::Down);
    let mut first = castile.client();
    first.send(&mine);
    eventually("it waits", || castile.gateway.snapshot().upstreams[0].events.waiting() == 1);
    assert!(castile.ask(&mine).text().contains("SessionLost"), "there is no place to wait");
    live.set_health(Health::Up);
    assert!(first.answer().text().contains("SessionLost"), "and then it is lost for all");
}

#[test]
fn a_node_that_nobody_checks_is_tried_until_it_returns() {
    let first = login_node(0);
    let yaml = config(&[&first], &settings("on_node_down: wait, wait: 20s"));
    let mut castile = Castile::start(&yaml);
    let (id, _) = login(&castile);
    // Its name stays; where it should be nobody listens yet.
    let (held, address) = refusing_address();
    castile.reload(&yaml.replace(&first.url(), &format!("http://{address}")));
    let mut client = castile.client();
    client.send(post("", envelope(&group_id(&id), "<next/>")));
    eventually("it was tried", || machine(&castile, 0).failures() > 0);
    held.listen(16).expect("it can listen");
    let listener: std::net::TcpListener = held.into();
    let node = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the gateway connects");
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).expect("a request");
        stream.write_all(&ok("X-Node: 7\r\nConnection: close\r\n", "back")).expect("it is read");
        count
    });
    assert_eq!(served_by(&client.answer()), 7);
    assert!(node.join().expect("no panic") > 0);
}

#[test]
fn a_moved_conversation_stays_and_one_that_began_meanwhile_stays_where_it_began() {
    let (castile, _nodes, mine, owner) = with_session("on_node_down: failover");
    let live = machine(&castile, owner);
    live.set_admin(Admin::Maint);
    assert_eq!(served_by(&castile.ask(&mine)), 1 - owner, "it moves");
    let begun: Vec<_> = (0..4).map(|_| login(&castile)).collect();
    assert!(begun.iter().all(|(_, node)| *node == 1 - owner));
    live.set_admin(Admin::Ready);
    for _ in 0..4 {
        assert_eq!(served_by(&castile.ask(&mine)), 1 - owner, "no failback");
        for (id, node) in &begun {
            assert_eq!(served_by(&castile.ask(post("", envelope(&group_id(id), "<next/>")))), *node);
        }
    }
    comes_to(&castile, "moved", 1);
}

/// A node that gives a new session to whoever carries one that it does not know: by a cookie, or in the message.
fn forgetful(number: usize, in_message: bool) -> Node {
    let issued = AtomicUsize::new(0);
    Node::answering(move |request| {
        let mine = format!("urn:uuid:{number}-");
        let carried = request.field("cookie").unwrap_or_default() + &request.text();
        if carried.contains(&mine) {
            return ok(&format!("Content-Type: text/xml\r\nX-Node: {number}\r\n"), envelope("", "<same/>"));
        }
        let id = format!("{mine}{}", issued.fetch_add(1, Ordering::SeqCst));
        let (fields, header) = match in_message {
            true => (String::new(), reply_to(&id)),
            false => (format!("Set-Cookie: JSESSIONID={id}; Path=/\r\n"), String::new()),
        };
        ok(&format!("Content-Type: text/xml\r\nX-Node: {number}\r\n{fields}"), envelope(&header, "<new/>"))
    })
}

/// A request of the session that this answer has begun.
fn next(answer: &crate::support::Message) -> Vec<u8> {
    match answer.field("set-cookie") {
        Some(cookie) => {
            let pair = cookie.split(';').next().unwrap_or_default();
            post(&format!("Cookie: {pair}\r\n"), envelope("", "<next/>"))
        }
        None => {
            let text = answer.text();
            let id = text.split("axis2\">").nth(1).and_then(|rest| rest.split('<').next()).expect("an id").to_owned();
            post("", envelope(&group_id(&id), "<next/>"))
        }
    }
}

#[test]
fn a_session_that_did_not_come_along_is_counted_or_told() {
    for in_message in [false, true] {
        for (policy, passes) in [("pass", true), ("fault", false)] {
            let nodes = [0, 1].map(|number| forgetful(number, in_message));
            let settings = settings(&format!("on_node_down: failover, on_session_replaced: {policy}"));
            let castile = Castile::start(&config(&[&nodes[0], &nodes[1]], &settings));
            let first = castile.ask(post("", envelope("", "<login/>")));
            let (mine, owner) = (next(&first), served_by(&first));
            assert!(castile.ask(&mine).text().contains("same"));
            machine(&castile, owner).set_admin(Admin::Maint);
            let after = castile.ask(&mine);
            let what = format!("{policy}, in the message: {in_message}: {}", after.text());
            assert_eq!(after.text().contains("<new/>"), passes, "{what}");
            assert_eq!(after.text().contains("SessionReplaced"), !passes, "{what}");
            comes_to(&castile, "replaced_after_move", 1);
            assert_eq!((event(&castile, "moved"), event(&castile, "replaced")), (1, 0), "{what}");
            let log = castile.stop();
            // Lines of different workers come in any order.
            let moved: Vec<_> = log.iter().filter(|line| line["decision"] == "move").collect();
            assert!(matches!(&moved[..], [line] if line["event"] == "replaced"), "{log:?}");
        }
    }
}

#[test]
fn a_session_that_came_along_passes_whatever_the_policy() {
    let (castile, _nodes, mine, owner) = with_session("on_node_down: failover, on_session_replaced: fault");
    machine(&castile, owner).set_admin(Admin::Maint);
    assert_eq!(served_by(&castile.ask(&mine)), 1 - owner);
    assert_eq!(event(&castile, "replaced_after_move"), 0);
}
