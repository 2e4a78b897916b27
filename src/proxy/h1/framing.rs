//! Where a body ends: the one rule (RFC 9112 §6.3).

use super::HeadError;
use crate::head::{Fields, Name, Request, Response, Version};

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    Empty,
    /// So many bytes; 0 is a body without bytes, whose length was said.
    Length(u64),
    /// In chunks (RFC 9112 §7.1).
    Chunked,
    /// Until the connection closes. Responses only.
    Close,
}

/// The framing of a request.
///
/// * `Transfer-Encoding` must be one line with the one coding `chunked`, in HTTP/1.1.
/// * `Content-Length` must be one line of decimal digits. Repeated lines and lists are refused even where all values are
///   equal, and so are leading zeros: some servers read `010` as 8.
/// * Both together are refused.
///
/// # Errors
///
/// Any other combination, with status 400; 501 where only an unknown coding is the matter (RFC 9112 §6.1).
pub fn request_framing(head: &Request) -> Result<Framing, HeadError> {
    let seen = Seen::of(head.fields())?;
    match (seen.coding, seen.length) {
        (Some(_), Some(_)) => Err(HeadError::LengthAndCoding),
        (Some(_), None) if head.version == Version::Http10 => Err(HeadError::TransferEncoding),
        (Some(coding), None) => transfer_coding(coding).map(|()| Framing::Chunked),
        (None, Some([b'0', _, ..])) => Err(HeadError::ContentLength),
        (None, Some(length)) => decimal(length).map(Framing::Length),
        (None, None) => Ok(Framing::Empty),
    }
}

/// The framing of a response to a request with this method.
///
/// HEAD, 1xx, 204 and 304 have no body, whatever their fields say.
///
/// # Errors
///
/// `Content-Length` beside `Transfer-Encoding`, several or malformed ones, codings other than `chunked`, any coding in
/// HTTP/1.0.
pub fn response_framing(head: &Response, request_method: &[u8]) -> Result<Framing, HeadError> {
    if request_method == b"HEAD" || head.is_interim() || matches!(head.status, 204 | 304) {
        return Ok(Framing::Empty);
    }
    let seen = Seen::of(head.fields())?;
    match (seen.coding, seen.length) {
        (Some(_), Some(_)) => Err(HeadError::LengthAndCoding),
        (Some(_), None) if head.version == Version::Http10 => Err(HeadError::TransferEncoding),
        (Some(coding), None) => transfer_coding(coding).map(|()| Framing::Chunked),
        (None, Some(length)) => decimal(length).map(Framing::Length),
        (None, None) => Ok(Framing::Close),
    }
}

/// The fields that say where the body ends.
struct Seen<'a> {
    length: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
}

impl<'a> Seen<'a> {
    fn of(fields: &'a Fields) -> Result<Self, HeadError> {
        let mut seen = Self { length: None, coding: None };
        let (mut lengths, mut codings) = (0, 0);
        for field in fields.iter() {
            match field.known {
                Name::ContentLength => {
                    lengths += 1;
                    seen.length = Some(field.value);
                }
                Name::TransferEncoding => {
                    codings += 1;
                    seen.coding = Some(field.value);
                }
                Name::Other if is_alias(field.name) => return Err(HeadError::FramingAlias),
                _ => {}
            }
        }
        if lengths > 0 && codings > 0 {
            Err(HeadError::LengthAndCoding)
        } else if lengths > 1 || seen.length.is_some_and(|length| length.contains(&b',')) {
            Err(HeadError::ContentLengthRepeated)
        } else if codings > 1 {
            Err(HeadError::TransferEncoding)
        } else {
            Ok(seen)
        }
    }
}

/// Whether `name` is a framing field to servers that read `_` as `-`.
fn is_alias(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content_length") || name.eq_ignore_ascii_case(b"transfer_encoding")
}

/// `chunked`, and nothing else. 400 where `chunked` is there but not alone at the end, 501 where other codings are.
fn transfer_coding(value: &[u8]) -> Result<(), HeadError> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).peekable();
    while let Some(coding) = codings.next() {
        let is_last = codings.peek().is_none();
        let name = coding.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next().unwrap_or_default();
        let is_chunked = name.eq_ignore_ascii_case(b"chunked");
        if name.is_empty() || (is_chunked && !(is_last && name.len() == coding.len())) {
            return Err(HeadError::TransferEncoding);
        }
    }
    Err(HeadError::TransferCodingUnknown)
}

/// 1*DIGIT that fits 63 bits: some languages have no larger number.
fn decimal(value: &[u8]) -> Result<u64, HeadError> {
    if value.is_empty() {
        return Err(HeadError::ContentLength);
    }
    let mut number = 0u64;
    for byte in value {
        if !byte.is_ascii_digit() {
            return Err(HeadError::ContentLength);
        }
        number = number
            .checked_mul(10)
            .and_then(|number| number.checked_add(u64::from(byte - b'0')))
            .filter(|number| *number <= i64::MAX as u64)
            .ok_or(HeadError::ContentLength)?;
    }
    Ok(number)
}
