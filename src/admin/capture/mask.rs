//! Stand-ins for what must not leave the gateway: of the same length and the same kinds of characters, the same for the same
//! text throughout a capture, and different for different texts.

use std::collections::{HashMap, HashSet};

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// Stand-ins remembered at most; later ones may fall together.
const KNOWN_MAX: usize = 100_000;
/// What begins ids and says nothing.
const PLAIN: [&[u8]; 8] = [b"urn", b"uuid", b"http", b"https", b"cid", b"true", b"false", b"s"];

/// How a text is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Whatever is a word or a number.
    All,
    /// Ids, and words with a digit: texts of Faults stay legible.
    Numbers,
    /// Ids only.
    Ids,
}

/// The stand-ins of one capture.
#[derive(Debug)]
pub struct Masks {
    secret: [u8; 16],
    known: HashMap<Vec<u8>, Vec<u8>>,
    used: HashSet<Vec<u8>>,
    /// Words of ids, in small letters.
    ids: HashSet<Vec<u8>>,
    /// Words that stay: tags of nodes.
    kept: HashSet<Vec<u8>>,
}

impl Masks {
    /// None yet. `secret`: so that nobody can try which text a stand-in stands for.
    pub fn new(secret: [u8; 16]) -> Self {
        let (known, used, ids, kept) = Default::default();
        Self { secret, known, used, ids, kept }
    }

    /// The words of this value are masked everywhere.
    pub fn is_id(&mut self, value: &[u8]) {
        for word in value.split(|byte| !byte.is_ascii_alphanumeric()) {
            if word.len() >= 4 && self.ids.len() < KNOWN_MAX {
                self.ids.insert(word.to_ascii_lowercase());
            }
        }
    }

    /// The words of this value are nowhere masked.
    pub fn keep(&mut self, value: &[u8]) {
        self.kept.extend(value.split(|byte| !byte.is_ascii_alphanumeric()).map(<[u8]>::to_vec));
    }

    /// Appends the masked text. References of XML stay.
    pub fn text(&mut self, text: &[u8], how: How, out: &mut Vec<u8>) {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80;
        let mut at = 0;
        while at < text.len() {
            let end =
                text[at..].iter().position(|byte| is_word(*byte) != is_word(text[at])).map_or(text.len(), |n| at + n);
            let piece = &text[at..end];
            let is_reference = at > 0 && text[at - 1] == b'&' && text.get(end) == Some(&b';');
            if is_word(piece[0]) && !(is_reference && [&b"amp"[..], b"lt", b"gt", b"quot", b"apos"].contains(&piece)) {
                self.word(piece, how, out);
            } else {
                out.extend_from_slice(piece);
            }
            at = end;
        }
    }

    fn word(&mut self, word: &[u8], how: How, out: &mut Vec<u8>) {
        let is_id = || self.ids.contains(&word.to_ascii_lowercase());
        let hides = match how {
            How::All => true,
            How::Numbers => word.iter().any(u8::is_ascii_digit) || is_id(),
            How::Ids => is_id(),
        };
        if !hides || PLAIN.contains(&word) || self.kept.contains(word) {
            out.extend_from_slice(word);
            return;
        }
        if let Some(known) = self.known.get(word) {
            out.extend_from_slice(known);
            return;
        }
        let mut stand_in = self.draw(word, 0);
        // Short words have few stand-ins; two ids must not become one if that can be helped.
        for round in 1..64 {
            if !self.used.contains(&stand_in) && stand_in != word {
                break;
            }
            stand_in = self.draw(word, round);
        }
        out.extend_from_slice(&stand_in);
        if self.known.len() < KNOWN_MAX {
            self.used.insert(stand_in.clone());
            self.known.insert(word.to_vec(), stand_in);
        }
    }

    fn draw(&self, word: &[u8], round: u8) -> Vec<u8> {
        let is_hex = word.iter().all(u8::is_ascii_hexdigit) && word.iter().any(u8::is_ascii_digit);
        let letters = if is_hex { 6 } else { 26 };
        let mut bits = 0u128;
        word.iter()
            .enumerate()
            .map(|(at, byte)| {
                if at.is_multiple_of(16) {
                    let mut hasher = SipHasher13::new_with_key(&self.secret);
                    hasher.write(word);
                    hasher.write(&[round]);
                    hasher.write(&at.to_le_bytes());
                    bits = hasher.finish128().as_u128();
                }
                let draw = (bits & 0xff) as u8;
                bits >>= 8;
                match byte {
                    b'0'..=b'9' => b'0' + draw % 10,
                    b'a'..=b'z' => b'a' + draw % letters,
                    b'A'..=b'Z' => b'A' + draw % letters,
                    _ => b'x',
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(masks: &mut Masks, text: &str, how: How) -> String {
        let mut out = Vec::new();
        masks.text(text.as_bytes(), how, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn a_stand_in_has_the_form_of_what_it_stands_for_and_is_the_same_everywhere() {
        let mut masks = Masks::new([7; 16]);
        masks.keep(b"node-1");
        let id = "urn:uuid:dc01df38-f59c-4f0e-974a-36687757fb75";
        let masked = mask(&mut masks, id, How::All);
        assert!(masked.starts_with("urn:uuid:") && masked.len() == id.len() && masked != id, "{masked}");
        assert!(masked[9..].bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()), "{masked}");
        let there = mask(&mut masks, &format!("a &amp; <{id}>.node-1"), How::All);
        assert!(there.contains(&masked) && there.ends_with(".node-1") && there.contains("&amp;"), "{there}");
        assert_eq!(mask(&mut masks, "no session 17a", How::Numbers)[..11], *"no session ");
        masks.is_id(b"Abcd.1");
        assert_eq!(mask(&mut masks, "x=ABCD", How::Ids).len(), 6);
        assert!(!mask(&mut masks, "x=ABCD", How::Ids).contains("ABCD"));
    }

    #[test]
    fn different_short_ids_stay_different() {
        let mut masks = Masks::new([9; 16]);
        let all: HashSet<_> = (0..60).map(|number| mask(&mut masks, &format!("{number:03}"), How::All)).collect();
        assert_eq!(all.len(), 60);
    }
}
