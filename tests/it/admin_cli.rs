//! The commands that ask the admin API speak TLS to it and show a certificate.

use std::process::{Command, Stdio};

use crate::support::soap::{AXIS2, envelope, login_node, post};
use crate::support::tls::Authority;
use crate::support::{Castile, config, eventually};

#[test]
fn check_against_and_capture_speak_tls_and_show_a_certificate() {
    let authority = Authority::new("operators");
    let (server, operator) = (authority.sign("127.0.0.1"), authority.sign("operator"));
    let node = login_node(0);
    let yaml = config(&[&node], AXIS2);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("castile.yaml");
    std::fs::write(&file, yaml.replace("127.0.0.1:0'", "127.0.0.1:1'")).expect("a file can be written");
    let castile = Castile::start(&format!(
        "{yaml}admin: {{address: '127.0.0.1:0', tls: {{certificate: '{}', key: '{}', client_ca: '{}', client_auth: required}}}}\n",
        server.certificate.display(),
        server.key.display(),
        authority.file().display()
    ));
    let admin = format!("https://{}", castile.admin.expect("the admin API listens"));
    let ca = authority.file().display().to_string();
    let [certificate, key] = [&operator.certificate, &operator.key].map(|file| file.display().to_string());
    let own = ["--ca", &ca, "--certificate", &certificate, "--key", &key];
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_castile"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let file = file.display().to_string();
    let check = ["check", &file, "--against", &admin];
    let known = command(&check).args(own).output().expect("the program runs");
    let text = String::from_utf8_lossy(&[known.stdout, known.stderr].concat()).into_owned();
    assert!(known.status.success() && text.contains("0  live conversations"), "{text}");
    let stranger = command(&check).args(["--ca", &ca]).output().expect("the program runs");
    assert_eq!(stranger.status.code(), Some(1), "it shows no certificate");
    let distrustful = command(&check).output().expect("the program runs");
    assert!(String::from_utf8_lossy(&distrustful.stderr).contains("certificate"), "the authority is nobody's");
    let without_use = command(&["check", &file, "--ca", &ca]).output().expect("the program runs");
    assert_eq!(without_use.status.code(), Some(2), "nobody is asked");

    let out = folder.path().join("capture").display().to_string();
    let capture = command(&["capture", "--limit", "1", "--out", &out, "--admin", &admin]).args(own).spawn();
    let capture = capture.expect("the program runs");
    eventually("it captures", || castile.gateway.captures.running().is_some());
    assert_eq!(castile.ask(post("", envelope("", "<x/>"))).status(), 200);
    let done = capture.wait_with_output().expect("it ends by its limit");
    assert!(String::from_utf8_lossy(&done.stdout).contains("1 exchanges"), "{done:?}");
}
