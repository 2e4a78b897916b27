//! What a reload would do, told before, and reloads that would lose too much.

use std::path::Path;
use std::process::Command;

use crate::support::config;
use crate::support::process::Process;
use crate::support::soap::{AXIS2, envelope, group_id, login_node, post, served_by};
use crate::support::{Peer, eventually};

/// What the program with these arguments says, and whether it says that all is well.
fn castile(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_castile"));
    let told = command.current_dir(folder).args(arguments).output().expect("the program runs");
    (told.status.success(), String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned())
}

#[test]
fn a_reload_that_would_lose_conversations_is_foreseen_and_refused_unless_forced() {
    let nodes = [0, 1].map(login_node);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let audit = folder.path().join("audit.json");
    let yaml = |nodes: &[&crate::support::Node], sticky: &str, most: u32| {
        config(nodes, sticky)
            + &format!(
                "admin: {{address: '127.0.0.1:0'}}\naccess_log: none\naudit: {{file: {}}}\nreload: {{max_conversations_lost: 1}}\n",
                audit.display()
            )
            + &format!("affinity: {{max_conversations: {most}}}\n")
    };
    let write =
        |name: &str, text: String| std::fs::write(folder.path().join(name), text).expect("a file can be written");
    let both = [&nodes[0], &nodes[1]];
    write("castile.yaml", yaml(&both, AXIS2, 1000));
    let program = Process::run(&folder.path().join("castile.yaml"), &[]);
    let (address, admin) = (program.address("public"), program.admin());
    let ids: Vec<_> = (0..4)
        .map(|_| {
            let answer = Peer::connect(address).ask(post("X-Login: 1\r\n", envelope("", "<login/>")));
            let text = answer.text();
            let id = text.split("axis2\">").nth(1).and_then(|rest| rest.split('<').next());
            (id.expect("an id").to_owned(), served_by(&answer))
        })
        .collect();
    let url = format!("http://{admin}");
    let preview = |file: &str| {
        let (allowed, text) = castile(folder.path(), &["check", file, "--against", &url, "--json"]);
        let line =
            text.lines().find(|line| line.contains("without_node")).unwrap_or_else(|| panic!("{text}")).to_owned();
        (allowed, serde_json::from_str::<serde_json::Value>(&line).expect("JSON"))
    };
    let (allowed, same) = preview("castile.yaml");
    assert!(allowed && same["conversations"] == 4 && same["without_node"] == 0 && same["without_rule"] == 0, "{same}");
    write("fewer.yaml", yaml(&[&nodes[0]], AXIS2, 3));
    let (allowed, fewer) = preview("fewer.yaml");
    assert!(!allowed && fewer["without_node"] == 2 && fewer["overflow"] == 1, "{fewer}");
    write("other.yaml", yaml(&both, "sticky: {presets: [servlet-jsessionid]}", 1000));
    let (allowed, other) = preview("other.yaml");
    assert!(!allowed && other["without_rule"] == 4 && other["without_node"] == 0, "{other}");

    let serves = |id: &str| served_by(&Peer::connect(address).ask(post("", envelope(&group_id(id), "<x/>"))));
    write("castile.yaml", yaml(&[&nodes[0]], AXIS2, 1000));
    let (done, told) = castile(folder.path(), &["reload", "--admin", &url]);
    assert!(!done && told.contains("2 conversations would be lost"), "{told}");
    assert!(ids.iter().all(|(id, owner)| serves(id) == *owner));
    let (done, told) = castile(folder.path(), &["reload", "--force", "--admin", &url]);
    assert!(done, "{told}");
    let answer = Peer::connect(admin).ask("GET /v1/reload HTTP/1.1\r\nHost: localhost\r\n\r\n").text();
    assert!(answer.contains("\"taken_over\":1") && answer.contains("\"refused\":1"), "{answer}");
    eventually("the node is drained", || {
        let metrics = Peer::connect(admin).ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").text();
        metrics.contains("castile_reloads_total 1\n")
    });
    assert!(ids.iter().all(|(id, owner)| serves(id) == *owner), "a node that left serves on while it answers");

    // Previews change nothing; what was asked for and what came of it are two records.
    let audit = std::fs::read_to_string(&audit).expect("there is a stream");
    let records: Vec<_> = audit
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .map(|record| {
            [&record["what"], &record["result"]].map(|text| text.as_str().unwrap_or("-").to_owned()).join(" ")
        })
        .collect();
    assert_eq!(
        records,
        [
            "start done",
            "POST /v1/reload done",
            "reload (asked for) refused",
            "POST /v1/reload done",
            "reload (asked for, forced) done",
        ]
    );
}
