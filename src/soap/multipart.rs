//! The root part of multipart messages: MTOM, XOP and SOAP with Attachments (RFC 2387, RFC 2046 §5.1).
//!
//! Only the root part is read; what follows it is never looked at. Nothing is buffered but part headers: of a delimiter
//! that a piece cuts, only its length so far is kept, since its bytes are known.

use memchr::memmem::Finder;

use super::Stop;
use super::media::MediaType;

/// Bytes of one part's headers. Taste; real ones have fewer than 500.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// Bytes of a boundary. RFC 2046 allows 70; WCF and Axis stay below 60.
const BOUNDARY_BYTES_MAX: usize = 256;

/// What is told of the root part.
#[derive(Debug)]
pub(super) enum Root<'a> {
    /// Its headers: `Content-Type` and `Content-Transfer-Encoding`.
    Begins { content_type: Option<&'a [u8]>, transfer: Option<&'a [u8]> },
    /// Its next bytes, and where they stand in the message.
    Bytes(&'a [u8], u64),
    /// It has ended.
    Ends,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first delimiter or in a part.
    Content,
    /// Behind a delimiter, which is one only if white space or `--` follows.
    Behind,
    /// Behind a delimiter and one `-`.
    BehindDash,
    /// On the line of a delimiter.
    Line,
    Headers,
    Over,
}

/// Finds the root part.
#[derive(Debug)]
pub(super) struct Multipart {
    /// A line feed, `--` and the boundary. The carriage return before it is left to the content, where it does no harm.
    delimiter: Box<[u8]>,
    finder: Finder<'static>,
    /// The `Content-ID` of the root part, without brackets; the first part without it.
    start: Option<Box<[u8]>>,
    state: State,
    /// Bytes of the delimiter seen so far.
    matched: usize,
    /// Whether the first of them is no content: at the beginning, and behind headers.
    is_virtual: bool,
    headers: Vec<u8>,
    is_root: bool,
    parts: u32,
}

impl Multipart {
    /// For a message of this media type; `None` if it names no boundary.
    pub fn new(media: &MediaType<'_>) -> Option<Self> {
        let boundary = media.parameter("boundary").filter(|it| !it.is_empty() && it.len() <= BOUNDARY_BYTES_MAX)?;
        if boundary.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            return None;
        }
        let delimiter: Box<[u8]> = [b"\n--", &boundary[..]].concat().into();
        let start = media.parameter("start").map(|id| unbracketed(&id).to_vec()).filter(|id| !id.is_empty());
        Some(Self {
            finder: Finder::new(&delimiter).into_owned(),
            delimiter,
            start: start.map(Into::into),
            state: State::Content,
            matched: 1,
            is_virtual: true,
            headers: Vec::new(),
            is_root: false,
            parts: 0,
        })
    }

    /// Takes the next piece, whose first byte stands at `at`.
    ///
    /// # Errors
    /// What `root` says, [`Stop::Malformed`], [`Stop::Limit`].
    pub fn push(
        &mut self,
        piece: &[u8],
        at: u64,
        root: &mut impl FnMut(Root<'_>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let mut index = 0;
        while index < piece.len() {
            let byte = piece[index];
            let place = at + index as u64;
            match self.state {
                State::Content if self.matched > 0 => {
                    if self.delimiter.get(self.matched) == Some(&byte) {
                        self.matched += 1;
                        index += 1;
                        if self.matched == self.delimiter.len() {
                            self.state = State::Behind;
                        }
                    } else {
                        self.release(place, b"", root)?;
                    }
                }
                State::Content => index += self.content(&piece[index..], place, root)?,
                State::Behind => match byte {
                    b'-' => {
                        self.state = State::BehindDash;
                        index += 1;
                    }
                    b' ' | b'\t' | b'\r' | b'\n' => self.part_ends(State::Line, root)?,
                    _ => self.release(place, b"", root)?,
                },
                State::BehindDash if byte == b'-' => {
                    self.part_ends(State::Over, root)?;
                    return Err(Stop::Malformed("a multipart message without its root part".into()));
                }
                State::BehindDash => self.release(place, b"-", root)?,
                State::Line => {
                    index += 1;
                    if byte == b'\n' {
                        self.state = State::Headers;
                    }
                }
                State::Headers => {
                    index += 1;
                    self.header(byte, root)?;
                }
                State::Over => return Ok(()),
            }
        }
        Ok(())
    }

    /// Passes content on up to the next delimiter, whole or cut; returns how much that was.
    fn content(
        &mut self,
        rest: &[u8],
        place: u64,
        root: &mut impl FnMut(Root<'_>) -> Result<(), Stop>,
    ) -> Result<usize, Stop> {
        let (length, matched) = match self.finder.find(rest) {
            Some(length) => (length, self.delimiter.len()),
            None => match memchr::memrchr(b'\n', rest) {
                Some(last) if self.delimiter.starts_with(&rest[last..]) => (last, rest.len() - last),
                _ => (rest.len(), 0),
            },
        };
        if self.is_root && length > 0 {
            root(Root::Bytes(&rest[..length], place))?;
        }
        (self.matched, self.is_virtual) = (matched, false);
        if matched == self.delimiter.len() {
            self.state = State::Behind;
        }
        Ok(length + matched)
    }

    /// What looked like a delimiter is content; it ends before `place`.
    fn release(
        &mut self,
        place: u64,
        behind: &[u8],
        root: &mut impl FnMut(Root<'_>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let content = [&self.delimiter[usize::from(self.is_virtual)..self.matched], behind].concat();
        (self.state, self.matched, self.is_virtual) = (State::Content, 0, false);
        if self.is_root && !content.is_empty() {
            root(Root::Bytes(&content, place - content.len() as u64))?;
        }
        Ok(())
    }

    fn part_ends(&mut self, next: State, root: &mut impl FnMut(Root<'_>) -> Result<(), Stop>) -> Result<(), Stop> {
        (self.state, self.matched) = (next, 0);
        self.headers.clear();
        if self.is_root {
            self.state = State::Over;
            root(Root::Ends)?;
        }
        Ok(())
    }

    /// Takes a byte of a part's headers.
    fn header(&mut self, byte: u8, root: &mut impl FnMut(Root<'_>) -> Result<(), Stop>) -> Result<(), Stop> {
        self.headers.push(byte);
        if self.headers.len() > HEADER_BYTES_MAX {
            return Err(Stop::Limit(format!("the headers of a part are longer than {HEADER_BYTES_MAX} bytes")));
        }
        let is_over = byte == b'\n'
            && (matches!(&self.headers[..], b"\n" | b"\r\n")
                || self.headers.ends_with(b"\n\n")
                || self.headers.ends_with(b"\n\r\n"));
        if !is_over {
            return Ok(());
        }
        let headers = std::mem::take(&mut self.headers);
        (self.state, self.matched, self.is_virtual) = (State::Content, 1, true);
        self.parts += 1;
        let id = field(&headers, b"content-id");
        self.is_root = match (&self.start, &id) {
            (None, _) => true,
            (Some(start), Some(id)) => unbracketed(id) == &start[..],
            // A toolkit that names a start and forgets to label it means the first part.
            (Some(_), None) => self.parts == 1,
        };
        if self.is_root {
            let content_type = field(&headers, b"content-type");
            let transfer = field(&headers, b"content-transfer-encoding");
            root(Root::Begins { content_type: content_type.as_deref(), transfer: transfer.as_deref() })?;
        }
        Ok(())
    }
}

/// A `Content-ID` without its angle brackets.
fn unbracketed(id: &[u8]) -> &[u8] {
    let id = id.trim_ascii();
    id.strip_prefix(b"<").and_then(|id| id.strip_suffix(b">")).unwrap_or(id)
}

/// The value of the first field of this name, its lines joined (RFC 5322 §2.2.3).
fn field(headers: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let mut value: Option<Vec<u8>> = None;
    for line in headers.split(|&byte| byte == b'\n') {
        let is_folded = matches!(line.first(), Some(b' ' | b'\t'));
        if let Some(value) = &mut value {
            if !is_folded {
                break;
            }
            value.push(b' ');
            value.extend_from_slice(line.trim_ascii());
        } else if let Some(colon) = memchr::memchr(b':', line)
            && !is_folded
            && line[..colon].trim_ascii().eq_ignore_ascii_case(name)
        {
            value = Some(line[colon + 1..].trim_ascii().to_vec());
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Content type and content of the root part, and where the content begins; the same for every size of pieces.
    fn read(content_type: &str, message: &str) -> (String, Option<u64>, Result<(), Stop>) {
        let media = MediaType::parse(content_type.as_bytes()).expect("a media type");
        let mut all = Vec::new();
        for size in [message.len(), 1, 2, 5] {
            let mut multipart = Multipart::new(&media).expect("a boundary");
            let (mut text, mut place, mut at) = (String::new(), None, 0);
            let mut result = Ok(());
            for piece in message.as_bytes().chunks(size) {
                result = multipart.push(piece, at, &mut |root| {
                    match root {
                        Root::Begins { content_type, transfer } => {
                            for field in [content_type, transfer].into_iter().flatten() {
                                text += &format!("[{}]", String::from_utf8_lossy(field));
                            }
                        }
                        Root::Bytes(bytes, at) => {
                            place = place.or(Some(at));
                            let byte = &message.as_bytes()[at as usize..at as usize + bytes.len()];
                            assert_eq!(byte, bytes);
                            text += &String::from_utf8_lossy(bytes);
                        }
                        Root::Ends => text += "|",
                    }
                    Ok(())
                });
                at += piece.len() as u64;
                if result.is_err() {
                    break;
                }
            }
            all.push((text, place, result));
        }
        assert!(all.windows(2).all(|two| two[0] == two[1]), "{all:?}");
        all.remove(0)
    }

    const TYPE: &str = "multipart/related; boundary=\"b\"";

    #[test]
    fn the_first_part_is_the_root() {
        let message = "preamble\r\n--b \r\nContent-Type: text/xml;\r\n charset=utf-8\r\n\r\n<a/>\r\n--b\r\n\r\nx--b--";
        assert_eq!(read(TYPE, message), ("[text/xml; charset=utf-8]<a/>\r|".into(), Some(59), Ok(())));
    }

    #[test]
    fn a_start_names_another_root() {
        let message =
            "--b\nContent-ID: <1>\n\n<x/>\n--b\nContent-ID:<2>\nContent-Transfer-Encoding: binary\n\n<a/>\n--b--";
        assert_eq!(read(&format!("{TYPE}; start=\"<2>\""), message).0, "[binary]<a/>|");
        assert_eq!(read(&format!("{TYPE}; start=1"), message).0, "<x/>|");
        assert!(matches!(read(&format!("{TYPE}; start=3"), message).2, Err(Stop::Malformed(_))));
        assert_eq!(read(&format!("{TYPE}; start=3"), "--b\n\n<a/>\n--b--").0, "<a/>|");
    }

    #[test]
    fn what_only_looks_like_a_delimiter_is_content() {
        let message = "--b\n\n--a\n--bc\n-\n--\n--b-\n\r\n--b\n";
        assert_eq!(read(TYPE, message).0, "--a\n--bc\n-\n--\n--b-\n\r|");
        assert_eq!(read(TYPE, "--b\n\n--b--").0, "|");
        assert_eq!(read(TYPE, "x--b\n\nno").0, "");
    }

    #[test]
    fn a_boundary_must_be_one() {
        let boundary = |field: &str| Multipart::new(&MediaType::parse(field.as_bytes()).expect("a type")).is_some();
        assert!(!boundary("multipart/related"));
        assert!(!boundary("multipart/related; boundary=\"\""));
        assert!(!boundary(&format!("multipart/related; boundary={}", "x".repeat(300))));
    }
}
