//! Files that change while the gateway runs: taken over by themselves, certificates and revocation lists among them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::support::process::Process;
use crate::support::soap::post;
use crate::support::tls::Authority;
use crate::support::{Castile, Node, Peer, config, eventually, ok};

const ADMIN: &str = "admin: {address: '127.0.0.1:0'}\naccess_log: none\n";

/// What a running program says on its listener `public`, and by its admin API.
struct Program {
    process: Process,
    address: SocketAddr,
}

impl Program {
    fn start(file: &Path) -> Self {
        let process = Process::run(file, &[]);
        Self { address: process.address("public"), process }
    }

    fn serves(&self, text: &str) -> bool {
        Peer::connect(self.address).ask(post("", "<x/>")).text() == text
    }

    fn admin(&self, path: &str) -> (u16, String) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = Peer::connect(self.process.admin()).ask(request);
        (answer.status(), answer.text())
    }
}

/// A folder as Kubernetes mounts a ConfigMap: what is in it leads through one link, which is swapped.
fn swap(folder: &Path, version: &str, yaml: &str) -> PathBuf {
    use std::os::unix::fs::symlink;
    std::fs::create_dir(folder.join(version)).expect("a folder can be made");
    std::fs::write(folder.join(version).join("castile.yaml"), yaml).expect("a file can be written");
    symlink(version, folder.join("..tmp")).expect("a link can be made");
    std::fs::rename(folder.join("..tmp"), folder.join("..data")).expect("it can be renamed");
    let file = folder.join("castile.yaml");
    if !file.exists() {
        symlink("..data/castile.yaml", &file).expect("a link can be made");
    }
    file
}

#[test]
fn a_changed_file_is_taken_over_and_a_bad_one_changes_nothing() {
    let [one, two, three] = ["one", "two", "three"].map(|text| Node::answering(move |_| ok("", text)));
    let folder = tempfile::tempdir().expect("a folder can be made");
    let yaml = |node: &Node| config(&[node], "") + ADMIN + "reload: {watch: true}\n";
    let file = swap(folder.path(), "..1", &yaml(&one));
    let program = Program::start(&file);
    let mut kept = Peer::connect(program.address);
    assert_eq!(kept.ask(post("", "<x/>")).text(), "one");
    swap(folder.path(), "..2", &yaml(&two));
    eventually("the swapped link is followed", || program.serves("two"));
    assert_eq!(kept.ask(post("", "<x/>")).text(), "two", "connections that stand go on");
    swap(folder.path(), "..3", "listeners: nonsense\n");
    eventually("the refusal is told", || {
        let (status, text) = program.admin("/ready");
        assert_eq!(status, 200, "what runs goes on");
        text.contains("the last reload was refused") && text.contains("castile.yaml")
    });
    assert!(program.serves("two"));
    assert!(program.admin("/metrics").1.contains("castile_reloads_refused_total 1\n"));
    swap(folder.path(), "..4", &yaml(&three));
    eventually("the good one is taken over", || program.serves("three"));
    assert!(!program.admin("/ready").1.contains("refused"));
}

#[test]
fn readiness_fails_at_sigterm_and_serving_goes_on_for_the_delay() {
    let node = Node::answering(|_| ok("", "served"));
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("castile.yaml");
    let yaml = config(&[&node], "").replace("127.0.0.1:0'", "127.0.0.1:0', health_path: /up")
        + ADMIN
        + "shutdown: {delay: 1h}\n";
    std::fs::write(&file, yaml).expect("a file can be written");
    let program = Program::start(&file);
    let up = || Peer::connect(program.address).ask("GET /up HTTP/1.1\r\nHost: h\r\n\r\n").status();
    assert_eq!((program.admin("/ready").0, up()), (200, 200));
    program.process.signal("TERM");
    eventually("readiness says no", || program.admin("/ready").0 == 503);
    assert_eq!(up(), 503);
    assert_eq!(program.admin("/live").0, 200);
    for _ in 0..3 {
        assert!(program.serves("served"), "serving goes on, on new connections too");
    }
}

#[test]
fn certificates_and_revocations_are_read_anew_and_connections_go_on() {
    let (old, partners) = (Authority::new("old"), Authority::new("partners"));
    let (first, renewed) = (old.sign("gw.test"), Authority::new("new"));
    let (good, bad) = (partners.sign("good"), partners.sign("bad"));
    let node = Node::answering(|_| ok("", "served"));
    let list = partners.revoke(&[]);
    let yaml = config(&[&node], "").replacen(
        "address: '127.0.0.1:0'",
        &format!(
            "address: '127.0.0.1:0', tls: {{certificate: '{}', key: '{}', client_ca: '{}', client_crl: '{}', client_auth: required}}",
            first.certificate.display(),
            first.key.display(),
            partners.file().display(),
            list.display()
        ),
        1,
    );
    let mut castile = Castile::start(&yaml);
    let address = castile.address("public");
    let mut kept = connect(&old, address, &bad);
    assert_eq!(kept.ask(post("", "<x/>")).text(), "served");
    let second = renewed.sign("gw.test");
    std::fs::copy(&second.certificate, &first.certificate).expect("a file can be written");
    std::fs::copy(&second.key, &first.key).expect("a file can be written");
    partners.revoke(&[&bad]);
    castile.reload(&yaml);
    assert_eq!(kept.ask(post("", "<x/>")).text(), "served", "a connection that stands goes on");
    assert_eq!(connect(&renewed, address, &good).ask(post("", "<x/>")).text(), "served");
    let mut refused = connect(&renewed, address, &bad);
    // With TLS 1.3 the client learns only by the answer that it was refused.
    let _ = refused.try_send(post("", "<x/>"));
    assert!(!refused.rest().starts_with(b"HTTP/"), "revoked");
}

/// A client that trusts one authority and shows a certificate of another.
fn connect(trusts: &Authority, address: SocketAddr, shows: &crate::support::tls::Identity) -> Peer {
    trusts.connect(address, "gw.test", Some(shows))
}
