//! Expressions that cut a value at certain bytes, without an automaton: nearly every request with a servlet's cookie asks two.

use std::ops::Range;

/// What some expressions come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stretch {
    /// `^([^SET]+)`: the value up to the first of these bytes.
    Until(Vec<u8>),
    /// `^[^A]+A([^SET]+)$`: what follows the first `A`, if none of these bytes is in it.
    Behind(u8, Vec<u8>),
}

/// Bytes that mean themselves in a class and outside, but for the dot, which outside must be escaped.
fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'!' | b':' | b';' | b',' | b'/' | b'=' | b'%' | b'_')
}

/// The bytes of `[^SET]+` at the begin of an expression, and what follows.
fn set(pattern: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = pattern.strip_prefix(b"[^")?;
    let end = inside.iter().position(|byte| *byte == b']').filter(|end| *end > 0)?;
    let rest = inside[end..].strip_prefix(b"]+")?;
    inside[..end].iter().all(|byte| is_literal(*byte)).then_some((&inside[..end], rest))
}

impl Stretch {
    /// What the expression comes to, if it is one of these.
    pub fn of(pattern: &str) -> Option<Self> {
        let pattern = pattern.as_bytes().strip_prefix(b"^")?;
        if let Some(group) = pattern.strip_prefix(b"(") {
            let (bytes, rest) = set(group)?;
            return (rest == b")").then(|| Self::Until(bytes.to_vec()));
        }
        let ([first], rest) = set(pattern)? else { return None };
        let rest = match rest {
            [b'\\', b'.', rest @ ..] if *first == b'.' => rest,
            [byte, rest @ ..] if byte == first && *first != b'.' => rest,
            _ => return None,
        };
        let (bytes, rest) = set(rest.strip_prefix(b"(")?)?;
        (rest == b")$").then(|| Self::Behind(*first, bytes.to_vec()))
    }

    /// The group's range: `Some(None)` where the expression does not match, `None` where it must be asked itself, because it
    /// counts characters, and the value is not ASCII.
    pub fn find(&self, value: &[u8]) -> Option<Option<Range<usize>>> {
        if !value.is_ascii() {
            return None;
        }
        Some(match self {
            Self::Until(set) => {
                let end = value.iter().position(|byte| set.contains(byte)).unwrap_or(value.len());
                (end > 0).then_some(0..end)
            }
            Self::Behind(first, set) => {
                let start = value.iter().position(|byte| byte == first).filter(|at| *at > 0).map(|at| at + 1);
                start
                    .filter(|start| {
                        let rest = &value[*start..];
                        !rest.is_empty() && !rest.iter().any(|byte| set.contains(byte))
                    })
                    .map(|start| start..value.len())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::bytes::Regex;

    #[test]
    fn a_stretch_is_what_its_expression_finds() {
        let values = [
            "", "a", "abc.n1", ".n1", "abc.", "a.b.c", "a!b", "a:b.c", "a.b!c", "a.b:c", "!", "a\nb.c", "\u{e9}.n",
            "a.\u{e9}",
        ];
        for pattern in ["^([^.!:]+)", "^([^!]+)", r"^[^.]+\.([^!:]+)$", "^[^!]+!([^.]+)$", "^[^a]+a([^.]+)$"] {
            let stretch = Stretch::of(pattern).expect("one of these");
            let regex = Regex::new(pattern).expect("an expression");
            for value in values.iter().map(|text| text.as_bytes()).chain([&b"\xff.n"[..], b"a\xff.n"]) {
                let expected = regex.captures(value).and_then(|found| found.get(1)).map(|group| group.range());
                match stretch.find(value) {
                    Some(found) => assert_eq!(found, expected, "{pattern} {value:?}"),
                    None => assert!(!value.is_ascii()),
                }
            }
        }
    }

    #[test]
    fn everything_else_is_left_to_the_automaton() {
        for pattern in [
            "([^.]+)",
            "^([^.]*)",
            "^([^.]+)$",
            "^([^a-z]+)",
            r"^([^\d]+)",
            "^([^]]+)",
            "^([^#].*)$",
            "^[^.]+.([^!]+)$",
            r"^[^.]+\.([^!]+)",
            "^[^.:]+:([^!]+)$",
            "^([^.]+)x",
            "^([.]+)",
            "^([^.]+?)",
            "^((?i)[^a]+)",
            "",
            "^",
        ] {
            assert_eq!(Stretch::of(pattern), None, "{pattern}");
        }
    }
}
