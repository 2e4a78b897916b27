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
            (At::TrailerBegin, first) if is_token(first) => {
                self.trailer_bytes(&[first], false)?;
                At::Trailer
            }
            (At::TrailerBegin, _) => return Err(BodyError::Trailer),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::h1::Framing;

    /// The body and its trailers, and how much of the input it took; the same at every cut.
    fn read_with(new: fn(Framing) -> BodyDecoder, input: &[u8]) -> Result<(Vec<u8>, String, usize), BodyError> {
        let whole = read_in_pieces(new, input, input.len().max(1));
        for size in 1..input.len().min(40) {
            assert_eq!(read_in_pieces(new, input, size), whole, "pieces of {size}");
        }
        whole
    }

    fn read_in_pieces(
        new: fn(Framing) -> BodyDecoder,
        input: &[u8],
        size: usize,
    ) -> Result<(Vec<u8>, String, usize), BodyError> {
        let mut decoder = new(Framing::Chunked);
        let (mut body, mut used, mut end) = (Vec::new(), 0, 0);
        while !decoder.is_done() {
            let step = decoder.decode(&input[used..end])?;
            body.extend_from_slice(&input[used..end][step.data.clone()]);
            used += step.consumed;
            assert_eq!(step.done, decoder.is_done());
            if step.consumed == 0 {
                if end == input.len() {
                    decoder.end_of_input()?;
                }
                end = (end + size).min(input.len());
            }
        }
        let line = |field: crate::head::Field<'_>| {
            format!("{}={};", String::from_utf8_lossy(field.name), String::from_utf8_lossy(field.value))
        };
        let trailers = decoder.trailers().map(|fields| fields.iter().map(line).collect()).unwrap_or_default();
        Ok((body, trailers, used))
    }

    fn read(input: &str) -> Result<(Vec<u8>, String, usize), BodyError> {
        read_with(BodyDecoder::new, input.as_bytes())
    }

    #[test]
    fn chunks_are_put_together() {
        for (input, body) in [
            ("0\r\n\r\n", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("5\r\nhello\r\n6\r\n world\r\n000\r\n\r\n", "hello world"),
            ("A\r\nhelloworld\r\n0\r\n\r\n", "helloworld"),
            ("000000000000000a\r\nhelloworld\r\n0\r\n\r\n", "helloworld"),
            ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
            ("5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello"),
            ("5;a=\"x\\\"y;\"\r\nhello\r\n0\r\n\r\n", "hello"),
            ("5 ; a = b ;c=\"d\"; e\r\nhello\r\n0\r\n\r\n", "hello"),
        ] {
            let next = "GET / HTTP/1.1";
            assert_eq!(read(&format!("{input}{next}")), Ok((body.into(), String::new(), input.len())), "{input:?}");
        }
    }

    #[test]
    fn other_sizes_are_refused() {
        for size in [
            "",
            "0x5",
            "+5",
            "-5",
            " 5",
            "5 ",
            "5\t",
            "5_0",
            "g",
            "5,",
            "5 a",
            "00000000000000005",
            "FFFFFFFFFFFFFFFF0",
            "\u{665}",
        ] {
            assert_eq!(read(&format!("{size}\r\nhello\r\n0\r\n\r\n")), Err(BodyError::ChunkSize), "{size:?}");
        }
        for line in ["5\nhello", "5\rhello", "5\r\rhello", "\r\n5\r\nhello"] {
            assert_eq!(read(&format!("{line}\r\n0\r\n\r\n")), Err(BodyError::ChunkSize), "{line:?}");
        }
    }

    #[test]
    fn chunks_end_with_crlf() {
        for input in
            ["5\r\nhello0\r\n\r\n", "5\r\nhello!!\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello\r0\r\n\r\n"]
        {
            assert_eq!(read(input), Err(BodyError::ChunkEnd), "{input:?}");
        }
    }

    #[test]
    fn other_extensions_are_refused() {
        for extension in [
            ";",
            ";;",
            ";a;",
            ";a=",
            ";a==",
            ";=b",
            ";a b",
            ";a=b c",
            ";[",
            ";a=[",
            ";bad[=x",
            ";\0ext",
            ";a\rX",
            ";\n",
            ";a=\"",
            ";a=\"\u{1}\"",
            ";a=\"b\"c",
            ";a ",
            ";a=\"b\" ",
        ] {
            assert_eq!(read(&format!("5{extension}\r\nhello\r\n0\r\n\r\n")).map_err(|_| ()), Err(()), "{extension:?}");
        }
        let much = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(BodyDecoder::EXTENSION_BYTES_MAX));
        assert_eq!(read_in_pieces(BodyDecoder::new, much.as_bytes(), 1000), Err(BodyError::ChunkExtensionTooLarge));
    }

    #[test]
    fn nodes_may_pad_their_sizes() {
        let padded = b"5   \r\nhello\r\n0  \r\n\r\n";
        assert_eq!(read_with(BodyDecoder::for_response, padded), Ok((b"hello".to_vec(), String::new(), padded.len())));
        assert_eq!(read_with(BodyDecoder::for_response, b"5 a\r\nhello\r\n0\r\n\r\n"), Err(BodyError::ChunkSize));
        assert_eq!(read_with(BodyDecoder::for_response, b" 5\r\nhello\r\n0\r\n\r\n"), Err(BodyError::ChunkSize));
    }

    #[test]
    fn trailers_are_read_and_forbidden_ones_left_out() {
        let input = "0\r\nX-Sum: 1\r\nContent-Length: 50\r\nHost: evil\r\nauthorization: x\r\nIf-Match: x\r\nx-b:2\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(read(input), Ok((Vec::new(), "X-Sum=1;x-b=2;".to_owned(), input.len())));
    }

    #[test]
    fn malformed_trailers_are_refused() {
        for trailer in [
            "\n",
            "X: 1\n\r\n",
            "X: 1\r\n\n",
            "X : 1\r\n\r\n",
            "X\r\n\r\n",
            " X: 1\r\n\r\n",
            "X: 1\r\n 2\r\n\r\n",
            "X: \0\r\n\r\n",
            "\rX",
            "X: 1\r2\r\n\r\n",
        ] {
            assert_eq!(read(&format!("0\r\n{trailer}")), Err(BodyError::Trailer), "{trailer:?}");
        }
        let many = format!("0\r\n{}\r\n", "X: 1\r\n".repeat(BodyDecoder::TRAILER_FIELDS_MAX + 1));
        assert_eq!(read(&many), Err(BodyError::TrailerTooLarge));
        let long = format!("0\r\nX: {}\r\n\r\n", "a".repeat(BodyDecoder::TRAILER_BYTES_MAX));
        assert_eq!(read_in_pieces(BodyDecoder::new, long.as_bytes(), 1000), Err(BodyError::TrailerTooLarge));
    }

    #[test]
    fn a_body_that_stops_is_told_from_one_that_ends() {
        for input in
            ["", "5", "5\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "0\r\nX: 1\r\n"]
        {
            assert_eq!(read(input), Err(BodyError::Truncated), "{input:?}");
        }
    }
}
