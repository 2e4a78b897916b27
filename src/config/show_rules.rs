//! The rules of a preset as they would be written: only what is said, nothing that is the default.

use super::presets::Preset;
use super::show::Shown;
use super::units::show_duration;
use crate::session::spec::{Condition, Connection, Key, Only, Role, Rules, Scope, Selector, Text, Transform, Ttl};

type Entries = Vec<(String, Shown)>;

/// A preset with `extends` resolved, and the prefixes that its paths use.
pub fn preset(preset: &Preset) -> Shown {
    let rules = &preset.rules;
    let mut out = Entries::new();
    only(&rules.only, &mut out);
    namespaces(rules, &mut out);
    list("keys", rules.keys.iter().map(key), &mut out);
    list("end", rules.end.iter().map(condition), &mut out);
    list("lost", rules.lost.iter().map(condition), &mut out);
    ttl(&rules.ttl, &mut out);
    list("rewrite_url", rules.rewrite_url.iter().map(text), &mut out);
    list("strip_request_headers", rules.strip_request_headers.iter().map(text), &mut out);
    if let Some(connection) = rules.connection {
        let word = match connection {
            Connection::Shared => "shared",
            Connection::PerClient => "per_client",
        };
        out.push(("upstream".to_owned(), Shown::Map(vec![("connection".to_owned(), plain(word))])));
    }
    Shown::Map(out)
}

fn plain(text: &str) -> Shown {
    Shown::Plain(text.to_owned())
}

fn text(text: &Text) -> Shown {
    Shown::Text(text.text.clone())
}

fn put(key: &str, value: Shown, out: &mut Entries) {
    out.push((key.to_owned(), value));
}

fn list(key: &str, items: impl Iterator<Item = Shown>, out: &mut Entries) {
    let items: Vec<_> = items.collect();
    if !items.is_empty() {
        put(key, Shown::List(items), out);
    }
}

/// A list, or its only item.
fn some(key: &str, items: impl Iterator<Item = Shown>, out: &mut Entries) {
    let mut items: Vec<_> = items.collect();
    match items.len() {
        0 => {}
        1 => put(key, items.remove(0), out),
        _ => put(key, Shown::List(items), out),
    }
}

fn texts(entries: &[(&str, &Option<Text>)], out: &mut Entries) {
    for (key, value) in entries {
        if let Some(value) = value {
            put(key, text(value), out);
        }
    }
}

fn only(only: &Only, out: &mut Entries) {
    let mut inner = Entries::new();
    texts(&[("host", &only.host), ("path", &only.path), ("action", &only.action)], &mut inner);
    if !inner.is_empty() {
        put("only", Shown::Map(inner), out);
    }
}

/// The prefixes that some selector uses, built-in ones included, so that what is printed says all.
fn namespaces(rules: &Rules, out: &mut Entries) {
    let keys = rules.keys.iter().flat_map(|key| key.learn.iter().chain(&key.match_).chain(&key.learn_outbound));
    let conditions = rules.end.iter().chain(&rules.lost).flat_map(|c| c.request.iter().chain(&c.response));
    let selectors = keys.chain(conditions).map(|selector| selector.at.text.as_str());
    let places = rules.rewrite_url.iter().chain(&rules.ttl.from).map(|text| text.text.as_str());
    let used: Vec<&str> = selectors.chain(places).collect();
    let mut inner = Entries::new();
    for (prefix, uris) in &rules.namespaces {
        if used.iter().any(|place| uses(place, prefix)) {
            let mut uris: Vec<_> = uris.iter().map(|uri| Shown::Text(uri.clone())).collect();
            let value = if uris.len() == 1 { uris.remove(0) } else { Shown::List(uris) };
            inner.push((prefix.clone(), value));
        }
    }
    if !inner.is_empty() {
        put("namespaces", Shown::Map(inner), out);
    }
}

fn uses(place: &str, prefix: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    place
        .match_indices(prefix)
        .any(|(at, _)| place[at + prefix.len()..].starts_with(':') && !place[..at].ends_with(is_name))
}

fn key(key: &Key) -> Shown {
    let mut out = vec![("key".to_owned(), text(&key.key))];
    let role = match key.as_ {
        Role::Pin => None,
        Role::Route => Some("route"),
        Role::Weak => Some("weak"),
        Role::Hash => Some("hash"),
    };
    out.extend(role.map(|role| ("as".to_owned(), plain(role))));
    let scope = match key.scope {
        Scope::Group => None,
        Scope::ClientIp => Some("client_ip"),
        Scope::Host => Some("host"),
    };
    out.extend(scope.map(|scope| ("scope".to_owned(), plain(scope))));
    flags(&[("client_issued", key.client_issued), ("learn_route", key.learn_route)], &mut out);
    some("via", key.via.iter().map(transform), &mut out);
    some("learn", key.learn.iter().map(selector), &mut out);
    some("match", key.match_.iter().map(selector), &mut out);
    some("learn_outbound", key.learn_outbound.iter().map(selector), &mut out);
    list("ignore", key.ignore.iter().map(|text| Shown::Text(text.clone())), &mut out);
    Shown::Map(out)
}

fn flags(flags: &[(&str, bool)], out: &mut Entries) {
    for (key, _) in flags.iter().filter(|(_, set)| *set) {
        put(key, plain("true"), out);
    }
}

fn selector(selector: &Selector) -> Shown {
    if selector.via.is_empty() && selector.is.is_none() {
        return text(&selector.at);
    }
    let mut out = vec![("at".to_owned(), text(&selector.at))];
    some("via", selector.via.iter().map(transform), &mut out);
    texts(&[("is", &selector.is)], &mut out);
    Shown::Map(out)
}

fn transform(transform: &Transform) -> Shown {
    match transform {
        Transform::Regex(regex) => Shown::Map(vec![("regex".to_owned(), text(regex))]),
        Transform::Lower => plain("lower"),
        Transform::Unquote => plain("unquote"),
        Transform::UrlDecode => plain("url_decode"),
        Transform::Base64Decode => plain("base64_decode"),
    }
}

fn condition(condition: &Condition) -> Shown {
    let mut out = Entries::new();
    some("request", condition.request.iter().map(selector), &mut out);
    some("response", condition.response.iter().map(selector), &mut out);
    texts(&[("action", &condition.action)], &mut out);
    some("status", condition.status.iter().map(|status| Shown::Plain(status.to_string())), &mut out);
    texts(&[("fault", &condition.fault), ("cookie_deleted", &condition.cookie_deleted)], &mut out);
    flags(&[("moved", condition.moved)], &mut out);
    texts(&[("replaced", &condition.replaced)], &mut out);
    flags(&[("not_executed", condition.not_executed)], &mut out);
    Shown::Map(out)
}

fn ttl(ttl: &Ttl, out: &mut Entries) {
    let mut inner = Entries::new();
    inner.extend(ttl.idle.map(|time| ("idle".to_owned(), Shown::Plain(show_duration(time)))));
    let max = ttl.max.map(|max| max.map_or_else(|| "none".to_owned(), show_duration));
    inner.extend(max.map(|max| ("max".to_owned(), Shown::Plain(max))));
    inner.extend(ttl.linger.map(|time| ("linger".to_owned(), Shown::Plain(show_duration(time)))));
    texts(&[("from", &ttl.from)], &mut inner);
    if !inner.is_empty() {
        put("ttl", Shown::Map(inner), out);
    }
}
