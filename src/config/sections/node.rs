//! `nodes:` of an upstream.

use super::names::NAME;
use crate::config::forms::{AnyText, Count, Parsed, Word, n16};
use crate::config::model::{AdminState, Node, NodeUrl, Scheme};
use crate::config::read::Section;

/// Administrative states.
pub const STATE: Word<AdminState> =
    Word(&[("ready", AdminState::Ready), ("drain", AdminState::Drain), ("maint", AdminState::Maint)]);

/// A share of new conversations.
pub const WEIGHT: Count = Count { min: 1, max: 256, below: "takes no traffic; use drain, or a weight of 1 to 256" };

/// `http://host:port`.
pub const URL: Parsed<NodeUrl> = Parsed("a URL such as http://10.0.0.11:8080", url, NodeUrl::to_string);

/// One node. Whether its successor exists is checked when all are known.
pub fn node(s: &mut Section) -> Option<Node> {
    let at = s.at;
    let name =
        s.required("name", "Identifies the node, also across reloads and upstreams of one affinity group.", NAME);
    let url = s.required("url", "Where it listens.", URL);
    let weight = s.value("weight", "Share of new conversations.", n16(WEIGHT), 1);
    let route = s.many("route", "Route tags (jvmRoute, clone id) that name this node.", AnyText);
    let group = s.optional("group", "Nodes of one group replicate among each other, or stand together.", NAME);
    let successor = s.optional("successor", "Name of the node that takes over its conversations first.", NAME);
    let state = s.value("state", "The administrative state it starts in.", STATE, AdminState::Ready);
    Some(Node { at, name: name?, url: url?, weight, route, group, successor, state, found: None })
}

/// Reads the URL of a node.
///
/// # Errors
/// What no node can have: another scheme, credentials, a path, a query.
fn url(text: &str) -> Result<NodeUrl, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(format!("{text:?} has no scheme; write http://{text} or https://{text}"));
    };
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return Err(format!("nodes cannot be spoken to by {scheme}; write http:// or https://")),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if !matches!(path, "" | "/") {
        let url = &text[..text.len() - path.len()];
        return Err(if path.starts_with('/') && !path.contains(['?', '#']) {
            format!("{path} is a path, which a node does not have; write {url}, and add_prefix: {path} on the route")
        } else {
            format!("{path} does not belong to a node; write {url}")
        });
    }
    if authority.contains('@') {
        // What stands there is a password, so it is not repeated.
        return Err("a user and password do not belong into a node's URL; leave them out".to_owned());
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) =
                rest.split_once(']').ok_or_else(|| format!("{text}: ] is missing behind the address"))?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(format!("{host:?} is no IPv6 address; write http://[::1]:8080"));
            }
            (host, port)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    if host.is_empty() || !host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:".contains(c)) {
        return Err(format!("{text:?} names no host; write http://HOST:PORT"));
    }
    let port = match port.strip_prefix(':') {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok().filter(|port| *port != 0),
        Some(_) => None,
        None if !port.is_empty() => None,
        None if scheme == Scheme::Http => Some(80),
        None => Some(443),
    };
    let port = port.ok_or_else(|| format!("{text}: the port is no number of 1 to 65535"))?;
    Ok(NodeUrl { scheme, host: host.to_ascii_lowercase(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_a_scheme_a_host_and_a_port() {
        for (text, shown) in [
            ("http://10.0.0.11:8080", "http://10.0.0.11:8080"),
            ("https://Orders.example.com", "https://orders.example.com:443"),
            ("HTTP://a/", "http://a:80"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://my_host-1", "http://my_host-1:80"),
        ] {
            assert_eq!(url(text).map(|url| url.to_string()), Ok(shown.to_owned()), "{text}");
        }
    }

    #[test]
    fn whatever_else_a_url_holds_is_refused() {
        for (text, part) in [
            ("orders:8080", "write http://orders:8080"),
            ("ftp://a", "write http:// or https://"),
            ("http://", "names no host"),
            ("http://:80", "names no host"),
            ("http://a b:80", "names no host"),
            ("http://a:0", "1 to 65535"),
            ("http://a:65536", "1 to 65535"),
            ("http://a:+80", "1 to 65535"),
            ("http://a:", "1 to 65535"),
            ("http://a:80/app", "write http://a:80, and add_prefix: /app on the route"),
            ("http://a?wsdl", "write http://a"),
            ("http://u:secret@a", "do not belong"),
            ("http://[::1", "] is missing"),
            ("http://[x]:1", "no IPv6"),
            ("http://[::1]8080", "1 to 65535"),
        ] {
            let message = url(text).expect_err(text);
            assert!(message.contains(part) && !message.contains("secret"), "{text}: {message}");
        }
    }
}
