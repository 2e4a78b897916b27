//! Transforms of values (catalogue of rules: `regex`, `lower`, `unquote`, `url_decode`, `base64_decode`).

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regex::bytes::{Regex, RegexBuilder};

use super::spec;
use super::stretch::Stretch;

/// Bytes a compiled expression may take: far above every preset's, far below what hurts at load.
const REGEX_SIZE_MAX: usize = 1 << 20;

/// A compiled transform.
#[derive(Debug, Clone)]
pub(super) enum Transform {
    Regex(Regex, Option<Stretch>),
    Lower,
    Unquote,
    UrlDecode,
    Base64Decode,
}

/// Compiles an expression: Rust `regex` syntax, linear time, bounded size.
pub(super) fn regex(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(REGEX_SIZE_MAX).dfa_size_limit(REGEX_SIZE_MAX).build().map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or("not a regular expression").trim().trim_start_matches("error: ");
        format!("not a regular expression in Rust syntax: {reason}")
    })
}

/// Compiles an expression that must match a whole value.
pub(super) fn whole_regex(pattern: &str) -> Result<Regex, String> {
    regex(pattern)?;
    regex(&format!(r"\A(?:{pattern})\z"))
}

impl Transform {
    pub(super) fn compile(spec: &spec::Transform) -> Result<Self, (spec::Mark, String)> {
        Ok(match spec {
            spec::Transform::Regex(text) => {
                let regex = regex(&text.text).map_err(|message| (text.at, message))?;
                Self::Regex(regex, Stretch::of(&text.text))
            }
            spec::Transform::Lower => Self::Lower,
            spec::Transform::Unquote => Self::Unquote,
            spec::Transform::UrlDecode => Self::UrlDecode,
            spec::Transform::Base64Decode => Self::Base64Decode,
        })
    }

    /// The transformed value; `None` where the transform does not apply, which drops the value.
    fn apply<'a>(&self, value: Cow<'a, [u8]>) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Regex(regex, stretch) => {
                if let Some(found) = stretch.as_ref().and_then(|stretch| stretch.find(&value)) {
                    return found.map(|range| slice(value, range));
                }
                // Without a group the search for captures is not needed.
                let range = if regex.captures_len() == 1 {
                    regex.find(&value)?.range()
                } else {
                    regex.captures(&value)?.get(1)?.range()
                };
                Some(slice(value, range))
            }
            Self::Lower => Some(if value.iter().any(u8::is_ascii_uppercase) {
                Cow::Owned(value.to_ascii_lowercase())
            } else {
                value
            }),
            Self::Unquote => {
                let quoted = value.len() >= 2 && value.starts_with(b"\"") && value.ends_with(b"\"");
                let range = if quoted { 1..value.len() - 1 } else { 0..value.len() };
                Some(slice(value, range))
            }
            Self::UrlDecode => Some(url_decode(value)),
            Self::Base64Decode => base64_decode(&value).map(Cow::Owned),
        }
    }
}

/// Applies transforms in order; an empty result is no value.
pub(super) fn apply_all<'a>(via: &[Transform], value: Cow<'a, [u8]>) -> Option<Cow<'a, [u8]>> {
    let mut value = value;
    for transform in via {
        value = transform.apply(value)?;
    }
    Some(value)
}

fn slice(value: Cow<'_, [u8]>, range: std::ops::Range<usize>) -> Cow<'_, [u8]> {
    match value {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[range]),
        Cow::Owned(mut bytes) => {
            bytes.truncate(range.end);
            bytes.drain(..range.start);
            Cow::Owned(bytes)
        }
    }
}

fn url_decode(value: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', &value).is_none() {
        return value;
    }
    let hex = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let mut out = Vec::with_capacity(value.len());
    let mut at = 0;
    while at < value.len() {
        let decoded = match value[at..] {
            [b'%', high, low, ..] => hex(high).zip(hex(low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        out.push(decoded.unwrap_or(value[at]));
        at += if decoded.is_some() { 3 } else { 1 };
    }
    Cow::Owned(out)
}

fn base64_decode(value: &[u8]) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let compact: Vec<u8> = value.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    [alphabet::STANDARD, alphabet::URL_SAFE]
        .iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, config).decode(&compact).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(via: &[spec::Transform], value: &str, expected: Option<&str>) {
        let via: Vec<_> = via.iter().map(|spec| Transform::compile(spec).expect("compiles")).collect();
        let found = apply_all(&via, Cow::Borrowed(value.as_bytes()));
        assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{value}");
    }

    fn re(text: &str) -> spec::Transform {
        spec::Transform::Regex(spec::Text { text: text.into(), ..Default::default() })
    }

    #[test]
    fn the_first_group_counts_and_what_does_not_match_is_dropped() {
        check(&[re(r"^([^.!:]+)")], "abc.node1", Some("abc"));
        check(&[re(r"^[^.]+\.([^!:]+)$")], "abc.node1", Some("node1"));
        check(&[re(r"^[^.]+\.([^!:]+)$")], "abc", None);
        check(
            &[re("xsi:type=\"LogoutRequest\"")],
            "<a xsi:type=\"LogoutRequest\">",
            Some("xsi:type=\"LogoutRequest\""),
        );
    }

    #[test]
    fn simple_transforms() {
        use spec::Transform::*;
        check(&[Lower], "AbC", Some("abc"));
        check(&[Unquote], "\"abc\"", Some("abc"));
        check(&[Unquote], "\"abc", Some("\"abc"));
        check(&[UrlDecode], "a%3ab%zz%", Some("a:b%zz%"));
        check(&[Base64Decode], "YWJj", Some("abc"));
        check(&[Base64Decode], "YWI", Some("ab"));
        check(&[Base64Decode], "?", None);
        check(&[UrlDecode, re("^(.*?)(?:-NEW|-ATT)?$")], "SID%3aA-NEW", Some("SID:A"));
    }

    #[test]
    fn expressions_are_bounded_and_faults_are_told() {
        assert!(regex("a{1000}{1000}{1000}").is_err());
        assert!(regex("(").expect_err("unclosed").contains("unclosed group"));
        assert!(whole_regex("a)(b").is_err());
    }
}
