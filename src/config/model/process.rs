//! What concerns the process as a whole: workers, inspection, faults, admin, logs, reload, shutdown.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use super::{ListenerTls, Secret};
use crate::session::spec::Mark;

/// How many workers serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Workers {
    /// As many as the process may use cores (cgroups, CPU affinity).
    #[default]
    Auto,
    /// So many.
    Count(NonZeroU16),
}

/// How much of a message is read for rules. None is zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspect {
    /// Bytes of one message.
    pub bytes_per_message: u64,
    /// Bytes held for all messages at once, before they can be placed.
    pub bytes_total: u64,
    /// Nesting of elements.
    pub depth: u32,
    /// Attributes of one element.
    pub attributes: u32,
    /// Length of a wanted value; a longer one is no key.
    pub value_bytes: u32,
}

impl Default for Inspect {
    fn default() -> Self {
        Self { bytes_per_message: 2 << 20, bytes_total: 64 << 20, depth: 64, attributes: 128, value_bytes: 4 << 10 }
    }
}

/// How faults of our own travel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Their HTTP status.
    pub status: FaultStatus,
}

/// The HTTP status of a fault that the application must react to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FaultStatus {
    /// As the SOAP binding says, because toolkits parse a Fault only there.
    #[default]
    Binding,
    /// As HTTP would say it.
    Http,
}

/// The admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens; `None` = it does not.
    pub address: Option<SocketAddr>,
    /// TLS; `None` = clear text.
    pub tls: Option<ListenerTls>,
    /// Who may do what. Empty = whoever can connect may do everything, on loopback only.
    pub tokens: Vec<Token>,
}

impl Default for Admin {
    fn default() -> Self {
        let address = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9280)));
        Self { address, tls: None, tokens: Vec::new() }
    }
}

/// A bearer token of the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Where it stands in the file.
    pub at: Mark,
    /// Name in the audit log; unique.
    pub name: String,
    /// What is presented.
    pub token: Secret,
    /// What it permits.
    pub role: Role,
}

/// What a token permits; each from `Read` on includes the ones before it, and `Operate` includes `Register`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Role {
    /// Announcing nodes of upstreams that are discovered by `register`, and nothing else.
    Register,
    /// Looking.
    #[default]
    Read,
    /// Draining nodes, ending conversations.
    Operate,
    /// Everything.
    Admin,
}

impl Role {
    /// Whether whoever has this role may do what needs that one.
    pub fn permits(self, needed: Self) -> bool {
        if needed == Self::Register { self == needed || self >= Self::Operate } else { self >= needed }
    }
}

/// The access log: one line a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessLog {
    /// Where it goes.
    pub target: LogTarget,
    /// How it is written.
    pub format: LogFormat,
}

/// Where a log goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    #[default]
    Stdout,
    /// The end of this file.
    File(PathBuf),
}

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One object a line.
    #[default]
    Json,
    /// `name=value` pairs.
    Text,
}

/// Taking over a changed file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reload {
    /// Whether changed files are taken over by themselves; else on SIGHUP.
    pub watch: bool,
    /// A reload that would lose more conversations is refused; `None` = any number may be lost.
    pub max_conversations_lost: Option<u64>,
}

/// Handing over to a successor without losing a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// The Unix socket on which a running process can be asked for it; `None` = it cannot.
    pub socket: Option<PathBuf>,
    /// How long the old process goes on serving the connections it has.
    pub limit: Duration,
}

impl Default for Handover {
    fn default() -> Self {
        Self { socket: None, limit: Duration::from_secs(10 * 60) }
    }
}

/// Stopping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    /// How long serving goes on after readiness has failed, so that a load balancer notices.
    pub delay: Duration,
    /// How long requests in flight may take then.
    pub limit: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { delay: Duration::ZERO, limit: Duration::from_secs(30) }
    }
}
