//! Heads before and after, as they stand on the wire.

use super::*;
use crate::proxy::h1::{HeadLimits, parse_request, parse_response, write_request_head, write_response_head};

fn onward(trusted: bool) -> Onward<'static> {
    Onward {
        peer: "9.9.9.9:1234".parse().expect("an address"),
        scheme: Scheme::Http,
        trusted,
        node_authority: b"10.0.0.11:8080",
        client_cert: None,
    }
}

fn send(request_text: &str, policy: &Policy, onward: &Onward<'_>) -> String {
    let raw = format!("{}\r\n\r\n", request_text.replace('\n', "\r\n"));
    let mut head = Request::new();
    let length = parse_request(raw.as_bytes(), &HeadLimits::default(), &mut head).expect("valid").expect("whole");
    assert_eq!(length, raw.len());
    request(&mut head, policy, onward, &mut Stamp::default());
    let mut out = Vec::new();
    write_request_head(&head, &mut out);
    String::from_utf8(out).expect("ASCII").replace("\r\n", "\n").trim_end().to_owned()
}

/// Without the lines that tell of the client.
fn quiet(text: &str) -> String {
    let told = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "Forwarded", "Via"];
    let is_told = |line: &&str| !told.iter().any(|name| line.starts_with(name));
    text.lines().filter(is_told).collect::<Vec<_>>().join("\n")
}

fn check(before: &str, after: &str) {
    assert_eq!(quiet(&send(before, &Policy::default(), &onward(false))), after, "{before}");
}

#[test]
fn fields_keep_order_case_and_bytes() {
    check(
        "POST /a HTTP/1.1\nhOST: h\nX-b:  1 \nx-B: 2\nContent-LENGTH: 3\nX-b: 3",
        "POST /a HTTP/1.1\nhOST: h\nX-b: 1\nx-B: 2\nContent-LENGTH: 3\nX-b: 3",
    );
}

#[test]
fn the_node_hears_who_the_client_is() {
    assert_eq!(
        send("GET / HTTP/1.1\nHost: h:81", &Policy::default(), &onward(false)),
        "GET / HTTP/1.1\nHost: h:81\nX-Forwarded-For: 9.9.9.9\nX-Forwarded-Proto: http\nX-Forwarded-Host: h:81\n\
         X-Forwarded-Port: 81\nForwarded: for=9.9.9.9;host=\"h:81\";proto=http\nVia: 1.1 castile"
    );
    let ipv6 = Onward { peer: "[2001:db8::1]:5".parse().expect("an address"), scheme: Scheme::Https, ..onward(false) };
    assert_eq!(
        send("GET / HTTP/1.1\nHost: h", &Policy::default(), &ipv6),
        "GET / HTTP/1.1\nHost: h\nX-Forwarded-For: 2001:db8::1\nX-Forwarded-Proto: https\nX-Forwarded-Host: h\n\
         X-Forwarded-Port: 443\nForwarded: for=\"[2001:db8::1]\";host=h;proto=https\nVia: 1.1 castile"
    );
}

#[test]
fn what_an_untrusted_peer_says_about_itself_is_replaced() {
    let after = send(
        "GET / HTTP/1.1\nHost: h\nX-Forwarded-For: 6.6.6.6\nX-Forwarded-Proto: https\nForwarded: for=6.6.6.6\n\
         X_Forwarded_For: 6.6.6.6\nX-Forwarded-Prefix: /x\nX-Real-IP: 6.6.6.6\nx-forwarded-host: evil",
        &Policy::default(),
        &onward(false),
    );
    assert_eq!(after, send("GET / HTTP/1.1\nHost: h", &Policy::default(), &onward(false)));
}

#[test]
fn what_a_trusted_peer_says_stays_and_the_peer_is_added() {
    let after = send(
        "GET / HTTP/1.1\nHost: h\nX-Forwarded-For: 1.1.1.1\nx-forwarded-for: 2.2.2.2\nX-Forwarded-Proto: https\n\
         X-Forwarded-Host: public\nForwarded: for=1.1.1.1;proto=https",
        &Policy::default(),
        &onward(true),
    );
    assert_eq!(
        after,
        "GET / HTTP/1.1\nHost: h\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 9.9.9.9\nX-Forwarded-Proto: https\n\
         X-Forwarded-Host: public\nForwarded: for=1.1.1.1;proto=https, for=9.9.9.9;host=h;proto=http\n\
         X-Forwarded-Port: 443\nVia: 1.1 castile"
    );
}

#[test]
fn one_notation_is_translated_into_the_other() {
    let after = send(
        "GET / HTTP/1.1\nHost: h\nX-Forwarded-For: 1.1.1.1, unknown\nX-Forwarded-Proto: https",
        &Policy::default(),
        &onward(true),
    );
    assert!(after.contains("\nForwarded: for=1.1.1.1;host=h;proto=https, for=unknown, for=9.9.9.9\n"), "{after}");
    let after = send(
        "GET / HTTP/1.1\nHost: h\nForwarded: for=\"[::1]:7\";proto=https;host=\"public:8443\"",
        &Policy::default(),
        &onward(true),
    );
    assert!(after.contains("\nX-Forwarded-For: ::1, 9.9.9.9\n"), "{after}");
    assert!(
        after.contains("\nX-Forwarded-Proto: https\nX-Forwarded-Host: public:8443\nX-Forwarded-Port: 8443\n"),
        "{after}"
    );
}

#[test]
fn hop_by_hop_fields_go_and_end_to_end_fields_cannot_be_nominated_away() {
    check(
        "POST / HTTP/1.1\nHost: h\nConnection: Upgrade, HTTP2-Settings, x-hop, host, cookie\nUpgrade: h2c\nHTTP2-Settings: AA\n\
         X-Hop: 1\nKeep-Alive: 5\nProxy-Connection: keep-alive\nTE: trailers\nTrailer: X-T\nCookie: a=1\nConnection: content-length\n\
         Content-Length: 0",
        "POST / HTTP/1.1\nHost: h\nTrailer: X-T\nCookie: a=1\nContent-Length: 0",
    );
}

#[test]
fn chunked_stays_where_it_stood() {
    check(
        "POST / HTTP/1.1\nTransfer-Encoding: CHUNKED\nHost: h",
        "POST / HTTP/1.1\nTransfer-Encoding: chunked\nHost: h",
    );
}

#[test]
fn an_absolute_target_becomes_a_path_and_its_authority_the_host() {
    check("GET http://a:1/x?y HTTP/1.1\nHost: b", "GET /x?y HTTP/1.1\nHost: a:1");
    check("GET http://a HTTP/1.1\nHost: b", "GET / HTTP/1.1\nHost: a");
    check("GET http://a?q HTTP/1.1\nHost: b", "GET /?q HTTP/1.1\nHost: a");
    check("OPTIONS * HTTP/1.1\nHost: b", "OPTIONS * HTTP/1.1\nHost: b");
}

#[test]
fn http_1_0_becomes_1_1_with_a_host_and_without_expectations() {
    check(
        "POST / HTTP/1.0\nExpect: 100-continue\nConnection: keep-alive\nContent-Length: 1",
        "POST / HTTP/1.1\nHost: 10.0.0.11:8080\nContent-Length: 1",
    );
    check("GET http://a/ HTTP/1.0", "GET / HTTP/1.1\nHost: a");
    assert!(send("GET / HTTP/1.0", &Policy::default(), &onward(false)).ends_with("\nVia: 1.0 castile"));
}

#[test]
fn the_host_is_passed_or_replaced_as_configured() {
    let node = Policy { host: HostPolicy::Node, ..Policy::default() };
    assert!(send("GET / HTTP/1.1\nHost: h", &node, &onward(false)).contains("\nHost: 10.0.0.11:8080\nX-Forwarded-For"));
    let named = Policy { host: HostPolicy::Name(b"n".as_slice().into()), via: Via::Off, ..Policy::default() };
    let after = send("GET / HTTP/1.1\nHost: h", &named, &onward(false));
    assert!(
        after.contains("\nHost: n\n") && after.contains("\nX-Forwarded-Host: h\n") && !after.contains("Via"),
        "{after}"
    );
}

#[test]
fn a_clients_certificate_field_never_comes_from_the_client() {
    let policy = Policy { client_cert_header: Some(b"X-Client-Cert".as_slice().into()), ..Policy::default() };
    let forged = "GET / HTTP/1.1\nHost: h\nConnection: X-Client-Cert\nx-client-cert: forged\nX_Client_Cert: forged";
    for trusted in [false, true] {
        assert!(!send(forged, &policy, &onward(trusted)).to_lowercase().contains("cert"));
    }
    let with = Onward { client_cert: Some(b"real"), ..onward(false) };
    assert!(send(forged, &policy, &with).contains("\nX-Client-Cert: real\n"));
    let mut trailer = Fields::default();
    trailer.push(b"X-CLIENT-CERT", b"forged");
    trailer.push(b"X-Checksum", b"1");
    trailers(&mut trailer, &policy);
    assert_eq!(trailer.len(), 1);
}

#[test]
fn prefixes_are_stripped_and_told_then_added() {
    let policy =
        Policy { strip_prefix: b"/ext".as_slice().into(), add_prefix: b"/app".as_slice().into(), ..Policy::default() };
    let after = send("GET /ext/a?b HTTP/1.1\nHost: h", &policy, &onward(false));
    assert!(after.starts_with("GET /app/a?b HTTP/1.1\n") && after.contains("\nX-Forwarded-Prefix: /ext\n"), "{after}");
    let after = send("GET /extra HTTP/1.1\nHost: h", &policy, &onward(false));
    assert!(after.starts_with("GET /app/extra HTTP/1.1\n") && !after.contains("Prefix"), "{after}");
}

fn back(response_text: &str, policy: &Policy) -> String {
    let raw = format!("{}\r\n\r\n", response_text.replace('\n', "\r\n"));
    let mut head = Response::new();
    parse_response(raw.as_bytes(), &HeadLimits::default(), &mut head).expect("valid").expect("whole");
    response(&mut head, policy);
    let mut out = Vec::new();
    write_response_head(&head, Version::Http11, &mut out);
    String::from_utf8(out).expect("ASCII").replace("\r\n", "\n").trim_end().to_owned()
}

#[test]
fn answers_lose_what_concerns_the_nodes_connection() {
    let before = "HTTP/1.0 200 Fine so far\nset-cookie: a=1\nConnection: close\nServer: x\nSet-Cookie: b=2\nKeep-Alive: timeout=5";
    let after = "HTTP/1.1 200 Fine so far\nset-cookie: a=1\nServer: x\nSet-Cookie: b=2";
    assert_eq!(back(before, &Policy::default()), after);
    let both = Policy { via: Via::Both, ..Policy::default() };
    assert_eq!(back(before, &both), format!("{after}\nVia: 1.0 castile"));
}

#[test]
fn answers_without_a_body_promise_none() {
    assert_eq!(back("HTTP/1.1 204 No\nContent-Length: 0", &Policy::default()), "HTTP/1.1 204 No");
    assert_eq!(back("HTTP/1.1 100 Go\nTransfer-Encoding: chunked", &Policy::default()), "HTTP/1.1 100 Go");
    assert_eq!(
        back("HTTP/1.1 304 Same\nContent-Length: 9\nTransfer-Encoding: chunked", &Policy::default()),
        "HTTP/1.1 304 Same\nContent-Length: 9"
    );
    assert_eq!(
        back("HTTP/1.1 200\nTransfer-encoding: Chunked", &Policy::default()),
        "HTTP/1.1 200 \nTransfer-encoding: chunked"
    );
}

#[test]
fn framing_is_said_as_the_body_goes_out() {
    let mut fields = Fields::default();
    fields.push(b"content-length", b"5");
    fields.push(b"A", b"1");
    let show = |fields: &Fields| {
        let line = |field: crate::head::Field<'_>| {
            format!("{}={}", String::from_utf8_lossy(field.name), String::from_utf8_lossy(field.value))
        };
        fields.iter().map(line).collect::<Vec<_>>().join(" ")
    };
    set_framing(&mut fields, Framing::Length(7));
    assert_eq!(show(&fields), "content-length=7 A=1");
    set_framing(&mut fields, Framing::Chunked);
    assert_eq!(show(&fields), "A=1 Transfer-Encoding=chunked");
    set_framing(&mut fields, Framing::Close);
    assert_eq!(show(&fields), "A=1");
}
