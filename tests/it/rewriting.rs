//! Addresses that would lead clients around the gateway.

use crate::support::soap::envelope;
use crate::support::tls::Authority;
use crate::support::{Castile, Message, Node, chunked, config, ok};

const ADDRESSING: &str = "http://www.w3.org/2005/08/addressing";
const HOST: &str = "gw.example:8443";

/// A node that writes its own address from `Host`: into its WSDL, redirects, cookies, and references within its answers.
fn publishing() -> Node {
    Node::answering(|request| {
        let base = format!("http://{}", request.field("host").expect("a host"));
        let line = request.start_line();
        if line.contains("?wsdl") {
            ok("Content-Type: text/xml\r\nContent-MD5: x\r\n", wsdl(&base))
        } else if line.contains("/chunked") {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n";
            [head.as_bytes(), &chunked(envelope("", &reference(&base)).as_bytes(), &[3, 50, 7], "T: 1\r\n")].concat()
        } else if line.contains("/coded") {
            ok("Content-Type: text/xml\r\nContent-Encoding: gzip\r\n", "no gzip")
        } else if line.starts_with("GET") {
            let fields = format!("Location: {base}/next\r\nSet-Cookie: a=b; Path=/app; Secure\r\nX-Url: {base}/x");
            format!("HTTP/1.1 302 Found\r\n{fields}\r\nContent-Length: 0\r\n\r\n").into_bytes()
        } else {
            let large = if line.contains("/large") { "x".repeat(300_000) } else { String::new() };
            ok("Content-Type: text/xml\r\n", envelope("", &(reference(&base) + &large)))
        }
    })
}

fn wsdl(base: &str) -> String {
    format!(
        "<w:definitions xmlns:w='http://schemas.xmlsoap.org/wsdl/' xmlns:s='http://schemas.xmlsoap.org/wsdl/soap/' \
         targetNamespace='http://{HOST}/ns'><w:import location=\"{base}/a?wsdl=1\"/><w:service><w:port>\
         <s:address location='{base}/a'/></w:port></w:service></w:definitions>"
    )
}

fn reference(base: &str) -> String {
    format!("<r><a:Address xmlns:a='{ADDRESSING}'>{base}/a?session=1&amp;x</a:Address></r>")
}

/// A gateway that takes off `/ext`, with these settings of the upstream and its `rewrite`.
fn gateway(node: &Node, settings: &str, rewrite: &str) -> String {
    let places = "sticky: {presets: [jaxws-stateful]}";
    let settings = format!("rewrite: {{{rewrite}}}\n{places}\n{settings}");
    config(&[node], &settings).replace("[{upstream: app}]", "[{path: /ext/*, strip_prefix: /ext, upstream: app}]")
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAccept-Encoding: gzip\r\n\r\n")
}

fn post(path: &str, header: &str) -> String {
    let body = envelope(header, "<x/>");
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[test]
fn a_wsdl_leads_back_to_the_gateway_whichever_host_the_node_was_asked_for() {
    for (settings, rewrite, public) in [
        ("host: pass", "", format!("http://{HOST}/ext")),
        ("host: node", "", format!("http://{HOST}/ext")),
        ("host: other.example", "", format!("http://{HOST}/ext")),
        ("host: node", "public_url: 'https://soap.example.com/front'", "https://soap.example.com/front/ext".to_owned()),
        ("host: pass", "public_url: 'https://soap.example.com/ext'", "https://soap.example.com/ext".to_owned()),
    ] {
        let node = publishing();
        let castile = Castile::start(&gateway(&node, settings, rewrite));
        let answer = castile.ask(get("/ext/a?wsdl"));
        assert_eq!(answer.text(), wsdl(&public), "{settings} {rewrite}");
        assert_eq!(answer.field("content-length"), Some(answer.body.len().to_string()));
        assert_eq!(answer.field("content-md5"), None);
        assert_eq!(node.wait_for(1).all("accept-encoding"), ["identity"]);
    }
}

#[test]
fn references_redirects_and_cookies_lead_back_to_the_gateway() {
    let node = publishing();
    let castile = Castile::start(&gateway(&node, "host: node", ""));
    let public = format!("http://{HOST}/ext");
    let mut client = castile.client();
    for path in ["/ext/a", "/ext/chunked"] {
        let answer = client.ask(post(path, ""));
        assert_eq!((answer.text(), answer.is_chunked()), (envelope("", &reference(&public)), path == "/ext/chunked"));
    }
    let answer = client.ask(post("/ext/large", ""));
    assert!(answer.is_chunked() && answer.text().len() > 300_000 && answer.text().contains(&reference(&public)));
    let answer = client.ask(get("/ext/a"));
    assert_eq!(answer.field("location"), Some(format!("{public}/next")));
    assert_eq!(answer.field("set-cookie").as_deref(), Some("a=b; Path=/ext/app"));
    assert_eq!(answer.field("x-url"), Some(format!("{}/x", node.url())));
    assert_eq!(client.ask(post("/ext/coded", "")).text(), "no gzip");
}

#[test]
fn a_client_behind_tls_stays_behind_tls() {
    let (authority, node) = (Authority::new("servers"), publishing());
    let identity = authority.sign("gateway.test");
    let tls = format!("tls: {{certificate: '{}', key: '{}'}}", identity.certificate.display(), identity.key.display());
    for settings in ["host: pass", "host: node"] {
        let yaml = gateway(&node, settings, "");
        let castile =
            Castile::start(&yaml.replace("address: '127.0.0.1:0'", &format!("address: '127.0.0.1:0', {tls}")));
        let mut client = authority.connect(castile.address("public"), "gateway.test", None);
        assert_eq!(client.ask(get("/ext/a?wsdl")).text(), wsdl(&format!("https://{HOST}/ext")), "{settings}");
        let cookie = client.ask(get("/ext/a")).field("set-cookie");
        assert_eq!(cookie.as_deref(), Some("a=b; Path=/ext/app; Secure"));
    }
}

#[test]
fn what_a_trusted_proxy_says_of_the_public_url_is_believed() {
    let node = publishing();
    let fields = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: soap.example.com\r\nX-Forwarded-Prefix: /front\r\n\r\n";
    let request = get("/ext/a?wsdl").replacen("\r\n\r\n", &format!("\r\n{fields}"), 1);
    for (settings, public) in [
        ("trusted_proxies: [127.0.0.0/8]", "https://soap.example.com/front/ext".to_owned()),
        ("trusted_proxies: []", format!("http://{HOST}/ext")),
    ] {
        let yaml = gateway(&node, "host: node", "");
        let castile =
            Castile::start(&yaml.replace("address: '127.0.0.1:0'", &format!("address: '127.0.0.1:0', {settings}")));
        assert_eq!(castile.ask(&request).text(), wsdl(&public));
    }
}

#[test]
fn a_node_finds_its_own_address_in_wsa_to() {
    let node = publishing();
    let castile = Castile::start(&gateway(&node, "", ""));
    let to = |url: &str| format!("<a:To xmlns:a='{ADDRESSING}'>{url}</a:To>");
    let mut client = castile.client();
    for (count, (sent, received)) in [
        (format!("http://{HOST}/ext/a?b"), format!("{}/a?b", node.url())),
        ("http://elsewhere/ext/a".to_owned(), "http://elsewhere/ext/a".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(client.ask(post("/ext/a", &to(&sent))).status(), 200);
        let request: Message = node.wait_for(count + 1);
        assert_eq!(request.text(), envelope(&to(&received), "<x/>"));
        assert_eq!(request.field("content-length"), Some(request.body.len().to_string()));
    }
    // Chunks stay chunks, and what follows the Header passes as it came.
    let body = envelope(&to(&format!("http://{HOST}/ext/a")), &"y".repeat(200_000));
    let head =
        format!("POST /ext/a HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send([head.as_bytes(), &chunked(body.as_bytes(), &[5, 1000], "")].concat());
    assert_eq!(client.answer().status(), 200);
    assert!(node.wait_for(3).text() == envelope(&to(&format!("{}/a", node.url())), &"y".repeat(200_000)));
}

#[test]
fn nothing_is_rewritten_unasked() {
    let node = publishing();
    let off = "wsdl: false, epr: false, location: false, wsa_to: false, cookies: false";
    let plain = gateway(&node, "host: node", "").replace("rewrite: {}", "");
    for yaml in [plain, gateway(&node, "host: node", off)] {
        let castile = Castile::start(&yaml);
        let mut client = castile.client();
        assert_eq!(client.ask(get("/ext/a?wsdl")).text(), wsdl(&node.url()));
        assert_eq!(client.ask(post("/ext/a", "")).text(), envelope("", &reference(&node.url())));
        assert_eq!(client.ask(get("/ext/a")).field("location"), Some(format!("{}/next", node.url())));
    }
}
