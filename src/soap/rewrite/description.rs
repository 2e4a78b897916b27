//! What a WSDL or a schema publishes: the addresses of its services, and the documents it is made of.
//!
//! The places are those that are rewritten ([`super::places`]), so that nobody looks for an address elsewhere than it is changed.

use super::places::{Marked, is_description, mark_description};
use crate::soap::body::Body;
use crate::soap::charset::Utf8;
use crate::soap::element::Element;
use crate::soap::escape::attribute_value;
use crate::soap::namespaces::{Namespace, Namespaces};
use crate::soap::place::{Map, Place};
use crate::soap::tag::{Attributes, Tag};
use crate::soap::tokens::{Flow, Passed, Sink, Tokenizer};
use crate::soap::{Content, Stop};

/// Addresses and documents of one description. Taste: the largest WSDLs have some hundred imports.
const FOUND_MAX: usize = 4096;
/// Nesting of elements. Schemas stay below 40.
const DEPTH_MAX: usize = 256;
/// Attributes of one element, as in messages.
const ATTRIBUTES_MAX: u32 = 128;

/// What a WSDL or a schema publishes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// `WSDL 1.1`, `WSDL 2.0` or `schema`.
    pub kind: &'static str,
    /// Addresses that clients call.
    pub addresses: Vec<Published>,
    /// Locations of the documents it imports and includes.
    pub documents: Vec<String>,
}

/// An address that clients call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// Name of the service; empty where it has none.
    pub service: String,
    /// Name of the port (WSDL 1.1) or endpoint (2.0).
    pub port: String,
    /// By which words: `soap:address`, `soap12:address`, `http:address`, `endpoint` or `wsa:Address`.
    pub element: &'static str,
    /// As written, references resolved.
    pub url: String,
}

impl Description {
    /// Reads a whole document in whatever encoding it is. Its media type matters only for the encoding.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(content_type: Option<&[u8]>, bytes: &[u8]) -> Result<Self, Stop> {
        let mut body = Body::new(Scan { tokenizer: Tokenizer::new(), finder: Finder::default() });
        if let Some(field) = content_type {
            // Some servers call a WSDL text/plain.
            let _ = body.content_type(field);
        }
        let stop = match body.push(bytes, 0) {
            Ok(()) => body.end(),
            Err(stop) => stop,
        };
        let finder = &mut body.text_mut().finder;
        match stop {
            Stop::Decided => Ok(std::mem::take(&mut finder.out)),
            Stop::Malformed(_) if finder.out.kind.is_empty() => Err(Stop::NotSoap),
            stop => Err(stop),
        }
    }

    /// Whether a rewriter would read a message with these fields.
    pub fn is_rewritable(content: Content<'_>) -> bool {
        let coding = content.content_encoding.map(<[u8]>::trim_ascii).unwrap_or_default();
        let is_plain = coding.is_empty() || coding.eq_ignore_ascii_case(b"identity");
        is_plain && content.content_type.is_some_and(super::Rewriter::takes)
    }
}

#[derive(Debug)]
struct Scan {
    tokenizer: Tokenizer,
    finder: Finder,
}

impl Utf8 for Scan {
    fn utf8(&mut self, piece: &[u8], mut map: Map) -> Result<(), Stop> {
        self.tokenizer.feed(piece, &mut map, &mut self.finder)
    }
}

#[derive(Debug, Default)]
struct Finder {
    spaces: Namespaces,
    frames: Vec<Frame>,
    /// The text of an address, while its element is open.
    text: Option<Vec<u8>>,
    out: Description,
}

#[derive(Debug, Default, Clone)]
struct Frame {
    mark: u32,
    is_reference: bool,
    service: Option<String>,
    port: Option<String>,
}

impl Finder {
    fn publish(&mut self, element: &'static str, url: &[u8]) {
        let named = |name: fn(&Frame) -> Option<&String>| self.frames.iter().rev().find_map(name).cloned();
        let (service, port) = (named(|frame| frame.service.as_ref()), named(|frame| frame.port.as_ref()));
        let url = String::from_utf8_lossy(url).trim().to_owned();
        let (service, port) = (service.unwrap_or_default(), port.unwrap_or_default());
        if self.out.addresses.len() < FOUND_MAX {
            self.out.addresses.push(Published { service, port, element, url });
        }
    }
}

/// The words for the element that holds an address; `None` where it holds a document's.
fn word(element: &Element<'_>) -> Option<&'static str> {
    let Namespace::Uri(namespace) = element.namespace() else { return None };
    match (namespace, element.tag.local) {
        (b"http://schemas.xmlsoap.org/wsdl/soap/", b"address") => Some("soap:address"),
        (b"http://schemas.xmlsoap.org/wsdl/soap12/", b"address") => Some("soap12:address"),
        (_, b"address") => Some("http:address"),
        (_, b"endpoint") => Some("endpoint"),
        _ => None,
    }
}

impl Sink for Finder {
    fn collects(&self) -> bool {
        self.text.is_some()
    }

    fn text(&mut self, text: &[u8], _: Place) -> Result<(), Stop> {
        if let Some(value) = &mut self.text {
            value.extend_from_slice(text);
        }
        Ok(())
    }

    fn character(&mut self, character: &[u8], place: Place) -> Result<(), Stop> {
        self.text(character, place)
    }

    fn start(&mut self, content: &[u8], place: Place) -> Result<Flow, Stop> {
        let tag = Tag::parse(content)?;
        let mut attributes = Attributes::new();
        tag.attributes(ATTRIBUTES_MAX, &mut attributes)?;
        let mark = self.spaces.mark();
        for attribute in &attributes {
            if let Some(prefix) = attribute.declares() {
                self.spaces.declare(prefix, &attribute_value(attribute.raw)?)?;
            }
        }
        let element = Element::new(tag, &attributes, place, &self.spaces);
        if self.frames.is_empty() {
            if !is_description(&element) {
                return Err(Stop::NotSoap);
            }
            self.out.kind = match (element.tag.local, element.namespace()) {
                (b"definitions", _) => "WSDL 1.1",
                (b"description", _) => "WSDL 2.0",
                _ => "schema",
            };
        }
        let mut marked = Marked::default();
        let in_reference = self.frames.last().is_some_and(|frame| frame.is_reference);
        mark_description(&element, in_reference, &mut marked);
        let name = attributes.iter().find(|one| one.name == b"name").map(|one| attribute_value(one.raw)).transpose()?;
        let name = name.map(|name| String::from_utf8_lossy(&name).into_owned());
        let mut frame = Frame { mark, is_reference: tag.local == b"EndpointReference", ..Frame::default() };
        match tag.local {
            b"service" => frame.service = name,
            b"port" | b"endpoint" => frame.port = name,
            _ => {}
        }
        let word = word(&element);
        if self.frames.len() >= DEPTH_MAX {
            return Err(Stop::Limit(format!("element nesting exceeds {DEPTH_MAX}")));
        }
        self.frames.push(frame);
        for &index in &marked.attributes {
            let value = attribute_value(attributes[index].raw)?;
            match word {
                Some(word) => self.publish(word, &value),
                None if self.out.documents.len() < FOUND_MAX => {
                    self.out.documents.push(String::from_utf8_lossy(&value).trim().to_owned());
                }
                None => {}
            }
        }
        self.text = marked.text.then(Vec::new);
        if tag.is_empty {
            self.end(tag.name, place)?;
        }
        Ok(Flow::Read)
    }

    fn end(&mut self, _: &[u8], _: Place) -> Result<(), Stop> {
        if let Some(text) = self.text.take() {
            self.publish("wsa:Address", &text);
        }
        let Some(frame) = self.frames.pop() else {
            return Err(Stop::Malformed("an end tag without a start tag".into()));
        };
        self.spaces.leave(frame.mark);
        if self.frames.is_empty() { Err(Stop::Decided) } else { Ok(()) }
    }

    fn watches(&self) -> bool {
        false
    }

    fn passed(&mut self, _: Passed<'_>, _: Place) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(xml: &str, kind: &str, addresses: &[(&str, &str, &str, &str)], documents: &[&str]) {
        let utf16 = xml.encode_utf16().flat_map(u16::to_le_bytes);
        let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain(utf16).collect();
        for (bytes, content_type) in [(xml.as_bytes(), "text/plain"), (&utf16, "text/xml")] {
            let found = Description::read(Some(content_type.as_bytes()), bytes).expect("a description");
            let published = |one: &Published| (one.service.clone(), one.port.clone(), one.element, one.url.clone());
            let expected = |&(service, port, element, url): &(&str, &str, &'static str, &str)| {
                (service.to_owned(), port.to_owned(), element, url.to_owned())
            };
            let expected: Vec<_> = addresses.iter().map(|one| expected(&(one.0, one.1, leak(one.2), one.3))).collect();
            assert_eq!(found.addresses.iter().map(published).collect::<Vec<_>>(), expected);
            assert_eq!((found.kind, found.documents), (kind, documents.iter().map(|&one| one.to_owned()).collect()));
        }
    }

    fn leak(text: &str) -> &'static str {
        Box::leak(text.to_owned().into_boxed_str())
    }

    #[test]
    fn addresses_and_imports_of_wsdl_1_1_are_found() {
        let xml = "<w:definitions xmlns:w='http://schemas.xmlsoap.org/wsdl/' xmlns:s='http://schemas.xmlsoap.org/wsdl/soap/' \
            xmlns:t='http://schemas.xmlsoap.org/wsdl/soap12/'><w:import location='http://h/a?wsdl=1&amp;b'/><w:types>\
            <schema xmlns='http://www.w3.org/2001/XMLSchema'><import namespace='urn:x'/><include schemaLocation='a.xsd'/></schema></w:types>\
            <!-- <s:address location='http://no/'/> --><w:service name='S'><w:port name='P'><s:address location='http://h/p'/></w:port>\
            <w:port name='Q'><t:address location=' http://h/q '/><E:EndpointReference xmlns:E='http://www.w3.org/2005/08/addressing'>\
            <E:Address>http://h/<![CDATA[e]]></E:Address></E:EndpointReference></w:port></w:service></w:definitions>";
        check(
            xml,
            "WSDL 1.1",
            &[
                ("S", "P", "soap:address", "http://h/p"),
                ("S", "Q", "soap12:address", "http://h/q"),
                ("S", "Q", "wsa:Address", "http://h/e"),
            ],
            &["http://h/a?wsdl=1&b", "a.xsd"],
        );
    }

    #[test]
    fn endpoints_and_includes_of_wsdl_2_0_are_found() {
        let xml = "<description xmlns='http://www.w3.org/ns/wsdl'><include location='b.wsdl'/><service name='S'>\
            <endpoint name='E' address='https://h:1/e'/></service></description>";
        check(xml, "WSDL 2.0", &[("S", "E", "endpoint", "https://h:1/e")], &["b.wsdl"]);
    }

    #[test]
    fn what_is_no_description_is_refused() {
        for text in ["", "<html/>", "<a", "{}", "<!DOCTYPE a><definitions xmlns='http://schemas.xmlsoap.org/wsdl/'/>"] {
            assert!(Description::read(Some(b"text/xml"), text.as_bytes()).is_err(), "{text}");
        }
        let cut = "<definitions xmlns='http://schemas.xmlsoap.org/wsdl/'><service>";
        assert!(matches!(Description::read(None, cut.as_bytes()), Err(Stop::Malformed(_))));
    }
}
