//! SOAP messages: what a gateway must know of an envelope, read while it streams.
//!
//! [`Reader`] takes the body of an HTTP message in pieces of any size and yields [`Facts`]: the values that stand at the
//! wanted [`Path`]s, the operation, the fault. It never holds the message. No I/O, no clock. However a message is cut, the
//! facts are the same.
//!
//! On its way a byte passes, each step only where the message needs it:
//!
//! | step | file | does |
//! |---|---|---|
//! | 1 | `inflate` | gzip and deflate |
//! | 2 | `multipart`, `transfer` | the root part of MTOM and SwA |
//! | 3 | `charset` | UTF-8 from whatever it is |
//! | 4 | `tokens`, `tag`, `escape` | tags, text, references; passes over what nobody asks for |
//! | 5 | `envelope`, `element`, `namespaces` | Header, Body, the first child, when to stop |
//! | 6 | `matcher`, `wanted` | which paths an element stands on |
//! | 7 | `capture`, `values`, `multiref`, `fault_text` | texts, predicates, references, what a Fault says |
//!
//! [`rewrite`] stands on steps 2 to 4 and changes addresses in what passes.
//!
//! # What is tolerated
//!
//! A gateway is no validator: what cannot put a value in the wrong place is let through, and the node judges it. Unbound
//! prefixes match nothing. Not looked at are the attributes and the inside of elements that no path can match, `]]>` in
//! text, what comments and instructions hold, and everything behind the last thing wanted. A document type is never
//! tolerated.

mod body;
mod capture;
mod charset;
mod element;
mod envelope;
mod escape;
mod facts;
mod fault;
mod fault_text;
mod inflate;
#[cfg(test)]
mod limit_tests;
mod matcher;
mod media;
#[cfg(test)]
mod message_tests;
mod multipart;
mod multiref;
mod namespaces;
pub mod operation;
mod path;
mod path_text;
mod place;
#[cfg(test)]
mod preset_tests;
mod reader;
pub mod rewrite;
mod search;
mod tag;
#[cfg(test)]
mod tests;
mod tokens;
mod transfer;
mod values;
mod wanted;

pub use facts::{Facts, FaultFacts, Found, Origin};
pub use fault::{Fault, FaultCode};
pub use path::{LocalTest, NameTest, NamespaceTest, Part, Path, PathError, Predicate, Prefixes, Step};
pub use reader::{Content, Limits, Reader, State, Stop};
pub use wanted::{PathId, Wanted};

/// Namespace of SOAP 1.1 envelopes.
pub const NS_SOAP11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
/// Namespace of SOAP 1.2 envelopes.
pub const NS_SOAP12: &str = "http://www.w3.org/2003/05/soap-envelope";

/// The SOAP version of an envelope, told by its namespace (SOAP 1.1 §4.1.2, SOAP 1.2 Part 1 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// SOAP 1.1.
    V11,
    /// SOAP 1.2.
    V12,
}
