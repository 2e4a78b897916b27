//! Heads of responses (RFC 9112 §4, §5).

use std::mem::MaybeUninit;

use httparse::Header;

use super::request::place;
use super::{HeadError, HeadLimits, HeadSearch};
use crate::head::{Name, Response, Version};

/// Reads the head of a response, interim or final, from the begin of `buf`.
///
/// `None`: the head is not whole yet. `Some(n)`: it is in `head`, and what follows begins at `buf[n]`. Where a head may arrive in
/// pieces, use [`HeadSearch::response`].
///
/// The reason phrase is kept as it came: it may be empty, thousands of bytes long (Axis2 puts fault texts there), or
/// hold bytes above 0x7F. Repeated `Content-Length` lines with one value are kept once (RFC 9110 §8.6); servlet filters
/// write them.
///
/// # Errors
///
/// A head that is refused, often before it is whole. `head` is then undefined.
pub fn parse_response(buf: &[u8], limits: &HeadLimits, head: &mut Response) -> Result<Option<usize>, HeadError> {
    HeadSearch::default().response(buf, limits, head)
}

/// Reads a whole head, of which every line is known to end with CRLF.
pub(super) fn parse_whole(buf: &[u8], limits: &HeadLimits, head: &mut Response) -> Result<(), HeadError> {
    let mut table = [const { MaybeUninit::<Header<'_>>::uninit() }; HeadLimits::FIELDS_MAX];
    let room = limits.fields.min(HeadLimits::FIELDS_MAX);
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let outcome = config.parse_response_with_uninit_headers(&mut parsed, buf, &mut table[..room]);
    let (Ok(_), Some(status), Some(version)) = (outcome, parsed.code, parsed.version) else {
        return Err(match outcome {
            Err(httparse::Error::TooManyHeaders) => HeadError::TooManyFields { limit: limits.fields },
            Err(httparse::Error::Version) => HeadError::Version,
            Err(httparse::Error::HeaderName | httparse::Error::HeaderValue | httparse::Error::NewLine) => {
                HeadError::Field
            }
            _ => HeadError::StatusLine,
        });
    };
    if !(100..=999).contains(&status) {
        return Err(HeadError::StatusLine);
    }
    if status == 101 {
        return Err(HeadError::Switching);
    }
    // Not the parser's reason phrase: it is empty where a byte above 0x7F stands in it.
    let line_end = memchr::memchr(b'\r', buf).unwrap_or(buf.len());
    let reason_start = "HTTP/1.1 200 ".len().min(line_end);
    let version = if version == 0 { Version::Http10 } else { Version::Http11 };
    head.start_with(version, status, buf, reason_start..line_end);
    for header in &*parsed.headers {
        head.fields_mut().push_placed(place(buf, header.name.as_bytes()), place(buf, header.value));
    }
    merge_equal_lengths(head);
    Ok(())
}

/// Drops `Content-Length` lines that say what the first one says.
fn merge_equal_lengths(head: &mut Response) {
    let mut lengths = head.fields().all_known(Name::ContentLength);
    let first = lengths.next();
    let mut repeated = false;
    let all_equal = lengths.all(|length| {
        repeated = true;
        Some(length) == first
    });
    drop(lengths);
    if repeated && all_equal {
        let mut seen = false;
        head.fields_mut().retain(|field| field.known != Name::ContentLength || !std::mem::replace(&mut seen, true));
    }
}
