//! `discovery:` of an upstream, and the lists of nodes that files give.

use super::names::NAME;
use super::node::{self, URL};
use crate::config::forms::{ADDRESS, Checked, Count, Word, WritableFile, n16};
use crate::config::model::{Discovery, Dns, FoundNode, Scheme, Source};
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
    let register = s.optional_with("register", "Nodes announce themselves by the admin API.", |slot| {
        slot.map(|_| Source::Register)
    });
    if s.cx().describing() {
        return None;
    }
    const KEYS: [&str; 3] = ["file", "dns", "register"];
    let written: Vec<_> = KEYS.into_iter().filter(|key| s.place_of(key).is_some()).collect();
    match written.as_slice() {
        [] => s.cx().problem(at, format!("names no source; write one of {}", KEYS.join(", "))),
        [_] => {}
        [first, second, ..] => s.problem(second, format!("{first} is a source too; give each its own -")),
    }
    let source = file.or(dns.map(Source::Dns)).or(register)?;
    Some(Discovery { at, source })
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
