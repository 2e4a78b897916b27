//! The audit stream: every admin action, refusal, reload, start and stop, with who and from where.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::process::Process;
use crate::support::soap::{AXIS2, login, login_node};
use crate::support::tls::Authority;
use crate::support::{Castile, Node, config, eventually};

fn records(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

fn ask(castile: &Castile, method: &str, path: &str, fields: &str) -> u16 {
    castile.ask_admin(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")).status()
}

#[test]
fn who_did_what_from_where_and_what_came_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audit.json");
    let node = login_node(0);
    let tokens = "[{name: look, token: abc, role: read}, {name: deploy, token: defg, role: operate}]";
    let castile = Castile::start(&format!(
        "{}admin: {{address: '127.0.0.1:0', tokens: {tokens}}}\naudit: {{file: {}}}\n",
        config(&[&node], ""),
        file.display()
    ));
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    assert_eq!(ask(&castile, "POST", "/v1/nodes/app/n0/drain", &bearer("defg")), 200);
    assert_eq!(ask(&castile, "POST", "/v1/nodes/app/n0/maint", &bearer("abc")), 403);
    assert_eq!(ask(&castile, "GET", "/metrics", &bearer("nope")), 401);
    assert_eq!(ask(&castile, "GET", "/v1/nodes", &format!("{}Origin: http://evil.example\r\n", bearer("defg"))), 403);
    assert_eq!(ask(&castile, "POST", "/v1/nodes/app/n7/maint", &bearer("defg")), 404);
    assert_eq!(ask(&castile, "GET", "/v1/nodes", &bearer("abc")), 200, "who only looks leaves no record");
    eventually("all is written", || records(&file).len() == 5);
    let told: Vec<_> = records(&file)
        .iter()
        .map(|record| {
            let text = |key: &str| record[key].as_str().unwrap_or("-").to_owned();
            assert_eq!(record["from"], "127.0.0.1");
            format!(
                "{} {} {} {} {} {}",
                text("who"),
                text("what"),
                text("before"),
                text("after"),
                text("result"),
                record["status"]
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "deploy POST /v1/nodes/app/n0/drain ready drain done 200",
            "look POST /v1/nodes/app/n0/maint - - refused 403",
            "- GET /metrics - - refused 401",
            "deploy GET /v1/nodes - - refused 403",
            "deploy POST /v1/nodes/app/n7/maint - - failed 404",
        ]
    );
    let numbers: Vec<_> = records(&file).iter().map(|record| record["n"].as_u64()).collect();
    assert_eq!(numbers, (1..=5).map(Some).collect::<Vec<_>>());
    let text = std::fs::read_to_string(&file).expect("a file");
    assert!(!text.contains("defg") && !text.contains("nope"), "no credential: {text}");
    // A record is counted a moment after it stands in the file.
    eventually("it is counted", || {
        let ask = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{}\r\n", bearer("abc"));
        let metrics = castile.ask_admin(ask).text();
        metrics.contains("castile_audit_records_total 5\n") && metrics.contains("castile_audit_failing 0\n")
    });
}

#[test]
fn conversations_that_are_moved_and_unbound_are_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audit.json");
    let nodes = [0, 1].map(login_node);
    let castile = Castile::start(&format!(
        "{}admin: {{address: '127.0.0.1:0'}}\naudit: {{file: {}}}\n",
        config(&[&nodes[0], &nodes[1]], AXIS2),
        file.display()
    ));
    let (_, node) = login(&castile);
    let list = castile.ask_admin("GET /v1/conversations HTTP/1.1\r\nHost: localhost\r\n\r\n").text();
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let print = list["conversations"][0]["id"].as_str().expect("a fingerprint");
    let one = format!("/v1/conversations/{print}");
    let to = 1 - node;
    for path in [
        format!("{one}/move?to=n{to}"),
        "/v1/conversations/unbind?upstream=app&idle=9h".to_owned(),
        format!("{one}/unbind"),
    ] {
        assert_eq!(ask(&castile, "POST", &path, ""), 200, "{path}");
    }
    assert_eq!(ask(&castile, "POST", &format!("{one}/unbind"), ""), 404);
    eventually("all is written", || records(&file).len() == 4);
    let told: Vec<_> = records(&file)
        .iter()
        .map(|record| ["what", "before", "after", "result"].map(|key| record[key].as_str().unwrap_or("-")).join(" | "))
        .collect();
    let what = format!("POST {one}");
    assert_eq!(
        told,
        [
            format!("{what}/move | on n{node} | 1 moved to n{to} | done"),
            "POST /v1/conversations/unbind | conversations of upstream=app&idle=9h | 0 unbound | done".to_owned(),
            format!("{what}/unbind | on n{to} | 1 unbound | done"),
            format!("{what}/unbind | - | - | failed"),
        ]
    );
}

/// A receiver that reads what comes; it closes its first connection after so many messages.
fn receiver(authority: &Authority, close_after: usize) -> (Node, Arc<Mutex<Vec<String>>>) {
    let identity = authority.sign("logs.test");
    let messages = Arc::<Mutex<Vec<String>>>::default();
    let book = Arc::clone(&messages);
    let node = Node::start_tls(authority.node(&identity), move |connection| {
        for _ in 0..if connection.number == 0 { close_after } else { usize::MAX } {
            let Some(length) = connection.peer.try_until(b" ") else { return };
            let length = String::from_utf8_lossy(&length).trim().parse().expect("a length is a number");
            let Some(message) = connection.peer.try_bytes(length) else { return };
            book.lock().unwrap().push(String::from_utf8(message).expect("UTF-8"));
        }
    });
    (node, messages)
}

#[test]
fn syslog_over_tls_with_certificates_on_both_sides() {
    let authority = Authority::new("operators");
    let (server, operator, gateway) =
        (authority.sign("gateway.test"), authority.sign("operator.test"), authority.sign("castile.test"));
    let (log, messages) = receiver(&authority, 2);
    let files = |identity: &crate::support::tls::Identity| {
        (identity.certificate.display().to_string(), identity.key.display().to_string())
    };
    let ((certificate, key), (own, own_key)) = (files(&server), files(&gateway));
    let node = login_node(0);
    let ca = authority.file().display().to_string();
    let castile = Castile::start(&format!(
        "{}admin: {{address: '127.0.0.1:0', tls: {{certificate: '{certificate}', key: '{key}', client_ca: '{ca}', client_auth: required}}}}\n\
         audit: {{syslog: 'tls://{}', ca: '{ca}', client_certificate: '{own}', client_key: '{own_key}', server_name: logs.test}}\n",
        config(&[&node], ""),
        log.address
    ));
    let address = castile.admin.expect("the admin API listens");
    let act = |state: &str| {
        let mut peer = authority.connect(address, "gateway.test", Some(&operator));
        let request = format!("POST /v1/nodes/app/n0/{state} HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
        assert_eq!(peer.ask(request).status(), 200);
    };
    // The receiver goes after two messages and comes back; none is lost, though some come twice.
    for state in ["drain", "maint", "ready", "drain", "ready"] {
        act(state);
    }
    let numbers = || -> std::collections::BTreeSet<u64> {
        let messages = messages.lock().unwrap();
        messages.iter().filter_map(|message| record(message)["n"].as_u64()).collect()
    };
    eventually("every record has come", || numbers() == (1..=5).collect());
    let first = messages.lock().unwrap()[0].clone();
    assert!(first.starts_with("<109>1 2") && first.contains(" castile ") && first.contains(" audit - {"), "{first}");
    let (first, second) = (record(&first), record(&messages.lock().unwrap()[1]));
    assert_eq!(
        (&first["who"], &first["before"], &first["after"]),
        (&"CN=operator.test".into(), &"ready".into(), &"drain".into())
    );
    assert_eq!(second["before"], "drain");
    assert_eq!(castile.gateway.audit.written(), 5);
}

fn record(message: &str) -> Value {
    let json = &message[message.find('{').expect("an object")..];
    serde_json::from_str(json).unwrap_or_else(|_| panic!("no JSON: {message}"))
}

#[test]
fn a_receiver_that_is_not_there_is_waited_for() {
    let authority = Authority::new("operators");
    let identity = authority.sign("logs.test");
    let (socket, address) = crate::support::refusing_address();
    let node = login_node(0);
    let castile = Castile::start(&format!(
        "{}admin: {{address: '127.0.0.1:0'}}\naudit: {{syslog: 'tls://{address}', ca: '{}', server_name: logs.test}}\n",
        config(&[&node], ""),
        authority.file().display()
    ));
    assert_eq!(ask(&castile, "POST", "/v1/nodes/app/n0/drain", ""), 200);
    eventually("it is told", || {
        castile
            .ask_admin("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .text()
            .contains("audit log cannot be written")
    });
    drop((socket, identity));
}

#[test]
fn start_reload_and_stop_are_recorded_and_both_logs_are_rotated() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, audit, access) =
        (folder.path().join("castile.yaml"), folder.path().join("audit.json"), folder.path().join("access.json"));
    let node = login_node(0);
    let yaml = config(&[&node], "");
    let good = format!(
        "{yaml}admin: {{address: none}}\naccess_log: {{file: {}}}\naudit: {{file: {}}}\n",
        access.display(),
        audit.display()
    );
    std::fs::write(&file, &good).expect("a file can be written");
    let mut program = Process::run(&file, &[]);
    let whats = |records: &[Value]| -> Vec<String> {
        let text = |record: &Value, key: &str| record[key].as_str().unwrap_or("-").to_owned();
        records.iter().map(|record| format!("{} {}", text(record, "what"), text(record, "result"))).collect()
    };
    eventually("it starts", || records(&audit).len() == 1);
    program.line(&["listening"]);
    std::fs::write(&file, "listeners: nonsense").expect("a file can be written");
    program.signal("HUP");
    eventually("it is refused", || records(&audit).len() == 2);
    let old = records(&audit);
    assert!(old[1]["why"].as_str().is_some_and(|why| why.contains("castile.yaml: ")), "{}", old[1]);
    assert_eq!(old[1]["before"], old[1]["after"]);

    // As logrotate does it.
    let moved = folder.path().join("audit.json.1");
    std::fs::rename(&audit, &moved)
        .and_then(|()| std::fs::rename(&access, folder.path().join("access.json.1")))
        .expect("logs can be moved");
    program.signal("USR1");
    eventually("both are made anew", || audit.exists() && access.exists());
    std::fs::write(&file, good.replace("{upstream: app}", "{path: /app*, upstream: app}"))
        .expect("a file can be written");
    program.signal("HUP");
    eventually("it is taken over", || records(&audit).len() == 1);
    program.signal("TERM");
    assert!(program.ended().success());
    assert_eq!(whats(&records(&moved)), ["start done", "reload (SIGHUP) refused"]);
    let new = records(&audit);
    assert_eq!(whats(&new), ["reload (SIGHUP) done", "stop (SIGTERM) done"]);
    assert_ne!(new[0]["before"], new[0]["after"]);
    assert_eq!(new[0]["before"], old[0]["after"]);
}
