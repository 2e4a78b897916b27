//! Faults that Castile itself writes (SOAP 1.1 §4.4, SOAP 1.2 Part 1 §5.4).

use super::escape::is_xml;
use super::{NS_SOAP11, NS_SOAP12, Version};

/// Who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultCode {
    /// `Client` or `Sender`: the message must change.
    Sender,
    /// `Server` or `Receiver`: the message may succeed later or elsewhere.
    Receiver,
}

/// A Fault to be written.
#[derive(Debug, Clone)]
pub struct Fault<'a> {
    /// Who has to act.
    pub code: FaultCode,
    /// Local name of the code in Castile's namespace: `SessionLost`, `NodeFailed`, ...
    pub subcode: &'a str,
    /// One sentence for people.
    pub reason: &'a str,
    /// Element name → text, written into `detail` in Castile's namespace, in this order.
    pub detail: &'a [(&'a str, &'a str)],
}

impl Fault<'_> {
    /// Castile's namespace for codes and details.
    pub const NAMESPACE: &'static str = "urn:castile:fault:1";

    /// The envelope, UTF-8, with XML declaration.
    ///
    /// In SOAP 1.1 the code is `faultcode` itself, which §4.4.1 leaves open to others' codes; who has to act is told by the
    /// HTTP status alone. Characters that XML does not allow become U+FFFD.
    pub fn write(&self, version: Version) -> Vec<u8> {
        let mut out = String::with_capacity(1024);
        out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let envelope = match version {
            Version::V11 => NS_SOAP11,
            Version::V12 => NS_SOAP12,
        };
        out.push_str("<env:Envelope xmlns:env=\"");
        out.push_str(envelope);
        out.push_str("\" xmlns:c=\"");
        out.push_str(Self::NAMESPACE);
        out.push_str("\"><env:Body><env:Fault>");
        match version {
            Version::V11 => self.write_v11(&mut out),
            Version::V12 => self.write_v12(&mut out),
        }
        out.push_str("</env:Fault></env:Body></env:Envelope>\n");
        out.into_bytes()
    }

    fn write_v11(&self, out: &mut String) {
        out.push_str("<faultcode>c:");
        name(self.subcode, out);
        out.push_str("</faultcode><faultstring xml:lang=\"en\">");
        text(self.reason, out);
        out.push_str("</faultstring>");
        if !self.detail.is_empty() {
            out.push_str("<detail>");
            self.write_detail(out);
            out.push_str("</detail>");
        }
    }

    fn write_v12(&self, out: &mut String) {
        out.push_str("<env:Code><env:Value>");
        out.push_str(match self.code {
            FaultCode::Sender => "env:Sender",
            FaultCode::Receiver => "env:Receiver",
        });
        out.push_str("</env:Value><env:Subcode><env:Value>c:");
        name(self.subcode, out);
        out.push_str("</env:Value></env:Subcode></env:Code><env:Reason><env:Text xml:lang=\"en\">");
        text(self.reason, out);
        out.push_str("</env:Text></env:Reason>");
        if !self.detail.is_empty() {
            out.push_str("<env:Detail>");
            self.write_detail(out);
            out.push_str("</env:Detail>");
        }
    }

    fn write_detail(&self, out: &mut String) {
        for (element, value) in self.detail {
            out.push_str("<c:");
            name(element, out);
            out.push('>');
            text(value, out);
            out.push_str("</c:");
            name(element, out);
            out.push('>');
        }
    }

    /// The media type the envelope travels under.
    pub fn content_type(version: Version) -> &'static str {
        match version {
            Version::V11 => "text/xml; charset=utf-8",
            Version::V12 => "application/soap+xml; charset=utf-8",
        }
    }
}

/// Writes a local name. What no name may have becomes `_`: names are ours, and a wrong one must not break the message.
fn name(name: &str, out: &mut String) {
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        out.push('_');
    }
    out.extend(name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '_' }));
}

/// Writes text.
fn text(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A reader would see a line feed.
            '\r' => out.push_str("&#13;"),
            _ if !is_xml(character) => out.push(char::REPLACEMENT_CHARACTER),
            _ => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::soap::{Content, FaultFacts, Limits, Reader, State, Stop, Wanted};

    fn read_back(fault: &Fault<'_>, version: Version) -> FaultFacts {
        let mut wanted = Wanted::new();
        wanted.want_fault();
        let content = Content { content_type: Some(Fault::content_type(version).as_bytes()), content_encoding: None };
        let mut reader = Reader::new(Arc::new(wanted), content, Limits::default());
        reader.push(&fault.write(version));
        reader.end();
        assert_eq!(*reader.state(), State::Stopped(Stop::Decided));
        assert_eq!(reader.facts().version, Some(version));
        reader.facts().fault.clone().expect("a fault")
    }

    #[test]
    fn a_written_fault_is_read_as_it_was_meant() {
        let detail = [("Upstream", "orders"), ("Reference", "a<b>&\"'\u{1}]]>")];
        let fault = Fault { code: FaultCode::Sender, subcode: "SessionLost", reason: "Gone & <lost>", detail: &detail };
        let rest = ["Gone & <lost>", "Upstream", "orders", "Reference", "a<b>&\"'\u{fffd}]]>"];
        let v11 = read_back(&fault, Version::V11);
        assert_eq!(v11.texts, [&["c:SessionLost", "SessionLost"][..], &rest].concat());
        let v12 = read_back(&fault, Version::V12);
        assert_eq!(v12.texts, [&["env:Sender", "Sender", "c:SessionLost", "SessionLost"][..], &rest].concat());
        assert!(v12.is_sender && !v12.is_receiver);
        let receiver = Fault { code: FaultCode::Receiver, detail: &[], ..fault };
        let receiver = read_back(&receiver, Version::V12);
        assert!(receiver.is_receiver && !receiver.is_sender);
    }

    #[test]
    fn a_wrong_name_does_not_break_the_message() {
        let fault = Fault { code: FaultCode::Sender, subcode: "1 a/b", reason: "", detail: &[("", "x")] };
        assert_eq!(read_back(&fault, Version::V11).texts, ["c:_1_a_b", "_1_a_b", "_", "x"]);
    }
}
