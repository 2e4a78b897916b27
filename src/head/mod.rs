//! HTTP heads as they were received: start line and fields, in order, byte for byte.
//!
//! Every codec fills these types and every later step reads them, so nothing above the codecs knows which HTTP version
//! a message came in. No I/O.

pub mod connection;
pub mod cookie;
mod date;
pub mod digits;
mod fields;
mod glob;
mod name;

pub use fields::{Field, Fields, NameSet};
pub use glob::is_like;
pub use name::Name;

use std::ops::Range;

use fields::Span;

/// The HTTP version a message was received in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0 (RFC 1945).
    Http10,
    /// HTTP/1.1 (RFC 9112).
    Http11,
    /// HTTP/2 (RFC 9113).
    Http2,
}

/// The head of a request. Reused from request to request of a connection: [`Request::clear`] keeps the buffers.
#[derive(Debug)]
pub struct Request {
    /// The version of the request line.
    pub version: Version,
    method: Span,
    target: Span,
    fields: Fields,
}

impl Clone for Request {
    fn clone(&self) -> Self {
        Self { fields: self.fields.clone(), ..*self }
    }

    /// Keeps the buffers.
    fn clone_from(&mut self, source: &Self) {
        (self.version, self.method, self.target) = (source.version, source.method, source.target);
        self.fields.clone_from(&source.fields);
    }
}

impl Default for Request {
    fn default() -> Self {
        Self { version: Version::Http11, method: Span::default(), target: Span::default(), fields: Fields::default() }
    }
}

impl Request {
    /// An empty head; fill it with [`Request::start`] and [`Fields::push`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the content, keeps the buffers.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.method = Span::default();
        self.target = Span::default();
    }

    /// Begins a new head: everything before is forgotten.
    pub fn start(&mut self, version: Version, method: &[u8], target: &[u8]) {
        self.clear();
        self.version = version;
        self.method = self.fields.keep(method);
        self.target = self.fields.keep(target);
    }

    /// Begins a new head with one copy of `raw`, in which method and target lie at the given places;
    /// [`Fields::push_placed`] adds its fields.
    pub(crate) fn start_with(&mut self, version: Version, raw: &[u8], method: Range<usize>, target: Range<usize>) {
        self.fields.adopt(raw);
        self.version = version;
        self.method = self.fields.placed(method);
        self.target = self.fields.placed(target);
    }

    /// Gives the lines that [`Fields::push_standing`] has added the head they stand in.
    pub(crate) fn stand_in(&mut self, version: Version, raw: &[u8], method: Range<usize>, target: Range<usize>) {
        self.fields.stand_in(raw);
        self.version = version;
        self.method = self.fields.placed(method);
        self.target = self.fields.placed(target);
    }

    /// Replaces the target; everything else stays.
    pub fn set_target(&mut self, target: &[u8]) {
        self.target = self.fields.keep(target);
    }

    /// The method as received, e.g. `POST`.
    pub fn method(&self) -> &[u8] {
        self.fields.bytes(self.method)
    }

    /// The request target as received (RFC 9112 §3.2): usually path and query; absolute-form is possible.
    pub fn target(&self) -> &[u8] {
        self.fields.bytes(self.target)
    }

    /// Path and query of the target: absolute-form loses scheme and authority; never empty (`*` stays `*`).
    ///
    /// Where an absolute-form target has a query and no path, only `/`: path and query do not stand together in it.
    pub fn path_and_query(&self) -> &[u8] {
        let target = self.target();
        if target.first() == Some(&b'/') || target == b"*" {
            return target;
        }
        match memchr::memmem::find(target, b"://") {
            Some(scheme) => {
                let rest = &target[scheme + 3..];
                match memchr::memchr2(b'/', b'?', rest) {
                    Some(slash) if rest[slash] == b'/' => &rest[slash..],
                    _ => b"/",
                }
            }
            None => target,
        }
    }

    /// The path, without query.
    pub fn path(&self) -> &[u8] {
        let whole = self.path_and_query();
        match memchr::memchr(b'?', whole) {
            Some(mark) => &whole[..mark],
            None => whole,
        }
    }

    /// The query, without `?`; `None` where there is none.
    pub fn query(&self) -> Option<&[u8]> {
        // Of the target, not of `path_and_query`: an absolute target may have a query and no path (`http://host?q`).
        let target = self.target();
        memchr::memchr(b'?', target).map(|mark| &target[mark + 1..])
    }

    /// The authority the client asked for: of an absolute-form target, else the `Host` field. Empty where neither is.
    pub fn authority(&self) -> &[u8] {
        let target = self.target();
        if target.first() != Some(&b'/')
            && let Some(scheme) = memchr::memmem::find(target, b"://")
        {
            let rest = &target[scheme + 3..];
            let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
            return &rest[..end];
        }
        self.fields.known(Name::Host).unwrap_or_default()
    }

    /// The fields, in the order received.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The fields, to be changed.
    pub fn fields_mut(&mut self) -> &mut Fields {
        &mut self.fields
    }
}

/// The head of a response, interim (1xx) or final.
#[derive(Debug)]
pub struct Response {
    /// The version of the status line.
    pub version: Version,
    /// 100 to 999.
    pub status: u16,
    reason: Span,
    fields: Fields,
}

/// A date as HTTP fields and cookies carry it, in seconds since 1970; `None` where it is none.
pub fn unix_seconds(date: &[u8]) -> Option<i64> {
    date::unix_seconds(date)
}

impl Clone for Response {
    fn clone(&self) -> Self {
        Self { fields: self.fields.clone(), ..*self }
    }

    /// Keeps the buffers.
    fn clone_from(&mut self, source: &Self) {
        (self.version, self.status, self.reason) = (source.version, source.status, source.reason);
        self.fields.clone_from(&source.fields);
    }
}

impl Default for Response {
    fn default() -> Self {
        Self { version: Version::Http11, status: 200, reason: Span::default(), fields: Fields::default() }
    }
}

impl Response {
    /// An empty head; fill it with [`Response::start`] and [`Fields::push`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a new head: everything before is forgotten, buffers are kept.
    pub fn start(&mut self, version: Version, status: u16, reason: &[u8]) {
        self.fields.clear();
        self.version = version;
        self.status = status;
        self.reason = self.fields.keep(reason);
    }

    /// Begins a new head with one copy of `raw`, in which the reason phrase lies at the given place;
    /// [`Fields::push_placed`] adds its fields.
    pub(crate) fn start_with(&mut self, version: Version, status: u16, raw: &[u8], reason: Range<usize>) {
        self.fields.adopt(raw);
        self.version = version;
        self.status = status;
        self.reason = self.fields.placed(reason);
    }

    /// Gives the lines that [`Fields::push_standing`] has added the head they stand in.
    pub(crate) fn stand_in(&mut self, version: Version, status: u16, raw: &[u8], reason: Range<usize>) {
        self.fields.stand_in(raw);
        self.version = version;
        self.status = status;
        self.reason = self.fields.placed(reason);
    }

    /// The reason phrase as received; may be empty, may hold bytes above 0x7F.
    pub fn reason(&self) -> &[u8] {
        self.fields.bytes(self.reason)
    }

    /// Whether the status is interim (RFC 9110 §15.2).
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status)
    }

    /// The fields, in the order received.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The fields, to be changed.
    pub fn fields_mut(&mut self) -> &mut Fields {
        &mut self.fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str) -> Request {
        let mut head = Request::new();
        head.start(Version::Http11, b"GET", target.as_bytes());
        head.fields_mut().push(b"Host", b"example.com");
        head
    }

    #[test]
    fn targets_are_taken_apart() {
        let head = request("/a/b?c=d");
        assert_eq!((head.path(), head.query()), (&b"/a/b"[..], Some(&b"c=d"[..])));
        let head = request("http://other:80/x?y");
        assert_eq!((head.path(), head.query(), head.authority()), (&b"/x"[..], Some(&b"y"[..]), &b"other:80"[..]));
        let head = request("http://other");
        assert_eq!((head.path(), head.authority()), (&b"/"[..], &b"other"[..]));
        let head = request("http://other?q");
        assert_eq!((head.path(), head.query(), head.authority()), (&b"/"[..], Some(&b"q"[..]), &b"other"[..]));
        let head = request("/a?u=http://x/");
        assert_eq!((head.path(), head.authority()), (&b"/a"[..], &b"example.com"[..]));
    }
}
