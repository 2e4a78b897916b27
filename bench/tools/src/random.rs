//! Random numbers for ids: fast and good enough, not secret.

use std::hash::{BuildHasher, RandomState};

/// Xorshift with a multiplication.
#[derive(Debug)]
pub struct Random(u64);

impl Default for Random {
    /// Seeded by the process's own randomness.
    fn default() -> Self {
        Self(RandomState::new().hash_one(0_u8) | 1)
    }
}

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// `urn:uuid:` and a version-less UUID whose last two digits are `suffix`.
    pub fn uuid(&mut self, suffix: u8) -> Vec<u8> {
        let (high, low) = (self.number(), self.number());
        format!(
            "urn:uuid:{:08x}-{:04x}-{:04x}-{:04x}-{:010x}{suffix:02}",
            high as u32,
            (high >> 32) as u16,
            (high >> 48) as u16,
            low as u16,
            low >> 16 & 0xff_ffff_ffff
        )
        .into_bytes()
    }
}
