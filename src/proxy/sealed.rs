//! The sealed cookie in answers.

use std::sync::atomic::Ordering::Relaxed;

use super::connection::Connection;
use crate::affinity::Code;
use crate::gateway::Upstream;
use crate::head::{Fields, cookie};
use crate::session::{RequestKeys, SealNonce};
use crate::upstream::NodeId;

/// The `Set-Cookie` of an answer of this node: there is one unless the request carried a good cookie that names it and need
/// not be renewed.
pub fn set(
    connection: &Connection,
    upstream: &Upstream,
    keys: &RequestKeys,
    node: NodeId,
    now_unix: u64,
) -> Option<String> {
    let cookie = upstream.cookie.as_ref()?;
    if keys.sealed.is_some_and(|sealed| sealed.node == node && !sealed.renew) {
        return None;
    }
    let mut nonce = SealNonce::default();
    if let Err(error) = getrandom::fill(&mut nonce) {
        tracing::error!(%error, "no random numbers: no cookie is set");
        return None;
    }
    let line = cookie.set(upstream.nodes.get(node)?.live.full_name(), connection.is_tls, now_unix, nonce)?;
    upstream.events.cookies_set.fetch_add(1, Relaxed);
    Some(line)
}

/// The `Set-Cookie` of a refusal that tells that the session is lost: without its cookie the client begins anew.
pub fn remove(connection: &Connection, upstream: &Upstream, code: Code, request: &Fields) -> Option<String> {
    let own = upstream.cookie.as_ref().filter(|_| code == Code::Lost)?;
    let carries = cookie::request_cookies(request).any(|(name, _)| name == own.name().as_bytes());
    carries.then(|| own.remove(connection.is_tls))
}
