//! What no section can see alone: names and references.

use std::collections::HashMap;

use super::model::{Config, Node, Upstream};
use super::read::{Cx, nearest};

/// Checks across sections; problems go to `cx`.
pub fn check(config: &Config, cx: &mut Cx) {
    listeners(config, cx);
    routes(config, cx);
    if let Some(mcmp) = config.mcmp.as_ref().filter(|mcmp| mcmp.address.port() != 0) {
        let taken = config.listeners.iter().map(|listener| (listener.name.as_str(), listener.address));
        let mut taken = taken.chain(config.admin.address.map(|address| ("admin", address)));
        if let Some((name, _)) = taken.find(|(_, address)| *address == mcmp.address) {
            let message = format!("{name} listens on {} already; give each its own address", mcmp.address);
            cx.tell(mcmp.at, "mcmp.address", message);
        }
    }
    for (number, upstream) in config.upstreams.iter().enumerate() {
        nodes(upstream, cx);
        discovery(upstream, cx);
        group(upstream, &config.upstreams[..number], cx);
        request_ids(config, upstream, cx);
    }
}

fn listeners(config: &Config, cx: &mut Cx) {
    for (number, listener) in config.listeners.iter().enumerate() {
        for earlier in &config.listeners[..number] {
            if earlier.name == listener.name {
                let message = format!("{} is the name of an earlier listener; give each its own", listener.name);
                cx.tell(listener.at, format!("listeners[{number}]"), message);
            }
            if earlier.address.port() != 0 && earlier.address == listener.address {
                let message =
                    format!("{} listens on {} already; give each its own address", earlier.name, listener.address);
                cx.tell(listener.at, format!("listeners[{number}]"), message);
            }
        }
        if config.admin.address == Some(listener.address) && listener.address.port() != 0 {
            let message = format!("admin listens on {} too; give one of them another address", listener.address);
            cx.tell(listener.at, format!("listeners[{number}]"), message);
        }
    }
}

fn routes(config: &Config, cx: &mut Cx) {
    for (number, route) in config.routes.iter().enumerate() {
        let key = format!("routes[{number}].upstream");
        if config.upstream(&route.upstream).is_some() {
            continue;
        }
        // An upstream that could not be read at all is not missing.
        if config.upstreams.is_empty() {
            continue;
        }
        let names = config.upstreams.iter().map(|upstream| upstream.name.as_str());
        let message = match nearest(&route.upstream, names.clone()) {
            Some(near) => format!("there is no upstream {:?}; did you mean {near}?", route.upstream),
            None => format!(
                "there is no upstream {:?}; write one of {}",
                route.upstream,
                names.collect::<Vec<_>>().join(", ")
            ),
        };
        cx.tell(route.at, key, message);
    }
}

fn nodes(upstream: &Upstream, cx: &mut Cx) {
    let key = |number: usize| format!("upstreams.{}.nodes[{number}]", upstream.name);
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut urls: HashMap<String, &Node> = HashMap::new();
    for (number, node) in upstream.nodes.iter().enumerate() {
        if names.insert(&node.name, number).is_some() {
            let message = format!(
                "{} is the name of an earlier node; a node is known by its name, so give each its own",
                node.name
            );
            cx.tell(node.at, format!("{}.name", key(number)), message);
        }
        if let Some(earlier) = urls.insert(node.url.to_string(), node).filter(|earlier| earlier.name != node.name) {
            let message = format!("{} is the node {} already; write each server once", node.url, earlier.name);
            cx.tell(node.at, format!("{}.url", key(number)), message);
        }
    }
    for (number, node) in upstream.nodes.iter().enumerate() {
        let Some(successor) = &node.successor else { continue };
        let message = if *successor == node.name {
            "a node cannot take over from itself; name another one".to_owned()
        } else if names.contains_key(successor.as_str()) {
            continue;
        } else {
            match nearest(successor, names.keys().copied()) {
                Some(near) => format!("there is no node {successor:?} in this upstream; did you mean {near}?"),
                None => format!("there is no node {successor:?} in this upstream; name another of its nodes"),
            }
        };
        cx.tell(node.at, format!("{}.successor", key(number)), message);
    }
}

/// Sources are told apart by their labels.
fn discovery(upstream: &Upstream, cx: &mut Cx) {
    for (number, discovery) in upstream.discovery.iter().enumerate() {
        let label = discovery.source.label();
        if upstream.discovery[..number].iter().any(|earlier| earlier.source.label() == label) {
            let message = format!("{label} is a source of this upstream already; write each once");
            cx.tell(discovery.at, format!("upstreams.{}.discovery[{number}]", upstream.name), message);
        }
    }
}

/// Equal node names in one affinity group are one machine; so what names the machine must agree.
fn group(upstream: &Upstream, earlier: &[Upstream], cx: &mut Cx) {
    for other in earlier.iter().filter(|other| other.affinity_group == upstream.affinity_group) {
        for (number, node) in upstream.nodes.iter().enumerate() {
            let Some(twin) = other.node(&node.name) else { continue };
            if twin.url.host != node.url.host {
                let message = format!(
                    "{} is {} in upstream {} of the same affinity_group, where equal names are one machine; give it the same host, or another name",
                    node.name, twin.url.host, other.name
                );
                cx.tell(node.at, format!("upstreams.{}.nodes[{number}].url", upstream.name), message);
            }
        }
        if let (Some(a), Some(b)) = (&upstream.sticky, &other.sticky)
            && a.keys_per_conversation != b.keys_per_conversation
        {
            let message = format!(
                "{} here, {} in upstream {} of the same affinity_group, whose conversations are the same; write the same number",
                a.keys_per_conversation, b.keys_per_conversation, other.name
            );
            cx.tell(a.at, format!("upstreams.{}.sticky.keys_per_conversation", upstream.name), message);
        }
    }
}

/// What carries sessions is a credential; an id of a request is logged and told to anybody.
fn request_ids(config: &Config, upstream: &Upstream, cx: &mut Cx) {
    let (Some(ids), Some(sticky)) = (&config.request_id, &upstream.sticky) else { return };
    let read = sticky.rules.iter().flat_map(|rules| &rules.keys).flat_map(|key| &key.match_);
    for selector in read {
        let Some(field) = selector.at.text.trim().strip_prefix("http ").map(str::trim) else { continue };
        if ids.headers.iter().any(|header| header.eq_ignore_ascii_case(field)) {
            let message = format!(
                "a key is read from {field}, and ids of sessions are never logged; name another field, or write request_id: none"
            );
            cx.tell(sticky.at, "request_id.headers".to_owned(), message);
        }
    }
}
