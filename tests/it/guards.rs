//! What there is only so much of: descriptors, connections, patience.

use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::support::process::Process;
use crate::support::soap::{AXIS2, envelope, group_id, login, login_node, post, served_by};
use crate::support::{Castile, Peer, config, eventually};

/// What the kernel's timer of each established connection with this port says: `02` = keep-alive. `ours`: the port is the
/// listener's, else the node's.
fn timers(port: u16, ours: bool) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("this is Linux");
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[if ours { 1 } else { 2 }].ends_with(&format!(":{port:04X}")) && row[3] == "01")
        .map(|row| row[5].split(':').next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn silent_connections_are_kept_alive_on_both_sides() {
    for (setting, timer) in [("", "02"), ("none", "00"), ("{idle: 20s}", "02")] {
        let node = login_node(0);
        let setting = if setting.is_empty() { String::new() } else { format!("tcp_keep_alive: {setting}") };
        let yaml = config(&[&node], &setting)
            .replace("0'}]", &format!("0'{}{setting}}}]", if setting.is_empty() { "" } else { ", " }));
        let castile = Castile::start(&yaml);
        let mut client = castile.client();
        assert_eq!(client.ask(post("", envelope("", "<x/>"))).status(), 200);
        for (port, ours) in [(castile.address("public").port(), true), (node.address.port(), false)] {
            eventually(&format!("{setting} shows"), || timers(port, ours) == [timer]);
        }
    }
}

#[test]
fn a_listener_takes_no_more_connections_than_it_may() {
    let node = login_node(0);
    let yaml = config(&[&node], "").replace("0'}]", "0', limits: {connections: 2}}]");
    let castile = Castile::start(&yaml);
    let mut two = [castile.client(), castile.client()];
    let ask = |client: &mut Peer| client.ask(post("", envelope("", "<x/>")));
    assert_eq!(two.each_mut().map(|client| ask(client).status()), [200; 2]);
    let refused = castile.client().answer();
    assert_eq!((refused.status(), refused.field("retry-after").is_some()), (503, true));
    assert!(refused.text().contains("no room for a connection"), "{}", refused.text());
    assert_eq!(two.each_mut().map(|client| ask(client).status()), [200; 2], "who is in stays in");
    let [gone, _stays] = two;
    drop(gone);
    eventually("there is room again", || castile.connections() < 2);
    assert_eq!(ask(&mut castile.client()).status(), 200);
}

#[test]
fn a_source_may_begin_only_so_many_conversations() {
    let node = login_node(0);
    let yaml = format!("limits: {{new_conversations_per_source: 2/h}}\n{}", config(&[&node], AXIS2))
        .replace("0'}]", "0', trusted_proxies: [127.0.0.1]}]");
    let castile = Castile::start(&yaml);
    let (id, _) = login(&castile);
    let (_, _) = login(&castile);
    let refused = castile.ask(post("", envelope("", "<login/>")));
    assert_eq!(refused.status(), 429);
    let wait: u32 = refused.field("retry-after").and_then(|wait| wait.parse().ok()).expect("seconds");
    assert!((1790..=1800).contains(&wait), "{wait}");
    assert!(refused.text().contains("TooManySessions") && refused.text().contains("faultcode"), "{}", refused.text());
    assert_eq!(castile.ask(post("", envelope(&group_id(&id), "<x/>"))).status(), 200, "a conversation goes on");
    let behind_proxy = post("X-Forwarded-For: 192.0.2.1\r\n", envelope("", "<login/>"));
    assert_eq!([0; 3].map(|_| castile.ask(&behind_proxy).status()), [200, 200, 429]);
    let log = castile.stop();
    assert_eq!(log.iter().filter(|line| line["decision"] == "rate").count(), 2);
}

#[test]
fn a_small_body_on_its_way_costs_no_node_anything() {
    let node = login_node(0);
    let castile = Castile::start(&config(&[&node], ""));
    let request = post("", envelope("", "<x/>"));
    let mut slow = castile.client();
    slow.send(&request[..request.len() - 10]);
    for _ in 0..3 {
        assert_eq!(castile.ask(&request).status(), 200);
    }
    assert_eq!(node.count(), 3);
    let live = castile.gateway.snapshot().upstreams[0].nodes.nodes()[0].live.clone();
    eventually("no request is under way", || live.requests() == 0);
    slow.send(&request[request.len() - 10..]);
    assert_eq!(slow.answer().status(), 200);
}

/// Runs the program with so many descriptors, and these further settings, before a node.
fn short_of_descriptors(descriptors: u32, node: &str, settings: &str) -> (Process, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("castile.yaml");
    let yaml = format!(
        "workers: 2\nlisteners: [{{name: public, address: '127.0.0.1:0'}}]\nroutes: [{{upstream: app}}]\n\
         upstreams: {{app: {{nodes: [{{name: n0, url: '{node}'}}], {AXIS2}}}}}\n{settings}\n\
         admin: {{address: '127.0.0.1:0'}}\naccess_log: none\n"
    );
    std::fs::write(&file, yaml).expect("a file can be written");
    let command = format!("ulimit -n {descriptors}; exec \"$0\" run --config \"$1\"");
    let mut shell = Command::new("sh");
    shell.args(["-c", &command, env!("CARGO_BIN_EXE_castile")]).arg(&file);
    shell.stdin(Stdio::null()).stderr(Stdio::piped());
    (Process::spawn(shell), folder)
}

#[test]
fn when_descriptors_run_out_who_is_in_is_served_and_it_recovers() {
    for settings in ["", "limits: {connections: 1000}"] {
        let node = login_node(0);
        let (program, _folder) = short_of_descriptors(200, &node.url(), settings);
        let address = program.address("public");
        let mut honest = Peer::connect(address);
        let first = honest.ask(post("X-Login: yes\r\n", envelope("", "<login/>")));
        assert_eq!(served_by(&first), 0);
        // Each is accepted or waits in the queue of a socket; who is refused may be gone before it hears that it has come.
        let flood: Vec<_> = (0..300).filter_map(|_| TcpStream::connect(address).ok()).collect();
        if settings.is_empty() {
            program.line(&["new connections are refused", "connections"]);
            assert_eq!(metric(&program, "castile_connections_max "), 68.0);
            assert!(metric(&program, "castile_connections ") <= 68.0);
            assert!(metric(&program, "castile_connections_refused_total{limit=\"connections\"}") > 0.0);
            // A node connection, the admin API: what is in reserve is enough.
            for _ in 0..3 {
                assert_eq!(honest.ask(post("", envelope("", "<x/>"))).status(), 200);
            }
        } else {
            // More than there are were promised. The admin API could not be asked now.
            program.line(&["no descriptors left"]);
            for _ in 0..3 {
                assert_eq!(honest.ask(post("", envelope("", "<x/>"))).status(), 200, "over the node connection it has");
            }
        }
        drop(flood);
        eventually("it serves newcomers again", || {
            let mut client = Peer::connect(address);
            client.try_send(post("", envelope("", "<x/>"))).is_ok()
                && client.head().is_some_and(|answer| answer.status() == 200)
        });
        assert_eq!(honest.ask(post("", envelope("", "<x/>"))).status(), 200);
        let told = program.log().matches("new connections").count();
        // Hundreds were refused. That there is room again is told after 5 s without a refusal.
        assert!((1..=4).contains(&told), "changes are told, not refusals: {}", program.log());
    }
}

fn metric(program: &Process, line: &str) -> f64 {
    let text = Peer::connect(program.admin()).ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").text();
    let value = text.lines().find_map(|one| one.strip_prefix(line)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("there is no {line} in {text}"))
}
