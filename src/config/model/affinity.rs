//! The affinity table and its store.

use std::path::PathBuf;
use std::time::Duration;

use super::{NodeTls, Secret};

/// The affinity table and its store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affinity {
    /// Live conversations at most.
    pub max_conversations: u64,
    /// Keys of all conversations at most.
    pub max_keys: u64,
    /// Hints (weak keys, learnt routes) at most.
    pub max_hints: u64,
    /// What becomes of a new conversation when the table is full.
    pub when_full: WhenFull,
    /// Where pins live beyond this process. A change needs a restart.
    pub store: Store,
    /// What becomes of requests while the store is away.
    pub on_store_down: OnStoreDown,
    /// The key of the fingerprints: at least 16 bytes. `None` = made at the first start.
    pub fingerprint_key: Option<Secret>,
}

impl Default for Affinity {
    fn default() -> Self {
        Self {
            max_conversations: 1_000_000,
            max_keys: 4_000_000,
            max_hints: 100_000,
            when_full: WhenFull::default(),
            store: Store::default(),
            on_store_down: OnStoreDown::default(),
            fingerprint_key: None,
        }
    }
}

/// What becomes of a new conversation when the table is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// It is served without a pin.
    #[default]
    ServeUnpinned,
    /// It is answered 503 before a node sees it.
    Reject,
}

/// What becomes of requests while the store is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnStoreDown {
    /// The table of this process decides alone.
    #[default]
    Local,
    /// What the table does not know is refused.
    Reject,
}

/// Where pins live beyond this process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Store {
    /// Nowhere.
    #[default]
    Memory,
    /// In a file.
    Disk {
        /// The file; made if absent.
        path: PathBuf,
        /// Whether an answer waits until its keys are on disk.
        durability: Durability,
    },
    /// In Redis, Valkey or the like.
    Redis {
        /// `redis://user:password@host:port/db`; `rediss` with TLS.
        url: Secret,
        /// `host:port` of further servers of a cluster or a group of replicas, or of further sentinels.
        hosts: Vec<String>,
        /// The name of the master, where these are sentinels.
        sentinel: Option<String>,
        /// What all its keys begin with.
        prefix: String,
        /// The longest that a call may take.
        timeout: Duration,
        /// With `rediss`.
        tls: Box<NodeTls>,
    },
    /// In a table of PostgreSQL.
    Postgres {
        /// `postgres://user:password@host:port/database`.
        url: Secret,
    },
    /// In a map of a Hazelcast cluster.
    Hazelcast {
        /// Name of the cluster.
        cluster: String,
        /// `host:port` of some members: at least one.
        members: Vec<String>,
    },
}

/// Whether an answer waits until its keys are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// It does not; they follow within 50 ms.
    #[default]
    Relaxed,
    /// It does.
    BeforeReply,
}
