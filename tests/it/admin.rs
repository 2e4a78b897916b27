//! The admin listener: readiness, metrics, and nodes set to drain.

use crate::support::soap::{AXIS2, envelope, group_id, login, login_node, post, served_by};
use crate::support::tls::Authority;
use crate::support::{Castile, Message, config, eventually};

/// Two nodes with an admin API.
fn with_admin(admin: &str) -> (Castile, [crate::support::Node; 2]) {
    let nodes = [0, 1].map(login_node);
    let castile = Castile::start(&(config(&[&nodes[0], &nodes[1]], AXIS2) + "admin: " + admin + "\n"));
    (castile, nodes)
}

const OPEN: &str = "{address: '127.0.0.1:0'}";

fn ask(castile: &Castile, method: &str, path: &str, fields: &str) -> Message {
    castile.ask_admin(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"))
}

#[test]
fn a_drained_node_keeps_its_conversations_and_gets_no_new_ones() {
    let (castile, _nodes) = with_admin(OPEN);
    let (id, node) = login(&castile);
    let answer = ask(&castile, "POST", &format!("/v1/nodes/app/n{node}/drain"), "");
    assert_eq!(answer.status(), 200);
    let shown: serde_json::Value = serde_json::from_str(&answer.text()).expect("JSON");
    assert_eq!((&shown["state"], &shown["conversations"]), (&"drain".into(), &1.into()), "{shown}");
    for _ in 0..4 {
        assert_eq!(served_by(&castile.ask(post("", envelope("", "<x/>")))), 1 - node);
        assert_eq!(served_by(&castile.ask(post("", envelope(&group_id(&id), "<x/>")))), node);
    }
    ask(&castile, "POST", &format!("/v1/nodes/app/n{node}/maint"), "");
    assert!(castile.ask(post("", envelope(&group_id(&id), "<x/>"))).text().contains("SessionLost"));
    ask(&castile, "POST", &format!("/v1/nodes/app/n{node}/ready"), "");
    let all: serde_json::Value = serde_json::from_str(&ask(&castile, "GET", "/v1/nodes", "").text()).expect("JSON");
    assert_eq!(all.as_array().map(Vec::len), Some(2));
    assert!(all.as_array().into_iter().flatten().all(|node| node["state"] == "ready"), "{all}");
}

#[test]
fn nothing_changes_by_a_get_or_from_another_site() {
    let (castile, _nodes) = with_admin(OPEN);
    let path = "/v1/nodes/app/n0/maint";
    for (method, fields, status) in
        [("GET", "", 405), ("POST", "Origin: http://evil.example\r\n", 403), ("POST", "Origin: null\r\n", 403)]
    {
        assert_eq!(ask(&castile, method, path, fields).status(), status, "{method} {fields}");
    }
    let bent = castile.ask_admin(format!("POST {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n"));
    assert_eq!(bent.status(), 421);
    assert_eq!(ask(&castile, "POST", "/v1/nodes/app/n7/maint", "").status(), 404);
    assert_eq!(ask(&castile, "POST", "/v1/nodes/app/n0/off", "").status(), 404);
    assert!(!ask(&castile, "GET", "/v1/nodes", "").text().contains("maint"));
}

#[test]
fn tokens_permit_what_their_role_says() {
    let tokens = "[{name: look, token: abc, role: read}, {name: deploy, token: defg, role: operate}]";
    let (castile, _nodes) = with_admin(&format!("{{address: '127.0.0.1:0', tokens: {tokens}}}"));
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    assert_eq!(ask(&castile, "GET", "/metrics", "").status(), 401);
    assert_eq!(ask(&castile, "GET", "/metrics", &bearer("abc")).status(), 200);
    assert_eq!(ask(&castile, "POST", "/v1/nodes/app/n0/drain", &bearer("abc")).status(), 403);
    assert_eq!(ask(&castile, "POST", "/v1/nodes/app/n0/drain", &bearer("nope")).status(), 401);
    assert_eq!(ask(&castile, "POST", "/v1/nodes/app/n0/drain", &bearer("defg")).status(), 200);
    assert_eq!(ask(&castile, "GET", "/live", "").status(), 200, "probes have no tokens");
}

#[test]
fn metrics_tell_what_happened_and_never_an_id() {
    let (castile, _nodes) = with_admin(OPEN);
    let (id, _) = login(&castile);
    castile.ask(post("", envelope(&group_id(&id), "<x/>")));
    // A request is counted when its answer is out.
    eventually("both are counted", || {
        ask(&castile, "GET", "/metrics", "").text().contains("castile_request_duration_seconds_count 2\n")
    });
    let metrics = ask(&castile, "GET", "/metrics", "");
    assert_eq!(metrics.field("content-type").as_deref(), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = metrics.text();
    for line in [
        "castile_ready 1",
        "castile_decisions_total{code=\"pin\"} 1",
        "castile_decisions_total{code=\"bal\"} 1",
        "castile_responses_total{status=\"200\"} 2",
        "castile_request_duration_seconds_count 2",
        "castile_affinity_events_total{event=\"learnt\"} 1",
        "castile_conversations 1",
        "castile_node_ejections_total{group=\"app\",node=\"n0\"} 0",
        "castile_node_health{group=\"app\",node=\"n0\",health=\"unknown\"} 1",
        "castile_node_state{group=\"app\",node=\"n1\",state=\"drain\"} 0",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains(&id));
}

#[test]
fn readiness_tells_what_is_amiss() {
    let (castile, _nodes) = with_admin(OPEN);
    assert_eq!(ask(&castile, "GET", "/ready", "").text(), "{\"notes\":[],\"ready\":true}\n");
    castile.gateway.refuse_reload("config.yaml:1:1: nonsense".to_owned());
    ask(&castile, "POST", "/v1/nodes/app/n0/drain", "");
    ask(&castile, "POST", "/v1/nodes/app/n1/maint", "");
    let amiss = ask(&castile, "GET", "/ready", "");
    assert_eq!(amiss.status(), 200, "conversations are still served");
    assert!(amiss.text().contains("nonsense") && amiss.text().contains("upstream app"), "{}", amiss.text());
    castile.gateway.begin_stopping();
    assert_eq!(ask(&castile, "GET", "/ready", "").status(), 503);
    assert_eq!(ask(&castile, "GET", "/live", "").status(), 200);
}

/// What `castile nodes` with these arguments writes, and whether it says that it was done.
fn nodes(castile: &Castile, arguments: &[&str]) -> (bool, String) {
    let admin = format!("http://{}", castile.admin.expect("the admin API listens"));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_castile"));
    let told = command.arg("nodes").args(arguments).args(["--admin", &admin]).output().expect("the program runs");
    let text = [told.stdout, told.stderr].concat();
    (told.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn the_command_line_shows_nodes_and_drains_them() {
    let (castile, _nodes) = with_admin(OPEN);
    let (done, shown) = nodes(&castile, &[]);
    assert!(done && shown.starts_with("UPSTREAM") && shown.contains("n0") && shown.contains("n1"), "{shown}");
    let (done, shown) = nodes(&castile, &["drain", "app/n1"]);
    assert!(done && shown.contains("drain") && !shown.contains("n0"), "{shown}");
    assert!(nodes(&castile, &["ls", "n1"]).1.contains("drain"));
    let (done, shown) = nodes(&castile, &["maint", "n7"]);
    assert!(!done && shown.contains("there is no node n7"), "{shown}");
    assert!(!nodes(&castile, &["drain"]).0, "of which node?");
    assert!(nodes(&castile, &["wait", "n1"]).0, "no conversation is left there");
    let (_, node) = login(&castile);
    let (done, shown) = nodes(&castile, &["wait", &format!("n{node}"), "--deadline", "1ms"]);
    assert!(!done && shown.contains("still has 1 conversations"), "{shown}");
}

#[test]
fn the_admin_listener_may_speak_tls_and_ask_for_certificates() {
    let authority = Authority::new("operators");
    let (server, operator) = (authority.sign("gateway.test"), authority.sign("operator"));
    let (castile, _nodes) = with_admin(&format!(
        "{{address: '127.0.0.1:0', tls: {{certificate: '{}', key: '{}', client_ca: '{}', client_auth: required}}}}",
        server.certificate.display(),
        server.key.display(),
        authority.file().display()
    ));
    let address = castile.admin.expect("the admin API listens");
    let request = "GET /v1/nodes HTTP/1.1\r\nHost: gateway.test\r\n\r\n";
    assert_eq!(authority.connect(address, "gateway.test", Some(&operator)).ask(request).status(), 200);
    let mut stranger = authority.connect(address, "gateway.test", None);
    // With TLS 1.3 the client learns only by the answer that it was refused.
    let _ = stranger.try_send(request);
    assert!(!stranger.rest().starts_with(b"HTTP/"));
}
