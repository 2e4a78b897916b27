//! What a proxy changes in a head before it passes it on.
//!
//! Pure functions of heads, policy and addresses. [`request`] and [`response`] are the whole of it, each a straight list
//! of steps; whatever is not named there passes byte for byte, in its place.

mod client;
mod fields;
mod prefix;
mod readable;

use std::net::SocketAddr;

use crate::config::model::HostHeader;
use crate::gateway::Route;
use crate::head::{Fields, Name, Request, Response, Version, connection};
use crate::proxy::h1::Framing;

pub use client::client_address;
pub use fields::{Stamp, asked_for, remove_aliases};
pub use prefix::{add_prefix, strip_prefix};
pub use readable::ask_for_readable;

/// The scheme by which a client reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In clear text.
    Http,
    /// Through TLS.
    Https,
}

impl Scheme {
    /// As it stands in URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port it stands for.
    fn port(self) -> &'static [u8] {
        match self {
            Scheme::Http => b"80",
            Scheme::Https => b"443",
        }
    }
}

/// What the node gets as `Host`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HostPolicy {
    /// What the client asked for. Services write their own address from it.
    #[default]
    Pass,
    /// The node's own authority, [`Onward::node_authority`].
    Node,
    /// This name.
    Name(Box<[u8]>),
}

/// Which messages get a `Via` line (RFC 9110 §7.6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Via {
    /// None, as HAProxy, nginx and Envoy do by themselves. Some servers do not compress for who comes by a proxy.
    Off,
    /// Requests: what the RFC demands of a gateway. It shows a loop in the logs, too.
    #[default]
    Requests,
    /// Requests and responses.
    Both,
}

/// How heads are changed for one route and upstream.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// What the node gets as `Host`.
    pub host: HostPolicy,
    /// Which messages get a `Via` line.
    pub via: Via,
    /// The name in `Via` lines; a token. Empty: `castile`.
    pub pseudonym: Box<str>,
    /// Taken from the begin of the path, at a segment's end; the node gets it as `X-Forwarded-Prefix`. Empty: nothing.
    pub strip_prefix: Box<[u8]>,
    /// Put before the path. Empty: nothing.
    pub add_prefix: Box<[u8]>,
    /// The field in which nodes expect the client's certificate: taken out of every request, whoever sent it, spelt with `-` or
    /// `_`, before ours is put in.
    pub client_cert_header: Option<Box<[u8]>>,
}

impl Policy {
    /// What a route and its upstream say.
    pub fn of(route: &Route) -> Self {
        let bytes = |text: &Option<String>| text.as_deref().unwrap_or_default().as_bytes().into();
        Self {
            host: match &route.upstream.config.host {
                HostHeader::Pass => HostPolicy::Pass,
                HostHeader::Node => HostPolicy::Node,
                HostHeader::Name(name) => HostPolicy::Name(name.as_bytes().into()),
            },
            strip_prefix: bytes(&route.config.strip_prefix),
            add_prefix: bytes(&route.config.add_prefix),
            ..Self::default()
        }
    }

    fn pseudonym(&self) -> &str {
        if self.pseudonym.is_empty() { "castile" } else { &self.pseudonym }
    }
}

/// What is known of one request besides its head.
#[derive(Debug, Clone, Copy)]
pub struct Onward<'a> {
    /// The other end of the client's connection (or what the PROXY protocol said).
    pub peer: SocketAddr,
    /// The scheme of the client's connection.
    pub scheme: Scheme,
    /// Whether `peer` is one of the listener's trusted proxies: what it says about the client is then believed.
    pub trusted: bool,
    /// `host:port` of the node.
    pub node_authority: &'a [u8],
    /// The client's certificate as the node expects it, where there is one.
    pub client_cert: Option<&'a [u8]>,
}

/// Makes the head of a client's request into the one for the node.
///
/// * Hop-by-hop fields go ([`connection::remove_hop_by_hop`]). `Transfer-Encoding` stays in its place, as plain `chunked`; where the
///   body goes out in another framing than it came, [`set_framing`] says so.
/// * The version becomes HTTP/1.1. `Expect` of an HTTP/1.0 client goes: it could not read the answer 100 (RFC 9110
///   §10.1.1).
/// * An absolute target becomes path and query, and its authority replaces `Host` (RFC 9112 §3.2.2).
/// * `Forwarded`, `X-Forwarded-For`, `-Proto`, `-Host` and `-Port` tell of the client. From a peer that is not trusted, every
///   `X-Forwarded-…` and `X-Real-IP` goes first, also spelt with underscores. What a trusted peer says stays, and our part is added.
/// * Prefixes, `Host`, the certificate and `Via` as the policy says.
///
/// `stamp` keeps what is the same for all requests of a connection.
pub fn request(head: &mut Request, policy: &Policy, onward: &Onward<'_>, stamp: &mut Stamp) {
    let received = head.version;
    connection::remove_hop_by_hop(head.fields_mut());
    if head.fields().known(Name::TransferEncoding).is_some() {
        head.fields_mut().set(b"Transfer-Encoding", b"chunked");
    }
    if received == Version::Http10 {
        head.fields_mut().remove_known(Name::Expect);
    }
    head.version = Version::Http11;
    fields::tell_of_client(head, onward, stamp);
    fields::set_host(head, policy, onward);
    prefix::apply(head, policy);
    if let Some(name) = &policy.client_cert_header {
        fields::remove_aliases(head.fields_mut(), name);
        if let Some(certificate) = onward.client_cert {
            head.fields_mut().push(name, certificate);
        }
    }
    if policy.via != Via::Off {
        fields::add_via(head.fields_mut(), received, policy);
    }
}

/// Makes the head of a node's response, interim or final, into the one for the client.
///
/// Hop-by-hop fields go, `Transfer-Encoding` stays in its place as plain `chunked`. 1xx and 204 lose both framing fields, 304 loses
/// `Transfer-Encoding` (RFC 9110 §8.6, RFC 9112 §6.1): clients that believe them would wait for a body.
pub fn response(head: &mut Response, policy: &Policy) {
    connection::remove_hop_by_hop(head.fields_mut());
    if head.is_interim() || head.status == 204 {
        set_framing(head.fields_mut(), Framing::Empty);
    } else if head.status == 304 {
        head.fields_mut().remove_known(Name::TransferEncoding);
    } else if head.fields().known(Name::TransferEncoding).is_some() {
        head.fields_mut().set(b"Transfer-Encoding", b"chunked");
    }
    if policy.via == Via::Both {
        let received = head.version;
        fields::add_via(head.fields_mut(), received, policy);
    }
}

/// Makes the fields say how the body goes out. A framing field of the same kind keeps its place.
///
/// [`Framing::Empty`] and [`Framing::Close`] leave no framing field; a body of a known length 0 is [`Framing::Length`].
pub fn set_framing(fields: &mut Fields, framing: Framing) {
    match framing {
        Framing::Empty | Framing::Close => {
            fields.remove_known(Name::ContentLength);
            fields.remove_known(Name::TransferEncoding);
        }
        Framing::Length(length) => {
            fields.remove_known(Name::TransferEncoding);
            fields.set(b"Content-Length", fields::Text::decimal(length).bytes());
        }
        Framing::Chunked => {
            fields.remove_known(Name::ContentLength);
            fields.set(b"Transfer-Encoding", b"chunked");
        }
    }
}

/// Takes out of a request's trailers what [`request`] would have replaced in its head: a node that merges trailers into
/// the head must not find a forged certificate there.
pub fn trailers(trailers: &mut Fields, policy: &Policy) {
    fields::remove_claims(trailers);
    if let Some(name) = &policy.client_cert_header {
        fields::remove_aliases(trailers, name);
    }
}

#[cfg(test)]
mod tests;
