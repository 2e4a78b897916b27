//! What a proxy changes in a head before it passes it on.
//!
//! Pure functions of heads, policy and addresses; the order is fixed in [`request`] and [`response`].

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::head::{Fields, Request, Response};

/// The scheme by which a client reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In clear text.
    Http,
    /// Through TLS.
    Https,
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
    /// None, as HAProxy, nginx and Envoy do.
    Off,
    /// Requests: what the RFC demands of a gateway.
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
    /// Taken from the begin of the path, at a segment's end. Empty: nothing.
    pub strip_prefix: Box<[u8]>,
    /// Put before the path. Empty: nothing.
    pub add_prefix: Box<[u8]>,
    /// The field in which nodes expect the client's certificate: taken out of every request, whoever sent it.
    pub client_cert_header: Option<Box<[u8]>>,
    /// The field with the request's id.
    pub request_id_header: Option<Box<[u8]>>,
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
    /// The request's id.
    pub request_id: Option<&'a [u8]>,
}

/// Makes the head of a client's request into the one for the node.
pub fn request(head: &mut Request, policy: &Policy, onward: &Onward<'_>) {
    let _ = (head, policy, onward);
}

/// Makes the head of a node's response into the one for the client. `request_method` as in the request.
pub fn response(head: &mut Response, policy: &Policy) {
    let _ = (head, policy);
}

/// Takes out of a request's trailers what [`request`] would have replaced in its head.
pub fn trailers(fields: &mut Fields, policy: &Policy) {
    let _ = (fields, policy);
}

/// Who sent the request: `peer`, or where trusted proxies stand before us, the last address that none of them has.
pub fn client_address(peer: IpAddr, fields: &Fields, trusted: &[IpNet]) -> IpAddr {
    let _ = (fields, trusted);
    peer
}

/// The path of `target` without `prefix`, if `prefix` ends where a segment ends: `/ext` strips `/ext`, `/ext/a`, `/ext?q`, not
/// `/extra`. What is left begins with `/`.
pub fn strip_prefix(target: &[u8], prefix: &[u8], out: &mut Vec<u8>) -> bool {
    let _ = (target, prefix, out);
    false
}

/// `target` with `prefix` before its path.
pub fn add_prefix(target: &[u8], prefix: &[u8], out: &mut Vec<u8>) {
    let _ = (target, prefix, out);
}
