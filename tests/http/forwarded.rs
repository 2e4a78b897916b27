//! What leaves for a node can be read in one way only, even by a parser that takes anything.

use castile::head::Request;
use castile::proxy::forwarding::{HostPolicy, Onward, Policy, Scheme, request, trailers};
use castile::proxy::h1::{HeadLimits, parse_request, request_framing, write_request_head};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::hyper_server;
use crate::reading::{Side, read};

/// The head for the node, if we accept the one of the client.
fn forward(input: &[u8], policy: &Policy, trusted: bool) -> Option<Vec<u8>> {
    let mut head = Request::new();
    parse_request(input, &HeadLimits::default(), &mut head).ok()??;
    request_framing(&head).ok()?;
    let onward = Onward {
        peer: "192.0.2.1:9".parse().expect("an address"),
        scheme: Scheme::Https,
        trusted,
        node_authority: b"node:80",
        client_cert: Some(b"certificate"),
        request_id: Some(b"id"),
    };
    request(&mut head, policy, &onward);
    let mut out = Vec::new();
    write_request_head(&head, &mut out);
    Some(out)
}

/// # Panics
///
/// Where a lenient parser could see something else than we do.
fn check_unambiguous(head: &[u8]) {
    let text = String::from_utf8_lossy(head);
    let body = head.strip_suffix(b"\r\n\r\n").expect("ends with an empty line");
    assert!(memchr::memmem::find(body, b"\r\n\r\n").is_none(), "{text:?}");
    let lines: Vec<_> =
        body.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    assert_eq!(lines.join(&b"\r\n"[..]), body, "bare LF in {text:?}");
    let mut framing = 0;
    let mut hosts = 0;
    for (index, line) in lines.iter().enumerate() {
        assert!(line.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7F)), "{text:?}");
        if index == 0 {
            assert_eq!(line.iter().filter(|byte| **byte == b' ').count(), 2, "{text:?}");
            assert!(line.is_ascii() && line.ends_with(b" HTTP/1.1"), "{text:?}");
            continue;
        }
        let colon = memchr::memchr(b':', line).expect("a field has a colon");
        // As the most lenient server reads it: any case, underscores for hyphens, white space anywhere.
        let name: Vec<u8> = line[..colon]
            .iter()
            .filter(|byte| byte.is_ascii_graphic())
            .map(|byte| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() })
            .collect();
        assert!(!name.is_empty() && name.len() == colon, "{text:?}");
        match name.as_slice() {
            b"content-length" => {
                framing += 1;
                let value = line[colon + 1..].trim_ascii();
                assert!(
                    value.iter().all(u8::is_ascii_digit)
                        && (value == b"0" || value.first().is_some_and(|digit| *digit != b'0')),
                    "{text:?}"
                );
            }
            b"transfer-encoding" => {
                framing += 1;
                assert_eq!(&line[colon + 1..], b" chunked", "{text:?}");
            }
            b"host" => hosts += 1,
            b"connection" | b"upgrade" | b"te" | b"keep-alive" | b"proxy-connection" | b"http2-settings" => {
                panic!("hop-by-hop in {text:?}")
            }
            b"x-client-cert" => assert_eq!(&line[colon + 1..], b" certificate", "{text:?}"),
            _ => {}
        }
    }
    assert!(framing <= 1, "{text:?}");
    assert_eq!(hosts, 1, "{text:?}");
    // And we ourselves read it as we wrote it.
    let again = read(Side::Requests, head, &[]);
    let mut parsed = Request::new();
    assert_eq!(parse_request(head, &HeadLimits::default(), &mut parsed), Ok(Some(head.len())), "{text:?} {again:?}");
    let mut out = Vec::new();
    write_request_head(&parsed, &mut out);
    assert_eq!(out, head, "{text:?}");
}

fn policies() -> [Policy; 3] {
    let base = Policy { client_cert_header: Some(b"X-Client-Cert".as_slice().into()), ..Policy::default() };
    [
        base.clone(),
        Policy { host: HostPolicy::Node, strip_prefix: b"/a".as_slice().into(), ..base.clone() },
        Policy {
            request_id_header: Some(b"X-Request-ID".as_slice().into()),
            add_prefix: b"/app".as_slice().into(),
            ..base
        },
    ]
}

fn check(input: &[u8]) {
    for policy in policies() {
        for trusted in [false, true] {
            if let Some(head) = forward(input, &policy, trusted) {
                check_unambiguous(&head);
            }
        }
    }
}

#[test]
fn probes_reach_nodes_without_ambiguity() {
    for (_, input) in crate::probes::probes() {
        check(&input);
    }
}

/// Fields that matter to proxies and servers, with values that tempt them.
fn tempting_field() -> impl Strategy<Value = String> {
    let names = vec![
        "Content-Length",
        "content_length",
        "Transfer-Encoding",
        "Transfer_Encoding",
        "Connection",
        "Host",
        "X-Forwarded-For",
        "X_Forwarded_For",
        "Forwarded",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Client-Cert",
        "x_client_cert",
        "X-Request-ID",
        "Via",
        "TE",
        "Trailer",
        "Upgrade",
        "Cookie",
    ];
    let values = prop_oneof![
        "[ -~\u{e9}\t]{0,16}",
        Just("chunked".to_owned()),
        Just("5".to_owned()),
        Just("for=\"[::1]:1\";host=\"a\\\"b\";proto=https, for=x".to_owned()),
        Just("1.2.3.4, 5.6.7.8".to_owned()),
        Just("host, x-client-cert, content-length, transfer-encoding".to_owned()),
    ];
    (proptest::sample::select(names), values).prop_map(|(name, value)| format!("{name}: {value}\r\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn requests_reach_nodes_without_ambiguity(input in hyper_server::request()) {
        check(&input);
    }

    #[test]
    fn tempting_fields_reach_nodes_without_ambiguity(fields in vec(tempting_field(), 0..6), target in "(/|http://h)[a-z/?]{0,6}") {
        check(format!("POST {target} HTTP/1.1\r\nHost: h\r\n{}\r\n", fields.concat()).as_bytes());
    }
}

#[test]
fn trailers_forge_nothing() {
    let mut fields = castile::head::Fields::default();
    for name in ["X-Client-Cert", "x_forwarded_for", "Forwarded", "X-Real-IP", "X-Request-ID", "X-Sum"] {
        fields.push(name.as_bytes(), b"1");
    }
    trailers(&mut fields, &policies()[2]);
    assert_eq!(crate::reading::lines(&fields), [(b"X-Sum".to_vec(), b"1".to_vec())]);
}
