//! `discovery:` of an upstream, and the lists of nodes that files give.

use super::names::NAME;
use super::node::{self, URL};
use super::{FLAG, listener};
use crate::config::forms::{ADDRESS, Checked, Count, NETWORK, Word, WritableFile, n16};
use crate::config::model::{Discovery, Dns, FoundNode, Mcmp, Scheme, Source};
use crate::config::read::Section;

const SCHEME: Word<Scheme> = Word(&[("http", Scheme::Http), ("https", Scheme::Https)]);
/// Letters of an identity at most: it stands in sealed cookies.
const IDENTITY_MAX: usize = 128;

/// What makes a node the same one.
pub const IDENTITY: Checked = Checked("letters, digits and signs without spaces", |text| {
    if text.is_empty() || text.len() > IDENTITY_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("an identity has 1 to {IDENTITY_MAX} letters of ASCII and no spaces"));
    }
    Ok(text.to_owned())
});

/// One source: a map of one key.
pub fn discovery(s: &mut Section) -> Option<Discovery> {
    let at = s.at;
    // It may appear later, so it need not be there yet.
    let file =
        s.optional("file", "A YAML or JSON list of nodes; a change is taken over.", WritableFile).map(Source::File);
    let dns = s.optional_with("dns", "Addresses or SRV records of a name.", |slot| slot.map(dns).flatten());
    let mcmp = s.optional_with("mcmp", "Nodes introduce themselves by the mod_cluster protocol.", |slot| {
        slot.map(|s| Source::Mcmp {
            balancer: s.optional("balancer", "Only those that want to belong to this balancer; default: all.", NAME),
        })
    });
    let register = s.optional_with("register", "Nodes announce themselves by the admin API.", |slot| {
        slot.map(|_| Source::Register)
    });
    if s.cx().describing() {
        return None;
    }
    const KEYS: [&str; 4] = ["file", "dns", "mcmp", "register"];
    let written: Vec<_> = KEYS.into_iter().filter(|key| s.place_of(key).is_some()).collect();
    match written.as_slice() {
        [] => s.cx().problem(at, format!("names no source; write one of {}", KEYS.join(", "))),
        [_] => {}
        [first, second, ..] => s.problem(second, format!("{first} is a source too; give each its own -")),
    }
    let source = file.or(dns.map(Source::Dns)).or(mcmp).or(register)?;
    Some(Discovery { at, source })
}

/// Where nodes introduce themselves. Whoever can speak there can take traffic.
pub fn mcmp(s: &mut Section) -> Option<Mcmp> {
    let at = s.at;
    let address = s.required("address", "Where it listens.", ADDRESS);
    let allow = s.many("allow", "Networks from where nodes may speak; default: this machine only.", NETWORK);
    let tls = s.optional_with(
        "tls",
        "TLS, as on listeners; with client_auth: required, only who shows a certificate.",
        listener::tls,
    );
    let use_alias = s.value("use_alias", "Whether the hosts of an application (Alias) have to fit.", FLAG, true);
    let mcmp = Mcmp { at, address: address?, allow, tls, use_alias };
    if !mcmp.address.ip().is_loopback() && mcmp.allow.is_empty() && !mcmp.wants_certificates() {
        s.problem(
            "address",
            "no node can speak from elsewhere; name their networks (allow: [10.0.0.0/8]), require client certificates, or listen on 127.0.0.1",
        );
    }
    Some(mcmp)
}

fn dns(s: &mut Section) -> Option<Dns> {
    let name = s.required("name", "The name; without port, one that has SRV records.", Checked("a name", dns_name));
    let port = s.optional("port", "Addresses of the name are nodes at this port.", n16(Count::to(65_535)));
    let scheme = s.value("scheme", "How nodes are spoken to.", SCHEME, Scheme::Http);
    let servers = s.many("servers", "Who is asked; default: whom the system asks.", ADDRESS);
    Some(Dns { name: name?, port, scheme, servers })
}

fn dns_name(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if text.is_empty() || text.len() > 253 || text.starts_with('.') || !text.chars().all(good) {
        return Err(format!("{text:?} is no name; write one such as orders.shop.svc.cluster.local"));
    }
    Ok(text.to_ascii_lowercase())
}

/// One node of a list.
pub fn found_node(s: &mut Section) -> Option<FoundNode> {
    let name = s.required("name", "Identifies the node.", NAME);
    let url = s.required("url", "Where it listens.", URL);
    let weight = s.value("weight", "Share of new conversations.", n16(node::WEIGHT), 1);
    let route = s.many("route", "Route tags that name this node.", crate::config::forms::AnyText);
    let group = s.optional("group", "Nodes of one group replicate among each other, or stand together.", NAME);
    let identity = s.optional("identity", "What makes it the same node, wherever it listens.", IDENTITY);
    let state = s.value("state", "The administrative state it starts in.", node::STATE, Default::default());
    Some(FoundNode { weight, route, group, identity, state, ..FoundNode::new(name?, url?) })
}
