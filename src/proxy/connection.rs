//! What a client connection is, beside its bytes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::pool::NodeConnection;
use crate::gateway::ListenerSetup;
use crate::upstream::NodeId;

/// A client connection, from accept to close.
#[derive(Debug)]
pub struct Connection {
    /// The listener that accepted it.
    pub listener: ListenerSetup,
    /// The other end: of the socket, or what the PROXY protocol said.
    pub peer: SocketAddr,
    /// Its number, unique in this process: the value of `conn` keys.
    pub number: u64,
    /// Whether it is encrypted.
    pub is_tls: bool,
    /// The client's certificate as nodes expect it, where it showed one.
    pub client_cert: Option<Vec<u8>>,
    /// Node connections that belong to this client alone.
    pub own: RefCell<OwnConnections>,
}

/// Node connections of one client connection: one per node, used by one request at a time.
#[derive(Debug, Default)]
pub struct OwnConnections {
    /// NTLM or Negotiate was seen: node connections stay this client's until either side closes.
    pub is_bound: bool,
    idle: HashMap<(u64, NodeId), Box<NodeConnection>>,
}

impl OwnConnections {
    /// The connection to this node, if the node has not closed it.
    pub fn take(&mut self, serial: u64, node: NodeId) -> Option<Box<NodeConnection>> {
        let mut connection = self.idle.remove(&(serial, node)).filter(|idle| idle.is_fit())?;
        connection.is_reused = true;
        Some(connection)
    }

    /// Keeps a connection for this client's next request.
    pub fn give(&mut self, serial: u64, node: NodeId, connection: Box<NodeConnection>) {
        if connection.is_fit() {
            self.idle.insert((serial, node), connection);
        }
    }
}

impl Connection {
    /// Whether the socket's other end is a proxy that is believed.
    pub fn is_trusted(&self) -> bool {
        self.listener.config.trusted_proxies.iter().any(|net| net.contains(&canonical(self.peer.ip())))
    }
}

/// An IPv4 address that came as IPv6 is an IPv4 address.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
