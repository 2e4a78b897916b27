//! Heads as nearly all are, read in one pass.
//!
//! What is accepted here is a part of what [`HeadSearch`](super::HeadSearch) accepts elsewhere, with the same result. Everything
//! else, also what is wrong or not whole, is left to it by saying nothing.

use super::HeadLimits;
use super::bytes::{is_blank, is_token};
use super::request::check_host;
use super::response::merge_equal_lengths;
use super::search::METHOD_BYTES_MAX;
use crate::head::{Fields, Request, Response, Version};

/// Which bytes may stand in a token.
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = is_token(byte as u8);
        byte += 1;
    }
    table
};

/// Which bytes of a target nobody reads in two ways.
static TARGET: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'?' | b'%' | b'=' | b'&' | b':'
            | b'@' | b'!' | b'$' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';');
        byte += 1;
    }
    table
};

/// Reads the head of a request that begins with `buf`: where it ends.
pub(super) fn request(buf: &[u8], limits: &HeadLimits, head: &mut Request) -> Option<usize> {
    let method = run(buf, 0, &TOKEN);
    let target = run(buf, method + 1, &TARGET);
    if method == 0
        || method > METHOD_BYTES_MAX
        || matches!(&buf[..method], b"CONNECT" | b"TRACE")
        || buf.get(method..method + 2)? != b" /"
        || target - method - 1 > limits.target_bytes
    {
        return None;
    }
    let version = match buf.get(target..target + 11)? {
        b" HTTP/1.1\r\n" => Version::Http11,
        b" HTTP/1.0\r\n" => Version::Http10,
        _ => return None,
    };
    head.clear();
    let end = fields(buf, target + 11, limits, head.fields_mut());
    if let Some(end) = end {
        head.stand_in(version, &buf[..end], 0..method, method + 1..target);
        if check_host(head).is_ok() {
            return Some(end);
        }
    }
    head.clear();
    None
}

/// Reads the head of a response that begins with `buf`: where it ends.
pub(super) fn response(buf: &[u8], limits: &HeadLimits, head: &mut Response) -> Option<usize> {
    let (begin, rest) = buf.split_first_chunk::<13>()?;
    let version = match &begin[..9] {
        b"HTTP/1.1 " => Version::Http11,
        b"HTTP/1.0 " => Version::Http10,
        _ => return None,
    };
    let [hundreds @ b'1'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9', b' '] = begin[9..] else { return None };
    let digit = |byte: u8| u16::from(byte - b'0');
    let status = digit(hundreds) * 100 + digit(tens) * 10 + digit(ones);
    let line_end = begin.len() + end_of_text(rest, 0);
    if status == 101 || buf.get(line_end..line_end + 2)? != b"\r\n" {
        return None;
    }
    head.fields_mut().clear();
    let Some(end) = fields(buf, line_end + 2, limits, head.fields_mut()) else {
        head.fields_mut().clear();
        return None;
    };
    head.stand_in(version, status, &buf[..end], begin.len()..line_end);
    merge_equal_lengths(head);
    Some(end)
}

/// Reads field lines from `at` on: where the head ends. The bytes follow by `stand_in`.
fn fields(buf: &[u8], mut at: usize, limits: &HeadLimits, fields: &mut Fields) -> Option<usize> {
    let most = limits.fields.min(HeadLimits::FIELDS_MAX);
    loop {
        if let Some(b"\r\n") = buf.get(at..at + 2) {
            return (at + 2 <= limits.head_bytes).then_some(at + 2);
        }
        let name = at..run(buf, at, &TOKEN);
        if name.is_empty() || buf.get(name.end) != Some(&b':') || fields.len() == most {
            return None;
        }
        let mut start = name.end + 1;
        while is_blank(*buf.get(start)?) {
            start += 1;
        }
        let line_end = end_of_text(buf, start);
        if buf.get(line_end..line_end + 2)? != b"\r\n" {
            return None;
        }
        let mut end = line_end;
        while end > start && is_blank(buf[end - 1]) {
            end -= 1;
        }
        let is_laid_out = start == name.end + 2 && buf[name.end + 1] == b' ' && end == line_end;
        fields.push_standing(&buf[name.clone()], name, start..end, is_laid_out);
        at = line_end + 2;
    }
}

/// Where the bytes of the table end.
#[inline]
fn run(buf: &[u8], mut at: usize, table: &[bool; 256]) -> usize {
    while let Some(byte) = buf.get(at)
        && table[*byte as usize]
    {
        at += 1;
    }
    at
}

/// Where text ends: at a control byte other than HTAB, or DEL. Eight bytes at a time.
#[inline]
fn end_of_text(buf: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    while let Some(bytes) = buf.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*bytes);
        let below_blank = word.wrapping_sub(ONES * 0x20) & !word;
        let delete = word ^ (ONES * 0x7F);
        // The lowest byte that is marked is rightly so; those above it may owe it to a borrow.
        let marked = (below_blank | delete.wrapping_sub(ONES) & !delete) & TOPS;
        if marked == 0 {
            at += 8;
            continue;
        }
        at += marked.trailing_zeros() as usize / 8;
        if buf[at] != b'\t' {
            return at;
        }
        at += 1;
    }
    while let Some(byte) = buf.get(at)
        && (*byte == b'\t' || (*byte >= 0x20 && *byte != 0x7F))
    {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::super::HeadSearch;
    use super::*;

    /// What is read in one pass is read line by line as well, as heads are that come in pieces, with the same result.
    fn agrees(text: &[u8]) -> bool {
        let limits = HeadLimits { head_bytes: 600, fields: 6, target_bytes: 100 };
        let (mut quick, mut slow) = (Request::new(), Request::new());
        let is_request = request(text, &limits, &mut quick);
        if let Some(end) = is_request {
            let mut search = HeadSearch::default();
            assert_eq!(search.request(&text[..1], &limits, &mut slow), Ok(None));
            assert_eq!(search.request(text, &limits, &mut slow), Ok(Some(end)), "{text:?}");
            assert_eq!((quick.version, quick.method(), quick.target()), (slow.version, slow.method(), slow.target()));
            assert_same(quick.fields(), slow.fields());
        }
        let (mut quick, mut slow) = (Response::new(), Response::new());
        let is_response = response(text, &limits, &mut quick);
        if let Some(end) = is_response {
            let mut search = HeadSearch::default();
            assert_eq!(search.response(&text[..1], &limits, &mut slow), Ok(None));
            assert_eq!(search.response(text, &limits, &mut slow), Ok(Some(end)), "{text:?}");
            assert_eq!((quick.version, quick.status, quick.reason()), (slow.version, slow.status, slow.reason()));
            assert_same(quick.fields(), slow.fields());
        }
        is_request.is_some() || is_response.is_some()
    }

    fn assert_same(left: &Fields, right: &Fields) {
        let all = |fields: &Fields| -> Vec<_> {
            fields.iter().map(|field| (field.known, field.name.to_vec(), field.value.to_vec())).collect()
        };
        assert_eq!(all(left), all(right));
        let (mut one, mut other) = (Vec::new(), Vec::new());
        left.write(&mut one);
        right.write(&mut other);
        assert_eq!(one, other);
    }

    const REQUEST: &[u8] =
        b"POST /a/b?c=%20 HTTP/1.1\r\nHost: h:80\r\nContent-Length: 12\r\nX:\t a  b \r\nEmpty:\r\nE2: \r\n\r\n<x/>";
    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK Gr\xFC\xDFe\r\nContent-Length: 3\r\nA:b\r\ncontent-length: 3\r\n\r\nabc";

    #[test]
    fn one_pass_reads_what_line_by_line_reads() {
        for text in [REQUEST, RESPONSE] {
            assert!(agrees(text));
            for at in 0..text.len() {
                assert!(at + 4 >= text.len() || !agrees(&text[..at]) || text[..at].ends_with(b"\r\n\r\n"));
                for byte in 0..=255 {
                    let mut other = text.to_vec();
                    other[at] = byte;
                    agrees(&other);
                    other.insert(at, text[at]);
                    agrees(&other);
                }
                let mut other = text.to_vec();
                other.remove(at);
                agrees(&other);
            }
        }
    }

    #[test]
    fn limits_are_those_of_line_by_line() {
        for length in 90..110 {
            let text = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(length - 1));
            assert_eq!(agrees(text.as_bytes()), length <= 100);
        }
        for fields in 1..10 {
            let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(fields - 1));
            assert_eq!(agrees(text.as_bytes()), fields <= 6);
        }
        for length in 500..700 {
            let text = format!("HTTP/1.1 200 {}\r\n\r\n", "a".repeat(length - 17));
            assert_eq!(agrees(text.as_bytes()), length <= 600);
        }
    }
}
