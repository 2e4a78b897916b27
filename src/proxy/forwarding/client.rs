//! Who the client is, behind proxies that are trusted.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use smallvec::SmallVec;

use crate::head::{Fields, Name};

/// Who sent the request: `peer`, or where trusted proxies stand before us, the last address that none of them has.
///
/// `X-Forwarded-For` is read from its end, or `Forwarded` (RFC 7239) where there is none: proxies that write only the first
/// pass the second on as the client sent it. An entry that is no address ends the reading; what was reached by then
/// counts. IPv4 addresses in IPv6 clothes are undressed.
pub fn client_address(peer: IpAddr, fields: &Fields, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return client;
    }
    for entry in claimed(fields).into_iter().rev() {
        let Some(address) = entry else { break };
        client = address;
        if !is_trusted(client) {
            break;
        }
    }
    client
}

/// The addresses that `X-Forwarded-For`, else `Forwarded`, claims; `None` for an entry that is no address.
pub(super) fn claimed(fields: &Fields) -> SmallVec<[Option<IpAddr>; 4]> {
    let mut addresses: SmallVec<_> = entries(fields).map(address).collect();
    if addresses.is_empty() {
        addresses = fields
            .all_known(Name::Forwarded)
            .flat_map(|line| split_unquoted(line, b','))
            .map(|element| parameter(element, b"for").and_then(address))
            .collect();
    }
    addresses
}

/// The entries of all `X-Forwarded-For` lines, empty ones left out.
pub(super) fn entries(fields: &Fields) -> impl Iterator<Item = &[u8]> {
    fields
        .all_known(Name::XForwardedFor)
        .flat_map(|line| line.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|entry| !entry.is_empty())
}

/// An address with or without port, brackets and quotes.
pub(super) fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(address.to_canonical())
}

/// The value of a parameter of one `Forwarded` element, quotes included.
pub(super) fn parameter<'a>(element: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    split_unquoted(element, b';').find_map(|pair| {
        let equals = memchr::memchr(b'=', pair)?;
        pair[..equals].trim_ascii().eq_ignore_ascii_case(name).then(|| pair[equals + 1..].trim_ascii())
    })
}

/// Splits at `separator`, except within quotes.
pub(super) fn split_unquoted(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |byte| {
        let was_escaped = std::mem::replace(&mut escaped, false);
        match byte {
            b'\\' if quoted && !was_escaped => escaped = true,
            b'"' if !was_escaped => quoted = !quoted,
            _ => {}
        }
        *byte == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[(&str, &str)], expected: &str) {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let trusted = ["10.0.0.0/8".parse().expect("a network"), "::1/128".parse().expect("a network")];
        let client = client_address("10.0.0.1".parse().expect("an address"), &fields, &trusted);
        assert_eq!(client.to_string(), expected, "{lines:?}");
    }

    const XFF: &str = "X-Forwarded-For";

    #[test]
    fn the_client_is_the_last_address_that_no_trusted_proxy_has() {
        check(&[], "10.0.0.1");
        check(&[(XFF, "1.2.3.4")], "1.2.3.4");
        check(&[(XFF, "6.6.6.6, 1.2.3.4")], "1.2.3.4");
        check(&[(XFF, "6.6.6.6, 1.2.3.4, 10.1.1.1, ::1")], "1.2.3.4");
        check(&[(XFF, "6.6.6.6"), (XFF, "1.2.3.4,10.1.1.1")], "1.2.3.4");
        check(&[(XFF, "10.9.9.9, 10.1.1.1")], "10.9.9.9");
        check(&[(XFF, "1.2.3.4:5678")], "1.2.3.4");
        check(&[(XFF, "[2001:db8::1]:80")], "2001:db8::1");
        check(&[(XFF, "2001:db8::1")], "2001:db8::1");
        check(&[(XFF, "::ffff:1.2.3.4")], "1.2.3.4");
        check(&[("Forwarded", "for=6.6.6.6, for=\"[2001:db8::1]:9\";proto=http, for=10.1.1.1")], "2001:db8::1");
        check(&[("Forwarded", "For=1.2.3.4;host=\"a,b;for=6.6.6.6\"")], "1.2.3.4");
    }

    #[test]
    fn what_is_no_address_ends_the_reading() {
        check(&[(XFF, "1.2.3.4, unknown, 10.1.1.1")], "10.1.1.1");
        check(&[(XFF, "unknown")], "10.0.0.1");
        check(&[("Forwarded", "for=1.2.3.4, for=_hidden")], "10.0.0.1");
        check(&[("Forwarded", "for=6.6.6.6"), (XFF, "1.2.3.4")], "1.2.3.4");
    }

    #[test]
    fn a_peer_that_is_not_trusted_says_nothing_about_itself() {
        let mut fields = Fields::default();
        fields.push(XFF.as_bytes(), b"1.2.3.4");
        let peer = "::ffff:9.9.9.9".parse().expect("an address");
        assert_eq!(client_address(peer, &fields, &[]).to_string(), "9.9.9.9");
    }
}
