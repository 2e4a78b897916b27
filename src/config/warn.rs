//! What is allowed, but perhaps not meant.

use super::model::{Config, Discovery, Route, Scheme, Source, Store, UnknownKey, Upstream};
use super::pending;
use super::places::Problem;
use super::presets;
use super::read::Cx;
use crate::session::spec::{Mark, Role};

/// All warnings about a configuration without problems.
pub fn warnings(config: &Config, cx: &Cx) -> Vec<Problem> {
    let mut out = Vec::new();
    let mut warn = |at: Mark, key: String, message: String| out.push(cx.places.problem(at, key, message));
    for upstream in &config.upstreams {
        route_tags(upstream, &mut warn);
        nobody_to_ask(upstream, &mut warn);
        if let Some(tls) = &upstream.tls
            && upstream.discovery.is_empty()
            && upstream.nodes.iter().all(|node| node.url.scheme == Scheme::Http)
        {
            let message =
                "is not used, for every node is spoken to in clear text; write https:// where nodes speak TLS";
            warn(tls.at, format!("upstreams.{}.tls", upstream.name), message.to_owned());
        }
        unused_places(upstream, &mut warn);
        let has_contexts = upstream.discovery.iter().any(|one| matches!(one.source, Source::Mcmp { .. }));
        if !has_contexts && !config.routes.iter().any(|route| route.upstream == upstream.name) {
            warn(upstream.at, format!("upstreams.{}", upstream.name), "no route leads here".to_owned());
        }
    }
    clear_text(config, &mut warn);
    unreachable(&config.routes, &mut warn);
    if config.affinity.store == Store::Memory && config.upstreams.iter().any(|upstream| upstream.sticky.is_some()) {
        let message = "memory: conversations do not survive a restart, and a second gateway does not know them";
        warn(Mark::default(), "affinity.store".to_owned(), message.to_owned());
    }
    mcmp(config, &mut warn);
    for (written, message) in pending::warnings(&cx.written) {
        warn(written.at, written.key, message);
    }
    out.sort();
    out
}

/// Who introduces itself, and who hears that.
fn mcmp(config: &Config, warn: Warn) {
    let find = |upstream: &Upstream| {
        let is_mcmp = |one: &&Discovery| matches!(one.source, Source::Mcmp { .. });
        upstream.discovery.iter().find(is_mcmp).map(|one| (one.at, format!("upstreams.{}.discovery", upstream.name)))
    };
    let source = config.upstreams.iter().find_map(find);
    match (&config.mcmp, source) {
        (None, Some((at, key))) => {
            let message = "nobody listens for nodes that introduce themselves; write mcmp: {address: \"127.0.0.1:6666\"} at the top level";
            warn(at, key, message.to_owned());
        }
        (Some(mcmp), None) => {
            let message = "nodes that introduce themselves are of no upstream; write discovery: [{mcmp: {}}] there";
            warn(mcmp.at, "mcmp".to_owned(), message.to_owned());
        }
        _ => {}
    }
    if let Some(mcmp) = config.mcmp.as_ref().filter(|mcmp| mcmp.tls.is_none() && !mcmp.address.ip().is_loopback()) {
        let message =
            "listens in clear text, and whoever can speak there can take traffic; set tls with client_auth: required";
        warn(mcmp.at, "mcmp".to_owned(), message.to_owned());
    }
}

type Warn<'w> = &'w mut dyn FnMut(Mark, String, String);

fn route_tags(upstream: &Upstream, warn: Warn) {
    let Some(sticky) = &upstream.sticky else { return };
    if upstream.nodes.iter().any(|node| !node.route.is_empty()) || !upstream.discovery.is_empty() {
        return;
    }
    // A value that answers teach needs no tag on any node.
    let reads =
        |rules: &&crate::session::spec::Rules| rules.keys.iter().any(|key| key.as_ == Role::Route && !key.learn_route);
    let names: Vec<_> = sticky.rules.iter().filter(reads).map(|rules| rules.name.as_str()).collect();
    if let Some((first, others)) = names.split_first() {
        let others = if others.is_empty() { String::new() } else { format!(" (and {} more)", others.len()) };
        let message = format!(
            "{first}{others} reads route tags, but no node has a route; where nodes put their name into ids (jvmRoute), write it as route: on each node"
        );
        warn(sticky.at, format!("upstreams.{}.sticky", upstream.name), message);
    }
}

/// `rewrite_url` of an upstream's own rules does nothing by itself. (Presets name such places for whoever rewrites.)
fn unused_places(upstream: &Upstream, warn: Warn) {
    let Some(sticky) = &upstream.sticky else { return };
    let is_own = |rules: &&crate::session::spec::Rules| presets::find(&rules.name).is_none();
    let Some(place) = sticky.rules.iter().filter(is_own).find_map(|rules| rules.rewrite_url.first()) else { return };
    let message = match &upstream.rewrite {
        Some(rewrite) if rewrite.epr => return,
        Some(_) => "is not used, because rewrite.epr is false",
        None => "is not used, because nothing is rewritten here; add rewrite: {} to the upstream",
    };
    warn(place.at, format!("upstreams.{}.sticky.rewrite_url", upstream.name), message.to_owned());
}

fn nobody_to_ask(upstream: &Upstream, warn: Warn) {
    let Some(sticky) = &upstream.sticky else { return };
    let says = |rules: &crate::session::spec::Rules| rules.lost.iter().any(|condition| condition.not_executed);
    if sticky.unknown_key == UnknownKey::AskNodes && !sticky.rules.iter().any(says) {
        let message = "ask_nodes asks nobody: no rule says how a node that does not know a session refuses before it executes \
                       anything; write lost: [{fault: ..., not_executed: true}], or balance";
        warn(sticky.at, format!("upstreams.{}.sticky.unknown_key", upstream.name), message.to_owned());
    }
}

fn clear_text(config: &Config, warn: Warn) {
    let carries =
        |rules: &&crate::session::spec::Rules| presets::find(&rules.name).is_some_and(|preset| preset.credentials);
    let sticky = config.upstreams.iter().filter_map(|upstream| upstream.sticky.as_ref());
    let Some(preset) = sticky.flat_map(|sticky| &sticky.rules).find(carries) else { return };
    for (number, listener) in config.listeners.iter().enumerate() {
        // What only this machine can reach is not overheard.
        if listener.tls.is_none() && !listener.address.ip().is_loopback() {
            let message = format!(
                "listens in clear text, and who reads an id of {} on the way may act as its client; set tls, or let only a TLS proxy reach it",
                preset.name
            );
            warn(listener.at, format!("listeners[{number}]"), message);
        }
    }
}

/// Routes behind one that matches everything they match.
fn unreachable(routes: &[Route], warn: Warn) {
    let wider = |wide: &Option<String>, narrow: &Option<String>| match (wide.as_deref(), narrow.as_deref()) {
        (None | Some("*"), _) => true,
        (Some("/*"), Some(path)) => path.starts_with('/'),
        (wide, narrow) => wide == narrow,
    };
    for (number, route) in routes.iter().enumerate() {
        let cover = routes[..number].iter().position(|earlier| {
            wider(&earlier.host, &route.host)
                && wider(&earlier.path, &route.path)
                && wider(&earlier.operation, &route.operation)
        });
        if let Some(cover) = cover {
            let message =
                format!("never matches, because routes[{cover}] takes all its requests; put it before that one");
            warn(route.at, format!("routes[{number}]"), message);
        }
    }
}
