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
/// * So are `Content_Length` and `Transfer_Encoding`, see [`HeadError::FramingAlias`].
///
/// # Errors
///
/// Any other combination, with status 400; 501 where only an unknown coding is the matter (RFC 9112 §6.1).
pub fn request_framing(head: &Request) -> Result<Framing, HeadError> {
    let seen = Seen::of(head.fields())?;
    if head.fields().iter().any(|field| field.known == Name::Other && is_alias(field.name)) {
        return Err(HeadError::FramingAlias);
    }
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
        let last = |(count, _): (usize, _), value| (count + 1, Some(value));
        let (lengths, length) = fields.all_known(Name::ContentLength).fold((0, None), last);
        let (codings, coding) = fields.all_known(Name::TransferEncoding).fold((0, None), last);
        let seen = Self { length, coding };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, lines: &[(&str, &str)]) -> Result<Framing, HeadError> {
        let mut head = Request::new();
        head.start(version, b"POST", b"/");
        for (name, value) in lines {
            head.fields_mut().push(name.as_bytes(), value.as_bytes());
        }
        request_framing(&head)
    }

    fn response(status: u16, lines: &[(&str, &str)]) -> Result<Framing, HeadError> {
        let mut head = Response::new();
        head.start(Version::Http11, status, b"");
        for (name, value) in lines {
            head.fields_mut().push(name.as_bytes(), value.as_bytes());
        }
        response_framing(&head, b"POST")
    }

    const CL: &str = "Content-Length";
    const TE: &str = "Transfer-Encoding";

    #[test]
    fn sound_requests_are_framed() {
        assert_eq!(request(Version::Http11, &[]), Ok(Framing::Empty));
        assert_eq!(request(Version::Http11, &[(CL, "0")]), Ok(Framing::Length(0)));
        assert_eq!(request(Version::Http10, &[(CL, "12")]), Ok(Framing::Length(12)));
        assert_eq!(request(Version::Http11, &[(CL, "9223372036854775807")]), Ok(Framing::Length(i64::MAX as u64)));
        assert_eq!(request(Version::Http11, &[(TE, "chunked")]), Ok(Framing::Chunked));
        assert_eq!(request(Version::Http11, &[("transfer-encoding", "Chunked")]), Ok(Framing::Chunked));
    }

    #[test]
    fn a_length_is_plain_decimal() {
        for value in [
            "",
            "+5",
            "-0",
            "-1",
            "0x5",
            "0o5",
            "1_0",
            "1 0",
            "5,",
            "5;",
            "5.0",
            "1e1",
            "abc",
            "00",
            "005",
            "9223372036854775808",
            "99999999999999999999",
            "\u{665}",
        ] {
            assert_eq!(request(Version::Http11, &[(CL, value)]).map_err(|error| error.status()), Err(400), "{value}");
        }
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        for lines in [
            &[(CL, "5"), (CL, "6")][..],
            &[(CL, "5"), ("content-length", "5")],
            &[(CL, "5, 5")],
            &[(CL, "5"), (TE, "chunked")],
            &[(TE, "chunked"), (CL, "5")],
            &[(TE, "identity"), (CL, "5")],
            &[(TE, ""), (CL, "5")],
            &[(TE, "")],
            &[(TE, ",")],
            &[(TE, ", chunked")],
            &[(TE, "chunked,")],
            &[(TE, "chunked, chunked")],
            &[(TE, "chunked, gzip")],
            &[(TE, "chunked;q=1")],
            &[(TE, "chunked x")],
            &[(TE, "chunked"), (TE, "chunked")],
            &[(TE, "gzip"), (TE, "chunked")],
            &[("Content_Length", "5")],
            &[("transfer_encoding", "chunked")],
        ] {
            assert_eq!(request(Version::Http11, lines).map_err(|error| error.status()), Err(400), "{lines:?}");
        }
        assert_eq!(request(Version::Http10, &[(TE, "chunked")]), Err(HeadError::TransferEncoding));
    }

    #[test]
    fn other_codings_are_not_offered() {
        for value in ["gzip", "gzip, chunked", "identity", "xchunked", "\"chunked\"", "deflate;q=1"] {
            assert_eq!(request(Version::Http11, &[(TE, value)]).map_err(|error| error.status()), Err(501), "{value}");
        }
    }

    #[test]
    fn responses_without_a_body_have_none_whatever_their_fields_say() {
        for status in [100, 103, 204, 304] {
            assert_eq!(response(status, &[(CL, "5")]), Ok(Framing::Empty));
        }
        let mut head = Response::new();
        head.start(Version::Http11, 200, b"");
        head.fields_mut().push(b"Content-Length", b"5");
        assert_eq!(response_framing(&head, b"HEAD"), Ok(Framing::Empty));
        assert_eq!(response_framing(&head, b"head"), Ok(Framing::Length(5)));
    }

    #[test]
    fn responses_end_by_length_chunks_or_close() {
        assert_eq!(response(200, &[]), Ok(Framing::Close));
        assert_eq!(response(500, &[(CL, "0005")]), Ok(Framing::Length(5)));
        assert_eq!(response(200, &[(TE, "chunked")]), Ok(Framing::Chunked));
        for lines in [
            &[(CL, "5"), (TE, "chunked")][..],
            &[(CL, "5"), (CL, "6")],
            &[(CL, "5,6")],
            &[(TE, "gzip")],
            &[(TE, "chunked, chunked")],
            &[(CL, "+5")],
        ] {
            assert!(response(200, lines).is_err(), "{lines:?}");
        }
    }
}
