//! A conversation is captured from a running gateway, and the files explain and test it.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::support::soap::{AXIS2, envelope, group_id, login, login_node, post};
use crate::support::{Castile, config, eventually};

fn castile(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_castile"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn capture(gateway: &Castile, out: &Path, more: &[&str]) -> Child {
    let admin = format!("http://{}", gateway.admin.expect("the admin API listens"));
    let child = castile(&["capture", "--admin", &admin, "--out", &out.to_string_lossy()]).args(more).spawn();
    let child = child.expect("the program runs");
    eventually("it captures", || gateway.gateway.captures.running().is_some());
    child
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

fn all_of(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
    files.map(|file| String::from_utf8_lossy(&std::fs::read(file).expect("a file")).into_owned()).collect()
}

/// Two nodes, an admin API, and the same configuration as a file.
fn start(folder: &Path) -> (Castile, [crate::support::Node; 2], String) {
    let nodes = [0, 1].map(login_node);
    let yaml = config(&[&nodes[0], &nodes[1]], AXIS2);
    let file = folder.join("castile.yaml");
    std::fs::write(&file, yaml.replace("127.0.0.1:0'", "127.0.0.1:1'")).expect("a file can be written");
    let castile = Castile::start(&(yaml + "admin: {address: '127.0.0.1:0'}\n"));
    (castile, nodes, file.to_string_lossy().into_owned())
}

#[test]
fn a_captured_conversation_is_explained_and_tested_without_its_ids() {
    let folder = tempfile::tempdir().expect("a folder");
    let (gateway, _nodes, yaml) = start(folder.path());
    let out = folder.path().join("capture");
    let child = capture(&gateway, &out, &["--limit", "3", "--route", "*"]);
    let (id, _) = login(&gateway);
    let secrets =
        "<w:Security xmlns:w='urn:w'><w:UsernameToken><w:Password>hunter22</w:Password></w:UsernameToken></w:Security>";
    let message = |header: &str| envelope(&(header.to_owned() + &group_id(&id)), "<x><name>Jane Doe</name></x>");
    let fields = "Authorization: Basic aHVudGVy\r\nCookie: theme=private1\r\n";
    gateway.ask(post(fields, message(secrets)));
    gateway.ask(post("", message("")));
    let done = child.wait_with_output().expect("it ends by its limit");
    assert!(done.status.success() && text(&done).contains("3 exchanges"), "{}", text(&done));
    let kept = all_of(&out);
    for secret in [id.as_str(), "secret", "hunter22", "Jane", "Doe", "aHVudGVy", "private1"] {
        assert!(!kept.contains(secret), "{secret} in {kept}");
    }
    let file = |name: &str| out.join(name).to_string_lossy().into_owned();
    let explained = castile(&[
        "explain",
        "--config",
        &yaml,
        "--json",
        "--request",
        &file("02-request.http"),
        "--response",
        &file("02-response.http"),
    ])
    .output()
    .expect("the program runs");
    let told: serde_json::Value =
        serde_json::from_slice(&explained.stdout).unwrap_or_else(|_| panic!("{}", text(&explained)));
    assert_eq!(told["keys"].as_array().map(Vec::len), Some(1), "{told}");
    let tested = castile(&["test", "--config", &yaml, &out.to_string_lossy()]).output().expect("the program runs");
    assert!(tested.status.success() && text(&tested).contains("3 passed, 0 failed"), "{}", text(&tested));
    let expected = std::fs::read_to_string(out.join("expect.yaml")).expect("a file");
    assert_eq!(expected, "exchanges:\n- {n: 1, pinned: false}\n- {n: 2, pinned: true}\n- {n: 3, pinned: true}\n");
    assert!(gateway.gateway.captures.running().is_none());
}

#[test]
fn with_bodies_only_ids_and_secrets_are_masked() {
    let folder = tempfile::tempdir().expect("a folder");
    let (gateway, _nodes, _) = start(folder.path());
    let out = folder.path().join("capture");
    let child = capture(&gateway, &out, &["--limit", "1", "--with-bodies"]);
    let body = envelope(
        &group_id("urn:uuid:confidential-17"),
        "<x><name>Jane</name><userPassword>hunter22</userPassword></x>",
    );
    gateway.ask(post("", body));
    assert!(child.wait_with_output().expect("it ends").status.success());
    let kept = all_of(&out);
    assert!(kept.contains("Jane") && !kept.contains("hunter22") && !kept.contains("confidential"), "{kept}");
}

#[test]
fn a_capture_ends_with_its_time_or_with_whoever_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let (gateway, _nodes, _) = start(folder.path());
    let done = capture(&gateway, &folder.path().join("a"), &["--for", "300ms"]).wait_with_output().expect("it ends");
    assert!(done.status.success() && text(&done).contains("0 exchanges"), "{}", text(&done));
    eventually("it is over", || gateway.gateway.captures.running().is_none());
    let mut child = capture(&gateway, &folder.path().join("b"), &["--for", "1h"]);
    let admin = format!("http://{}", gateway.admin.expect("the admin API listens"));
    let other = folder.path().join("c");
    let second = castile(&["capture", "--admin", &admin, "--out", &other.to_string_lossy()]).output().expect("it runs");
    assert!(!second.status.success() && text(&second).contains("another capture is running"), "{}", text(&second));
    child.kill().and_then(|()| child.wait()).expect("it can be ended");
    eventually("it has ended", || gateway.gateway.captures.running().is_none());
    let none =
        castile(&["capture", "--admin", &admin, "--out", &other.to_string_lossy(), "--route", "/nowhere"]).output();
    assert!(text(&none.expect("it runs")).contains("there is no route"));
}

#[test]
fn only_the_role_admin_may_capture() {
    let node = login_node(0);
    let tokens = "[{name: deploy, token: defg, role: operate}]";
    let gateway =
        Castile::start(&format!("{}admin: {{address: '127.0.0.1:0', tokens: {tokens}}}\n", config(&[&node], "")));
    let refused = gateway.ask_admin("POST /v1/capture HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer defg\r\n\r\n");
    assert_eq!(refused.status(), 403);
}
