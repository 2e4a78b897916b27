//! Heads and chunks onto the wire.

use crate::head::{Fields, Request, Response, Version};

/// Appends the head of a request: names, values and order as they are in `head`.
///
/// The version is the head's; HTTP/2 becomes HTTP/1.1. Everything that came from a codec is free of CR, LF and NUL;
/// whoever pushes fields of their own answers for the same.
pub fn write_request_head(head: &Request, out: &mut Vec<u8>) {
    out.extend_from_slice(head.method());
    out.push(b' ');
    out.extend_from_slice(head.target());
    out.extend_from_slice(match head.version {
        Version::Http10 => b" HTTP/1.0\r\n",
        Version::Http11 | Version::Http2 => b" HTTP/1.1\r\n",
    });
    head.fields().write(out);
    out.extend_from_slice(b"\r\n");
}

/// Appends the head of a response with its reason phrase as received.
///
/// `version` stands in the status line; HTTP/2 becomes HTTP/1.1. A client of HTTP/1.0 may be answered in HTTP/1.1
/// (RFC 9110 §6.2), except that it must not get chunks.
pub fn write_response_head(head: &Response, version: Version, out: &mut Vec<u8>) {
    out.extend_from_slice(match version {
        Version::Http10 => b"HTTP/1.0 ",
        Version::Http11 | Version::Http2 => b"HTTP/1.1 ",
    });
    let status = head.status.min(999);
    let digit = |number: u16| b'0' + (number % 10) as u8;
    out.extend_from_slice(&[digit(status / 100), digit(status / 10), digit(status), b' ']);
    out.extend_from_slice(head.reason());
    out.extend_from_slice(b"\r\n");
    head.fields().write(out);
    out.extend_from_slice(b"\r\n");
}

/// The line before `len` bytes of chunk data; after the data goes CRLF. `len` must not be 0: that would end the body.
pub fn chunk_head(len: usize, buf: &mut [u8; 20]) -> &[u8] {
    let mut at = buf.len() - 2;
    buf[at] = b'\r';
    buf[at + 1] = b'\n';
    let mut rest = len as u64;
    loop {
        at -= 1;
        buf[at] = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
        if rest == 0 {
            return &buf[at..];
        }
    }
}

/// Appends the end of a chunked body, with trailer fields if there are any.
pub fn write_last_chunk(trailers: Option<&Fields>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        trailers.write(out);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_heads_are_hexadecimal() {
        for (len, expected) in
            [(1, "1\r\n"), (10, "a\r\n"), (16, "10\r\n"), (65_536, "10000\r\n"), (usize::MAX, "ffffffffffffffff\r\n")]
        {
            assert_eq!(chunk_head(len, &mut [0; 20]), expected.as_bytes());
        }
    }

    #[test]
    fn the_last_chunk_carries_the_trailers() {
        let mut out = Vec::new();
        write_last_chunk(None, &mut out);
        assert_eq!(out, b"0\r\n\r\n");
        let mut trailers = Fields::default();
        trailers.push(b"X-Sum", b"1");
        out.clear();
        write_last_chunk(Some(&trailers), &mut out);
        assert_eq!(out, b"0\r\nX-Sum: 1\r\n\r\n");
    }

    #[test]
    fn a_response_head_keeps_its_reason() {
        let mut head = Response::new();
        head.start(Version::Http11, 500, b"Gr\xFC\xDFe");
        head.fields_mut().push(b"a", b"1");
        let mut out = Vec::new();
        write_response_head(&head, Version::Http10, &mut out);
        assert_eq!(out, b"HTTP/1.0 500 Gr\xFC\xDFe\r\na: 1\r\n\r\n");
    }
}
