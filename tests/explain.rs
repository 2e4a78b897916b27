//! `castile explain` on the Axis2 and Synapse envelopes in `axis2/`, whose README says what each must and must not yield.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use castile::cli::explain::{Args, run};
use serde_json::Value;

const ID: &str = "urn:uuid:6f1c2a54-0d3e-4b7a-9c58-21d7e4f0a9b3";

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/axis2").join(name)
}

fn args(request: PathBuf, response: Option<PathBuf>) -> Args {
    Args {
        config: "config.yaml".into(),
        preset: vec!["axis2-soapsession".into(), "synapse-clientid".into()],
        request,
        response,
        json: true,
        show_values: true,
    }
}

fn text(args: &Args) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(args, false, &mut out, &mut err);
    assert!(code == ExitCode::SUCCESS, "{}", String::from_utf8_lossy(&err));
    String::from_utf8(out).expect("it is text")
}

fn json(args: &Args) -> Value {
    serde_json::from_str(&text(args)).expect("it is JSON")
}

/// Every `key=value`, with the offset checked against the file.
fn keys(told: &Value, file: &Path) -> Vec<String> {
    let bytes = std::fs::read(file).expect("it ships");
    // Of a `.mime` file the body counts.
    let body = match file.extension().is_some_and(|extension| extension == "mime") {
        true => memchr::memmem::find(&bytes, b"\r\n\r\n").map_or(0, |at| at + 4),
        false => 0,
    };
    let one = |key: &Value| {
        let (name, value) = (key["key"].as_str().expect("a name"), key["value"].as_str().expect("a value"));
        let offset = key["offset"].as_u64().expect("a value of the message") as usize;
        assert!(bytes[body + offset..].starts_with(value.as_bytes()), "{}: {offset}", file.display());
        format!("{name}={value}")
    };
    told.as_array().expect("a list").iter().map(one).collect()
}

fn request(name: &str, soap: &str, expected: &[&str], code: &str) {
    let file = sample(name);
    let told = json(&args(file.clone(), None));
    assert_eq!(keys(&told["keys"], &file), expected, "{name}");
    assert_eq!((told["soap"].as_str(), told["decision"]["code"].as_str()), (Some(soap), Some(code)), "{name}");
    assert_eq!(told["decision"]["node"], Value::Null, "{name}");
    assert!(told.get("learned").is_none(), "{name}");
}

fn response(name: &str, status: u16, expected: &[&str], lost: bool) {
    let file = sample(name);
    let told = json(&args(sample("soap11-wsa200508-3-followup-request.xml"), Some(file.clone())));
    assert_eq!(keys(&told["learned"], &file), expected, "{name}");
    assert_eq!((told["status"].as_u64(), told["lost"].as_bool()), (Some(status.into()), Some(lost)), "{name}");
    assert_eq!(told["ends"], false, "{name}");
}

#[test]
fn ids_of_requests_are_found_where_they_belong() {
    let sgid = format!("sgid={ID}");
    for version in ["11", "12"] {
        let soap = if version == "11" { "1.1" } else { "1.2" };
        for wsa in ["200408", "200508"] {
            request(&format!("soap{version}-wsa{wsa}-1-first-request.xml"), soap, &[], "bal");
        }
        request(&format!("soap{version}-wsa200508-3-followup-request.xml"), soap, &[&sgid], "unknown");
        request(&format!("soap{version}-clientid-request.xml"), soap, &["clientid=client-42"], "new");
    }
    request("soap11-wsa200408-3-followup-request.xml", "1.1", &[&sgid], "unknown");
    request("mtom-followup-request.mime", "1.1", &[&sgid], "unknown");
    request("variant-request-clientid-and-sgid.xml", "1.1", &[&sgid, "clientid=client-42"], "new");
    request("variant-request-no-wsa.xml", "1.1", &[&sgid], "unknown");
    let other = "sgid=urn:uuid:ffffffff-0000-4000-8000-000000000000";
    request("variant-request-two-ids.xml", "1.1", &[&sgid, other], "unknown");
    let old = "sgid=urn:uuid:A1B2C3D4E5F607182911647123456787";
    request("variant-request-old-uuid-format.xml", "1.1", &[old], "unknown");
}

#[test]
fn what_only_looks_like_an_id_is_none() {
    request("variant-request-empty-id.xml", "1.1", &[], "bal");
    request("decoy-id-in-body.xml", "1.1", &[], "bal");
    request("decoy-wrong-namespace.xml", "1.1", &[], "bal");
    request("decoy-request-replyto-epr.xml", "1.1", &[], "bal");
}

#[test]
fn ids_of_responses_are_learnt() {
    let sgid = format!("sgid={ID}");
    for name in [
        "soap11-wsa200408-2-response-sets-id.xml",
        "soap11-wsa200408-4-followup-response.xml",
        "soap11-wsa200508-2-response-sets-id.xml",
        "soap11-wsa200508-4-followup-response.xml",
        "soap12-wsa200408-4-followup-response.xml",
        "soap12-wsa200508-2-response-sets-id.xml",
        "soap12-wsa200508-4-followup-response.xml",
        "variant-response-wsa200508-anonymous-replyto.xml",
    ] {
        response(name, 200, &[&sgid], false);
    }
    response("variant-response-from-epr.xml", 200, &[], false);
    response("variant-response-no-wsa-no-id.xml", 200, &[], false);
    response("variant-response-soapsession-fault-no-id.xml", 500, &[], false);
}

#[test]
fn a_node_that_does_not_know_the_id_is_recognised_by_its_fault() {
    for version in ["soap11", "soap12"] {
        for wsa in ["wsa200408", "wsa200508"] {
            response(&format!("{version}-{wsa}-5-fault-unknown-id.xml"), 500, &[], true);
        }
        response(&format!("{version}-gateway-fault-pinned-down.xml"), 500, &[], false);
    }
}

#[test]
fn values_are_shown_only_where_asked_for() {
    let mut args = args(
        sample("soap12-wsa200508-3-followup-request.xml"),
        Some(sample("soap12-wsa200508-4-followup-response.xml")),
    );
    for json in [true, false] {
        args.json = json;
        args.show_values = true;
        assert!(text(&args).contains(ID));
        args.show_values = false;
        assert!(!text(&args).contains("6f1c2a54"));
    }
    args.json = true;
    let told = json(&args);
    let (carried, learnt) = (&told["keys"][0], &told["learned"][0]);
    assert_eq!(carried["fingerprint"], learnt["fingerprint"], "one id is one key, wherever it stands");
    assert_eq!(carried["fingerprint"].as_str().map(str::len), Some(32));
}

#[test]
fn the_form_of_the_json_is_the_documented_one() {
    let file = sample("soap11-wsa200508-3-followup-request.xml");
    let told = json(&args(file, None));
    assert_eq!((told["upstream"].as_str(), told["operation"].as_str()), (Some("sample"), Some("urn:next")));
    let mut names: Vec<_> = told["keys"][0].as_object().expect("a key").keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["as", "key", "offset", "selector", "value"]);
    assert_eq!(told["keys"][0]["as"], "pin");
    assert_eq!(told["keys"][0]["selector"], "header axis2:ServiceGroupId");
    assert!(told["decision"]["reason"].as_str().is_some_and(|why| why.contains("would pin it")));
}

#[test]
fn people_are_told_every_rule_and_why() {
    let mut args = args(sample("soap11-wsa200508-3-followup-request.xml"), None);
    args.json = false;
    let told = text(&args);
    for line in [
        "  request    POST /",
        "  message    SOAP 1.1, operation urn:next",
        "  sgid (pin) of axis2-soapsession",
        &format!("    header axis2:ServiceGroupId  {ID} at byte 285"),
        "    cookie JSESSIONID            nothing",
        "  clientid (pin, client-issued) of synapse-clientid",
        "  code       unknown",
        "  node       the balancer chooses",
    ] {
        assert!(told.lines().any(|found| found == line), "{line}\n{told}");
    }
}

/// With a configuration: routes, and nodes that a request names itself.
#[test]
fn a_node_that_the_request_names_is_told() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("a file can be written");
        file
    };
    let config = write(
        "c.yaml",
        "listeners: [{name: a, address: '127.0.0.1:0'}]\n\
         routes: [{path: /one/*, upstream: one}, {operation: 'urn:two#*', upstream: two}]\n\
         upstreams:\n\
         \x20 one: {nodes: [{name: n1, url: 'http://h1', route: r1}, {name: n2, url: 'http://h2', route: r2}], sticky: {presets: [servlet-jsessionid]}}\n\
         \x20 two: {nodes: [{name: m1, url: 'http://h3'}], balance: hash, sticky: {presets: [axis2-soapsession]}}\n",
    );
    let explain = |message: &str| {
        let request = write("r.http", message);
        json(&Args {
            config: config.clone(),
            preset: Vec::new(),
            request,
            response: None,
            json: true,
            show_values: true,
        })
    };
    let told = explain("POST /one/a HTTP/1.1\r\nHost: h\r\nCookie: JSESSIONID=ABC.r2\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((told["upstream"].as_str(), told["route"].as_str()), (Some("one"), Some("/one/*")));
    assert_eq!((told["decision"]["code"].as_str(), told["decision"]["node"].as_str()), (Some("route"), Some("n2")));
    assert_eq!(told["keys"][0]["offset"], Value::Null);

    let envelope = "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Body><a xmlns='urn:two'/></e:Body></e:Envelope>";
    let told = explain(&format!("POST /b HTTP/1.1\nHost: h\nContent-Type: text/xml\n\n{envelope}"));
    assert_eq!((told["upstream"].as_str(), told["operation"].as_str()), (Some("two"), Some("urn:two#a")));
    assert_eq!((told["decision"]["code"].as_str(), told["decision"]["node"].as_str()), (Some("hash"), Some("m1")));

    let told = explain("POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((&told["upstream"], &told["decision"]["code"]), (&Value::Null, &Value::Null));

    let dtd = format!("<!DOCTYPE a>{envelope}");
    let told = explain(&format!("POST /b HTTP/1.1\nHost: h\nSOAPAction: urn:two#x\nContent-Type: text/xml\n\n{dtd}"));
    assert!(told["decision"]["reason"].as_str().is_some_and(|why| why.contains("document type")), "{told}");
}

#[test]
fn what_rewrite_changes_is_told_without_what_may_be_an_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("it is written");
        path
    };
    let config = "listeners: [{name: public, address: '127.0.0.1:0'}]\nroutes: [{path: /ext/*, strip_prefix: /ext, upstream: app}]\n\
                  upstreams: {app: {nodes: [{name: a, url: 'http://10.0.0.1:8080'}], rewrite: {}}}\n";
    let wsdl = "<d:definitions xmlns:d='http://schemas.xmlsoap.org/wsdl/'>\
                <d:import location='http://10.0.0.1:8080/s;jsessionid=SECRET?wsdl'/></d:definitions>";
    let fields = "Content-Type: text/xml\r\nLocation: http://10.0.0.1:8080/SECRET\r\n";
    let request = file("q.http", "GET /ext/s?wsdl HTTP/1.1\r\nHost: gw.example\r\n\r\n");
    let response = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{wsdl}", wsdl.len());
    let response = file("r.http", &response);
    let config = file("castile.yaml", config);
    let told =
        text(&Args { config, preset: Vec::new(), request, response: Some(response), json: false, show_values: false });
    let place = wsdl.find("http://10").expect("it is there");
    let expected = format!("at byte {place}, http://10.0.0.1:8080 is rewritten to http://gw.example/ext");
    assert!(told.contains(&expected) && told.contains("Location is rewritten"), "{told}");
    assert!(!told.contains("SECRET"), "{told}");
}

/// Explains an exchange with a configuration of its own, and gives the notes.
fn notes(upstream: &str, request: &str, response: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file can be written");
        path
    };
    let config = format!(
        "listeners: [{{name: a, address: '127.0.0.1:0'}}]\nroutes: [{{upstream: u}}]\n\
         upstreams:\n  u:\n    nodes: [{{name: n, url: 'http://node:81'}}]\n{upstream}"
    );
    let (config, request) = (file("castile.yaml", &config), file("request.http", request));
    let response = Some(file("response.http", response));
    let told = json(&Args { config, preset: Vec::new(), ..args(request, response) });
    told["notes"].as_array().expect("a list").iter().map(|note| note.as_str().expect("text").to_owned()).collect()
}

const ADDRESSED: &str = "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/' \
    xmlns:a='http://www.w3.org/2005/08/addressing'><s:Header><a:To>http://gw/app</a:To></s:Header><s:Body/></s:Envelope>";

fn post(fields: &str) -> String {
    let length = ADDRESSED.len();
    format!(
        "POST /app HTTP/1.1\r\nHost: gw\r\nContent-Type: text/xml\r\n{fields}Content-Length: {length}\r\n\r\n{ADDRESSED}"
    )
}

const FIELDS: &str = "Accept: application/fastinfoset, text/xml\r\nAccept-Encoding: br, gzip\r\nUpgrade: h2c\r\n\
    HTTP2-Settings: AAMAAABkAARAAAAA\r\nConnection: Upgrade, HTTP2-Settings\r\nX-Route: 3\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn what_makes_answers_readable_is_told() {
    let sticky = "    sticky: {keys: [{key: k, learn: body a, match: body b}], strip_request_headers: [X-Route]}\n";
    assert_eq!(
        notes(sticky, &post(FIELDS), ANSWER),
        [
            "request: Upgrade does not go on, for the gateway would not understand what follows",
            "request: HTTP2-Settings does not go on, for the gateway would not understand what follows",
            "request: Accept goes on as \"text/xml\", for rules could not read such an answer",
            "request: Accept-Encoding goes on as \"gzip\", for rules could not read such an answer",
            "request: X-Route does not go on (strip_request_headers)",
        ]
    );
    // Rules that read no message let everything be asked for.
    let cookie = "    sticky: {keys: [{key: k, learn: cookie a, match: cookie a}]}\n";
    assert_eq!(notes(cookie, &post("Accept: application/fastinfoset\r\nAccept-Encoding: br\r\n"), ANSWER), [""; 0]);
}

#[test]
fn every_address_that_is_rewritten_is_told_and_every_signed_one() {
    let node = ADDRESSED.replace("http://gw/app", "http://node:81/app");
    let signed = node.replacen("<a:To>", "<d:Reference xmlns:d='http://www.w3.org/2000/09/xmldsig#' URI=''/><a:To>", 1);
    for (answer, told) in
        [(node, "is rewritten to http://gw"), (signed, "response: 1 address stays as it is, because it is signed")]
    {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nLocation: http://node:81/x\r\n";
        let answer = format!("{head}Content-Length: {}\r\n\r\n{answer}", answer.len());
        let sticky = "{keys: [{key: k, learn: body b, match: body b}], rewrite_url: response header a:To, \
            namespaces: {a: 'http://www.w3.org/2005/08/addressing'}}";
        let upstream = format!("    rewrite: {{}}\n    sticky: {sticky}\n");
        let found = notes(&upstream, &post("Accept-Encoding: gzip\r\n"), &answer);
        assert_eq!(
            found[0],
            "request: Accept-Encoding goes on as \"identity\", for addresses are rewritten in plain answers only"
        );
        assert!(
            found[1].starts_with("request: at byte ")
                && found[1].ends_with(", http://gw is rewritten to http://node:81"),
            "{found:?}"
        );
        assert_eq!(found[2], "response: Location is rewritten");
        assert!(found[3].contains(told), "{found:?}");
    }
}

#[test]
fn it_tells_that_nodes_would_be_asked() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for (unknown_key, asks) in [("ask_nodes", true), ("balance", false)] {
        let file = folder.path().join("castile.yaml");
        let yaml = format!(
            "listeners: [{{name: public, address: '127.0.0.1:0'}}]\nroutes: [{{upstream: app}}]\nupstreams: {{app: {{\
             nodes: [{{name: a, url: 'http://127.0.0.1:1'}}], \
             sticky: {{presets: [axis2-soapsession], unknown_key: {unknown_key}}}}}}}\n"
        );
        std::fs::write(&file, yaml).expect("a file can be written");
        let request = sample("soap11-wsa200508-3-followup-request.xml");
        let told = json(&Args { config: file, preset: Vec::new(), ..args(request, None) });
        let reason = told["decision"]["reason"].as_str().expect("a reason");
        assert_eq!(reason.contains("asks the nodes in turn"), asks, "{reason}");
    }
}
