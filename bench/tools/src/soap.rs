//! The envelopes that generator and nodes exchange, shaped as Axis2 writes them.

use memchr::{memchr, memmem};

/// How much of a message the nodes and the generator look at for ids.
pub const PEEK_BYTES: usize = 4096;

const REQUEST_START: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope \
    xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:wsa=\"http://www.w3.org/2005/08/addressing\">\
    <soapenv:Header><wsa:To>http://localhost/services/Echo</wsa:To><wsa:MessageID>urn:uuid:";
const REQUEST_ACTION: &[u8] = b"</wsa:MessageID><wsa:Action>urn:echo</wsa:Action>";
const REQUEST_BODY: &[u8] = b"</soapenv:Header><soapenv:Body><ns:echo xmlns:ns=\"urn:echo\">";
const REQUEST_END: &[u8] = b"</ns:echo></soapenv:Body></soapenv:Envelope>";
const ID_START: &[u8] = b"<axis2:ServiceGroupId xmlns:axis2=\"http://ws.apache.org/namespaces/axis2\">";
const ID_END: &[u8] = b"</axis2:ServiceGroupId>";

const ANSWER_START: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope \
    xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:wsa=\"http://www.w3.org/2005/08/addressing\">\
    <soapenv:Header><wsa:RelatesTo>urn:uuid:";
const ANSWER_REPLY_TO: &[u8] = b"</wsa:RelatesTo><wsa:ReplyTo><wsa:Address>\
    http://www.w3.org/2005/08/addressing/anonymous</wsa:Address><wsa:ReferenceParameters>";
const ANSWER_BODY: &[u8] = b"</wsa:ReferenceParameters></wsa:ReplyTo><wsa:Action>urn:echoResponse</wsa:Action>\
    </soapenv:Header><soapenv:Body>";
/// What a complete answer ends with.
pub const ANSWER_END: &[u8] = b"</soapenv:Body></soapenv:Envelope>";

/// The part of bodies that says nothing, with their end: the same bytes for every message, never copied.
#[derive(Debug)]
pub struct Filler(Vec<u8>);

impl Filler {
    /// For requests of up to `bytes`.
    pub fn of_requests(bytes: usize) -> Self {
        Self::new(bytes, REQUEST_END)
    }

    /// For answers of up to `bytes`.
    pub fn of_answers(bytes: usize) -> Self {
        Self::new(bytes, ANSWER_END)
    }

    fn new(bytes: usize, end: &[u8]) -> Self {
        let mut filler: Vec<u8> =
            b"payload of no interest payload of interest\n".iter().copied().cycle().take(bytes).collect();
        filler.extend_from_slice(end);
        Self(filler)
    }

    /// The last `bytes`; at least the end itself.
    pub fn tail(&self, bytes: usize) -> &[u8] {
        &self.0[self.0.len().saturating_sub(bytes)..]
    }
}

/// The start of a request's envelope, up to where the filler begins. `serial` is its MessageID; an empty `id` is left out.
pub fn request(out: &mut Vec<u8>, serial: u64, id: &[u8]) {
    out.extend_from_slice(REQUEST_START);
    push_hex(out, serial);
    out.extend_from_slice(REQUEST_ACTION);
    if !id.is_empty() {
        push_id(out, id);
    }
    out.extend_from_slice(REQUEST_BODY);
}

/// The start of an answer's envelope, up to where the filler begins.
pub fn answer(out: &mut Vec<u8>, serial: u64, id: &[u8]) {
    out.extend_from_slice(ANSWER_START);
    push_hex(out, serial);
    out.extend_from_slice(ANSWER_REPLY_TO);
    push_id(out, id);
    out.extend_from_slice(ANSWER_BODY);
}

fn push_id(out: &mut Vec<u8>, id: &[u8]) {
    out.extend_from_slice(ID_START);
    out.extend_from_slice(id);
    out.extend_from_slice(ID_END);
}

/// Sixteen hexadecimal digits.
pub fn push_hex(out: &mut Vec<u8>, number: u64) {
    out.extend((0..16).rev().map(|digit| b"0123456789abcdef"[(number >> (digit * 4)) as usize & 15]));
}

/// The session id that a message carries.
pub fn id(message: &[u8]) -> Option<&[u8]> {
    text(message, b"ServiceGroupId")
}

/// The number in a message's MessageID or RelatesTo.
pub fn serial(message: &[u8], element: &[u8]) -> Option<u64> {
    let text = text(message, element)?.strip_prefix(b"urn:uuid:")?;
    u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// The text of the first element whose start tag holds `name`. Right for the messages of this file.
fn text<'a>(message: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = &message[memmem::find(message, name)?..];
    let rest = &rest[memchr(b'>', rest)? + 1..];
    Some(&rest[..memchr(b'<', rest)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found() {
        let mut message = Vec::new();
        request(&mut message, 0xfeed, b"urn:uuid:1");
        assert_eq!((id(&message), serial(&message, b"MessageID")), (Some(&b"urn:uuid:1"[..]), Some(0xfeed)));
        message.clear();
        answer(&mut message, u64::MAX, b"urn:uuid:2");
        assert_eq!((id(&message), serial(&message, b"RelatesTo")), (Some(&b"urn:uuid:2"[..]), Some(u64::MAX)));
    }

    #[test]
    fn a_request_without_an_id_carries_none() {
        let mut message = Vec::new();
        request(&mut message, 1, b"");
        assert_eq!(id(&message), None);
    }

    #[test]
    fn the_filler_ends_an_envelope() {
        assert!(Filler::of_answers(100).tail(50).ends_with(ANSWER_END));
        assert_eq!(Filler::of_requests(100).tail(80).len(), 80);
    }
}
