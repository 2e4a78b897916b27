//! Who the client is, behind load balancers and proxies.

use crate::support::soap::{envelope, login_node, post};
use crate::support::{Castile, Message, Node, config};

/// A gateway whose listener has these settings, too.
fn listening(settings: &str) -> (Castile, Node) {
    let node = login_node(0);
    let yaml = config(&[&node], "").replace("address: '127.0.0.1:0'", &format!("address: '127.0.0.1:0', {settings}"));
    (Castile::start(&yaml), node)
}

/// What the node and the log hear of the client, for a connection that begins with `before` and a request with `fields`.
fn hears(settings: &str, before: &[u8], fields: &str) -> (Message, String) {
    let (castile, node) = listening(settings);
    let mut client = castile.client();
    client.send([before, &post(fields, envelope("", ""))].concat());
    assert_eq!(client.answer().status(), 200);
    drop(client);
    let log = castile.stop();
    (node.wait_for(1), log[0]["client"].as_str().expect("a client").to_owned())
}

/// A header of version 2 of the PROXY protocol: command, family, addresses.
fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend_from_slice(&[0x20 | command, family]);
    header.extend_from_slice(&(addresses.len() as u16).to_be_bytes());
    header.extend_from_slice(addresses);
    header
}

#[test]
fn version_1_of_the_proxy_protocol_says_who_the_client_is() {
    for (line, client) in [
        ("PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n", "192.0.2.7"),
        ("PROXY TCP6 2001:db8::7 2001:db8::1 40000 443\r\n", "2001:db8::7"),
        ("PROXY UNKNOWN\r\n", "127.0.0.1"),
    ] {
        let (request, logged) = hears("proxy_protocol: true", line.as_bytes(), "");
        assert_eq!((request.field("x-forwarded-for").as_deref(), logged.as_str()), (Some(client), client));
    }
}

#[test]
fn version_2_of_the_proxy_protocol_says_who_the_client_is() {
    let four = [&[192, 0, 2, 8][..], &[198, 51, 100, 1], &[0x9c, 0x40, 1, 187]].concat();
    let with_extension = [&four[..], &[0x02, 0, 1, b'h']].concat();
    let mut six = vec![0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    six.extend_from_slice(&[0; 16]);
    six.extend_from_slice(&[0, 1, 0, 2]);
    for (header, client) in [
        (version_2(1, 0x11, &four), "192.0.2.8"),
        (version_2(1, 0x11, &with_extension), "192.0.2.8"),
        (version_2(1, 0x21, &six), "2001:db8::9"),
        (version_2(0, 0x00, &[]), "127.0.0.1"),
    ] {
        let (request, logged) = hears("proxy_protocol: true", &header, "");
        assert_eq!((request.field("x-forwarded-for").as_deref(), logged.as_str()), (Some(client), client));
    }
}

#[test]
fn a_connection_without_the_header_is_closed_without_an_answer() {
    let (castile, node) = listening("proxy_protocol: true, timeouts: {header: 300ms}");
    for begin in [
        &post("", "")[..],
        b"PROXY TCP4 nonsense\r\n",
        b"PROXY TCP4 192.0.2.7 198.5",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
    ] {
        let mut client = castile.client();
        client.send(begin);
        client.expect_close();
    }
    assert_eq!(node.connections(), 0);
}

#[test]
fn a_header_where_none_is_expected_is_no_request() {
    let (castile, node) = listening("timeouts: {header: 20s}");
    let answer = castile.ask("PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((answer.status(), node.connections()), (400, 0));
}

#[test]
fn what_an_unknown_client_says_of_itself_is_replaced() {
    let spoofed = "X-Forwarded-For: 10.1.1.1\r\nX-Real-IP: 10.1.1.1\r\nForwarded: for=10.1.1.1\r\nX_Forwarded_For: 10.1.1.1\r\n\
                   X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n";
    let (request, logged) = hears("trusted_proxies: []", b"", spoofed);
    assert_eq!((request.all("x-forwarded-for"), logged.as_str()), (vec!["127.0.0.1".to_owned()], "127.0.0.1"));
    let head = String::from_utf8_lossy(&request.head).into_owned();
    assert!(!head.contains("10.1.1.1") && !head.contains("evil"), "{head}");
    assert_eq!(request.all("x-forwarded-proto"), ["http"]);
}

#[test]
fn what_a_trusted_proxy_says_is_believed() {
    let (request, logged) = hears(
        "trusted_proxies: [127.0.0.0/8]",
        b"",
        "X-Forwarded-For: 6.6.6.6, 192.0.2.9\r\nX-Forwarded-Proto: https\r\n",
    );
    // The last address that is no trusted proxy's; what stands before it anybody may have written.
    assert_eq!(logged, "192.0.2.9");
    assert_eq!(request.all("x-forwarded-for").join(", "), "6.6.6.6, 192.0.2.9, 127.0.0.1");
    assert_eq!(request.all("x-forwarded-proto"), ["https"]);
}

#[test]
fn a_header_before_a_tls_handshake_is_read() {
    let authority = crate::support::tls::Authority::new("clients");
    let identity = authority.sign("gateway.test");
    let (castile, _node) = listening(&format!(
        "proxy_protocol: true, tls: {{certificate: '{}', key: '{}'}}",
        identity.certificate.display(),
        identity.key.display()
    ));
    let mut stream = std::net::TcpStream::connect(castile.address("public")).expect("it listens");
    std::io::Write::write_all(&mut stream, b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n").expect("it takes bytes");
    let mut client = authority.connect_over(stream, "gateway.test", None);
    assert_eq!(client.ask(post("", envelope("", ""))).status(), 200);
    drop(client);
    assert_eq!(castile.stop()[0]["client"], "192.0.2.7");
}
