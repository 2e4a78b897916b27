//! Where something stands in the message as it was received.
//!
//! The tokenizer sees UTF-8; offsets count bytes on the wire, which for UTF-16 and others are different ones.

use encoding_rs::Encoding;

/// How many bytes on the wire a text takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Measure {
    /// As many as in UTF-8.
    #[default]
    Bytes,
    /// UTF-16.
    Utf16,
    /// One per character.
    Characters,
    /// As many as this encoding writes.
    Encoded(&'static Encoding),
}

impl Measure {
    /// The bytes on the wire of a text.
    pub fn length(self, utf8: &[u8]) -> u64 {
        // Counted by lead bytes, so that a text that is cut inside a character cannot fail.
        let leads = || utf8.iter().filter(|&&byte| byte & 0xC0 != 0x80);
        match self {
            Self::Bytes => utf8.len() as u64,
            Self::Utf16 => leads().map(|&byte| if byte >= 0xF0 { 4 } else { 2 }).sum(),
            Self::Characters => leads().count() as u64,
            Self::Encoded(encoding) => encoding.encode(&String::from_utf8_lossy(utf8)).0.len() as u64,
        }
    }
}

/// A place in the message, and how to measure from there.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    /// Bytes before it.
    pub at: u64,
    measure: Measure,
}

impl Place {
    /// The place behind a text that begins here.
    pub fn behind(self, text: &[u8]) -> Place {
        Place { at: self.at + self.measure.length(text), measure: self.measure }
    }
}

/// The places of the bytes of one piece.
#[derive(Debug, Default)]
pub(super) struct Map {
    start: Place,
    /// The byte asked for last, and its place: going on from there keeps asking linear.
    last: (usize, u64),
}

impl Map {
    /// A piece whose first byte stands at `at`.
    pub fn new(at: u64, measure: Measure) -> Self {
        Self { start: Place { at, measure }, last: (0, at) }
    }

    /// The place of `piece[index]`.
    pub fn place(&mut self, piece: &[u8], index: usize) -> Place {
        if let Measure::Bytes = self.start.measure {
            return Place { at: self.start.at + index as u64, measure: Measure::Bytes };
        }
        if index < self.last.0 {
            self.last = (0, self.start.at);
        }
        let (from, at) = self.last;
        self.last = (index, at + self.start.measure.length(&piece[from..index]));
        Place { at: self.last.1, measure: self.start.measure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_bytes_on_the_wire() {
        let text = "aé€𝄞b";
        for (measure, at) in [
            (Measure::Bytes, 10 + 10),
            (Measure::Utf16, 10 + 10),
            (Measure::Characters, 10 + 4),
            (Measure::Encoded(encoding_rs::WINDOWS_1252), 10 + 13),
        ] {
            let mut map = Map::new(10, measure);
            let b = text.len() - 1;
            map.place(text.as_bytes(), 1);
            if !matches!(measure, Measure::Encoded(_)) {
                assert_eq!(map.place(text.as_bytes(), b).at, at, "{measure:?}");
            }
            assert_eq!(map.place(text.as_bytes(), 1).at, map.place(text.as_bytes(), 0).behind(b"a").at);
        }
    }
}
