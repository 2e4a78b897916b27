//! Fingerprints: what tables, stores and logs hold instead of session ids.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// A keyed 128-bit hash of one key of a conversation: affinity group, key space, scope and value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u128);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Makes fingerprints. Gateways with the same secret make the same ones.
#[derive(Clone)]
pub struct Fingerprinter {
    start: SipHasher13,
}

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprinter(..)")
    }
}

impl Fingerprinter {
    /// A fingerprinter with this secret.
    pub fn new(secret: &[u8; 16]) -> Self {
        Self { start: SipHasher13::new_with_key(secret) }
    }

    /// The fingerprint of one key. Each part is hashed with its length, so that no two keys run together.
    pub fn fingerprint(&self, group: &str, space: &str, scope: &[u8], value: &[u8]) -> Fingerprint {
        let mut hasher = self.start;
        for part in [group.as_bytes(), space.as_bytes(), scope, value] {
            hasher.write_u32(part.len() as u32);
            hasher.write(part);
        }
        Fingerprint(hasher.finish128().as_u128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together_and_the_secret_matters() {
        let one = Fingerprinter::new(&[1; 16]);
        let print = |group, space, value: &str| one.fingerprint(group, space, b"", value.as_bytes());
        assert_eq!(print("g", "sgid", "a"), print("g", "sgid", "a"));
        assert_ne!(print("g", "sgid", "a"), print("g", "sgi", "da"));
        assert_ne!(print("g", "sgid", "a"), print("h", "sgid", "a"));
        let other = Fingerprinter::new(&[2; 16]);
        assert_ne!(print("g", "sgid", "a"), other.fingerprint("g", "sgid", b"", b"a"));
    }
}
