//! The push reader: HTTP body bytes in, facts out.

use std::sync::Arc;

use super::body::Body;
use super::charset::Utf8;
use super::envelope::Envelope;
use super::inflate::Coding;
use super::place::Map;
use super::tokens::Tokenizer;
use super::{Facts, Origin, Wanted};

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
    /// Nesting of elements that are read; inside one that no path can match, nesting is only counted.
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
    coding: Coding,
    body: Body<Text>,
    state: State,
    limits: Limits,
    /// Bytes taken so far.
    bytes: u64,
}

impl Reader {
    /// A reader for one message.
    pub fn new(wanted: Arc<Wanted>, content: Content<'_>, limits: Limits) -> Self {
        let mut envelope = Box::new(Envelope::new(wanted, limits));
        let coding = Coding::named(content.content_encoding, limits.bytes);
        if let Coding::Readable(_) = coding {
            envelope.facts.origin = Origin::Decoded;
        }
        let mut body = Body::new(Text { tokenizer: Tokenizer::new(), envelope });
        let readable = match (&coding, content.content_type.map(<[u8]>::trim_ascii)) {
            (Coding::Unreadable, _) => Err(Stop::Unreadable("a content coding that is not gzip or deflate".into())),
            (_, None | Some(b"")) => {
                body.guess();
                Ok(())
            }
            (_, Some(field)) => body.content_type(field),
        };
        let state = readable.map_or_else(State::Stopped, |()| State::Head);
        Self { coding, body, state, limits, bytes: 0 }
    }

    /// Takes the next piece. After [`State::Stopped`] pieces are ignored.
    pub fn push(&mut self, piece: &[u8]) {
        if matches!(self.state, State::Stopped(_)) {
            return;
        }
        let room = usize::try_from(self.limits.bytes.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        let readable = &piece[..piece.len().min(room)];
        let body = &mut self.body;
        let mut result = match &mut self.coding {
            Coding::Readable(inflate) => inflate.push(readable, &mut |decoded, at| body.push(decoded, at)),
            _ => body.push(readable, self.bytes),
        };
        self.bytes += readable.len() as u64;
        if result.is_ok() && readable.len() < piece.len() {
            result = Err(Stop::Limit(format!("more than {} bytes were to be read", self.limits.bytes)));
        }
        self.state = match result {
            Ok(()) => self.body.text().envelope.state(),
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
        &self.body.text().envelope.facts
    }

    /// How far reading has come.
    pub fn state(&self) -> &State {
        &self.state
    }
}

/// The envelope's characters.
#[derive(Debug)]
struct Text {
    tokenizer: Tokenizer,
    /// Boxed, since it is large and readers are moved.
    envelope: Box<Envelope>,
}

impl Utf8 for Text {
    fn utf8(&mut self, piece: &[u8], mut map: Map) -> Result<(), Stop> {
        self.tokenizer.feed(piece, &mut map, &mut *self.envelope)
    }
}
