//! The sealed cookie of an upstream: what requests carry of it, and what answers set.

use std::sync::atomic::Ordering::Relaxed;

use crate::config::model::{self, SameSite, Secure};
use crate::head::{Fields, Name, cookie};
use crate::session::{Seal, SealNonce, SealedNode};
use crate::upstream::{NodeId, NodeSet, UpstreamEvents};

/// So many cookies of the name are opened; a client that sends more sends no good ones.
const COOKIES_MAX: usize = 4;
/// Stands for a node that the upstream has no longer.
const NOBODY: NodeId = NodeId(u32::MAX);

/// The sealed cookie of an upstream.
#[derive(Debug)]
pub struct SealedCookie {
    config: model::SealedCookie,
    seal: Seal,
}

/// What a request carries of the cookie.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Carried {
    /// The name of the node that all good ones name.
    pub node: Option<String>,
    /// Whether it is to be set anew: sealed with an older key, or half of its time is over.
    pub renew: bool,
    /// How many were forged, altered, or sealed for others.
    pub invalid: usize,
    /// How many were good once.
    pub expired: usize,
    /// Good ones name different nodes, or there are too many: none counts.
    pub conflict: bool,
}

impl SealedCookie {
    /// The cookie as configured, for the nodes of this affinity group.
    pub fn new(config: &model::SealedCookie, group: &str) -> Self {
        let seal = Seal::new(config.keys.iter().map(model::Secret::reveal), group, &config.name);
        Self { config: config.clone(), seal }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// What the fields of a request carry of it. `now_unix` in seconds since 1970.
    pub fn read(&self, fields: &Fields, now_unix: u64) -> Carried {
        let mut carried = Carried::default();
        let own = cookie::request_cookies(fields).filter(|(name, _)| *name == self.config.name.as_bytes());
        for (index, (_, value)) in own.enumerate() {
            carried.conflict |= index >= COOKIES_MAX;
            if carried.conflict {
                break;
            }
            let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
            match self.seal.open(value) {
                None => carried.invalid += 1,
                Some(sealed) if sealed.until <= now_unix => carried.expired += 1,
                Some(sealed) => {
                    let left = sealed.until - now_unix;
                    let renew = !sealed.is_current || left <= self.config.ttl.as_secs() / 2;
                    carried.conflict |= carried.node.as_ref().is_some_and(|node| *node != sealed.node);
                    carried.renew |= renew;
                    carried.node = Some(sealed.node);
                }
            }
        }
        if carried.conflict {
            carried.node = None;
        }
        carried
    }

    /// The node that a request names by it, counted.
    pub fn node(&self, fields: &Fields, nodes: &NodeSet, events: &UpstreamEvents, now_unix: u64) -> Option<SealedNode> {
        let carried = self.read(fields, now_unix);
        events.cookies_invalid.fetch_add(carried.invalid as u64, Relaxed);
        events.cookies_expired.fetch_add(carried.expired as u64, Relaxed);
        events.cookies_in_conflict.fetch_add(carried.conflict.into(), Relaxed);
        let name = carried.node?;
        let node = nodes.nodes().iter().find(|node| **node.live.full_name() == *name).map_or(NOBODY, |node| node.id);
        Some(SealedNode { node, renew: carried.renew })
    }

    /// Takes it out of the fields for a node. The other cookies stay as they are.
    pub fn strip(&self, fields: &mut Fields) {
        fields.change_known(Name::Cookie, |line| cookie::without(line, self.config.name.as_bytes()));
    }

    /// The value of `Set-Cookie` that names this node from now on; `is_tls`: the client came by TLS.
    pub fn set(&self, node: &str, is_tls: bool, now_unix: u64, nonce: SealNonce) -> Option<String> {
        let ttl = self.config.ttl.as_secs();
        let value = self.seal.seal(node, now_unix.saturating_add(ttl), nonce)?;
        let age = self.config.persistent.then_some(ttl);
        Some(self.line(&value, age, is_tls))
    }

    /// The value of `Set-Cookie` that takes it away.
    pub fn remove(&self, is_tls: bool) -> String {
        self.line("", Some(0), is_tls)
    }

    fn line(&self, value: &str, age: Option<u64>, is_tls: bool) -> String {
        let config = &self.config;
        let mut line = format!("{}={value}; Path={}", config.name, config.path);
        if let Some(domain) = &config.domain {
            line += &format!("; Domain={domain}");
        }
        if let Some(age) = age {
            line += &format!("; Max-Age={age}");
        }
        if config.secure == Secure::Always || (config.secure == Secure::Auto && is_tls) {
            line += "; Secure";
        }
        if config.http_only {
            line += "; HttpOnly";
        }
        line + match config.same_site {
            None => "",
            Some(SameSite::Strict) => "; SameSite=Strict",
            Some(SameSite::Lax) => "; SameSite=Lax",
            Some(SameSite::None) => "; SameSite=None",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn cookie(keys: &[&str]) -> SealedCookie {
        let keys = keys.iter().map(|key| model::Secret::new(format!("{key} and what else it takes to be long")));
        let config = model::SealedCookie {
            name: "C".to_owned(),
            keys: keys.collect(),
            ttl: Duration::from_secs(100),
            ..model::SealedCookie::default()
        };
        SealedCookie::new(&config, "g")
    }

    fn sealed(by: &SealedCookie, node: &str, at: u64) -> String {
        let line = by.set(node, false, at, [3; 12]).expect("there is a key");
        line.split(';').next().map(|pair| pair[2..].to_owned()).unwrap_or_default()
    }

    /// `node[!] invalid expired conflict` of what a request with these cookies carries.
    fn check(keys: &[&str], cookies: &[&str], now: u64, expected: &str) {
        let mut fields = Fields::default();
        let pairs: Vec<_> = cookies.iter().map(|value| format!("C={value}")).collect();
        fields.push(b"Cookie", format!("a=b; {}", pairs.join("; ")).as_bytes());
        let carried = cookie(keys).read(&fields, now);
        let node = carried.node.map_or_else(|| "-".to_owned(), |node| node + if carried.renew { "!" } else { "" });
        let told = format!("{node} {} {} {}", carried.invalid, carried.expired, carried.conflict);
        assert_eq!(told, expected, "{cookies:?} at {now}");
    }

    #[test]
    fn of_several_cookies_the_good_ones_must_agree() {
        let (own, other) = (cookie(&["one"]), cookie(&["two"]));
        let (n1, n2, foreign) = (sealed(&own, "n1", 0), sealed(&own, "n2", 0), sealed(&other, "n1", 0));
        let key = &["one"][..];
        check(key, &[], 1, "- 0 0 false");
        check(key, &[&n1], 1, "n1 0 0 false");
        check(key, &[&format!("\"{n1}\"")], 1, "n1 0 0 false");
        check(key, &[&n1], 49, "n1 0 0 false");
        check(key, &[&n1], 50, "n1! 0 0 false");
        check(key, &[&n1], 99, "n1! 0 0 false");
        check(key, &[&n1], 100, "- 0 1 false");
        check(key, &["n1"], 1, "- 1 0 false");
        check(key, &[&foreign, &n1], 1, "n1 1 0 false");
        check(key, &[&n1, &n1], 1, "n1 0 0 false");
        check(key, &[&n1, &n2], 1, "- 0 0 true");
        check(key, &[&n2, &n1], 1, "- 0 0 true");
        check(key, &["x", "x", "x", &n1], 1, "n1 3 0 false");
        check(key, &["x", "x", "x", "x", &n1], 1, "- 4 0 true");
        check(&["two", "one"], &[&n1], 1, "n1! 0 0 false");
        check(&["two"], &[&n1], 1, "- 1 0 false");
    }

    #[test]
    fn attributes_are_as_configured() {
        let line = |config: model::SealedCookie, is_tls| {
            let config = model::SealedCookie { name: "C".to_owned(), keys: vec![model::Secret::new("k")], ..config };
            let line = SealedCookie::new(&config, "g").set("n", is_tls, 0, [0; 12]).expect("there is a key");
            line.split_once("; ").expect("attributes").1.to_owned()
        };
        let usual = model::SealedCookie::default;
        assert_eq!(line(usual(), false), "Path=/; HttpOnly");
        assert_eq!(line(usual(), true), "Path=/; Secure; HttpOnly");
        let all = model::SealedCookie {
            path: "/shop".to_owned(),
            domain: Some("example.com".to_owned()),
            secure: Secure::Always,
            http_only: false,
            same_site: Some(SameSite::Lax),
            persistent: true,
            ttl: Duration::from_secs(60),
            ..usual()
        };
        assert_eq!(line(all, false), "Path=/shop; Domain=example.com; Max-Age=60; Secure; SameSite=Lax");
        assert_eq!(line(model::SealedCookie { secure: Secure::Never, ..usual() }, true), "Path=/; HttpOnly");
        assert_eq!(cookie(&["one"]).remove(false), "C=; Path=/; Max-Age=0; HttpOnly");
    }
}
