//! What the configuration says about stickiness, in the table's terms.

use std::time::Duration;

/// The policies of one upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether any rule pins. Without one nothing is bound and a full table concerns nobody.
    pub pins: bool,
    /// How long a conversation outlives its last answer. Longer than 49 days counts as for ever.
    pub idle: Duration,
    /// How long a conversation lives at most.
    pub max: Option<Duration>,
    /// How long an ended conversation still serves retransmissions.
    pub linger: Duration,
    /// What becomes of a request with a server-issued key that nobody knows.
    pub unknown_key: UnknownKey,
    /// What becomes of a conversation whose node cannot serve.
    pub on_node_down: OnNodeDown,
    /// Whether the nodes replicate their sessions among themselves.
    pub nodes_share_sessions: SharedSessions,
    /// Keys of one conversation; beyond it the one unused for longest is dropped.
    pub keys_per_conversation: usize,
    /// Requests of one conversation at once, at most; `None` = as many as come.
    pub concurrency: Option<u32>,
    /// How long a weak key is remembered, unless it names the client connection.
    pub weak: Duration,
    /// How long a lost conversation keeps telling parallel calls so.
    pub tombstone: Duration,
}

impl Default for Policy {
    /// The documented defaults.
    fn default() -> Self {
        Self {
            pins: true,
            idle: Duration::from_secs(30 * 60),
            max: None,
            linger: Duration::ZERO,
            unknown_key: UnknownKey::Balance,
            on_node_down: OnNodeDown::Fault,
            nodes_share_sessions: SharedSessions::None,
            keys_per_conversation: 64,
            concurrency: None,
            weak: Duration::from_secs(60),
            tombstone: Duration::from_secs(5),
        }
    }
}

/// What becomes of a request with a server-issued key that nobody knows, and nothing else that places it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum UnknownKey {
    /// It is balanced; the node will answer that it does not know the session.
    #[default]
    Balance,
    /// It is refused.
    Reject,
    /// As balanced, where the caller does not ask the nodes ([`super::Affinity::place_asked`]).
    AskNodes,
}

/// What becomes of a conversation whose node cannot serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum OnNodeDown {
    /// The client is told that its session is lost.
    #[default]
    Fault,
    /// Another node takes over: the successor, nodes of the group, any.
    Failover,
    /// The caller is to wait for the node ([`super::Refusal::Away`]), and to place with `Fault` in the end.
    Wait,
}

/// Whether nodes replicate their sessions among themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum SharedSessions {
    /// They do not.
    #[default]
    None,
    /// Every node has every session.
    All,
    /// Nodes of one `group` have each other's sessions; a failover stays within it.
    Group,
}

/// Bounds of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Conversations, ended ones that linger included.
    pub max_conversations: usize,
    /// Keys of all conversations.
    pub max_keys: usize,
    /// Weak keys and learnt routes.
    pub max_hints: usize,
    /// What becomes of a first request when only live conversations could make room.
    pub when_full: WhenFull,
}

impl Default for Limits {
    /// The documented defaults.
    fn default() -> Self {
        Self {
            max_conversations: 1_000_000,
            max_keys: 4_000_000,
            max_hints: 100_000,
            when_full: WhenFull::ServeUnpinned,
        }
    }
}

/// What becomes of a first request when only live conversations could make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum WhenFull {
    /// It is served without being pinned; client-issued keys are placed by hash, so that parallel ones agree.
    #[default]
    ServeUnpinned,
    /// It is refused before it is forwarded.
    Reject,
}
