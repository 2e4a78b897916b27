//! What is known of a request, for the heads that go on.

use super::connection::Connection;
use super::forwarding;
use crate::gateway::Route;

/// What changes in the heads of this route's requests.
pub fn forwarding_policy(connection: &Connection, route: &Route) -> forwarding::Policy {
    forwarding::Policy {
        client_cert_header: connection
            .listener
            .config
            .tls
            .as_ref()
            .and_then(|tls| tls.forward_client_cert.as_ref())
            .map(|forward| forward.header.as_bytes().into()),
        ..forwarding::Policy::of(route)
    }
}

/// What is known of a request besides its head.
pub fn onward_facts<'a>(connection: &'a Connection, node_authority: &'a [u8]) -> forwarding::Onward<'a> {
    forwarding::Onward {
        peer: connection.peer,
        scheme: if connection.is_tls { forwarding::Scheme::Https } else { forwarding::Scheme::Http },
        trusted: connection.is_trusted(),
        node_authority,
        client_cert: connection.client_cert.as_deref(),
    }
}
