//! Tags: names and attributes of what stands between `<` and `>`.
//!
//! Our own rather than `quick_xml::events::attributes`: values are found by memchr instead of byte by byte, and what is
//! malformed (a `<` in a value, attributes that touch) is told instead of passed over.

use smallvec::SmallVec;

use super::escape::is_space;
use super::{Stop, search};

/// Bytes of an element's or attribute's name. Taste; real ones are shorter than 100.
const NAME_BYTES_MAX: usize = 1024;

/// A start tag or an empty-element tag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tag<'a> {
    /// The name as written, prefix included.
    pub name: &'a [u8],
    /// What stands before the colon; empty without one.
    pub prefix: &'a [u8],
    /// What stands behind it.
    pub local: &'a [u8],
    /// Whether the element ends with its tag.
    pub is_empty: bool,
    /// What stands between `<` and `>`.
    content: &'a [u8],
    /// Where in `content` the attributes end.
    end: usize,
}

/// An attribute of a tag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute<'a> {
    /// The name as written.
    pub name: &'a [u8],
    /// Between the quotes, as written.
    pub raw: &'a [u8],
    /// Where in the tag's content the value begins.
    pub at: u32,
    /// How long the prefix is, its colon included; 0 without one.
    prefix: u32,
}

impl<'a> Attribute<'a> {
    /// What stands before the colon; empty without one.
    pub fn prefix(&self) -> &'a [u8] {
        &self.name[..(self.prefix as usize).saturating_sub(1)]
    }

    /// What stands behind it.
    pub fn local(&self) -> &'a [u8] {
        &self.name[self.prefix as usize..]
    }

    /// The prefix that it declares (empty: the default namespace), if it is a namespace declaration.
    pub fn declares(&self) -> Option<&'a [u8]> {
        let rest = self.name.strip_prefix(b"xmlns")?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b":") }
    }
}

/// The attributes of one tag.
pub(super) type Attributes<'a> = SmallVec<[Attribute<'a>; 6]>;

fn malformed(what: &str) -> Stop {
    Stop::Malformed(what.into())
}

/// What a byte is to a name: 0 part of it, 1 its end, 2 a colon.
const IN_NAME: [u8; 256] = {
    let mut table = [0; 256];
    let ends = b" \t\n\r=/<>\"'&";
    let mut at = 0;
    while at < ends.len() {
        table[ends[at] as usize] = 1;
        at += 1;
    }
    table[b':' as usize] = 2;
    table
};

/// A name up to the first byte that cannot be in one, and where its first colon stands.
fn name(text: &[u8]) -> (usize, Option<usize>) {
    let mut colon = None;
    for (at, &byte) in text.iter().enumerate() {
        match IN_NAME[usize::from(byte)] {
            0 => {}
            1 => return (at, colon),
            _ if colon.is_none() => colon = Some(at),
            _ => {}
        }
    }
    (text.len(), colon)
}

impl<'a> Tag<'a> {
    /// Reads what stands between `<` and `>`; the attributes are read by [`Self::attributes`].
    ///
    /// # Errors
    /// [`Stop::Malformed`] if no name is there, [`Stop::Limit`] if it is too long.
    pub fn parse(content: &'a [u8]) -> Result<Tag<'a>, Stop> {
        let (length, colon) = name(content);
        let whole = &content[..length];
        let (prefix, local) = match colon {
            Some(colon) => (&whole[..colon], &whole[colon + 1..]),
            None => (&whole[..0], whole),
        };
        let is_empty = content.len() > length && content.ends_with(b"/");
        let end = content.len() - usize::from(is_empty);
        if local.is_empty() || matches!(local[0], b'-' | b'.' | b'0'..=b'9') {
            return Err(malformed("a tag without a name"));
        }
        if length > NAME_BYTES_MAX {
            return Err(Stop::Limit(format!("a name is longer than {NAME_BYTES_MAX} bytes")));
        }
        if length < end && !is_space(content[length]) {
            return Err(malformed("a tag's name has a character that no name may have"));
        }
        Ok(Tag { name: whole, prefix, local, is_empty, content, end })
    }

    /// Reads the attributes, namespace declarations included, in the order in which they are written, into `list`: it is
    /// large, and results are moved.
    ///
    /// # Errors
    /// [`Stop::Malformed`], [`Stop::Limit`] if there are more than `limit`.
    pub fn attributes(&self, limit: u32, list: &mut Attributes<'a>) -> Result<(), Stop> {
        let mut at = self.name.len();
        loop {
            let start = at;
            while at < self.end && is_space(self.content[at]) {
                at += 1;
            }
            if at == self.end {
                break;
            }
            if at == start {
                return Err(malformed("attributes without white space between them"));
            }
            if list.len() >= limit as usize {
                return Err(Stop::Limit(format!("an element has more than {limit} attributes")));
            }
            let attribute = self.attribute(at)?;
            at = attribute.at as usize + attribute.raw.len() + 1;
            list.push(attribute);
        }
        if is_twice(list) { Err(malformed("an element has the same attribute twice")) } else { Ok(()) }
    }

    fn attribute(&self, start: usize) -> Result<Attribute<'a>, Stop> {
        let content: &'a [u8] = &self.content[..self.end];
        let (length, colon) = name(&content[start..]);
        if length > NAME_BYTES_MAX {
            return Err(Stop::Limit(format!("a name is longer than {NAME_BYTES_MAX} bytes")));
        }
        let whole = &content[start..start + length];
        let prefix = colon.map_or(0, |colon| colon + 1);
        if prefix == length {
            return Err(malformed("an attribute without a name"));
        }
        let spaces = |mut at: usize| {
            while content.get(at).is_some_and(|&byte| is_space(byte)) {
                at += 1;
            }
            at
        };
        let equals = spaces(start + length);
        if content.get(equals) != Some(&b'=') {
            return Err(malformed("an attribute without a value"));
        }
        let open = spaces(equals + 1);
        let quote = match content.get(open) {
            Some(quote @ (b'"' | b'\'')) => *quote,
            _ => return Err(malformed("an attribute's value is not in quotes")),
        };
        let rest = &content[open + 1..];
        match search::two(quote, b'<', rest) {
            Some(end) if rest[end] == quote => {
                Ok(Attribute { name: whole, raw: &rest[..end], at: open as u32 + 1, prefix: prefix as u32 })
            }
            _ => Err(malformed("an attribute's value has no end or a < in it")),
        }
    }

    /// What stands between `<` and `>` up to `at`.
    pub fn before(&self, at: u32) -> &'a [u8] {
        &self.content[..at as usize]
    }
}

/// Whether a name is there twice (XML 1.0 §3.1). Never quadratic: many attributes are sorted.
fn is_twice(list: &[Attribute<'_>]) -> bool {
    if list.len() <= 12 {
        return list.iter().enumerate().any(|(i, one)| list[..i].iter().any(|other| other.name == one.name));
    }
    let mut names: Vec<&[u8]> = list.iter().map(|attribute| attribute.name).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

/// Whether a start tag that is passed over may carry an attribute `id` or `prefix:id`.
pub(super) fn may_have_id(content: &[u8]) -> bool {
    // `id` and its `=` are at least four bytes before the end: `a id=""`.
    memchr::memchr_iter(b'=', content).any(|at| {
        let before = &content[..at];
        let before = &before[..before.len() - before.iter().rev().take_while(|&&byte| is_space(byte)).count()];
        before.ends_with(b"id")
            && before.len() > 2
            && matches!(before[before.len() - 3], b' ' | b'\t' | b'\n' | b'\r' | b':')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Result<Vec<(String, String)>, Stop> {
        let tag = Tag::parse(content.as_bytes())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut all = vec![(text(tag.prefix), text(tag.local))];
        let mut attributes = Attributes::new();
        tag.attributes(20, &mut attributes)?;
        all.extend(attributes.iter().map(|a| (text(a.name), text(a.raw))));
        Ok(all)
    }

    #[test]
    fn names_and_attributes_are_split() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(read("a"), Ok(vec![pair("", "a")]));
        assert_eq!(read("p:a/"), Ok(vec![pair("p", "a")]));
        assert_eq!(read("p:a x='1' \n y = \"2>'\" "), Ok(vec![pair("p", "a"), pair("x", "1"), pair("y", "2>'")]));
        assert_eq!(read("a x='/'/"), Ok(vec![pair("", "a"), pair("x", "/")]));
    }

    #[test]
    fn what_is_no_tag_is_malformed() {
        for content in [
            "",
            "/",
            " a",
            ":",
            "p:",
            "a<b",
            "a x",
            "a x=",
            "a x=1",
            "a x='1'y='2'",
            "a x='1' x='2'",
            "a x='<'",
            "a x='1",
            "a =''",
            "1a",
            "a/b",
            "a / ",
        ] {
            assert!(matches!(read(content), Err(Stop::Malformed(_))), "{content}");
        }
    }

    #[test]
    fn many_attributes_are_checked_and_bounded() {
        let tag = |names: std::ops::Range<u32>| names.fold(String::from("a"), |tag, n| tag + &format!(" x{n}=''"));
        assert!(read(&tag(0..20)).is_ok());
        assert!(matches!(read(&(tag(0..19) + " x7=''")), Err(Stop::Malformed(_))));
        assert!(matches!(read(&tag(0..21)), Err(Stop::Limit(_))));
        assert!(matches!(read(&"a".repeat(NAME_BYTES_MAX + 1)), Err(Stop::Limit(_))));
    }

    #[test]
    fn an_id_is_noticed_without_reading_the_tag() {
        for (content, is) in [
            ("a id='1'", true),
            ("a x='' e:id = '1'", true),
            ("a wid='1'", false),
            ("a Id='1'", false),
            ("id='1'", false),
        ] {
            assert_eq!(may_have_id(content.as_bytes()), is, "{content}");
        }
    }
}
