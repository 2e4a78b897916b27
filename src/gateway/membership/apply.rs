//! What sources told becomes part of the snapshot.

use std::sync::Arc;

use super::{Merged, merge};
use crate::config::model;
use crate::gateway::{Gateway, Snapshot, Upstream, takeover};

impl Gateway {
    /// Makes the snapshot anew for upstreams whose nodes are others by now, and forgets nodes that have left and have no
    /// conversation any more. Everything else of the snapshot stays as it is.
    pub fn refresh_nodes(&self) {
        let _changing = self.membership.changing.lock();
        let old = self.snapshot();
        let mut upstreams = old.upstreams.clone();
        let mut has_changed = false;
        for (upstream, written) in upstreams.iter_mut().zip(&old.config.upstreams) {
            if written.discovery.is_empty() {
                continue;
            }
            let merged = self.merged(written, Some(upstream));
            if merged.nodes == upstream.config.nodes && !upstream.nodes.nodes().iter().any(is_over) {
                continue;
            }
            let config = model::Upstream { nodes: merged.nodes, ..written.clone() };
            let left = takeover::left(upstream, &config).collect();
            match Upstream::compile(&config, &old.config, &self.registry, left, Some(upstream)) {
                Ok(fresh) => {
                    *upstream = Arc::new(fresh);
                    has_changed = true;
                }
                Err(problems) => {
                    let why: Vec<_> = problems.into_iter().map(|(_, message)| message).collect();
                    self.complain(
                        &config.name,
                        "",
                        vec![format!("the nodes found cannot be used: {}", why.join("; "))],
                    );
                }
            }
        }
        if !has_changed {
            return;
        }
        let fresh = Arc::new(old.with_upstreams(upstreams, &self.registry));
        let is_other = machines(&fresh) != machines(&old);
        self.put(fresh);
        if is_other {
            self.nodes_changed();
        }
    }

    /// The nodes of an upstream: those of the file and those found.
    pub(in crate::gateway) fn merged(&self, written: &model::Upstream, old: Option<&Upstream>) -> Merged {
        if written.discovery.is_empty() {
            return Merged { nodes: written.nodes.clone(), ..Merged::default() };
        }
        let told = self.membership.told.lock();
        let of_upstream = told.get(&written.name);
        let labels: Vec<Arc<str>> = written.discovery.iter().map(|one| Arc::from(one.source.label())).collect();
        let listing = |label: &Arc<str>| of_upstream.and_then(|sources| sources.get(label)?.listing.as_ref());
        let sources: Vec<_> = labels.iter().map(|label| (Arc::clone(label), listing(label))).collect();
        let merged = merge(&written.nodes, &sources, old.map_or(&[], |old| &old.config.nodes));
        drop(told);
        let mut complaints = merged.conflicts.clone();
        complaints.extend(merged.kept.iter().map(|source| {
            format!("{source} knows no node any more, and there is no other: those it told last are kept")
        }));
        self.complain(&written.name, labels.first().map_or("", |label| label), complaints);
        merged
    }

    /// Logs what is new of this.
    fn complain(&self, upstream: &str, source: &str, complaints: Vec<String>) {
        let mut told = self.membership.told.lock();
        let told = told.entry(upstream.to_owned()).or_default().entry(Arc::from(source)).or_default();
        for complaint in complaints.iter().filter(|one| !told.complaints.contains(one)) {
            tracing::warn!(upstream, "discovery: {complaint}");
        }
        told.complaints = complaints;
    }
}

/// Whether a node has left and nothing is left of it.
fn is_over(node: &crate::upstream::Node) -> bool {
    node.has_left && node.live.conversations() == 0 && node.live.requests() == 0
}

/// What is watched and connected to: each machine with its address.
fn machines(snapshot: &Snapshot) -> Vec<(crate::upstream::NodeId, &model::NodeUrl)> {
    let mut machines = Vec::new();
    for upstream in &snapshot.upstreams {
        let urls = upstream.targets.iter().map(|target| &target.url);
        machines.extend(upstream.nodes.nodes().iter().map(|node| node.id).zip(urls));
    }
    machines
}
