//! What no section can see alone: names, references, and whether the rules are any.

use std::collections::HashMap;

use super::model::{Config, Node, Upstream};
use super::read::{Cx, nearest};
use crate::session::RuleSet;
use crate::session::spec::{Mark, Ttl};
use crate::soap::Prefixes;

/// Checks across sections; problems go to `cx`.
pub fn check(config: &Config, cx: &mut Cx) {
    listeners(config, cx);
    routes(config, cx);
    for (number, upstream) in config.upstreams.iter().enumerate() {
        nodes(upstream, cx);
        group(upstream, &config.upstreams[..number], cx);
        rules(upstream, cx);
    }
}

fn tell(cx: &mut Cx, at: Mark, key: impl Into<String>, message: String) {
    let problem = cx.places.problem(at, key, message);
    cx.problems.push(problem);
}

fn listeners(config: &Config, cx: &mut Cx) {
    for (number, listener) in config.listeners.iter().enumerate() {
        for earlier in &config.listeners[..number] {
            if earlier.name == listener.name {
                let message = format!("{} is the name of an earlier listener; give each its own", listener.name);
                tell(cx, listener.at, format!("listeners[{number}]"), message);
            }
            if earlier.address.port() != 0 && earlier.address == listener.address {
                let message =
                    format!("{} listens on {} already; give each its own address", earlier.name, listener.address);
                tell(cx, listener.at, format!("listeners[{number}]"), message);
            }
        }
        if config.admin.address == Some(listener.address) && listener.address.port() != 0 {
            let message = format!("admin listens on {} too; give one of them another address", listener.address);
            tell(cx, listener.at, format!("listeners[{number}]"), message);
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
        tell(cx, route.at, key, message);
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
            tell(cx, node.at, format!("{}.name", key(number)), message);
        }
        if let Some(earlier) = urls.insert(node.url.to_string(), node).filter(|earlier| earlier.name != node.name) {
            let message = format!("{} is the node {} already; write each server once", node.url, earlier.name);
            tell(cx, node.at, format!("{}.url", key(number)), message);
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
        tell(cx, node.at, format!("{}.successor", key(number)), message);
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
                tell(cx, node.at, format!("upstreams.{}.nodes[{number}].url", upstream.name), message);
            }
        }
        if let (Some(a), Some(b)) = (&upstream.sticky, &other.sticky)
            && a.keys_per_conversation != b.keys_per_conversation
        {
            let message = format!(
                "{} here, {} in upstream {} of the same affinity_group, whose conversations are the same; write the same number",
                a.keys_per_conversation, b.keys_per_conversation, other.name
            );
            tell(cx, a.at, format!("upstreams.{}.sticky.keys_per_conversation", upstream.name), message);
        }
    }
}

fn rules(upstream: &Upstream, cx: &mut Cx) {
    let Some(sticky) = &upstream.sticky else { return };
    let keys = || sticky.rules.iter().flat_map(|rules| &rules.keys).map(|key| key.key.text.as_str());
    let conditions = sticky.rules.iter().flat_map(|rules| rules.end.iter().chain(&rules.lost));
    for replaced in conditions.filter_map(|condition| condition.replaced.as_ref()) {
        if !keys().any(|key| key == replaced.text) {
            let near =
                nearest(&replaced.text, keys()).map_or_else(String::new, |near| format!("did you mean {near}? "));
            let message = format!("there is no key {:?}; {near}name a key of these rules", replaced.text);
            tell(cx, replaced.at, cx.kept_key(replaced.at), message);
        }
    }
    let ttl = Ttl { idle: sticky.ttl.idle, max: sticky.ttl.max, linger: sticky.ttl.linger, from: None };
    if let Err(problems) = RuleSet::compile(&sticky.rules, &Prefixes::new(), &ttl) {
        for (mark, message) in problems {
            let key = cx.kept_key(mark);
            let key = if key.is_empty() { format!("upstreams.{}.sticky", upstream.name) } else { key };
            tell(cx, mark, key, message);
        }
    }
}
