//! `castile check --wsdl`: where the addresses lead that a service publishes.

use std::process::ExitCode;

use castile::cli::check::{Args, run};

use crate::support::tls::Authority;
use crate::support::{Castile, Node, config, ok};

/// A node whose WSDL has a schema and an imported WSDL, and names `address`; `HOST` stands for the `Host` it was asked for.
fn publishing(address: &'static str) -> Node {
    Node::answering(move |request| {
        let base = format!("http://{}", request.field("host").expect("a host"));
        let line = request.start_line();
        let text = if line.contains("?xsd=1") {
            "<s:schema xmlns:s='http://www.w3.org/2001/XMLSchema'/>".to_owned()
        } else if line.contains("?wsdl=port") {
            let address = address.replace("HOST", &base);
            format!(
                "<w:definitions xmlns:w='http://schemas.xmlsoap.org/wsdl/' xmlns:s='http://schemas.xmlsoap.org/wsdl/soap12/'>\
                 <w:service name='S'><w:port name='P'><s:address location='{address}'/></w:port></w:service></w:definitions>"
            )
        } else if line.contains("?wsdl ") {
            format!(
                "<w:definitions xmlns:w='http://schemas.xmlsoap.org/wsdl/' xmlns:s='http://schemas.xmlsoap.org/wsdl/soap/'>\
                 <w:import location='{base}/a?wsdl=port'/><w:types><x:schema xmlns:x='http://www.w3.org/2001/XMLSchema'>\
                 <x:import schemaLocation='a?xsd=1'/></x:schema></w:types></w:definitions>"
            )
        } else {
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
        };
        ok("Content-Type: text/xml\r\n", text)
    })
}

struct Told {
    stays: bool,
    text: String,
}

fn told(yaml: &str, url: &str, change: impl FnOnce(&mut Args)) -> Told {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("castile.yaml");
    std::fs::write(&file, yaml).expect("a file can be written");
    let mut args = Args {
        against: None,
        token_file: None,
        file,
        effective: false,
        json: false,
        wsdl: Some(url.to_owned()),
        public: Some("http://gw.example:8280".to_owned()),
        ca: None,
        certificate: None,
        key: None,
    };
    change(&mut args);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(&args, &mut out, &mut err);
    let text = String::from_utf8([out, err].concat()).expect("it is text");
    Told { stays: code == ExitCode::SUCCESS, text }
}

fn check(told: &Told, stays: bool, parts: &[&str]) {
    assert_eq!(told.stays, stays, "{}", told.text);
    for part in parts {
        assert!(told.text.contains(part), "{part}\n{}", told.text);
    }
}

#[test]
fn an_address_written_from_host_stays_on_the_gateway() {
    let node = publishing("HOST/a");
    let told = told(&config(&[&node], ""), &format!("{}/a?wsdl", node.url()), |_| {});
    check(
        &told,
        true,
        &["service S, port P (soap12:address): http://gw.example:8280/a", "clients stay on the gateway"],
    );
    let lines: Vec<_> = node.requests().iter().map(|request| request.start_line()).collect();
    assert_eq!(lines, ["GET /a?wsdl HTTP/1.1", "GET /a?wsdl=port HTTP/1.1", "GET /a?xsd=1 HTTP/1.1"]);
    assert!(node.requests().iter().all(|request| request.field("host").as_deref() == Some("gw.example:8280")));
}

#[test]
fn a_nodes_address_leaves_the_gateway_unless_it_is_rewritten() {
    let node = publishing("HOST/a");
    let url = format!("{}/a?wsdl", node.url());
    let plain = config(&[&node], "host: node");
    let found = told(&plain, &url, |_| {});
    let leaves = [
        "leaves the gateway: it is node app/n0",
        "makes it http://gw.example:8280/a\n",
        "or fail there: 2 of 3 places",
    ];
    check(&found, false, &leaves);
    check(
        &told(&config(&[&node], "host: node\nrewrite: {}"), &url, |_| {}),
        true,
        &["port P (soap12:address): http://gw.example:8280/a"],
    );
    // Another host, port and path.
    let prefixed = config(&[&node], "host: node\nrewrite: {public_url: 'https://soap.example.com/front'}");
    let prefixed = prefixed.replace("[{upstream: app}]", "[{path: /ext/*, strip_prefix: /ext, upstream: app}]");
    let found = told(&prefixed, &url, |args| args.public = None);
    check(
        &found,
        true,
        &[
            "https://soap.example.com/front/ext/a?wsdl: as clients get it",
            "(soap12:address): https://soap.example.com/front/ext/a\n",
        ],
    );
}

#[test]
fn an_address_nobody_here_knows_leaves_the_gateway_and_is_not_rewritten() {
    let node = publishing("http://internal.example:81/a");
    let url = format!("{}/a?wsdl", node.url());
    let found = told(&config(&[&node], "rewrite: {}"), &url, |_| {});
    check(
        &found,
        false,
        &["http://internal.example:81/a", "no node and no listener of the file is there", "rewrite does not know it"],
    );
    let found = told(&config(&[&node], "rewrite: {}"), &url, |args| args.json = true);
    let line = found.text.lines().find(|line| line.contains("\"address\"")).expect("a line");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(
        (line["leads"].as_str(), line["stays"].as_bool(), line["service"].as_str()),
        (Some("elsewhere"), Some(false), Some("S"))
    );
}

#[test]
fn an_address_without_a_route_is_told() {
    let node = publishing("HOST/b");
    let yaml = config(&[&node], "").replace("[{upstream: app}]", "[{path: /a, upstream: app}]");
    check(&told(&yaml, &format!("{}/a?wsdl", node.url()), |_| {}), false, &["which has no route for it"]);
    check(&told(&yaml, &format!("{}/c?wsdl", node.url()), |_| {}), false, &["error: no route leads to"]);
}

#[test]
fn a_gateway_that_runs_is_asked_as_clients_ask_it() {
    let (authority, node) = (Authority::new("servers"), publishing("HOST/a"));
    let identity = authority.sign("127.0.0.1");
    let tls = format!("tls: {{certificate: '{}', key: '{}'}}", identity.certificate.display(), identity.key.display());
    for (settings, stays) in
        [("host: pass\nrewrite: {}", true), ("host: node\nrewrite: {}", true), ("host: pass", false)]
    {
        let yaml =
            config(&[&node], settings).replace("address: '127.0.0.1:0'", &format!("address: '127.0.0.1:0', {tls}"));
        let castile = Castile::start(&yaml);
        let url = format!("https://{}/a?wsdl", castile.address("public"));
        let found = told(&yaml, &url, |args| (args.public, args.ca) = (None, Some(authority.file())));
        // The node does not know of TLS: its http:// address is nobody's.
        check(
            &found,
            stays,
            if stays {
                &["clients stay on the gateway"]
            } else {
                &["nothing in the file listens there", "makes it https://127.0.0.1:"]
            },
        );
        assert!(!told(&yaml, &url, |args| args.public = None).stays, "the authority is not known");
    }
}

#[test]
fn what_is_no_wsdl_is_told() {
    let node = Node::answering(|_| ok("Content-Type: text/html\r\n", "<html/>"));
    check(
        &told(&config(&[&node], ""), &format!("{}/", node.url()), |_| {}),
        false,
        &["error: ", "it is no WSDL or schema"],
    );
    check(&told(&config(&[&node], ""), "ftp://h/", |_| {}), false, &["is no http or https URL"]);
    let gone = publishing("HOST/a");
    check(&told(&config(&[&gone], ""), &format!("{}/x?y", gone.url()), |_| {}), false, &["the answer has status 404"]);
}
