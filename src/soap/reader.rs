//! The push reader: HTTP body bytes in, facts out.

use std::sync::Arc;

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
    facts: Facts,
    state: State,
}

impl Reader {
    /// A reader for one message.
    pub fn new(_wanted: Arc<Wanted>, _content: Content<'_>, _limits: Limits) -> Self {
        unimplemented!()
    }

    /// Takes the next piece. After [`State::Stopped`] pieces are ignored.
    pub fn push(&mut self, _piece: &[u8]) {
        unimplemented!()
    }

    /// The body has ended.
    pub fn end(&mut self) {
        unimplemented!()
    }

    /// What is known so far.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// How far reading has come.
    pub fn state(&self) -> &State {
        &self.state
    }
}
