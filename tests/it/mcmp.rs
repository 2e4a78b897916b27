//! Nodes that introduce themselves by the mod_cluster protocol, as Tomcat and WildFly do.

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::soap::{AXIS2, envelope, group_id, login_node, post, served_by};
use crate::support::tls::Authority;
use crate::support::{Castile, Message, Node, Peer, eventually, refusing_address};

/// A gateway that listens for nodes there, and what follows in its upstream.
fn yaml(mcmp: &str, upstream: &str) -> String {
    format!(
        "listeners: [{{name: public, address: '127.0.0.1:0'}}]\nroutes: [{{path: /fixed, upstream: app}}]\n\
         mcmp: {mcmp}\nadmin: {{address: '127.0.0.1:0'}}\n\
         upstreams:\n  app:\n    discovery: [{{mcmp: {{}}}}]\n    {AXIS2}\n    {upstream}\n"
    )
}

/// An address that nobody else has by now: the socket that held it is closed.
fn free_address() -> SocketAddr {
    refusing_address().1
}

/// A gateway and a node's connection to it.
struct Stage {
    castile: Castile,
    address: SocketAddr,
    peer: Peer,
}

impl Stage {
    fn start(more: &str) -> Self {
        let address = free_address();
        let castile = Castile::start(&yaml(&format!("{{address: '{address}', use_alias: false}}"), more));
        eventually("it listens for nodes", || std::net::TcpStream::connect(address).is_ok());
        Self { castile, address, peer: Peer::connect(address) }
    }

    fn say(&mut self, line: &str) -> Message {
        say(&mut self.peer, line)
    }

    /// What must be answered with an empty 200, and with `Requests` of a stop.
    fn good(&mut self, line: &str) -> String {
        let answer = self.say(line);
        assert_eq!(answer.status(), 200, "{line}: {}", answer.text());
        answer.text()
    }

    /// A node of this route with these contexts.
    fn introduce(&mut self, route: &str, node: &Node, contexts: &[&str]) {
        let url = node.url();
        let port = url.rsplit(':').next().expect("a port");
        self.good(&format!("CONFIG / JVMRoute={route}&Host=127.0.0.1&Port={port}&Type=http&StickySessionForce=No"));
        for context in contexts {
            self.good(&format!("ENABLE-APP / JVMRoute={route}&Alias=lab.example&Context={context}"));
        }
        self.good(&format!("STATUS / JVMRoute={route}&Load=100"));
    }

    fn ask(&self, path: &str, fields: &str, header: &str) -> Message {
        let request = String::from_utf8(post(fields, envelope(header, "<x/>"))).expect("text");
        let line_end = request.find("\r\n").expect("a line");
        self.castile.ask(format!("POST {path} HTTP/1.1{}", &request[line_end..]))
    }

    /// Begins a session: its id and its node.
    fn login(&self, path: &str) -> (String, usize) {
        let answer = self.ask(path, "X-Login: yes\r\n", "");
        let text = answer.text();
        let id = text.split("axis2\">").nth(1).and_then(|rest| rest.split('<').next()).expect("an id");
        (id.to_owned(), served_by(&answer))
    }

    /// `name:state` of the nodes.
    fn nodes(&self) -> String {
        let answer = self.castile.ask_admin("GET /v1/nodes HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let nodes: Value = serde_json::from_str(&answer.text()).expect("JSON");
        let word = |node: &Value| {
            format!("{}:{}", node["node"].as_str().unwrap_or("-"), node["state"].as_str().unwrap_or("-"))
        };
        nodes.as_array().expect("a list").iter().map(word).collect::<Vec<_>>().join(" ")
    }
}

fn say(peer: &mut Peer, line: &str) -> Message {
    let words: Vec<_> = line.splitn(3, ' ').collect();
    let body = words.get(2).unwrap_or(&"");
    peer.ask(format!(
        "{} {} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\nUser-Agent: ClusterListener/1.0\r\nConnection: Keep-Alive\r\n\r\n{body}",
        words[0],
        words[1],
        body.len()
    ))
}

#[test]
fn contexts_become_routes_and_are_drained_one_by_one() {
    let servers = [0, 1].map(login_node);
    let mut stage = Stage::start("");
    assert_eq!(stage.ask("/ws/x", "", "").status(), 404);
    stage.introduce("node0", &servers[0], &["/ws", "/other"]);
    stage.introduce("node1", &servers[1], &["/ws"]);
    assert_eq!(stage.nodes(), "node0:ready node1:ready");
    assert_eq!([stage.ask("/wsx", "", "").status(), stage.ask("/", "", "").status()], [404, 404]);
    let reached: Vec<_> = (0..8).map(|_| served_by(&stage.ask("/ws/x?y", "", ""))).collect();
    assert!(reached.contains(&0) && reached.contains(&1), "{reached:?}");
    assert!((0..4).all(|_| served_by(&stage.ask("/other", "", "")) == 0));
    let (id, node) =
        std::iter::repeat_with(|| stage.login("/ws")).find(|(_, node)| *node == 0).expect("it comes round");
    stage.good("DISABLE-APP / JVMRoute=node0&Alias=lab.example&Context=/ws");
    for _ in 0..4 {
        assert_eq!(served_by(&stage.ask("/ws", "", "")), 1, "nothing new");
        assert_eq!(served_by(&stage.ask("/ws", "", &group_id(&id))), node, "its conversation goes on there");
        assert_eq!(served_by(&stage.ask("/other", "", "")), 0, "another context");
    }
    assert!(stage.good("STOP-APP / JVMRoute=node0&Alias=lab.example&Context=/ws").ends_with("&Requests=0"));
    assert!(stage.ask("/ws", "", &group_id(&id)).text().contains("SessionLost"), "it is stopped there");
    stage.good("REMOVE-APP / JVMRoute=node0&Alias=lab.example&Context=/ws");
    stage.good("REMOVE-APP /* JVMRoute=node0");
    assert_eq!(stage.ask("/other", "", "").status(), 404);
    assert_eq!(stage.nodes(), "node1:ready node0:drain", "it is drained while it has a conversation");
    stage.good("REMOVE-APP /* JVMRoute=node1");
    assert_eq!(stage.nodes(), "node0:drain", "who takes its leave may be the last to go");
}

#[test]
fn a_node_is_drained_as_a_whole() {
    let servers = [0, 1].map(login_node);
    let mut stage = Stage::start("");
    stage.introduce("node0", &servers[0], &["/"]);
    stage.introduce("node1", &servers[1], &["/"]);
    let (id, node) = stage.login("/ws");
    stage.good(&format!("DISABLE-APP /* JVMRoute=node{node}"));
    assert!(stage.nodes().contains(&format!("node{node}:drain")));
    for _ in 0..4 {
        assert_eq!(served_by(&stage.ask("/ws", "", "")), 1 - node);
        assert_eq!(served_by(&stage.ask("/fixed", "", "")), 1 - node, "a route of the file");
        assert_eq!(served_by(&stage.ask("/ws", "", &group_id(&id))), node);
    }
    stage.good(&format!("ENABLE-APP /* JVMRoute=node{node}"));
    assert_eq!(stage.nodes(), "node0:ready node1:ready");
    // A load of nothing: only where nobody else is left.
    stage.good(&format!("STATUS / JVMRoute=node{node}&Load=0"));
    assert!((0..6).all(|_| served_by(&stage.ask("/ws", "", "")) == 1 - node));
    stage.good(&format!("DISABLE-APP /* JVMRoute=node{}", 1 - node));
    assert!((0..6).all(|_| served_by(&stage.ask("/ws", "", "")) == node));
}

#[test]
fn a_node_that_is_not_known_introduces_itself_again() {
    let mut stage = Stage::start("");
    let answer = stage.say("STATUS / JVMRoute=node0&Load=5");
    let fields = ["Version", "Type", "Mess"].map(|name| answer.field(name).unwrap_or_default());
    assert_eq!(answer.status(), 500);
    assert_eq!(fields, ["0.2.1", "MEM", "MEM: Can't read node"]);
    assert!(
        answer.lines().iter().any(|line| line.starts_with("Type: ")),
        "as the stock client expects: {:?}",
        answer.lines()
    );
    let node = login_node(0);
    stage.introduce("node0", &node, &["/ws"]);
    let status = stage.good("STATUS / JVMRoute=node0&Load=5");
    assert!(status.starts_with("Type=STATUS-RSP&JVMRoute=node0&State=OK&id="), "{status}");
    assert!(stage.good("INFO /").contains("Context: [1:1:1], Context: /ws, Status: ENABLED"));
    assert_eq!(stage.say("CONFIG / JVMRoute=n&Host=h&Port=1&Type=ajp").field("Type").as_deref(), Some("SYNTAX"));
    assert_eq!(stage.say("GET /").status(), 501);
}

#[test]
fn a_reload_keeps_who_has_introduced_itself() {
    let node = login_node(0);
    let mut stage = Stage::start("");
    stage.introduce("node0", &node, &["/ws"]);
    let yaml = yaml(&format!("{{address: '{}', use_alias: true}}", stage.address), "");
    stage.castile.reload(&yaml);
    assert_eq!(stage.nodes(), "node0:ready");
    assert_eq!(stage.ask("/ws", "", "").status(), 404, "now the alias has to fit");
    let request = "POST /ws HTTP/1.1\r\nHost: LAB.example:80\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(served_by(&stage.castile.ask(request)), 0);
    stage.good("STATUS / JVMRoute=node0&Load=5");
}

#[test]
fn only_who_shows_a_certificate_speaks() {
    let authority = Authority::new("nodes");
    let (server, client) = (authority.sign("localhost"), authority.sign("node"));
    let address = free_address();
    let tls = format!(
        "{{certificate: {}, key: {}, client_ca: {}, client_auth: required}}",
        server.certificate.display(),
        server.key.display(),
        authority.file().display()
    );
    let castile = Castile::start(&yaml(&format!("{{address: '{address}', tls: {tls}}}"), ""));
    eventually("it listens for nodes", || std::net::TcpStream::connect(address).is_ok());
    let mut node = authority.connect(address, "localhost", Some(&client));
    assert_eq!(say(&mut node, "INFO /").status(), 200);
    let mut stranger = authority.connect(address, "localhost", None);
    assert!(stranger.try_send("INFO / HTTP/1.1\r\nHost: h\r\n\r\n").is_err() || stranger.head().is_none());
    drop(castile);
}
