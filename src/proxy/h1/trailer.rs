//! Trailer sections (RFC 9112 §7.1.2).

use super::{BodyDecoder, BodyError};
use crate::head::{Fields, Name};

/// Reads a whole trailer section, its empty line included; forbidden fields are left out.
pub(super) fn parse(raw: &[u8], trailers: &mut Fields) -> Result<(), BodyError> {
    let mut table = [httparse::EMPTY_HEADER; BodyDecoder::TRAILER_FIELDS_MAX];
    match httparse::parse_headers(raw, &mut table) {
        Ok(httparse::Status::Complete((length, headers))) if length == raw.len() => {
            for header in headers {
                if is_allowed(header.name.as_bytes()) {
                    trailers.push(header.name.as_bytes(), header.value);
                }
            }
            Ok(())
        }
        Err(httparse::Error::TooManyHeaders) => Err(BodyError::TrailerTooLarge),
        _ => Err(BodyError::Trailer),
    }
}

/// RFC 9110 §6.5.1: nothing that frames, routes, modifies the request, authenticates or says how to read the content
/// may come after the content. A server that merges trailers into the head would act on it.
fn is_allowed(name: &[u8]) -> bool {
    const FORBIDDEN: &[&str] = &[
        "content_length",
        "transfer_encoding",
        "content-range",
        "content-location",
        "content-disposition",
        "max-forwards",
        "cache-control",
        "pragma",
        "range",
        "proxy-authorization",
        "proxy-authenticate",
        "proxy-authentication-info",
        "authentication-info",
        "set-cookie2",
        "cookie2",
        "age",
        "expires",
        "retry-after",
        "vary",
        "warning",
        "x-real-ip",
        "x-http-method-override",
    ];
    const CONDITIONS: &[u8] = b"if-";
    match Name::of(name) {
        Name::Other => {
            let is_condition = name.get(..CONDITIONS.len()).is_some_and(|start| start.eq_ignore_ascii_case(CONDITIONS));
            !is_condition && !FORBIDDEN.iter().any(|bad| name.eq_ignore_ascii_case(bad.as_bytes()))
        }
        // Every field that Castile itself reads says something about the message, its way or its sender.
        _ => false,
    }
}
