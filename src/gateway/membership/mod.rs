//! Nodes that come and go by themselves: what their sources tell, and how it becomes the nodes of an upstream.
//!
//! A source tells all nodes it knows, or that it cannot know ([`Gateway::tell`], [`Gateway::tell_failure`]). What it told
//! last is kept here ([`Membership`]); [`merge()`] puts it together with the nodes of the file; the snapshot is then made anew
//! for the upstream concerned alone. Nodes of the snapshot therefore are the nodes of the file and those found, and whoever
//! reads it need not know which are which.

mod announcement;
mod apply;
pub(super) mod contexts;
mod merge;
mod register;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Gateway, Snapshot};
use crate::affinity::Now;
pub use announcement::read_announcement;
pub use merge::{Listing, Merged, merge};
pub use register::{REGISTER, Registration, Registrations};

/// Nodes of one source at most; a list that is longer is a mistake.
pub const NODES_MAX: usize = 1000;

/// What all sources told last.
#[derive(Debug, Default)]
pub struct Membership {
    /// By upstream, then by label of the source.
    told: Mutex<BTreeMap<String, BTreeMap<Arc<str>, Told>>>,
    /// Nodes that announced themselves.
    registered: Mutex<Registrations>,
    /// Held while a snapshot follows another, so that none is lost.
    changing: Mutex<()>,
}

/// What one source told.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Its last good answer; `None` = there was none yet.
    pub listing: Option<Listing>,
    /// When that was.
    pub at: Option<Now>,
    /// How often it could not tell.
    pub failures: u64,
    /// Why it cannot tell at present.
    pub failing: Option<String>,
    /// Conflicts and losses of sight that were logged.
    complaints: Vec<String>,
}

/// One source, as metrics and the API show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceView {
    /// The upstream.
    pub upstream: String,
    /// Its label.
    pub source: Arc<str>,
    /// How many nodes its last good answer holds.
    pub nodes: usize,
    /// When that was; `None` = there was none yet.
    pub at: Option<Now>,
    /// How often it could not tell.
    pub failures: u64,
    /// Why it cannot tell at present.
    pub failing: Option<String>,
}

impl Gateway {
    /// A source of an upstream tells all nodes it knows. The nodes of the upstream are these when this returns.
    pub fn tell(&self, upstream: &str, source: &str, listing: Listing) {
        if listing.nodes.len() > NODES_MAX {
            let why =
                format!("{} nodes are more than the {NODES_MAX} that one source may tell of", listing.nodes.len());
            return self.tell_failure(upstream, source, &why);
        }
        {
            let mut told = self.membership.told.lock();
            let told = told.entry(upstream.to_owned()).or_default().entry(Arc::from(source)).or_default();
            if told.failing.take().is_some() {
                tracing::info!(upstream, source, nodes = listing.nodes.len(), "discovery works again");
            }
            (told.listing, told.at) = (Some(listing), Some(self.now()));
        }
        self.refresh_nodes();
    }

    /// A source of an upstream cannot tell its nodes. Those it told last stay.
    pub fn tell_failure(&self, upstream: &str, source: &str, why: &str) {
        let mut told = self.membership.told.lock();
        let told = told.entry(upstream.to_owned()).or_default().entry(Arc::from(source)).or_default();
        told.failures += 1;
        if told.failing.as_deref() != Some(why) {
            let kept = told.listing.as_ref().map_or(0, |listing| listing.nodes.len());
            tracing::warn!(upstream, source, why, kept, "discovery fails; the last good answer is kept");
            told.failing = Some(why.to_owned());
        }
    }

    /// As [`Gateway::put`], while no other snapshot is made.
    pub(super) fn put_in_turn(&self, snapshot: Arc<Snapshot>) {
        let _changing = self.membership.changing.lock();
        self.put(snapshot);
    }

    /// What a source of an upstream told last.
    pub fn told(&self, upstream: &str, source: &str) -> Option<Told> {
        self.membership.told.lock().get(upstream)?.get(source).cloned()
    }

    /// A node announces itself, or renews that. False where a node of the file or of another source is in its way; it is not
    /// there then.
    pub fn announce(&self, upstream: &str, registration: Registration) -> bool {
        let name = registration.node.name.clone();
        let listing = {
            let mut registered = self.membership.registered.lock();
            let before = registered.announce(upstream, registration.clone());
            if before.is_some_and(|before| before.node == registration.node) {
                return true;
            }
            registered.listing(upstream, false)
        };
        self.tell(upstream, REGISTER, listing);
        let snapshot = self.snapshot();
        let node = snapshot.upstreams.iter().find(|one| one.config.name == upstream);
        let node = node.and_then(|one| one.config.node(&name)).and_then(|node| node.found.as_ref());
        let is_there = node.is_some_and(|found| &*found.source == REGISTER);
        if !is_there {
            self.take_leave(upstream, &name);
        }
        is_there
    }

    /// A node that announced itself takes its leave: it is drained. False if it was not there.
    pub fn take_leave(&self, upstream: &str, name: &str) -> bool {
        let listing = {
            let mut registered = self.membership.registered.lock();
            if registered.leave(upstream, name).is_none() {
                return false;
            }
            registered.listing(upstream, true)
        };
        self.tell(upstream, REGISTER, listing);
        true
    }

    /// Nodes that announced themselves and have not done so again in time are drained.
    pub fn expire_registrations(&self) {
        let now = self.now();
        let over = self.membership.registered.lock().expire(now);
        for (upstream, node) in &over {
            tracing::warn!(upstream, node, "a registered node has not announced itself in time");
        }
        let mut upstreams: Vec<_> = over.into_iter().map(|(upstream, _)| upstream).collect();
        upstreams.dedup();
        for upstream in upstreams {
            let listing = self.membership.registered.lock().listing(&upstream, false);
            self.tell(&upstream, REGISTER, listing);
        }
    }

    /// All nodes that announced themselves, with their upstreams: for who tells them to others.
    pub fn registered(&self) -> Vec<(String, Registration)> {
        let registered = self.membership.registered.lock();
        registered.each().map(|(upstream, registration)| (upstream.to_owned(), registration.clone())).collect()
    }

    /// All sources of the present configuration.
    pub fn found_by(&self) -> Vec<SourceView> {
        let snapshot = self.snapshot();
        let told = self.membership.told.lock();
        let mut views = Vec::new();
        for upstream in &snapshot.config.upstreams {
            for discovery in &upstream.discovery {
                let label = discovery.source.label();
                let told = told.get(&upstream.name).and_then(|sources| sources.get(&*label)).cloned();
                let told = told.unwrap_or_default();
                views.push(SourceView {
                    upstream: upstream.name.clone(),
                    source: Arc::from(label),
                    nodes: told.listing.map_or(0, |listing| listing.nodes.len()),
                    at: told.at,
                    failures: told.failures,
                    failing: told.failing,
                });
            }
        }
        views
    }
}
