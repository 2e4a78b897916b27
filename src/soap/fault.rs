//! Faults that Castile itself writes (SOAP 1.1 §4.4, SOAP 1.2 Part 1 §5.4).

use super::Version;

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
    pub fn write(&self, _version: Version) -> Vec<u8> {
        unimplemented!()
    }

    /// The media type the envelope travels under.
    pub fn content_type(version: Version) -> &'static str {
        match version {
            Version::V11 => "text/xml; charset=utf-8",
            Version::V12 => "application/soap+xml; charset=utf-8",
        }
    }
}
