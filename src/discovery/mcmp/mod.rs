//! Nodes that introduce themselves by the mod_cluster protocol: Tomcat and WildFly with the stock client.
//!
//! What nodes say is read in [`command`], what becomes of it decided in [`cluster`], both pure; [`server`] listens. After a
//! restart of ours nobody is known: a node hears so at its next STATUS and introduces itself again.

mod answer;
mod cluster;
mod command;
mod server;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::JoinSet;

use self::answer::Answer;
use self::cluster::{Cluster, Known};
use self::command::Command;
use super::Teller;
use crate::config::model::Source;
use crate::gateway::{Gateway, Upstream};
use crate::upstream::Health;

/// All nodes that introduce themselves.
#[derive(Debug)]
pub(super) struct Mcmp {
    gateway: Arc<Gateway>,
    cluster: Mutex<Cluster>,
}

impl Mcmp {
    /// Who was known to the process before this one is known still.
    pub(super) fn new(gateway: &Arc<Gateway>) -> Arc<Self> {
        let mut cluster = Cluster::new(gateway.now().0);
        let snapshot = gateway.snapshot();
        for upstream in &snapshot.config.upstreams {
            for source in upstream.discovery.iter().map(|one| &one.source) {
                let Source::Mcmp { balancer } = source else { continue };
                let told = gateway.told(&upstream.name, &source.label()).and_then(|told| told.listing);
                cluster.remember(&told.unwrap_or_default().nodes, balancer.as_deref(), gateway.now());
            }
        }
        Arc::new(Self { gateway: Arc::clone(gateway), cluster: Mutex::new(cluster) })
    }

    /// Listens where the present configuration says, until it is dropped.
    pub(super) fn listen(self: &Arc<Self>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(server::run(Arc::clone(self)));
        tasks
    }

    /// Tells all upstreams their nodes; `is_word`: nodes said so themselves.
    pub(super) fn tell(&self, is_word: bool) {
        let snapshot = self.gateway.snapshot();
        for upstream in &snapshot.config.upstreams {
            for source in upstream.discovery.iter().map(|one| &one.source) {
                let Source::Mcmp { balancer } = source else { continue };
                let nodes = self.cluster.lock().nodes(balancer.as_deref());
                let teller = Teller::new(&self.gateway, &upstream.name, source);
                if is_word { teller.says(nodes) } else { teller.sees(nodes) }
            }
        }
    }

    /// Whether nobody has introduced itself.
    pub(super) fn is_empty(&self) -> bool {
        self.cluster.lock().is_empty()
    }

    /// Nodes that have said nothing for too long have gone.
    pub(super) fn expire(&self) {
        let over = self.cluster.lock().expire(self.gateway.now());
        for node in &over {
            tracing::warn!(node, silence = ?cluster::SILENCE_MAX, "a node has not told its status for too long");
        }
        if !over.is_empty() {
            self.tell(false);
        }
    }

    /// What a node is told; `None`: this is no command.
    fn hear(&self, method: &str, target: &str, body: &[u8]) -> Option<Answer> {
        let command = match Command::read(method, target, body)? {
            Ok(command) => command,
            Err(refused) => return Some(Answer::Refused(refused)),
        };
        let snapshot = self.gateway.snapshot();
        let known = |name: &str| known(&snapshot.upstreams, name);
        let answer = self.cluster.lock().take(&command, self.gateway.now(), known);
        if matches!(command, Command::Config(_) | Command::App { .. } | Command::Status { .. }) {
            tracing::debug!(?command, ?answer, "a node says");
            self.tell(true);
        }
        Some(answer)
    }
}

/// What is known of a node besides what it says.
fn known(upstreams: &[Arc<Upstream>], name: &str) -> Known {
    let is_ours = |upstream: &&Arc<Upstream>| {
        upstream.config.discovery.iter().any(|one| matches!(one.source, Source::Mcmp { .. }))
    };
    let mut nodes = upstreams.iter().filter(is_ours).flat_map(|upstream| upstream.nodes.nodes());
    let live = nodes.find(|node| &*node.name == name).map(|node| &node.live);
    live.map_or_else(Known::default, |live| Known { requests: live.requests(), is_down: live.health() == Health::Down })
}
