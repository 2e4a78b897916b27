//! Policies of an upstream: balance, health, limits, timeouts, TLS, rewriting.

use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

use crate::session::spec::{Mark, Text};

/// How new conversations are spread over nodes. All heed weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Balance {
    /// In turn.
    #[default]
    RoundRobin,
    /// The fewest requests in flight.
    LeastRequests,
    /// The fewest live conversations.
    LeastConversations,
    /// At random.
    Random,
    /// By rendezvous hash of the client's address.
    Hash,
}

/// How request bodies are framed towards nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestFraming {
    /// As the client did.
    #[default]
    AsReceived,
    /// Always with `Content-Length`, for nodes that cannot read chunked bodies.
    ContentLength,
}

/// TLS towards nodes. The files were readable when the configuration was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeTls {
    /// Where it stands in the file.
    pub at: Mark,
    /// PEM: the authorities that sign node certificates; `None` = those of the system.
    pub ca: Option<PathBuf>,
    /// PEM: our certificate and its chain. Set exactly where `client_key` is.
    pub client_certificate: Option<PathBuf>,
    /// PEM: its private key.
    pub client_key: Option<PathBuf>,
    /// The name that certificates are checked for, and SNI; `None` = the host of the node's URL.
    pub server_name: Option<String>,
    /// Whether certificates are checked at all.
    pub verify: bool,
}

impl Default for NodeTls {
    fn default() -> Self {
        let at = Mark::default();
        Self { at, ca: None, client_certificate: None, client_key: None, server_name: None, verify: true }
    }
}

/// Which node addresses in answers are turned into the public one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// Addresses in WSDLs and schemas.
    pub wsdl: bool,
    /// Endpoint references: the presets' `rewrite_url` places.
    pub epr: bool,
    /// `Location` and `Content-Location`.
    pub location: bool,
    /// In requests, `wsa:To` back to the node's address.
    pub wsa_to: bool,
    /// `Domain`, `Path` and `Secure` of cookies.
    pub cookies: bool,
    /// Scheme, host, port and prefix that clients see; `None` = as the client or a trusted proxy says.
    pub public_url: Option<String>,
}

impl Default for Rewrite {
    fn default() -> Self {
        Self { wsdl: true, epr: true, location: true, wsa_to: true, cookies: true, public_url: None }
    }
}

/// How it is known whether a node serves.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Active probes; `None` = none, and the node's health is unknown.
    pub check: Option<Check>,
    /// What traffic tells.
    pub observe: Observe,
    /// For how long a node that was added, came up or came back gets new conversations slowly; zero = at once.
    pub slow_start: Duration,
}

/// Active probes of a node.
#[derive(Debug, Clone)]
pub struct Check {
    /// Where it stands in the file.
    pub at: Mark,
    /// What is sent.
    pub probe: Probe,
    /// Another port than the node's.
    pub port: Option<NonZeroU16>,
    /// Between two probes.
    pub interval: Duration,
    /// For one probe.
    pub timeout: Duration,
    /// Failures in a row that make a node down.
    pub fall: u32,
    /// Successes in a row that make it up.
    pub rise: u32,
}

/// What an active probe sends, and what it expects.
#[derive(Debug, Clone)]
pub enum Probe {
    /// A connection that stands is enough.
    Tcp,
    /// GET of this path: a status of 200 to 399.
    Get(String),
    /// This envelope posted.
    Soap {
        /// The file that holds it.
        envelope: PathBuf,
        /// Where it is posted.
        path: String,
        /// A selector (`body p:pingResponse`) that must find something; `None` = any answer that is no Fault.
        expect: Option<Text>,
    },
}

/// What traffic tells of a node's health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observe {
    /// Requests in a row that the node did not accept or broke off, until it is ejected.
    pub connect_failures: u32,
    /// Answers in a row that blame the node itself until it is ejected; `None` = they are counted only.
    pub receiver_faults: Option<NonZeroU32>,
    /// For how long new conversations go elsewhere the first time; it grows while it fails.
    pub eject: Duration,
    /// Per cent of the nodes that could serve: where ejection leaves fewer, it counts for nothing. 0 = where it leaves none.
    pub panic: u32,
}

impl Default for Observe {
    fn default() -> Self {
        Self { connect_failures: 3, receiver_faults: None, eject: Duration::from_secs(10), panic: 50 }
    }
}

/// Bounds per node, over all workers. None is zero but perhaps `idle_connections` and `queue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Requests at once.
    pub requests: u32,
    /// Connections.
    pub connections: u32,
    /// Idle connections kept.
    pub idle_connections: u32,
    /// Requests that wait for a place; 0 = none waits.
    pub queue: u32,
    /// How long they wait.
    pub queue_timeout: Duration,
    /// Where requests wait, one whose client sends or takes nothing for so long is given up for them; `None` = never.
    pub make_way: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: 1024,
            connections: 1024,
            idle_connections: 32,
            queue: 1024,
            queue_timeout: Duration::from_secs(5),
            // Less than half of what those wait for whom it is done; more than a network that is well ever pauses.
            make_way: Some(Duration::from_secs(2)),
        }
    }
}

/// How long nodes may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// From the end of the request to the first byte of the response.
    pub response: Duration,
    /// Between two pieces of a body, either way.
    pub stall: Duration,
    /// How long an idle node connection is kept: shorter than nodes keep theirs, because a POST written into a closing
    /// connection cannot be repeated.
    pub node_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            response: Duration::from_secs(300),
            stall: Duration::from_secs(60),
            node_idle: Duration::from_secs(4),
        }
    }
}
