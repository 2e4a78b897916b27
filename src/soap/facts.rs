//! What a reader found.

use super::{PathId, Version};

/// One value at a wanted path. Complete: its end tag (or its start tag, for an attribute) was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which path.
    pub path: PathId,
    /// Trimmed; may be empty: the element or attribute is there, but has no text, or more than [`super::Limits::value_bytes`] of
    /// it (an id must never be cut). Callers that look for ids treat empty as absent.
    pub value: String,
    /// Byte offset of the value's first byte. See [`Origin`] for what it counts.
    pub offset: u64,
}

/// What the offsets of a message count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// Bytes of the HTTP body as on the wire (after transfer coding).
    #[default]
    Wire,
    /// Bytes after content decoding (gzip, deflate).
    Decoded,
}

/// A SOAP Fault, as far as conditions may ask for it. Each list is bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultFacts {
    /// Local names and texts: code, subcodes, reason texts, detail texts, names of detail elements, in document order.
    pub texts: Vec<String>,
    /// Whether the code says the caller is at fault: `Client` (SOAP 1.1) or `Sender` (SOAP 1.2).
    pub is_sender: bool,
    /// Whether the code says the node is at fault: `Server` (SOAP 1.1) or `Receiver` (SOAP 1.2).
    pub is_receiver: bool,
}

/// Everything known of a message so far.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// SOAP version; `None` until the envelope's start tag, or if the message is not SOAP.
    pub version: Option<Version>,
    /// Text of `wsa:Action` (any version of WS-Addressing), where wanted.
    pub wsa_action: Option<String>,
    /// Namespace and local name of the first Body child, as soon as its start tag was seen, where wanted.
    pub body_child: Option<(String, String)>,
    /// The values found, in the order in which they became known: by end tags, a value that waits for a predicate or an
    /// `href` later. Only ever appended to. At most 8 values of a path, and one empty one; the offsets tell the document order.
    pub found: Vec<Found>,
    /// Whether the first Body child is a `Fault` of the envelope's namespace; `Some` once its start tag was seen.
    pub fault: Option<FaultFacts>,
    /// What offsets count.
    pub origin: Origin,
}
