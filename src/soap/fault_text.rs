//! What a received Fault says (SOAP 1.1 §4.4, SOAP 1.2 Part 1 §5.4).
//!
//! Its elements are told apart by local name alone: SOAP 1.1 has them in no namespace, 1.2 in the envelope's, and real
//! nodes mix the two up.

use super::escape::trim;
use super::{FaultFacts, Version};

/// Texts of one Fault. A Java stack trace in `detail` is one text.
const TEXTS_MAX: usize = 64;
/// Bytes of one text; the rest of it is left out.
const TEXT_BYTES_MAX: usize = 4 << 10;
/// Bytes of all texts.
const ALL_BYTES_MAX: usize = 16 << 10;

/// Which child of the Fault is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Child {
    Code,
    Reason,
    Detail,
    /// None, or one that no condition asks for: `faultactor`, `Node`, `Role`.
    Other,
}

/// Reads a Fault.
#[derive(Debug)]
pub(super) struct FaultText {
    version: Version,
    child: Child,
    /// Open elements below the Fault.
    depth: u32,
    text: Vec<u8>,
    bytes: usize,
    has_code: bool,
}

impl FaultText {
    pub fn new(version: Version) -> Self {
        Self { version, child: Child::Other, depth: 0, text: Vec::new(), bytes: 0, has_code: false }
    }

    /// Whether text is wanted.
    pub fn collects(&self) -> bool {
        self.child != Child::Other
    }

    /// An element in the Fault begins.
    pub fn start(&mut self, local: &[u8], facts: &mut FaultFacts) {
        self.flush(facts);
        self.depth += 1;
        if self.depth == 1 {
            self.child = match local {
                b"faultcode" | b"Code" => Child::Code,
                b"faultstring" | b"Reason" => Child::Reason,
                b"detail" | b"Detail" => Child::Detail,
                _ => Child::Other,
            };
        } else if self.child == Child::Detail {
            self.add(&String::from_utf8_lossy(local), facts);
        }
    }

    /// Text in the Fault.
    pub fn text(&mut self, text: &[u8]) {
        if self.collects() {
            let room = (TEXT_BYTES_MAX + 4).saturating_sub(self.text.len());
            self.text.extend_from_slice(&text[..text.len().min(room)]);
        }
    }

    /// An element in the Fault ends.
    pub fn end(&mut self, facts: &mut FaultFacts) {
        self.flush(facts);
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0 {
            self.child = Child::Other;
        }
    }

    /// Reports the text since the last tag.
    fn flush(&mut self, facts: &mut FaultFacts) {
        let buffer = std::mem::take(&mut self.text);
        let text = String::from_utf8_lossy(trim(&buffer));
        if !text.is_empty() {
            self.add(&text, facts);
            if self.child == Child::Code {
                self.code(&text, facts);
            }
        }
        self.text = buffer;
        self.text.clear();
    }

    /// A code is a qualified name; its local part is a text of its own.
    fn code(&mut self, code: &str, facts: &mut FaultFacts) {
        let local = code.rsplit(':').next().unwrap_or(code);
        if local != code {
            self.add(local, facts);
        }
        if !self.has_code {
            self.has_code = true;
            // SOAP 1.1 §4.4.1 lets a code be refined behind a dot: `Client.Authentication`.
            let first = local.split('.').next().unwrap_or(local);
            let (sender, receiver) =
                if self.version == Version::V11 { ("Client", "Server") } else { ("Sender", "Receiver") };
            facts.is_sender = first == sender;
            facts.is_receiver = first == receiver;
        }
    }

    fn add(&mut self, text: &str, facts: &mut FaultFacts) {
        let mut end = text.len().min(TEXT_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = &text[..end];
        if facts.texts.len() < TEXTS_MAX && self.bytes + text.len() <= ALL_BYTES_MAX {
            self.bytes += text.len();
            facts.texts.push(text.to_owned());
        }
    }
}
