//! Heads of requests (RFC 9112 §3, §5).

use std::mem::MaybeUninit;
use std::ops::Range;

use httparse::Header;

use super::bytes::is_token;
use super::search::METHOD_BYTES_MAX;
use super::{HeadError, HeadLimits, HeadSearch, target};
use crate::head::{Name, Request, Version};

/// Reads the head of a request from the begin of `buf`.
///
/// `None`: the head is not whole yet. `Some(n)`: it is in `head`, and the body or the next request begins at `buf[n]`. A few empty
/// lines before the request line are skipped (RFC 9112 §2.2) and count in `n`. Where a head may arrive in pieces, use
/// [`HeadSearch::request`]: this function searches from the start each time.
///
/// How long the body is, and whether the fields that say so are sound, is the question of
/// [`request_framing`](super::request_framing), which must be asked before anything is passed on.
///
/// # Errors
///
/// A head that is refused, often before it is whole. `head` is then undefined.
pub fn parse_request(buf: &[u8], limits: &HeadLimits, head: &mut Request) -> Result<Option<usize>, HeadError> {
    HeadSearch::default().request(buf, limits, head)
}

/// Reads a whole head, of which every line is known to end with CRLF.
pub(super) fn parse_whole(buf: &[u8], limits: &HeadLimits, head: &mut Request) -> Result<(), HeadError> {
    let mut table = [const { MaybeUninit::<Header<'_>>::uninit() }; HeadLimits::FIELDS_MAX];
    let room = limits.fields.min(HeadLimits::FIELDS_MAX);
    let mut parsed = httparse::Request::new(&mut []);
    let status = parsed.parse_with_uninit_headers(buf, &mut table[..room]);
    let (Ok(_), Some(method), Some(target), Some(version)) = (status, parsed.method, parsed.path, parsed.version)
    else {
        return Err(explain(buf, limits, status.err()));
    };
    let (method, target) = (method.as_bytes(), target.as_bytes());
    check_parts(method, target, limits)?;
    let version = if version == 0 { Version::Http10 } else { Version::Http11 };
    head.start_with(version, buf, place(buf, method), place(buf, target));
    for header in &*parsed.headers {
        head.fields_mut().push_placed(place(buf, header.name.as_bytes()), place(buf, header.value));
    }
    check_host(head)
}

/// Judges a request line alone, without its CRLF.
pub(super) fn check_line(line: &[u8], limits: &HeadLimits) -> Result<(), HeadError> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(HeadError::RequestLine);
    };
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err(HeadError::RequestLine);
    }
    match version {
        b"HTTP/1.1" | b"HTTP/1.0" => check_parts(method, target, limits),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(HeadError::Version)
        }
        _ => Err(HeadError::RequestLine),
    }
}

fn check_parts(method: &[u8], target: &[u8], limits: &HeadLimits) -> Result<(), HeadError> {
    if method.len() > METHOD_BYTES_MAX {
        return Err(HeadError::RequestLine);
    }
    if target.len() > limits.target_bytes {
        return Err(HeadError::TargetTooLong { limit: limits.target_bytes });
    }
    if method == b"CONNECT" || method == b"TRACE" {
        return Err(HeadError::Method);
    }
    target::check(method, target)
}

/// RFC 9112 §3.2: exactly one `Host` in HTTP/1.1, at most one in HTTP/1.0, and a valid one.
pub(super) fn check_host(head: &Request) -> Result<(), HeadError> {
    let mut hosts = head.fields().all_known(Name::Host);
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => Err(HeadError::HostRepeated),
        (Some(host), None) if target::valid_authority(host) => Ok(()),
        (Some(_), None) => Err(HeadError::HostInvalid),
        (None, None) if head.version == Version::Http10 => Ok(()),
        (None, None) => Err(HeadError::HostMissing),
    }
}

/// What was wrong with a head that the parser refused.
fn explain(buf: &[u8], limits: &HeadLimits, error: Option<httparse::Error>) -> HeadError {
    if error == Some(httparse::Error::TooManyHeaders) {
        return HeadError::TooManyFields { limit: limits.fields };
    }
    let end = memchr::memchr(b'\r', buf).unwrap_or(buf.len());
    match check_line(&buf[..end], limits) {
        Err(error) => error,
        Ok(()) => HeadError::Field,
    }
}

/// Where `part` lies in `buf`, of which it is a piece.
pub(super) fn place(buf: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(buf.as_ptr() as usize).min(buf.len());
    start..(start + part.len()).min(buf.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<Option<usize>, HeadError> {
        parse_request(text, &HeadLimits::default(), &mut Request::new())
    }

    fn refuses(text: &str, expected: HeadError) {
        assert_eq!(parse(text.as_bytes()), Err(expected), "{text:?}");
    }

    /// With a sound `Host` and the end of the head.
    fn field(line: &str) -> String {
        format!("GET / HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n")
    }

    #[test]
    fn a_head_is_kept_as_it_came() {
        let text = b"\r\n\r\nPOST /a?b HTTP/1.0\r\nx-A:\t1 2\t\r\nX-a:\r\nx-\xFF: 3\r\n\r\nrest"
            .map(|byte| if byte == 0xFF { b'b' } else { byte });
        let mut head = Request::new();
        assert_eq!(parse_request(&text, &HeadLimits::default(), &mut head), Ok(Some(text.len() - 4)));
        assert_eq!((head.version, head.method(), head.target()), (Version::Http10, &b"POST"[..], &b"/a?b"[..]));
        let fields: Vec<_> = head.fields().iter().map(|field| (field.name, field.value)).collect();
        assert_eq!(fields, [(&b"x-A"[..], &b"1 2"[..]), (b"X-a", b""), (b"x-b", b"3")]);
    }

    #[test]
    fn values_may_hold_any_byte_but_control_bytes() {
        for byte in 0..=255u8 {
            let mut text = b"GET / HTTP/1.1\r\nHost: h\r\nA: b".to_vec();
            text.extend_from_slice(&[byte, b'c']);
            text.extend_from_slice(b"\r\n\r\n");
            let is_text = byte == b'\t' || (byte >= b' ' && byte != 0x7F);
            assert_eq!(parse(&text).is_ok(), is_text, "{byte:#x}");
        }
    }

    #[test]
    fn names_are_tokens_right_before_the_colon() {
        for line in
            ["A : 1", " A: 1", "\tA: 1", ": 1", "A", "A\u{e9}: 1", "A[: 1", "A\tB: 1", "A B: 1", "\"A\": 1", "A\0: 1"]
        {
            refuses(&field(line), HeadError::Field);
        }
        assert!(parse(field("!#$%&'*+-.^_`|~09azAZ:1").as_bytes()).is_ok());
    }

    #[test]
    fn lines_end_with_crlf_and_are_never_folded() {
        refuses("GET / HTTP/1.1\nHost: h\r\n\r\n", HeadError::BareLf);
        refuses(&field("A: 1\nB: 2"), HeadError::BareLf);
        refuses("GET / HTTP/1.1\r\nHost: h\r\n\n", HeadError::BareLf);
        refuses("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::BareLf);
        refuses(&field("A: 1\rB: 2"), HeadError::Field);
        refuses(&field("A: 1\r\r"), HeadError::Field);
        refuses(&field("A: 1\r\n 2"), HeadError::Field);
        refuses(&field("A: 1\r\n\t2"), HeadError::Field);
        refuses("GET / HTTP/1.1\r\n Host: h\r\n\r\n", HeadError::Field);
    }

    #[test]
    fn a_request_line_has_three_parts_and_two_spaces() {
        for line in [
            "GET /",
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET\t/ HTTP/1.1",
            "GET /a b HTTP/1.1",
            "GET HTTP/1.1",
            " GET / HTTP/1.1",
            "G\u{e9}T / HTTP/1.1",
            "GE(T / HTTP/1.1",
            "GET / http/1.1",
            "GET / HTTP/1",
            "GET / HTTP/1.",
            "GET / HTTP/01.01",
            "GET / HTTP/ 1.1",
            "GET / HTTP/1.1x",
            "GET / HTTP/11",
            "GET / HTTP/1,1",
            "/ HTTP/1.1",
            "\0",
        ] {
            refuses(&format!("{line}\r\nHost: h\r\n\r\n"), HeadError::RequestLine);
        }
        let long = "M".repeat(65);
        refuses(&format!("{long} / HTTP/1.1\r\nHost: h\r\n\r\n"), HeadError::RequestLine);
        assert!(parse(b"get / HTTP/1.1\r\nHost: h\r\n\r\n").is_ok());
    }

    #[test]
    fn only_http_1_0_and_1_1_are_spoken() {
        for version in ["0.9", "1.2", "2.0", "9.9"] {
            refuses(&format!("GET / HTTP/{version}\r\nHost: h\r\n\r\n"), HeadError::Version);
        }
        refuses("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HeadError::Version);
        assert_eq!(HeadError::Version.status(), 505);
    }

    #[test]
    fn http_1_1_has_one_valid_host() {
        refuses("GET / HTTP/1.1\r\n\r\n", HeadError::HostMissing);
        refuses("GET http://h/ HTTP/1.1\r\n\r\n", HeadError::HostMissing);
        refuses(&field("host: h"), HeadError::HostRepeated);
        for host in ["", "a, b", "u@h", "h/x", "h:99999", "h x"] {
            refuses(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), HeadError::HostInvalid);
            refuses(&format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n"), HeadError::HostInvalid);
        }
        assert!(parse(b"GET / HTTP/1.0\r\n\r\n").is_ok());
    }

    #[test]
    fn tunnels_and_echoes_are_not_offered() {
        refuses("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", HeadError::Method);
        refuses("TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::Method);
        assert_eq!(HeadError::Method.status(), 501);
    }

    #[test]
    fn heads_are_bounded() {
        let limits = HeadLimits { head_bytes: 200, fields: 3, target_bytes: 100 };
        let check = |text: String| {
            let whole = parse_request(text.as_bytes(), &limits, &mut Request::new());
            // Byte by byte the same, and not later than at the limit.
            let mut search = HeadSearch::default();
            let mut head = Request::new();
            let piecewise = (1..=text.len())
                .map(|end| search.request(&text.as_bytes()[..end], &limits, &mut head))
                .find(|result| *result != Ok(None));
            assert_eq!(piecewise, Some(whole), "{text}");
            whole
        };
        let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(length - 1));
        assert!(check(target(100)).is_ok());
        assert_eq!(check(target(101)), Err(HeadError::TargetTooLong { limit: 100 }));
        assert_eq!(check(target(1000)), Err(HeadError::TargetTooLong { limit: 100 }));
        assert_eq!(check(field(&format!("A: {}", "a".repeat(500)))), Err(HeadError::TooLarge { limit: 200 }));
        assert!(check(field("A: 1\r\nB: 2")).is_ok());
        assert_eq!(check(field("A: 1\r\nB: 2\r\nC: 3")), Err(HeadError::TooManyFields { limit: 3 }));
        assert_eq!(check("M".repeat(500)), Err(HeadError::RequestLine));
        assert_eq!(check("\r\n".repeat(50)), Err(HeadError::RequestLine));
    }
}
