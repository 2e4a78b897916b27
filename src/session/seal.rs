//! The seal of a cookie of our own: a node and a last day, which only holders of the key can write or read.
//!
//! ```text
//! value    base64url without padding of: nonce 12 bytes, sealed text, tag 16 bytes (ChaCha20-Poly1305, RFC 8439)
//! text     last second since 1970, 8 bytes, most significant first; the node's name; zeros up to a multiple of 32
//! bound to "castile cookie 1", affinity group, name of the cookie
//! ```
//!
//! The zeros hide how long the name is. No randomness here: a nonce is an argument.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};

/// A value that is longer was never ours: a name has 128 letters at most.
const VALUE_MAX: usize = 512;
/// Texts are as long as a multiple of this.
const STEP: usize = 32;

/// What every value needs, and no two values of one key may share.
pub type SealNonce = [u8; NONCE_LEN];

/// Seals nodes of one affinity group in one cookie.
#[derive(Debug)]
pub struct Seal {
    /// The first seals, all open.
    keys: Vec<LessSafeKey>,
    bound_to: Vec<u8>,
}

/// What was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The name of the node.
    pub node: String,
    /// Its last second, since 1970. Whoever opens it compares.
    pub until: u64,
    /// Whether it was sealed with the key that seals at present.
    pub is_current: bool,
}

impl Seal {
    /// A seal with these secrets, each hashed to a key. The first seals.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>, group: &str, cookie: &str) -> Self {
        let key = |secret: &str| {
            let hash = digest(&SHA256, &[b"castile cookie key 1\0", secret.as_bytes()].concat());
            UnboundKey::new(&CHACHA20_POLY1305, hash.as_ref()).expect("SHA-256 is as long as a key")
        };
        let keys = secrets.into_iter().map(|secret| LessSafeKey::new(key(secret))).collect();
        // Neither name can hold a zero.
        let bound_to = ["castile cookie 1", group, cookie].join("\0").into_bytes();
        Self { keys, bound_to }
    }

    /// The value of a cookie. `None`: there is no key.
    pub fn seal(&self, node: &str, until: u64, nonce: SealNonce) -> Option<String> {
        let mut text = until.to_be_bytes().to_vec();
        text.extend_from_slice(node.as_bytes());
        text.resize(text.len().next_multiple_of(STEP), 0);
        let key = self.keys.first()?;
        let unique = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(unique, Aad::from(&self.bound_to), &mut text).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&nonce[..], &text].concat()))
    }

    /// What a value holds. `None`: it was not sealed by any of these keys, for this group and this cookie.
    pub fn open(&self, value: &[u8]) -> Option<Sealed> {
        if value.len() > VALUE_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        self.keys.iter().enumerate().find_map(|(index, key)| {
            let mut text = sealed.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let text = key.open_in_place(nonce, Aad::from(&self.bound_to), &mut text).ok()?;
            let (until, name) = text.split_first_chunk::<8>()?;
            let name = name.split(|byte| *byte == 0).next()?;
            let node = std::str::from_utf8(name).ok()?.to_owned();
            Some(Sealed { node, until: u64::from_be_bytes(*until), is_current: index == 0 })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "an old secret that has enough bytes in it";
    const NEW: &str = "a new secret that has enough bytes in it, too";

    fn value(seal: &Seal) -> String {
        seal.seal("n1", 1000, [7; NONCE_LEN]).expect("there is a key")
    }

    #[test]
    fn what_was_sealed_can_be_opened_and_says_nothing() {
        let seal = Seal::new([OLD], "orders", "CASTILE");
        let (short, long) = (value(&seal), seal.seal("node-of-a-longer-name", 1, [8; NONCE_LEN]).expect("a key"));
        assert_eq!(seal.open(short.as_bytes()), Some(Sealed { node: "n1".to_owned(), until: 1000, is_current: true }));
        assert_eq!(seal.open(long.as_bytes()).map(|sealed| sealed.node).as_deref(), Some("node-of-a-longer-name"));
        assert_eq!(short.len(), long.len(), "the length does not tell the name");
        assert!(short.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{short}");
        assert_eq!(
            seal.seal("n1", 1, [0; NONCE_LEN]).is_some(),
            Seal::new([], "g", "C").seal("n1", 1, [0; 12]).is_none()
        );
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let [old, both, new] = [&[OLD][..], &[NEW, OLD], &[NEW]].map(|keys| Seal::new(keys.iter().copied(), "g", "C"));
        assert!(both.open(value(&old).as_bytes()).is_some_and(|sealed| !sealed.is_current));
        assert!(both.open(value(&both).as_bytes()).is_some_and(|sealed| sealed.is_current));
        assert!(new.open(value(&both).as_bytes()).is_some(), "the first key sealed it");
        assert_eq!(new.open(value(&old).as_bytes()), None);
    }

    #[test]
    fn what_was_altered_or_is_of_others_cannot_be_opened() {
        let seal = Seal::new([OLD], "orders", "CASTILE");
        let good = value(&seal).into_bytes();
        for at in 0..good.len() {
            let mut altered = good.clone();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(seal.open(&altered), None, "byte {at}");
            assert_eq!(seal.open(&good[..at]), None, "cut at {at}");
        }
        for (group, cookie) in [("billing", "CASTILE"), ("orders", "OTHER"), ("orders\0CASTILE", "")] {
            assert_eq!(Seal::new([OLD], group, cookie).open(&good), None, "{group} {cookie}");
        }
        for none in [&b""[..], b"n1", b"====", &[b'A'; 600], &[0xff; 64]] {
            assert_eq!(seal.open(none), None);
        }
    }
}
