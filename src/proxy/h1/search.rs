//! Finds the end of a head in bytes that arrive piece by piece.

use memchr::memchr;

use super::bytes::is_token;
use super::{HeadError, HeadLimits, plain, request, response};
use crate::head::{Request, Response};

/// Empty lines tolerated before a request line (RFC 9112 §2.2: at least one; some clients end a body with one too many).
const EMPTY_LINES_MAX: usize = 4;

/// How a status line begins. What does not is refused at once: it may never end with a line.
const STATUS_LINE_BEGIN: &[u8] = b"HTTP/1.";

/// Longest method. The longest registered one has 17 letters.
pub(super) const METHOD_BYTES_MAX: usize = 64;

/// Remembers how much of a buffer was searched for the end of a head, so that a head which arrives byte by byte costs no more than
/// one that arrives at once.
///
/// One per direction and connection. Always hand in the whole buffer from the head's first byte; when a head was found
/// or refused, the search starts again by itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeadSearch {
    /// Empty lines before the head, in bytes.
    skipped: usize,
    /// Up to here there is no line end that was not seen.
    scanned: usize,
    /// Where the current line begins.
    line: usize,
    /// Lines before the current one.
    lines: usize,
}

/// Which kind of head is searched, for what can be refused before it is whole.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Response,
}

impl HeadSearch {
    /// As [`parse_request`](super::parse_request), without searching bytes again that an earlier call has seen.
    ///
    /// # Errors
    ///
    /// A head that is refused, often before it is whole. `head` is then undefined.
    pub fn request(&mut self, buf: &[u8], limits: &HeadLimits, head: &mut Request) -> Result<Option<usize>, HeadError> {
        if self.is_at_begin()
            && let Some(end) = plain::request(buf, limits, head)
        {
            return Ok(Some(end));
        }
        let lines_before = self.lines;
        let found = self.find(buf, limits, Kind::Request);
        if !matches!(found, Ok(Some(_))) && lines_before == 0 && self.lines > 0 {
            // The request line has just come, and the rest has not or is wrong. A wrong line is told at once, and before
            // any other error, so that the answer does not depend on how the bytes were cut.
            let end = memchr(b'\r', &buf[self.skipped..]).map_or(buf.len(), |cr| self.skipped + cr);
            if let Err(error) = request::check_line(&buf[self.skipped..end], limits) {
                *self = Self::default();
                return Err(error);
            }
        }
        self.finish(found, |start, end| request::parse_whole(&buf[start..end], limits, head))
    }

    /// As [`parse_response`](super::parse_response), without searching bytes again that an earlier call has seen.
    ///
    /// # Errors
    ///
    /// A head that is refused, often before it is whole. `head` is then undefined.
    pub fn response(
        &mut self,
        buf: &[u8],
        limits: &HeadLimits,
        head: &mut Response,
    ) -> Result<Option<usize>, HeadError> {
        if self.is_at_begin()
            && let Some(end) = plain::response(buf, limits, head)
        {
            return Ok(Some(end));
        }
        let found = self.find(buf, limits, Kind::Response);
        self.finish(found, |start, end| response::parse_whole(&buf[start..end], limits, head))
    }

    /// Whether nothing was searched yet: a head that comes in pieces is tried as a whole once.
    fn is_at_begin(&self) -> bool {
        self.scanned == 0 && self.skipped == 0
    }

    /// Whether any byte of a head was seen since the last one was whole (empty lines do not count).
    ///
    /// Tells an idle connection from one with a head under way.
    pub fn has_begun(&self) -> bool {
        self.scanned > self.skipped
    }

    /// Empty lines and the head: the result of `parse` with the search set back.
    fn finish(
        &mut self,
        found: Result<Option<usize>, HeadError>,
        parse: impl FnOnce(usize, usize) -> Result<(), HeadError>,
    ) -> Result<Option<usize>, HeadError> {
        match found {
            Ok(None) => Ok(None),
            Ok(Some(end)) => {
                let start = self.skipped;
                *self = Self::default();
                parse(start, end).map(|()| Some(end))
            }
            Err(error) => {
                *self = Self::default();
                Err(error)
            }
        }
    }

    /// The end of the head, once it is there.
    fn find(&mut self, buf: &[u8], limits: &HeadLimits, kind: Kind) -> Result<Option<usize>, HeadError> {
        if buf.len() < self.scanned {
            // The caller took bytes away: another head.
            *self = Self::default();
        }
        if kind == Kind::Response && self.scanned < STATUS_LINE_BEGIN.len() {
            let length = buf.len().min(STATUS_LINE_BEGIN.len());
            if buf[..length] != STATUS_LINE_BEGIN[..length] {
                return Err(HeadError::StatusLine);
            }
        }
        if kind == Kind::Request && self.scanned <= self.skipped && !self.begin(buf)? {
            return Ok(None);
        }
        let first_line_max = match kind {
            Kind::Request => limits.target_bytes + METHOD_BYTES_MAX + "  HTTP/1.1\r".len(),
            Kind::Response => limits.head_bytes,
        };
        while let Some(at) = memchr(b'\n', buf.get(self.scanned..).unwrap_or_default()) {
            let lf = self.scanned + at;
            let length = lf + 1 - self.skipped;
            if length > limits.head_bytes || (self.lines == 0 && length > first_line_max + 1) {
                return Err(self.too_large(buf, limits, kind));
            }
            if lf == self.line || buf[lf - 1] != b'\r' {
                return Err(HeadError::BareLf);
            }
            self.scanned = lf + 1;
            if lf == self.line + 1 {
                return Ok(Some(self.scanned));
            }
            self.line = self.scanned;
            self.lines += 1;
            if self.lines > limits.fields + 1 {
                return Err(HeadError::TooManyFields { limit: limits.fields });
            }
        }
        self.scanned = buf.len();
        let length = buf.len() - self.skipped;
        if length > limits.head_bytes || (self.lines == 0 && length > first_line_max) {
            return Err(self.too_large(buf, limits, kind));
        }
        Ok(None)
    }

    /// Skips empty lines before a request and looks at its first byte. `false`: there is none yet.
    fn begin(&mut self, buf: &[u8]) -> Result<bool, HeadError> {
        while buf.get(self.skipped..self.skipped + 2) == Some(b"\r\n") {
            self.skipped += 2;
            if self.skipped > 2 * EMPTY_LINES_MAX {
                return Err(HeadError::RequestLine);
            }
        }
        self.line = self.skipped;
        self.scanned = self.skipped;
        match buf.get(self.skipped..).unwrap_or_default() {
            [] | [b'\r'] => Ok(false),
            [b'\n', ..] => Err(HeadError::BareLf),
            [first, ..] if is_token(*first) => Ok(true),
            _ => Err(HeadError::RequestLine),
        }
    }

    fn too_large(&self, buf: &[u8], limits: &HeadLimits, kind: Kind) -> HeadError {
        let method = &buf[self.skipped..buf.len().min(self.skipped + METHOD_BYTES_MAX + 1)];
        if kind == Kind::Response || self.lines > 0 {
            HeadError::TooLarge { limit: limits.head_bytes }
        } else if memchr(b' ', method).is_none() {
            HeadError::RequestLine
        } else {
            HeadError::TargetTooLong { limit: limits.target_bytes }
        }
    }
}
