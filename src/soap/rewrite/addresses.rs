//! Which URLs are a node's, and what they are called on the other side.

use std::fmt;

/// Where a URL leads: `scheme://host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    is_https: bool,
    /// Lower case; an IPv6 address with its brackets.
    host: String,
    port: u16,
}

/// How a URL begins.
struct Begin {
    origin: Origin,
    /// Whether the port is written.
    has_port: bool,
    /// Bytes up to the path.
    length: usize,
}

/// URLs that begin anew: the first `length` bytes are to be `with`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Bytes of the URL that go.
    pub length: usize,
    /// What stands there instead; ASCII.
    pub with: String,
}

/// Addresses of one side, and what they are on the other.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The origins that are known by scheme, host and port.
    from: Vec<Origin>,
    /// The hosts that the node was asked for, or told of; services write their own address from it, often with another scheme, or
    /// without the port.
    asked: Vec<Origin>,
    to: Origin,
    /// Begins every path on the first side; goes.
    strip: String,
    /// Begins every path on the other side.
    add: String,
}

impl Change {
    /// Whether it changes nothing.
    pub fn is_nothing(&self) -> bool {
        self.length == 0 && self.with.is_empty()
    }
}

impl Origin {
    /// Of a scheme and what a `Host` field carries; `None` if that is no authority.
    pub fn new(is_https: bool, authority: &[u8]) -> Option<Self> {
        let (host, port) = split(authority)?;
        let port = port.unwrap_or(if is_https { 443 } else { 80 });
        Some(Self { is_https, host: host.to_ascii_lowercase(), port })
    }

    /// Of an absolute `http` or `https` URL, and the path behind it.
    pub fn of_url(url: &str) -> Option<(Self, &str)> {
        let begin = Begin::of(url.as_bytes())?;
        Some((begin.origin, &url[begin.length..]))
    }

    /// Whether it is reached by TLS.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// The host, in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, written or the scheme's own.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn default_port(&self) -> u16 {
        if self.is_https { 443 } else { 80 }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == self.default_port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// Host and port of an authority.
fn split(authority: &[u8]) -> Option<(&str, Option<u16>)> {
    let text = std::str::from_utf8(authority).ok()?;
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match inside {
        Some(address) => address.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')),
        None => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')),
    };
    let port = match port {
        // `http://host:/` has the scheme's own port (RFC 3986 §3.2.3).
        None | Some("") => None,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
        Some(_) => return None,
    };
    (is_host && !host.is_empty()).then_some((host, port))
}

impl Begin {
    fn of(url: &[u8]) -> Option<Self> {
        let starts =
            |scheme: &&str| url.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme.as_bytes()));
        let scheme = ["http://", "https://"].into_iter().find(starts)?;
        let rest = &url[scheme.len()..];
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let authority = &rest[..end];
        let has_port = split(authority)?.1.is_some();
        let origin = Origin::new(scheme == "https://", authority)?;
        Some(Self { origin, has_port, length: scheme.len() + end })
    }
}

impl Addresses {
    /// Addresses that lead to one of `from`, or as it seems to `asked`, lead to `to`; their paths begin with `add`
    /// instead of `strip`. Prefixes begin with `/` and do not end in one, or are empty. `None` if the new beginning could
    /// not be written in a URL.
    pub fn new(from: Vec<Origin>, asked: Vec<Origin>, to: Origin, strip: &str, add: &str) -> Option<Self> {
        let (strip, add) = (strip.trim_end_matches('/').to_owned(), add.trim_end_matches('/').to_owned());
        let is_path = |path: &str| path.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"?#\\".contains(&byte));
        let begins = |path: &str| path.is_empty() || path.starts_with('/') && !path.starts_with("//");
        (is_path(&add) && begins(&add) && begins(&strip)).then_some(Self { from, asked, to, strip, add })
    }

    /// Where the addresses lead now.
    pub fn to(&self) -> &Origin {
        &self.to
    }

    /// What an absolute URL begins with on the other side; `None` where it stays as it is.
    pub fn url(&self, url: &[u8]) -> Option<Change> {
        let begin = Begin::of(url)?;
        let (length, rest) = (begin.length, &url[begin.length..]);
        let is_asked = self.is_asked(&begin);
        let change = if is_asked && !self.add.is_empty() && without(rest, &self.add).is_some() {
            // A node that was told of the prefix has written it.
            Change { length, with: self.to.to_string() }
        } else if is_asked || self.from.contains(&begin.origin) {
            let path = self.path(rest)?;
            Change { length: length + path.length, with: format!("{}{}", self.to, path.with) }
        } else {
            return None;
        };
        (url[..change.length] != *change.with.as_bytes()).then_some(change)
    }

    /// What a path begins with on the other side; `None` where that side does not have it.
    pub fn path(&self, path: &[u8]) -> Option<Change> {
        let rest = if self.strip.is_empty() { path } else { without(path, &self.strip)? };
        let mut with = self.add.clone();
        if !self.strip.is_empty() && !rest.starts_with(b"/") {
            with.push('/');
        }
        Some(Change { length: path.len() - rest.len(), with })
    }

    /// Whether a host name alone is one of the first side's.
    pub fn is_host(&self, host: &[u8]) -> bool {
        let mut all = self.from.iter().chain(&self.asked);
        all.any(|origin| origin.host.as_bytes().eq_ignore_ascii_case(host))
    }

    fn is_asked(&self, begin: &Begin) -> bool {
        let Origin { host, port, .. } = &begin.origin;
        // Another service of the same machine has another port.
        let is_port = |asked: &Origin| {
            !begin.has_port || *port == asked.port || self.from.iter().any(|origin| origin.port == *port)
        };
        self.asked.iter().any(|asked| asked.host == *host && is_port(asked))
    }
}

/// What follows a prefix that ends where a segment ends.
fn without<'a>(path: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(prefix.as_bytes())?;
    matches!(rest, [] | [b'/' | b'?' | b'#' | b';', ..]).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Origin {
        Origin::of_url(url).expect("a URL").0
    }

    fn check(strip: &str, add: &str, url: &str, expected: &str) {
        let from = vec![origin("http://10.0.0.1:8080"), origin("http://node2"), origin("http://[::1]:81")];
        let asked = vec![origin("http://gw:8443")];
        let addresses = Addresses::new(from, asked, origin("https://gw:8443"), strip, add).expect("prefixes");
        let found = addresses.url(url.as_bytes()).map(|change| change.with + &url[change.length..]);
        assert_eq!(found.as_deref().unwrap_or(url), expected, "{url}");
    }

    #[test]
    fn a_nodes_url_becomes_the_public_one() {
        for (url, expected) in [
            ("http://10.0.0.1:8080/a?wsdl", "https://gw:8443/a?wsdl"),
            ("HTTP://10.0.0.1:8080", "https://gw:8443"),
            ("http://10.0.0.1:8080?wsdl", "https://gw:8443?wsdl"),
            ("http://NODE2/a%20b;c=1#d", "https://gw:8443/a%20b;c=1#d"),
            ("http://node2:80/", "https://gw:8443/"),
            ("http://[::1]:81/x", "https://gw:8443/x"),
        ] {
            check("", "", url, expected);
        }
    }

    #[test]
    fn the_host_that_was_asked_for_is_the_gateways_whatever_else_is_wrong() {
        for (url, expected) in [
            ("http://gw:8443/a", "https://gw:8443/a"),
            ("http://gw/a", "https://gw:8443/a"),
            ("http://gw:8080/a", "https://gw:8443/a"),
            ("https://gw:8443/a", "https://gw:8443/a"),
            ("http://gw:9999/a", "http://gw:9999/a"),
        ] {
            check("", "", url, expected);
        }
    }

    #[test]
    fn other_urls_stay() {
        for url in [
            "http://10.0.0.1/a",
            "https://10.0.0.1:8080/a",
            "http://10.0.0.1:8080.evil/a",
            "http://user@node2/a",
            "http://node2:x/a",
            "http://node2:99999/a",
            "http://node22/a",
            "ftp://node2/a",
            "/a",
            "node2",
            "",
            "http://",
            "urn:http://node2",
        ] {
            check("", "", url, url);
        }
    }

    #[test]
    fn prefixes_are_undone() {
        check("", "/ext", "http://node2/a", "https://gw:8443/ext/a");
        check("", "/ext", "http://node2", "https://gw:8443/ext");
        check("", "/ext", "http://gw/ext/a", "https://gw:8443/ext/a");
        check("", "/ext", "http://node2/ext/a", "https://gw:8443/ext/ext/a");
        check("/app", "", "http://node2/app/a", "https://gw:8443/a");
        check("/app", "", "http://node2/app?wsdl", "https://gw:8443/?wsdl");
        check("/app", "/ext", "http://node2/app/a", "https://gw:8443/ext/a");
        check("/app", "/ext", "http://node2/apple", "http://node2/apple");
    }

    #[test]
    fn what_cannot_stand_in_a_url_is_no_address() {
        for authority in ["", "a b", "a\"b", "h:1:2", "[::1", "h/", "h<", "h:65536", "é"] {
            assert_eq!(Origin::new(false, authority.as_bytes()), None, "{authority}");
        }
        for prefix in ["a", "//a", "/a b", "/a?b", "/<"] {
            assert!(Addresses::new(Vec::new(), Vec::new(), origin("http://h"), "", prefix).is_none(), "{prefix}");
        }
    }
}
