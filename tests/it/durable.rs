//! Pins that outlive the gateway, answers that wait for them, and a table that is full.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use castile::affinity::{Change, Sink};

use crate::support::process::Process;
use crate::support::soap::{
    AXIS2, CLIENT_ISSUED, Trio, client_id, envelope, group_id, login, login_node, post, reply_to, served_by,
};
use crate::support::{Castile, Event, Node, PATIENCE, Peer, config, eventually, ok};

/// Runs the program with its pins on disk: SIGKILLed when dropped, so that nothing is written any more.
fn with_pins_on_disk(folder: &Path, nodes: &[&Node], durability: &str) -> (Process, SocketAddr) {
    let file = folder.join("castile.yaml");
    let rules = "sticky: {presets: [axis2-soapsession], namespaces: {t: urn:test}, keys: [{key: id, match: header t:Id, client_issued: true}]}";
    let store =
        format!("affinity: {{store: {{disk: {}, durability: {durability}}}}}\n", folder.join("pins.redb").display());
    let yaml = config(nodes, rules) + &store + "workers: 2\nadmin: {address: none}\naccess_log: none\n";
    std::fs::write(&file, yaml).expect("a file can be written");
    let program = Process::run(&file, &[]);
    let address = program.address("public");
    (program, address)
}

/// One exchange; `None` if the gateway is killed before the answer is whole.
fn exchange(stream: &mut TcpStream, request: &[u8]) -> Option<String> {
    stream.write_all(request).ok()?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !answer.ends_with(b"</s:Envelope>") {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(count) => answer.extend_from_slice(&piece[..count]),
        }
    }
    String::from_utf8(answer).ok()
}

fn node_of(answer: &str) -> usize {
    let node = answer.split("X-Node: ").nth(1).and_then(|rest| rest.split('\r').next());
    node.and_then(|node| node.parse().ok()).unwrap_or_else(|| panic!("no node answered: {answer}"))
}

/// A conversation whose first request was answered: the header of its requests, its node, when that was, and in which round.
struct Begun {
    header: String,
    node: usize,
    at: Instant,
    round: usize,
}

/// Begins conversations until the gateway goes: every second one with an id of the client's.
fn begin_many(address: SocketAddr, round: usize, client: usize, begun: &Mutex<Vec<Begun>>) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    for number in 0.. {
        let own = client_id(&format!("{round}-{client}-{number}"));
        let request = match number % 2 {
            0 => post("", envelope(&own, "<begin/>")),
            _ => post("X-Login: yes\r\n", envelope("", "<login/>")),
        };
        let Some(answer) = exchange(&mut stream, &request) else { return };
        let at = Instant::now();
        let issued = answer.split("axis2\">").nth(1).and_then(|rest| rest.split('<').next());
        let header = issued.map_or(own, group_id);
        begun.lock().unwrap().push(Begun { header, node: node_of(&answer), at, round });
    }
}

/// Kills the gateway under load, three times; those that were answered so long before and are elsewhere afterwards.
fn strayed_after_kill(durability: &str, allowed: Duration) -> (usize, Vec<Duration>) {
    let nodes = [0, 1, 2].map(login_node);
    let nodes = [&nodes[0], &nodes[1], &nodes[2]];
    let folder = tempfile::tempdir().expect("a folder can be made");
    let begun = Mutex::new(Vec::new());
    let (mut program, mut address) = with_pins_on_disk(folder.path(), &nodes, durability);
    let mut kills = Vec::new();
    for round in 0..3 {
        loop {
            std::thread::scope(|scope| {
                for client in 0..8 {
                    let begun = &begun;
                    scope.spawn(move || begin_many(address, round, client, begun));
                }
                eventually("conversations begin", || {
                    let begun = begun.lock().unwrap();
                    let ours = || begun.iter().filter(|one| one.round == round);
                    ours().count() >= 400 && ours().nth(300).is_some_and(|one| one.at.elapsed() >= allowed)
                });
                kills.push(Instant::now());
                program.signal("KILL");
                program.ended();
            });
            let is_late = program.log().contains("a commit takes too long");
            (program, address) = with_pins_on_disk(folder.path(), &nodes, durability);
            if !is_late {
                break;
            }
            // The disk was busy, and nobody waited for it any more: this round shows nothing.
            begun.lock().unwrap().retain(|one| one.round < round);
            kills.pop();
        }
    }
    let begun = begun.into_inner().unwrap();
    let strayed = begun.iter().filter_map(|one| {
        // Twice, so that a balancer does not hit by chance.
        let mut stream = TcpStream::connect(address).expect("it listens");
        let there = (0..2).all(|_| {
            let next = exchange(&mut stream, &post("", envelope(&one.header, "<next/>")));
            node_of(&next.expect("it runs")) == one.node
        });
        (!there).then(|| kills[one.round].saturating_duration_since(one.at)).filter(|before| *before >= allowed)
    });
    let strayed = strayed.collect();
    drop(program);
    (begun.len(), strayed)
}

#[test]
fn with_before_reply_every_conversation_that_was_answered_survives_a_kill() {
    let (begun, strayed) = strayed_after_kill("before_reply", Duration::ZERO);
    assert!(
        begun >= 1_200 && strayed.is_empty(),
        "of {begun} conversations {} went elsewhere: {strayed:?}",
        strayed.len()
    );
}

#[test]
fn with_relaxed_durability_only_the_last_ones_may_be_missing() {
    // 50 ms, where neither the machine nor its disk has anything else to do.
    let (begun, strayed) = strayed_after_kill("relaxed", Duration::from_secs(2));
    assert!(
        begun >= 1_200 && strayed.is_empty(),
        "of {begun} conversations {} went elsewhere: {strayed:?}",
        strayed.len()
    );
}

#[test]
fn a_second_gateway_on_the_same_store_does_not_start() {
    let node = login_node(0);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let _program = with_pins_on_disk(folder.path(), &[&node], "relaxed");
    let file = folder.path().join("castile.yaml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_castile"));
    let told = command.args(["run", "--config", &file.to_string_lossy()]).output().expect("the program runs");
    let text = String::from_utf8_lossy(&told.stderr);
    assert!(!told.status.success() && text.contains("pins.redb: another process has it open"), "{text}");
}

/// Somebody who has to know, and says when it does.
#[derive(Debug, Default)]
struct Elsewhere {
    told: AtomicU64,
    settled: AtomicU64,
    /// When it was told first.
    at: OnceLock<Instant>,
}

impl Sink for Elsewhere {
    fn tell(&self, position: u64, _: &Change) {
        self.at.get_or_init(Instant::now);
        self.told.store(position, SeqCst);
    }

    fn settled(&self) -> u64 {
        self.settled.load(SeqCst)
    }
}

impl Elsewhere {
    fn of(castile: &Castile) -> Arc<Self> {
        let elsewhere = Arc::<Self>::default();
        castile.gateway.affinity.journal().attach(Arc::clone(&elsewhere) as Arc<dyn Sink>);
        elsewhere
    }

    /// Whether the client gets nothing for a while; nobody has to wait longer than a second, and the machine may be busy.
    fn holds_back(&self, client: &mut Peer) -> bool {
        client.is_silent_for(Duration::from_millis(150))
            || self.at.get().is_some_and(|at| at.elapsed() >= Duration::from_millis(900))
    }

    /// Knows all from now on.
    fn settle(&self, castile: &Castile) {
        eventually("something is told", || self.told.load(SeqCst) > 0);
        self.settled.store(u64::MAX, SeqCst);
        castile.gateway.affinity.journal().progressed();
    }
}

#[test]
fn the_piece_in_which_a_key_ends_waits_and_what_is_before_it_does_not() {
    let may_go_on = Event::new();
    let go_on = may_go_on.clone();
    let node = Node::start(move |connection| {
        while connection.request().is_some() {
            let answer = ok("Content-Type: text/xml\r\n", envelope(&reply_to("the-id"), "<ok/>"));
            let at = answer.windows(6).position(|six| six == b"the-id").expect("the id is there");
            connection.send(&answer[..at]);
            go_on.wait();
            connection.send(&answer[at..]);
        }
    });
    let castile = Castile::start(&config(&[&node], AXIS2));
    let elsewhere = Elsewhere::of(&castile);
    let mut client = castile.client();
    client.send(post("", envelope("", "<login/>")));
    client.until(b"<a:ServiceGroupId xmlns:a=\"http://ws.apache.org/namespaces/axis2\">");
    may_go_on.happen();
    eventually("the key is bound", || elsewhere.told.load(SeqCst) > 0);
    assert!(elsewhere.holds_back(&mut client), "the id is on its way too early");
    elsewhere.settle(&castile);
    client.until(b"the-id");
    client.until(b"</s:Envelope>");
}

#[test]
fn an_answer_without_a_body_waits_as_a_whole() {
    let node =
        Node::answering(|_| b"HTTP/1.1 204 No Content\r\nSet-Cookie: JSESSIONID=secret; Path=/\r\n\r\n".to_vec());
    let castile = Castile::start(&config(&[&node], "sticky: {presets: [servlet-jsessionid]}"));
    let elsewhere = Elsewhere::of(&castile);
    let mut client = castile.client();
    client.send(post("", envelope("", "<login/>")));
    eventually("the key is bound", || elsewhere.told.load(SeqCst) > 0);
    assert!(elsewhere.holds_back(&mut client));
    elsewhere.settle(&castile);
    assert_eq!(client.answer().status(), 204);
}

#[test]
fn a_streaming_answer_whose_head_taught_a_key_waits_with_its_end_only() {
    let may_end = Event::new();
    let end = may_end.clone();
    let node = Node::start(move |connection| {
        while connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nSet-Cookie: JSESSIONID=secret; Path=/\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
            end.wait();
            connection.send("0\r\n\r\n");
        }
    });
    let castile = Castile::start(&config(&[&node], "sticky: {presets: [servlet-jsessionid]}"));
    let elsewhere = Elsewhere::of(&castile);
    let mut client = castile.client();
    client.send(post("", envelope("", "<login/>")));
    client.until(b"5\r\nfirst\r\n");
    may_end.happen();
    assert!(elsewhere.holds_back(&mut client));
    elsewhere.settle(&castile);
    client.until(b"0\r\n\r\n");
}

#[test]
fn what_a_request_bound_is_known_before_its_answer() {
    let node = login_node(0);
    let castile = Castile::start(&config(&[&node], CLIENT_ISSUED));
    let elsewhere = Elsewhere::of(&castile);
    let mut client = castile.client();
    client.send(post("", envelope(&client_id("own"), "<begin/>")));
    node.wait_for(1);
    assert!(elsewhere.holds_back(&mut client));
    elsewhere.settle(&castile);
    assert_eq!(client.answer().status(), 200);
    // It is known now: nobody waits for it again.
    elsewhere.settled.store(elsewhere.told.load(SeqCst), SeqCst);
    castile.gateway.affinity.journal().progressed();
    assert_eq!(castile.ask(post("", envelope(&client_id("own"), "<next/>"))).status(), 200);
}

#[test]
fn nobody_waits_for_ever() {
    let node = login_node(0);
    let castile = Castile::start(&config(&[&node], AXIS2));
    let _elsewhere = Elsewhere::of(&castile);
    let began = Instant::now();
    assert_eq!(castile.ask(post("X-Login: yes\r\n", envelope("", "<login/>"))).status(), 200);
    assert!(began.elapsed() >= Duration::from_millis(900), "it did wait");
}

/// A table with room for four conversations, two of which are confirmed.
fn small_table(when_full: &str) -> (Trio, Vec<(String, usize)>) {
    let nodes = [0, 1, 2].map(login_node);
    let yaml = config(&[&nodes[0], &nodes[1], &nodes[2]], AXIS2)
        + &format!("affinity: {{max_conversations: 4, max_keys: 8, when_full: {when_full}}}\n");
    let castile = Castile::start(&yaml);
    let kept: Vec<_> = (0..2).map(|_| confirmed(&castile)).collect();
    (Trio { nodes, castile }, kept)
}

/// Begins a session and carries on with it: its id and its node. All others must be confirmed already.
fn confirmed(castile: &Castile) -> (String, usize) {
    let spare = || castile.gateway.affinity.gauges().spare;
    let (id, node) = login(castile);
    // Only a request that begins after the first answer has ended confirms, and another worker may still be ending it.
    eventually("the login is over", || spare() == 1);
    assert_eq!(served_by(&castile.ask(post("", envelope(&group_id(&id), "<next/>")))), node);
    eventually("it is confirmed", || spare() == 0);
    (id, node)
}

#[test]
fn a_flood_of_first_requests_pushes_out_only_its_own_kind() {
    for when_full in ["serve_unpinned", "reject"] {
        let (trio, kept) = small_table(when_full);
        let flood: Vec<_> = (0..60).map(|_| trio.login()).collect();
        for (id, node) in &kept {
            trio.expect_on(*node, post("", envelope(&group_id(id), "<next/>")));
        }
        // The last two are there still.
        for (id, node) in &flood[58..] {
            trio.expect_on(*node, post("", envelope(&group_id(id), "<next/>")));
        }
        let lines = trio.castile.stop();
        assert!(lines.iter().all(|line| line["status"] == 200), "{when_full}");
    }
}

#[test]
fn a_table_full_of_live_conversations_serves_unpinned_or_refuses_as_told() {
    for when_full in ["serve_unpinned", "reject"] {
        let (trio, mut kept) = small_table(when_full);
        kept.extend((0..2).map(|_| confirmed(&trio.castile)));
        let before: usize = trio.nodes.iter().map(Node::count).sum();
        let answer = trio.castile.ask(post("X-Login: yes\r\n", envelope("", "<login/>")));
        let after: usize = trio.nodes.iter().map(Node::count).sum();
        match when_full {
            "reject" => {
                assert_eq!((answer.status(), after), (503, before), "{}", answer.text());
                assert!(answer.field("retry-after").is_some());
            }
            _ => assert_eq!((answer.status(), after), (200, before + 1)),
        }
        for (id, node) in &kept {
            trio.expect_on(*node, post("", envelope(&group_id(id), "<next/>")));
        }
        assert_eq!(trio.castile.gateway.affinity.gauges().conversations, 4);
    }
}
