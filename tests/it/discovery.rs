//! Nodes that come and go by themselves.

use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::Value;

use crate::support::soap::{AXIS2, envelope, group_id, login, login_node, post, served_by};
use crate::support::{Castile, Message, NameServer, Node, Says, config, eventually};

const ADMIN: &str = "\nadmin: {address: '127.0.0.1:0', tokens: [{name: pod, token: pod-token, role: register}, {name: ops, token: ops-token, role: operate}]}\n";

/// An upstream of these nodes and sources.
fn yaml(nodes: &[&Node], discovery: &str, settings: &str) -> String {
    let yaml = config(nodes, &format!("discovery: {discovery}\n{AXIS2}\n{settings}"));
    let yaml = if nodes.is_empty() { yaml.replace("    nodes: []\n", "") } else { yaml };
    yaml + ADMIN
}

fn ask(castile: &Castile, method: &str, path: &str, token: &str, body: &str) -> Message {
    let length = body.len();
    castile.ask_admin(format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
    ))
}

fn read(castile: &Castile, path: &str) -> Value {
    serde_json::from_str(&ask(castile, "GET", path, "ops-token", "").text()).expect("JSON")
}

/// `name:source:state` of the nodes; without a source it has left.
fn nodes(castile: &Castile) -> String {
    let word = |value: &Value| {
        let word = value.as_str().unwrap_or("-");
        word.split_once('/').filter(|_| word.starts_with("file:")).map_or(word, |_| "file:nodes.yaml").to_owned()
    };
    let node = |node: &Value| [&node["node"], &node["source"], &node["state"]].map(word).join(":");
    read(castile, "/v1/nodes").as_array().expect("a list").iter().map(node).collect::<Vec<_>>().join(" ")
}

fn announce(castile: &Castile, name: &str, node: &Node, more: &str) -> u16 {
    let body = format!("{{\"url\": \"{}\"{more}}}", node.url());
    ask(castile, "PUT", &format!("/v1/upstreams/app/nodes/{name}"), "pod-token", &body).status()
}

fn leave(castile: &Castile, name: &str) -> u16 {
    ask(castile, "DELETE", &format!("/v1/upstreams/app/nodes/{name}"), "pod-token", "").status()
}

fn goes_on(castile: &Castile, id: &str) -> Message {
    castile.ask(post("", envelope(&group_id(id), "<x/>")))
}

fn write(file: &Path, nodes: &[(&str, &Node)]) {
    let list: Vec<_> =
        nodes.iter().map(|(name, node)| format!("- {{name: {name}, url: '{}'}}\n", node.url())).collect();
    // As whoever does it well: nobody sees half of it.
    let new = file.with_extension("new");
    std::fs::write(&new, if list.is_empty() { "[]".to_owned() } else { list.concat() }).expect("a file can be written");
    std::fs::rename(new, file).expect("it can be renamed");
}

#[test]
fn registered_nodes_serve_and_leave_with_their_conversations() {
    let servers = [0, 1].map(login_node);
    let castile = Castile::start(&yaml(&[], "[{register: {}}]", ""));
    assert_eq!(castile.ask(post("", "<x/>")).status(), 503);
    assert_eq!([announce(&castile, "n0", &servers[0], ""), announce(&castile, "n1", &servers[1], "")], [200, 200]);
    let (id, node) = login(&castile);
    let name = format!("n{node}");
    assert_eq!(leave(&castile, &name), 200);
    assert_eq!(leave(&castile, &name), 404);
    assert!(nodes(&castile).contains(&format!("{name}:-:drain")), "{}", nodes(&castile));
    for _ in 0..4 {
        assert_eq!(served_by(&goes_on(&castile, &id)), node, "its conversation goes on there");
        assert_eq!(served_by(&castile.ask(post("", envelope("", "<x/>")))), 1 - node);
    }
    assert_eq!(announce(&castile, &name, &servers[node], ""), 200);
    assert!(nodes(&castile).contains(&format!("{name}:register:ready")), "{}", nodes(&castile));
    assert_eq!(served_by(&goes_on(&castile, &id)), node);
}

#[test]
fn what_a_node_may_announce() {
    let servers = [0, 1].map(login_node);
    let castile = Castile::start(&yaml(&[&servers[0]], "[{register: {}}]", ""));
    assert_eq!(announce(&castile, "n0", &servers[1], ""), 409, "the file's name");
    assert_eq!(announce(&castile, "n7", &servers[0], ""), 409, "the file's address");
    assert_eq!(nodes(&castile), "n0:config:ready");
    assert_eq!(announce(&castile, "n1", &servers[1], ", \"wieght\": 1"), 400);
    assert_eq!(announce(&castile, "n%20", &servers[1], ""), 400);
    assert_eq!(ask(&castile, "PUT", "/v1/upstreams/other/nodes/n1", "pod-token", "{}").status(), 404);
    assert_eq!(ask(&castile, "GET", "/v1/nodes", "pod-token", "").status(), 403);
    assert_eq!(ask(&castile, "GET", "/v1/upstreams/app/nodes/n1", "ops-token", "").status(), 405);
    assert_eq!(announce(&castile, "n1", &servers[1], ", \"ttl\": \"1m\""), 200);
    assert_eq!(nodes(&castile), "n0:config:ready n1:register:ready");
    let metrics = ask(&castile, "GET", "/metrics", "ops-token", "").text();
    assert!(metrics.contains("castile_discovery_nodes{upstream=\"app\",source=\"register\"} 1\n"), "{metrics}");
}

#[test]
fn a_node_that_does_not_renew_is_drained_but_the_last_one_stays() {
    let servers = [0, 1].map(login_node);
    let castile = Castile::start(&yaml(&[], "[{register: {}}]", ""));
    assert_eq!(announce(&castile, "n0", &servers[0], ", \"ttl\": \"1h\""), 200);
    assert_eq!(announce(&castile, "n1", &servers[1], ", \"ttl\": \"1s\""), 200);
    eventually("its time is over, and nothing is left of it", || nodes(&castile) == "n0:register:ready");
    assert_eq!(announce(&castile, "n0", &servers[0], ", \"ttl\": \"1s\""), 200);
    eventually("nobody renews any more", || read(&castile, "/v1/discovery")[0]["nodes"] == 0);
    assert_eq!(nodes(&castile), "n0:register:ready", "there is no other");
    assert_eq!(served_by(&castile.ask(post("", envelope("", "<x/>")))), 0);
}

#[test]
fn a_name_that_comes_back_elsewhere_inherits_nothing() {
    let servers = [0, 1, 2].map(login_node);
    let castile = Castile::start(&yaml(&[], "[{register: {}}]", ""));
    let announce = |name: &str, server: usize, more: &str| announce(&castile, name, &servers[server], more);
    assert_eq!(announce("a", 0, ""), 200);
    let (id, _) = login(&castile);
    assert_eq!(announce("a", 1, ""), 200);
    assert!(goes_on(&castile, &id).text().contains("SessionLost"), "another node cannot know the session");
    assert_eq!(nodes(&castile), "a:register:ready");
    // The same one says so itself.
    assert_eq!(announce("a", 1, ", \"identity\": \"pod-7\""), 200);
    let (id, node) = login(&castile);
    assert_eq!(node, 1);
    assert_eq!(announce("a", 2, ", \"identity\": \"pod-7\""), 200);
    assert_eq!(served_by(&goes_on(&castile, &id)), 2, "it has moved");
}

#[test]
fn what_an_operator_said_of_a_node_outlives_its_absence() {
    let servers = [0, 1].map(login_node);
    let castile = Castile::start(&yaml(&[&servers[0]], "[{register: {}}]", ""));
    assert_eq!(announce(&castile, "b", &servers[1], ""), 200);
    assert_eq!(ask(&castile, "POST", "/v1/nodes/app/b/maint", "ops-token", "").status(), 200);
    assert_eq!(leave(&castile, "b"), 200);
    assert_eq!(announce(&castile, "b", &servers[1], ""), 200);
    assert_eq!(nodes(&castile), "n0:config:ready b:register:maint");
}

#[test]
fn a_reload_keeps_what_was_found() {
    let servers = [0, 1].map(login_node);
    let yaml = yaml(&[&servers[0]], "[{register: {}}]", "");
    let mut castile = Castile::start(&yaml);
    assert_eq!(announce(&castile, "b", &servers[1], ""), 200);
    castile.reload(&yaml);
    assert_eq!(nodes(&castile), "n0:config:ready b:register:ready");
    castile.reload(&yaml.replace("discovery: [{register: {}}]", "strict: false"));
    assert_eq!(nodes(&castile), "n0:config:ready");
}

#[test]
fn a_file_is_followed_and_its_last_good_list_holds() {
    let servers = [0, 1, 2].map(login_node);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("nodes.yaml");
    write(&file, &[("a", &servers[0])]);
    let castile = Castile::start(&yaml(&[], &format!("[{{file: '{}'}}]", file.display()), ""));
    assert_eq!(nodes(&castile), "a:file:nodes.yaml:ready", "from the first request on");
    let (id, _) = login(&castile);
    write(&file, &[("b", &servers[1]), ("c", &servers[2])]);
    eventually("the new list is read", || nodes(&castile).starts_with("b:file:nodes.yaml:ready"));
    assert_eq!(nodes(&castile), "b:file:nodes.yaml:ready c:file:nodes.yaml:ready a:-:drain");
    assert_eq!(served_by(&goes_on(&castile, &id)), 0);
    std::fs::write(&file, "- {name: b, url: 'http://b'}\n- {name: c, uri: 'http://c'}\n")
        .expect("a file can be written");
    let failing = || read(&castile, "/v1/discovery")[0]["failing"].as_str().unwrap_or_default().to_owned();
    eventually("it is refused", || failing().contains("nodes.yaml:2:13: "));
    assert!(nodes(&castile).starts_with("b:file:nodes.yaml:ready c:file:nodes.yaml:ready"));
    assert!(
        castile.ask_admin("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n").text().contains("cannot be discovered")
    );
    write(&file, &[]);
    eventually("it is read", || failing().is_empty());
    assert!(nodes(&castile).starts_with("b:file:nodes.yaml:ready c:file:nodes.yaml:ready"), "nothing else is left");
}

/// As Kubernetes mounts a ConfigMap: one link of the folder is swapped.
#[test]
fn a_link_that_leads_to_another_list_is_followed() {
    use std::os::unix::fs::symlink;
    let servers = [0, 1].map(login_node);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = |name: &str| folder.path().join(name);
    for (version, server) in ["..1", "..2"].iter().zip(&servers) {
        std::fs::create_dir(path(version)).expect("a folder can be made");
        write(&path(version).join("nodes.yaml"), &[("a", server)]);
    }
    symlink("..1", path("..data")).expect("a link can be made");
    symlink("..data/nodes.yaml", path("nodes.yaml")).expect("a link can be made");
    let castile = Castile::start(&yaml(&[], &format!("[{{file: '{}'}}]", path("nodes.yaml").display()), ""));
    assert_eq!(served_by(&castile.ask(post("", envelope("", "<x/>")))), 0);
    symlink("..2", path("..tmp")).expect("a link can be made");
    std::fs::rename(path("..tmp"), path("..data")).expect("it can be renamed");
    eventually("the other list is read", || served_by(&castile.ask(post("", envelope("", "<x/>")))) == 1);
}

/// A node that came gets nothing new before its first check has passed; so who serves already is not disturbed.
#[test]
fn a_new_node_is_checked_first() {
    let servers = [0, 1].map(login_node);
    let sick = Node::answering(|_| b"HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\n".to_vec());
    let check = "health: {check: {get: /health, interval: 1s, timeout: 1s}}";
    let castile = Castile::start(&yaml(&[&servers[0]], "[{register: {}}]", check));
    assert_eq!(announce(&castile, "sick", &sick, ""), 200);
    for _ in 0..20 {
        assert_eq!(served_by(&castile.ask(post("", envelope("", "<x/>")))), 0);
    }
    assert_eq!(announce(&castile, "well", &servers[1], ""), 200);
    eventually("a check has passed", || served_by(&castile.ask(post("", envelope("", "<x/>")))) == 1);
}

fn by_name(server: &NameServer, what: &str) -> String {
    format!("[{{dns: {{{what}, servers: ['{}']}}}}]", server.address)
}

fn failing(castile: &Castile) -> String {
    read(castile, "/v1/discovery")[0]["failing"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn addresses_of_a_name_are_nodes_and_its_last_good_answer_holds() {
    let node = login_node(0);
    let names = NameServer::start();
    names.says("orders.test", Says::A(vec![Ipv4Addr::LOCALHOST]));
    let port = node.url().rsplit(':').next().expect("a port").to_owned();
    let castile = Castile::start(&yaml(&[], &by_name(&names, &format!("name: orders.test, port: {port}")), ""));
    let one = format!("127.0.0.1:{port}:dns:orders.test:{port}:ready");
    eventually("it is asked", || nodes(&castile) == one);
    let (id, _) = login(&castile);
    names.says("orders.test", Says::A(vec![Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 9)]));
    let two = format!("{one} {}", one.replace("127.0.0.1", "127.0.0.9"));
    eventually("it is asked again when the time to live is over", || nodes(&castile) == two);
    for (trouble, told) in [
        (Says::Code(3), "no address"),
        (Says::A(Vec::new()), "no address"),
        (Says::Code(2), "failed"),
        (Says::Silence, "failed"),
    ] {
        names.says("orders.test", trouble);
        eventually(told, || failing(&castile).contains(told));
        assert_eq!(nodes(&castile), two, "{told}");
        names.says("orders.test", Says::A(vec![Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 9)]));
        eventually("it works again", || failing(&castile).is_empty());
    }
    names.says("orders.test", Says::A(vec![Ipv4Addr::new(127, 0, 0, 9)]));
    eventually("it has left", || {
        nodes(&castile).ends_with(&one.replace(&format!("dns:orders.test:{port}:ready"), "-:drain"))
    });
    assert_eq!(served_by(&goes_on(&castile, &id)), 0, "its conversation goes on there");
}

#[test]
fn services_of_a_name_are_nodes_and_what_does_not_fit_a_datagram_is_asked_for_by_tcp() {
    let servers = [0, 1].map(login_node);
    let names = NameServer::start();
    let port = |node: &Node| node.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let target = |name: &str, node: &Node| (1, port(node), format!("{name}.orders.test"));
    names.says("_http._tcp.orders.test", Says::Srv(vec![target("pod-0", &servers[0])]));
    for number in 0..40 {
        names.says(&format!("pod-{number}.orders.test"), Says::A(vec![Ipv4Addr::LOCALHOST]));
    }
    let castile = Castile::start(&yaml(&[], &by_name(&names, "name: _http._tcp.orders.test"), ""));
    let first = format!("pod-0.orders.test:{}:dns:_http._tcp.orders.test:ready", port(&servers[0]));
    eventually("it is asked", || nodes(&castile) == first);
    assert_eq!(served_by(&castile.ask(post("", envelope("", "<x/>")))), 0);
    assert_eq!(names.asked().1, 0);
    let many = (2..40).map(|number| (1, 1000 + number, format!("pod-{number}.orders.test")));
    names.says("_http._tcp.orders.test", Says::Srv(many.chain([target("pod-1", &servers[1])]).collect()));
    eventually("it is asked by TCP", || nodes(&castile).split_whitespace().count() == 39);
    assert!(names.asked().1 > 0);
}
