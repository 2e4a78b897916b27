//! TLS, to clients and to nodes.

use crate::support::soap::{envelope, login_node, post};
use crate::support::tls::{Authority, Identity};
use crate::support::{Castile, Node, config, ok};

const GATEWAY: &str = "gateway.test";

/// A gateway with TLS towards its clients, and these further settings of it.
fn tls_gateway(node: &Node, identity: &Identity, settings: &str) -> Castile {
    let tls = format!(
        "tls: {{certificate: '{}', key: '{}'{settings}}}",
        identity.certificate.display(),
        identity.key.display()
    );
    Castile::start(&config(&[node], "").replace("address: '127.0.0.1:0'", &format!("address: '127.0.0.1:0', {tls}")))
}

#[test]
fn clients_may_speak_tls() {
    let authority = Authority::new("servers");
    let node = login_node(0);
    let castile = tls_gateway(&node, &authority.sign(GATEWAY), "");
    let mut client = authority.connect(castile.address("public"), GATEWAY, None);
    for _ in 0..3 {
        assert_eq!(client.ask(post("", envelope("", ""))).status(), 200);
    }
    let large = vec![b'x'; 3 << 20];
    assert_eq!(client.ask(post("", &large)).status(), 200);
    assert!(node.wait_for(4).body == large);
    assert_eq!(node.wait_for(1).all("x-forwarded-proto"), ["https"]);
}

#[test]
fn clear_text_on_a_tls_listener_reaches_no_node() {
    let authority = Authority::new("servers");
    let node = login_node(0);
    let castile = tls_gateway(&node, &authority.sign(GATEWAY), "");
    let mut client = castile.client();
    client.send(post("", envelope("", "")));
    let rest = client.rest();
    assert!(!rest.starts_with(b"HTTP/"));
    assert_eq!(node.connections(), 0);
}

fn with_client_certificates(
    node: &Node,
    servers: &Authority,
    clients: &Authority,
    auth: &str,
    format: &str,
) -> Castile {
    let settings = format!(
        ", client_ca: '{}', client_auth: {auth}, forward_client_cert: {{header: X-Client-Cert, format: {format}}}",
        clients.file().display()
    );
    tls_gateway(node, &servers.sign(GATEWAY), &settings)
}

const SPOOFED: &str = "X-Client-Cert: forged\r\nx-client-cert: forged\r\nX_Client_Cert: forged\r\n";

#[test]
fn a_client_certificate_is_forwarded_as_configured() {
    let (servers, clients, node) = (Authority::new("servers"), Authority::new("clients"), login_node(0));
    let partner = clients.sign("partner");
    let base64 = base64(&partner.der);
    for (format, is_right) in [
        ("base64_der", Box::new(|value: &str| value == base64) as Box<dyn Fn(&str) -> bool>),
        ("rfc9440", Box::new(|value: &str| value == format!(":{base64}:"))),
        ("pem_urlencoded", Box::new(|value: &str| value.starts_with("-----BEGIN%20CERTIFICATE-----%0A"))),
        ("xfcc", Box::new(|value: &str| value.starts_with("Hash=") && value.contains(";Cert=\"-----BEGIN"))),
    ] {
        let castile = with_client_certificates(&node, &servers, &clients, "required", format);
        let before = node.count();
        let mut client = servers.connect(castile.address("public"), GATEWAY, Some(&partner));
        assert_eq!(client.ask(post(SPOOFED, envelope("", ""))).status(), 200);
        let request = node.wait_for(before + 1);
        let values = request.all("x-client-cert");
        assert!(values.len() == 1 && is_right(&values[0]), "{format}: {values:?}");
        assert!(!String::from_utf8_lossy(&request.head).contains("forged"));
    }
}

#[test]
fn the_certificates_header_is_never_accepted_from_clients() {
    let (servers, clients, node) = (Authority::new("servers"), Authority::new("clients"), login_node(0));
    let castile = with_client_certificates(&node, &servers, &clients, "optional", "base64_der");
    let mut client = servers.connect(castile.address("public"), GATEWAY, None);
    assert_eq!(client.ask(post(SPOOFED, envelope("", ""))).status(), 200);
    assert!(!String::from_utf8_lossy(&node.wait_for(1).head).contains("forged"));
}

#[test]
fn a_client_without_a_good_certificate_is_not_served_where_one_is_required() {
    let (servers, clients, node) = (Authority::new("servers"), Authority::new("clients"), login_node(0));
    let castile = with_client_certificates(&node, &servers, &clients, "required", "base64_der");
    let strangers = Authority::new("strangers");
    let stranger = strangers.sign("partner");
    for identity in [None, Some(&stranger)] {
        let mut client = servers.connect(castile.address("public"), GATEWAY, identity);
        // With TLS 1.3 the client learns only by the answer that it was refused.
        let _ = client.try_send(post("", envelope("", "")));
        assert!(!client.rest().starts_with(b"HTTP/"));
    }
    assert_eq!(node.connections(), 0);
}

/// A node behind TLS that asks for a certificate, and the settings with which it is reached.
fn tls_node(nodes: &Authority, name: &str) -> Node {
    Node::start_tls(nodes.node(&nodes.sign(name)), |connection| {
        while connection.request().is_some() {
            let certificate = connection.peer.certificate().unwrap_or_default();
            connection.send(ok("", base64(&certificate)));
        }
    })
}

fn node_tls(node: &Node, ca: &Authority, identity: &Identity, name: &str) -> String {
    let settings = format!(
        "tls: {{ca: '{}', client_certificate: '{}', client_key: '{}', server_name: {name}}}",
        ca.file().display(),
        identity.certificate.display(),
        identity.key.display()
    );
    config(&[node], &settings).replace("http://", "https://")
}

#[test]
fn nodes_may_be_behind_tls_with_an_authority_and_a_client_certificate_of_their_own() {
    let nodes = Authority::new("nodes");
    let node = tls_node(&nodes, "node.test");
    let gateway = nodes.sign("castile");
    let castile = Castile::start(&format!("workers: 1\n{}", node_tls(&node, &nodes, &gateway, "node.test")));
    let mut client = castile.client();
    for _ in 0..3 {
        assert_eq!(client.ask(post("", vec![b'x'; 100_000])).text(), base64(&gateway.der));
    }
    assert_eq!(node.connections(), 1, "the connection is used again");
}

#[test]
fn a_node_whose_certificate_does_not_fit_gets_no_byte() {
    let (nodes, others) = (Authority::new("nodes"), Authority::new("others"));
    let node = tls_node(&nodes, "node.test");
    let gateway = nodes.sign("castile");
    for yaml in
        [node_tls(&node, &others, &gateway, "node.test"), node_tls(&node, &nodes, &gateway, "somebody-else.test")]
    {
        let castile = Castile::start(&yaml);
        let answer = castile.ask(post("", envelope("", "")));
        assert_eq!(answer.status(), 503);
        assert!(answer.text().contains("NodeUnavailable"), "{}", answer.text());
    }
    assert_eq!(node.count(), 0);
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}
