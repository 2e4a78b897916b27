//! Chunked bodies (RFC 9112 §7.1).

use memchr::memchr;

use super::BodyError;
use super::bytes::{is_blank, is_text, is_token};
use super::decoder::{BodyDecoder, Step};
use super::trailer;
use crate::head::Fields;

/// The state of a chunked body between two pieces of input.
#[derive(Debug)]
pub(super) struct Chunked {
    at: At,
    /// Bytes of the current chunk that are still to come; while its size is read, the size so far.
    size: u64,
    digits: u8,
    extension_bytes: usize,
    /// The byte before was white space, in an extension or behind a size.
    blank: bool,
    padded_sizes: bool,
    /// The trailer section as received, while it is not whole.
    raw: Vec<u8>,
    trailers: Fields,
}

/// What the next byte is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Size,
    AfterSize,
    ExtensionName { begun: bool },
    ExtensionValue { begun: bool },
    ExtensionQuoted,
    ExtensionEscape,
    ExtensionEnd,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerBegin,
    Trailer,
    LastLf,
    Done,
}

impl Chunked {
    pub(super) fn new(padded_sizes: bool) -> Self {
        Self {
            at: At::Size,
            size: 0,
            digits: 0,
            extension_bytes: 0,
            blank: false,
            padded_sizes,
            raw: Vec::new(),
            trailers: Fields::default(),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.at == At::Done
    }

    pub(super) fn trailers(&self) -> Option<&Fields> {
        (self.is_done() && !self.trailers.is_empty()).then_some(&self.trailers)
    }

    /// Reads framing, one run of data, and the framing behind it as far as it has come.
    pub(super) fn decode(&mut self, input: &[u8]) -> Result<Step, BodyError> {
        let mut data = 0..0;
        let mut at = 0;
        while self.at != At::Done {
            match self.at {
                At::Data => {
                    if !data.is_empty() {
                        break;
                    }
                    let take = usize::try_from(self.size).unwrap_or(usize::MAX).min(input.len() - at);
                    if take == 0 {
                        break;
                    }
                    data = at..at + take;
                    at += take;
                    self.size -= take as u64;
                    if self.size == 0 {
                        self.at = At::DataCr;
                    }
                }
                At::Trailer => {
                    let rest = &input[at..];
                    let (take, is_line) = memchr(b'\n', rest).map_or((rest.len(), false), |lf| (lf + 1, true));
                    if take == 0 {
                        break;
                    }
                    at += take;
                    self.trailer_bytes(&rest[..take], is_line)?;
                }
                _ => {
                    let Some(byte) = input.get(at) else { break };
                    at += 1;
                    self.framing_byte(*byte)?;
                }
            }
        }
        if data.is_empty() {
            data = at..at;
        }
        Ok(Step { consumed: at, data, done: self.at == At::Done })
    }

    fn framing_byte(&mut self, byte: u8) -> Result<(), BodyError> {
        self.at = match (self.at, byte) {
            (At::Size, b'\r') if self.digits > 0 => At::SizeLf,
            (At::Size, b';') if self.digits > 0 => self.begin_extension(),
            (At::Size, b' ' | b'\t') if self.digits > 0 => self.count_extension(At::AfterSize)?,
            (At::Size, digit) => self.size_digit(digit)?,
            // White space may stand before a semicolon (RFC 9112 §7.1.1); before the line's end it is padding.
            (At::AfterSize, b' ' | b'\t') => self.count_extension(At::AfterSize)?,
            (At::AfterSize, b';') => self.begin_extension(),
            (At::AfterSize, b'\r') if self.padded_sizes => At::SizeLf,
            (At::AfterSize, _) => return Err(BodyError::ChunkSize),
            (At::SizeLf, b'\n') => self.end_of_size(),
            (At::SizeLf, _) => return Err(BodyError::ChunkSize),
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => {
                self.size = 0;
                self.digits = 0;
                At::Size
            }
            (At::DataCr | At::DataLf, _) => return Err(BodyError::ChunkEnd),
            (At::TrailerBegin, b'\r') => At::LastLf,
            (At::TrailerBegin, first) => {
                self.trailer_bytes(&[first], false)?;
                At::Trailer
            }
            (At::LastLf, b'\n') => At::Done,
            (At::LastLf, _) => return Err(BodyError::Trailer),
            (extension, byte) => {
                let next = self.extension_byte(extension, byte)?;
                self.count_extension(next)?
            }
        };
        Ok(())
    }

    fn size_digit(&mut self, digit: u8) -> Result<At, BodyError> {
        let value = char::from(digit).to_digit(16).ok_or(BodyError::ChunkSize)?;
        if self.digits == 16 {
            return Err(BodyError::ChunkSize);
        }
        self.digits += 1;
        self.size = (self.size << 4) | u64::from(value);
        Ok(At::Size)
    }

    fn end_of_size(&mut self) -> At {
        if self.size == 0 { At::TrailerBegin } else { At::Data }
    }

    fn begin_extension(&mut self) -> At {
        self.blank = false;
        At::ExtensionName { begun: false }
    }

    fn count_extension(&mut self, next: At) -> Result<At, BodyError> {
        self.extension_bytes += 1;
        if self.extension_bytes > BodyDecoder::EXTENSION_BYTES_MAX {
            return Err(BodyError::ChunkExtensionTooLarge);
        }
        Ok(next)
    }

    /// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`, RFC 9112 §7.1.1.
    fn extension_byte(&mut self, at: At, byte: u8) -> Result<At, BodyError> {
        let blank_before = std::mem::replace(&mut self.blank, is_blank(byte));
        let next = match (at, byte) {
            (At::ExtensionName { begun: false }, b' ' | b'\t') => at,
            (At::ExtensionName { begun: true }, b' ' | b'\t') => at,
            (At::ExtensionName { begun: true }, b'=') => At::ExtensionValue { begun: false },
            (At::ExtensionName { begun: true }, b';') => At::ExtensionName { begun: false },
            (At::ExtensionName { begun: true }, b'\r') if !blank_before => At::SizeLf,
            (At::ExtensionName { begun }, byte) if is_token(byte) && !(begun && blank_before) => {
                At::ExtensionName { begun: true }
            }
            (At::ExtensionValue { begun: false }, b' ' | b'\t') => at,
            (At::ExtensionValue { begun: false }, b'"') => At::ExtensionQuoted,
            (At::ExtensionValue { begun: true }, b' ' | b'\t') => At::ExtensionEnd,
            (At::ExtensionValue { begun: true }, b';') => At::ExtensionName { begun: false },
            (At::ExtensionValue { begun: true }, b'\r') => At::SizeLf,
            (At::ExtensionValue { .. }, byte) if is_token(byte) => At::ExtensionValue { begun: true },
            (At::ExtensionQuoted, b'"') => At::ExtensionEnd,
            (At::ExtensionQuoted, b'\\') => At::ExtensionEscape,
            (At::ExtensionQuoted | At::ExtensionEscape, byte) if is_text(byte) => At::ExtensionQuoted,
            (At::ExtensionEnd, b' ' | b'\t') => at,
            (At::ExtensionEnd, b';') => At::ExtensionName { begun: false },
            (At::ExtensionEnd, b'\r') if !blank_before => At::SizeLf,
            _ => return Err(BodyError::ChunkExtension),
        };
        Ok(next)
    }

    /// Collects the trailer section line by line; reads it when its empty line has come.
    fn trailer_bytes(&mut self, bytes: &[u8], is_line: bool) -> Result<(), BodyError> {
        if self.raw.len() + bytes.len() > BodyDecoder::TRAILER_BYTES_MAX {
            return Err(BodyError::TrailerTooLarge);
        }
        self.raw.extend_from_slice(bytes);
        if is_line {
            if !self.raw.ends_with(b"\r\n") {
                return Err(BodyError::Trailer);
            }
            if self.raw.ends_with(b"\r\n\r\n") {
                trailer::parse(&self.raw, &mut self.trailers)?;
                self.raw = Vec::new();
                self.at = At::Done;
            }
        }
        Ok(())
    }
}
