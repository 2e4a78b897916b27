//! Reads a message and decides what of it is written anew.

use smallvec::SmallVec;

use super::places::{Marked, Places, Steps, is_description, mark_description};
use super::{Addresses, BEFORE_ROOT_MAX, Edit};
use crate::soap::charset::Utf8;
use crate::soap::element::Element;
use crate::soap::escape::is_space;
use crate::soap::namespaces::{Namespace, Namespaces};
use crate::soap::path::Part;
use crate::soap::place::{Map, Place};
use crate::soap::tag::{Attribute, Attributes, Tag};
use crate::soap::tokens::{Flow, Passed, Sink, Tokenizer};
use crate::soap::{NS_SOAP11, NS_SOAP12, Stop};

use std::sync::Arc;

/// Nesting of elements that are read. Deeper than any WSDL; what is beyond is passed on unread.
const DEPTH_MAX: usize = 256;
/// Attributes of one element.
const ATTRIBUTES_MAX: u32 = 128;
/// Bytes on the wire of a text that holds an address. Longer ones stay as they are; URLs are below 2 KiB.
const VALUE_BYTES_MAX: u64 = 8 << 10;
/// References of signatures that are remembered. With more, everything counts as signed.
const REFERENCES_MAX: usize = 64;

const NS_SIGNATURE: &[u8] = b"http://www.w3.org/2000/09/xmldsig#";

/// The characters of a message on their way to [`Finder`].
#[derive(Debug)]
pub(super) struct Scan {
    tokenizer: Tokenizer,
    finder: Finder,
    /// Up to where the message was seen; `None` before its first character.
    seen: Option<u64>,
}

/// Finds addresses.
#[derive(Debug)]
struct Finder {
    places: Arc<Places>,
    addresses: Addresses,
    spaces: Namespaces,
    frames: Vec<Frame>,
    value: Option<Value>,
    edits: Vec<Edit>,
    signatures: Signatures,
    signed: u32,
}

/// An open element.
#[derive(Debug, Clone, Default)]
struct Frame {
    mark: u32,
    zone: Zone,
    steps: Steps,
    /// Whether it is in a WSDL or a schema.
    is_described: bool,
    is_reference: bool,
    /// Whether it, or one around it, has an id that a signature may name.
    has_id: bool,
}

/// Where in the message an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Zone {
    Envelope,
    Header,
    Body,
    /// No envelope, but a WSDL or a schema.
    #[default]
    Description,
}

/// What signatures in the Header say.
#[derive(Debug, Default)]
struct Signatures {
    is_any: bool,
    /// Everything is signed.
    is_whole: bool,
    references: Vec<Box<[u8]>>,
}

/// The text of an element that holds an address.
#[derive(Debug)]
struct Value {
    /// Open elements, its own included.
    depth: usize,
    begins: u64,
    /// As written, but for references.
    text: Vec<u8>,
    runs: SmallVec<[Run; 2]>,
}

/// A run of text that stands on the wire without a gap.
#[derive(Debug)]
struct Run {
    from: usize,
    place: Place,
    is_reference: bool,
}

impl Scan {
    pub fn new(places: Arc<Places>, addresses: Addresses) -> Self {
        let finder = Finder {
            places,
            addresses,
            spaces: Namespaces::default(),
            frames: Vec::new(),
            value: None,
            edits: Vec::new(),
            signatures: Signatures::default(),
            signed: 0,
        };
        Self { tokenizer: Tokenizer::new(), finder, seen: None }
    }

    /// What was decided since the last call.
    pub fn take_edits(&mut self) -> Vec<Edit> {
        std::mem::take(&mut self.finder.edits)
    }

    /// Addresses left alone for a signature.
    pub fn signed(&self) -> u32 {
        self.finder.signed
    }

    /// Up to where everything is decided; `None` before the first character.
    pub fn undecided(&mut self) -> Option<u64> {
        let seen = self.seen?;
        if self.finder.value.as_ref().is_some_and(|value| seen - value.begins > VALUE_BYTES_MAX) {
            self.finder.value = None;
        }
        let tag = self.tokenizer.open_tag().map_or(seen, |place| place.at);
        Some(self.finder.value.as_ref().map_or(tag, |value| value.begins.min(tag)))
    }
}

impl Utf8 for Scan {
    fn utf8(&mut self, piece: &[u8], mut map: Map) -> Result<(), Stop> {
        if self.seen.is_none() && map.place(piece, 0).at > BEFORE_ROOT_MAX {
            return Err(Stop::Limit("too much stands before the root part".into()));
        }
        let result = self.tokenizer.feed(piece, &mut map, &mut self.finder);
        self.seen = Some(map.place(piece, piece.len()).at);
        result
    }
}

impl Finder {
    /// The frame of an element, what of it is an address, and whether anything in it may be one.
    fn enter(&self, element: &Element<'_>, mark: u32, marked: &mut Marked) -> Result<(Frame, bool), Stop> {
        let Some(parent) = self.frames.last() else { return self.root(element, mark) };
        let mut frame = Frame { mark, zone: parent.zone, ..Frame::default() };
        frame.has_id = parent.has_id || element.attributes.iter().any(|one| self.signatures.may_name(one));
        if parent.zone == Zone::Envelope {
            let part = match element.tag.local {
                b"Header" => Part::Header,
                b"Body" => Part::Body,
                _ => return Ok((frame, false)),
            };
            if part == Part::Body && !self.places.wants(part) && !self.places.wsdl() {
                return Err(Stop::Decided);
            }
            frame.zone = if part == Part::Header { Zone::Header } else { Zone::Body };
            frame.steps = self.places.begin(part);
            return Ok((frame, true));
        }
        frame.steps = self.places.enter(&parent.steps, element, marked)?;
        frame.is_described = parent.is_described || self.places.wsdl() && is_description(element);
        if frame.is_described {
            mark_description(element, parent.is_reference, marked);
        }
        frame.is_reference = element.tag.local == b"EndpointReference";
        marked.attributes.sort_unstable();
        marked.attributes.dedup();
        let may_hold = marked.text
            || !frame.steps.is_empty()
            || frame.is_described
            || frame.zone == Zone::Header
            || frame.zone == Zone::Body && self.places.wsdl();
        Ok((frame, may_hold))
    }

    fn root(&self, element: &Element<'_>, mark: u32) -> Result<(Frame, bool), Stop> {
        let Namespace::Uri(namespace) = element.namespace() else { return Err(Stop::NotSoap) };
        let is_soap = namespace == NS_SOAP11.as_bytes() || namespace == NS_SOAP12.as_bytes();
        let has_id = element.attributes.iter().any(|one| self.signatures.may_name(one));
        if is_soap && element.tag.local == b"Envelope" {
            Ok((Frame { mark, zone: Zone::Envelope, has_id, ..Frame::default() }, true))
        } else if self.places.wsdl() && is_description(element) {
            Ok((Frame { mark, is_described: true, ..Frame::default() }, true))
        } else {
            Err(Stop::NotSoap)
        }
    }

    /// Writes an address anew that stands within `text`, whose first byte stands at `place`.
    fn change(&mut self, text: &[u8], place: Place, is_signed: bool, may_escape: bool) {
        let Some(change) = self.addresses.url(text) else { return };
        if is_signed {
            self.signed += 1;
            return;
        }
        let with = change.with.replace('&', "&amp;").replace('\'', "&apos;");
        if may_escape || with == change.with {
            let end = place.behind(&text[..change.length]).at;
            self.edits.push(Edit { start: place.at, end, with });
        }
    }

    /// An attribute may hold one address, or pairs of a namespace and an address, as `wsdlLocation` does.
    fn attribute(&mut self, raw: &[u8], place: Place, is_signed: bool) {
        let words: SmallVec<[(usize, usize); 4]> = words(raw).take(64).collect();
        let first = usize::from(words.len() > 1);
        for &(start, end) in words.iter().skip(first).step_by(2) {
            self.change(&raw[start..end], place.behind(&raw[..start]), is_signed, true);
        }
    }

    fn text(&mut self, value: &Value, is_signed: bool) {
        let Some((start, end)) =
            words(&value.text).next().filter(|&(_, end)| value.text[end..].iter().all(|&b| is_space(b)))
        else {
            return;
        };
        let Some(index) = value.runs.iter().rposition(|run| run.from <= start) else { return };
        let run = &value.runs[index];
        let run_end = value.runs.get(index + 1).map_or(value.text.len(), |next| next.from);
        // What is written anew must not have a reference, a comment or the edge of a CDATA section in it.
        let is_within =
            self.addresses.url(&value.text[start..end]).is_some_and(|change| start + change.length <= run_end);
        if is_within && !run.is_reference {
            let place = run.place.behind(&value.text[run.from..start]);
            // In a CDATA section nothing can be escaped; what stands right behind the tag is in none.
            self.change(&value.text[start..end], place, is_signed, run.place.at == value.begins);
        }
    }

    /// The innermost element has ended.
    fn leave(&mut self) -> Result<(), Stop> {
        let Some(frame) = self.frames.pop() else {
            return Err(Stop::Malformed("an end tag without a start tag".into()));
        };
        self.spaces.leave(frame.mark);
        let is_last = self.frames.is_empty() || frame.zone == Zone::Body && self.frames.len() == 1;
        if is_last { Err(Stop::Decided) } else { Ok(()) }
    }

    fn is_signed(&self, frame: &Frame) -> bool {
        match frame.zone {
            Zone::Header => frame.has_id || self.signatures.is_whole,
            Zone::Envelope | Zone::Body => self.signatures.is_whole || self.signatures.is_any && frame.has_id,
            Zone::Description => false,
        }
    }
}

impl Signatures {
    /// Takes what an element of the Header says.
    fn notice(&mut self, element: &Element<'_>) {
        if element.namespace() != Namespace::Uri(NS_SIGNATURE) {
            return;
        }
        self.is_any |= element.tag.local == b"Signature";
        if element.tag.local != b"Reference" {
            return;
        }
        match element.attributes.iter().find(|one| one.name == b"URI").map(|one| one.raw) {
            Some([b'#', id @ ..]) if self.references.len() < REFERENCES_MAX => self.references.push(id.into()),
            // The whole document, or what nobody here can tell.
            _ => self.is_whole = true,
        }
    }

    /// Whether an attribute is an id by which signatures name elements. Plain `id` is that of multirefs, unless a signature
    /// was seen that names it.
    fn may_name(&self, attribute: &Attribute<'_>) -> bool {
        match attribute.local() {
            b"id" if attribute.prefix().is_empty() => self.references.iter().any(|id| **id == *attribute.raw),
            b"AssertionID" => true,
            local => local.eq_ignore_ascii_case(b"id"),
        }
    }
}

/// Where the words of a text stand.
fn words(text: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].iter().position(|&byte| !is_space(byte))?;
        at = text[start..].iter().position(|&byte| is_space(byte)).map_or(text.len(), |length| start + length);
        Some((start, at))
    })
}

impl Value {
    fn push(&mut self, text: &[u8], place: Place, is_reference: bool) {
        let goes_on = self.runs.last().is_some_and(|run| {
            !is_reference && !run.is_reference && run.place.behind(&self.text[run.from..]).at == place.at
        });
        if !goes_on {
            self.runs.push(Run { from: self.text.len(), place, is_reference });
        }
        self.text.extend_from_slice(text);
    }
}

impl Sink for Finder {
    fn collects(&self) -> bool {
        self.value.is_some()
    }

    fn text(&mut self, text: &[u8], place: Place) -> Result<(), Stop> {
        if let Some(value) = &mut self.value {
            value.push(text, place, false);
            if value.text.len() as u64 > VALUE_BYTES_MAX {
                self.value = None;
            }
        }
        Ok(())
    }

    fn character(&mut self, character: &[u8], place: Place) -> Result<(), Stop> {
        if let Some(value) = &mut self.value {
            value.push(character, place, true);
        }
        Ok(())
    }

    fn start(&mut self, content: &[u8], place: Place) -> Result<Flow, Stop> {
        // Text with elements in it is no address.
        self.value = None;
        let tag = Tag::parse(content)?;
        let mut attributes = Attributes::new();
        tag.attributes(ATTRIBUTES_MAX, &mut attributes)?;
        let mark = self.spaces.mark();
        for attribute in &attributes {
            if let Some(prefix) = attribute.declares() {
                self.spaces.declare(prefix, &crate::soap::escape::attribute_value(attribute.raw)?)?;
            }
        }
        let element = Element::new(tag, &attributes, place, &self.spaces);
        let mut marked = Marked::default();
        let (frame, may_hold) = self.enter(&element, mark, &mut marked)?;
        if frame.zone == Zone::Header {
            self.signatures.notice(&element);
        }
        let begins = element.behind(content);
        let is_signed = self.is_signed(&frame);
        for &index in &marked.attributes {
            let attribute = &attributes[index];
            self.attribute(attribute.raw, place.behind(&content[..attribute.at as usize]), is_signed);
        }
        if self.frames.len() >= DEPTH_MAX {
            return Err(Stop::Limit(format!("element nesting exceeds {DEPTH_MAX}")));
        }
        self.frames.push(frame);
        if tag.is_empty {
            self.leave()?;
        } else if marked.text {
            self.value = Some(Value { depth: self.frames.len(), begins, text: Vec::new(), runs: SmallVec::new() });
        }
        Ok(if may_hold { Flow::Read } else { Flow::Skip })
    }

    fn end(&mut self, _: &[u8], place: Place) -> Result<(), Stop> {
        let depth = self.frames.len();
        if let Some(value) = self.value.take_if(|value| value.depth == depth)
            && place.at - value.begins <= VALUE_BYTES_MAX
        {
            let is_signed = self.frames.last().is_some_and(|frame| self.is_signed(frame));
            self.text(&value, is_signed);
        }
        self.leave()
    }

    fn watches(&self) -> bool {
        false
    }

    fn passed(&mut self, _: Passed<'_>, _: Place) {}
}
