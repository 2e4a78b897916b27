//! What there is to tell of one exchange: found by the steps of the data path, shown by `castile explain`.

use serde_json::{Map, Value, json};

use super::changes;
use super::message::{RequestMessage, ResponseMessage};
use super::rehearsal::{Asked, Rehearsal, read};
use crate::affinity::{Code, UnknownKey, Visit};
use crate::gateway::{Lesson, Upstream, reading};
use crate::session::spec::Role;
use crate::session::{Hit, KeyRule, RequestView, Selector};
use crate::soap::{Facts, Origin, Reader, State, Stop, Version};

/// What there is to tell.
#[derive(Debug)]
pub struct Explanation {
    /// Method and target.
    pub request: String,
    /// The route's label.
    pub route: Option<String>,
    /// The upstream's name.
    pub upstream: Option<String>,
    /// What the message says its operation is.
    pub operation: Option<String>,
    /// SOAP version of the message.
    pub soap: Option<Version>,
    /// How far the message was read.
    pub reading: String,
    /// Every rule of the upstream that reads requests, in order.
    pub rules: Vec<Looked>,
    /// Where the request goes, and why.
    pub decision: Decision,
    /// What the answer says.
    pub answer: Option<Answer>,
    /// What is odd about the files, and what does not go on as it came.
    pub notes: Vec<String>,
}

/// A rule, and what it found.
#[derive(Debug)]
pub struct Looked {
    /// Name of the key.
    pub key: String,
    /// The preset, or the upstream, that wrote it.
    pub source: String,
    /// What a value is good for.
    pub role: Role,
    /// A request may bring a value of its own.
    pub client_issued: bool,
    /// The preset is confined to other requests (`only`).
    pub is_elsewhere: bool,
    /// Where it looked, in order.
    pub places: Vec<(String, Vec<KeyValue>)>,
}

/// One value.
#[derive(Debug, Clone)]
pub struct KeyValue {
    /// After all transforms.
    pub value: Vec<u8>,
    /// What tables and logs hold instead.
    pub fingerprint: String,
    /// Where it begins in the body; `None` for values of the head.
    pub offset: Option<u64>,
    /// The offset counts bytes after content decoding.
    pub is_decoded: bool,
}

/// Where the request goes, and why.
#[derive(Debug, Default)]
pub struct Decision {
    /// `None` where there is none: no route, or a refused message.
    pub code: Option<Code>,
    /// The node, where the request itself names it.
    pub node: Option<String>,
    /// In words.
    pub reason: String,
}

/// What the answer says.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// How far its message was read.
    pub reading: String,
    /// Every rule that learns, in order.
    pub rules: Vec<Looked>,
    /// Every `lost` condition, and whether it holds.
    pub lost: Vec<(String, bool)>,
    /// Every `end` condition, and whether it holds.
    pub end: Vec<(String, bool)>,
    /// It is a Fault: `end` does not count.
    pub is_fault: bool,
    /// The time to live that it tells.
    pub ttl: Option<std::time::Duration>,
}

impl Answer {
    /// Whether the node does not know the session.
    pub fn is_lost(&self) -> bool {
        self.lost.iter().any(|(_, holds)| *holds)
    }

    /// Whether the conversation is over.
    pub fn is_ended(&self) -> bool {
        !self.is_fault && self.end.iter().any(|(_, holds)| *holds)
    }
}

/// Takes the steps, and notes what they come to.
pub fn explain(rehearsal: &Rehearsal, message: &RequestMessage, answer: Option<&ResponseMessage>) -> Explanation {
    let asked = rehearsal.ask(message);
    // The upstream's rules may not ask for what is told of every message.
    let by_itself = message.body.as_deref();
    let by_itself =
        by_itself.map(|body| read(reading::operation_reader(&message.head, rehearsal.snapshot()), Some(body)));
    let facts = by_itself.as_ref().map(Reader::facts);
    let whole = RequestView { facts, ..asked.view() };
    let upstream = rehearsal.upstream(&asked);
    let mut out = Explanation {
        request: String::from_utf8_lossy(&[message.head.method(), message.head.target()].join(&b' ')).into_owned(),
        route: asked.route.map(|route| rehearsal.snapshot().routes.get(route).label.clone()),
        upstream: upstream.map(|upstream| upstream.config.name.clone()),
        operation: whole.operation().map(|operation| operation.into_owned()),
        soap: facts.and_then(|facts| facts.version),
        reading: how_far(asked.reader.as_ref(), message.body.is_some()),
        rules: Vec::new(),
        decision: Decision::default(),
        answer: None,
        notes: message.notes.iter().map(|note| format!("request: {note}")).collect(),
    };
    let Some(upstream) = upstream else {
        out.decision.reason = "No route matches the request; the gateway answers it.".to_owned();
        return out;
    };
    out.rules = looked_in_request(rehearsal, upstream, &asked);
    out.notes.extend(sealed_cookie(upstream, message));
    if let Some(stop) = &asked.refused {
        out.decision.reason = format!("The gateway refuses the request: {stop}.");
        return out;
    }
    let visit = match rehearsal.place(&asked) {
        Ok(visit) => visit,
        Err(refusal) => {
            out.decision =
                Decision { code: Some(refusal.code()), node: None, reason: refusal.code().reason().to_owned() };
            return out;
        }
    };
    out.decision = decision(upstream, &asked, &visit);
    out.notes.extend(changes::of_request(rehearsal, upstream, &asked, &visit));
    if let Some(answer) = answer {
        out.notes.extend(answer.notes.iter().map(|note| format!("response: {note}")));
        out.notes.extend(changes::of_answer(rehearsal, &asked, &visit, answer));
        let lesson = rehearsal.learn(upstream, &asked, visit, answer);
        out.answer = Some(answered(rehearsal, upstream, &asked, &lesson, answer));
        rehearsal.finish(upstream, &asked, lesson, answer);
    }
    out
}

/// What the request's sealed cookie comes to.
fn sealed_cookie(upstream: &Upstream, message: &RequestMessage) -> Option<String> {
    let cookie = upstream.cookie.as_ref()?;
    let carried = cookie.read(message.head.fields(), crate::gateway::unix_ms() / 1000);
    let name = cookie.name();
    Some(match &carried.node {
        _ if carried.conflict => {
            format!("cookie {name}: good ones name different nodes, so none counts; the answer sets it")
        }
        Some(node) if carried.renew => format!("cookie {name}: sealed for node {node}; the answer renews it"),
        Some(node) => format!("cookie {name}: sealed for node {node}; nodes do not get it"),
        None if carried.expired > 0 => {
            format!("cookie {name}: its time is over, so it counts as absent; the answer sets it")
        }
        None if carried.invalid > 0 => {
            format!("cookie {name}: not sealed here for this upstream, so it counts as absent; the answer sets it")
        }
        None => format!("cookie {name}: there is none; the answer sets it"),
    })
}

fn how_far(reader: Option<&Reader>, has_body: bool) -> String {
    match reader.map(Reader::state) {
        None if has_body => "not read: no rule asks for anything in it".to_owned(),
        None => "there is none".to_owned(),
        Some(State::Stopped(Stop::Decided)) => "read as far as rules ask".to_owned(),
        Some(State::Stopped(stop)) => stop.to_string(),
        Some(_) => "not whole".to_owned(),
    }
}

/// Why the request goes where it goes. The table is empty, so that what a gateway with conversations does is said too.
fn decision(upstream: &Upstream, asked: &Asked<'_>, visit: &Visit) -> Decision {
    let code = visit.code();
    let names_node = matches!(visit.chosen_by(), Code::Route | Code::Hash | Code::Sealed);
    let node = upstream.nodes.get(visit.node()).filter(|_| names_node).map(|node| node.name.to_string());
    let mut reason = code.reason().to_owned();
    let keys = &asked.keys;
    if !keys.pins.is_empty() {
        reason.push_str(" A gateway that knows one of its pin keys would pin it to the node of that conversation.");
        let asks = upstream.policy.unknown_key == UnknownKey::AskNodes;
        if asks && code == Code::Unknown && keys.pins.iter().any(|pin| upstream.rules.may_ask(pin.rule)) {
            reason.push_str(" One that knows none asks the nodes in turn, until one does.");
        }
    } else if !keys.routes.is_empty() && node.is_none() {
        reason.push_str(" A gateway that has learnt its route tag, or has a node with it, would follow it.");
    } else if code == Code::Balanced && !keys.weak.is_empty() && keys.unreadable {
        reason.push_str(" A gateway that remembers one of its weak keys would follow it.");
    }
    Decision { code: Some(code), node, reason }
}

fn looked_in_request(rehearsal: &Rehearsal, upstream: &Upstream, asked: &Asked<'_>) -> Vec<Looked> {
    let view = asked.view();
    let mut rules = looks(upstream, &view, KeyRule::match_selectors);
    let keyer = rehearsal.keyer(upstream);
    upstream.rules.hits(&view, &mut |hit| {
        let fingerprint = keyer.fingerprint(hit.key, &view, &hit.value).to_string();
        note(&mut rules, KeyRule::match_selectors, &hit, fingerprint, view.facts);
    });
    let mut rules = rules.into_iter().map(|(_, looked)| looked).collect::<Vec<_>>();
    rules.retain(|looked| !looked.places.is_empty());
    rules
}

fn answered(
    rehearsal: &Rehearsal,
    upstream: &Upstream,
    asked: &Asked<'_>,
    lesson: &Lesson<'_>,
    answer: &ResponseMessage,
) -> Answer {
    let (view, seen) = (asked.view(), lesson.view(&answer.head));
    let rules = &upstream.rules;
    let mut looked = looks(upstream, &view, KeyRule::learn_selectors);
    let keyer = rehearsal.keyer(upstream);
    let mut each = |hit: Hit<'_, '_>| {
        let fingerprint = keyer.fingerprint(hit.key, &view, &hit.value);
        if lesson.keys().iter().any(|key| key.fingerprint == fingerprint) {
            note(&mut looked, KeyRule::learn_selectors, &hit, fingerprint.to_string(), seen.facts);
        }
    };
    rules.hits_in_response_head(&view, &seen, &mut each);
    rules.hits_in_response_message(&view, &seen, 0, &mut each);
    let mut looked = looked.into_iter().map(|(_, looked)| looked).collect::<Vec<_>>();
    looked.retain(|looked| !looked.places.is_empty());
    let story = lesson.story(&asked.keys);
    let judge = |conditions: &[crate::session::Condition]| {
        conditions.iter().map(|condition| (condition.to_string(), condition.holds(&view, &seen, &story))).collect()
    };
    Answer {
        status: answer.head.status,
        reading: how_far(lesson.reader(), answer.body.is_some()),
        rules: looked,
        lost: judge(rules.lost_conditions()),
        end: judge(rules.end_conditions()),
        is_fault: seen.facts.is_some_and(|facts| facts.fault.is_some()),
        ttl: rules.ttl_told(&seen),
    }
}

type Places = fn(&KeyRule) -> &[Selector];

/// All rules with the places they look in, nothing found yet.
fn looks<'r>(upstream: &'r Upstream, view: &RequestView<'_>, places: Places) -> Vec<(&'r KeyRule, Looked)> {
    let looked = |rule: &KeyRule| Looked {
        key: rule.name.clone(),
        source: rule.source.clone(),
        role: rule.role,
        client_issued: rule.client_issued,
        is_elsewhere: !rule.applies(view),
        places: places(rule).iter().map(|place| (place.to_string(), Vec::new())).collect(),
    };
    upstream.rules.keys().iter().map(|rule| (rule, looked(rule))).collect()
}

fn note(
    rules: &mut [(&KeyRule, Looked)],
    places: Places,
    hit: &Hit<'_, '_>,
    fingerprint: String,
    facts: Option<&Facts>,
) {
    let Some((rule, looked)) = rules.get_mut(usize::from(hit.rule)) else { return };
    let Some(at) = places(rule).iter().position(|place| std::ptr::eq(place, hit.selector)) else { return };
    looked.places[at].1.push(KeyValue {
        value: hit.value.to_vec(),
        fingerprint,
        offset: hit.offset,
        is_decoded: hit.offset.is_some() && facts.is_some_and(|facts| facts.origin == Origin::Decoded),
    });
}

/// The word of the rule language.
pub fn word(role: Role) -> &'static str {
    match role {
        Role::Pin => "pin",
        Role::Route => "route",
        Role::Weak => "weak",
        Role::Hash => "hash",
    }
}

/// `1.1` or `1.2`.
pub fn version(version: Version) -> &'static str {
    match version {
        Version::V11 => "1.1",
        Version::V12 => "1.2",
    }
}

impl Explanation {
    /// The documented JSON. Values are shown only where `with_values`; else their fingerprints.
    pub fn to_json(&self, with_values: bool) -> Value {
        let mut out = json!({
            "request": self.request,
            "route": self.route,
            "upstream": self.upstream,
            "operation": self.operation,
            "soap": self.soap.map(version),
            "reading": self.reading,
            "keys": keys(&self.rules, with_values),
            "decision": {
                "code": self.decision.code.map(Code::text),
                "node": self.decision.node,
                "reason": self.decision.reason,
            },
            "notes": self.notes,
        });
        if let (Some(answer), Value::Object(out)) = (&self.answer, &mut out) {
            out.insert("learned".to_owned(), keys(&answer.rules, with_values));
            out.insert("status".to_owned(), json!(answer.status));
            out.insert("lost".to_owned(), json!(answer.is_lost()));
            out.insert("ends".to_owned(), json!(answer.is_ended()));
            out.insert("ttl_seconds".to_owned(), json!(answer.ttl.map(|ttl| ttl.as_secs())));
        }
        out
    }
}

/// All values, in rule order, then in the order of the selectors, then in document order.
fn keys(rules: &[Looked], with_values: bool) -> Value {
    let mut out = Vec::new();
    for rule in rules {
        for (selector, values) in &rule.places {
            for found in values {
                let mut key = Map::new();
                key.insert("key".to_owned(), json!(rule.key));
                key.insert("as".to_owned(), json!(word(rule.role)));
                key.insert("selector".to_owned(), json!(selector));
                if with_values {
                    key.insert("value".to_owned(), json!(String::from_utf8_lossy(&found.value)));
                } else {
                    key.insert("fingerprint".to_owned(), json!(found.fingerprint));
                }
                key.insert("offset".to_owned(), json!(found.offset));
                if found.is_decoded {
                    key.insert("decoded".to_owned(), json!(true));
                }
                out.push(Value::Object(key));
            }
        }
    }
    Value::Array(out)
}
