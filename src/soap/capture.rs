//! The text of the elements whose value is wanted, collected while they are open.
//!
//! An element's value is its string value (XPath 1.0 §5.2): its own text and that of all elements in it, in document
//! order, without comments. All open elements share one buffer; an element remembers only where its text begins.

use smallvec::SmallVec;

use super::escape::{is_space, trim};
use super::place::Place;
use super::{Stop, search};

/// Bytes of inner elements' white space that are kept beyond the limit, so that trimming can decide.
const SLACK: usize = 1024;

/// An element whose text is collected.
#[derive(Debug, Clone, Copy)]
struct Open {
    start: usize,
    /// Of the first byte that is not white space, or of the element's content while there is none.
    place: u64,
    has_begun: bool,
    is_too_long: bool,
}

/// The text of an element that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Captured<'a> {
    /// Trimmed; `None` if it is longer than the limit.
    pub text: Option<&'a str>,
    /// Where it begins.
    pub at: u64,
}

/// The open elements whose text is collected, the outermost first.
#[derive(Debug)]
pub(super) struct Captures {
    limit: usize,
    open: SmallVec<[Open; 2]>,
    text: Vec<u8>,
    /// Whether the last byte was a carriage return, which a line feed may follow (XML 1.0 §2.11).
    after_return: bool,
}

impl Captures {
    /// Values of up to `limit` bytes.
    pub fn new(limit: u32) -> Self {
        Self { limit: limit as usize, open: SmallVec::new(), text: Vec::new(), after_return: false }
    }

    /// Whether a value is longer than the limit.
    pub fn is_too_long(&self, value: &str) -> bool {
        value.len() > self.limit
    }

    /// Whether any element is open.
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// An element begins whose content begins at `place`.
    pub fn open(&mut self, place: u64) {
        self.after_return = false;
        self.open.push(Open { start: self.text.len(), place, has_begun: false, is_too_long: false });
    }

    /// Adds a character that was written as a reference: it is never part of a line end.
    pub fn add_character(&mut self, character: &[u8], place: Place) {
        self.after_return = false;
        self.add_plain(character, place);
    }

    /// Adds text to every open element.
    ///
    /// # Errors
    /// [`Stop::Malformed`] for a control character that XML does not allow.
    pub fn add(&mut self, mut text: &[u8], mut place: Place) -> Result<(), Stop> {
        // The text is cut where a carriage return is, since XML 1.0 §2.11 reads CR LF and CR as LF.
        while let Some(at) = return_or_worse(text) {
            if text[at] != b'\r' {
                return Err(Stop::Malformed("a control character that XML does not allow".into()));
            }
            self.add_plain(&text[..at], place);
            self.add_plain(b"\n", place);
            self.after_return = true;
            place = place.behind(&text[..=at]);
            text = &text[at + 1..];
        }
        self.add_plain(text, place);
        Ok(())
    }

    fn add_plain(&mut self, mut text: &[u8], mut place: Place) {
        if self.after_return && !text.is_empty() {
            self.after_return = false;
            if let Some(behind) = text.strip_prefix(b"\n") {
                place = place.behind(b"\n");
                text = behind;
            }
        }
        if text.is_empty() {
            return;
        }
        let spaces = text.iter().take_while(|&&byte| is_space(byte)).count();
        let had_begun = self.open.first().is_some_and(|outermost| outermost.has_begun);
        if spaces < text.len() {
            for open in self.open.iter_mut().rev().take_while(|open| !open.has_begun) {
                open.has_begun = true;
                open.place = place.behind(&text[..spaces]).at;
            }
        }
        if !had_begun {
            text = &text[spaces..]; // Nobody needs white space before a value.
        }
        let most = self.limit + SLACK;
        let room = |open: &Open| (most + 1).saturating_sub(self.text.len() - open.start);
        let Some(room) = self.open.iter().filter(|open| !open.is_too_long).map(room).max() else { return };
        // White space that finds no room is left out: it is either behind the value, or something follows that makes the
        // value too long.
        let end = text.iter().rposition(|&byte| !is_space(byte)).map_or(0, |last| last + 1);
        for open in &mut self.open {
            open.is_too_long |= end > 0 && self.text.len() - open.start + end > most;
        }
        if self.text.capacity() == 0 {
            self.text.reserve(text.len().max(128));
        }
        self.text.extend_from_slice(&text[..text.len().min(room)]);
        if self.text.len() > 4 * (self.limit + SLACK) {
            self.compact();
        }
    }

    /// Forgets the text that only elements have whose text is too long anyway.
    fn compact(&mut self) {
        let first = self.open.iter().filter(|open| !open.is_too_long).map(|open| open.start).min();
        let first = first.unwrap_or(self.text.len());
        self.text.drain(..first);
        for open in &mut self.open {
            open.start = open.start.saturating_sub(first);
        }
    }

    /// The innermost open element ends: what its text is. Close it with [`Self::close`].
    ///
    /// # Errors
    /// [`Stop::Malformed`] if the text is not UTF-8.
    pub fn innermost(&self) -> Result<Captured<'_>, Stop> {
        let Some(open) = self.open.last() else { return Ok(Captured { text: None, at: 0 }) };
        let text = trim(&self.text[open.start.min(self.text.len())..]);
        if open.is_too_long || text.len() > self.limit {
            return Ok(Captured { text: None, at: open.place });
        }
        let text = std::str::from_utf8(text).map_err(|_| Stop::Malformed("bytes that are not UTF-8".into()))?;
        Ok(Captured { text: Some(text), at: open.place })
    }

    /// Closes the innermost open element.
    pub fn close(&mut self) {
        self.open.pop();
        if self.open.is_empty() {
            self.text.clear();
            self.after_return = false;
        }
    }
}

/// The first carriage return or character that XML does not allow.
fn return_or_worse(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += search::control(&text[at..])?;
        if !matches!(text[at], b'\t' | b'\n') {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::place::{Map, Measure};

    fn at(at: u64) -> Place {
        Map::new(at, Measure::Bytes).place(b"", 0)
    }

    fn check(pieces: &[&str], limit: u32, text: Option<&str>, offset: u64) {
        let mut captures = Captures::new(limit);
        captures.open(0);
        let mut place = 0;
        for piece in pieces {
            captures.add(piece.as_bytes(), at(place)).expect("text");
            place += piece.len() as u64;
        }
        assert_eq!(captures.innermost(), Ok(Captured { text, at: offset }), "{pieces:?}");
    }

    #[test]
    fn a_value_is_trimmed_and_stands_where_its_first_character_stands() {
        check(&["a"], 10, Some("a"), 0);
        check(&[" ", "\n ", " a b ", " "], 10, Some("a b"), 4);
        check(&[], 10, Some(""), 0);
        check(&["  "], 10, Some(""), 0);
    }

    #[test]
    fn line_ends_are_read_as_xml_says() {
        check(&["a\r\nb\rc\nd"], 10, Some("a\nb\nc\nd"), 0);
        check(&["a\r", "\nb"], 10, Some("a\nb"), 0);
        check(&["\r", "\n", "b"], 10, Some("b"), 2);
        check(&[" \r\n\rb"], 10, Some("b"), 4);
    }

    #[test]
    fn a_value_is_never_cut() {
        check(&["12345"], 5, Some("12345"), 0);
        check(&["12345", "   "], 5, Some("12345"), 0);
        let spaces = " ".repeat(3000);
        check(&[&spaces, "12345", &spaces, &spaces], 5, Some("12345"), 3000);
        check(&[&spaces, "12345", &spaces, &spaces, "6"], 5, None, 3000);
        check(&["123456"], 5, None, 0);
        check(&["1", "23456", "7"], 5, None, 0);
    }

    #[test]
    fn the_text_of_inner_elements_belongs_to_the_outer_ones() {
        let mut captures = Captures::new(8);
        captures.open(0);
        captures.add(b" a ", at(1)).expect("text");
        captures.open(5);
        captures.add(b" b", at(5)).expect("text");
        assert_eq!(captures.innermost(), Ok(Captured { text: Some("b"), at: 6 }));
        captures.close();
        assert_eq!(captures.innermost(), Ok(Captured { text: Some("a  b"), at: 2 }));
    }

    #[test]
    fn a_long_outer_value_does_not_cost_the_inner_one_nor_memory() {
        let mut captures = Captures::new(100);
        captures.open(0);
        for _ in 0..100 {
            captures.open(0);
            captures.add(&[b'x'; 90], at(0)).expect("text");
            assert_eq!(captures.innermost().map(|found| found.text.map(str::len)), Ok(Some(90)));
            captures.close();
        }
        assert_eq!(captures.innermost().map(|found| found.text), Ok(None));
        assert!(captures.text.len() <= 4 * (100 + SLACK) + 90);
    }

    #[test]
    fn control_characters_and_broken_utf8_are_malformed() {
        let mut captures = Captures::new(100);
        captures.open(0);
        assert!(captures.add(b"a\x01", at(0)).is_err());
        captures.add(b"\xff", at(0)).expect("kept as bytes");
        assert!(captures.innermost().is_err());
    }
}
