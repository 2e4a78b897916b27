//! Universally unique ids as members write them.

use std::fmt;

/// An id of a member, a client, a cluster or a listener.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub u128);

/// Bytes of an id in a message: whether it is null, then its two halves.
pub const UUID_BYTES: usize = 17;

impl Uuid {
    /// Reads what [`write`](Self::write) writes. `None` inside: null.
    pub fn read(bytes: &[u8; UUID_BYTES]) -> Option<Self> {
        let half = |from: usize| {
            let mut half = [0; 8];
            half.copy_from_slice(&bytes[from..from + 8]);
            u128::from(u64::from_le_bytes(half))
        };
        (bytes[0] == 0).then(|| Self(half(1) << 64 | half(9)))
    }

    /// A byte 0, then both halves, the more significant one first, each with its least significant byte first.
    pub fn write(self) -> [u8; UUID_BYTES] {
        let mut bytes = [0; UUID_BYTES];
        bytes[1..9].copy_from_slice(&((self.0 >> 64) as u64).to_le_bytes());
        bytes[9..].copy_from_slice(&(self.0 as u64).to_le_bytes());
        bytes
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0;
        let (a, b, c, d) = ((n >> 96) as u32, (n >> 80) as u16, (n >> 64) as u16, (n >> 48) as u16);
        write!(out, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{:012x}", n & 0xffff_ffff_ffff)
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}
