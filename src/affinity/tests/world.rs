//! A small world for tests: nodes, a table, a clock, and a language for scripts.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::session::{Fingerprint, Learnt, LearntKey, NameTag, PinKey, RequestKeys, RouteKey, WeakKey};
use crate::upstream::{Admin, Balance, Health, NodeLimits, NodeSet, NodeSpec, Registry};

/// Nodes, a table, a clock.
pub(in crate::affinity) struct World {
    pub registry: Arc<Registry>,
    pub affinity: Arc<Affinity>,
    pub nodes: NodeSet,
    pub policy: Policy,
    pub now: u64,
    pub random: u64,
}

impl World {
    /// Nodes as `name[/tag][@group][>successor]`, in round robin.
    pub fn of(nodes: &str) -> Self {
        Self::with(nodes, Limits::default())
    }

    pub fn with(nodes: &str, limits: Limits) -> Self {
        let registry = Registry::new();
        let nodes = node_set(&registry, nodes, Balance::RoundRobin);
        let affinity = Affinity::new(limits, Arc::clone(&registry));
        Self { registry, affinity, nodes, policy: Policy::default(), now: 1_000_000, random: 1 }
    }

    pub fn policy(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.policy);
        self
    }

    /// Runs a script, one step a line:
    ///
    /// * `REQUEST [> ANSWER] = CODE [NODE]`: places a request, commits it, lets the node answer, compares. Requests are
    ///   words `c:ID` (client-issued pin), `s:ID` (server-issued), `r:TAG`, `w:ID` (weak), `h:ID` (hash), `unreadable`, `-` (no key);
    ///   answers `s:ID`, `r:TAG`, `w:ID`, `fault`, `silence`, `lost`, `told` (lost, and we have said so), `end`, `ttl=DURATION`. A node `*` is any.
    /// * `up | down | ready | drain | maint NODE`, `wait DURATION`, `eject NODE`, `unknown ID ...` (nobody knows these keys).
    pub fn run(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            self.now += 1;
            if let Some((exchange, expected)) = line.split_once(" = ") {
                let got = self.exchange(exchange);
                let fits = match expected.trim().strip_suffix(" *") {
                    Some(code) => got.split(' ').next() == Some(code),
                    None => got == expected.trim(),
                };
                assert!(fits, "{line}\n      got {got}");
            } else {
                let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
                self.command(verb, rest);
            }
        }
    }

    fn command(&mut self, verb: &str, rest: &str) {
        let live = || self.registry.machine("g", rest);
        match verb {
            "up" => drop(live().set_health(Health::Up)),
            "down" => drop(live().set_health(Health::Down)),
            "ready" => drop(live().set_admin(Admin::Ready)),
            "drain" => drop(live().set_admin(Admin::Drain)),
            "maint" => drop(live().set_admin(Admin::Maint)),
            "eject" => live().eject_until(self.now + 10_000),
            "wait" => self.now += duration(rest).as_millis() as u64,
            "unknown" => rest.split(' ').for_each(|id| assert!(self.affinity.find(print(id)).is_none(), "{id}")),
            _ => panic!("no such step: {verb} {rest}"),
        }
    }

    /// One exchange from placement to the end of the answer. `CODE NODE`, or the code of the refusal.
    pub fn exchange(&mut self, exchange: &str) -> String {
        let (request, answer) = exchange.split_once('>').unwrap_or((exchange, ""));
        let mut visit = match self.place(request) {
            Ok(visit) => visit,
            Err(refusal) => return refusal.code().text().to_owned(),
        };
        let said = format!("{} {}", visit.code(), self.name(&visit));
        visit.commit(Now(self.now)).expect("nobody else moves it");
        self.answer(visit, answer);
        said
    }

    pub fn place(&mut self, request: &str) -> Result<Visit, Refusal> {
        self.place_without(request, &[])
    }

    pub fn place_without(&mut self, request: &str, tried: &[&str]) -> Result<Visit, Refusal> {
        let keys = request_keys(request);
        let tried: Vec<_> = tried.iter().map(|name| self.registry.machine("g", name).id()).collect();
        self.affinity.clone().place(&self.ask(&keys, &tried))
    }

    pub fn replace(&mut self, visit: &mut Visit, request: &str, tried: &[&str]) -> String {
        let keys = request_keys(request);
        let tried: Vec<_> = tried.iter().map(|name| self.registry.machine("g", name).id()).collect();
        match visit.replace(&self.ask(&keys, &tried)) {
            Ok(_) => format!("{} {}", visit.code(), self.name(visit)),
            Err(refusal) => refusal.code().text().to_owned(),
        }
    }

    fn ask<'a>(&'a mut self, keys: &'a RequestKeys, tried: &'a [crate::upstream::NodeId]) -> Ask<'a> {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Ask {
            keys,
            nodes: &self.nodes,
            policy: &self.policy,
            tried,
            held: None,
            now: Now(self.now),
            random: self.random,
        }
    }

    pub fn answer(&self, mut visit: Visit, answer: &str) -> Learning {
        let mut keys = Vec::new();
        let mut end = End::of(Outcome::Success);
        for word in answer.split_whitespace() {
            let mut learn =
                |kind, id| keys.push(LearntKey { rule: 0, fingerprint: print(id), kind, name: NameTag::of("s") });
            match word.split_once([':', '=']) {
                Some(("s", _)) => learn(Learnt::Pin, word),
                Some(("c", id)) => learn(Learnt::Pin, &format!("c:{id}")),
                Some(("r", _)) => learn(Learnt::Route, word),
                Some(("w", _)) => learn(Learnt::Weak, word),
                Some(("ttl", ttl)) => end.ttl = Some(duration(ttl)),
                _ => match word {
                    "fault" => end.outcome = Outcome::Failure,
                    "silence" => end.outcome = Outcome::NoAnswer,
                    "lost" => (end.outcome, end.lost) = (Outcome::Failure, true),
                    "told" => (end.outcome, end.lost, end.is_told) = (Outcome::Failure, true, true),
                    "end" => end.ended = true,
                    _ => panic!("no such answer: {word}"),
                },
            }
        }
        let learning =
            if keys.is_empty() { Learning::default() } else { visit.learn(&keys, &self.policy, Now(self.now)) };
        visit.finish(end, &self.policy, Now(self.now));
        learning
    }

    pub fn name(&self, visit: &Visit) -> String {
        self.registry.name(visit.node()).expect("it is registered").to_string()
    }

    /// Conversations that a node counts.
    pub fn at(&self, name: &str) -> u64 {
        self.registry.machine("g", name).conversations()
    }

    pub fn count(&self, name: &str) -> u64 {
        self.affinity.counters().each().find(|(own, _)| *own == name).expect("there is such a counter").1
    }
}

impl Affinity {
    /// Every conversation's node, keys and whether its node counts it.
    pub(in crate::affinity) fn inspect(&self, mut f: impl FnMut(crate::upstream::NodeId, &[Fingerprint], bool)) {
        for conversation in self.roll.all() {
            let (node, keys, counted) = {
                let state = conversation.lock();
                let keys = state.keys.iter().map(super::super::conversation::Key::fingerprint);
                (state.node, keys.collect::<Vec<_>>(), state.is_counted())
            };
            f(node, &keys, counted);
        }
    }
}

pub(super) fn node_set(registry: &Registry, nodes: &str, balance: Balance) -> NodeSet {
    let specs = nodes.split_whitespace().map(|text| {
        let (text, successor) = text.split_once('>').map_or((text, None), |(text, name)| (text, Some(name)));
        let (text, group) = text.split_once('@').map_or((text, None), |(text, group)| (text, Some(group)));
        let (name, tag) = text.split_once('/').map_or((text, None), |(name, tag)| (name, Some(tag)));
        let mut spec = NodeSpec::new(registry.machine("g", name));
        spec.routes.extend(tag.map(|tag| tag.as_bytes().into()));
        spec.group = group.map(Arc::from);
        spec.successor = successor.map(|name| registry.machine("g", name).id());
        spec.limits = NodeLimits { requests: 8, connections: 8 };
        spec
    });
    NodeSet::new(balance, specs.collect())
}

pub(in crate::affinity) fn request_keys(request: &str) -> RequestKeys {
    let mut keys = RequestKeys::default();
    for (rule, word) in request.split_whitespace().enumerate() {
        let fingerprint = print(word);
        let rule = rule as u16;
        match word.split_once(':') {
            Some(("c", _)) => keys.pins.push(PinKey { rule, fingerprint, client_issued: true, name: NameTag::of("c") }),
            Some(("s", _)) => {
                keys.pins.push(PinKey { rule, fingerprint, client_issued: false, name: NameTag::of("s") })
            }
            Some(("r", tag)) => keys.routes.push(RouteKey { rule, tag: tag.as_bytes().into(), fingerprint }),
            Some(("w", id)) => keys.weak.push(WeakKey { fingerprint, is_connection: id.starts_with("conn") }),
            Some(("h", _)) => keys.hash = Some(fingerprint),
            _ if word == "unreadable" => keys.unreadable = true,
            _ if word == "-" => {}
            _ => panic!("no such key: {word}"),
        }
    }
    keys
}

/// The fingerprint of a key as written in a script.
pub(in crate::affinity) fn print(id: &str) -> Fingerprint {
    let fingerprinter = crate::session::Fingerprinter::new(&[7; 16]);
    fingerprinter.fingerprint("g", "key", b"", id.as_bytes())
}

pub(super) fn duration(text: &str) -> Duration {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let number: u64 = digits.parse().expect("a number and a unit");
    match &text[digits.len()..] {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number * 60),
        "h" => Duration::from_secs(number * 3600),
        unit => panic!("no such unit: {unit}"),
    }
}
