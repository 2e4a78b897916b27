//! XML in pieces of any size: tags, text and the end of both, resumable at every byte.
//!
//! Comments and instructions stand on quick-xml's low-level parsers, which keep their state between pieces; its `Reader`
//! cannot resume (text at the end of a piece counts as complete). Tags, CDATA sections and the refusal of everything else
//! behind `<!` are ours. Nothing is buffered but a tag or a reference that a piece cuts in two.

use quick_xml::parser::{CommentParser, Parser, PiParser};

use super::escape::{self, REFERENCE_BYTES_MAX};
use super::place::{Map, Place};
use super::tag::may_have_id;
use super::{Stop, search};

/// Bytes of a tag that is read. The largest seen in real traffic is 12 KiB; tags that are passed over have no limit.
const TAG_BYTES_MAX: usize = 64 << 10;

/// What to do with the content of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// Tell every tag in it.
    Read,
    /// Pass over it: only nesting is counted, and text is told if it is collected.
    Skip,
}

/// A tag inside an element that is passed over, told only where [`Sink::watches`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Passed<'a> {
    /// A start tag that may carry an attribute `id`; the place is where its content begins.
    Id(&'a [u8]),
    /// Another start tag, or one that ends itself.
    Start,
    /// An end tag.
    End,
}

/// Who is told.
pub(super) trait Sink {
    /// Whether text is wanted here.
    fn collects(&self) -> bool;
    /// A piece of text as written; `place` is that of its first byte.
    fn text(&mut self, text: &[u8], place: Place) -> Result<(), Stop>;
    /// A character that was written as a reference, in UTF-8; `place` is that of the `&`.
    fn character(&mut self, character: &[u8], place: Place) -> Result<(), Stop>;
    /// A start tag without `<` and `>`. For an element that ends with its tag no end is told, and the answer is not used.
    fn start(&mut self, content: &[u8], place: Place) -> Result<Flow, Stop>;
    /// An end tag: the name as written; `place` is that of its slash.
    fn end(&mut self, name: &[u8], place: Place) -> Result<(), Stop>;
    /// Whether [`Self::passed`] is to be told.
    fn watches(&self) -> bool;
    /// A tag inside an element that is passed over.
    fn passed(&mut self, tag: Passed<'_>, place: Place);
}

/// Where between the bytes the last piece ended.
#[derive(Debug, Clone, Copy)]
enum Lex {
    Text,
    /// Behind `&`.
    Reference,
    /// Behind `<`.
    Open,
    /// In a tag, and in which quotes.
    Tag(Option<u8>),
    /// Behind `<!`.
    Bang,
    Comment(CommentParser),
    Pi(PiParser),
    /// In a CDATA section; how many `]` were seen last, at most two.
    Cdata(u8),
}

/// The tokenizer.
#[derive(Debug)]
pub(super) struct Tokenizer {
    lex: Lex,
    /// The bytes so far of a token that a piece cut.
    token: Vec<u8>,
    /// Where that token began: behind its `<`, on its `&`, on the `]` of a CDATA section's end.
    place: Place,
    /// Whether `token` holds only the first and last byte of a long tag that is passed over.
    is_cut: bool,
    /// Open elements that are passed over.
    skipped: u64,
}

fn malformed<T>(what: &str) -> Result<T, Stop> {
    Err(Stop::Malformed(what.into()))
}

impl Tokenizer {
    pub fn new() -> Self {
        Self { lex: Lex::Text, token: Vec::new(), place: Place::default(), is_cut: false, skipped: 0 }
    }

    /// Where the tag began that the last piece cut, if it is one that is told.
    pub fn open_tag(&self) -> Option<Place> {
        (self.skipped == 0 && matches!(self.lex, Lex::Tag(_))).then_some(self.place)
    }

    /// Takes the next piece of UTF-8; `map` knows where its bytes stand in the message.
    ///
    /// # Errors
    /// Whatever the sink says, [`Stop::Dtd`], [`Stop::Malformed`], [`Stop::Limit`]. Nothing may be fed after an error.
    pub fn feed<S: Sink>(&mut self, piece: &[u8], map: &mut Map, sink: &mut S) -> Result<(), Stop> {
        let mut at = 0;
        while at < piece.len() {
            at = match self.lex {
                Lex::Text => self.text(piece, at, map, sink)?,
                Lex::Tag(quote) => self.tag(quote, piece, at, sink)?,
                Lex::Open => {
                    self.place = map.place(piece, at);
                    match piece[at] {
                        b'!' => {
                            self.lex = Lex::Bang;
                            at + 1
                        }
                        b'?' => {
                            self.lex = Lex::Pi(PiParser::default());
                            at + 1
                        }
                        _ => self.tag(None, piece, at, sink)?,
                    }
                }
                Lex::Reference => self.reference(piece, at, sink)?,
                Lex::Bang => self.bang(piece[at]).map(|()| at + 1)?,
                Lex::Comment(mut parser) => match parser.feed(&piece[at..]) {
                    Some(end) => {
                        self.lex = Lex::Text;
                        at + end
                    }
                    None => {
                        self.lex = Lex::Comment(parser);
                        piece.len()
                    }
                },
                Lex::Pi(mut parser) => match parser.feed(&piece[at..]) {
                    Some(end) => {
                        self.lex = Lex::Text;
                        at + end + 1
                    }
                    None => {
                        self.lex = Lex::Pi(parser);
                        piece.len()
                    }
                },
                Lex::Cdata(brackets) => self.cdata(brackets, piece, at, map, sink)?,
            };
        }
        Ok(())
    }

    fn text<S: Sink>(&mut self, piece: &[u8], at: usize, map: &mut Map, sink: &mut S) -> Result<usize, Stop> {
        let collects = sink.collects();
        let at = if self.skipped > 0 && !collects { self.skim(piece, at, sink.watches()) } else { at };
        let rest = &piece[at..];
        match rest {
            [] => return Ok(at),
            [b'<', ..] => return self.open(piece, at + 1, map, sink),
            _ => {}
        }
        let found = if collects || self.skipped == 0 { search::two(b'<', b'&', rest) } else { search::one(b'<', rest) };
        let length = found.unwrap_or(rest.len());
        if collects && length > 0 {
            sink.text(&rest[..length], map.place(piece, at))?;
        }
        if found.is_none() {
            return Ok(piece.len());
        }
        if rest[length] == b'<' {
            return self.open(piece, at + length + 1, map, sink);
        }
        self.lex = Lex::Reference;
        self.place = map.place(piece, at + length);
        Ok(at + length + 1)
    }

    /// Behind `<`. A tag that is whole, as nearly all are, is told at once.
    fn open<S: Sink>(&mut self, piece: &[u8], at: usize, map: &mut Map, sink: &mut S) -> Result<usize, Stop> {
        let rest = &piece[at..];
        if let Some(first) = rest.first()
            && !matches!(first, b'!' | b'?')
            && let Some((end, _)) = find_end(&mut None, rest)
            && end <= TAG_BYTES_MAX
        {
            self.lex = Lex::Text;
            self.place = map.place(piece, at);
            self.tell(&rest[..end], sink)?;
            return Ok(at + end + 1);
        }
        self.lex = Lex::Open;
        Ok(at)
    }

    /// Passes over text and whole tags inside an element that is passed over; returns where something else begins.
    fn skim(&mut self, piece: &[u8], mut at: usize, watches: bool) -> usize {
        loop {
            let Some(open) = search::one(b'<', &piece[at..]) else { return piece.len() };
            at += open;
            let rest = &piece[at + 1..];
            if matches!(rest.first(), None | Some(b'!' | b'?' | b'>')) {
                return at;
            }
            let Some((end, has_quotes)) = find_end(&mut None, rest) else { return at };
            match rest[0] {
                b'/' if self.skipped == 1 => return at,
                b'/' => self.skipped -= 1,
                _ if watches && has_quotes && may_have_id(&rest[..end]) => return at,
                _ => self.skipped += u64::from(rest[end - 1] != b'/'),
            }
            at += end + 2;
        }
    }

    fn reference<S: Sink>(&mut self, piece: &[u8], at: usize, sink: &mut S) -> Result<usize, Stop> {
        let rest = &piece[at..];
        let end = memchr::memchr(b';', &rest[..rest.len().min(REFERENCE_BYTES_MAX + 1)]);
        self.token.extend_from_slice(&rest[..end.unwrap_or(rest.len().min(REFERENCE_BYTES_MAX + 1))]);
        if self.token.len() > REFERENCE_BYTES_MAX {
            return malformed("a reference without an end");
        }
        let Some(end) = end else { return Ok(piece.len()) };
        let character = escape::resolve(&self.token)?;
        self.token.clear();
        self.lex = Lex::Text;
        if sink.collects() {
            let mut bytes = [0; 4];
            sink.character(character.encode_utf8(&mut bytes).as_bytes(), self.place)?;
        }
        Ok(at + end + 1)
    }

    fn tag<S: Sink>(&mut self, mut quote: Option<u8>, piece: &[u8], at: usize, sink: &mut S) -> Result<usize, Stop> {
        let rest = &piece[at..];
        let Some((end, _)) = find_end(&mut quote, rest) else {
            self.lex = Lex::Tag(quote);
            self.hold(rest)?;
            return Ok(piece.len());
        };
        self.lex = Lex::Text;
        if self.token.is_empty() {
            if end > TAG_BYTES_MAX && self.skipped == 0 {
                return self.too_long();
            }
            self.is_cut = end > TAG_BYTES_MAX;
            self.tell(&rest[..end], sink)?;
        } else {
            self.hold(&rest[..end])?;
            let mut token = std::mem::take(&mut self.token);
            self.tell(&token, sink)?;
            token.clear();
            self.token = token;
        }
        self.is_cut = false;
        Ok(at + end + 1)
    }

    /// Keeps the part of a tag that this piece has.
    fn hold(&mut self, part: &[u8]) -> Result<(), Stop> {
        if self.is_cut || self.token.len() + part.len() > TAG_BYTES_MAX {
            if self.skipped == 0 {
                return self.too_long();
            }
            // Only what kind of tag it is matters, which the first and the last byte tell.
            let first = self.token.first().or(part.first()).copied();
            let last = part.last().or(self.token.last()).copied();
            self.token.clear();
            self.token.extend(first);
            self.token.extend(last);
            self.is_cut = true;
        } else {
            self.token.extend_from_slice(part);
        }
        Ok(())
    }

    fn too_long<T>(&self) -> Result<T, Stop> {
        Err(Stop::Limit(format!("a tag is longer than {TAG_BYTES_MAX} bytes")))
    }

    fn tell<S: Sink>(&mut self, content: &[u8], sink: &mut S) -> Result<(), Stop> {
        let (Some(&first), Some(&last)) = (content.first(), content.last()) else {
            return malformed("a tag without a name");
        };
        if self.skipped > 0 {
            return self.tell_skipped(first, last, content, sink);
        }
        if first == b'/' {
            return sink.end(end_name(content), self.place);
        }
        if sink.start(content, self.place)? == Flow::Skip && last != b'/' {
            self.skipped = 1;
        }
        Ok(())
    }

    fn tell_skipped<S: Sink>(&mut self, first: u8, last: u8, content: &[u8], sink: &mut S) -> Result<(), Stop> {
        if first == b'/' {
            self.skipped -= 1;
            if self.skipped == 0 {
                return sink.end(end_name(content), self.place);
            }
            if sink.watches() {
                sink.passed(Passed::End, self.place);
            }
            return Ok(());
        }
        if last != b'/' {
            self.skipped += 1;
        }
        if sink.watches() {
            let is_id = last != b'/' && !self.is_cut && may_have_id(content);
            sink.passed(if is_id { Passed::Id(content) } else { Passed::Start }, self.place);
        }
        Ok(())
    }

    fn bang(&mut self, byte: u8) -> Result<(), Stop> {
        self.token.push(byte);
        match &self.token[..] {
            b"--" => self.lex = Lex::Comment(CommentParser::default()),
            b"[CDATA[" => self.lex = Lex::Cdata(0),
            beginning if b"--".starts_with(beginning) || b"[CDATA[".starts_with(beginning) => return Ok(()),
            _ => return Err(Stop::Dtd),
        }
        self.token.clear();
        Ok(())
    }

    fn cdata<S: Sink>(
        &mut self,
        brackets: u8,
        piece: &[u8],
        at: usize,
        map: &mut Map,
        sink: &mut S,
    ) -> Result<usize, Stop> {
        let rest = &piece[at..];
        match (brackets, rest[0]) {
            (0, _) => {
                let found = memchr::memchr(b']', rest);
                let length = found.unwrap_or(rest.len());
                if length > 0 && sink.collects() {
                    sink.text(&rest[..length], map.place(piece, at))?;
                }
                if found.is_none() {
                    return Ok(piece.len());
                }
                self.place = map.place(piece, at + length);
                self.lex = Lex::Cdata(1);
                Ok(at + length + 1)
            }
            (1, b']') => {
                self.lex = Lex::Cdata(2);
                Ok(at + 1)
            }
            (2, b'>') => {
                self.lex = Lex::Text;
                Ok(at + 1)
            }
            (2, b']') => {
                // The first of three cannot be part of the end.
                if sink.collects() {
                    sink.text(b"]", self.place)?;
                }
                self.place = self.place.behind(b"]");
                Ok(at + 1)
            }
            _ => {
                if sink.collects() {
                    sink.text(&b"]]"[..usize::from(brackets)], self.place)?;
                }
                self.lex = Lex::Cdata(0);
                Ok(at)
            }
        }
    }
}

/// Where the tag ends, and whether it has quotes. `quote` is the quote that is open, if any, and goes on to the next piece.
///
/// Does what `quick_xml::parser::ElementParser` does, and jumps from quote to quote instead of looking at every one.
fn find_end(quote: &mut Option<u8>, rest: &[u8]) -> Option<(usize, bool)> {
    let mut at = 0;
    let mut has_quotes = quote.is_some();
    loop {
        if let Some(open) = *quote {
            at += search::one(open, &rest[at..])? + 1;
            *quote = None;
        }
        at += search::three(b'>', b'"', b'\'', &rest[at..])?;
        if rest[at] == b'>' {
            return Some((at, has_quotes));
        }
        (*quote, has_quotes) = (Some(rest[at]), true);
        at += 1;
    }
}

/// The name in an end tag, without its slash and the white space behind it.
fn end_name(content: &[u8]) -> &[u8] {
    let name = &content[1..];
    let end = name.iter().rposition(|&byte| !escape::is_space(byte)).map_or(0, |last| last + 1);
    &name[..end]
}
