//! What concerns one connection only: hop-by-hop fields and persistence (RFC 9110 §7.6.1, RFC 9112 §9.3).

use super::{Fields, Name, NameSet, Version};

/// What concerns one connection only, whether `Connection` names it or not.
const HOP_BY_HOP: NameSet = NameSet::of(&[
    Name::Connection,
    Name::KeepAlive,
    Name::ProxyConnection,
    Name::Te,
    Name::Upgrade,
    Name::Http2Settings,
]);

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
    if !fields.may_have(HOP_BY_HOP) {
        return;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    fn left(lines: &[(&str, &str)]) -> String {
        let mut fields = fields(lines);
        remove_hop_by_hop(&mut fields);
        fields.iter().map(|field| String::from_utf8_lossy(field.name).into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_concerns_the_connection_goes() {
        let lines = [
            ("A", "1"),
            ("connection", "close"),
            ("Keep-Alive", "5"),
            ("Proxy-Connection", "close"),
            ("TE", "trailers"),
            ("Trailer", "X"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "AA"),
            ("Transfer-Encoding", "chunked"),
            ("B", "2"),
        ];
        assert_eq!(left(&lines), "A Trailer Transfer-Encoding B");
    }

    #[test]
    fn what_connection_names_goes_unless_it_belongs_to_the_message() {
        assert_eq!(
            left(&[
                ("Connection", "close, x-a,,X-B ,"),
                ("Connection", "x-c"),
                ("X-A", "1"),
                ("x-b", "2"),
                ("X-C", "3"),
                ("X-D", "4")
            ]),
            "X-D"
        );
        let kept =
            [("Host", "h"), ("Cookie", "a"), ("Content-Length", "1"), ("X-Forwarded-For", "x"), ("Authorization", "x")];
        let nominate = ("Connection", "host, cookie, content-length, x-forwarded-for, authorization");
        assert_eq!(
            left(&[&[nominate][..], &kept].concat()),
            "Host Cookie Content-Length X-Forwarded-For Authorization"
        );
    }

    #[test]
    fn http_1_1_persists_and_http_1_0_closes_unless_they_say_otherwise() {
        for (version, lines, keeps) in [
            (Version::Http11, &[][..], true),
            (Version::Http10, &[], false),
            (Version::Http11, &[("Connection", "Close")], false),
            (Version::Http11, &[("Connection", "x"), ("Connection", "a, close")], false),
            (Version::Http11, &[("Connection", "closed")], true),
            (Version::Http10, &[("Connection", "Keep-Alive")], true),
            (Version::Http10, &[("Connection", "keep-alive, close")], false),
            (Version::Http10, &[("Proxy-Connection", "keep-alive")], false),
        ] {
            assert_eq!(keep_alive(version, &fields(lines)), keeps, "{version:?} {lines:?}");
            assert_eq!(wants_close(version, &fields(lines)), !keeps);
        }
    }

    #[test]
    fn a_node_says_how_long_it_waits() {
        for (value, seconds) in [
            ("timeout=5, max=100", Some(5)),
            ("max=9, Timeout = \"7\"", Some(7)),
            ("timeout=x", None),
            ("5", None),
            ("", None),
        ] {
            assert_eq!(keep_alive_timeout(&fields(&[("Keep-Alive", value)])), seconds, "{value}");
        }
    }
}
