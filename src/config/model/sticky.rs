//! Stickiness: which rules bind a conversation to its node, and what holds when the node is gone.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Secret;
use crate::session::spec::{Mark, Rules};

/// Which rules bind a conversation to its node, and what holds when the node is gone.
#[derive(Debug, Clone)]
pub struct Sticky {
    /// Where it stands in the file.
    pub at: Mark,
    /// The rules, strongest first: the presets in written order (`default` unfolded, `extends` resolved), then the
    /// upstream's own. Each carries all the prefixes its paths may use.
    pub rules: Vec<Rules>,
    /// What the file says of lifetimes.
    pub ttl: TtlPolicy,
    /// A request carries only keys that nobody knows.
    pub unknown_key: UnknownKey,
    /// With [`UnknownKey::AskNodes`], how.
    pub ask: AskNodes,
    /// The node of a conversation cannot serve. Default: `Fault`; `Failover` where the nodes share sessions.
    pub on_node_down: OnNodeDown,
    /// With [`OnNodeDown::Wait`], how long a request is held for its node.
    pub wait: Duration,
    /// A node gave the conversation a new session although the request carried a known one.
    pub on_session_replaced: OnSessionReplaced,
    /// At most so many keys of one conversation; the oldest go. At least 1.
    pub keys_per_conversation: u32,
    /// At most so many requests of one conversation at once; `None` = as many as come.
    pub concurrency: Option<NonZeroU32>,
    /// A cookie of our own, sealed, that carries the node.
    pub cookie: Option<SealedCookie>,
}

impl Default for Sticky {
    fn default() -> Self {
        Self {
            at: Mark::default(),
            rules: Vec::new(),
            ttl: TtlPolicy::default(),
            unknown_key: UnknownKey::default(),
            ask: AskNodes::default(),
            on_node_down: OnNodeDown::default(),
            wait: Duration::from_secs(10),
            on_session_replaced: OnSessionReplaced::default(),
            keys_per_conversation: 64,
            concurrency: None,
            cookie: None,
        }
    }
}

/// How long pins live, as the file says it. `None` = the presets decide.
///
/// Of several presets the longest holds. A preset that does not say `idle` counts with [`TtlPolicy::IDLE`], one that
/// does not say `max` has none, one that does not say `linger` has 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TtlPolicy {
    /// After the last request.
    pub idle: Option<Duration>,
    /// After the first request; `Some(None)` = no end, whatever the presets say.
    pub max: Option<Option<Duration>>,
    /// After an end, for retransmissions; a loss drops the pin at once.
    pub linger: Option<Duration>,
}

impl TtlPolicy {
    /// Where neither the file nor a preset says how long an idle pin lives: the usual session timeout of Java
    /// application servers. Shorter than the node's, and a conversation may change node half-way.
    pub const IDLE: Duration = Duration::from_secs(30 * 60);
    /// Where nobody says how long a used pin lives: as long as it is used.
    pub const MAX: Option<Duration> = None;
    /// Where nobody says how long a key outlives its end: not at all.
    pub const LINGER: Duration = Duration::ZERO;
}

/// What becomes of a request that carries only unknown keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownKey {
    /// It is placed like a new one.
    #[default]
    Balance,
    /// It is answered with `SessionLost`.
    Reject,
    /// The nodes are asked in turn, where a preset tells by `not_executed` that a node does not know the session.
    AskNodes,
}

/// How nodes are asked for keys that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskNodes {
    /// At most so many nodes for one request.
    pub nodes: u32,
    /// Messages longer than this are not held, and asked for nowhere.
    pub bytes: u64,
    /// So many requests a second, on average and at once. An invented id costs each node one request.
    pub per_second: u32,
}

impl Default for AskNodes {
    fn default() -> Self {
        Self { nodes: 8, bytes: 64 << 10, per_second: 10 }
    }
}

/// What becomes of a conversation whose node cannot serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnNodeDown {
    /// It is over: `SessionLost`.
    #[default]
    Fault,
    /// It moves: successor, group, any.
    Failover,
    /// Its requests are held for a while, then `Fault`.
    Wait,
}

/// What becomes of an answer that gives a conversation a new session although its request carried a known one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnSessionReplaced {
    /// It passes.
    #[default]
    Pass,
    /// The client hears `SessionLost`.
    Fault,
}

/// A cookie of our own, sealed, that carries the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedCookie {
    /// Name of the cookie.
    pub name: String,
    /// The first seals, all open: at least one.
    pub keys: Vec<Secret>,
    /// How long it is good; set anew once half of that is over, so that it lasts as long as it is used.
    pub ttl: Duration,
    /// Whether clients keep it beyond their own end: `Max-Age` is told.
    pub persistent: bool,
    /// `Path`: begins with a slash.
    pub path: String,
    /// `Domain`; `None` = the host alone.
    pub domain: Option<String>,
    /// `Secure`.
    pub secure: Secure,
    /// `HttpOnly`.
    pub http_only: bool,
    /// `SameSite`; `None` = not said.
    pub same_site: Option<SameSite>,
}

impl Default for SealedCookie {
    fn default() -> Self {
        Self {
            name: String::new(),
            keys: Vec::new(),
            ttl: Duration::from_secs(24 * 3600),
            persistent: false,
            path: "/".to_owned(),
            domain: None,
            secure: Secure::Auto,
            http_only: true,
            same_site: None,
        }
    }
}

/// Whether a cookie says `Secure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secure {
    /// To clients that came by TLS.
    Auto,
    /// To all.
    Always,
    /// To nobody.
    Never,
}

/// What a cookie says of requests from other sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// It is sent with none of them.
    Strict,
    /// It is sent where the user goes there.
    Lax,
    /// It is sent with all; browsers want `Secure` then.
    None,
}
