//! Nodes as the API shows and changes them.

use serde::Serialize;

use crate::gateway::Gateway;
use crate::upstream::{Admin, Health, Node};

/// One node of one upstream.
#[derive(Debug, Serialize)]
pub struct NodeView {
    /// The upstream.
    pub upstream: String,
    /// The node's name.
    pub node: String,
    /// Its affinity group: equal names in one group are one machine, with one state and one set of numbers.
    pub affinity_group: String,
    /// Where it listens.
    pub url: String,
    /// `ready`, `drain` or `maint`: what holds.
    pub state: &'static str,
    /// Who names it: `config`, or the source that found it; `None` = nobody does any longer.
    pub source: Option<String>,
    /// What the file, or that source, says; `None` = it names the node no longer, whose conversations go on there until they end.
    pub file_state: Option<&'static str>,
    /// `unknown`, `up` or `down`.
    pub health: &'static str,
    /// For how many milliseconds more it gets no new conversation because it failed; 0 = it does.
    pub ejected_ms: u64,
    /// For how many milliseconds more it gets new conversations slowly; 0 = it gets its whole share.
    pub slow_start_ms: u64,
    /// Conversations pinned to it.
    pub conversations: u64,
    /// Requests it works on.
    pub requests: u32,
    /// Open connections.
    pub connections: u32,
    /// Of these, those that wait for a request.
    pub idle_connections: u32,
    /// Requests it was given since the start.
    pub requests_total: u64,
    /// Connects that failed and exchanges it did not finish, since the start.
    pub failures_total: u64,
    /// Answers that blame the node itself, since the start.
    pub receiver_faults_total: u64,
}

/// One node, and how long it will still have conversations.
#[derive(Debug, Serialize)]
pub struct NodeOutlook {
    #[serde(flatten)]
    node: NodeView,
    /// Why not all conversations of the fleet are counted at present.
    uncounted: Option<String>,
    outlook: OutlookView,
}

#[derive(Debug, Serialize)]
struct OutlookView {
    in_flight: u64,
    half_idle_ms: u64,
    all_idle_ms: u64,
    at_the_latest_ms: Option<u64>,
}

/// All nodes of the present configuration, in file order.
pub fn all(gateway: &Gateway) -> Vec<NodeView> {
    let snapshot = gateway.snapshot();
    let now_ms = gateway.now().0;
    let of = |upstream: &std::sync::Arc<crate::gateway::Upstream>| {
        let nodes = upstream.nodes.nodes().iter().zip(&upstream.targets);
        nodes.map(|(node, target)| view(upstream, node, target, now_ms)).collect::<Vec<_>>()
    };
    snapshot.upstreams.iter().flat_map(of).collect()
}

fn view(upstream: &crate::gateway::Upstream, node: &Node, target: &crate::gateway::Target, now_ms: u64) -> NodeView {
    let live = &node.live;
    NodeView {
        upstream: upstream.config.name.clone(),
        node: node.name.to_string(),
        affinity_group: live.group().to_string(),
        url: target.url.to_string(),
        state: state_text(live.admin()),
        source: upstream
            .config
            .node(&node.name)
            .filter(|_| !node.has_left)
            .map(|node| node.found.as_ref().map_or_else(|| "config".to_owned(), |found| found.source.to_string())),
        file_state: upstream.state_in_file(&node.name).map(state_text),
        health: health_text(live.health()),
        ejected_ms: live.ejected_until_ms().saturating_sub(now_ms),
        slow_start_ms: node.slow_start_ms.saturating_sub(live.there_for_ms(now_ms)),
        conversations: live.conversations(),
        requests: live.requests(),
        connections: live.connections(),
        idle_connections: live.idle_connections(),
        requests_total: live.served(),
        failures_total: live.failures(),
        receiver_faults_total: live.receiver_faults(),
    }
}

/// One node with its outlook; `None` where there is no such node. Costs a look at every conversation.
pub fn one(gateway: &Gateway, upstream: &str, node: &str) -> Option<NodeOutlook> {
    let snapshot = gateway.snapshot();
    let upstream = snapshot.upstreams.iter().find(|one| one.config.name == upstream)?;
    let mut nodes = upstream.nodes.nodes().iter().zip(&upstream.targets);
    let (node, target) = nodes.find(|(one, _)| &*one.name == node)?;
    let now = gateway.now();
    let outlook = gateway.affinity.outlook(node.id, now);
    Some(NodeOutlook {
        node: view(upstream, node, target, now.0),
        uncounted: super::fleet::uncounted(gateway),
        outlook: OutlookView {
            in_flight: outlook.in_flight,
            half_idle_ms: outlook.half_idle_ms,
            all_idle_ms: outlook.all_idle_ms,
            at_the_latest_ms: outlook.at_the_latest_ms,
        },
    })
}

/// Changes the administrative state of a node, and gives its state before; `None` where there is no such node. The state
/// holds until it is changed again: a reload keeps it, unless the file says another state than it did before.
pub fn set_state(gateway: &Gateway, upstream: &str, node: &str, state: Admin) -> Option<Admin> {
    let snapshot = gateway.snapshot();
    let upstream = snapshot.upstreams.iter().find(|one| one.config.name == upstream)?;
    let node = upstream.nodes.nodes().iter().find(|one| &*one.name == node)?;
    Some(node.live.set_admin_at(state, gateway.now().0))
}

/// The name under which a fleet keeps the state of this node; `None` where there is no such node.
pub fn fleet_name(gateway: &Gateway, upstream: &str, node: &str) -> Option<String> {
    let snapshot = gateway.snapshot();
    let upstream = snapshot.upstreams.iter().find(|one| one.config.name == upstream)?;
    let node = upstream.nodes.nodes().iter().find(|one| &*one.name == node)?;
    Some(Gateway::state_name(node.live.group(), &node.name))
}

/// The word for an administrative state.
pub fn state_text(state: Admin) -> &'static str {
    match state {
        Admin::Ready => "ready",
        Admin::Drain => "drain",
        Admin::Maint => "maint",
    }
}

/// The administrative state of a word.
pub fn state_of(word: &str) -> Option<Admin> {
    [Admin::Ready, Admin::Drain, Admin::Maint].into_iter().find(|state| state_text(*state) == word)
}

/// The word for a health.
pub fn health_text(health: Health) -> &'static str {
    match health {
        Health::Unknown => "unknown",
        Health::Up => "up",
        Health::Down => "down",
    }
}
