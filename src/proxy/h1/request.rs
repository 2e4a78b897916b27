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
fn check_host(head: &Request) -> Result<(), HeadError> {
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
