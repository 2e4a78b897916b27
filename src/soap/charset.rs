//! Characters: every encoding becomes UTF-8, without a copy where it is UTF-8 already.
//!
//! In this order: a byte order mark or the look of UTF-16, the `charset` of the media type, the XML declaration
//! (RFC 7303 §3, XML 1.0 Appendix F). Where none says anything, UTF-8.

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::Stop;
use super::place::{Map, Measure};

/// Bytes within which an XML declaration ends. It has three short attributes.
const DECLARATION_BYTES_MAX: usize = 512;

/// Bytes that are decoded at a time.
const BLOCK: usize = 4096;

/// Who gets the UTF-8.
pub(super) trait Utf8 {
    /// The next bytes; the map knows where they stand in the message.
    fn utf8(&mut self, piece: &[u8], map: Map) -> Result<(), Stop>;
}

/// How ASCII is written in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ascii {
    /// As it is.
    Bytes,
    /// In two bytes each, the greater one first.
    Utf16Be,
    /// In two bytes each, the smaller one first.
    Utf16Le,
}

/// Turns the bytes of a message into UTF-8.
#[derive(Debug)]
pub(super) struct Characters {
    /// From the media type.
    charset: Charset,
    state: State,
    /// Bytes of a beginning that says too little, or of a character that a piece cut.
    held: Vec<u8>,
    held_at: u64,
}

/// What a label stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    Unknown,
    Utf8,
    Utf16,
    Other(&'static Encoding),
    /// A label that nobody here knows.
    Strange,
}

enum State {
    Beginning,
    Utf8,
    Utf16 { is_big: bool },
    Other(Box<Decoder>, Measure),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Beginning => "Beginning",
            Self::Utf8 => "Utf8",
            Self::Utf16 { .. } => "Utf16",
            Self::Other(..) => "Other",
        })
    }
}

impl Charset {
    fn named(label: &[u8]) -> Self {
        let label = label.trim_ascii();
        if label.eq_ignore_ascii_case(b"utf-8") {
            return Self::Utf8;
        }
        // ASCII is read as UTF-8, which many a node sends under its name; the web's standard would read windows-1252.
        if label.eq_ignore_ascii_case(b"us-ascii") || label.eq_ignore_ascii_case(b"ascii") {
            return Self::Utf8;
        }
        match Encoding::for_label(label) {
            Some(encoding) if encoding == UTF_8 => Self::Utf8,
            Some(encoding) if encoding == UTF_16LE || encoding == UTF_16BE => Self::Utf16,
            Some(encoding) if encoding != encoding_rs::REPLACEMENT => Self::Other(encoding),
            _ => Self::Strange,
        }
    }
}

impl Characters {
    /// For a message whose media type has this `charset`.
    pub fn new(charset: Option<&[u8]>) -> Self {
        let charset = match charset {
            None | Some(b"") => Charset::Unknown,
            Some(label) => Charset::named(label),
        };
        Self { charset, state: State::Beginning, held: Vec::new(), held_at: 0 }
    }

    /// How ASCII is written, once the encoding is known; `None` also where places are not exact enough to write anything.
    pub fn ascii(&self) -> Option<Ascii> {
        match self.state {
            State::Utf8 | State::Other(_, Measure::Characters) => Some(Ascii::Bytes),
            State::Utf16 { is_big: true } => Some(Ascii::Utf16Be),
            State::Utf16 { is_big: false } => Some(Ascii::Utf16Le),
            State::Beginning | State::Other(..) => None,
        }
    }

    /// Takes the next piece, whose first byte stands at `at`.
    ///
    /// # Errors
    /// What `out` says; [`Stop::Malformed`] for bytes that the encoding does not have, [`Stop::Unreadable`] for an encoding
    /// that nobody here reads.
    pub fn push(&mut self, piece: &[u8], at: u64, out: &mut impl Utf8) -> Result<(), Stop> {
        match self.state {
            State::Utf8 => out.utf8(piece, Map::new(at, Measure::Bytes)),
            State::Beginning => self.begin(piece, at, false, out),
            _ => self.decode(piece, at, false, out),
        }
    }

    /// The message has ended.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn end(&mut self, out: &mut impl Utf8) -> Result<(), Stop> {
        match self.state {
            State::Utf8 => Ok(()),
            State::Beginning => self.begin(&[], self.held_at, true, out),
            _ => self.decode(&[], self.held_at, true, out),
        }
    }

    fn begin(&mut self, piece: &[u8], at: u64, is_end: bool, out: &mut impl Utf8) -> Result<(), Stop> {
        if self.held.is_empty() {
            self.held_at = at;
            if self.decide(piece, is_end)? {
                return self.first(piece, at, is_end, out);
            }
            self.held.extend_from_slice(piece);
            return Ok(());
        }
        // Only what the decision may need is held back; the rest of the piece is not copied.
        let room = DECLARATION_BYTES_MAX.saturating_sub(self.held.len()).max(1).min(piece.len());
        self.held.extend_from_slice(&piece[..room]);
        let held = std::mem::take(&mut self.held);
        if !self.decide(&held, is_end)? {
            self.held = held;
            return Ok(());
        }
        self.first(&held, self.held_at, is_end && room == piece.len(), out)?;
        if room < piece.len() { self.push(&piece[room..], at + room as u64, out) } else { Ok(()) }
    }

    /// The first bytes, once the encoding is known: a byte order mark is no text.
    fn first(&mut self, piece: &[u8], at: u64, is_end: bool, out: &mut impl Utf8) -> Result<(), Stop> {
        let mark = match (&self.state, piece) {
            (State::Utf8, [0xEF, 0xBB, 0xBF, ..]) => 3,
            (State::Utf16 { .. }, [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..]) => 2,
            _ => 0,
        };
        self.push(&piece[mark..], at + mark as u64, out)?;
        if is_end { self.end(out) } else { Ok(()) }
    }

    /// Decides on the encoding; false if the bytes so far do not tell.
    fn decide(&mut self, bytes: &[u8], is_end: bool) -> Result<bool, Stop> {
        let utf16 = match bytes {
            [0xFF, 0xFE, ..] | [b'<', 0, ..] => Some(false),
            [0xFE, 0xFF, ..] | [0, b'<', ..] => Some(true),
            _ => None,
        };
        if let Some(is_big) = utf16 {
            self.state = State::Utf16 { is_big };
            return Ok(true);
        }
        if bytes.len() < 3 && !is_end {
            return Ok(false);
        }
        let charset = match (bytes, self.charset) {
            ([0xEF, 0xBB, 0xBF, ..], _) => Charset::Utf8,
            (_, Charset::Unknown) => match declaration(bytes, is_end) {
                Some(charset) => charset,
                None => return Ok(false),
            },
            (_, known) => known,
        };
        self.state = match charset {
            // What claims UTF-16 and does not look like it is what .NET writes from a string: UTF-8.
            Charset::Unknown | Charset::Utf8 | Charset::Utf16 => State::Utf8,
            Charset::Other(encoding) => {
                let measure = if encoding.is_single_byte() { Measure::Characters } else { Measure::Encoded(encoding) };
                State::Other(Box::new(encoding.new_decoder_without_bom_handling()), measure)
            }
            Charset::Strange => return Err(Stop::Unreadable("a character encoding that is not known".into())),
        };
        Ok(true)
    }

    fn decode(&mut self, mut piece: &[u8], mut at: u64, is_end: bool, out: &mut impl Utf8) -> Result<(), Stop> {
        match &mut self.state {
            State::Utf16 { is_big } => {
                let is_big = *is_big;
                while !self.held.is_empty() && !piece.is_empty() {
                    self.held.push(piece[0]);
                    (piece, at) = (&piece[1..], at + 1);
                    let held = std::mem::take(&mut self.held);
                    let used = utf16(&held, self.held_at, is_big, out)?;
                    self.held.extend_from_slice(&held[used..]);
                    self.held_at += used as u64;
                }
                if !piece.is_empty() {
                    let used = utf16(piece, at, is_big, out)?;
                    self.held.extend_from_slice(&piece[used..]);
                    self.held_at = at + used as u64;
                }
                if is_end && !self.held.is_empty() {
                    return Err(Stop::Malformed("the message ends inside a character".into()));
                }
                Ok(())
            }
            State::Other(decoder, measure) => {
                let mut buffer = [0; BLOCK];
                loop {
                    let (result, read, written) =
                        decoder.decode_to_utf8_without_replacement(piece, &mut buffer, is_end);
                    out.utf8(&buffer[..written], Map::new(at, *measure))?;
                    (piece, at) = (&piece[read..], at + read as u64);
                    match result {
                        DecoderResult::InputEmpty => return Ok(()),
                        DecoderResult::OutputFull => {}
                        DecoderResult::Malformed(..) => {
                            return Err(Stop::Malformed("bytes that its character encoding does not have".into()));
                        }
                    }
                }
            }
            State::Beginning | State::Utf8 => Ok(()),
        }
    }
}

/// The encoding that the XML declaration names; `None` if its end has not come.
fn declaration(bytes: &[u8], is_end: bool) -> Option<Charset> {
    const START: &[u8] = b"<?xml";
    let common = bytes.len().min(START.len());
    if bytes[..common] != START[..common] {
        return Some(Charset::Unknown);
    }
    let whole = &bytes[..bytes.len().min(DECLARATION_BYTES_MAX)];
    let Some(end) = memchr::memmem::find(whole, b"?>") else {
        return (is_end || bytes.len() >= DECLARATION_BYTES_MAX).then_some(Charset::Unknown);
    };
    let Some(name) = memchr::memmem::find(&bytes[..end], b"encoding") else { return Some(Charset::Unknown) };
    let rest = bytes[name + 8..end].trim_ascii_start();
    let rest = rest.strip_prefix(b"=").unwrap_or(rest).trim_ascii_start();
    let Some((&quote, rest)) = rest.split_first().filter(|(quote, _)| matches!(quote, b'"' | b'\'')) else {
        return Some(Charset::Unknown);
    };
    let label = memchr::memchr(quote, rest).map_or(rest, |end| &rest[..end]);
    Some(Charset::named(label))
}

/// Decodes whole characters; returns how many bytes they were.
fn utf16(bytes: &[u8], at: u64, is_big: bool, out: &mut impl Utf8) -> Result<usize, Stop> {
    let mut text = String::new();
    let mut used = 0;
    let mut start = 0;
    let unit = |at: usize| {
        let pair = bytes.get(at..at + 2)?;
        let pair = [pair[0], pair[1]];
        Some(if is_big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) })
    };
    loop {
        let next = unit(used);
        let is_high = next.is_some_and(|unit| matches!(unit, 0xD800..=0xDBFF));
        let second = if is_high { unit(used + 2) } else { None };
        let is_cut = next.is_none() || (is_high && second.is_none());
        if is_cut || text.len() >= BLOCK {
            out.utf8(text.as_bytes(), Map::new(at + start as u64, Measure::Utf16))?;
            text.clear();
            start = used;
        }
        let Some(first) = next.filter(|_| !is_cut) else { return Ok(used) };
        for character in char::decode_utf16([first].into_iter().chain(second)) {
            let Ok(character) = character else {
                // What came before it counts.
                out.utf8(text.as_bytes(), Map::new(at + start as u64, Measure::Utf16))?;
                return Err(Stop::Malformed("half a UTF-16 character".into()));
            };
            text.push(character);
            used += 2 * character.len_utf16();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text and, for each piece, where it stands.
    #[derive(Default)]
    struct Out(Vec<u8>, Vec<(u64, usize)>);

    impl Utf8 for Out {
        fn utf8(&mut self, piece: &[u8], mut map: Map) -> Result<(), Stop> {
            for (index, byte) in piece.iter().enumerate() {
                self.1.push((map.place(piece, index).at, self.0.len()));
                self.0.push(*byte);
            }
            Ok(())
        }
    }

    /// The text in one piece and byte by byte, and where the first `€` stands.
    fn read(charset: Option<&str>, bytes: &[u8]) -> Result<(String, Option<u64>), Stop> {
        let mut results = Vec::new();
        for size in [bytes.len().max(1), 1, 3] {
            let (mut characters, mut out) = (Characters::new(charset.map(str::as_bytes)), Out::default());
            let result = (|| {
                let mut at = 0;
                for piece in bytes.chunks(size) {
                    characters.push(piece, at, &mut out)?;
                    at += piece.len() as u64;
                }
                characters.end(&mut out)
            })();
            let text = String::from_utf8(out.0).expect("UTF-8");
            let euro = text.find('€').and_then(|at| out.1.iter().find(|one| one.1 == at)).map(|one| one.0);
            results.push(result.map(|()| (text, euro)));
        }
        assert!(results.windows(2).all(|two| two[0] == two[1]), "{results:?}");
        results.remove(0)
    }

    fn utf16(text: &str, is_big: bool) -> Vec<u8> {
        text.encode_utf16().flat_map(|unit| if is_big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    fn ok(text: &str, euro: u64) -> Result<(String, Option<u64>), Stop> {
        Ok((text.to_owned(), Some(euro)))
    }

    #[test]
    fn utf8_passes_with_or_without_its_mark() {
        assert_eq!(read(None, "<a>€".as_bytes()), ok("<a>€", 3));
        assert_eq!(read(Some("utf-8"), "\u{feff}<a>€".as_bytes()), ok("<a>€", 6));
        assert_eq!(read(Some("iso-8859-1"), "\u{feff}<a>€".as_bytes()), ok("<a>€", 6));
        assert_eq!(read(None, b""), Ok((String::new(), None)));
        assert_eq!(read(None, b"<"), Ok(("<".into(), None)));
    }

    #[test]
    fn utf16_is_known_by_its_mark_or_its_look() {
        for is_big in [false, true] {
            for charset in [None, Some("utf-16"), Some("utf-8")] {
                assert_eq!(read(charset, &utf16("<a>𝄞€", is_big)), ok("<a>𝄞€", 10), "{charset:?} {is_big}");
                assert_eq!(read(charset, &utf16("\u{feff}<a>€", is_big)), ok("<a>€", 8), "{charset:?} {is_big}");
            }
        }
        assert!(matches!(read(None, &utf16("<a>", false)[..5]), Err(Stop::Malformed(_))));
        assert!(matches!(read(None, b"<\0\x00\xd8a\0"), Err(Stop::Malformed(_))));
    }

    #[test]
    fn the_media_type_stands_over_the_declaration() {
        let latin = b"<?xml version='1.0' encoding='iso-8859-1'?><a>\x80";
        assert_eq!(read(None, latin), ok("<?xml version='1.0' encoding='iso-8859-1'?><a>€", 46));
        let utf8 = "<?xml version='1.0' encoding='iso-8859-1'?><a>€";
        assert_eq!(read(Some("UTF-8"), utf8.as_bytes()), ok(utf8, 46));
        assert_eq!(read(Some("us-ascii"), utf8.as_bytes()), ok(utf8, 46));
    }

    #[test]
    fn what_claims_utf16_and_is_not_is_read_as_utf8() {
        let text = "<?xml version=\"1.0\" encoding=\"utf-16\"?><a>€";
        assert_eq!(read(None, text.as_bytes()), ok(text, 42));
        assert_eq!(read(Some("utf-16"), text.as_bytes()), ok(text, 42));
    }

    #[test]
    fn other_encodings_are_decoded_and_unknown_ones_refused() {
        assert_eq!(read(Some("windows-1252"), b"<a>\x80"), ok("<a>€", 3));
        assert_eq!(read(Some("shift_jis"), b"<a>\x83\x41").map(|found| found.0), Ok("<a>ア".into()));
        assert!(matches!(read(Some("shift_jis"), b"<a>\x83"), Err(Stop::Malformed(_))));
        assert!(matches!(read(Some("x-ebcdic"), b"<a>"), Err(Stop::Unreadable(_))));
        assert!(matches!(read(Some("iso-2022-kr"), b"<a>"), Err(Stop::Unreadable(_))));
        let long = format!("<?xml {}", "x".repeat(2000));
        assert_eq!(read(None, long.as_bytes()), Ok((long, None)));
    }
}
