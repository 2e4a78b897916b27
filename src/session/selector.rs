//! Selectors: where a value stands, and what is made of it.

use std::borrow::Cow;
use std::fmt;

use regex::bytes::Regex;

use super::spec::{self, Mark};
use super::transform::{Transform, apply_all, whole_regex};
use super::view::{RequestView, ResponseView};
use crate::head::{cookie, is_like};
use crate::soap::{Part, Path, PathId, Prefixes, Wanted};

/// A selector yields at most this many values (catalogue §2.2, 6).
pub const VALUES_MAX: usize = 8;

/// Which message a selector reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A path into Header or Body.
    Message(Part, PathId),
    /// `cookie NAME`; `*` in the name is any run of characters. The value comes without quotes around it.
    Cookie(String),
    /// `http NAME`: a header field.
    Http(String),
    /// `query NAME`.
    Query(String),
    /// `pathparam NAME`: `;name=value` anywhere in the path.
    PathParam(String),
    /// `url`: path and query.
    Url,
    /// `conn`: the client connection.
    Conn,
    /// `client_ip`.
    ClientIp,
}

/// One value a selector found.
#[derive(Debug, Clone)]
pub struct Value<'a> {
    /// After all transforms; may be empty.
    pub bytes: Cow<'a, [u8]>,
    /// For values of the message: the offset of its first byte.
    pub offset: Option<u64>,
}

/// A compiled selector. Displayed as written, with the expression its values must match.
#[derive(Debug, Clone)]
pub struct Selector {
    text: String,
    place: Place,
    via: Vec<Transform>,
    is: Option<Regex>,
    is_text: Option<String>,
}

impl Selector {
    /// Compiles `spec`; paths go into `wanted`.
    pub(super) fn compile(
        spec: &spec::Selector,
        side: Side,
        prefixes: &Prefixes,
        wanted: &mut Wanted,
    ) -> Result<Self, (Mark, String)> {
        let text = spec.at.text.trim();
        let place = place(text, side, prefixes, wanted).map_err(|message| (spec.at.at, message))?;
        let via = spec.via.iter().map(Transform::compile).collect::<Result<_, _>>()?;
        let is = match &spec.is {
            Some(is) => Some(whole_regex(&is.text).map_err(|message| (is.at, message))?),
            None => None,
        };
        let is_text = spec.is.as_ref().map(|is| is.text.clone());
        Ok(Self { text: text.to_owned(), place, via, is, is_text })
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it looks.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Calls `each` with every value in the request, in document order, until it says stop.
    pub(super) fn in_request<'a>(&self, view: &RequestView<'a>, extra: &[Transform], each: &mut dyn FnMut(Value<'a>)) {
        match &self.place {
            Place::Message(_, path) => self.in_facts(*path, view.facts, 0, extra, each),
            Place::Cookie(name) => {
                for (found, value) in cookie::request_cookies(view.head.fields()) {
                    if is_like(name.as_bytes(), found) {
                        self.give(cookie::unquoted(value), None, extra, each);
                    }
                }
            }
            Place::Http(name) => {
                for value in view.head.fields().get_all(name.as_bytes()) {
                    self.give(value, None, extra, each);
                }
            }
            Place::Query(name) => {
                for (found, value) in pairs(view.head.query().unwrap_or_default(), b'&') {
                    if found == name.as_bytes() {
                        self.give(value, None, extra, each);
                    }
                }
            }
            Place::PathParam(name) => {
                let path = view.head.path();
                if memchr::memchr(b';', path).is_none() {
                    return;
                }
                for segment in path.split(|byte| *byte == b'/') {
                    for (found, value) in pairs(segment, b';').skip(1) {
                        if found == name.as_bytes() {
                            self.give(value, None, extra, each);
                        }
                    }
                }
            }
            Place::Url => self.give(view.head.path_and_query(), None, extra, each),
            Place::Conn => self.give_owned(view.connection.to_string().into_bytes(), extra, each),
            Place::ClientIp => self.give_owned(view.client_ip.to_string().into_bytes(), extra, each),
        }
    }

    /// Calls `each` with every value in the response head.
    pub(super) fn in_response_head<'a>(
        &self,
        view: &ResponseView<'a>,
        extra: &[Transform],
        each: &mut dyn FnMut(Value<'a>),
    ) {
        match &self.place {
            Place::Cookie(name) => {
                for cookie in cookie::response_cookies(view.head.fields()) {
                    if is_like(name.as_bytes(), cookie.name) && !cookie.is_deleted(view.now_unix) {
                        self.give(cookie::unquoted(cookie.value), None, extra, each);
                    }
                }
            }
            Place::Http(name) => {
                for value in view.head.fields().get_all(name.as_bytes()) {
                    self.give(value, None, extra, each);
                }
            }
            _ => {}
        }
    }

    /// Calls `each` with every value at this selector's path, from the `from`-th fact on.
    pub(super) fn in_response_message<'a>(
        &self,
        view: &ResponseView<'a>,
        from: usize,
        extra: &[Transform],
        each: &mut dyn FnMut(Value<'a>),
    ) {
        if let Place::Message(_, path) = self.place {
            self.in_facts(path, view.facts, from, extra, each);
        }
    }

    /// What is made of every value found.
    pub(super) fn via(&self) -> &[Transform] {
        &self.via
    }

    fn in_facts<'a>(
        &self,
        path: PathId,
        facts: Option<&'a crate::soap::Facts>,
        from: usize,
        extra: &[Transform],
        each: &mut dyn FnMut(Value<'a>),
    ) {
        let Some(facts) = facts else { return };
        for found in facts.found.iter().skip(from).filter(|found| found.path == path) {
            self.give(found.value.as_bytes(), Some(found.offset), extra, each);
        }
    }

    fn give<'a>(&self, value: &'a [u8], offset: Option<u64>, extra: &[Transform], each: &mut dyn FnMut(Value<'a>)) {
        self.give_cow(Cow::Borrowed(value), offset, extra, each);
    }

    fn give_owned<'a>(&self, value: Vec<u8>, extra: &[Transform], each: &mut dyn FnMut(Value<'a>)) {
        self.give_cow(Cow::Owned(value), None, extra, each);
    }

    fn give_cow<'a>(
        &self,
        value: Cow<'a, [u8]>,
        offset: Option<u64>,
        extra: &[Transform],
        each: &mut dyn FnMut(Value<'a>),
    ) {
        let Some(bytes) = apply_all(&self.via, value).and_then(|value| apply_all(extra, value)) else { return };
        if self.is.as_ref().is_none_or(|is| is.is_match(&bytes)) {
            each(Value { bytes, offset });
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.is_text {
            Some(is) => write!(f, " is {is}"),
            None => Ok(()),
        }
    }
}

fn place(text: &str, side: Side, prefixes: &Prefixes, wanted: &mut Wanted) -> Result<Place, String> {
    let (kind, arg) = match text.split_once(char::is_whitespace) {
        Some((kind, arg)) => (kind, arg.trim()),
        None => (text, ""),
    };
    let name = |what: &str| match arg {
        "" => Err(format!("`{kind}` needs the name of a {what}, as in `{kind} NAME`")),
        arg if arg.contains(char::is_whitespace) => Err(format!("`{arg}` is not one name of a {what}")),
        arg => Ok(arg.to_owned()),
    };
    let place = match kind {
        "header" | "body" => {
            let part = if kind == "header" { Part::Header } else { Part::Body };
            let path = Path::parse(part, arg, prefixes).map_err(|error| format!("in `{text}`: {error}"))?;
            Place::Message(part, wanted.add(path))
        }
        "cookie" => Place::Cookie(name("cookie")?),
        "http" => Place::Http(name("header field")?),
        "query" => Place::Query(name("query parameter")?),
        "pathparam" => Place::PathParam(name("path parameter")?),
        "url" | "conn" | "client_ip" if !arg.is_empty() => return Err(format!("`{kind}` takes no argument")),
        "url" => Place::Url,
        "conn" => Place::Conn,
        "client_ip" => Place::ClientIp,
        _ => {
            return Err(format!(
                "`{kind}` is no place; use header PATH, body PATH, cookie NAME, http NAME, query NAME, pathparam NAME, \
                 url, conn or client_ip"
            ));
        }
    };
    let only_in_requests =
        matches!(place, Place::Query(_) | Place::PathParam(_) | Place::Url | Place::Conn | Place::ClientIp);
    if side == Side::Response && only_in_requests {
        return Err(format!("`{kind}` cannot be read from a response; use header, body, cookie or http"));
    }
    Ok(place)
}

/// `a=b;c=d`: names and values; a part without `=` has the empty value.
fn pairs(text: &[u8], separator: u8) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(move |byte| *byte == separator).map(|part| match memchr::memchr(b'=', part) {
        Some(equals) => (&part[..equals], &part[equals + 1..]),
        None => (part, &part[part.len()..]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_taken_apart() {
        let found: Vec<_> = pairs(b"a=1&b&c=2=3", b'&').collect();
        assert_eq!(found, [(&b"a"[..], &b"1"[..]), (b"b", b""), (b"c", b"2=3")]);
    }
}
