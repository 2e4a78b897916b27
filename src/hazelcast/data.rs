//! Keys and values as members store them, and the partition of a key.

use bytes::{BufMut, Bytes, BytesMut};

/// The hash for placing, which members ignore, and the type; both with their most significant byte first.
pub const DATA_HEADER_BYTES: usize = 8;
/// A string: its length in bytes, then UTF-8.
const TYPE_TEXT: i32 = -11;
/// `byte[]` in Java, `bytearray` in Python, `Buffer` in Node: its length, then the bytes.
const TYPE_BYTES: i32 = -12;
/// An object that Java has serialized: a stream as `ObjectOutputStream` writes it.
const TYPE_JAVA: i32 = -100;
/// The seed with which members hash (`HashUtil.DEFAULT_MURMUR_SEED`).
const SEED: u32 = 0x0100_0193;

/// A key or a value.
#[derive(Debug, Clone)]
pub struct Data(Bytes);

impl Data {
    /// A string.
    pub fn text(text: &str) -> Self {
        Self::made(TYPE_TEXT, text.as_bytes())
    }

    /// Bytes.
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::made(TYPE_BYTES, bytes)
    }

    fn made(kind: i32, content: &[u8]) -> Self {
        let mut out = BytesMut::with_capacity(DATA_HEADER_BYTES + 4 + content.len());
        out.put_i32(0);
        out.put_i32(kind);
        out.put_i32(content.len() as i32);
        out.put_slice(content);
        Self(out.freeze())
    }

    /// As received: at least [`DATA_HEADER_BYTES`], which the caller has seen to.
    pub(super) fn received(wire: Bytes) -> Self {
        debug_assert!(wire.len() >= DATA_HEADER_BYTES);
        Self(wire)
    }

    pub(super) fn as_wire(&self) -> &[u8] {
        &self.0
    }

    fn kind(&self) -> i32 {
        i32::from_be_bytes([self.0[4], self.0[5], self.0[6], self.0[7]])
    }

    fn content(&self) -> &[u8] {
        &self.0[DATA_HEADER_BYTES..]
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(self.counted(TYPE_TEXT)?).ok()
    }

    /// The bytes, if they are such.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        self.counted(TYPE_BYTES)
    }

    /// The stream of a serialized object of Java, if it is one.
    pub fn as_java(&self) -> Option<&[u8]> {
        (self.kind() == TYPE_JAVA).then(|| self.content())
    }

    fn counted(&self, kind: i32) -> Option<&[u8]> {
        let (length, content) = self.content().split_first_chunk::<4>()?;
        let is_whole = self.kind() == kind && usize::try_from(i32::from_be_bytes(*length)) == Ok(content.len());
        is_whole.then_some(content)
    }

    /// What its partition is decided by.
    pub(super) fn hash(&self) -> i32 {
        murmur3(self.content(), SEED) as i32
    }
}

/// What the hash for placing says does not count.
impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        self.0[4..] == other.0[4..]
    }
}

impl Eq for Data {}

impl std::hash::Hash for Data {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0[4..].hash(state);
    }
}

/// The partition of a key (`HashUtil.hashToIndex`), among at least one.
pub(super) fn partition(hash: i32, partitions: i32) -> i32 {
    // The smallest number has no absolute value, and counts as 0.
    hash.checked_abs().unwrap_or(0) % partitions.max(1)
}

/// MurmurHash3, x86, 32 bits.
fn murmur3(bytes: &[u8], seed: u32) -> u32 {
    let scramble = |block: u32| block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (blocks, rest) = bytes.as_chunks::<4>();
    let mut hash = blocks.iter().fold(seed, |hash, block| {
        (hash ^ scramble(u32::from_le_bytes(*block))).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
    });
    let mut tail = [0; 4];
    tail[..rest.len()].copy_from_slice(rest);
    hash ^= scramble(u32::from_le_bytes(tail));
    hash ^= bytes.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_reference() {
        for (text, seed, hash) in [
            ("", 0, 0),
            ("", 1, 0x514e_28b7),
            ("a", 0x9747_b28c, 0x7fa0_9ea6),
            ("aa", 0x9747_b28c, 0x5d21_1726),
            ("aaa", 0x9747_b28c, 0x283e_0130),
            ("aaaa", 0x9747_b28c, 0x5a97_808a),
            ("Hello, world!", 0x9747_b28c, 0x2488_4cba),
        ] {
            assert_eq!(murmur3(text.as_bytes(), seed), hash, "{text}");
        }
    }

    #[test]
    fn keys_are_in_the_partitions_that_official_clients_use() {
        for (key, expected) in
            [("urn:uuid:1", 166), ("none", 204), ("urn:uuid:2", 108), ("urn:uuid:3", 155), ("urn:uuid:4", 155)]
        {
            assert_eq!(partition(Data::text(key).hash(), 271), expected, "{key}");
        }
        assert_eq!(partition(i32::MIN, 271), 0);
        assert_eq!(partition(7, 0), 0);
    }

    #[test]
    fn a_value_is_what_was_put_and_nothing_else() {
        assert_eq!(Data::text("ü").as_text(), Some("ü"));
        assert_eq!(Data::text("x").as_bytes(), None);
        assert_eq!(Data::bytes(&[0, 255]).as_bytes(), Some(&[0, 255][..]));
        assert_eq!(Data::bytes(b"x").as_text(), None);
        let wrong = Data::received(Bytes::from_static(b"\0\0\0\0\xff\xff\xff\xf5\0\0\0\x05abc"));
        assert_eq!(wrong.as_text(), None);
        let placed = Data::received(Bytes::from_static(b"\x01\x02\x03\x04\xff\xff\xff\xf5\0\0\0\x01x"));
        assert_eq!(placed, Data::text("x"));
    }
}
