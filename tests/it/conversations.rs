//! Conversations shown, moved and unbound by operators.

use serde_json::Value;

use crate::support::process::{Process, castile};
use crate::support::soap::{AXIS2, envelope, group_id, login, login_node, post, served_by};
use crate::support::{Castile, Event, Message, Node, Peer, config, ok};

const AFFINITY: &str = "affinity: {fingerprint_key: 0123456789abcdef0123456789abcdef}\n";

struct Site {
    castile: Castile,
    folder: tempfile::TempDir,
    _nodes: [Node; 2],
}

impl Site {
    fn start() -> Self {
        let nodes = [0, 1].map(login_node);
        let yaml = config(&[&nodes[0], &nodes[1]], AXIS2) + AFFINITY;
        let folder = tempfile::tempdir().expect("a folder can be made");
        std::fs::write(folder.path().join("c.yaml"), &yaml).expect("a file can be written");
        let castile = Castile::start(&(yaml + "admin: {address: '127.0.0.1:0'}\n"));
        Self { castile, folder, _nodes: nodes }
    }

    /// What `castile conversations` with these arguments writes, and whether it says that it was done.
    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let admin = format!("http://{}", self.castile.admin.expect("the admin API listens"));
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_castile"));
        command.current_dir(self.folder.path()).arg("conversations").args(arguments).args(["--admin", &admin]);
        let told = command.output().expect("the program runs");
        (told.status.success(), String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let (done, text) = self.run(&[arguments, &["--json"]].concat());
        assert!(done, "{text}");
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"))
    }

    fn node_of(&self, id: &str) -> usize {
        served_by(&self.castile.ask(post("", envelope(&group_id(id), "<x/>"))))
    }

    fn api(&self, method: &str, path: &str) -> Message {
        self.castile.ask_admin(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }
}

#[test]
fn a_conversation_is_found_by_its_id_and_moved_with_all_requests_that_follow() {
    let site = Site::start();
    let (id, node) = login(&site.castile);
    let (other, _) = login(&site.castile);
    let (done, shown) = site.run(&["show", "--id", &id, "--config", "c.yaml"]);
    assert!(
        done && shown.contains(&format!("app/n{node}")) && shown.contains("axis2") || shown.contains("sgid"),
        "{shown}"
    );
    assert!(!shown.contains(&id), "an id is never shown");
    let target = format!("n{}", 1 - node);
    let moved = site.json(&["move", "--id", &id, "--config", "c.yaml", "--to", &target]);
    assert_eq!(moved["changed"], 1, "{moved}");
    let owner = site.node_of(&other);
    for _ in 0..3 {
        assert_eq!(site.node_of(&id), 1 - node);
        assert_eq!(site.node_of(&other), owner, "nobody else has moved");
    }
    let metrics = site.api("GET", "/metrics").text();
    assert!(metrics.contains("castile_affinity_events_total{event=\"relocated\"} 1\n"), "{metrics}");
    let (done, told) = site.run(&["show", "--id", "nobody", "--config", "c.yaml"]);
    assert!(!done && told.contains("no conversation has that key"), "{told}");
}

#[test]
fn an_id_is_found_by_the_key_beside_the_store_where_none_is_configured() {
    let node = login_node(0);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (file, store) = (folder.path().join("c.yaml"), folder.path().join("pins.redb"));
    let affinity = format!("affinity: {{store: {{disk: '{}'}}}}\n", store.display());
    let yaml = config(&[&node], AXIS2) + &affinity + "admin: {address: '127.0.0.1:0'}\naccess_log: none\n";
    std::fs::write(&file, &yaml).expect("a file can be written");
    let program = Process::run(&file, &[]);
    let answer =
        Peer::connect(program.address("public")).ask(post("X-Login: yes\r\n", envelope("", "<login/>"))).text();
    let id = answer.split("axis2\">").nth(1).and_then(|rest| rest.split('<').next()).expect("an id");
    let admin = format!("http://{}", program.admin());
    let show = |file: &std::path::Path| {
        let file = file.display().to_string();
        let told = castile(&["conversations", "show", "--id", id, "--config", &file, "--admin", &admin]).output();
        let told = told.expect("the program runs");
        (told.status.success(), String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned())
    };
    let (done, shown) = show(&file);
    assert!(done && shown.contains("app/n0"), "{shown}");
    std::fs::remove_file(folder.path().join("pins.redb.key")).expect("there is such a file");
    let (done, told) = show(&file);
    assert!(!done && told.contains("has no key beside it"), "{told}");
    std::fs::write(&file, yaml.replace(&affinity, "")).expect("a file can be written");
    let (done, told) = show(&file);
    assert!(!done && told.contains("affinity.fingerprint_key is not set"), "{told}");
}

#[test]
fn all_conversations_of_a_node_are_listed_page_by_page_and_moved() {
    let site = Site::start();
    let ids: Vec<_> = (0..10).map(|_| login(&site.castile)).collect();
    let all = site.json(&[]);
    assert_eq!(all.as_array().map(Vec::len), Some(10), "{all}");
    assert!(ids.iter().all(|(id, _)| !all.to_string().contains(id)));
    let mut seen = std::collections::BTreeSet::new();
    let mut path = "/v1/conversations?limit=3&after=0".to_owned();
    loop {
        let page: Value = serde_json::from_str(&site.api("GET", &path).text()).expect("JSON");
        let page_of = page["conversations"].as_array().expect("a list");
        assert!(page_of.len() <= 3);
        seen.extend(page_of.iter().map(|one| one["id"].to_string()));
        match page["next"].as_u64() {
            Some(next) => path = format!("/v1/conversations?limit=3&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 10);
    assert_eq!(site.json(&["--node", "n0"]).as_array().map(Vec::len), Some(5));
    assert_eq!(site.json(&["--idle", "1h"]), Value::from(Vec::<Value>::new()));
    let key = all[0]["keys"][0]["name"].as_str().expect("a name").to_owned();
    assert_eq!(site.json(&["--key-name", &key, "--upstream", "app"]).as_array().map(Vec::len), Some(10));
    assert_eq!(site.json(&["--key-name", "another"]).as_array().map(Vec::len), Some(0));
    assert_eq!(site.json(&["move", "--node", "app/n0", "--to", "n1"])["changed"], 5);
    assert!(ids.iter().all(|(id, _)| site.node_of(id) == 1));
    assert_eq!(site.json(&["--node", "n0"]).as_array().map(Vec::len), Some(0));
}

#[test]
fn an_unbound_conversation_counts_as_unknown() {
    let site = Site::start();
    let (id, _) = login(&site.castile);
    let print = site.json(&[])[0]["id"].as_str().expect("a fingerprint").to_owned();
    assert_eq!(site.json(&["unbind", &print])["changed"], 1);
    let (done, told) = site.run(&["unbind", &print]);
    assert!(!done && told.contains("no conversation has that key"), "{told}");
    site.node_of(&id);
    let log = site.castile.stop();
    assert_eq!(log.last().expect("a line")["decision"], "unknown");
}

#[test]
fn what_would_be_a_mistake_is_refused() {
    let site = Site::start();
    let (_, node) = login(&site.castile);
    let print = site.json(&[])[0]["id"].as_str().expect("a fingerprint").to_owned();
    site.api("POST", &format!("/v1/nodes/app/n{}/maint", 1 - node));
    let one = format!("/v1/conversations/{print}");
    for (method, path, status) in [
        ("GET", format!("{one}/move?to=n0"), 405),
        ("POST", format!("{one}/move?to=n{}", 1 - node), 409),
        ("POST", format!("{one}/move?to=n7"), 404),
        ("POST", format!("{one}/move"), 400),
        ("POST", "/v1/conversations/move?to=n0".to_owned(), 400),
        ("POST", "/v1/conversations/unbind".to_owned(), 400),
        ("POST", "/v1/conversations/unbind?nod=n0".to_owned(), 400),
        ("GET", "/v1/conversations/beef".to_owned(), 404),
        ("GET", "/v1/conversations?upstream=other".to_owned(), 404),
        ("GET", "/v1/conversations?age=4".to_owned(), 400),
    ] {
        assert_eq!(site.api(method, &path).status(), status, "{method} {path}");
    }
    assert_eq!(site.json(&[])[0]["node"], format!("n{node}"));
    assert!(!site.run(&["move", &print]).0, "where to?");
    assert!(!site.run(&["unbind"]).0, "all of them?");
}

#[test]
fn a_request_in_flight_ends_where_it_is() {
    let (asked, may_answer) = (Event::new(), Event::new());
    let login = |_: &Message| ok("Set-Cookie: JSESSIONID=one\r\n", "");
    let slow = Node::answering({
        let (asked, may_answer) = (asked.clone(), may_answer.clone());
        move |request| {
            if request.field("cookie").is_none() {
                return login(request);
            }
            asked.happen();
            may_answer.wait();
            ok("", "from the first")
        }
    });
    let other = Node::answering(|_| ok("", "from the second"));
    let yaml =
        config(&[&slow, &other], "sticky: {presets: [servlet-jsessionid]}") + "admin: {address: '127.0.0.1:0'}\n";
    let castile = Castile::start(&yaml);
    castile.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut client = castile.client();
    let with_cookie = "GET / HTTP/1.1\r\nHost: h\r\nCookie: JSESSIONID=one\r\n\r\n";
    client.send(with_cookie);
    asked.wait();
    let path = "/v1/conversations/move?to=n1&node=n0";
    let moved = castile.ask_admin(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let moved: Value = serde_json::from_str(&moved.text()).expect("JSON");
    assert_eq!((&moved["changed"], &moved["requests_in_flight"]), (&1.into(), &1.into()), "{moved}");
    assert_eq!(castile.ask(with_cookie).text(), "from the second");
    may_answer.happen();
    assert_eq!(client.answer().text(), "from the first");
    assert_eq!(castile.ask(with_cookie).text(), "from the second");
}
