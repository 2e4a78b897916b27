//! References in text and attribute values (XML 1.0 §4.1, §4.6).
//!
//! SOAP has no document types, so the five predefined entities and character references are all there is.

use std::borrow::Cow;

use super::{Stop, search};

/// Bytes of a reference between `&` and `;`. The longest that means anything is `#x10FFFF`, with a few leading zeros.
pub(super) const REFERENCE_BYTES_MAX: usize = 16;

/// The character a reference stands for; `name` is what stands between `&` and `;`.
///
/// # Errors
/// [`Stop::Malformed`] for an entity that is not defined and a character that is none.
pub(super) fn resolve(name: &[u8]) -> Result<char, Stop> {
    let found = match name {
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"amp" => Some('&'),
        b"apos" => Some('\''),
        b"quot" => Some('"'),
        [b'#', b'x', digits @ ..] => number(digits, 16),
        [b'#', digits @ ..] => number(digits, 10),
        _ => return Err(Stop::Malformed("a reference to an entity that is not defined".into())),
    };
    found.ok_or_else(|| Stop::Malformed("a character reference that names no character".into()))
}

/// A character by its number, if XML 1.0 §2.2 allows it.
fn number(digits: &[u8], radix: u32) -> Option<char> {
    if digits.is_empty() || digits.len() > REFERENCE_BYTES_MAX {
        return None;
    }
    let mut code: u32 = 0;
    for &digit in digits {
        code = code.checked_mul(radix)?.checked_add((digit as char).to_digit(radix)?)?;
    }
    char::from_u32(code).filter(|&c| is_xml(c))
}

/// Whether XML 1.0 §2.2 allows the character.
pub(super) fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// The value of an attribute: references resolved, white space as XML 1.0 §3.3.3 has it for attributes without a type.
///
/// # Errors
/// [`Stop::Malformed`] for a reference that is none.
pub(super) fn attribute_value(raw: &[u8]) -> Result<Cow<'_, [u8]>, Stop> {
    let Some(first) = search::control_or(b'&', raw) else {
        return Ok(Cow::Borrowed(raw));
    };
    let mut value = raw[..first].to_vec();
    let mut rest = &raw[first..];
    while let [byte, behind @ ..] = rest {
        rest = behind;
        match byte {
            b'&' => {
                let end = memchr::memchr(b';', behind)
                    .filter(|&end| end <= REFERENCE_BYTES_MAX)
                    .ok_or_else(|| Stop::Malformed("a reference without an end".into()))?;
                let mut bytes = [0; 4];
                value.extend_from_slice(resolve(&behind[..end])?.encode_utf8(&mut bytes).as_bytes());
                rest = &behind[end + 1..];
            }
            b'\r' if behind.first() == Some(&b'\n') => {}
            b'\t' | b'\n' | b'\r' => value.push(b' '),
            byte => value.push(*byte),
        }
    }
    Ok(Cow::Owned(value))
}

/// XML white space (XML 1.0 §2.3).
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Without white space around it.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let Some(start) = text.iter().position(|&byte| !is_space(byte)) else { return &[] };
    let end = text.iter().rposition(|&byte| !is_space(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_five_entities_and_character_references_are_resolved() {
        for (name, is) in [("lt", '<'), ("quot", '"'), ("#65", 'A'), ("#x20AC", '€'), ("#x0010FFFD", '\u{10FFFD}')] {
            assert_eq!(resolve(name.as_bytes()), Ok(is), "{name}");
        }
    }

    #[test]
    fn other_references_are_malformed() {
        for name in
            ["nbsp", "", "LT", "#", "#x", "#0", "#xD800", "#x110000", "#99999999999", "#x1", "#-1", "#X41", "# 65"]
        {
            assert!(matches!(resolve(name.as_bytes()), Err(Stop::Malformed(_))), "{name}");
        }
    }

    #[test]
    fn attribute_values_are_normalised() {
        assert_eq!(attribute_value(b"a\r\nb\tc&#10;&amp;").as_deref(), Ok(&b"a b c\n&"[..]));
        assert!(matches!(attribute_value(b"plain"), Ok(Cow::Borrowed(_))));
        assert!(attribute_value(b"a & b").is_err());
    }

    #[test]
    fn only_xml_white_space_is_trimmed() {
        assert_eq!(trim(b" \r\n\ta b\t"), b"a b");
        assert_eq!(trim(b"  "), b"");
        assert_eq!(trim("\u{a0}a".as_bytes()), "\u{a0}a".as_bytes());
    }
}
