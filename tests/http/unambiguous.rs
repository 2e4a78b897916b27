//! What leaves for a node can be read in one way only, even by a parser that takes anything.

use castile::head::Request;
use castile::proxy::forwarding::{HostPolicy, Onward, Policy, Scheme, request};
use castile::proxy::h1::{HeadLimits, parse_request, request_framing, write_request_head};

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
    };
    request(&mut head, policy, &onward, &mut Default::default());
    let mut out = Vec::new();
    write_request_head(&head, &mut out);
    Some(out)
}

/// # Panics
///
/// Where a lenient parser could see something else than we do.
pub fn check_unambiguous(head: &[u8]) {
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
    let mut parsed = Request::new();
    assert_eq!(parse_request(head, &HeadLimits::default(), &mut parsed), Ok(Some(head.len())), "{text:?}");
    let mut out = Vec::new();
    write_request_head(&parsed, &mut out);
    assert_eq!(out, head, "{text:?}");
}

/// What may be configured.
pub fn policies() -> [Policy; 3] {
    let base = Policy { client_cert_header: Some(b"X-Client-Cert".as_slice().into()), ..Policy::default() };
    [
        base.clone(),
        Policy { host: HostPolicy::Node, strip_prefix: b"/a".as_slice().into(), ..base.clone() },
        Policy { add_prefix: b"/app".as_slice().into(), ..base },
    ]
}

/// Forwards `input` under every policy.
///
/// # Panics
///
/// As [`check_unambiguous`].
pub fn check(input: &[u8]) {
    for policy in policies() {
        for trusted in [false, true] {
            if let Some(head) = forward(input, &policy, trusted) {
                check_unambiguous(&head);
            }
        }
    }
}
