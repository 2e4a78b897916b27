//! Content-Encoding: gzip and deflate, decoded for reading only (RFC 9110 §8.4.1, RFC 1952, RFC 1950).
//!
//! Checksums are not verified: the message passes as it came, and its receiver verifies them.

use flate2::{Decompress, FlushDecompress, Status};

use super::Stop;

/// Decoded bytes before the ratio counts.
const RATIO_FREE: u64 = 64 << 10;
/// Decoded bytes per byte, beyond [`RATIO_FREE`]. XML of real messages reaches 20, deflate's own bound is 1,032.
const RATIO_MAX: u64 = 200;
/// Bytes that are decoded at a time.
const BLOCK: usize = 8 << 10;

/// What a body's codings come to.
#[derive(Debug)]
pub(super) enum Coding {
    /// None, or `identity`.
    None,
    /// One that is read.
    Readable(Inflate),
    /// Several, or one that nobody here reads.
    Unreadable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gzip,
    /// zlib by the standard, raw deflate by many a sender.
    Deflate,
}

/// Where in the coding's own framing reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a fixed header; how many bytes of it are still missing.
    Header(usize),
    /// gzip: in the extra field's length, or in the field.
    Extra(Option<usize>),
    /// gzip: in the name or the comment, which end with a zero byte.
    Text,
    /// gzip: in the header's checksum.
    Checksum(usize),
    Data,
    /// gzip: in the checksum and length behind the data.
    Trailer(usize),
    /// Behind everything; the rest is nobody's.
    Over,
}

/// gzip header flags (RFC 1952 §2.3.1).
mod flag {
    pub const CHECKSUM: u8 = 2;
    pub const EXTRA: u8 = 4;
    pub const NAME: u8 = 8;
    pub const COMMENT: u8 = 16;
    pub const RESERVED: u8 = 0xE0;
}

/// Decodes one body.
pub(super) struct Inflate {
    kind: Kind,
    state: State,
    header: Vec<u8>,
    /// gzip header fields that still follow.
    flags: u8,
    data: Decompress,
    is_first: bool,
    bytes_in: u64,
    bytes_out: u64,
    bytes_max: u64,
}

impl std::fmt::Debug for Inflate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflate").field("kind", &self.kind).field("state", &self.state).finish_non_exhaustive()
    }
}

fn malformed<T>() -> Result<T, Stop> {
    Err(Stop::Malformed("its content coding is broken".into()))
}

impl Coding {
    /// The coding that a `Content-Encoding` names; of the decoded message at most `bytes_max` are read.
    pub fn named(field: Option<&[u8]>, bytes_max: u64) -> Self {
        let names = field.unwrap_or_default().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        let mut names = names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"));
        let (first, second) = (names.next(), names.next());
        let is = |name: &[u8]| first.is_some_and(|first| first.eq_ignore_ascii_case(name));
        match (first, second) {
            (None, _) => Self::None,
            (Some(_), None) if is(b"gzip") || is(b"x-gzip") => Self::Readable(Inflate::new(Kind::Gzip, bytes_max)),
            (Some(_), None) if is(b"deflate") => Self::Readable(Inflate::new(Kind::Deflate, bytes_max)),
            _ => Self::Unreadable,
        }
    }
}

impl Inflate {
    fn new(kind: Kind, bytes_max: u64) -> Self {
        let header = if kind == Kind::Gzip { 10 } else { 2 };
        Self {
            kind,
            state: State::Header(header),
            header: Vec::new(),
            flags: 0,
            data: Decompress::new(false),
            is_first: true,
            bytes_in: 0,
            bytes_out: 0,
            bytes_max,
        }
    }

    /// Takes the next piece; `out` gets decoded bytes and how many came before them.
    ///
    /// # Errors
    /// What `out` says, [`Stop::Malformed`], [`Stop::Limit`].
    pub fn push(&mut self, piece: &[u8], out: &mut impl FnMut(&[u8], u64) -> Result<(), Stop>) -> Result<(), Stop> {
        let mut rest = piece;
        while let Some(&byte) = rest.first() {
            if self.state == State::Data {
                let used = self.inflate(rest, out)?;
                rest = &rest[used..];
                continue;
            }
            rest = &rest[1..];
            self.bytes_in += 1;
            match self.state {
                State::Header(missing) => {
                    self.header.push(byte);
                    self.state = State::Header(missing - 1);
                    if missing == 1 {
                        self.header_ends(out)?;
                    }
                }
                State::Extra(None) => {
                    self.header.push(byte);
                    if let [low, high] = self.header[..] {
                        self.header.clear();
                        self.state = State::Extra(Some(usize::from(low) | usize::from(high) << 8));
                        self.skip_nothing();
                    }
                }
                State::Extra(Some(missing)) => {
                    self.state = State::Extra(Some(missing - 1));
                    self.skip_nothing();
                }
                State::Text if byte == 0 => self.next_field(),
                State::Text => {}
                State::Checksum(1) => self.next_field(),
                State::Checksum(missing) => self.state = State::Checksum(missing - 1),
                State::Trailer(1) => {
                    // Another member may follow (RFC 1952 §2.2).
                    self.state = State::Header(10);
                    self.is_first = false;
                }
                State::Trailer(missing) => self.state = State::Trailer(missing - 1),
                State::Data | State::Over => return Ok(()),
            }
        }
        Ok(())
    }

    /// An extra field without bytes is over at once.
    fn skip_nothing(&mut self) {
        if self.state == State::Extra(Some(0)) {
            self.next_field();
        }
    }

    /// The fixed header has come.
    fn header_ends(&mut self, out: &mut impl FnMut(&[u8], u64) -> Result<(), Stop>) -> Result<(), Stop> {
        let header = std::mem::take(&mut self.header);
        match (self.kind, &header[..]) {
            (Kind::Gzip, [0x1F, 0x8B, 8, flags, ..]) if flags & flag::RESERVED == 0 => {
                self.flags = *flags;
                self.data.reset(false);
                self.next_field();
                Ok(())
            }
            // Behind the last member, senders may pad.
            (Kind::Gzip, _) if !self.is_first => {
                self.state = State::Over;
                Ok(())
            }
            (Kind::Gzip, _) => malformed(),
            (Kind::Deflate, &[method, check]) => {
                self.state = State::Data;
                let is_zlib = method & 0x0F == 8 && (u16::from(method) << 8 | u16::from(check)) % 31 == 0;
                if is_zlib {
                    return Ok(());
                }
                let mut rest = &header[..];
                self.bytes_in -= rest.len() as u64;
                while !rest.is_empty() && self.state == State::Data {
                    let used = self.inflate(rest, out)?;
                    rest = &rest[used..];
                }
                Ok(())
            }
            (Kind::Deflate, _) => malformed(),
        }
    }

    /// Goes on to the next optional field of a gzip header, or to the data.
    fn next_field(&mut self) {
        self.header.clear();
        let mut take = |flag: u8| {
            let is_set = self.flags & flag != 0;
            self.flags &= !flag;
            is_set
        };
        self.state = if take(flag::EXTRA) {
            State::Extra(None)
        } else if take(flag::NAME) || take(flag::COMMENT) {
            State::Text
        } else if take(flag::CHECKSUM) {
            State::Checksum(2)
        } else {
            State::Data
        };
    }

    /// Decodes data; returns how much was used.
    fn inflate(&mut self, rest: &[u8], out: &mut impl FnMut(&[u8], u64) -> Result<(), Stop>) -> Result<usize, Stop> {
        let mut block = [0; BLOCK];
        let mut used = 0;
        loop {
            let (before_in, before_out) = (self.data.total_in(), self.data.total_out());
            // What was decoded before an error counts.
            let status = self.data.decompress(&rest[used..], &mut block, FlushDecompress::None);
            let taken = (self.data.total_in() - before_in) as usize;
            let given = (self.data.total_out() - before_out) as usize;
            used += taken;
            self.bytes_in += taken as u64;
            let room = usize::try_from(self.bytes_max - self.bytes_out).unwrap_or(usize::MAX);
            let readable = &block[..given.min(room)];
            let at = self.bytes_out;
            self.bytes_out += readable.len() as u64;
            out(readable, at)?;
            if readable.len() < given {
                return Err(Stop::Limit(format!("more than {} decoded bytes were to be read", self.bytes_max)));
            }
            if self.bytes_out > RATIO_FREE && self.bytes_out / RATIO_MAX > self.bytes_in {
                return Err(Stop::Limit(format!("a body that grows more than {RATIO_MAX} times when decoded")));
            }
            match status {
                Err(_) => return malformed(),
                Ok(Status::StreamEnd) => {
                    self.state = if self.kind == Kind::Gzip { State::Trailer(8) } else { State::Over };
                    return Ok(used);
                }
                _ if taken == 0 && given == 0 => {
                    return if used == rest.len() { Ok(used) } else { malformed() };
                }
                _ if used == rest.len() && given < BLOCK => return Ok(used),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use std::io::Write;

    fn read(field: &str, bytes: &[u8], bytes_max: u64) -> (usize, Result<(), Stop>) {
        let mut results = Vec::new();
        for size in [bytes.len().max(1), 1, 7] {
            let Coding::Readable(mut inflate) = Coding::named(Some(field.as_bytes()), bytes_max) else {
                panic!("{field} is read")
            };
            let mut text = Vec::new();
            let mut result = Ok(());
            for piece in bytes.chunks(size) {
                result = inflate.push(piece, &mut |piece, at| {
                    assert_eq!(at, text.len() as u64);
                    text.extend_from_slice(piece);
                    Ok(())
                });
                if result.is_err() {
                    break;
                }
            }
            results.push((text, result));
        }
        assert!(results.windows(2).all(|two| two[0] == two[1]), "{field}");
        let (text, result) = results.remove(0);
        assert_eq!(text, sample(text.len()));
        (text.len(), result)
    }

    fn sample(length: usize) -> Vec<u8> {
        (0..length).map(|at| ((at * at) >> 5) as u8).collect()
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn gzip_with_all_its_fields_and_members_is_read() {
        let text = sample(30_000);
        assert_eq!(read("gzip", &gzip(&text), 1 << 20), (30_000, Ok(())));
        let two = [gzip(&text[..10_000]), gzip(&text[10_000..])].concat();
        assert_eq!(read("X-GZIP", &two, 1 << 20), (30_000, Ok(())));
        let mut padded = gzip(&text);
        padded.extend([0; 20]);
        assert_eq!(read(" gzip , identity", &padded, 1 << 20), (30_000, Ok(())));
        let builder = flate2::GzBuilder::new().filename("a.xml").comment("c").extra(vec![1, 2, 3]);
        let mut encoder = builder.write(Vec::new(), Compression::best());
        encoder.write_all(&text).expect("memory");
        assert_eq!(read("gzip", &encoder.finish().expect("memory"), 1 << 20), (30_000, Ok(())));
    }

    #[test]
    fn deflate_is_read_with_and_without_zlib_around_it() {
        let text = sample(30_000);
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(&text).expect("memory");
        assert_eq!(read("deflate", &zlib.finish().expect("memory"), 1 << 20), (30_000, Ok(())));
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(&text).expect("memory");
        assert_eq!(read("Deflate", &raw.finish().expect("memory"), 1 << 20), (30_000, Ok(())));
    }

    #[test]
    fn output_is_bounded() {
        let (length, result) = read("gzip", &gzip(&sample(30_000)), 10_000);
        assert_eq!(length, 10_000);
        assert!(matches!(result, Err(Stop::Limit(_))));
        let Coding::Readable(mut inflate) = Coding::named(Some(b"gzip"), 1 << 30) else { panic!("gzip is read") };
        let mut length = 0;
        let result = inflate.push(&gzip(&vec![b' '; 10 << 20]), &mut |piece, _| {
            length += piece.len();
            Ok(())
        });
        assert!(matches!(result, Err(Stop::Limit(_))));
        assert!(length < 4 << 20, "{length}");
    }

    #[test]
    fn what_is_broken_or_unknown_is_told() {
        let mut broken = gzip(&sample(1000));
        broken[10] = 0xFF;
        assert!(read_result("gzip", &broken).is_err());
        assert!(read_result("gzip", b"<?xml version='1.0'?>").is_err());
        for field in ["br", "gzip, gzip", "gzip,deflate", "zstd", "compress"] {
            assert!(matches!(Coding::named(Some(field.as_bytes()), 9), Coding::Unreadable), "{field}");
        }
        for field in ["", " ", "identity", "Identity,"] {
            assert!(matches!(Coding::named(Some(field.as_bytes()), 9), Coding::None), "{field}");
        }
    }

    fn read_result(field: &str, bytes: &[u8]) -> Result<(), Stop> {
        let Coding::Readable(mut inflate) = Coding::named(Some(field.as_bytes()), 1 << 20) else { return Ok(()) };
        inflate.push(bytes, &mut |_, _| Ok(()))
    }
}
