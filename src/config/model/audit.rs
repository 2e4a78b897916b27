//! The audit stream.

use super::NodeTls;

/// Where the audit stream goes. A change needs a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audit {
    /// A file, or standard output.
    Log(super::LogTarget),
    /// A syslog receiver, by RFC 5424 over TLS (RFC 5425).
    Syslog {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
        /// How its certificate is checked, and ours.
        tls: NodeTls,
    },
}
