//! How a cluster is reached.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::members::Address;

/// How a cluster is reached. [`Options::new`] has what is usual.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its `cluster-name`.
    pub cluster: String,
    /// Members to begin with, at least one; the others are learnt from them.
    pub members: Vec<Address>,
    /// User and password, if the members ask for such.
    pub credentials: Option<Credentials>,
    /// TLS, if the members speak it.
    pub tls: Option<Tls>,
    /// Our name, in the members' logs and management.
    pub name: String,
    /// Our version, there as well.
    pub version: String,
    /// Labels, there as well.
    pub labels: Vec<String>,
    /// How long a connection may take, from its first packet to the end of the authentication.
    pub connect: Duration,
    /// How long a call may take, fail-over included.
    pub call: Duration,
    /// How often a member is asked for a sign of life. The member drops who sends nothing for five minutes.
    pub heartbeat: Duration,
    /// After how long without a byte from it a member counts as lost. A member that pauses that long to collect its garbage is left for
    /// another one, which costs nothing but the change.
    pub silence: Duration,
    /// The longest pause between two rounds over all members when none can be reached; the first is a tenth of a second.
    pub pause_max: Duration,
}

impl Options {
    /// What is usual: 1 s a call, 2 s a connection, 1 s between heartbeats, 3 s of silence, 5 s of pause.
    pub fn new(cluster: impl Into<String>, members: Vec<Address>) -> Self {
        Self {
            cluster: cluster.into(),
            members,
            credentials: None,
            tls: None,
            name: "rust".to_owned(),
            version: "5.7.0".to_owned(),
            labels: Vec::new(),
            connect: Duration::from_secs(2),
            call: Duration::from_secs(1),
            heartbeat: Duration::from_secs(1),
            silence: Duration::from_secs(3),
            pause_max: Duration::from_secs(5),
        }
    }
}

/// User and password.
#[derive(Clone)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password, never shown.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// TLS towards the members.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Whom to trust, and our certificate.
    pub config: Arc<ClientConfig>,
    /// The name that certificates must have, if it is not the member's host.
    pub server_name: Option<ServerName<'static>>,
}
