//! A gateway is replaced by its successor while clients talk to it: nobody notices.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::process::{Process, signal};
use crate::support::soap::{AXIS2, CLIENT_ISSUED, client_id, envelope, group_id, login_node, post, served_by};
use crate::support::{Castile, Event, Message, Node, Peer, config, eventually, ok};

/// A folder with a configuration.
pub struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    pub fn new(yaml: &str) -> Self {
        let site = Self { folder: tempfile::tempdir().expect("a folder can be made") };
        site.write(yaml);
        site
    }

    /// Another configuration from now on.
    pub fn write(&self, yaml: &str) {
        let workers = if yaml.contains("workers:") { "" } else { "workers: 2\n" };
        let admin = if yaml.contains("admin:") { "" } else { "admin: {address: '127.0.0.1:0'}\n" };
        let handover = if yaml.contains("handover:") { "" } else { "handover: {socket: control}\n" };
        let yaml = format!("{workers}{yaml}\n{admin}{handover}access_log: none\n");
        std::fs::write(self.file(), yaml).expect("a file can be written");
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("castile.yaml")
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("control")
    }

    /// An ordinary start.
    pub fn run(&self) -> Process {
        let process = Process::run(&self.file(), &[]);
        process.line(&["a new process can take over"]);
        process
    }

    /// A successor of this process, which accepts no more when this returns.
    pub fn succeed(&self, old: &Process) -> Process {
        let process = Process::run(&self.file(), &["--take-over"]);
        process.line(&["a new process can take over"]);
        old.line(&["handed over;"]);
        process
    }
}

/// A client as SOAP stacks are: it keeps its connection as long as it may, and begins another one otherwise.
pub struct Client {
    pub address: SocketAddr,
    pub peer: Option<Peer>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, peer: None }
    }

    /// Sends a request and reads its answer. Panics where none comes: it was lost then.
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Message {
        let mut peer = self.peer.take().unwrap_or_else(|| Peer::connect(self.address));
        let answer = peer.ask(request);
        if answer.field("connection").as_deref() != Some("close") {
            self.peer = Some(peer);
        }
        answer
    }

    /// Closes the connection that it keeps.
    pub fn forget(&mut self) {
        self.peer = None;
    }
}

pub fn use_id(id: &str) -> Vec<u8> {
    post("", envelope(&group_id(id), "<x/>"))
}

/// A session of its own, learnt from the node's answer: its id and its node.
pub fn login(client: &mut Client) -> (String, usize) {
    let answer = client.ask(post("X-Login: yes\r\n", envelope("", "<login/>")));
    let text = answer.text();
    let id = text.split("axis2\">").nth(1).and_then(|rest| rest.split('<').next());
    (id.unwrap_or_else(|| panic!("no id in {text}")).to_owned(), served_by(&answer))
}

pub fn three() -> [Node; 3] {
    [0, 1, 2].map(login_node)
}

pub fn yaml(nodes: &[Node], settings: &str) -> String {
    config(&nodes.iter().collect::<Vec<_>>(), settings)
}

/// Clients that begin conversations and go on with them for as long as `run` takes. Each answer must come from the node of
/// its conversation. How many requests there were.
fn under_load(address: SocketAddr, settings: &str, run: impl FnOnce()) -> usize {
    let (over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let is_learnt = settings == AXIS2;
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (over, count) = (&over, &count);
            scope.spawn(move || {
                let mut client = Client::new(address);
                let mut old: Vec<(Vec<u8>, usize)> = Vec::new();
                let mut round = 0;
                while !over.load(Ordering::SeqCst) {
                    round += 1;
                    let (request, node) = if is_learnt {
                        let (id, node) = login(&mut client);
                        (use_id(&id), node)
                    } else {
                        let request = post("", envelope(&client_id(&format!("{thread}-{round}")), "<x/>"));
                        let node = served_by(&client.ask(&request));
                        (request, node)
                    };
                    // At once on another connection, which may be the other process's.
                    let mut other = Client::new(address);
                    assert_eq!(served_by(&other.ask(&request)), node, "moved at once");
                    old.push((request, node));
                    for (request, node) in old.iter().rev().take(4) {
                        assert_eq!(served_by(&client.ask(request)), *node, "moved");
                    }
                    if round % 3 == 0 {
                        client.forget();
                    }
                    count.fetch_add(6, Ordering::SeqCst);
                }
                for (request, node) in &old {
                    assert_eq!(served_by(&client.ask(request)), *node, "moved in the end");
                }
            });
        }
        // Whatever happens, the clients end.
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let _end = End(&over);
        run();
    });
    count.into_inner()
}

fn several_in_a_row(settings: &str) {
    let nodes = three();
    let site = Site::new(&yaml(&nodes, settings));
    let mut process = site.run();
    let address = process.address("public");
    let count = under_load(address, settings, || {
        for workers in [1, 3, 2] {
            site.write(&format!("workers: {workers}\n{}", yaml(&nodes, settings)));
            let next = site.succeed(&process);
            assert_eq!(next.address("public"), address);
            assert!(process.ended().success(), "{}", process.log());
            process = next;
        }
    });
    assert!(count > 50, "{count} requests are no load");
}

#[test]
fn learnt_conversations_stay_through_hand_overs_in_a_row() {
    several_in_a_row(AXIS2);
}

#[test]
fn client_made_conversations_stay_through_hand_overs_in_a_row() {
    several_in_a_row(CLIENT_ISSUED);
}

/// How often a commit took longer than somebody waits, as happens where the disk is busy. It has told of nothing worse.
fn late_commits(process: &Process) -> usize {
    let log = process.log();
    let (late, worse): (Vec<_>, Vec<_>) =
        log.lines().filter(|line| line.contains("ERROR")).partition(|line| line.contains("a commit takes too long"));
    assert!(worse.is_empty(), "{log}");
    late.len()
}

#[test]
fn conversations_stay_with_a_store_that_is_handed_over_as_well() {
    let nodes = three();
    let store = "affinity: {store: {disk: pins, durability: before_reply}}";
    let with = |settings| format!("{}\n{store}\n", yaml(&nodes, settings));
    let site = Site::new(&with(AXIS2));
    let mut process = site.run();
    let address = process.address("public");
    under_load(address, AXIS2, || {
        for _ in 0..2 {
            let next = site.succeed(&process);
            assert!(process.ended().success(), "{}", process.log());
            late_commits(&process);
            process = next;
        }
    });
    let mut client = Client::new(address);
    // The one that owns the store now has written it, unless nobody waited for the store then.
    let (id, node) = loop {
        let mut before = 0;
        eventually("the store works", || {
            before = late_commits(&process);
            process.log().matches("the store works again").count() == before
        });
        let session = login(&mut client);
        if late_commits(&process) == before {
            break session;
        }
    };
    process.signal("KILL");
    process.ended();
    let last = site.run();
    let mut client = Client::new(last.address("public"));
    assert_eq!(served_by(&client.ask(use_id(&id))), node);
}

#[test]
fn an_idle_connection_is_served_by_the_old_process_and_ends_with_its_answer() {
    let nodes = three();
    let site = Site::new(&yaml(&nodes, AXIS2));
    let mut old = site.run();
    let address = old.address("public");
    let mut idle = Client::new(address);
    let (id, node) = login(&mut idle);
    let new = site.succeed(&old);
    assert!(old.lives());
    // What the old process binds now, the new one knows; and the other way round.
    let mut fresh = Client::new(address);
    assert_eq!(served_by(&fresh.ask(use_id(&id))), node);
    let (there, there_on) = login(&mut fresh);
    let mut peer = idle.peer.take().expect("it was kept");
    let answer = peer.ask(use_id(&there));
    assert_eq!((served_by(&answer), answer.field("connection").as_deref()), (there_on, Some("close")));
    peer.expect_close();
    assert!(old.ended().success(), "{}", old.log());
    assert!(new.log().contains("conversations=1"), "{}", new.log());
    new.line(&["the process before this one has ended"]);
    for (id, node) in [(&id, node), (&there, there_on)] {
        assert_eq!(served_by(&fresh.ask(use_id(id))), node);
    }
}

#[test]
fn three_processes_in_a_row_know_the_same() {
    let nodes = three();
    let site = Site::new(&yaml(&nodes, AXIS2));
    let mut first = site.run();
    let address = first.address("public");
    let connected = |count| -> Vec<Client> {
        let mut clients: Vec<_> = (0..count).map(|_| Client::new(address)).collect();
        clients.iter_mut().for_each(|client| drop(login(client)));
        clients
    };
    let mut at_first = connected(3);
    let mut second = site.succeed(&first);
    let mut at_second = connected(3);
    let third = site.succeed(&second);
    let mut at_third = connected(1);
    assert!(first.lives() && second.lives());
    // What each binds, the others know at once.
    let (id, node) = login(&mut at_third[0]);
    assert_eq!(served_by(&at_first[0].ask(use_id(&id))), node);
    assert_eq!(served_by(&at_second[0].ask(use_id(&id))), node);
    let (id, node) = login(&mut at_second[1]);
    assert_eq!(served_by(&at_third[0].ask(use_id(&id))), node);
    assert_eq!(served_by(&at_first[1].ask(use_id(&id))), node);
    // The second one has no connection any more, and goes on for the first one's sake.
    drop(at_second);
    let (id, node) = login(&mut at_first[2]);
    assert_eq!(served_by(&at_third[0].ask(use_id(&id))), node);
    assert!(first.ended().success() && second.ended().success());
    assert_eq!(served_by(&at_third[0].ask(use_id(&id))), node);
    assert!(!third.log().contains("without a word"), "{}", third.log());
}

#[test]
fn a_request_under_way_is_answered_and_what_it_teaches_is_known() {
    let (arrived, may_answer) = (Event::new(), Event::new());
    let (come, go) = (arrived.clone(), may_answer.clone());
    let slow = Node::answering(move |request| {
        if request.field("x-login").is_some() {
            come.happen();
            go.wait();
        }
        let header = crate::support::soap::reply_to("urn:uuid:late");
        ok("Content-Type: text/xml\r\nX-Node: 0\r\n", envelope(&header, "<ok/>"))
    });
    let plain = login_node(1);
    let site = Site::new(&config(&[&slow, &plain], AXIS2));
    let mut old = site.run();
    let address = old.address("public");
    let mut clients: Vec<Peer> = (0..2).map(|_| Peer::connect(address)).collect();
    for client in &mut clients {
        // One of the two reaches the slow node.
        client.send(post("X-Login: yes\r\n", envelope("", "<login/>")));
    }
    arrived.wait();
    let _new = site.succeed(&old);
    assert!(old.lives());
    may_answer.happen();
    for mut client in clients {
        let answer = client.answer();
        assert_eq!(answer.status(), 200);
    }
    let mut fresh = Client::new(address);
    for _ in 0..4 {
        assert_eq!(served_by(&fresh.ask(use_id("urn:uuid:late"))), 0);
    }
    assert!(old.ended().success(), "{}", old.log());
}

#[test]
fn a_signal_starts_the_successor() {
    let nodes = three();
    let site = Site::new(&yaml(&nodes, AXIS2));
    let mut old = site.run();
    let address = old.address("public");
    let mut client = Client::new(address);
    let (id, node) = login(&mut client);
    client.forget();
    old.signal("USR2");
    let pid: u32 = old
        .line(&["a successor was started"])
        .split("pid=")
        .nth(1)
        .and_then(|pid| pid.trim().parse().ok())
        .expect("a process id");
    old.line(&["handed over"]);
    // Its log goes on where the old one's went, and it outlives its parent.
    old.line(&["taken over;"]);
    assert!(old.ended().success());
    assert_eq!(served_by(&client.ask(use_id(&id))), node);
    signal(pid, "TERM");
    eventually("the successor ends", || std::net::TcpStream::connect(address).is_err());
}

/// The old process goes on as if nothing had happened.
fn expect_unchanged(old: &mut Process, client: &mut Client, id: &str, node: usize) {
    assert!(old.lives(), "{}", old.log());
    assert_eq!(served_by(&client.ask(use_id(id))), node);
    assert_eq!(served_by(&Client::new(client.address).ask(use_id(id))), node);
    assert!(client.peer.is_some(), "its connection goes on");
}

#[test]
fn a_successor_that_fails_changes_nothing() {
    let nodes = three();
    let good = yaml(&nodes, AXIS2);
    let site = Site::new(&good);
    let mut old = site.run();
    let mut client = Client::new(old.address("public"));
    let (id, node) = login(&mut client);

    site.write("listeners: nonsense");
    assert!(!Process::run(&site.file(), &["--take-over"]).ended().success());
    expect_unchanged(&mut old, &mut client, &id, node);

    // It cannot bind what it has in addition.
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let also = format!(
        "listeners: [{{name: public, address: '127.0.0.1:0'}}, {{name: more, address: '{}'}}]",
        taken.local_addr().expect("bound")
    );
    site.write(&good.replace("listeners: [{name: public, address: '127.0.0.1:0'}]", &also));
    let mut failed = Process::run(&site.file(), &["--take-over"]);
    failed.line(&["cannot listen on"]);
    assert!(!failed.ended().success());
    old.line(&["hand-over failed", "ended before it was ready"]);
    expect_unchanged(&mut old, &mut client, &id, node);

    // It asks for another secret.
    site.write(&format!("{good}\naffinity: {{fingerprint_key: something else entirely}}"));
    let mut failed = Process::run(&site.file(), &["--take-over"]);
    failed.line(&["refused to hand over", "affinity.fingerprint_key differs"]);
    assert!(!failed.ended().success());
    old.nth_line(&["hand-over failed", "fingerprint_key"], 0);
    expect_unchanged(&mut old, &mut client, &id, node);

    // And the next one may.
    site.write(&good);
    let new = site.succeed(&old);
    client.ask(use_id(&id));
    assert!(old.ended().success());
    assert_eq!(served_by(&client.ask(use_id(&id))), node);
    drop(new);
}

/// Talks to the socket by itself.
pub fn raw(socket: &Path, bytes: &[u8]) -> std::os::unix::net::UnixStream {
    use std::io::Write;
    let mut stream = std::os::unix::net::UnixStream::connect(socket).expect("it listens");
    stream.set_read_timeout(Some(crate::support::PATIENCE)).expect("a timeout can be set");
    stream.write_all(bytes).expect("there is room");
    stream
}

/// What was answered, as far as it is text.
fn answer(mut stream: std::os::unix::net::UnixStream) -> String {
    use std::io::Read;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A greeting of this version of the protocol.
fn hello(version: u8) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 22 + 1, 1, 0, version, 0, 1, b'x', 0];
    bytes.extend_from_slice(&[0; 16]);
    bytes
}

#[test]
fn strangers_second_ones_and_other_versions_are_refused() {
    let nodes = three();
    let site = Site::new(&yaml(&nodes, AXIS2));
    let mut old = site.run();
    let mut client = Client::new(old.address("public"));
    let (id, node) = login(&mut client);
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(site.socket()).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    assert!(
        answer(raw(&site.socket(), &hello(9))).contains("speaks version 1 of the hand-over, the new one version 9")
    );
    old.nth_line(&["hand-over failed"], 0);
    drop(answer(raw(&site.socket(), b"GET / HTTP/1.1\r\n\r\n")));
    old.nth_line(&["hand-over failed"], 1);
    expect_unchanged(&mut old, &mut client, &id, node);

    let first = raw(&site.socket(), &hello(1));
    old.line(&["a new process takes over"]);
    assert!(answer(raw(&site.socket(), &hello(1))).contains("another hand-over is under way"));
    drop(first);
    old.nth_line(&["hand-over failed"], 2);
    expect_unchanged(&mut old, &mut client, &id, node);
}

#[test]
fn nobody_there_is_an_ordinary_start() {
    let nodes = three();
    let site = Site::new(&yaml(&nodes, AXIS2));
    // What a process that was killed leaves behind.
    drop(std::os::unix::net::UnixListener::bind(site.socket()).expect("a free name"));
    let mut process = Process::run(&site.file(), &["--take-over"]);
    process.line(&["nobody to take over from"]);
    process.line(&["a new process can take over"]);
    login(&mut Client::new(process.address("public")));
    // A second one with the same socket cannot be taken over from, and does not take the socket away.
    let second = Process::run(&site.file(), &[]);
    second.line(&["another gateway listens there"]);
    process.signal("TERM");
    assert!(process.ended().success());
    assert!(!site.socket().exists(), "it cleans up behind itself");
}

#[test]
fn listeners_come_and_go() {
    let nodes = three();
    let two = |names: [&str; 2]| {
        let listeners = names.map(|name| format!("{{name: {name}, address: '127.0.0.{}:0'}}", name.len())).join(", ");
        yaml(&nodes, AXIS2).replace("[{name: public, address: '127.0.0.1:0'}]", &format!("[{listeners}]"))
    };
    // Addresses are told apart by the length of their names.
    let site = Site::new(&two(["public", "aa"]));
    let mut old = site.run();
    let (kept, gone) = (old.address("public"), old.address("aa"));
    let mut on_gone = Client::new(gone);
    let (id, node) = login(&mut on_gone);
    site.write(&two(["public", "bbb"]));
    let new = site.succeed(&old);
    assert_eq!(new.address("public"), kept);
    for address in [kept, new.address("bbb")] {
        assert_eq!(served_by(&Client::new(address).ask(use_id(&id))), node);
    }
    // Who is connected is served; nobody else connects.
    assert_eq!(served_by(&on_gone.ask(use_id(&id))), node);
    assert!(old.ended().success());
    assert!(std::net::TcpStream::connect(gone).is_err());
}

#[test]
fn the_admin_listener_and_what_the_operator_wants_go_over() {
    let nodes = three();
    let site = Site::new(&yaml(&nodes, AXIS2));
    let mut old = site.run();
    let admin = old.admin();
    let ask = |request: &str| {
        Peer::connect(admin).ask(format!("{request} HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\n\r\n"))
    };
    assert_eq!(ask("POST /v1/nodes/app/n1/drain").status(), 200);
    let mut idle = Client::new(old.address("public"));
    login(&mut idle);
    let new = site.succeed(&old);
    let nodes = ask("GET /v1/nodes").text();
    assert!(nodes.contains("\"node\":\"n1\",") && nodes.contains("\"state\":\"drain\""), "{nodes}");
    assert!(ask("GET /metrics").text().contains("castile_taken_over_conversations 1"));
    // What the operator wants now, the old process heeds as well.
    assert_eq!(ask("POST /v1/nodes/app/n2/maint").status(), 200);
    old.line(&["administrative state", "n2", "Maint"]);
    idle.ask(post("", envelope("", "<x/>")));
    assert!(old.ended().success());
    drop(new);
}

#[test]
fn connections_of_http_2_are_told_to_go_and_their_streams_finish() {
    let (asked, may_answer) = (Event::new(), Event::new());
    let (came, go) = (asked.clone(), may_answer.clone());
    let node = Node::answering(move |_| {
        came.happen();
        go.wait();
        ok("", "finished")
    });
    let mut castile = Castile::start(&config(&[&node], ""));
    let address = castile.address("public");
    let waiting = std::thread::spawn(move || {
        let client = crate::http2::Client::connect(address);
        let answer = client.ask(&[], "<x/>");
        // The connection stays open from this end.
        (answer.text(), client)
    });
    asked.wait();
    let idle = crate::http2::Client::connect(address);
    eventually("both are connected", || castile.connections() == 2);
    castile.retire();
    may_answer.happen();
    let (text, client) = waiting.join().expect("an answer");
    assert_eq!(text, "finished");
    let rest = [client, idle].map(|client| std::thread::spawn(move || client.serve_until_closed()));
    eventually("both connections end", || castile.connections() == 0);
    rest.into_iter().for_each(|thread| thread.join().expect("it ends"));
}

/// Runs the gateway with this socket as descriptor 3, as a service manager does.
fn socket_activated(site: &Site, socket: std::net::TcpListener, notify: &Path) -> Process {
    let mut command = std::process::Command::new("sh");
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_castile"), "run", "--config"]);
    command.arg(site.file()).env("NOTIFY_SOCKET", notify);
    command.stdin(std::process::Stdio::from(std::os::fd::OwnedFd::from(socket))).stderr(std::process::Stdio::piped());
    Process::spawn(command)
}

#[test]
fn a_service_manager_passes_sockets_and_hears_how_it_goes() {
    let nodes = three();
    let socket = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = socket.local_addr().expect("bound");
    let site = Site::new(&yaml(&nodes, AXIS2).replace("address: '127.0.0.1:0'", &format!("address: '{address}'")));
    let path = site.folder.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).expect("a free name");
    manager.set_read_timeout(Some(crate::support::PATIENCE)).expect("a timeout can be set");
    let told = || {
        let mut bytes = [0; 200];
        let count = manager.recv(&mut bytes).expect("it tells");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    // Somebody connects before anybody serves.
    let early = Client { address, peer: Some(Peer::connect(address)) };
    let mut old = socket_activated(&site, socket.try_clone().expect("descriptors are left"), &path);
    assert!(told().starts_with("READY=1\nMAINPID="));
    let mut early = early;
    let (id, node) = login(&mut early);
    old.line(&["a new process can take over"]);
    old.signal("USR2");
    old.line(&["handed over;"]);
    let both = [told(), told()];
    assert!(both.iter().any(|text| text.starts_with("MAINPID=")), "{both:?}");
    assert!(both.iter().any(|text| text.starts_with("READY=1")), "{both:?}");
    assert_eq!(served_by(&early.ask(use_id(&id))), node);
    assert!(old.ended().success());
    assert_eq!(served_by(&early.ask(use_id(&id))), node);
    let line = old.line(&["a successor was started"]);
    signal(line.split("pid=").nth(1).and_then(|pid| pid.trim().parse().ok()).expect("a process id"), "TERM");
    assert_eq!(told(), "STOPPING=1");
    drop(socket);
}

/// Who announced itself to the old process is a node of the new one from its first request on, with its conversations.
#[test]
fn found_nodes_go_over() {
    let nodes = three();
    let mcmp = crate::support::refusing_address().1;
    let yaml = config(&[], &format!("discovery: [{{register: {{}}}}, {{mcmp: {{}}}}]\n{AXIS2}"))
        + &format!("mcmp: {{address: '{mcmp}', use_alias: false}}\n");
    let site = Site::new(&yaml);
    let old = site.run();
    let body = format!("{{\"url\": \"{}\", \"ttl\": \"1h\"}}", nodes[0].url());
    let put = format!(
        "PUT /v1/upstreams/app/nodes/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(Peer::connect(old.admin()).ask(put).status(), 200);
    let url = nodes[1].url();
    let port = url.rsplit(':').next().expect("a port");
    let mut node = Peer::connect(mcmp);
    let mut say = |method: &str, body: &str| {
        let length = body.len();
        node.ask(format!("{method} / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")).status()
    };
    assert_eq!(say("CONFIG", &format!("JVMRoute=b&Host=127.0.0.1&Port={port}&Type=http")), 200);
    assert_eq!(say("ENABLE-APP", "JVMRoute=b&Context=/"), 200);
    let mut client = Client::new(old.address("public"));
    let sessions: Vec<_> = (0..4).map(|_| login(&mut client)).collect();
    let _new = site.succeed(&old);
    client.forget();
    for (id, node) in &sessions {
        assert_eq!(served_by(&client.ask(use_id(id))), *node);
    }
    let shown = Peer::connect(old.admin()).ask("GET /v1/nodes HTTP/1.1\r\nHost: localhost\r\n\r\n").text();
    assert!(shown.contains("\"source\":\"register\"") && shown.contains("\"source\":\"mcmp\""), "{shown}");
    let status = || {
        let mut node = Peer::plain(std::net::TcpStream::connect(mcmp).ok()?);
        let body = "JVMRoute=b&Load=1";
        let length = body.len();
        node.try_send(format!("STATUS / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")).ok()?;
        node.head().map(|answer| answer.status())
    };
    eventually("the new process hears nodes, and knows this one", || status() == Some(200));
}
