//! Upstreams: the nodes that serve one application, with their policies.

use super::discovery::{Discovery, Found};
use super::{Balance, Health, Limits, NodeTls, NodeUrl, RequestFraming, Rewrite, Sticky, TcpKeepAlive, Timeouts};
use crate::session::spec::{Connection, Mark};

/// The nodes that serve one application, with their policies.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Where it stands in the file.
    pub at: Mark,
    /// Its key in the file.
    pub name: String,
    /// At least one, unless they are discovered; names unique. Not all of them are in `maint` or `drain` unless the file says so.
    pub nodes: Vec<Node>,
    /// Who finds further nodes.
    pub discovery: Vec<Discovery>,
    /// Upstreams of one group share keys and machines: equal node names are one machine. Default: the upstream's name.
    pub affinity_group: String,
    /// How new conversations are spread.
    pub balance: Balance,
    /// `None` = no stickiness.
    pub sticky: Option<Sticky>,
    /// Whether the nodes replicate their sessions among themselves.
    pub nodes_share_sessions: NodesShareSessions,
    /// How node connections are shared. `None` = as the presets say, else [`Connection::Shared`].
    pub connection: Option<Connection>,
    /// Whether node connections are used again.
    pub keep_alive: bool,
    /// How silent node connections are kept alive; `None` = not.
    pub tcp_keep_alive: Option<TcpKeepAlive>,
    /// How request bodies are framed towards nodes.
    pub request_framing: RequestFraming,
    /// The `Host` that nodes see.
    pub host: HostHeader,
    /// TLS towards nodes whose URL is `https`; `None` = the usual authorities, no client certificate.
    pub tls: Option<NodeTls>,
    /// Which node addresses in answers are turned into the public one; `None` = none.
    pub rewrite: Option<Rewrite>,
    /// How it is known whether a node serves.
    pub health: Health,
    /// Bounds per node, over all workers.
    pub limits: Limits,
    /// How long nodes may take.
    pub timeouts: Timeouts,
    /// How many nodes are tried at most for one request that no node has accepted a byte of. At least 1.
    pub attempts: u32,
    /// Whether a message that cannot be parsed is refused.
    pub strict: bool,
}

impl Upstream {
    /// An upstream as the file makes it where it says nothing but the name.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            at: Mark::default(),
            affinity_group: name.clone(),
            name,
            nodes: Vec::new(),
            discovery: Vec::new(),
            balance: Balance::default(),
            sticky: None,
            nodes_share_sessions: NodesShareSessions::default(),
            connection: None,
            keep_alive: true,
            tcp_keep_alive: Some(TcpKeepAlive::default()),
            request_framing: RequestFraming::default(),
            host: HostHeader::default(),
            tls: None,
            rewrite: None,
            health: Health::default(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            attempts: 3,
            strict: false,
        }
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }
}

/// One backend server, identified by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it stands in the file.
    pub at: Mark,
    /// Unique in its upstream; equal names in one affinity group are one machine.
    pub name: String,
    /// Where it listens. A new URL takes the node's pins along.
    pub url: NodeUrl,
    /// Share of new conversations: 1 to 256.
    pub weight: u16,
    /// Route tags (jvmRoute, clone id) that name this node.
    pub route: Vec<String>,
    /// Nodes of one group replicate among each other, or stand together.
    pub group: Option<String>,
    /// Name of the node that takes over its conversations first; it exists and is another one.
    pub successor: Option<String>,
    /// The state it starts in.
    pub state: AdminState,
    /// What is known of a node that no file names; `None` = the file does.
    pub found: Option<Found>,
}

/// Administrative state of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum AdminState {
    /// Serves everything.
    #[default]
    Ready,
    /// Serves existing conversations only.
    Drain,
    /// Serves nothing.
    Maint,
}

/// Whether nodes replicate their sessions among themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NodesShareSessions {
    /// They do not.
    #[default]
    None,
    /// Every node has every session.
    All,
    /// The nodes of one `group` share theirs.
    Group,
}

/// The `Host` that nodes see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HostHeader {
    /// The client's.
    #[default]
    Pass,
    /// Host and port of the node's URL.
    Node,
    /// This one.
    Name(String),
}
