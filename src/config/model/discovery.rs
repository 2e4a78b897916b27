//! Nodes that come and go by themselves: who finds them, and what is known of them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;

use super::{AdminState, ClientAuth, ListenerTls, Node, NodeUrl, Scheme};
use crate::session::spec::Mark;

/// One source of nodes of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// Where it stands in the file.
    pub at: Mark,
    /// Who finds nodes.
    pub source: Source,
}

/// Who finds nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A YAML or JSON list, looked at again and again.
    File(PathBuf),
    /// Addresses of a name, asked for again when their time to live is over.
    Dns(Dns),
    /// The nodes themselves, by the mod_cluster protocol.
    Mcmp {
        /// Only those that want to belong to the balancer of this name; `None` = all.
        balancer: Option<String>,
    },
    /// The nodes themselves, by the admin API.
    Register,
}

/// Where nodes introduce themselves by the mod_cluster protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mcmp {
    /// Where it stands in the file.
    pub at: Mark,
    /// Where it listens.
    pub address: SocketAddr,
    /// Networks from where nodes may speak. Empty = this machine only, unless client certificates are asked for.
    pub allow: Vec<IpNet>,
    /// TLS; `None` = clear text.
    pub tls: Option<ListenerTls>,
    /// Whether the hosts of an application (`Alias`) have to fit; else any do.
    pub use_alias: bool,
}

impl Mcmp {
    /// Open to this machine only.
    pub fn new(address: SocketAddr) -> Self {
        Self { at: Mark::default(), address, allow: Vec::new(), tls: None, use_alias: true }
    }

    /// Whether nobody speaks without a client certificate.
    pub fn wants_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_auth == ClientAuth::Required)
    }
}

/// A name whose addresses are nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// The name.
    pub name: String,
    /// With it, addresses (A, AAAA) of the name are nodes at this port; without, its SRV records name hosts and ports.
    pub port: Option<u16>,
    /// How nodes are spoken to.
    pub scheme: Scheme,
    /// Who is asked; empty = whom the system asks (`/etc/resolv.conf`).
    pub servers: Vec<SocketAddr>,
}

impl Source {
    /// What logs, metrics and commands call it. Two sources of one upstream have different labels.
    pub fn label(&self) -> String {
        match self {
            Self::File(path) => format!("file:{}", path.display()),
            Self::Dns(dns) => match dns.port {
                Some(port) => format!("dns:{}:{port}", dns.name),
                None => format!("dns:{}", dns.name),
            },
            Self::Mcmp { balancer: None } => "mcmp".to_owned(),
            Self::Mcmp { balancer: Some(balancer) } => format!("mcmp:{balancer}"),
            Self::Register => "register".to_owned(),
        }
    }
}

/// A node as a source tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundNode {
    /// As [`Node::name`].
    pub name: String,
    /// Where it listens.
    pub url: NodeUrl,
    /// Share of new conversations: 1 to 256.
    pub weight: u16,
    /// Route tags that name it.
    pub route: Vec<String>,
    /// As [`Node::group`].
    pub group: Option<String>,
    /// What makes it the same node, wherever it listens: printable ASCII without spaces, 128 letters at most. `None` = its URL.
    pub identity: Option<String>,
    /// The state its source wants it in.
    pub state: AdminState,
    /// By its own word nothing new begins there at present.
    pub rests: bool,
    /// What it serves; `None` = all that routes of the upstream lead to.
    pub contexts: Option<Arc<[Context]>>,
}

impl FoundNode {
    /// A node of weight 1 that serves everything.
    pub fn new(name: impl Into<String>, url: NodeUrl) -> Self {
        Self {
            name: name.into(),
            url,
            weight: 1,
            route: Vec::new(),
            group: None,
            identity: None,
            state: AdminState::Ready,
            rests: false,
            contexts: None,
        }
    }

    /// As a node of an upstream, found by this source.
    pub fn into_node(self, source: &Arc<str>) -> Node {
        let identity = self.identity.unwrap_or_else(|| self.url.to_string());
        let (rests, contexts) = (self.rests, self.contexts);
        Node {
            at: Mark::default(),
            name: self.name,
            url: self.url,
            weight: self.weight,
            route: self.route,
            group: self.group,
            successor: None,
            state: self.state,
            found: Some(Found { source: Arc::clone(source), identity, rests, contexts }),
        }
    }
}

impl Node {
    /// A found node as its source told of it, and the label of the source; `None`: the file names it.
    pub fn as_found(&self) -> Option<(&Arc<str>, FoundNode)> {
        let found = self.found.as_ref()?;
        let node = FoundNode {
            weight: self.weight,
            route: self.route.clone(),
            group: self.group.clone(),
            identity: Some(found.identity.clone()),
            state: self.state,
            rests: found.rests,
            contexts: found.contexts.clone(),
            ..FoundNode::new(self.name.clone(), self.url.clone())
        };
        Some((&found.source, node))
    }
}

/// What is known of a node that no file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Label of the source.
    pub source: Arc<str>,
    /// What makes it the same node.
    pub identity: String,
    /// By its own word nothing new begins there at present.
    pub rests: bool,
    /// What it serves; `None` = all that routes of the upstream lead to.
    pub contexts: Option<Arc<[Context]>>,
}

/// An application that a node serves: a route leads there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// For these hosts, lower case; empty = for any.
    pub hosts: Vec<String>,
    /// All paths that are this one or begin with it and a slash. Empty = all.
    pub path: String,
    /// Whether conversations may begin there.
    pub takes_new: bool,
}
