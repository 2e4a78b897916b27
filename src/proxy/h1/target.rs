//! Request targets and authorities (RFC 9112 §3.2, RFC 3986 §3.2).

use super::HeadError;

/// Whether the target suits the method: origin-form, absolute-form with http or https, or `*` of OPTIONS.
///
/// Stricter than a URI parser has to be only where servers are known to disagree: no `#`, no byte above 0x7F, no backslash
/// in the path (some servers read it as `/`, and then another route would have matched). The rest that RFC 3986 does
/// not list (`"<>^{|}` and the backtick) is sent by old clients and passes.
pub(super) fn check(method: &[u8], target: &[u8]) -> Result<(), HeadError> {
    if !target.iter().all(|byte| matches!(byte, b'!'..=b'~') && *byte != b'#') {
        return Err(HeadError::Target);
    }
    let path = match target {
        [b'/', ..] => target,
        b"*" if method == b"OPTIONS" => return Ok(()),
        _ => {
            let rest = after_scheme(target).ok_or(HeadError::Target)?;
            let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            if !valid_authority(authority) {
                return Err(HeadError::Target);
            }
            path
        }
    };
    let path_end = memchr::memchr(b'?', path).unwrap_or(path.len());
    if memchr::memchr(b'\\', &path[..path_end]).is_some() {
        return Err(HeadError::Target);
    }
    Ok(())
}

/// What follows `http://` or `https://`, letters in any case.
fn after_scheme(target: &[u8]) -> Option<&[u8]> {
    [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let (begin, rest) = target.split_at_checked(scheme.len())?;
        begin.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// Whether `authority` is `host [":" port]` as a `Host` field may hold it: a name, an IPv4 address or an IPv6 address in
/// brackets, without user information.
///
/// Of the reg-name grammar (RFC 3986 §3.2.2) the sub-delims are left out: a comma could be a merged second `Host`, and the
/// others name no host that exists.
pub fn valid_authority(authority: &[u8]) -> bool {
    let (host, port) = match authority {
        [b'[', inside @ ..] => {
            let Some(end) = memchr::memchr(b']', inside) else { return false };
            let (address, rest) = inside.split_at(end);
            let is_ipv6 = address.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
                && std::str::from_utf8(address).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
            if !is_ipv6 {
                return false;
            }
            match &rest[1..] {
                [] => return true,
                [b':', port @ ..] => return valid_port(port),
                _ => return false,
            }
        }
        _ => match memchr::memchr(b':', authority) {
            Some(colon) => (&authority[..colon], Some(&authority[colon + 1..])),
            None => (authority, None),
        },
    };
    valid_name(host) && port.is_none_or(valid_port)
}

fn valid_name(host: &[u8]) -> bool {
    let mut at = 0;
    while let Some(byte) = host.get(at) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => at += 1,
            b'%' => match host.get(at + 1..at + 3) {
                Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => at += 3,
                _ => return false,
            },
            _ => return false,
        }
    }
    !host.is_empty()
}

/// An empty port is legal (RFC 3986 §3.2.3).
fn valid_port(port: &[u8]) -> bool {
    port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
        && port.iter().fold(0, |n: u32, d| n * 10 + u32::from(d - b'0')) <= 65535
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(method: &str, target: &str) {
        assert_eq!(check(method.as_bytes(), target.as_bytes()), Ok(()), "{method} {target}");
    }

    fn refuses(method: &str, target: &str) {
        assert_eq!(check(method.as_bytes(), target.as_bytes()), Err(HeadError::Target), "{method} {target}");
    }

    #[test]
    fn paths_queries_and_absolute_uris_are_targets() {
        for target in [
            "/",
            "//",
            "/a?b=c",
            "/a;jsessionid=1.n1",
            "/%00",
            "/a?x=C:\\y",
            "/{a}|b",
            "http://h",
            "HTTP://h:80/x",
            "https://[::1]:8443/?q",
            "http://h?q",
        ] {
            accepts("POST", target);
        }
        for target in [
            "",
            "a",
            "*x",
            "ftp://h/",
            "http://",
            "http:///x",
            "http://u@h/",
            "http://h,i/",
            "/a#b",
            "/caf\u{e9}",
            "/a\\b",
            "h:80",
        ] {
            refuses("POST", target);
        }
    }

    #[test]
    fn the_asterisk_is_for_options_only() {
        accepts("OPTIONS", "*");
        refuses("GET", "*");
        refuses("options", "*");
    }

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for good in [
            "h",
            "h:80",
            "h:",
            "1.2.3.4:65535",
            "[::1]",
            "[::1]:80",
            "my_host.example.com.",
            "a%20b",
            "[::ffff:1.2.3.4]",
        ] {
            assert!(valid_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ":80", "h:65536", "h:+80", "h:80:80", "u@h", "h/", "h,i", "h i", "[::1", "[::1]x", "[h]", "::1", "a%2",
            "h\u{e9}", "h:000080",
        ] {
            assert!(!valid_authority(bad.as_bytes()), "{bad}");
        }
    }
}
