//! Conversations as the API shows, moves and unbinds them.
//!
//! | request | role | answer |
//! |---|---|---|
//! | `GET /v1/conversations?FILTER&limit=N&after=CURSOR` | read | a page of them |
//! | `GET /v1/conversations/FINGERPRINT` | read | one, by any of its keys |
//! | `POST /v1/conversations/FINGERPRINT/move?to=NODE` | operate | what was done |
//! | `POST /v1/conversations/FINGERPRINT/unbind` | operate | what was done |
//! | `POST /v1/conversations/move?to=NODE&FILTER&after=CURSOR` | operate | what was done so far |
//! | `POST /v1/conversations/unbind?FILTER&after=CURSOR` | operate | what was done so far |
//!
//! `FILTER` is any of `upstream`, `node` (`[UPSTREAM/]NODE`), `key` (a key's name), `age` and `idle` (durations: longer than that).
//! Instead of a filter, `id` names conversations by fingerprints of their keys.
//! A request looks at a bounded part of the table and tells in `next` where to go on. No answer names a session id.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::audited::Story;
use crate::affinity::{Conversation, Now, Operated, Seen, Standing};
use crate::config::model::Role;
use crate::config::units;
use crate::gateway::{Gateway, Snapshot};
use crate::session::{Fingerprint, NameTag};
use crate::upstream::{Admin, Live, NodeId};

/// Places of the table that one request looks at: a few milliseconds of the control plane.
const PLACES_PER_REQUEST: u32 = 10_000;
/// Conversations on a page, unless `limit` says otherwise.
const LIMIT: usize = 100;
/// And at most.
const LIMIT_MAX: usize = 1000;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    List,
    Show(Fingerprint),
    Move(Option<Fingerprint>),
    Unbind(Option<Fingerprint>),
}

/// What is answered instead of what was asked for.
type Refused = (StatusCode, String);

/// Reads the path below `/v1/conversations`.
pub fn asked(parts: &[&str]) -> Option<(Asked, Method, Role)> {
    let (asked, changes) = match parts {
        [] => (Asked::List, false),
        ["move"] => (Asked::Move(None), true),
        ["unbind"] => (Asked::Unbind(None), true),
        [print] => (Asked::Show(fingerprint(print)?), false),
        [print, "move"] => (Asked::Move(Some(fingerprint(print)?)), true),
        [print, "unbind"] => (Asked::Unbind(Some(fingerprint(print)?)), true),
        _ => return None,
    };
    Some(if changes { (asked, Method::POST, Role::Operate) } else { (asked, Method::GET, Role::Read) })
}

fn fingerprint(text: &str) -> Option<Fingerprint> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(text, 16).ok().map(Fingerprint)).flatten()
}

/// Does what is asked for. `story` hears which conversations were changed, and what became of them.
///
/// # Errors
/// A status and a sentence.
pub fn answer(gateway: &Gateway, asked: Asked, query: &str, story: &mut Story) -> Result<Value, Refused> {
    let desk = Desk { gateway, snapshot: &gateway.snapshot(), now: gateway.now() };
    let meant = query;
    let query = Query::read(query)?;
    match asked {
        Asked::List => desk.list(&query),
        Asked::Show(print) => desk.find(print).map(|(_, seen)| json!(desk.view(&seen))),
        Asked::Move(print) => {
            let to = desk.target(query.get("to").ok_or_else(|| bad("say where: to=NODE"))?)?;
            let target = json!({"to": &**to.name(), "health": super::nodes::health_text(to.health())});
            let act = |conversation: &Arc<Conversation>, seen: &Seen| {
                if !desk.is_in_group(seen.node, &to) {
                    return Err(conflict(&format!("node {} is not of this conversation's affinity group", to.name())));
                }
                let operated = gateway.affinity.relocate(conversation, to.id(), desk.now);
                operated.ok_or_else(|| conflict("the conversation is over; it cannot move"))
            };
            let before = desk.told(print, meant);
            let done = desk.change(print, &query, act, |operated| operated.from != to.id())?;
            story.changed(before, format!("{} moved to {}", done["changed"], to.name()));
            Ok(merged(done, target))
        }
        Asked::Unbind(print) => {
            let act = |conversation: &Arc<Conversation>, _: &Seen| {
                gateway.affinity.unbind(conversation).ok_or_else(|| conflict("the conversation is over"))
            };
            let before = desk.told(print, meant);
            let done = desk.change(print, &query, act, |_| true)?;
            story.changed(before, format!("{} unbound", done["changed"]));
            Ok(done)
        }
    }
}

/// What one request works with.
struct Desk<'a> {
    gateway: &'a Gateway,
    snapshot: &'a Snapshot,
    now: Now,
}

/// One conversation.
#[derive(Debug, Serialize)]
struct View {
    /// The fingerprint of its oldest key: its name in this API.
    id: String,
    node: Option<String>,
    affinity_group: Option<String>,
    /// `reserved`, `live`, `lingering` or `lost`.
    state: &'static str,
    age_ms: u64,
    idle_ms: u64,
    /// `null` = it does not expire by itself: requests are in flight, or it has no end.
    expires_in_ms: Option<u64>,
    requests: u32,
    confirmed: bool,
    keys: Vec<KeyView>,
}

#[derive(Debug, Serialize)]
struct KeyView {
    /// `null` where no rule of the present configuration has that name.
    name: Option<String>,
    fingerprint: String,
}

impl Desk<'_> {
    fn list(&self, query: &Query<'_>) -> Result<Value, Refused> {
        let filter = Filter::read(self, query)?;
        let limit = query.number("limit")?.map_or(LIMIT, |limit| limit as usize).clamp(1, LIMIT_MAX);
        let names = self.key_names();
        let mut found = Vec::new();
        let mut prints = query.all("id").peekable();
        if prints.peek().is_some() {
            let mut places = Vec::new();
            for text in prints {
                let print = fingerprint(text).ok_or_else(|| bad("id is a fingerprint: 32 hex digits"))?;
                if let Ok((_, seen)) = self.find(print)
                    && !places.contains(&seen.place)
                {
                    places.push(seen.place);
                    found.push(self.view_with(&seen, &names));
                }
            }
            return Ok(json!({"conversations": found, "next": null}));
        }
        let next = self.walk(query, |_, seen| {
            if filter.takes(&seen, self.now) {
                found.push(self.view_with(&seen, &names));
            }
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(json!({"conversations": found, "next": next}))
    }

    /// Which conversations a change is about, for the audit stream: one and its node, or those that a query means.
    fn told(&self, print: Option<Fingerprint>, query: &str) -> String {
        let Some(print) = print else { return format!("conversations of {query}") };
        let seen = self.find(print).ok().and_then(|(_, seen)| self.gateway.registry.live(seen.node));
        seen.map_or_else(String::new, |live| format!("on {}", live.name()))
    }

    fn change(
        &self,
        print: Option<Fingerprint>,
        query: &Query<'_>,
        act: impl Fn(&Arc<Conversation>, &Seen) -> Result<Operated, Refused>,
        is_change: impl Fn(&Operated) -> bool,
    ) -> Result<Value, Refused> {
        let (mut changed, mut requests, mut keys) = (0u64, 0u64, 0u64);
        let mut count = |operated: Operated| {
            if is_change(&operated) {
                changed += 1;
                requests += u64::from(operated.in_flight);
                keys += operated.keys as u64;
            }
        };
        let next = match print {
            Some(print) => {
                let (conversation, seen) = self.find(print)?;
                count(act(&conversation, &seen)?);
                None
            }
            None => {
                let filter = Filter::read(self, query)?;
                if filter == Filter::default() {
                    return Err(bad(
                        "say which: upstream=, node=, key=, age= or idle=; or name one by its fingerprint",
                    ));
                }
                self.walk(query, |conversation, seen| {
                    // What ended meanwhile, and what is of another group, is none of those meant.
                    if filter.takes(&seen, self.now)
                        && let Ok(operated) = act(conversation, &seen)
                    {
                        count(operated);
                    }
                    ControlFlow::Continue(())
                })?
            }
        };
        Ok(json!({"changed": changed, "requests_in_flight": requests, "keys": keys, "next": next}))
    }

    fn walk(
        &self,
        query: &Query<'_>,
        each: impl FnMut(&Arc<Conversation>, Seen) -> ControlFlow<()>,
    ) -> Result<Option<u32>, Refused> {
        let after = u32::try_from(query.number("after")?.unwrap_or(0)).unwrap_or(u32::MAX);
        Ok(self.gateway.affinity.look_through(after, PLACES_PER_REQUEST, self.now, each))
    }

    fn find(&self, print: Fingerprint) -> Result<(Arc<Conversation>, Seen), Refused> {
        let conversation = self.gateway.affinity.find(print);
        let seen = conversation.and_then(|conversation| conversation.seen(self.now).map(|seen| (conversation, seen)));
        seen.ok_or_else(|| (StatusCode::NOT_FOUND, "no conversation has that key".to_owned()))
    }

    fn is_in_group(&self, node: NodeId, other: &Live) -> bool {
        self.gateway.registry.live(node).is_some_and(|live| live.group() == other.group())
    }

    /// The machine that a move goes to.
    fn target(&self, wanted: &str) -> Result<Arc<Live>, Refused> {
        let mut found: Vec<Arc<Live>> = Vec::new();
        for id in self.nodes_called(wanted) {
            let live = self.gateway.registry.live(id).filter(|live| live.is_configured());
            found.extend(live);
        }
        match found.as_slice() {
            [] => Err((StatusCode::NOT_FOUND, format!("there is no node {wanted}"))),
            [live] if live.admin() == Admin::Maint => {
                Err(conflict(&format!("node {wanted} is in maint and gets nothing; set it ready or drain first")))
            }
            [live] => Ok(Arc::clone(live)),
            _ => Err(bad(&format!("several nodes are called {wanted}; write UPSTREAM/NODE"))),
        }
    }

    /// Machines called `[UPSTREAM/]NODE`, those that left the configuration included where no upstream is named.
    fn nodes_called(&self, wanted: &str) -> Vec<NodeId> {
        let Some((upstream, name)) = wanted.split_once('/') else {
            let machines = self.gateway.registry.machines();
            return machines.iter().filter(|live| &**live.name() == wanted).map(|live| live.id()).collect();
        };
        let upstream = self.snapshot.upstreams.iter().find(|one| one.config.name == upstream);
        let nodes = upstream.map_or(&[][..], |upstream| upstream.nodes.nodes());
        nodes.iter().filter(|node| &*node.name == name).map(|node| node.id).collect()
    }

    fn key_names(&self) -> HashMap<NameTag, &str> {
        let rules = self.snapshot.upstreams.iter().flat_map(|upstream| upstream.rules.keys());
        rules.map(|rule| (rule.tag, rule.name.as_str())).collect()
    }

    fn view(&self, seen: &Seen) -> View {
        self.view_with(seen, &self.key_names())
    }

    fn view_with(&self, seen: &Seen, names: &HashMap<NameTag, &str>) -> View {
        let live = self.gateway.registry.live(seen.node);
        let keys: Vec<_> = seen
            .keys
            .iter()
            .map(|(print, name)| KeyView {
                name: names.get(name).map(|name| (*name).to_owned()),
                fingerprint: print.to_string(),
            })
            .collect();
        View {
            id: keys.first().map(|key| key.fingerprint.clone()).unwrap_or_default(),
            node: live.as_ref().map(|live| live.name().to_string()),
            affinity_group: live.as_ref().map(|live| live.group().to_string()),
            state: match seen.standing {
                Standing::Reserved => "reserved",
                Standing::Live => "live",
                Standing::Lingering => "lingering",
                Standing::Lost => "lost",
            },
            age_ms: self.now.0.saturating_sub(seen.created.0),
            idle_ms: if seen.in_flight > 0 { 0 } else { self.now.0.saturating_sub(seen.last_used.0) },
            expires_in_ms: seen.due.map(|due| due.0.saturating_sub(self.now.0)),
            requests: seen.in_flight,
            confirmed: seen.is_confirmed,
            keys,
        }
    }
}

/// Which conversations are meant.
#[derive(Debug, Default, PartialEq, Eq)]
struct Filter {
    nodes: Option<Vec<NodeId>>,
    key: Option<NameTag>,
    age: Option<Duration>,
    idle: Option<Duration>,
}

impl Filter {
    fn read(desk: &Desk<'_>, query: &Query<'_>) -> Result<Self, Refused> {
        let mut nodes = None;
        if let Some(name) = query.get("upstream") {
            let upstream = desk.snapshot.upstreams.iter().find(|one| one.config.name == name);
            let upstream = upstream
                .ok_or_else(|| (StatusCode::NOT_FOUND, format!("there is no upstream {name}; see GET /v1/nodes")))?;
            // Machines that left it still hold conversations of its group.
            let group = upstream.config.affinity_group.as_str();
            let machines = desk.gateway.registry.machines();
            nodes = Some(machines.iter().filter(|live| &**live.group() == group).map(|live| live.id()).collect());
        }
        if let Some(name) = query.get("node") {
            let called = desk.nodes_called(name);
            if called.is_empty() {
                return Err((StatusCode::NOT_FOUND, format!("there is no node {name}; see GET /v1/nodes")));
            }
            let among = |all: &Vec<NodeId>| called.iter().copied().filter(|id| all.contains(id)).collect();
            nodes = Some(nodes.as_ref().map_or_else(|| called.clone(), among));
        }
        Ok(Self {
            nodes,
            key: query.get("key").map(NameTag::of),
            age: query.duration("age")?,
            idle: query.duration("idle")?,
        })
    }

    fn takes(&self, seen: &Seen, now: Now) -> bool {
        let longer = |since: Now, than: Duration| u128::from(now.0.saturating_sub(since.0)) >= than.as_millis();
        self.nodes.as_ref().is_none_or(|nodes| nodes.contains(&seen.node))
            && self.key.is_none_or(|name| seen.keys.iter().any(|(_, own)| *own == name))
            && self.age.is_none_or(|age| longer(seen.created, age))
            && self.idle.is_none_or(|idle| seen.in_flight == 0 && longer(seen.last_used, idle))
    }
}

/// The parts of a query. Names and durations need no escaping, so there is none.
struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    fn read(text: &'a str) -> Result<Self, Refused> {
        const KNOWN: [&str; 9] = ["id", "upstream", "node", "key", "age", "idle", "limit", "after", "to"];
        let parts = text.split('&').filter(|part| !part.is_empty());
        let pairs: Vec<_> = parts.map(|part| part.split_once('=').unwrap_or((part, ""))).collect();
        // A misspelt filter must not move more than was meant.
        match pairs.iter().find(|(name, _)| !KNOWN.contains(name)) {
            Some((name, _)) => Err(bad(&format!("{name} is not understood; use {}", KNOWN.join(", ")))),
            None => Ok(Self(pairs)),
        }
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
    }

    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(own, _)| *own == name).map(|(_, value)| *value)
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Refused> {
        let number = self.get(name).map(str::parse).transpose();
        number.map_err(|_| bad(&format!("{name} is a number")))
    }

    fn duration(&self, name: &str) -> Result<Option<Duration>, Refused> {
        self.get(name).map(units::duration).transpose().map_err(|error| bad(&format!("{name}: {error}")))
    }
}

fn bad(message: &str) -> Refused {
    (StatusCode::BAD_REQUEST, message.to_owned())
}

fn conflict(message: &str) -> Refused {
    (StatusCode::CONFLICT, message.to_owned())
}

fn merged(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}
