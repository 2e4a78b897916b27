//! One configuration, compiled: immutable, shared by all workers, held by each request from beginning to end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};

use super::membership::contexts;
use super::rewriting::Rewriting;
use super::routes::{Route, Routes};
use super::sealed::SealedCookie;
use super::{takeover, tls};
use crate::affinity::{OnNodeDown, Policy, SharedSessions, UnknownKey};
use crate::config::model;
use crate::session::RuleSet;
use crate::session::spec::{self, Connection, Mark, Ttl};
use crate::soap;
use crate::telemetry::series::{Book, Series};
use crate::upstream::{Balance, NodeId, NodeLimits, NodeSet, NodeSpec, Registry, UpstreamEvents};

/// One configuration, compiled.
#[derive(Debug)]
pub struct Snapshot {
    /// What it was compiled from.
    pub config: model::Config,
    /// The routes, in order.
    pub routes: Routes,
    /// The upstreams, in file order.
    pub upstreams: Vec<Arc<Upstream>>,
    /// The listeners, in file order.
    pub listeners: Vec<ListenerSetup>,
    /// TLS of the admin listener, which speaks HTTP/1.1 only; `None` = clear text.
    pub admin_tls: Option<Arc<ServerConfig>>,
    /// TLS of the listener for nodes that introduce themselves; `None` = clear text.
    pub mcmp_tls: Option<Arc<ServerConfig>>,
    /// Limits of reading messages.
    pub inspect: soap::Limits,
}

/// A listener with its TLS set-up.
#[derive(Debug, Clone)]
pub struct ListenerSetup {
    /// As configured.
    pub config: Arc<model::Listener>,
    /// `None` = clear text.
    pub tls: Option<Arc<ServerConfig>>,
}

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);

/// An upstream, ready to serve.
#[derive(Debug)]
pub struct Upstream {
    /// Differs for every upstream of every configuration, and where a node has moved: idle node connections of an old one are
    /// not used by a new one.
    pub serial: u64,
    /// As configured.
    pub config: model::Upstream,
    /// Its rules; none where it is not sticky.
    pub rules: RuleSet,
    /// Its nodes.
    pub nodes: NodeSet,
    /// Where each node of `nodes` listens, by the same index.
    pub targets: Vec<Target>,
    /// Its stickiness, in the table's terms.
    pub policy: Policy,
    /// What is counted of it.
    pub events: Arc<UpstreamEvents>,
    /// How node connections are shared.
    pub connection: Connection,
    /// The sealed cookie, if there is one.
    pub cookie: Option<SealedCookie>,
    /// What is rewritten; `None` = nothing.
    pub rewriting: Option<Rewriting>,
    /// TLS towards its nodes; `None` where no URL is `https`.
    pub tls: Option<Arc<ClientConfig>>,
    /// What is counted at each node of `nodes`, by the same index, and last where none was found. Set when it begins to serve.
    series: OnceLock<Vec<Arc<Series>>>,
}

/// Where a node listens.
#[derive(Debug, Clone)]
pub struct Target {
    /// As configured.
    pub url: model::NodeUrl,
    /// Its authority, as a `Host` field carries it.
    pub authority: String,
    /// With `https`: the name its certificate is checked for.
    pub server_name: Option<ServerName<'static>>,
}

/// Why a configuration cannot be compiled, with the places in the file where known.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(|(_, message)| message.as_str()).collect::<Vec<_>>().join("; "))]
pub struct SnapshotError(pub Vec<(Mark, String)>);

impl Snapshot {
    /// Compiles a configuration. Machines that `registry` knows keep their living state.
    ///
    /// # Errors
    /// Every problem.
    pub fn compile(config: model::Config, registry: &Registry) -> Result<Self, SnapshotError> {
        Self::compile_after(config, registry, None)
    }

    /// Compiles a configuration that follows `old`: nodes that it names no longer stay for the conversations they have.
    ///
    /// # Errors
    /// Every problem.
    pub fn compile_after(
        config: model::Config,
        registry: &Registry,
        old: Option<&Self>,
    ) -> Result<Self, SnapshotError> {
        Self::compile_with(config, registry, old, |upstream, _| upstream.nodes.clone())
    }

    /// As [`Snapshot::compile_after`]; `nodes` gives all nodes of an upstream, those found included, by the file's word and the
    /// upstream before it.
    ///
    /// # Errors
    /// Every problem.
    pub fn compile_with(
        config: model::Config,
        registry: &Registry,
        old: Option<&Self>,
        nodes: impl Fn(&model::Upstream, Option<&Upstream>) -> Vec<model::Node>,
    ) -> Result<Self, SnapshotError> {
        let mut problems = Vec::new();
        let mut upstreams = Vec::new();
        for upstream in &config.upstreams {
            let old = old.and_then(|old| old.upstreams.iter().find(|one| one.config.name == upstream.name));
            let old = old.map(|old| &**old);
            let upstream = model::Upstream { nodes: nodes(upstream, old), ..upstream.clone() };
            let left = old.into_iter().flat_map(|old| takeover::left(old, &upstream)).collect();
            match Upstream::compile(&upstream, &config, registry, left, None) {
                Ok(upstream) => upstreams.push(Arc::new(upstream)),
                Err(mut found) => problems.append(&mut found),
            }
        }
        let mut listeners = Vec::new();
        for listener in &config.listeners {
            let tls = match listener.tls.as_ref().map(tls::server).transpose() {
                Ok(tls) => tls,
                Err(error) => {
                    let at = listener.tls.as_ref().map_or(listener.at, |tls| tls.at);
                    problems.push((at, format!("listeners.{}.tls: {error}", listener.name)));
                    None
                }
            };
            listeners.push(ListenerSetup { config: Arc::new(listener.clone()), tls });
        }
        let mut plain = |key: &str, tls: &model::ListenerTls| match tls::server(tls) {
            Ok(server) => {
                let mut server = ServerConfig::clone(&server);
                server.alpn_protocols = vec![b"http/1.1".to_vec()];
                Some(Arc::new(server))
            }
            Err(error) => {
                problems.push((tls.at, format!("{key}.tls: {error}")));
                None
            }
        };
        let admin_tls = config.admin.tls.as_ref().and_then(|tls| plain("admin", tls));
        let mcmp_tls = config.mcmp.as_ref().and_then(|mcmp| plain("mcmp", mcmp.tls.as_ref()?));
        if !problems.is_empty() {
            return Err(SnapshotError(problems));
        }
        let routes = routes(&config, &upstreams, registry);
        let inspect = soap::Limits {
            bytes: config.inspect.bytes_per_message,
            depth: config.inspect.depth,
            attributes: config.inspect.attributes,
            value_bytes: config.inspect.value_bytes,
        };
        Ok(Self { routes: Routes::new(routes), upstreams, listeners, admin_tls, mcmp_tls, inspect, config })
    }
}

/// The routes of the file, then those to what found nodes serve.
fn routes(config: &model::Config, upstreams: &[Arc<Upstream>], registry: &Registry) -> Vec<Route> {
    let by_name: HashMap<&str, &Arc<Upstream>> =
        upstreams.iter().map(|upstream| (upstream.config.name.as_str(), upstream)).collect();
    let route = |route: &model::Route| Some(Route::new(route.clone(), Arc::clone(by_name.get(&*route.upstream)?)));
    let by_host = config.mcmp.as_ref().is_none_or(|mcmp| mcmp.use_alias);
    let found = upstreams.iter().flat_map(|upstream| contexts::routes(upstream, config, registry, by_host));
    config.routes.iter().filter_map(route).chain(found).collect()
}

impl Snapshot {
    /// The same configuration with other nodes; the upstreams are in the same order.
    pub(super) fn with_upstreams(&self, upstreams: Vec<Arc<Upstream>>, registry: &Registry) -> Self {
        Self {
            routes: Routes::new(routes(&self.config, &upstreams, registry)),
            upstreams,
            listeners: self.listeners.clone(),
            admin_tls: self.admin_tls.clone(),
            mcmp_tls: self.mcmp_tls.clone(),
            inspect: self.inspect,
            config: self.config.clone(),
        }
    }

    /// From now on its requests are counted in this book.
    pub(super) fn count_in(&self, book: &Book) {
        for upstream in self.upstreams.iter().chain(self.routes.iter().map(|route| &route.upstream)) {
            let names = upstream.nodes.nodes().iter().map(|node| &*node.name).chain([""]);
            upstream.series.get_or_init(|| names.map(|node| book.series(&upstream.config.name, node)).collect());
        }
    }
}

impl Upstream {
    /// `left`: nodes that the configuration names no longer. `same`: was compiled from the same file, so that what does not depend
    /// on nodes is taken from it.
    pub(super) fn compile(
        config: &model::Upstream,
        all: &model::Config,
        registry: &Registry,
        left: Vec<(NodeSpec, Target)>,
        same: Option<&Self>,
    ) -> Result<Self, Vec<(Mark, String)>> {
        let mut problems = Vec::new();
        let rules = compile_rules(config, all).unwrap_or_else(|mut found| {
            problems.append(&mut found);
            RuleSet::default()
        });
        let mut specs = Vec::new();
        let mut targets = Vec::new();
        for node in &config.nodes {
            let live = match &node.found {
                Some(found) => registry.found(&config.affinity_group, &node.name, &found.identity),
                None => registry.written(&config.affinity_group, &node.name, &node.url.to_string()),
            };
            let successor = node.successor.as_ref().map(|name| registry.machine(&config.affinity_group, name).id());
            specs.push(NodeSpec {
                live,
                weight: node.weight,
                routes: node.route.iter().map(|tag| tag.as_bytes().into()).collect(),
                group: node.group.as_deref().map(Arc::from),
                successor,
                // A connection carries one request at a time: who would have to wait for one waits in the node's queue.
                limits: NodeLimits {
                    requests: config.limits.requests.min(config.limits.connections),
                    connections: config.limits.connections,
                },
                slow_start_ms: u64::try_from(config.health.slow_start.as_millis()).unwrap_or(u64::MAX),
                has_left: false,
                rests: node.found.as_ref().is_some_and(|found| found.rests),
            });
            targets.push(target(node, config, &mut problems));
        }
        for (spec, target) in left {
            specs.push(spec);
            targets.push(target);
        }
        let needs_tls = targets.iter().any(|target| target.url.scheme == model::Scheme::Https);
        let known = same.and_then(|same| same.tls.clone());
        let set_up = || known.map_or_else(|| tls::client(&config.tls.clone().unwrap_or_default()), Ok);
        let tls = needs_tls.then(set_up).transpose();
        let tls = tls.unwrap_or_else(|error| {
            let at = config.tls.as_ref().map_or(config.at, |tls| tls.at);
            problems.push((at, format!("upstreams.{}.tls: {error}", config.name)));
            None
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        let has_moved = |(spec, target): (&NodeSpec, &Target)| {
            same.and_then(|same| same.target(spec.live.id())).is_some_and(|was| was.url != target.url)
        };
        // Connections to nodes that stay where they are stay in use.
        let serial = same.filter(|_| !specs.iter().zip(&targets).any(has_moved)).map(|same| same.serial);
        Ok(Self {
            serial: serial.unwrap_or_else(|| NEXT_SERIAL.fetch_add(1, Ordering::Relaxed)),
            policy: policy(config, &rules),
            events: registry.events(&config.name),
            connection: config.connection.unwrap_or(rules.connection()),
            cookie: config
                .sticky
                .as_ref()
                .and_then(|sticky| sticky.cookie.as_ref())
                .map(|cookie| SealedCookie::new(cookie, &config.affinity_group)),
            rewriting: Rewriting::compile(config, &rules),
            rules,
            nodes: NodeSet::new(balance(config.balance), specs).with_panic(config.health.observe.panic),
            targets,
            tls,
            series: OnceLock::new(),
            config: config.clone(),
        })
    }

    /// Where requests given to this node are counted; `None`: to none.
    pub fn series(&self, node: Option<NodeId>) -> Option<&Series> {
        let all = self.series.get()?;
        let index = node.and_then(|node| self.nodes.index(node)).unwrap_or(all.len() - 1);
        all.get(index).map(Arc::as_ref)
    }

    /// Whether an answer that gives a moved conversation a new session is not to pass.
    pub fn guards_sessions(&self) -> bool {
        let sticky = self.config.sticky.as_ref();
        sticky.is_some_and(|sticky| sticky.on_session_replaced == model::OnSessionReplaced::Fault)
    }

    /// Where this node listens.
    pub fn target(&self, node: NodeId) -> Option<&Target> {
        self.nodes.index(node).map(|index| &self.targets[index])
    }
}

/// Compiles the rules of an upstream, as the file and its presets give them.
pub(super) fn compile_rules(config: &model::Upstream, all: &model::Config) -> Result<RuleSet, Vec<(Mark, String)>> {
    let Some(sticky) = &config.sticky else { return Ok(RuleSet::default()) };
    let ttl = Ttl { idle: sticky.ttl.idle, max: sticky.ttl.max, linger: sticky.ttl.linger, from: None };
    RuleSet::compile(&sticky.rules, &all.namespaces, &ttl)
}

fn target(node: &model::Node, config: &model::Upstream, problems: &mut Vec<(Mark, String)>) -> Target {
    let server_name = (node.url.scheme == model::Scheme::Https).then(|| {
        let name = config.tls.as_ref().and_then(|tls| tls.server_name.clone()).unwrap_or_else(|| node.url.host.clone());
        ServerName::try_from(name.clone())
            .map_err(|_| problems.push((node.at, format!("{name} is no name that a certificate can be checked for"))))
            .ok()
    });
    Target { authority: node.url.authority(), server_name: server_name.flatten(), url: node.url.clone() }
}

fn balance(balance: model::Balance) -> Balance {
    match balance {
        model::Balance::RoundRobin => Balance::RoundRobin,
        model::Balance::LeastRequests => Balance::LeastRequests,
        model::Balance::LeastConversations => Balance::LeastConversations,
        model::Balance::Random => Balance::Random,
        model::Balance::Hash => Balance::Hash,
    }
}

fn policy(config: &model::Upstream, rules: &RuleSet) -> Policy {
    let defaults = model::Sticky::default();
    let sticky = config.sticky.as_ref().unwrap_or(&defaults);
    let ttl = rules.ttl();
    Policy {
        pins: rules.keys().iter().any(|key| key.role == spec::Role::Pin),
        idle: ttl.idle,
        max: ttl.max,
        linger: ttl.linger,
        unknown_key: match sticky.unknown_key {
            model::UnknownKey::Reject => UnknownKey::Reject,
            model::UnknownKey::Balance => UnknownKey::Balance,
            model::UnknownKey::AskNodes => UnknownKey::AskNodes,
        },
        on_node_down: match sticky.on_node_down {
            model::OnNodeDown::Failover => OnNodeDown::Failover,
            model::OnNodeDown::Fault => OnNodeDown::Fault,
            model::OnNodeDown::Wait => OnNodeDown::Wait,
        },
        nodes_share_sessions: match config.nodes_share_sessions {
            model::NodesShareSessions::None => SharedSessions::None,
            model::NodesShareSessions::All => SharedSessions::All,
            model::NodesShareSessions::Group => SharedSessions::Group,
        },
        concurrency: sticky.concurrency.map(std::num::NonZeroU32::get),
        keys_per_conversation: sticky.keys_per_conversation as usize,
        ..Policy::default()
    }
}
