//! More requests than nodes take at once: who waits, in which order, for how long, and who is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use castile::upstream::Rank;

use crate::support::soap::{AXIS2, envelope, group_id, post, reply_to, served_by};
use crate::support::{Castile, Event, Message, Node, Peer, config, eventually, ok, parallel};

/// A node that answers requests with the field `X-Slow` only once the event has happened, and issues the id `one` to those
/// with the field `X-Login`.
fn node(number: usize, asked: &Event, may_answer: &Event) -> Node {
    let (asked, may_answer) = (asked.clone(), may_answer.clone());
    Node::answering(move |request| {
        if request.field("x-slow").is_some() {
            asked.happen();
            may_answer.wait();
        }
        let header = if request.field("x-login").is_some() { reply_to("one") } else { String::new() };
        ok(&format!("Content-Type: text/xml\r\nX-Node: {number}\r\n"), envelope(&header, "<ok/>"))
    })
}

fn pinned(fields: &str) -> Vec<u8> {
    post(fields, envelope(&group_id("one"), "<x/>"))
}

fn new(fields: &str) -> Vec<u8> {
    post(fields, envelope("", "<x/>"))
}

/// Waits until so many requests of this rank are in line at the first node.
fn in_line(castile: &Castile, rank: Rank, count: u32) {
    let live = castile.gateway.snapshot().upstreams[0].nodes.nodes()[0].live.clone();
    eventually("requests are in line", || live.waiting(rank) == count);
}

/// A gateway before one node with these limits. Its session `one` has a request under way that ends with the event.
fn busy(limits: &str) -> (Node, Castile, Peer, Event) {
    let (asked, may_answer) = (Event::new(), Event::new());
    let node = node(0, &asked, &may_answer);
    let castile = Castile::start(&config(&[&node], &format!("{AXIS2}\nlimits: {{{limits}}}")));
    assert_eq!(castile.ask(new("X-Login: yes\r\n")).status(), 200);
    let mut slow = castile.client();
    slow.send(pinned("X-Slow: yes\r\n"));
    asked.wait();
    (node, castile, slow, may_answer)
}

fn expect_overloaded(answer: &Message) {
    assert_eq!(answer.status(), 503, "{}", answer.text());
    assert!(answer.field("retry-after").is_some() && answer.text().contains("Overloaded"), "{}", answer.text());
    assert!(answer.text().contains("Nothing was executed"), "{}", answer.text());
}

#[test]
fn pinned_requests_go_before_new_ones_and_the_log_tells_how_long_they_waited() {
    let (node, castile, mut slow, may_answer) = busy("requests: 1");
    let mut later = castile.client();
    later.send(new("X-Name: new\r\n"));
    in_line(&castile, Rank::New, 1);
    let mut first = castile.client();
    first.send(pinned("X-Name: pinned\r\n"));
    in_line(&castile, Rank::Pinned, 1);
    may_answer.happen();
    for client in [&mut slow, &mut first, &mut later] {
        assert_eq!(client.answer().status(), 200);
    }
    let order: Vec<_> = node.requests().iter().filter_map(|request| request.field("x-name")).collect();
    assert_eq!(order, ["pinned", "new"]);
    let log = castile.stop();
    let waited: Vec<_> = log.iter().map(|line| line["queued_us"].as_u64().is_some_and(|time| time > 0)).collect();
    assert_eq!(waited.iter().filter(|waited| **waited).count(), 2, "{log:?}");
    assert!(log.iter().all(|line| line["failure"].is_null()));
}

#[test]
fn who_waits_too_long_is_refused_and_nothing_is_executed() {
    let (node, castile, mut slow, may_answer) = busy("requests: 1, queue_timeout: 1s");
    expect_overloaded(&castile.ask(pinned("")));
    expect_overloaded(&castile.ask(new("")));
    may_answer.happen();
    assert_eq!(slow.answer().status(), 200);
    assert_eq!(castile.ask(pinned("")).status(), 200, "the session goes on");
    assert_eq!(node.count(), 3);
    let log = castile.stop();
    let decisions: Vec<_> = log.iter().filter_map(|line| line["decision"].as_str()).collect();
    assert_eq!(decisions.iter().filter(|decision| **decision == "wait").count(), 2, "{decisions:?}");
}

#[test]
fn a_full_line_refuses_at_once() {
    let (_node, castile, mut slow, may_answer) = busy("requests: 1, queue: 1, queue_timeout: 1h");
    let mut waiting = castile.client();
    waiting.send(new(""));
    in_line(&castile, Rank::New, 1);
    expect_overloaded(&castile.ask(new("")));
    let mut other = castile.client();
    other.send(pinned(""));
    in_line(&castile, Rank::Pinned, 1);
    expect_overloaded(&castile.ask(pinned("")));
    may_answer.happen();
    assert_eq!([slow.answer(), waiting.answer(), other.answer()].map(|answer| answer.status()), [200; 3]);
}

#[test]
fn a_client_that_goes_away_leaves_the_line() {
    let (node, castile, mut slow, may_answer) = busy("requests: 1, queue_timeout: 1h");
    for half in [false, true] {
        let mut gone = castile.client();
        let request = match half {
            // So long that the rest is not waited for before it gets in line.
            true => post("", envelope(&group_id("one"), &"x".repeat(100_000)))[..2_000].to_vec(),
            false => pinned(""),
        };
        gone.send(request);
        in_line(&castile, Rank::Pinned, 1);
        drop(gone);
        in_line(&castile, Rank::Pinned, 0);
    }
    let mut pipelined = castile.client();
    pipelined.send([pinned(""), pinned("")].concat());
    in_line(&castile, Rank::Pinned, 1);
    may_answer.happen();
    assert_eq!(slow.answer().status(), 200);
    assert_eq!([pipelined.answer(), pipelined.answer()].map(|answer| answer.status()), [200; 2]);
    assert_eq!(node.count(), 4, "what was left was never sent");
}

#[test]
fn new_work_waits_for_any_node() {
    let events = [0, 1].map(|_| (Event::new(), Event::new()));
    let nodes = [0, 1].map(|number| node(number, &events[number].0, &events[number].1));
    let castile = Castile::start(&config(&[&nodes[0], &nodes[1]], "limits: {requests: 1, queue_timeout: 1h}"));
    let mut slow = [castile.client(), castile.client()];
    for (client, (asked, _)) in slow.iter_mut().zip(&events) {
        client.send(new("X-Slow: yes\r\n"));
        asked.wait();
    }
    let mut waiting = castile.client();
    waiting.send(new(""));
    in_line(&castile, Rank::New, 1);
    events[1].1.happen();
    assert_eq!(served_by(&waiting.answer()), 1);
    in_line(&castile, Rank::New, 0);
    events[0].1.happen();
    assert_eq!(slow.map(|mut client| client.answer().status()), [200; 2]);
}

/// A node that counts how many requests it works on at once, and the largest such number.
fn counting() -> (Node, Arc<AtomicUsize>) {
    let (inside, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let told = Arc::clone(&most);
    let node = Node::answering(move |request| {
        most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
        std::thread::yield_now();
        let header = if request.field("x-login").is_some() { reply_to("one") } else { String::new() };
        inside.fetch_sub(1, SeqCst);
        ok("Content-Type: text/xml\r\n", envelope(&header, "<ok/>"))
    });
    (node, told)
}

#[test]
fn limits_hold_over_all_workers_and_everybody_gets_a_turn() {
    for limits in ["requests: 2", "connections: 2", "connections: 1, idle_connections: 1"] {
        let (node, most) = counting();
        let castile = Castile::start(&format!("workers: 4\n{}", config(&[&node], &format!("limits: {{{limits}}}"))));
        parallel(12, |_| {
            let mut client = castile.client();
            for _ in 0..10 {
                assert_eq!(client.ask(new("")).status(), 200, "{limits}");
            }
        });
        assert!((1..=2).contains(&most.load(SeqCst)), "{limits}");
        assert_eq!(node.count(), 120);
    }
}

#[test]
fn idle_connections_are_bounded_over_all_workers() {
    let (node, _) = counting();
    let castile = Castile::start(&format!("workers: 4\n{}", config(&[&node], "limits: {idle_connections: 2}")));
    parallel(12, |_| assert_eq!(castile.ask(new("")).status(), 200));
    let live = castile.gateway.snapshot().upstreams[0].nodes.nodes()[0].live.clone();
    assert!(live.idle_connections() <= 2);
    eventually("the others are closed", || live.connections() <= 2);
}

#[test]
fn a_conversation_of_concurrency_1_has_one_request_under_way() {
    let (node, most) = counting();
    let settings = AXIS2.replace("]}", "], concurrency: 1}");
    let castile = Castile::start(&format!("workers: 4\n{}", config(&[&node], &settings)));
    castile.ask(new("X-Login: yes\r\n"));
    parallel(12, |_| {
        let mut client = castile.client();
        for _ in 0..10 {
            assert_eq!(client.ask(pinned("")).status(), 200);
        }
    });
    assert_eq!(most.load(SeqCst), 1);
    assert_eq!(castile.gateway.affinity.waiting_for_turns(), 0);
}

#[test]
fn turns_in_a_conversation_come_in_order_of_arrival_and_the_line_is_bounded() {
    let (asked, may_answer) = (Event::new(), Event::new());
    let node = node(0, &asked, &may_answer);
    let settings = format!("{}\nlimits: {{queue: 4, queue_timeout: 1h}}", AXIS2.replace("]}", "], concurrency: 1}"));
    let castile = Castile::start(&config(&[&node], &settings));
    castile.ask(new("X-Login: yes\r\n"));
    let mut slow = castile.client();
    slow.send(pinned("X-Slow: yes\r\n"));
    asked.wait();
    let mut clients: Vec<_> = (1..=4)
        .map(|number| {
            let mut client = castile.client();
            client.send(pinned(&format!("X-Number: {number}\r\n")));
            eventually("it is in line", || castile.gateway.affinity.waiting_for_turns() == number);
            client
        })
        .collect();
    expect_overloaded(&castile.ask(pinned("")));
    assert_eq!(castile.ask(new("")).status(), 200, "others need not wait");
    drop(clients.remove(1));
    eventually("who goes leaves the line", || castile.gateway.affinity.waiting_for_turns() == 3);
    may_answer.happen();
    assert_eq!(slow.answer().status(), 200);
    assert!(clients.iter_mut().all(|client| client.answer().status() == 200));
    let order: Vec<_> = node.requests().iter().filter_map(|request| request.field("x-number")).collect();
    assert_eq!(order, ["1", "3", "4"]);
}
