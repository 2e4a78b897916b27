//! The envelope: Header, Body, the first Body child, and when there is nothing left to read for.
//!
//! Found is what a SOAP stack would find: the first Header before the Body, the first Body; a Header behind the Body, a
//! second one of either and anything else in the Envelope is passed over. Header and Body are of the Envelope's namespace.

use std::sync::Arc;

use smallvec::SmallVec;

use super::element::Element;
use super::escape::{self, is_space};
use super::fault_text::FaultText;
use super::matcher::Matcher;
use super::namespaces::{Namespace, Namespaces};
use super::place::Place;
use super::tag::{Attributes, Tag, may_have_id};
use super::tokens::{Flow, Passed, Sink};
use super::{Facts, FaultFacts, Limits, NS_SOAP11, NS_SOAP12, Part, State, Stop, Version, Wanted};

/// The namespaces of WS-Addressing, newest first.
const NS_ADDRESSING: [&[u8]; 4] = [
    b"http://www.w3.org/2005/08/addressing",
    b"http://schemas.xmlsoap.org/ws/2004/08/addressing",
    b"http://schemas.xmlsoap.org/ws/2004/03/addressing",
    b"http://schemas.xmlsoap.org/ws/2003/03/addressing",
];

/// An open element that is read.
#[derive(Debug, Clone, Copy)]
struct Frame {
    /// Where its name begins in `names`.
    name: u32,
    /// Namespace declarations in scope around it.
    spaces: u32,
    /// Whether its name alone told that nothing in it matters, so that the matcher does not know it.
    is_ignored: bool,
}

/// Where in the message reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zone {
    /// Before the root element.
    Prolog,
    /// In the Envelope, outside its parts.
    Envelope,
    /// In a child of the Envelope that is passed over.
    Other,
    Header,
    Body,
}

/// What is known of the first Body child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstChild {
    Unknown,
    /// Open; whether a body path could match in it.
    Open {
        alive: bool,
    },
    Over,
}

/// Reads one envelope.
#[derive(Debug)]
pub(super) struct Envelope {
    pub facts: Facts,
    wanted: Arc<Wanted>,
    limits: Limits,
    zone: Zone,
    frames: SmallVec<[Frame; 8]>,
    names: Vec<u8>,
    spaces: Namespaces,
    matcher: Matcher,
    fault: Option<FaultText>,
    has_header: bool,
    header_is_over: bool,
    first_child: FirstChild,
}

fn malformed<T>(what: &str) -> Result<T, Stop> {
    Err(Stop::Malformed(what.into()))
}

impl Envelope {
    pub fn new(wanted: Arc<Wanted>, limits: Limits) -> Self {
        Self {
            facts: Facts::default(),
            wanted,
            limits,
            zone: Zone::Prolog,
            frames: SmallVec::new(),
            names: Vec::with_capacity(128),
            spaces: Namespaces::default(),
            matcher: Matcher::new(&limits),
            fault: None,
            has_header: false,
            header_is_over: false,
            first_child: FirstChild::Unknown,
        }
    }

    /// How far reading has come.
    pub fn state(&self) -> State {
        if !self.header_is_over {
            return State::Head;
        }
        let awaited = self.matcher.awaits_for_header();
        let alive = self.wanted.wants(Part::Body)
            && match self.first_child {
                FirstChild::Unknown => true,
                FirstChild::Open { alive } => alive || self.matcher.awaits(),
                FirstChild::Over => self.matcher.awaits(),
            };
        State::Body { awaited, alive }
    }

    /// The namespace of the envelope's own elements.
    fn namespace(&self) -> Namespace<'static> {
        match self.facts.version {
            Some(Version::V11) => Namespace::Uri(NS_SOAP11.as_bytes()),
            Some(Version::V12) => Namespace::Uri(NS_SOAP12.as_bytes()),
            None => Namespace::Unbound,
        }
    }

    /// The Header is over, or there is none.
    fn header_ends(&mut self) -> Result<(), Stop> {
        self.header_is_over = true;
        let wanted = &self.wanted;
        if wanted.wants(Part::Body) || wanted.operation() || wanted.fault() || self.matcher.awaits() {
            return Ok(());
        }
        Err(Stop::Decided)
    }

    /// A child of the Envelope begins.
    fn part(&mut self, local: &[u8], namespace: Namespace<'_>) -> Result<Flow, Stop> {
        let is_ours = namespace == self.namespace();
        match local {
            b"Header" if is_ours && !self.has_header => {
                self.has_header = true;
                self.zone = Zone::Header;
                let has_paths = self.matcher.begin(&self.wanted, Part::Header);
                Ok(if has_paths || self.wanted.operation() { Flow::Read } else { Flow::Skip })
            }
            b"Body" if is_ours => {
                if !self.header_is_over {
                    self.header_ends()?;
                }
                self.zone = Zone::Body;
                self.matcher.begin(&self.wanted, Part::Body);
                Ok(Flow::Read)
            }
            _ => {
                self.zone = Zone::Other;
                Ok(Flow::Skip)
            }
        }
    }

    /// The innermost element ends; its frame is gone already.
    fn leave(&mut self) -> Result<(), Stop> {
        let depth = self.frames.len();
        match (self.zone, depth) {
            (Zone::Header, 1) => {
                self.matcher.end(&mut self.facts);
                self.zone = Zone::Envelope;
                self.header_ends()
            }
            (Zone::Body, 1) => {
                self.matcher.end(&mut self.facts);
                Err(Stop::Decided)
            }
            (Zone::Other, 1) => {
                self.zone = Zone::Envelope;
                Ok(())
            }
            (Zone::Header | Zone::Body, _) => {
                if let (Some(fault), Some(facts)) = (&mut self.fault, &mut self.facts.fault)
                    && depth > 2
                {
                    fault.end(facts);
                }
                self.matcher.leave(&self.wanted, &mut self.facts)?;
                if self.zone == Zone::Body && depth == 2 {
                    self.child_ends()?;
                }
                Ok(())
            }
            // The Envelope itself: it had no Body, and headers that wait for one wait in vain.
            _ => {
                self.matcher.begin(&self.wanted, Part::Body);
                self.matcher.end(&mut self.facts);
                Err(Stop::Decided)
            }
        }
    }

    /// A Body child ends.
    fn child_ends(&mut self) -> Result<(), Stop> {
        self.fault = None;
        self.first_child = FirstChild::Over;
        if self.wanted.wants(Part::Body) || self.matcher.awaits() { Ok(()) } else { Err(Stop::Decided) }
    }
}

/// What a start tag tells of the first Body child.
struct First {
    name: (String, String),
    is_fault: bool,
}

fn text(bytes: &[u8]) -> Result<String, Stop> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Stop::Malformed("bytes that are not UTF-8".into()))
}

fn first_child(element: &Element<'_>, envelope: Namespace<'_>) -> Result<First, Stop> {
    let namespace = match element.namespace() {
        Namespace::Uri(uri) => uri,
        Namespace::None | Namespace::Unbound => b"",
    };
    let is_fault = element.tag.local == b"Fault" && element.namespace() == envelope;
    Ok(First { name: (text(namespace)?, text(element.tag.local)?), is_fault })
}

impl Sink for Envelope {
    fn collects(&self) -> bool {
        self.matcher.collects() || self.zone == Zone::Prolog || self.fault.as_ref().is_some_and(FaultText::collects)
    }

    fn text(&mut self, text: &[u8], place: Place) -> Result<(), Stop> {
        if self.zone == Zone::Prolog && !text.iter().all(|&byte| is_space(byte)) {
            return malformed("text before the root element");
        }
        if let Some(fault) = &mut self.fault {
            fault.text(text);
        }
        if self.matcher.collects() { self.matcher.text(text, place) } else { Ok(()) }
    }

    fn character(&mut self, character: &[u8], place: Place) -> Result<(), Stop> {
        if self.zone == Zone::Prolog {
            return malformed("text before the root element");
        }
        if let Some(fault) = &mut self.fault {
            fault.text(character);
        }
        if self.matcher.collects() {
            self.matcher.character(character, place);
        }
        Ok(())
    }

    fn start(&mut self, content: &[u8], place: Place) -> Result<Flow, Stop> {
        let tag = Tag::parse(content)?;
        let depth = self.frames.len();
        if depth >= self.limits.depth as usize {
            return Err(Stop::Limit(format!("element nesting exceeds {}", self.limits.depth)));
        }
        let is_ignored = self.ignores(&tag, content);
        if is_ignored && tag.is_empty {
            return Ok(Flow::Skip);
        }
        let frame = Frame { name: self.names.len() as u32, spaces: self.spaces.mark(), is_ignored };
        if is_ignored {
            self.frames.push(frame);
            self.names.extend_from_slice(tag.name);
            return Ok(Flow::Skip);
        }
        let mut attributes = Attributes::new();
        tag.attributes(self.limits.attributes, &mut attributes)?;
        for attribute in &attributes {
            if let Some(prefix) = attribute.declares() {
                self.spaces.declare(prefix, &escape::attribute_value(attribute.raw)?)?;
            }
        }
        self.frames.push(frame);
        self.names.extend_from_slice(tag.name);
        let flow = match self.zone {
            Zone::Prolog => {
                self.facts.version = match (tag.local, self.spaces.of_element(tag.prefix)) {
                    (b"Envelope", Namespace::Uri(uri)) if uri == NS_SOAP11.as_bytes() => Some(Version::V11),
                    (b"Envelope", Namespace::Uri(uri)) if uri == NS_SOAP12.as_bytes() => Some(Version::V12),
                    _ => return Err(Stop::NotSoap),
                };
                self.zone = Zone::Envelope;
                if self.wanted.is_empty() {
                    return Err(Stop::Decided);
                }
                Flow::Read
            }
            Zone::Envelope => {
                let spaces = std::mem::take(&mut self.spaces);
                let flow = self.part(tag.local, spaces.of_element(tag.prefix));
                self.spaces = spaces;
                flow?
            }
            Zone::Other => Flow::Skip,
            Zone::Header | Zone::Body => {
                let element = Element::new(tag, &attributes, place, &self.spaces);
                let in_header = self.zone == Zone::Header;
                let is_action = in_header
                    && depth == 2
                    && self.wanted.operation()
                    && tag.local == b"Action"
                    && matches!(element.namespace(), Namespace::Uri(uri) if NS_ADDRESSING.contains(&uri));
                let is_first = !in_header && depth == 2 && self.first_child == FirstChild::Unknown;
                let first = if is_first { Some(first_child(&element, self.namespace())?) } else { None };
                if let (Some(fault), Some(facts)) = (&mut self.fault, &mut self.facts.fault) {
                    fault.start(tag.local, facts);
                }
                let behind = element.behind(content);
                let goes_on = self.matcher.enter(&self.wanted, &element, behind, is_action, &mut self.facts)?;
                if let Some(first) = first {
                    self.first_child = FirstChild::Open { alive: goes_on };
                    if first.is_fault {
                        self.facts.fault = Some(FaultFacts::default());
                        if self.wanted.fault() {
                            self.fault = self.facts.version.map(FaultText::new);
                        }
                    }
                    if self.wanted.operation() {
                        self.facts.body_child = Some(first.name);
                    }
                    let is_target = goes_on || self.matcher.collects();
                    let is_done = self.fault.is_none() && !is_target && !self.matcher.awaits();
                    if is_done && !self.wanted.wants(Part::Body) {
                        return Err(Stop::Decided);
                    }
                }
                let reads = goes_on || self.fault.is_some() || (!in_header && self.matcher.awaits());
                if reads { Flow::Read } else { Flow::Skip }
            }
        };
        if tag.is_empty {
            self.pop();
            self.leave()?;
        }
        Ok(flow)
    }

    fn end(&mut self, name: &[u8], _: Place) -> Result<(), Stop> {
        match self.frames.last() {
            Some(frame) if &self.names[frame.name as usize..] == name => {}
            Some(_) => return malformed("an end tag does not match its start tag"),
            None => return malformed("an end tag without a start tag"),
        }
        if self.pop() { Ok(()) } else { self.leave() }
    }

    fn watches(&self) -> bool {
        self.zone == Zone::Body && self.wanted.body_text()
    }

    fn passed(&mut self, tag: Passed<'_>, place: Place) {
        let (spaces, limit) = (&self.spaces, self.limits.attributes);
        self.matcher.passed(tag, place, |tag| {
            let mut attributes = Attributes::new();
            tag.attributes(limit, &mut attributes).ok()?;
            Element::new(tag, &attributes, place, spaces).id().ok()?.map(|id| id.into_owned().into())
        });
    }
}

impl Envelope {
    /// Whether an element's name tells that neither it nor anything in it matters, so that its attributes and namespaces need
    /// not be read. The first Body child is always read, and whatever a reference or a Fault may ask for.
    fn ignores(&mut self, tag: &Tag<'_>, content: &[u8]) -> bool {
        let depth = self.frames.len();
        let may_matter = match self.zone {
            Zone::Header => depth == 2 && self.wanted.operation() && tag.local == b"Action",
            Zone::Body => {
                self.fault.is_some()
                    || self.first_child == FirstChild::Unknown
                    || self.matcher.awaits()
                    || (self.wanted.body_text() && may_have_id(content))
            }
            Zone::Prolog | Zone::Envelope | Zone::Other => true,
        };
        // A Body child that ends may end the reading.
        let is_body_child = self.zone == Zone::Body && depth == 2;
        !may_matter && !is_body_child && self.matcher.ignores(&self.wanted, tag.local)
    }

    /// Takes the innermost element's frame away; says whether it was ignored.
    fn pop(&mut self) -> bool {
        let Some(frame) = self.frames.pop() else { return false };
        self.names.truncate(frame.name as usize);
        self.spaces.leave(frame.spaces);
        frame.is_ignored
    }
}
