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
pub(super) fn merge_equal_lengths(head: &mut Response) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<(u16, Vec<u8>), HeadError> {
        let mut head = Response::new();
        let length = parse_response(text, &HeadLimits::default(), &mut head)?.expect("whole");
        assert_eq!(length, text.len());
        Ok((head.status, head.reason().to_vec()))
    }

    fn with_line(line: &[u8]) -> Result<(u16, Vec<u8>), HeadError> {
        parse(&[line, b"\r\nContent-Length: 0\r\n\r\n"].concat())
    }

    #[test]
    fn reason_phrases_are_kept_as_they_came() {
        for reason in [&b"OK"[..], b"", b" ", b"Not  Found\t", b"Gr\xFC\xDFe", "Größe".as_bytes(), &[b'x'; 9000]] {
            let line = [b"HTTP/1.1 500 ", reason].concat();
            assert_eq!(with_line(&line), Ok((500, reason.to_vec())));
        }
        assert_eq!(with_line(b"HTTP/1.1 200"), Ok((200, Vec::new())));
        assert_eq!(with_line(b"HTTP/1.0 999 x"), Ok((999, b"x".to_vec())));
    }

    #[test]
    fn what_could_split_a_response_is_refused() {
        for byte in (0..=255u8).filter(|byte| *byte != b'\t' && (*byte < b' ' || *byte == 0x7F)) {
            assert!(with_line(&[b"HTTP/1.1 500 a", &[byte][..], b"b"].concat()).is_err(), "{byte:#x}");
            let in_field = [b"HTTP/1.1 500 a\r\nA: b", &[byte][..], b"c\r\n\r\n"].concat();
            assert!(parse(&in_field).is_err(), "{byte:#x}");
        }
        for head in [
            "HTTP/1.1 200 OK\nA: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA\r\n\r\n",
        ] {
            assert!(parse(head.as_bytes()).is_err(), "{head:?}");
        }
    }

    #[test]
    fn a_status_line_begins_with_version_and_three_digits() {
        for line in [
            "HTTP/1.1 20 OK",
            "HTTP/1.1 2000 OK",
            "HTTP/1.1 099 OK",
            "HTTP/1.1 2x0 OK",
            "HTTP/1.1  200 OK",
            "HTTP/1.1 200OK",
            "HTTP/1.1",
            "HTTP/1.1 +20",
            "HTTP/1.2 200 OK",
            "HTTP/2 200 OK",
            "ICY 200 OK",
            "http/1.1 200 OK",
            "HTTP/1.1\t200 OK",
            "<html>",
        ] {
            assert!(with_line(line.as_bytes()).is_err(), "{line}");
        }
        assert_eq!(with_line(b"HTTP/1.1 101 Switching Protocols"), Err(HeadError::Switching));
    }

    #[test]
    fn garbage_is_refused_at_its_first_byte() {
        assert_eq!(parse_response(b"S", &HeadLimits::default(), &mut Response::new()), Err(HeadError::StatusLine));
        assert_eq!(parse_response(b"HTT", &HeadLimits::default(), &mut Response::new()), Ok(None));
    }

    #[test]
    fn equal_lengths_are_kept_once() {
        let mut head = Response::new();
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nA: b\r\ncontent-length: 3\r\n\r\n";
        parse_response(text, &HeadLimits::default(), &mut head).expect("valid");
        assert_eq!(head.fields().len(), 2);
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n";
        parse_response(text, &HeadLimits::default(), &mut head).expect("valid");
        assert_eq!(head.fields().len(), 2);
    }
}
