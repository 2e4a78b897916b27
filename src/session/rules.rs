//! The rules of one upstream, compiled.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use regex::bytes::Regex;

use super::condition::Condition;
use super::keys::NameTag;
use super::rewrite::RewriteUrls;
use super::selector::{Place, Selector, Side};
use super::spec::{self, Connection, Mark, Role, Scope};
use super::transform::{Transform, regex};
use super::view::RequestView;
use crate::head::is_like;
use crate::soap::{Part, Prefixes, Wanted};

/// How long a pin outlives its last request where neither the file nor a preset says: the usual session timeout of Java
/// application servers. Shorter than a caller's longest pause, and its conversation may change node half-way.
pub const TTL_IDLE_DEFAULT: Duration = Duration::from_secs(30 * 60);

/// Times to live of conversations, decided for one upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl {
    /// After the last answer's end.
    pub idle: Duration,
    /// After the first request; `None` = no end.
    pub max: Option<Duration>,
    /// After an end, for retransmissions; a loss drops the pin at once.
    pub linger: Duration,
}

/// One key rule, compiled.
#[derive(Debug, Clone)]
pub struct KeyRule {
    /// Name of the key, as written.
    pub name: String,
    /// The same, as the table keeps it.
    pub tag: NameTag,
    /// The preset (or upstream) that wrote it.
    pub source: String,
    /// Key space: equal space and value = same key.
    pub space: String,
    /// What a value is good for.
    pub role: Role,
    /// Whether an unknown request value is bound to the node chosen.
    pub client_issued: bool,
    /// Whether answers teach value → node.
    pub learn_route: bool,
    /// What else makes up the key.
    pub scope: Scope,
    /// A node that does not know its values says so before it executes anything (`not_executed`).
    pub may_ask: bool,
    pub(super) ignore: Vec<String>,
    pub(super) via: Vec<Transform>,
    pub(super) matches: Vec<Selector>,
    pub(super) learns: Vec<Selector>,
    pub(super) only: Option<Arc<Only>>,
}

impl KeyRule {
    /// Where requests are read.
    pub fn match_selectors(&self) -> &[Selector] {
        &self.matches
    }

    /// Whether its preset is for this request (`only`).
    pub fn applies(&self, request: &RequestView<'_>) -> bool {
        self.only.as_ref().is_none_or(|only| only.applies(request))
    }

    /// Where responses are read.
    pub fn learn_selectors(&self) -> &[Selector] {
        &self.learns
    }
}

/// Requests that a preset is confined to.
#[derive(Debug)]
pub(super) struct Only {
    host: Option<String>,
    path: Option<String>,
    action: Option<Regex>,
}

impl Only {
    fn compile(spec: &spec::Only, problems: &mut Vec<(Mark, String)>) -> Option<Arc<Self>> {
        if *spec == spec::Only::default() {
            return None;
        }
        let action = spec
            .action
            .as_ref()
            .and_then(|text| regex(&text.text).map_err(|message| problems.push((text.at, message))).ok());
        let text = |text: &Option<spec::Text>| text.as_ref().map(|text| text.text.clone());
        Some(Arc::new(Self { host: text(&spec.host), path: text(&spec.path), action }))
    }

    pub(super) fn applies(&self, request: &RequestView<'_>) -> bool {
        let authority = request.head.authority();
        let end = match authority {
            [b'[', ..] => memchr::memchr(b']', authority).map(|bracket| bracket + 1),
            _ => memchr::memchr(b':', authority),
        };
        let host = authority[..end.unwrap_or(authority.len())].to_ascii_lowercase();
        self.host.as_ref().is_none_or(|like_this| is_like(like_this.to_ascii_lowercase().as_bytes(), &host))
            && self.path.as_ref().is_none_or(|like_this| is_like(like_this.as_bytes(), request.head.path()))
            && self
                .action
                .as_ref()
                .is_none_or(|action| request.operation().is_some_and(|operation| action.is_match(operation.as_bytes())))
    }
}

/// The rules of one upstream.
#[derive(Debug)]
pub struct RuleSet {
    pub(super) keys: Vec<KeyRule>,
    pub(super) end: Vec<Condition>,
    pub(super) lost: Vec<Condition>,
    pub(super) ttl_from: Vec<Selector>,
    ttl: Ttl,
    request: Arc<Wanted>,
    response: Arc<Wanted>,
    first_header_rule: Option<u16>,
    message_rules: Vec<(u16, Part)>,
    connection: Connection,
    strip_request_headers: Vec<String>,
    rewrite_urls: RewriteUrls,
}

impl Default for RuleSet {
    /// No rules: no stickiness.
    fn default() -> Self {
        Self::compile(&[], &Prefixes::new(), &spec::Ttl::default()).expect("no rules have no problems")
    }
}

impl RuleSet {
    /// Compiles sets of rules into one, in order: presets first, then the upstream's own. `prefixes` are those that every
    /// set may use; `ttl` is the file's and stands over the presets'.
    ///
    /// # Errors
    /// Every problem, with the mark of its place.
    pub fn compile(sets: &[spec::Rules], prefixes: &Prefixes, ttl: &spec::Ttl) -> Result<Self, Vec<(Mark, String)>> {
        let mut problems = Vec::new();
        let (mut request, mut response) = (Wanted::new(), Wanted::new());
        let mut keys: Vec<KeyRule> = Vec::new();
        let mut rewrite_urls = RewriteUrls::default();
        let (mut end, mut lost, mut ttl_from) = (Vec::new(), Vec::new(), Vec::new());
        for set in sets {
            let mut known = prefixes.clone();
            known.extend(set.namespaces.clone());
            let only = Only::compile(&set.only, &mut problems);
            if set.only.action.is_some() {
                request.want_operation();
            }
            let mut spaces: BTreeMap<&str, String> = BTreeMap::new();
            for key in &set.keys {
                let space = spaces.entry(&key.key.text).or_insert_with(|| space_of(key)).clone();
                let rule = key_rule(key, set, space, only.clone(), &known, &mut request, &mut response, &mut problems);
                if rule.client_issued {
                    response.want_fault();
                }
                keys.push(rule);
            }
            for condition in &set.end {
                end.push(Condition::compile(condition, &known, &mut request, &mut response, &mut problems));
            }
            for condition in &set.lost {
                lost.push(Condition::compile(condition, &known, &mut request, &mut response, &mut problems));
            }
            for text in &set.rewrite_url {
                if let Err(message) = rewrite_urls.add(text, &known) {
                    problems.push((text.at, message));
                }
            }
            if let Some(from) = &set.ttl.from {
                ttl_from.extend(ttl_selector(from, &known, &mut response, &mut problems));
            }
        }
        if !end.is_empty() {
            // `end` never fires on a Fault, so Faults must be seen.
            response.want_fault();
        }
        if !response.is_empty() {
            // Whoever is read anyway is told apart: an answer, or a Fault and whose.
            response.want_fault();
        }
        if let Some(from) = &ttl.from {
            ttl_from = ttl_selector(from, prefixes, &mut response, &mut problems).into_iter().collect();
        }
        if keys.len() > usize::from(u16::MAX) {
            problems.push((Mark::default(), format!("{} key rules are too many for one upstream", keys.len())));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let message_rules = message_rules(&keys);
        Ok(Self {
            first_header_rule: message_rules.iter().find(|(_, part)| *part == Part::Header).map(|(rule, _)| *rule),
            message_rules,
            keys,
            end,
            lost,
            ttl_from,
            rewrite_urls,
            ttl: decide_ttl(sets, ttl),
            request: Arc::new(request),
            response: Arc::new(response),
            connection: sets
                .iter()
                .filter_map(|set| set.connection)
                .find(|c| *c == Connection::PerClient)
                .unwrap_or_default(),
            strip_request_headers: sets
                .iter()
                .flat_map(|set| &set.strip_request_headers)
                .map(|t| t.text.clone())
                .collect(),
        })
    }

    /// The key rules, in order.
    pub fn keys(&self) -> &[KeyRule] {
        &self.keys
    }

    /// Whether nodes may be asked for a value of this rule: see [`KeyRule::may_ask`].
    pub fn may_ask(&self, rule: u16) -> bool {
        self.keys.get(usize::from(rule)).is_some_and(|key| key.may_ask)
    }

    /// When a conversation is over. Whether one that holds counts is for [`RuleSet::ended`] to say.
    pub fn end_conditions(&self) -> &[Condition] {
        &self.end
    }

    /// When a node does not know the session.
    pub fn lost_conditions(&self) -> &[Condition] {
        &self.lost
    }

    /// Times to live.
    pub fn ttl(&self) -> Ttl {
        self.ttl
    }

    /// What a reader of requests shall look for.
    pub fn request_wanted(&self) -> &Arc<Wanted> {
        &self.request
    }

    /// What a reader of responses shall look for.
    pub fn response_wanted(&self) -> &Arc<Wanted> {
        &self.response
    }

    /// Whether placing a request needs its message.
    pub fn places_by_message(&self) -> bool {
        !self.message_rules.is_empty()
    }

    /// Whether placing a request needs its Body.
    pub fn places_by_body(&self) -> bool {
        self.message_rules.iter().any(|(_, part)| *part == Part::Body)
    }

    /// Whether a rule of the message stands before rule `than` (`u16::MAX` = any). `header`, `body`: which parts can
    /// still yield values.
    pub fn may_be_outranked(&self, than: u16, header: bool, body: bool) -> bool {
        if !body {
            return header && self.first_header_rule.is_some_and(|first| first < than);
        }
        self.message_rules.iter().any(|(rule, part)| *rule < than && (*part == Part::Body || header))
    }

    /// What the presets ask of node connections.
    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// Request fields that the presets take out.
    pub fn strip_request_headers(&self) -> &[String] {
        &self.strip_request_headers
    }

    /// Places in answers that hold node URLs.
    pub fn rewrite_urls(&self) -> &RewriteUrls {
        &self.rewrite_urls
    }

    /// Whether any rule reads or learns route tags.
    pub fn reads_routes(&self) -> bool {
        self.keys.iter().any(|key| key.role == Role::Route && !key.learn_route)
    }
}

/// Equal names with equal transforms, role and scope share a key space; others are kept apart (catalogue §2.2, 16). Within
/// one set the first rule of a name gives the space of all its rules.
fn space_of(key: &spec::Key) -> String {
    let transforms: Vec<String> = key
        .via
        .iter()
        .map(|transform| match transform {
            spec::Transform::Regex(text) => format!("regex {}", text.text),
            other => format!("{other:?}"),
        })
        .collect();
    if transforms.is_empty() && key.as_ == Role::Pin && key.scope == Scope::Group {
        return key.key.text.clone();
    }
    format!("{}|{:?}|{:?}|{}", key.key.text, key.as_, key.scope, transforms.join("|"))
}

#[allow(clippy::too_many_arguments)]
fn key_rule(
    key: &spec::Key,
    set: &spec::Rules,
    space: String,
    only: Option<Arc<Only>>,
    prefixes: &Prefixes,
    request: &mut Wanted,
    response: &mut Wanted,
    problems: &mut Vec<(Mark, String)>,
) -> KeyRule {
    let mut selectors = |specs: &[spec::Selector], side, wanted: &mut Wanted| -> Vec<Selector> {
        let compiled = specs.iter().map(|spec| Selector::compile(spec, side, prefixes, wanted));
        compiled.filter_map(|result| result.map_err(|problem| problems.push(problem)).ok()).collect()
    };
    let matches = selectors(&key.match_, Side::Request, request);
    let learns = selectors(&key.learn, Side::Response, response);
    let via = key.via.iter().map(Transform::compile);
    let via = via.filter_map(|result| result.map_err(|problem| problems.push(problem)).ok()).collect();
    if key.client_issued && key.as_ != Role::Pin {
        problems.push((key.key.at, "client_issued binds a value to a node, so it needs `as: pin`".to_owned()));
    }
    if key.learn_route && key.as_ != Role::Route {
        problems.push((key.key.at, "learn_route learns node names, so it needs `as: route`".to_owned()));
    }
    KeyRule {
        name: key.key.text.clone(),
        tag: NameTag::of(&key.key.text),
        source: set.name.clone(),
        space,
        role: key.as_,
        client_issued: key.client_issued,
        learn_route: key.learn_route,
        scope: key.scope,
        may_ask: !key.client_issued && key.as_ == Role::Pin && set.lost.iter().any(|condition| condition.not_executed),
        ignore: key.ignore.clone(),
        via,
        matches,
        learns,
        only,
    }
}

fn ttl_selector(
    from: &spec::Text,
    prefixes: &Prefixes,
    response: &mut Wanted,
    problems: &mut Vec<(Mark, String)>,
) -> Option<Selector> {
    let text = from.text.trim();
    let text = text.strip_prefix("response ").unwrap_or(text).trim().to_owned();
    let spec = spec::Selector { at: spec::Text { text, at: from.at }, ..Default::default() };
    Selector::compile(&spec, Side::Response, prefixes, response).map_err(|problem| problems.push(problem)).ok()
}

/// Every (rule, part) that placing looks for in messages.
fn message_rules(keys: &[KeyRule]) -> Vec<(u16, Part)> {
    let mut found = Vec::new();
    for (rule, key) in keys.iter().enumerate() {
        for selector in &key.matches {
            if let Place::Message(part, _) = selector.place()
                && !found.contains(&(rule as u16, *part))
            {
                found.push((rule as u16, *part));
            }
        }
    }
    found
}

/// The file's own values, else the longest that a set with keys asks for (catalogue §2.2, 12).
fn decide_ttl(sets: &[spec::Rules], file: &spec::Ttl) -> Ttl {
    let asking = || sets.iter().filter(|set| !set.keys.is_empty()).map(|set| &set.ttl);
    let idle = asking().map(|ttl| ttl.idle.unwrap_or(TTL_IDLE_DEFAULT)).max();
    let max = asking().map(|ttl| ttl.max.flatten()).reduce(|a, b| Some(a?.max(b?))).flatten();
    let linger = asking().filter_map(|ttl| ttl.linger).max();
    Ttl {
        idle: file.idle.or(idle).unwrap_or(TTL_IDLE_DEFAULT),
        max: file.max.unwrap_or(max),
        linger: file.linger.or(linger).unwrap_or_default(),
    }
}
