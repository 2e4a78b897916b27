//! The fields that a proxy writes.

use std::borrow::Cow;
use std::net::IpAddr;

use smallvec::SmallVec;

use super::client::{address, claimed, entries, parameter, split_unquoted};
use super::{HostPolicy, Onward, Policy, Scheme};
use crate::head::digits::{self, Sink};
use crate::head::{Field, Fields, Name, Request, Version};

/// Entries of `X-Forwarded-For` that are translated, the last ones. More proxies in a row than anybody has.
const HOPS_MAX: usize = 32;

/// Text under construction; field values of usual length need no allocation.
#[derive(Default)]
pub(super) struct Text(SmallVec<[u8; 256]>);

impl Text {
    pub(super) fn decimal(number: u64) -> Self {
        let mut text = Self::default();
        digits::decimal(number, &mut text.0);
        text
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn add(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A comma, if anything stands before it.
    fn next_entry(&mut self) {
        if !self.0.is_empty() {
            self.add(b", ");
        }
    }
}

/// As a token if it is one, else in quotes (RFC 7239 §4).
fn add_quoted(out: &mut impl Sink, value: &[u8]) {
    if !value.is_empty() && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte)) {
        return out.text(value);
    }
    out.text(b"\"");
    if memchr::memchr2(b'"', b'\\', value).is_none() {
        out.text(value);
    } else {
        for byte in value {
            if matches!(byte, b'"' | b'\\') {
                out.text(b"\\");
            }
            out.text(&[*byte]);
        }
    }
    out.text(b"\"");
}

/// `for=`, with IPv6 addresses as RFC 7239 §6 wants them.
fn add_for(out: &mut impl Sink, address: Option<IpAddr>) {
    match address {
        Some(address @ IpAddr::V4(_)) => {
            out.text(b"for=");
            digits::address(address, out);
        }
        Some(address) => {
            out.text(b"for=\"[");
            digits::address(address, out);
            out.text(b"]\"");
        }
        None => out.text(b"for=unknown"),
    }
}

fn add_origin(out: &mut impl Sink, host: &[u8], proto: &[u8]) {
    if !host.is_empty() {
        out.text(b";host=");
        add_quoted(out, host);
    }
    out.text(b";proto=");
    out.text(proto);
}

/// Writes `Forwarded`, `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`.
///
/// What a trusted peer says in one notation is translated into the other, so that a service hears one story whichever it
/// reads: frameworks prefer `Forwarded`, and one that knew only of our peer would hide the client.
pub(super) fn tell_of_client(head: &mut Request, onward: &Onward<'_>, stamp: &mut Stamp) {
    if !onward.trusted {
        remove_claims(head.fields_mut());
        stamp.make(onward.peer.ip().to_canonical(), onward.scheme, head.authority());
        return head.fields_mut().append(&stamp.lines);
    }
    let fields = head.fields();
    let peer = onward.peer.ip().to_canonical();
    let has_forwarded = fields.all_known(Name::Forwarded).any(|line| !line.is_empty());
    let origin = Origin::of(head, onward);

    let mut addresses = Text::default();
    if entries(fields).next().is_some() {
        for entry in entries(fields) {
            addresses.next_entry();
            addresses.add(entry);
        }
    } else {
        for claim in claimed(fields).into_iter().flatten() {
            addresses.next_entry();
            digits::address(claim, &mut addresses.0);
        }
    }
    addresses.next_entry();
    digits::address(peer, &mut addresses.0);

    let mut forwarded = Text::default();
    if has_forwarded {
        for line in fields.all_known(Name::Forwarded).filter(|line| !line.is_empty()) {
            forwarded.next_entry();
            forwarded.add(line);
        }
        forwarded.next_entry();
        add_for(&mut forwarded.0, Some(peer));
        add_origin(&mut forwarded.0, head.authority(), onward.scheme.as_str().as_bytes());
    } else {
        // An entry may grow sixfold in this notation; a client must not make a head that no node takes.
        let beyond = entries(fields).count().saturating_sub(HOPS_MAX);
        let chain = entries(fields).skip(beyond).map(address).chain([Some(peer)]);
        for (index, hop) in chain.enumerate() {
            forwarded.next_entry();
            add_for(&mut forwarded.0, hop);
            if index == 0 {
                add_origin(&mut forwarded.0, &origin.host, origin.scheme.as_str().as_bytes());
            }
        }
    }

    let (mut host, mut port) = (Text::default(), Text::default());
    host.add(&origin.host);
    port.add(origin.port());
    let scheme = origin.scheme;
    let fields = head.fields_mut();
    fields.set(b"X-Forwarded-For", addresses.bytes());
    set_if_absent(fields, Name::XForwardedProto, b"X-Forwarded-Proto", scheme.as_str().as_bytes());
    if !host.0.is_empty() {
        set_if_absent(fields, Name::XForwardedHost, b"X-Forwarded-Host", host.bytes());
    }
    set_if_absent(fields, Name::XForwardedPort, b"X-Forwarded-Port", port.bytes());
    fields.set(b"Forwarded", forwarded.bytes());
}

/// The lines that tell of a peer that is not trusted, which is nearly everybody: nothing it claims is looked at, so they
/// stay the same from one request of a connection to the next.
#[derive(Debug, Default)]
pub struct Stamp {
    of: Option<(IpAddr, Scheme)>,
    host: Vec<u8>,
    lines: Fields,
}

impl Stamp {
    /// Makes the lines, if they are not those of the request before.
    fn make(&mut self, peer: IpAddr, scheme: Scheme, host: &[u8]) {
        if self.of == Some((peer, scheme)) && self.host == host {
            return;
        }
        self.of = Some((peer, scheme));
        self.host.clear();
        self.host.extend_from_slice(host);
        let proto = scheme.as_str().as_bytes();
        let lines = &mut self.lines;
        lines.clear();
        lines.push_written(Name::XForwardedFor, b"X-Forwarded-For", |out| digits::address(peer, out));
        lines.push_known(Name::XForwardedProto, b"X-Forwarded-Proto", proto);
        if !host.is_empty() {
            lines.push_known(Name::XForwardedHost, b"X-Forwarded-Host", host);
        }
        lines.push_known(Name::XForwardedPort, b"X-Forwarded-Port", port_of(host).unwrap_or(scheme.port()));
        lines.push_written(Name::Forwarded, b"Forwarded", |out| {
            add_for(out, Some(peer));
            add_origin(out, host, proto);
        });
    }
}

fn set_if_absent(fields: &mut Fields, known: Name, name: &[u8], value: &[u8]) {
    if fields.known(known).is_none_or(<[u8]>::is_empty) {
        fields.set(name, value);
    }
}

/// Scheme and authority of the URL that the client itself asked for, as far as anybody who is trusted knows.
pub fn asked_for<'a>(head: &'a Request, onward: &Onward<'_>) -> (Scheme, Cow<'a, [u8]>) {
    let origin = Origin::of(head, onward);
    let port = onward.trusted.then(|| head.fields().known(Name::XForwardedPort)).flatten();
    let port = port.and_then(|line| line.split(|byte| *byte == b',').next()).map(<[u8]>::trim_ascii);
    let host = match port {
        Some(port) if !port.is_empty() && port_of(&origin.host).is_none() => {
            [&origin.host[..], b":", port].concat().into()
        }
        _ => origin.host,
    };
    (origin.scheme, host)
}

/// What the client itself asked for: scheme and host of its URL.
struct Origin<'a> {
    scheme: Scheme,
    host: Cow<'a, [u8]>,
}

impl<'a> Origin<'a> {
    /// As trusted proxies say it, else as the connection and the head show it. (The fields of others are already gone.)
    fn of(head: &'a Request, onward: &Onward<'_>) -> Self {
        if !onward.trusted {
            return Self { scheme: onward.scheme, host: Cow::Borrowed(head.authority()) };
        }
        let fields = head.fields();
        let element = fields.known(Name::Forwarded).and_then(|line| split_unquoted(line, b',').next());
        let said = |known: Name, name: &[u8]| {
            let first = fields.known(known).and_then(|line| line.split(|byte| *byte == b',').next());
            let first = first.map(<[u8]>::trim_ascii).filter(|value| !value.is_empty()).map(Cow::Borrowed);
            first.or_else(|| element.and_then(|element| parameter(element, name)).map(unquoted))
        };
        let scheme = match said(Name::XForwardedProto, b"proto").as_deref() {
            Some(proto) if proto.eq_ignore_ascii_case(b"https") => Scheme::Https,
            Some(proto) if proto.eq_ignore_ascii_case(b"http") => Scheme::Http,
            _ => onward.scheme,
        };
        let host = said(Name::XForwardedHost, b"host").unwrap_or(Cow::Borrowed(head.authority()));
        Self { scheme, host }
    }

    /// The port of the host, else the one that the scheme stands for.
    fn port(&self) -> &[u8] {
        port_of(&self.host).unwrap_or(self.scheme.port())
    }
}

fn unquoted(value: &[u8]) -> Cow<'_, [u8]> {
    match value {
        [b'"', inside @ .., b'"'] => inside.iter().copied().filter(|byte| *byte != b'\\').collect(),
        _ => Cow::Borrowed(value),
    }
}

/// The digits behind the last colon, outside brackets.
fn port_of(authority: &[u8]) -> Option<&[u8]> {
    let colon = memchr::memrchr(b':', authority)?;
    let port = &authority[colon + 1..];
    (!port.is_empty() && port.iter().all(u8::is_ascii_digit) && !authority[colon..].contains(&b']')).then_some(port)
}

/// Takes out whatever claims to say who the client is: `Forwarded`, `X-Forwarded-…`, `X-Real-IP`, also with underscores, which
/// some servers read as hyphens.
pub(super) fn remove_claims(fields: &mut Fields) {
    let is_claim = |field: &Field<'_>| match field.name {
        // Nearly all names are decided by their first letter.
        [b'x' | b'X' | b'f' | b'F', ..] => {
            field.known == Name::Forwarded
                || starts_alike(field.name, b"x-forwarded-")
                || alike(field.name, b"x-real-ip")
        }
        _ => false,
    };
    if fields.iter().any(|field| is_claim(&field)) {
        fields.retain(|field| !is_claim(&field));
    }
}

/// Removes all lines whose name is `name` to a server that reads underscores as hyphens.
pub fn remove_aliases(fields: &mut Fields, name: &[u8]) {
    fields.retain(|field| !alike(field.name, name));
}

fn alike(name: &[u8], other: &[u8]) -> bool {
    name.len() == other.len() && starts_alike(name, other)
}

fn starts_alike(name: &[u8], start: &[u8]) -> bool {
    let plain = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() >= start.len() && name.iter().zip(start).all(|(left, right)| plain(left) == plain(right))
}

/// RFC 9112 §3.2.2: the authority of an absolute target replaces `Host`. Then as the policy says.
pub(super) fn set_host(head: &mut Request, policy: &Policy, onward: &Onward<'_>) {
    let target = head.target();
    let is_absolute = !matches!(target, [b'/', ..] | b"*");
    if policy.host == HostPolicy::Pass && !is_absolute && head.fields().known(Name::Host).is_some() {
        return;
    }
    let mut host = Text::default();
    match &policy.host {
        HostPolicy::Node => host.add(onward.node_authority),
        HostPolicy::Name(name) => host.add(name),
        HostPolicy::Pass if is_absolute || head.fields().known(Name::Host).is_none() => host.add(head.authority()),
        HostPolicy::Pass => {}
    }
    if host.0.is_empty() && head.fields().known(Name::Host).is_none() {
        // HTTP/1.0 without Host: towards the node, HTTP/1.1 demands one.
        host.add(onward.node_authority);
    }
    if is_absolute {
        let origin_form = origin_form(head);
        head.set_target(&origin_form);
    }
    if head.fields().known(Name::Host).is_none() {
        head.fields_mut().push_front(b"Host", host.bytes());
    } else if !host.0.is_empty() {
        head.fields_mut().set(b"Host", host.bytes());
    }
}

/// Path and query of an absolute target.
fn origin_form(head: &Request) -> Vec<u8> {
    let mut target = head.path().to_vec();
    if let Some(query) = head.query() {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    target
}

pub(super) fn add_via(fields: &mut Fields, received: Version, policy: &Policy) {
    let version = match received {
        Version::Http10 => &b"1.0 "[..],
        Version::Http11 => b"1.1 ",
        Version::Http2 => b"2.0 ",
    };
    fields.push_written(Name::Via, b"Via", |out| {
        out.extend_from_slice(version);
        out.extend_from_slice(policy.pseudonym().as_bytes());
    });
}
