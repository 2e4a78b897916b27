//! The access log tells what was decided, and never an id.

use crate::support::soap::{AXIS2, CLIENT_ISSUED, Trio, client_id, envelope, group_id, login_node, post};
use crate::support::{Castile, Node, config, ok};

#[test]
fn every_request_has_one_line_with_its_decision() {
    let node = login_node(0);
    let castile = Castile::start(&format!("workers: 1\n{}", config(&[&node], CLIENT_ISSUED)));
    castile.ask(post("", envelope("", "<x/>")));
    castile.ask(post("SOAPAction: \"urn:go\"\r\n", envelope(&client_id("confidential"), "<x/>")));
    castile.ask(post("", envelope(&client_id("confidential"), "<x/>")));
    castile.ask("GET /app?wsdl HTTP/1.1\r\nHost: h:80\r\n\r\n");
    let log = castile.stop();
    let decisions: Vec<_> = log.iter().map(|line| line["decision"].as_str().unwrap_or_default()).collect();
    assert_eq!(decisions, ["bal", "new", "pin", "bal"]);
    let line = &log[1];
    for (key, value) in [
        ("listener", "public"),
        ("client", "127.0.0.1"),
        ("http", "1.1"),
        ("method", "POST"),
        ("host", "h"),
        ("path", "/app"),
        ("upstream", "app"),
        ("node", "n0"),
        ("operation", "urn:go"),
    ] {
        assert_eq!(line[key], value, "{key} of {line}");
    }
    assert_eq!(line["status"], 200);
    assert_eq!(line["bytes_in"], envelope(&client_id("confidential"), "<x/>").len());
    assert!(line["node_us"].as_u64() <= line["total_us"].as_u64());
    assert_eq!(line["key"], log[2]["key"]);
    assert_eq!(line["key"].as_str().map(str::len), Some(32));
    let ids: std::collections::BTreeSet<_> = log.iter().map(|line| line["request_id"].to_string()).collect();
    assert_eq!(ids.len(), 4);
}

#[test]
fn no_id_is_ever_logged() {
    let node = Node::answering(|request| {
        let cookie = "Set-Cookie: JSESSIONID=SECRET-1.n0; Path=/\r\nSet-Cookie: ASP.NET_SessionId=secret-2\r\n";
        if request.start_line().contains("redirect") {
            return b"HTTP/1.1 302 Found\r\nLocation: /app/(S(secret-3))/x\r\nContent-Length: 0\r\n\r\n".to_vec();
        }
        ok(&format!("Content-Type: text/xml\r\n{cookie}"), envelope(&crate::support::soap::reply_to("secret-4"), ""))
    });
    let settings = "sticky: {presets: [default], namespaces: {t: urn:test}, keys: [{key: q, match: query sid, learn: http X-Sid}, \
                    {key: u, match: url, via: [{regex: '/own/([^/]+)'}], client_issued: true}]}";
    let castile = Castile::start(&config(&[&node], settings));
    for path in [
        "/app",
        "/app;jsessionid=SECRET-1.n0",
        "/app;jsessionid=SECRET-1.n0?x=1",
        "/app/(S(secret-3))/redirect",
        "/app?sid=secret-5",
        "/app/own/secret-6/call",
        "/app?jsessionid=secret-7",
    ] {
        let mut client = castile.client();
        for _ in 0..2 {
            client.ask(request_to(path));
        }
    }
    let cookies = "Cookie: JSESSIONID=SECRET-1.n0; ASP.NET_SessionId=secret-2; axis_session=secret-8\r\nX-Sid: secret-9\r\n\
                   Referer: http://h/app;jsessionid=SECRET-1.n0\r\nAuthorization: Basic secret-10\r\n";
    castile.ask(post(cookies, envelope(&group_id("secret-4"), "<x/>")));
    let log = castile.stop_within(crate::support::PATIENCE);
    assert!(log.lines().count() >= 15, "{log}");
    assert!(!log.to_ascii_lowercase().contains("secret-"), "{log}");
}

fn request_to(path: &str) -> String {
    let request = String::from_utf8(post("", envelope(&group_id("secret-4"), "<x/>"))).expect("text");
    request.replacen("/app", path, 1)
}

#[test]
fn faults_of_our_own_do_not_show_ids_either() {
    let trio = Trio::start(&AXIS2.replace("]}", "], unknown_key: reject}"));
    let answer = trio.castile.ask(post("", envelope(&group_id("secret-unknown"), "<x/>")));
    assert_eq!(answer.status(), 500);
    assert!(answer.text().contains("SessionLost") && !answer.text().contains("secret"), "{}", answer.text());
    let log = trio.castile.stop();
    assert_eq!((&log[0]["decision"], &log[0]["failure"]), (&"reject".into(), &"SessionLost".into()));
}
