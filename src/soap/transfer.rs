//! Content-Transfer-Encoding of a root part (RFC 2045 §6).

use super::Stop;

/// Undoes a transfer encoding.
#[derive(Debug)]
pub(super) enum Transfer {
    /// `7bit`, `8bit`, `binary`.
    Plain,
    /// `base64`: the bits and how many characters they are of, and where the first of these stood.
    Base64 { bits: u32, count: u8, place: u64 },
    /// `quoted-printable`: what stood behind `=`, and where that stood.
    QuotedPrintable { escape: Option<Option<u8>>, place: u64 },
}

impl Transfer {
    /// For this field; `None` if nobody here reads it.
    pub fn named(field: Option<&[u8]>) -> Option<Self> {
        let Some(field) = field else { return Some(Self::Plain) };
        let is = |name: &str| field.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
        if is("7bit") || is("8bit") || is("binary") || is("") {
            Some(Self::Plain)
        } else if is("base64") {
            Some(Self::Base64 { bits: 0, count: 0, place: 0 })
        } else if is("quoted-printable") {
            Some(Self::QuotedPrintable { escape: None, place: 0 })
        } else {
            None
        }
    }

    /// Takes the next piece, whose first byte stands at `at`.
    ///
    /// # Errors
    /// What `out` says, [`Stop::Malformed`].
    pub fn push(
        &mut self,
        piece: &[u8],
        at: u64,
        out: &mut impl FnMut(&[u8], u64) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        match self {
            Self::Plain => out(piece, at),
            Self::Base64 { bits, count, place } => {
                for (index, &byte) in piece.iter().enumerate() {
                    let value = match byte {
                        b'A'..=b'Z' => byte - b'A',
                        b'a'..=b'z' => byte - b'a' + 26,
                        b'0'..=b'9' => byte - b'0' + 52,
                        b'+' => 62,
                        b'/' => 63,
                        // The end of the last group: what it has is whole bytes.
                        b'=' if *count > 1 => {
                            let all = *bits << (6 * (4 - u32::from(*count)));
                            let bytes = all.to_be_bytes();
                            let length = usize::from(*count) - 1;
                            (*bits, *count) = (0, 0);
                            out(&bytes[1..1 + length], *place)?;
                            continue;
                        }
                        b'=' | b' ' | b'\t' | b'\r' | b'\n' => continue,
                        _ => return Err(Stop::Malformed("a part that is not base64".into())),
                    };
                    if *count == 0 {
                        *place = at + index as u64;
                    }
                    *bits = *bits << 6 | u32::from(value);
                    *count += 1;
                    if *count == 4 {
                        let bytes = bits.to_be_bytes();
                        (*bits, *count) = (0, 0);
                        out(&bytes[1..], *place)?;
                    }
                }
                Ok(())
            }
            Self::QuotedPrintable { escape, place } => {
                let mut rest = piece;
                let mut at = at;
                while let Some(&byte) = rest.first() {
                    match *escape {
                        None => {
                            let length = memchr::memchr(b'=', rest).unwrap_or(rest.len());
                            if length > 0 {
                                out(&rest[..length], at)?;
                            } else {
                                (*escape, *place) = (Some(None), at);
                            }
                            let used = length.max(1);
                            (rest, at) = (&rest[used..], at + used as u64);
                            continue;
                        }
                        // A soft line break; white space may stand before it.
                        Some(None) if matches!(byte, b' ' | b'\t' | b'\r') => {}
                        Some(None) if byte == b'\n' => *escape = None,
                        Some(None) => *escape = Some(Some(hex(byte)?)),
                        Some(Some(high)) => {
                            *escape = None;
                            out(&[high << 4 | hex(byte)?], *place)?;
                        }
                    }
                    (rest, at) = (&rest[1..], at + 1);
                }
                Ok(())
            }
        }
    }
}

fn hex(byte: u8) -> Result<u8, Stop> {
    let digit = (byte as char).to_digit(16);
    digit.map(|digit| digit as u8).ok_or_else(|| Stop::Malformed("a part that is not quoted-printable".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(encoding: &str, text: &str) -> Result<(String, u64), Stop> {
        let mut results = Vec::new();
        for size in [text.len().max(1), 1] {
            let mut transfer = Transfer::named(Some(encoding.as_bytes())).expect("known");
            let (mut bytes, mut last, mut at) = (Vec::new(), 0, 0);
            let mut result = Ok(());
            for piece in text.as_bytes().chunks(size) {
                result = transfer.push(piece, at, &mut |piece, place| {
                    bytes.extend_from_slice(piece);
                    last = place + piece.len() as u64 - 1;
                    Ok(())
                });
                if result.is_err() {
                    break;
                }
                at += piece.len() as u64;
            }
            results.push(result.map(|()| (String::from_utf8_lossy(&bytes).into_owned(), last)));
        }
        assert_eq!(results[0], results[1]);
        results.remove(0)
    }

    #[test]
    fn base64_and_quoted_printable_are_undone() {
        assert_eq!(read("Base64", "PGE+\r\nYmM=").map(|found| found.0), Ok("<a>bc".into()));
        assert_eq!(read("base64", "PGE+Yg==\r\n").map(|found| found.0), Ok("<a>b".into()));
        assert_eq!(read("quoted-printable", "<a x=3D'1'>=\r\n=e2=82=AC=  \nb"), Ok(("<a x='1'>€b".into(), 27)));
        assert_eq!(read("8BIT ", "<a>"), Ok(("<a>".into(), 2)));
    }

    #[test]
    fn what_is_neither_is_refused() {
        assert!(matches!(read("base64", "<a>"), Err(Stop::Malformed(_))));
        assert!(matches!(read("quoted-printable", "=4g"), Err(Stop::Malformed(_))));
        assert!(Transfer::named(Some(b"x-uuencode")).is_none());
    }
}
