//! What taking over another configuration would do to the conversations that live now.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::{Gateway, Snapshot};
use crate::session::NameTag;
use crate::session::spec::Role;

/// What of a configuration conversations depend on. It holds no secret, and goes from a command to a running gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// By affinity group.
    pub groups: BTreeMap<String, Group>,
    /// `affinity.max_conversations`.
    pub max_conversations: u64,
}

/// What conversations of one affinity group depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Names of nodes.
    pub nodes: BTreeSet<String>,
    /// Whether further nodes are discovered, which no file can tell.
    #[serde(default)]
    pub discovers: bool,
    /// Names of keys that pin, each with its key spaces: a value in another space is another key.
    pub keys: BTreeMap<String, BTreeSet<String>>,
}

/// What would become of the conversations that live now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// How many there are.
    pub conversations: u64,
    /// Their node would be gone from the configuration: they go on there while it answers, and no longer.
    pub without_node: u64,
    /// Their node would stay, but no rule would read any of their keys as now: nobody could find them.
    pub without_rule: u64,
    /// They would be found, but not by all of their keys.
    pub with_fewer_rules: u64,
    /// More than `max_conversations`: nobody is evicted, but new ones find no room.
    pub overflow: u64,
}

impl Effect {
    /// Conversations that would lose their node, or could not be found.
    pub fn lost(&self) -> u64 {
        self.without_node + self.without_rule
    }

    /// Adds what was found of others.
    pub fn add(&mut self, other: Self) {
        self.conversations += other.conversations;
        self.without_node += other.without_node;
        self.without_rule += other.without_rule;
        self.with_fewer_rules += other.with_fewer_rules;
        self.overflow += other.overflow;
    }
}

impl Outlook {
    /// That of a compiled configuration.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for upstream in &snapshot.upstreams {
            let group = groups.entry(upstream.config.affinity_group.clone()).or_default();
            // Who has left is drained, and in no file.
            let nodes = upstream.nodes.nodes().iter().filter(|node| !node.has_left);
            group.discovers |= !upstream.config.discovery.is_empty();
            group.nodes.extend(nodes.map(|node| node.name.to_string()));
            for rule in upstream.rules.keys().iter().filter(|rule| rule.role == Role::Pin) {
                group.keys.entry(rule.name.clone()).or_default().insert(rule.space.clone());
            }
        }
        Self { groups, max_conversations: snapshot.config.affinity.max_conversations }
    }
}

/// Places of the table looked at between two chances for others.
const STEP: u32 = 10_000;

/// Looks at every conversation, some milliseconds at a time.
#[derive(Debug)]
pub struct Preview<'a> {
    gateway: &'a Gateway,
    outlook: &'a Outlook,
    present: Outlook,
    /// By affinity group: the names of keys that are read as now.
    kept: HashMap<&'a str, Vec<NameTag>>,
    known: Vec<NameTag>,
    effect: Effect,
    next: Option<u32>,
}

impl<'a> Preview<'a> {
    /// Nothing looked at yet; begins at this place of the table.
    pub fn new(gateway: &'a Gateway, outlook: &'a Outlook, from: u32) -> Self {
        let present = Outlook::of(&gateway.snapshot());
        let kept = |(name, group): (&'a String, &'a Group)| {
            let now = present.groups.get(name).map(|group| &group.keys);
            let is_kept = |(key, spaces): &(&String, &BTreeSet<String>)| {
                now.and_then(|now| now.get(*key)).is_none_or(|now| !now.is_disjoint(spaces))
            };
            (name.as_str(), group.keys.iter().filter(is_kept).map(|(key, _)| NameTag::of(key)).collect())
        };
        let kept = outlook.groups.iter().map(kept).collect();
        let known = present.groups.values().flat_map(|group| group.keys.keys()).map(|key| NameTag::of(key)).collect();
        Self { gateway, outlook, present, kept, known, effect: Effect::default(), next: Some(from) }
    }

    /// What was found so far, `overflow` excepted.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Looks at some more. Where to go on; `None` = all were looked at.
    pub fn step(&mut self) -> Option<u32> {
        let (gateway, outlook, present) = (self.gateway, self.outlook, &self.present);
        let (kept, known) = (&self.kept, &self.known);
        let effect = &mut self.effect;
        self.next = gateway.affinity.look_through(self.next?, STEP, gateway.now(), |_, seen| {
            effect.conversations += 1;
            let Some(live) = gateway.registry.live(seen.node) else { return ControlFlow::Continue(()) };
            let group = outlook.groups.get(&**live.group());
            let names = |group: &Group| group.nodes.contains(&**live.name());
            if !group.is_some_and(|group| names(group) || group.discovers) {
                // Whose node has left already loses nothing.
                effect.without_node += u64::from(present.groups.get(&**live.group()).is_some_and(names));
                return ControlFlow::Continue(());
            }
            let kept = kept.get(&**live.group()).map(Vec::as_slice).unwrap_or_default();
            // Of a key that came from the store its name may be unknown: it is taken to be kept.
            let lost = seen.keys.iter().filter(|(_, name)| known.contains(name) && !kept.contains(name)).count();
            effect.without_rule += u64::from(lost > 0 && lost == seen.keys.len());
            effect.with_fewer_rules += u64::from(lost > 0 && lost < seen.keys.len());
            ControlFlow::Continue(())
        });
        self.next
    }

    /// Looks at all that are left.
    pub fn finish(mut self) -> Effect {
        while self.step().is_some() {}
        self.effect.overflow = self.effect.conversations.saturating_sub(self.outlook.max_conversations);
        self.effect
    }
}
