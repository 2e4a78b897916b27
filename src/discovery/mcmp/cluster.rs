//! Who has introduced itself, and what becomes of it by what it says. Pure: a message and a time in, an answer out.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::answer::{Answer, Refused};
use super::command::{App, Command, Config, Which};
use crate::affinity::Now;
use crate::config::model::{AdminState, Context, FoundNode};

/// A node that says nothing for so long has gone: six times the usual period of STATUS.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Nodes, and applications of one node, at most.
const MANY: usize = crate::gateway::NODES_MAX;
/// What a node is worth before its first STATUS.
const LOAD: i32 = 1;

/// All nodes that have introduced themselves, by JVMRoute.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    nodes: BTreeMap<String, Member>,
    /// Tells nodes which process answers: the time of its start.
    id: u64,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    config: Config,
    apps: BTreeMap<(String, Vec<String>), Standing>,
    /// All applications were disabled or stopped at once.
    drains: bool,
    load: i32,
    heard: Now,
}

/// Where an application stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Enabled,
    Disabled,
    Stopped,
}

/// What the gateway knows of a node besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// Requests that it works on.
    pub requests: u32,
    /// Whether checks say that it is down.
    pub is_down: bool,
}

impl Cluster {
    /// Nobody is known. `id` differs between processes.
    pub fn new(id: u64) -> Self {
        Self { nodes: BTreeMap::new(), id }
    }

    /// Who was known to the process before this one, as nodes of this balancer, is known still.
    pub fn remember(&mut self, nodes: &[FoundNode], balancer: Option<&str>, now: Now) {
        for node in nodes {
            let apps = node.contexts.iter().flat_map(|contexts| contexts.iter()).map(|context| {
                let standing = if context.takes_new { Standing::Enabled } else { Standing::Disabled };
                ((context.path.clone(), context.hosts.clone()), standing)
            });
            let config = Config {
                node: node.name.clone(),
                url: node.url.clone(),
                domain: node.group.clone(),
                balancer: balancer.map(str::to_owned),
            };
            let drains = node.state == AdminState::Drain;
            let member = Member { config, apps: apps.collect(), drains, load: node.weight.into(), heard: now };
            self.nodes.entry(node.name.clone()).or_insert(member);
        }
    }

    /// Takes what a node says. `known` tells what the gateway knows of a node.
    pub fn take(&mut self, command: &Command, now: Now, known: impl Fn(&str) -> Known) -> Answer {
        match command {
            Command::Config(config) => self.introduce(config, now),
            Command::App { what, node, which } => {
                let requests = known(node).requests;
                self.app(*what, node, which.as_ref(), requests, now)
            }
            Command::Status { node, load } => match self.nodes.get_mut(node) {
                None => Answer::Refused(Refused::unknown_node()),
                Some(member) => {
                    member.heard = now;
                    member.load = load.map_or(member.load, |load| load.clamp(-1, 100));
                    let state = if known(node).is_down { "NOTOK" } else { "OK" };
                    Answer::Text(format!("Type=STATUS-RSP&JVMRoute={node}&State={state}&id={}", self.id))
                }
            },
            Command::Ping { node: None, by_address } => {
                // Nobody makes us connect to an address of their choice.
                let state = if *by_address { "NOTOK" } else { "OK" };
                Answer::Text(format!("Type=PING-RSP&State={state}&id={}", self.id))
            }
            Command::Ping { node: Some(node), .. } if !self.nodes.contains_key(node) => {
                Answer::Refused(Refused::unknown_node())
            }
            Command::Ping { node: Some(node), .. } => {
                let state = if known(node).is_down { "NOTOK" } else { "OK" };
                Answer::Text(format!("Type=PING-RSP&JVMRoute={node}&State={state}&id={}", self.id))
            }
            Command::Info => Answer::Text(self.info()),
            Command::Dump => Answer::Text(self.dump()),
            Command::Version => {
                Answer::Text(concat!("release: castile/", env!("CARGO_PKG_VERSION"), ", protocol: 0.2.1").to_owned())
            }
        }
    }

    /// A node is there, with the applications it had if it is the same one. Who had its address has gone.
    fn introduce(&mut self, config: &Config, now: Now) -> Answer {
        self.nodes.retain(|name, member| *name == config.node || member.config.url != config.url);
        if self.nodes.len() >= MANY && !self.nodes.contains_key(&config.node) {
            return Answer::Refused(Refused::unknown_node());
        }
        let fresh = Member { config: config.clone(), apps: BTreeMap::new(), drains: false, load: LOAD, heard: now };
        let member = self.nodes.entry(config.node.clone()).or_insert_with(|| fresh.clone());
        if member.config.url == config.url {
            (member.config, member.heard) = (config.clone(), now);
        } else {
            *member = fresh;
        }
        Answer::Good
    }

    fn app(&mut self, what: App, node: &str, which: Option<&Which>, requests: u32, now: Now) -> Answer {
        let Some(member) = self.nodes.get_mut(node) else {
            return match what {
                // It has gone, as it wants to; messages come twice.
                App::Remove => Answer::Good,
                App::Stop => stopped(node, which, 0),
                App::Enable | App::Disable => Answer::Refused(Refused::unknown_node()),
            };
        };
        member.heard = now;
        let standing = match what {
            App::Enable => Some(Standing::Enabled),
            App::Disable => Some(Standing::Disabled),
            App::Stop => Some(Standing::Stopped),
            App::Remove => None,
        };
        match (which, standing) {
            (None, None) => {
                self.nodes.remove(node);
            }
            (None, Some(standing)) => {
                member.apps.values_mut().for_each(|app| *app = standing);
                member.drains = standing != Standing::Enabled;
            }
            (Some(which), standing) => {
                for path in &which.paths {
                    let key = (path.clone(), which.hosts.clone());
                    match standing {
                        None => {
                            member.apps.remove(&key);
                        }
                        Some(standing) if member.apps.len() < MANY || member.apps.contains_key(&key) => {
                            member.apps.insert(key, standing);
                        }
                        Some(_) => {}
                    }
                }
                member.drains &= what != App::Enable;
            }
        }
        if what == App::Stop { stopped(node, which, requests) } else { Answer::Good }
    }

    /// Whether nobody has introduced itself.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Forgets who has said nothing for too long, and gives their names.
    pub fn expire(&mut self, now: Now) -> Vec<String> {
        let silence = SILENCE_MAX.as_millis() as u64;
        let is_over = |member: &Member| member.heard.0.saturating_add(silence) <= now.0;
        let over: Vec<_> = self.nodes.iter().filter(|(_, one)| is_over(one)).map(|(name, _)| name.clone()).collect();
        self.nodes.retain(|_, member| !is_over(member));
        over
    }

    /// The nodes for an upstream: all, or those that want to belong to this balancer.
    pub fn nodes(&self, balancer: Option<&str>) -> Vec<FoundNode> {
        let of = |member: &&Member| balancer.is_none() || member.config.balancer.as_deref() == balancer;
        let members: Vec<&Member> = self.nodes.values().filter(of).collect();
        let takes = |member: &Member| !member.drains && member.apps.values().any(|app| *app == Standing::Enabled);
        let is_somebody_working = members.iter().any(|member| takes(member) && member.load > 0);
        let node =
            |member: &Member| {
                let contexts =
                    member.apps.iter().filter(|(_, app)| **app != Standing::Stopped).map(|((path, hosts), app)| {
                        Context { hosts: hosts.clone(), path: path.clone(), takes_new: *app == Standing::Enabled }
                    });
                let stands_by = member.load == 0 && is_somebody_working;
                FoundNode {
                    weight: u16::try_from(member.load.max(1)).unwrap_or(1),
                    route: vec![member.config.node.clone()],
                    group: member.config.domain.clone(),
                    state: if member.drains { AdminState::Drain } else { AdminState::Ready },
                    rests: member.load < 0 || stands_by || !takes(member),
                    contexts: Some(contexts.collect::<Vec<_>>().into()),
                    ..FoundNode::new(member.config.node.clone(), member.config.url.clone())
                }
            };
        members.into_iter().map(node).collect()
    }

    /// As mod_cluster writes it.
    fn info(&self) -> String {
        let mut text = String::new();
        for (number, member) in (1..).zip(self.nodes.values()) {
            let Config { node, url, domain, balancer } = &member.config;
            let (domain, balancer) =
                (domain.as_deref().unwrap_or_default(), balancer.as_deref().unwrap_or("mycluster"));
            let _ = writeln!(
                text,
                "Node: [{number}],Name: {node},Balancer: {balancer},LBGroup: {domain},Host: {},Port: {},Type: {},\
                 Flushpackets: Off,Flushwait: 10,Ping: 10,Smax: 1,Ttl: 60,Elected: 0,Read: 0,Transfered: 0,Connected: 0,Load: {}",
                url.host,
                url.port,
                kind(member),
                member.load
            );
        }
        for (number, member) in (1..).zip(self.nodes.values()) {
            for (vhost, (hosts, apps)) in (1..).zip(member.by_hosts()) {
                for (alias, host) in (1..).zip(hosts) {
                    let _ = writeln!(text, "Vhost: [{number}:{vhost}:{alias}], Alias: {host}");
                }
                for (app, (path, standing)) in (1..).zip(apps) {
                    let word = match standing {
                        Standing::Enabled => "ENABLED",
                        Standing::Disabled => "DISABLED",
                        Standing::Stopped => "STOPPED",
                    };
                    let _ =
                        writeln!(text, "Context: [{number}:{vhost}:{app}], Context: {}, Status: {word}", shown(path));
                }
            }
        }
        text
    }

    /// As mod_cluster writes it.
    fn dump(&self) -> String {
        let mut text = String::new();
        for (number, member) in (1..).zip(self.nodes.values()) {
            let Config { node, url, domain, balancer } = &member.config;
            let (domain, balancer) =
                (domain.as_deref().unwrap_or_default(), balancer.as_deref().unwrap_or("mycluster"));
            let _ = writeln!(
                text,
                "node: [{number}:{number}],Balancer: {balancer},JVMRoute: {node},LBGroup: [{domain}],Host: {},Port: {},Type: {},\
                 flushpackets: 0,flushwait: 10,ping: 10,smax: 1,ttl: 60,timeout: 0",
                url.host,
                url.port,
                kind(member)
            );
        }
        for (number, member) in (1..).zip(self.nodes.values()) {
            for (vhost, (hosts, apps)) in (1..).zip(member.by_hosts()) {
                for (alias, host) in (1..).zip(hosts) {
                    let _ = writeln!(text, "host: {alias} [{host}] vhost: {vhost} node: {number}");
                }
                for (app, (path, standing)) in (1..).zip(apps) {
                    let status = standing as u8 + 1;
                    let _ = writeln!(
                        text,
                        "context: {app} [{}] vhost: {vhost} node: {number} status: {status}",
                        shown(path)
                    );
                }
            }
        }
        text
    }
}

impl Member {
    /// Its applications, by the hosts they are for.
    fn by_hosts(&self) -> BTreeMap<&[String], Vec<(&str, Standing)>> {
        let mut by_hosts: BTreeMap<&[String], Vec<(&str, Standing)>> = BTreeMap::new();
        for ((path, hosts), standing) in &self.apps {
            by_hosts.entry(hosts).or_default().push((path, *standing));
        }
        by_hosts
    }
}

fn kind(member: &Member) -> &'static str {
    match member.config.url.scheme {
        crate::config::model::Scheme::Http => "http",
        crate::config::model::Scheme::Https => "https",
    }
}

fn shown(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

/// The node waits as long as there are requests.
fn stopped(node: &str, which: Option<&Which>, requests: u32) -> Answer {
    let (alias, context) = match which {
        None => (String::new(), "/*".to_owned()),
        Some(which) => {
            let paths: Vec<_> = which.paths.iter().map(|path| shown(path)).collect();
            (which.hosts.join(","), paths.join(","))
        }
    };
    Answer::Text(format!("Type=STOP-APP-RSP&JvmRoute={node}&Alias={alias}&Context={context}&Requests={requests}"))
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
