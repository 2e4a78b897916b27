//! Checks and observation: which nodes get new work, and what traffic tells of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use castile::upstream::Health;

use crate::support::soap::{AXIS2, envelope, group_id, login, login_node, post, served_by};
use crate::support::tls::Authority;
use crate::support::{Castile, Message, Node, config, eventually, ok, refusing_address};

/// Checks quick enough for tests, and patient enough for a busy machine: no good node shall be taken for a bad one.
const QUICK: &str = "interval: 400ms, timeout: 400ms, fall: 3, rise: 2";

fn health(castile: &Castile, node: &str) -> Health {
    let machines = castile.gateway.registry.machines();
    machines.iter().find(|live| &**live.name() == node).expect("there is such a node").health()
}

fn becomes(castile: &Castile, node: &str, expected: Health) {
    eventually(&format!("{node} is {expected:?}"), || health(castile, node) == expected);
}

/// A node whose checks go wrong as long as the switch says so.
fn switched(good: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static, bad: Vec<u8>) -> (Node, Arc<AtomicBool>) {
    let is_bad: Arc<AtomicBool> = Arc::default();
    let switch = Arc::clone(&is_bad);
    let node = Node::answering(move |request| if switch.load(Ordering::SeqCst) { bad.clone() } else { good(request) });
    (node, is_bad)
}

#[test]
fn a_node_that_answers_its_check_badly_goes_down_and_comes_up_again() {
    let bad = b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n".to_vec();
    let (node, is_bad) = switched(|_| ok("", "wsdl"), bad);
    let check = format!("health: {{check: {{get: '/app?wsdl', {QUICK}}}}}");
    let castile = Castile::start(&config(&[&node], &check));
    becomes(&castile, "n0", Health::Up);
    let probe = node.wait_for(1);
    assert_eq!(probe.start_line(), "GET /app?wsdl HTTP/1.1");
    assert_eq!(probe.field("host"), Some(node.address.to_string()));
    is_bad.store(true, Ordering::SeqCst);
    becomes(&castile, "n0", Health::Down);
    assert_eq!(castile.ask("GET /x HTTP/1.1\r\nHost: h\r\n\r\n").status(), 503, "nothing is sent to it");
    is_bad.store(false, Ordering::SeqCst);
    becomes(&castile, "n0", Health::Up);
    assert_eq!(castile.ask("GET /x HTTP/1.1\r\nHost: h\r\n\r\n").status(), 200);
}

#[test]
fn a_soap_check_tells_a_fault_from_an_answer() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("ping.xml");
    std::fs::write(&file, envelope("", "<t:ping xmlns:t=\"urn:test\"/>")).expect("a file can be written");
    let answer = |body: &str| ok("Content-Type: text/xml\r\n", envelope("", body));
    // With status 200, as some stacks send it.
    let fault = answer("<s:Fault><faultcode>s:Server</faultcode><faultstring>no disk</faultstring></s:Fault>");
    let pong = answer("<t:pingResponse xmlns:t=\"urn:test\"/>");
    let (node, is_bad) = switched(move |_| pong.clone(), fault);
    let check = format!(
        "health: {{check: {{soap: '{}', path: /app, expect: 'body t:pingResponse', {QUICK}}}}}",
        file.display()
    );
    let castile = Castile::start(&format!("namespaces: {{t: urn:test}}\n{}", config(&[&node], &check)));
    becomes(&castile, "n0", Health::Up);
    let probe = node.wait_for(1);
    assert_eq!(probe.start_line(), "POST /app HTTP/1.1");
    assert_eq!(probe.field("soapaction").as_deref(), Some("\"\""));
    assert!(probe.text().contains("<t:ping "));
    is_bad.store(true, Ordering::SeqCst);
    becomes(&castile, "n0", Health::Down);
}

#[test]
fn a_node_that_refuses_connections_is_found_down_and_gets_no_request() {
    let (_held, gone) = refusing_address();
    let node = login_node(0);
    let check = format!("health: {{check: {{tcp: true, {QUICK}}}}}");
    let yaml =
        config(&[&node], &check).replacen("nodes: [", &format!("nodes: [{{name: gone, url: 'http://{gone}'}}, "), 1);
    let castile = Castile::start(&yaml);
    becomes(&castile, "gone", Health::Down);
    becomes(&castile, "n0", Health::Up);
    for _ in 0..4 {
        assert_eq!(castile.ask(post("", envelope("", "<x/>"))).status(), 200);
    }
    let log = castile.stop();
    assert!(log.iter().all(|line| line.get("retries").is_none()), "{log:?}");
}

#[test]
fn a_session_whose_node_is_down_is_told_lost_at_once() {
    let bad = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec();
    let first = login_node(0);
    let is_bad: Arc<AtomicBool> = Arc::default();
    let switch = Arc::clone(&is_bad);
    let checked = Node::answering(move |_| if switch.load(Ordering::SeqCst) { bad.clone() } else { ok("", "") });
    let port = checked.address.port();
    let settings = format!("{AXIS2}\nhealth: {{check: {{get: /health, port: {port}, {QUICK}}}}}");
    let castile = Castile::start(&config(&[&first], &settings));
    becomes(&castile, "n0", Health::Up);
    let (id, _) = login(&castile);
    let request = post("", envelope(&group_id(&id), "<x/>"));
    assert_eq!(served_by(&castile.ask(&request)), 0);
    is_bad.store(true, Ordering::SeqCst);
    becomes(&castile, "n0", Health::Down);
    let answer = castile.ask(&request);
    assert!(answer.text().contains("SessionLost"), "{}", answer.text());
}

#[test]
fn nodes_behind_tls_are_checked_by_tls() {
    let (authority, others) = (Authority::new("nodes"), Authority::new("others"));
    let node = Node::start_tls(authority.node(&authority.sign("node.test")), |connection| {
        while connection.request().is_some() {
            connection.send(ok("", ""));
        }
    });
    let gateway = authority.sign("castile");
    for (ca, expected) in [(&authority, Health::Up), (&others, Health::Down)] {
        let settings = format!(
            "tls: {{ca: '{}', client_certificate: '{}', client_key: '{}', server_name: node.test}}\n\
             health: {{check: {{get: /, {QUICK}}}}}",
            ca.file().display(),
            gateway.certificate.display(),
            gateway.key.display()
        );
        let castile = Castile::start(&config(&[&node], &settings).replace("http://", "https://"));
        becomes(&castile, "n0", expected);
    }
}

#[test]
fn a_reload_begins_and_ends_checks() {
    let node = login_node(0);
    let check = format!("health: {{check: {{tcp: true, {QUICK}}}}}");
    let mut castile = Castile::start(&config(&[&node], ""));
    assert_eq!(health(&castile, "n0"), Health::Unknown);
    castile.reload(&config(&[&node], &check));
    becomes(&castile, "n0", Health::Up);
    castile.reload(&config(&[&node], ""));
    becomes(&castile, "n0", Health::Unknown);
}

#[test]
fn failures_in_a_row_keep_new_requests_away_and_conversations_stay() {
    let broken: Arc<AtomicBool> = Arc::default();
    let switch = Arc::clone(&broken);
    let shaky = Node::start(move |connection| {
        while connection.request().is_some() {
            let is_broken = switch.load(Ordering::SeqCst);
            connection.send(if is_broken {
                b"garbage\r\n\r\n".to_vec()
            } else {
                ok(
                    "Content-Type: text/xml\r\nX-Node: 0\r\n",
                    envelope(&crate::support::soap::reply_to("urn:uuid:a"), "<ok/>"),
                )
            });
        }
    });
    let settings = format!("{AXIS2}\nhealth: {{observe: {{connect_failures: 2, eject: 1h}}}}");
    let first = config(&[&shaky], &settings);
    let mut castile = Castile::start(&first);
    let (id, _) = login(&castile);
    let steady = login_node(1);
    castile.reload(&config(&[&shaky, &steady], &settings));
    broken.store(true, Ordering::SeqCst);
    let mine = post("", envelope(&group_id(&id), "<x/>"));
    for _ in 0..2 {
        assert!(castile.ask(&mine).text().contains("NodeFailed"));
    }
    broken.store(false, Ordering::SeqCst);
    for _ in 0..6 {
        assert_eq!(served_by(&castile.ask(post("", envelope("", "<x/>")))), 1, "new requests go elsewhere");
    }
    assert_eq!(served_by(&castile.ask(&mine)), 0, "its conversations stay");
}

#[test]
fn faults_of_callers_never_eject_a_node() {
    let node = Node::answering(|_| {
        let fault = envelope("", "<s:Fault><faultcode>s:Client</faultcode><faultstring>bad id</faultstring></s:Fault>");
        let mut answer = ok("Content-Type: text/xml\r\n", fault);
        answer.splice(..15, *b"HTTP/1.1 500 No");
        answer
    });
    let castile = Castile::start(&config(&[&node], "health: {observe: {connect_failures: 1, eject: 1h}}"));
    for _ in 0..5 {
        assert_eq!(castile.ask(post("", envelope("", "<x/>"))).status(), 500);
    }
    assert!(
        castile.gateway.registry.machines().iter().all(|live| live.ejected_until_ms() == 0 && live.failures() == 0)
    );
}

#[test]
fn a_listener_says_on_its_health_path_whether_new_work_is_welcome() {
    let node = login_node(0);
    let yaml = config(&[&node], "").replacen("address: '127.0.0.1:0'", "address: '127.0.0.1:0', health_path: /up", 1);
    let castile = Castile::start(&yaml);
    let ask = |path: &str| castile.ask(format!("GET {path} HTTP/1.1\r\nHost: any\r\n\r\n")).status();
    assert_eq!((ask("/up"), node.count()), (200, 0));
    assert_eq!((ask("/up/other"), node.count()), (200, 1), "that is the node's");
    castile.gateway.begin_stopping();
    assert_eq!(ask("/up"), 503);
    assert_eq!(ask("/x"), 200, "serving goes on");
    assert_eq!(castile.stop().len(), 2, "probes are not logged");
}

#[test]
fn answers_that_blame_the_node_are_counted_and_eject_it_where_the_file_says_so() {
    let answer = |status: &'static str, body: String| {
        move |_: &Message| {
            let mut answer = ok("Content-Type: text/xml\r\n", &body);
            answer.splice(9..15, status.bytes());
            answer
        }
    };
    let fault = |code: &str| {
        envelope("", &format!("<s:Fault><faultcode>s:{code}</faultcode><faultstring>no</faultstring></s:Fault>"))
    };
    for (body, observe, faults, is_ejected) in [
        (fault("Server"), "connect_failures: 1, eject: 1h", 4, false),
        (fault("Server.userException"), "receiver_faults: 3, eject: 1h", 4, true),
        (fault("Client"), "receiver_faults: 1, eject: 1h", 0, false),
        ("<html>".to_owned(), "receiver_faults: 4, eject: 1h", 4, true),
    ] {
        let node = Node::answering(answer("500 No", body.clone()));
        let castile = Castile::start(&config(&[&node], &format!("health: {{observe: {{{observe}}}}}")));
        for _ in 0..4 {
            assert_eq!(castile.ask(post("", envelope("", "<x/>"))).status(), 500);
        }
        let live = &castile.gateway.registry.machines()[0];
        eventually("the last one is counted", || live.receiver_faults() == faults);
        assert_eq!((live.failures(), live.is_ejected(castile.gateway.now().0)), (0, is_ejected), "{observe} {body}");
    }
}

#[test]
fn a_request_that_is_offered_several_times_counts_once_against_its_node() {
    let (_held, gone) = refusing_address();
    let node = login_node(0);
    let settings = format!("{AXIS2}\ntimeouts: {{connect: 20s}}\nattempts: 3");
    let yaml = config(&[&node], &settings);
    let mut castile = Castile::start(&yaml);
    let (id, _) = login(&castile);
    castile.reload(&yaml.replace(&node.url(), &format!("http://{gone}")));
    assert!(castile.ask(post("", envelope(&group_id(&id), "<x/>"))).text().contains("SessionLost"));
    let failures = castile.gateway.registry.machines()[0].failures();
    let log = castile.stop();
    assert_eq!((failures, &log[1]["retries"]), (1, &3.into()), "{log:?}");
}
