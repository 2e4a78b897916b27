//! What the configuration file says, checked, with every default filled in.
//!
//! Plain values: no I/O, nothing compiled. The `Default` of each type *is* the default of the file.

mod affinity;
mod audit;
mod discovery;
mod limits;
mod listener;
mod policy;
mod process;
mod request_id;
mod route;
mod sticky;
mod upstream;
mod values;

pub use affinity::{Affinity, Durability, OnStoreDown, Store, WhenFull};
pub use audit::Audit;
pub use discovery::{Context, Discovery, Dns, Found, FoundNode, Mcmp, Source};
pub use limits::{ListenerLimits, ProcessLimits, Rate, TcpKeepAlive};
pub use listener::{CertificateFormat, ClientAuth, ForwardClientCert, Listener, ListenerTimeouts, ListenerTls};
pub use policy::{Balance, Check, Health, Limits, NodeTls, Observe, Probe, RequestFraming, Rewrite, Timeouts};
pub use process::{
    AccessLog, Admin, FaultStatus, Faults, Handover, Inspect, LogFormat, LogTarget, Reload, Role, Shutdown, Token,
    Workers,
};
pub use request_id::{AcceptIds, RequestIds};
pub use route::{Route, RouteTimeouts};
pub use sticky::{
    AskNodes, OnNodeDown, OnSessionReplaced, SameSite, SealedCookie, Secure, Sticky, TtlPolicy, UnknownKey,
};
pub use upstream::{AdminState, HostHeader, Node, NodesShareSessions, Upstream};
pub use values::{NodeUrl, Scheme, Secret};

use crate::soap::Prefixes;

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// How many workers serve. A change needs a restart.
    pub workers: Workers,
    /// Prefixes for every rule in the file, the built-in ones not included.
    pub namespaces: Prefixes,
    /// Where clients connect: at least one, names and addresses unique.
    pub listeners: Vec<Listener>,
    /// Which request goes to which upstream, the first match wins: at least one.
    pub routes: Vec<Route>,
    /// The applications, in file order: at least one, names unique.
    pub upstreams: Vec<Upstream>,
    /// The affinity table and its store.
    pub affinity: Affinity,
    /// Limits of the process.
    pub limits: ProcessLimits,
    /// How much of a message is read for rules.
    pub inspect: Inspect,
    /// How faults of our own travel.
    pub faults: Faults,
    /// How requests are told apart; `None` = ids are made for logs and Faults only.
    pub request_id: Option<RequestIds>,
    /// The admin API.
    pub admin: Admin,
    /// Where nodes introduce themselves; `None` = nowhere.
    pub mcmp: Option<Mcmp>,
    /// The access log; `None` = not written. A change needs a restart.
    pub access_log: Option<AccessLog>,
    /// The audit stream; `None` = not written. A change needs a restart.
    pub audit: Option<Audit>,
    /// Taking over a changed file.
    pub reload: Reload,
    /// Stopping.
    pub shutdown: Shutdown,
    /// Handing over to a successor.
    pub handover: Handover,
}

impl Default for Config {
    /// What holds where the file says nothing; not a configuration that serves anything.
    fn default() -> Self {
        Self {
            workers: Workers::default(),
            namespaces: Prefixes::new(),
            listeners: Vec::new(),
            routes: Vec::new(),
            upstreams: Vec::new(),
            affinity: Affinity::default(),
            limits: ProcessLimits::default(),
            inspect: Inspect::default(),
            faults: Faults::default(),
            request_id: Some(RequestIds::default()),
            admin: Admin::default(),
            mcmp: None,
            access_log: Some(AccessLog::default()),
            audit: None,
            reload: Reload::default(),
            shutdown: Shutdown::default(),
            handover: Handover::default(),
        }
    }
}

impl Config {
    /// The upstream of this name.
    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| upstream.name == name)
    }
}
