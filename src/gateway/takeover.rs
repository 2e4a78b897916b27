//! A reload, as nodes see it: who comes, who leaves, and whose word on their administrative state holds.

use std::collections::HashMap;

use super::{Snapshot, Target, Upstream};
use crate::config::model;
use crate::upstream::{Admin, NodeId, NodeSpec};

/// The nodes of an upstream of the old configuration that the new one names no longer, and that still have conversations:
/// these go on there while it answers. Nodes that left before stay, as long as that is so.
pub(super) fn left<'a>(
    old: &'a Upstream,
    config: &'a model::Upstream,
) -> impl Iterator<Item = (NodeSpec, Target)> + use<'a> {
    let is_same_group = old.config.affinity_group == config.affinity_group;
    let nodes = old.nodes.nodes().iter().zip(&old.targets).filter(move |_| is_same_group);
    nodes
        .filter(|(node, _)| !config.nodes.iter().any(|one| *one.name == *node.name))
        .filter(|(node, _)| node.live.conversations() > 0 || node.live.requests() > 0)
        .map(|(node, target)| (node.left(), target.clone()))
}

impl Snapshot {
    /// What the file says of the administrative state of each machine: where upstreams differ, the first one.
    fn states(&self) -> HashMap<NodeId, Admin> {
        let mut states = HashMap::new();
        for upstream in &self.upstreams {
            for node in upstream.nodes.nodes() {
                if let Some(state) = upstream.state_in_file(&node.name) {
                    states.entry(node.id).or_insert(state);
                }
            }
        }
        states
    }

    /// Settles the administrative states for this configuration, which follows `old`, or begins the process.
    ///
    /// The last word holds. The file's is a word when a node comes, and when it says something else than the file before
    /// it did; else what was set at run time stays. Who left is drained.
    pub(super) fn settle(&self, old: Option<&Self>, now_ms: u64) {
        let before = old.map(Self::states).unwrap_or_default();
        let states = self.states();
        let nodes = self.upstreams.iter().flat_map(|one| one.nodes.nodes().iter().map(move |node| (one, node)));
        for (upstream, node) in nodes {
            let (name, group) = (&node.name, node.live.group());
            if upstream.config.health.check.is_none() {
                node.live.await_check(false);
            }
            let Some(state) = states.get(&node.id).copied() else {
                if node.live.leaves() {
                    let conversations = node.live.conversations();
                    tracing::info!(node = %name, %group, conversations, "node left the configuration: it is drained");
                }
                continue;
            };
            match before.get(&node.id) {
                Some(said) if *said == state => {}
                Some(_) => {
                    let was = node.live.set_admin_at(state, now_ms);
                    tracing::info!(node = %name, %group, before = ?was, after = ?state, "the file sets another state");
                }
                None => {
                    // What an operator said of a node that was found outlives its absence: no file says it anew.
                    let is_found = upstream.config.node(name).is_some_and(|one| one.found.is_some());
                    if node.live.returns() || !is_found {
                        node.live.set_admin(state);
                    }
                    let is_checked = upstream.config.health.check.is_some();
                    node.live.await_check(is_found && is_checked && upstream.others_take_new(node.id, now_ms));
                    if old.is_some() {
                        node.live.comes(now_ms);
                    }
                }
            }
        }
    }
}

impl Upstream {
    /// Its nodes that have left, for another set of the same upstream.
    pub(super) fn left(&self) -> Vec<(NodeSpec, Target)> {
        let nodes = self.nodes.nodes().iter().zip(&self.targets).filter(|(node, _)| node.has_left);
        nodes.map(|(node, target)| (node.left(), target.clone())).collect()
    }

    /// Whether another node takes new conversations, so that nobody has to do without while this one is looked at.
    fn others_take_new(&self, node: NodeId, now_ms: u64) -> bool {
        self.nodes.nodes().iter().any(|other| other.id != node && other.takes_new(now_ms))
    }

    /// What the file, or whoever found it, says of the administrative state of a node; `None` where neither names it.
    pub fn state_in_file(&self, node: &str) -> Option<Admin> {
        let node = self.config.nodes.iter().find(|one| one.name == node)?;
        Some(match node.state {
            model::AdminState::Ready => Admin::Ready,
            model::AdminState::Drain => Admin::Drain,
            model::AdminState::Maint => Admin::Maint,
        })
    }
}
