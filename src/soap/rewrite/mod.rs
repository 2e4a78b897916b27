//! Addresses in messages, changed while they pass: bytes in, bytes out.
//!
//! Only the beginning of a URL is written anew, in the message's own encoding; every other byte stays, and what follows
//! the beginning stays as it was written. Nothing is held back but a tag that is not whole, or the text of an element that
//! holds an address, both bounded. However a message is cut, the same comes out. No I/O, no clock.

mod addresses;
mod description;
mod places;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

pub use addresses::{Addresses, Change, Origin};
pub use description::{Description, Published};
pub use places::Places;
use scan::Scan;

use super::Content;
use super::Stop;
use super::body::Body;
use super::charset::Ascii;
use super::media::MediaType;

/// Bytes before the XML of a multipart message. Where more come before it, it is left alone: they would have to be held.
const BEFORE_ROOT_MAX: u64 = 64 << 10;

/// Bytes that may be held before the XML, but are not seen by it yet: of a delimiter or a character encoding.
const UNSEEN_MAX: u64 = 4 << 10;

/// A piece of the message that is written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    start: u64,
    end: u64,
    /// ASCII.
    with: String,
}

/// What was found in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Addresses that were changed.
    pub changed: u32,
    /// Addresses that would have been, but for a signature.
    pub signed: u32,
}

/// A beginning that was written anew. What follows it, which may hold a session id, is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Where it stood in the message.
    pub at: u64,
    /// As it was, in ASCII.
    pub from: String,
    /// As it is.
    pub to: String,
}

/// Beginnings that are remembered. Taste: a WSDL has 2 to 20.
const REPLACED_MAX: usize = 64;

/// Changes the addresses in one message.
#[derive(Debug)]
pub struct Rewriter {
    body: Body<Scan>,
    is_over: bool,
    /// Bytes that wait, from offset `sent` on.
    held: Vec<u8>,
    sent: u64,
    edits: VecDeque<Edit>,
    changed: u32,
    replaced: Vec<Replaced>,
}

impl Rewriter {
    /// For a message of this type; `None` where nothing in it could be changed: it is no XML, or compressed.
    pub fn new(places: Arc<Places>, addresses: Addresses, content: Content<'_>) -> Option<Self> {
        let coding = content.content_encoding.map(<[u8]>::trim_ascii).unwrap_or_default();
        let is_plain = coding.is_empty() || coding.eq_ignore_ascii_case(b"identity");
        if !is_plain || places.is_empty() {
            return None;
        }
        let mut body = Body::new(Scan::new(places, addresses));
        body.content_type(content.content_type?).ok()?;
        Some(Self {
            body,
            is_over: false,
            held: Vec::new(),
            sent: 0,
            edits: VecDeque::new(),
            changed: 0,
            replaced: Vec::new(),
        })
    }

    /// Whether a message of this type is one that a rewriter takes when it is not compressed.
    pub fn takes(content_type: &[u8]) -> bool {
        MediaType::parse(content_type).is_some_and(|media| media.is_xml() || media.is_multipart())
    }

    /// Takes the next piece and adds to `out` what can go on.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if self.is_over {
            out.extend_from_slice(piece);
            return;
        }
        let at = self.sent + self.held.len() as u64;
        self.held.extend_from_slice(piece);
        let result = self.body.push(piece, at);
        let received = at + piece.len() as u64;
        self.emit(result, received, out);
    }

    /// The message has ended: the rest goes on.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if !self.is_over {
            let stop = self.body.end();
            self.emit(Err(stop), self.sent + self.held.len() as u64, out);
        }
    }

    /// Whether nothing more can be changed.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// What was found so far.
    pub fn tally(&self) -> Tally {
        Tally { changed: self.changed, signed: self.body.text().signed() }
    }

    /// The first beginnings that were written anew.
    pub fn replaced(&self) -> &[Replaced] {
        &self.replaced
    }

    fn emit(&mut self, result: Result<(), Stop>, received: u64, out: &mut Vec<u8>) {
        self.is_over = result.is_err();
        let ascii = self.body.ascii();
        let scan = self.body.text_mut();
        let edits = scan.take_edits();
        let undecided = scan.undecided();
        if ascii.is_some() {
            self.edits.extend(edits);
        }
        self.is_over |= undecided.is_none() && received > BEFORE_ROOT_MAX + UNSEEN_MAX;
        let mut from = self.sent;
        let mut until = if self.is_over { received } else { undecided.unwrap_or(0).max(from) };
        while let Some(edit) = self.edits.front() {
            if edit.end > until {
                until = until.min(edit.start).max(from);
                break;
            }
            out.extend_from_slice(self.between(from, edit.start));
            write(&edit.with, ascii.unwrap_or(Ascii::Bytes), out);
            from = edit.end;
            self.changed += 1;
            if self.replaced.len() < REPLACED_MAX {
                let old = self.between(edit.start, edit.end).iter().filter(|byte| **byte != 0);
                let old = old.map(|byte| char::from(*byte)).collect();
                self.replaced.push(Replaced { at: edit.start, from: old, to: edit.with.clone() });
            }
            self.edits.pop_front();
        }
        if until > from {
            out.extend_from_slice(self.between(from, until));
            from = until;
        }
        self.held.drain(..(from - self.sent) as usize);
        self.sent = from;
    }

    /// Held bytes by their offsets in the message.
    fn between(&self, from: u64, until: u64) -> &[u8] {
        &self.held[(from - self.sent) as usize..(until - self.sent) as usize]
    }
}

fn write(text: &str, ascii: Ascii, out: &mut Vec<u8>) {
    match ascii {
        Ascii::Bytes => out.extend_from_slice(text.as_bytes()),
        Ascii::Utf16Be => out.extend(text.bytes().flat_map(|byte| [0, byte])),
        Ascii::Utf16Le => out.extend(text.bytes().flat_map(|byte| [byte, 0])),
    }
}
