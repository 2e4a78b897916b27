//! What concerns one connection only: hop-by-hop fields and persistence (RFC 9110 §7.6.1, RFC 9112 §9.3).

use super::{Fields, Name, Version};

/// Removes the fields that concern the connection a message came by.
///
/// * `Connection`, `Keep-Alive`, `Proxy-Connection`, `TE`, `Upgrade`, `HTTP2-Settings`: always. Without `TE` a node may not rely on
///   trailers being wanted, and without `Upgrade` no protocol changes on a pooled connection.
/// * Whatever `Connection` names, except the fields that Castile reads itself ([`Name`]): a client must not be able to take
///   away `Host`, `Content-Length`, a cookie or what a trusted proxy said about it (CVE-2022-31813).
///
/// `Trailer` stays, because trailers are passed on. `Transfer-Encoding` stays too: whoever sends the message on says how it is framed
/// (`proxy::forwarding`), in the same place.
pub fn remove_hop_by_hop(fields: &mut Fields) {
    let nominated: smallvec::SmallVec<[Box<[u8]>; 2]> =
        options(fields).filter(|option| Name::of(option) == Name::Other).map(Box::from).collect();
    fields.retain(|field| match field.known {
        Name::Connection | Name::KeepAlive | Name::ProxyConnection | Name::Te | Name::Upgrade | Name::Http2Settings => {
            false
        }
        Name::Other => !nominated.iter().any(|name| field.name.eq_ignore_ascii_case(name)),
        _ => true,
    });
}

/// Whether the sender closes the connection after this message, or wants it closed (RFC 9112 §9.3).
///
/// HTTP/1.0 closes unless it says `keep-alive`; HTTP/1.1 stays unless it says `close`. `close` wins over `keep-alive`.
/// `Proxy-Connection` is not heeded: RFC 9112 §C.2.2 tells why that goes wrong.
pub fn wants_close(version: Version, fields: &Fields) -> bool {
    !keep_alive(version, fields)
}

/// Whether the connection may be used again after this message; the opposite of [`wants_close`].
pub fn keep_alive(version: Version, fields: &Fields) -> bool {
    let mut keep = version != Version::Http10;
    for option in options(fields) {
        if option.eq_ignore_ascii_case(b"close") {
            return false;
        }
        keep |= option.eq_ignore_ascii_case(b"keep-alive");
    }
    keep
}

/// For how long a node keeps an idle connection, in seconds, where it says so (`Keep-Alive: timeout=5, max=100`).
pub fn keep_alive_timeout(fields: &Fields) -> Option<u64> {
    fields.all_known(Name::KeepAlive).flat_map(|value| value.split(|byte| *byte == b',')).find_map(|part| {
        let (name, value) = part.split_at(memchr::memchr(b'=', part)?);
        let value = std::str::from_utf8(value[1..].trim_ascii()).ok()?;
        name.trim_ascii().eq_ignore_ascii_case(b"timeout").then(|| value.trim_matches('"').parse().ok())?
    })
}

/// The options of all `Connection` lines.
pub fn options(fields: &Fields) -> impl Iterator<Item = &[u8]> {
    fields
        .all_known(Name::Connection)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|option| !option.is_empty())
}
