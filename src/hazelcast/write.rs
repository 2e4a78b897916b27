//! Requests, put together.

use bytes::BytesMut;

use super::data::Data;
use super::uuid::Uuid;
use super::wire::{BEGIN, BEGIN_FRAGMENT, END, END_FRAGMENT, FINAL, HEADER_BYTES, NULL};

/// Where the number of the call stands.
const CORRELATION: usize = HEADER_BYTES + 4;
/// Where the partition stands.
const PARTITION: usize = HEADER_BYTES + 12;

/// A request, without the number of its call and its partition: these are known when it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    name: &'static str,
    bytes: Vec<u8>,
    /// The hash of the key that it is about.
    key_hash: Option<i32>,
    is_repeatable: bool,
    /// Where the flags of the last frame stand.
    last: usize,
}

impl Request {
    /// A request of a type; `name` is for people. Values of fixed size come first, then frames.
    pub(super) fn new(name: &'static str, kind: u32) -> Self {
        let mut bytes = vec![0; PARTITION + 4];
        bytes[4..6].copy_from_slice(&(BEGIN_FRAGMENT | END_FRAGMENT).to_le_bytes());
        bytes[6..10].copy_from_slice(&kind.to_le_bytes());
        let mut request = Self { name, bytes, key_hash: None, is_repeatable: false, last: 4 };
        request.close(0);
        request
    }

    /// What it asks for, in words of the protocol.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How large it is.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it may be asked again when the connection was lost before its answer.
    pub fn is_repeatable(&self) -> bool {
        self.is_repeatable
    }

    /// Says so.
    pub(super) fn repeatable(mut self) -> Self {
        self.is_repeatable = true;
        self
    }

    /// A byte or a boolean in the first frame.
    pub(super) fn u8(self, value: u8) -> Self {
        self.fixed(&[value])
    }

    /// A number of 4 bytes in the first frame.
    pub(super) fn i32(self, value: i32) -> Self {
        self.fixed(&value.to_le_bytes())
    }

    /// A number of 8 bytes in the first frame.
    pub(super) fn i64(self, value: i64) -> Self {
        self.fixed(&value.to_le_bytes())
    }

    /// An id in the first frame.
    pub(super) fn uuid(self, value: Uuid) -> Self {
        self.fixed(&value.write())
    }

    fn fixed(mut self, value: &[u8]) -> Self {
        self.bytes.extend_from_slice(value);
        self.close(0);
        self
    }

    /// A string.
    pub(super) fn text(self, value: &str) -> Self {
        self.frame(0, value.as_bytes())
    }

    /// A string, or null.
    pub(super) fn optional_text(self, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(value),
            None => self.frame(NULL, b""),
        }
    }

    /// A list of strings.
    pub(super) fn texts(self, values: &[String]) -> Self {
        let begun = self.frame(BEGIN, b"");
        values.iter().fold(begun, |request, value| request.text(value)).frame(END, b"")
    }

    /// The key that it is about; its partition is the request's.
    pub(super) fn key(mut self, key: &Data) -> Self {
        self.key_hash = Some(key.hash());
        self.data(key)
    }

    /// A value.
    pub(super) fn data(self, value: &Data) -> Self {
        self.frame(0, value.as_wire())
    }

    fn frame(mut self, flags: u16, payload: &[u8]) -> Self {
        let begins = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEADER_BYTES]);
        self.bytes[begins + 4..begins + 6].copy_from_slice(&flags.to_le_bytes());
        self.bytes.extend_from_slice(payload);
        self.last = begins + 4;
        self.close(begins);
        self
    }

    /// Sets the length of the frame that begins here and ends the bytes.
    fn close(&mut self, begins: usize) {
        let length = (self.bytes.len() - begins) as u32;
        self.bytes[begins..begins + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// Appends the request to what is to be sent, as the call of this number, in a cluster with so many partitions.
    pub fn send(&self, correlation: i64, partitions: i32, out: &mut BytesMut) {
        let begins = out.len();
        out.extend_from_slice(&self.bytes);
        let sent = &mut out[begins..];
        let partition = self.key_hash.map_or(-1, |hash| super::data::partition(hash, partitions));
        sent[CORRELATION..CORRELATION + 8].copy_from_slice(&correlation.to_le_bytes());
        sent[PARTITION..PARTITION + 4].copy_from_slice(&partition.to_le_bytes());
        let flags = u16::from_le_bytes([sent[self.last], sent[self.last + 1]]) | FINAL;
        sent[self.last..self.last + 2].copy_from_slice(&flags.to_le_bytes());
    }
}
