//! Limits of the process and of a listener, and TCP keep-alive.

use std::time::Duration;

/// Limits of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Client connections; `None` = half of the descriptors that the process may have, less a reserve.
    pub connections: Option<u32>,
    /// Bytes of buffers; while they hold more, no further connection is taken.
    pub buffers: u64,
    /// Bytes of one answer that are read ahead where its client is slow; 0 = none. All together no more than a quarter of
    /// `buffers`.
    pub read_ahead: u64,
    /// How fast one source may begin conversations; `None` = as fast as it likes.
    pub new_conversations_per_source: Option<Rate>,
}

impl Default for ProcessLimits {
    /// 1 GiB holds 8,000 exchanges that stream at once. Nearly all SOAP answers fit in 256 KiB, of which a quarter of that
    /// holds 1,000.
    fn default() -> Self {
        Self { connections: None, buffers: 1 << 30, read_ahead: 256 << 10, new_conversations_per_source: None }
    }
}

/// So many in that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many; not 0.
    pub count: u32,
    /// In which time; not 0.
    pub per: Duration,
}

/// Limits of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Connections; `None` = as many as the process may have.
    pub connections: Option<u32>,
    /// What a client must send, or take, on average while it is waited for; 0 = anything.
    pub bytes_per_second: u32,
}

impl Default for ListenerLimits {
    /// 256 bytes a second: a tenth of the slowest modem.
    fn default() -> Self {
        Self { connections: None, bytes_per_second: 256 }
    }
}

/// How silent connections are kept alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpKeepAlive {
    /// Silence until the peer is asked.
    pub idle: Duration,
    /// Between two times of asking.
    pub interval: Duration,
    /// Unanswered ones until the connection is given up.
    pub probes: u32,
}

impl Default for TcpKeepAlive {
    /// A minute of silence is less than any firewall forgets; a peer that has gone is known after two.
    fn default() -> Self {
        Self { idle: Duration::from_secs(60), interval: Duration::from_secs(10), probes: 6 }
    }
}
