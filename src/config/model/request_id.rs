//! How requests are told apart in logs, by callers and by nodes.

/// How requests are told apart in logs, by callers and by nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestIds {
    /// The fields that may carry an id, at least one: the first that does is believed. A made one goes on in the first of
    /// them.
    pub headers: Vec<String>,
    /// Whose ids are believed.
    pub accept: AcceptIds,
    /// Whether the client gets the id, too.
    pub answer: bool,
}

/// Whose request ids are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AcceptIds {
    /// Everybody's. Nothing is decided by an id, so whoever lies only confuses the log lines of its own requests.
    #[default]
    Any,
    /// Those of the listener's trusted proxies.
    Trusted,
}

impl Default for RequestIds {
    fn default() -> Self {
        Self { headers: vec!["X-Request-ID".to_owned()], accept: AcceptIds::default(), answer: false }
    }
}
