//! Sources of nodes: who tells which nodes an upstream has, besides its file.
//!
//! One task a source, on the runtime of the control plane. It tells what it finds to its [`Teller`], whole lists only; what
//! becomes of them is decided in [`crate::gateway::merge`]. A reload ends the tasks of sources that are no longer configured and
//! starts those that are new; the others go on.

mod dns;
mod file;
mod mcmp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use self::mcmp::Mcmp;
use crate::config::model::{FoundNode, Source};
use crate::gateway::{Gateway, Listing};

pub use file::read as read_file;

/// Between two looks at registrations, and at nodes that have left.
const PERIOD: Duration = Duration::from_secs(1);

/// One source of one upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    upstream: String,
    source: Source,
}

/// Where a source tells what it finds.
#[derive(Debug, Clone)]
pub struct Teller {
    gateway: Arc<Gateway>,
    upstream: String,
    source: String,
}

impl Teller {
    /// For this source of this upstream.
    pub fn new(gateway: &Arc<Gateway>, upstream: &str, source: &Source) -> Self {
        Self { gateway: Arc::clone(gateway), upstream: upstream.to_owned(), source: source.label() }
    }

    /// These are all nodes it sees. Those that are missing are drained; none at all counts only where the upstream has others.
    pub fn sees(&self, nodes: Vec<FoundNode>) {
        self.gateway.tell(&self.upstream, &self.source, Listing::seen(nodes));
    }

    /// These are all nodes; those that are missing have taken their leave themselves.
    pub fn says(&self, nodes: Vec<FoundNode>) {
        self.gateway.tell(&self.upstream, &self.source, Listing::said(nodes));
    }

    /// It cannot tell at present: what it told last holds.
    pub fn fails(&self, why: impl std::fmt::Display) {
        self.gateway.tell_failure(&self.upstream, &self.source, &why.to_string());
    }
}

/// Reads what can be read without waiting for anybody, so that the first request finds nodes: to be called before serving.
pub fn prime(gateway: &Arc<Gateway>) {
    for wanted in wanted(gateway) {
        if let Source::File(path) = &wanted.source {
            file::tell(path, &Teller::new(gateway, &wanted.upstream, &wanted.source));
        }
    }
}

/// Follows the sources of the present configuration, and of each that follows. Never returns; dropping it ends all tasks.
pub async fn run(gateway: Arc<Gateway>) {
    let mut reloads = gateway.reloaded();
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut running: Vec<(Wanted, JoinSet<()>)> = Vec::new();
    let mcmp = Mcmp::new(&gateway);
    let mut listening: Option<(SocketAddr, JoinSet<()>)> = None;
    loop {
        reloads.mark_unchanged();
        let mut before = std::mem::take(&mut running);
        for wanted in wanted(&gateway) {
            let known = before.iter().position(|(one, _)| *one == wanted).map(|index| before.swap_remove(index).1);
            let tasks = known.unwrap_or_else(|| begin(&gateway, &wanted));
            running.push((wanted, tasks));
        }
        drop(before);
        let address = gateway.snapshot().config.mcmp.as_ref().map(|config| config.address);
        if listening.as_ref().map(|(address, _)| *address) != address {
            // First the old one ends.
            drop(listening.take());
            listening = address.map(|address| (address, mcmp.listen()));
        }
        if !mcmp.is_empty() {
            mcmp.tell(true);
        }
        loop {
            tokio::select! {
                // The sender lives in the gateway, which lives as long as this.
                _ = reloads.changed() => break,
                _ = ticks.tick() => {
                    gateway.expire_registrations();
                    mcmp.expire();
                    gateway.refresh_nodes();
                }
            }
        }
    }
}

fn wanted(gateway: &Gateway) -> Vec<Wanted> {
    let snapshot = gateway.snapshot();
    let of = |upstream: &crate::config::model::Upstream| {
        let name = upstream.name.clone();
        let wanted = |source: &Source| Wanted { upstream: name.clone(), source: source.clone() };
        upstream.discovery.iter().map(|one| wanted(&one.source)).collect::<Vec<_>>()
    };
    snapshot.config.upstreams.iter().flat_map(of).collect()
}

/// Starts following one source.
fn begin(gateway: &Arc<Gateway>, wanted: &Wanted) -> JoinSet<()> {
    let teller = Teller::new(gateway, &wanted.upstream, &wanted.source);
    let mut tasks = JoinSet::new();
    match wanted.source.clone() {
        Source::File(path) => {
            tasks.spawn(file::follow(path, teller));
        }
        Source::Dns(config) => {
            tasks.spawn(dns::follow(config, teller));
        }
        // The admin API hears the nodes themselves, and so does the one listener for all that introduce themselves.
        Source::Register | Source::Mcmp { .. } => {}
    }
    tasks
}
