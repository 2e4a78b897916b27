//! The push reader: HTTP body bytes in, facts out.

use std::sync::Arc;

use super::charset::{Characters, Utf8};
use super::envelope::Envelope;
use super::media::MediaType;
use super::place::Map;
use super::tokens::Tokenizer;
use super::{Facts, Wanted};

/// How the body is wrapped, from the HTTP fields.
#[derive(Debug, Clone, Copy, Default)]
pub struct Content<'a> {
    /// `Content-Type`, as received.
    pub content_type: Option<&'a [u8]>,
    /// `Content-Encoding`, as received (several lines joined by a comma).
    pub content_encoding: Option<&'a [u8]>,
}

/// Limits of reading. What is beyond them is passed on unread.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes read per message, before and after decoding.
    pub bytes: u64,
    /// Nesting of elements.
    pub depth: u32,
    /// Attributes of one element, namespace declarations included.
    pub attributes: u32,
    /// Bytes of one wanted value.
    pub value_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 2 << 20, depth: 64, attributes: 128, value_bytes: 4096 }
    }
}

/// How far reading has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Before `</Header>` (or `<Body>`, where there is no Header).
    Head,
    /// In the Body: header paths are decided, but for values an `href` points to.
    Body {
        /// Header values that are still awaited through `href`.
        awaited: bool,
        /// Whether a body path could still match inside the current first Body child, or that child is not known yet.
        alive: bool,
    },
    /// No more is read.
    Stopped(Stop),
}

/// Why no more is read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// Everything wanted is decided.
    #[error("everything wanted was found or cannot come any more")]
    Decided,
    /// The body has no bytes.
    #[error("the message is empty")]
    Empty,
    /// Neither an XML nor a MIME media type, or a coding nobody here reads.
    #[error("not readable: {0}")]
    Unreadable(String),
    /// XML, but the root is not an Envelope of SOAP 1.1 or 1.2.
    #[error("not a SOAP envelope")]
    NotSoap,
    /// Not well-formed, as far as was read.
    #[error("not well-formed XML: {0}")]
    Malformed(String),
    /// A document type declaration: SOAP forbids it (SOAP 1.1 §3).
    #[error("the message has a document type declaration")]
    Dtd,
    /// A limit of reading.
    #[error("{0}")]
    Limit(String),
}

/// Reads one message.
#[derive(Debug)]
pub struct Reader {
    body: Body,
    state: State,
    limits: Limits,
    /// Bytes taken so far.
    bytes: u64,
}

impl Reader {
    /// A reader for one message.
    pub fn new(wanted: Arc<Wanted>, content: Content<'_>, limits: Limits) -> Self {
        let envelope = Envelope::new(wanted, limits);
        let (charset, state) = match content.content_type.map(MediaType::parse) {
            Some(Some(media)) if media.is_xml() => (media.parameter("charset"), State::Head),
            None => (None, State::Head),
            _ => (None, State::Stopped(Stop::Unreadable("the media type is not XML".into()))),
        };
        let text = Text { tokenizer: Tokenizer::new(), envelope };
        Self { body: Body { characters: Characters::new(charset.as_deref()), text }, state, limits, bytes: 0 }
    }

    /// Takes the next piece. After [`State::Stopped`] pieces are ignored.
    pub fn push(&mut self, piece: &[u8]) {
        if matches!(self.state, State::Stopped(_)) {
            return;
        }
        let room = usize::try_from(self.limits.bytes.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        let readable = &piece[..piece.len().min(room)];
        let mut result = self.body.push(readable, self.bytes);
        self.bytes += readable.len() as u64;
        if result.is_ok() && readable.len() < piece.len() {
            result = Err(Stop::Limit(format!("more than {} bytes were to be read", self.limits.bytes)));
        }
        self.state = match result {
            Ok(()) => self.body.text.envelope.state(),
            Err(stop) => State::Stopped(stop),
        };
    }

    /// The body has ended.
    pub fn end(&mut self) {
        if matches!(self.state, State::Stopped(_)) {
            return;
        }
        let stop = if self.bytes == 0 { Stop::Empty } else { self.body.end() };
        self.state = State::Stopped(stop);
    }

    /// What is known so far.
    pub fn facts(&self) -> &Facts {
        &self.body.text.envelope.facts
    }

    /// How far reading has come.
    pub fn state(&self) -> &State {
        &self.state
    }
}

/// The envelope's bytes.
#[derive(Debug)]
struct Body {
    characters: Characters,
    text: Text,
}

impl Body {
    fn push(&mut self, piece: &[u8], at: u64) -> Result<(), Stop> {
        self.characters.push(piece, at, &mut self.text)
    }

    /// Why nothing more is read, after the last byte.
    fn end(&mut self) -> Stop {
        match self.characters.end(&mut self.text) {
            Err(stop) => stop,
            Ok(()) => Stop::Malformed("the message ends before its envelope does".into()),
        }
    }
}

/// The envelope's characters.
#[derive(Debug)]
struct Text {
    tokenizer: Tokenizer,
    envelope: Envelope,
}

impl Utf8 for Text {
    fn utf8(&mut self, piece: &[u8], mut map: Map) -> Result<(), Stop> {
        self.tokenizer.feed(piece, &mut map, &mut self.envelope)
    }
}
