//! Connections to nodes: opened, kept for the next request, given up.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::buffer::Buffer;
use super::h1::{HeadSearch, Wire};
use super::stream::Stream;
use super::tcp;
use crate::gateway::Upstream;
use crate::upstream::{NodeId, OpenConnection};

/// How long an address that a name stands for is used before it is asked for again.
const NAME_TTL: Duration = Duration::from_secs(5);

/// A connection to a node.
#[derive(Debug)]
pub struct NodeConnection {
    /// The connection with its buffers.
    pub wire: Wire,
    /// Finds the end of response heads.
    pub search: HeadSearch,
    /// Whether it carried a request before.
    pub is_reused: bool,
    open: OpenConnection,
}

impl NodeConnection {
    /// Whether the node has neither closed nor said anything since the last answer.
    pub fn is_fit(&self) -> bool {
        self.wire.input.is_empty() && !self.wire.has_output() && self.wire.stream.is_quiet()
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The node is at its limit of connections.
    #[error("the node is at its limit of connections")]
    Limit,
    /// This process has no descriptor, port or memory left for it.
    #[error("nothing is left to connect with: {0}")]
    Exhausted(io::Error),
    /// It did not stand in time.
    #[error("no connection in time")]
    Timeout,
    /// The name of the node stands for no address.
    #[error("the node's name cannot be resolved: {0}")]
    Name(io::Error),
    /// TCP or TLS failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The snapshot does not name the node.
    #[error("the node is not in this configuration")]
    Unknown,
}

impl ConnectError {
    /// Whether it says something about the node, rather than about our limits.
    pub fn is_nodes(&self) -> bool {
        match self {
            Self::Timeout | Self::Io(_) => true,
            Self::Name(error) => !tcp::is_exhausted(error),
            Self::Limit | Self::Exhausted(_) | Self::Unknown => false,
        }
    }
}

/// A new connection. That there is no socket to be had says nothing about the node.
async fn dial(address: SocketAddr) -> Result<TcpStream, ConnectError> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(ConnectError::Exhausted)?;
    socket.connect(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory => ConnectError::Exhausted(error),
        _ => ConnectError::Io(error),
    })
}

/// Idle node connections of one worker.
#[derive(Debug, Default)]
pub struct Pool {
    idle: RefCell<HashMap<(u64, NodeId), Vec<Idle>>>,
    names: RefCell<HashMap<(String, u16), (Instant, SocketAddr)>>,
}

#[derive(Debug)]
struct Idle {
    connection: Box<NodeConnection>,
    until: Instant,
}

impl Pool {
    /// An idle connection to this node, the one used last, if there is one that the node has not closed.
    pub fn take(&self, upstream: &Upstream, node: NodeId) -> Option<Box<NodeConnection>> {
        let mut idle = self.idle.borrow_mut();
        let list = idle.get_mut(&(upstream.serial, node))?;
        let now = Instant::now();
        while let Some(Idle { mut connection, until }) = list.pop() {
            if until > now && connection.is_fit() {
                connection.open.use_it();
                connection.is_reused = true;
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request, if there is room. `keep` is how long the node itself keeps it, where it
    /// said so.
    pub fn give(&self, upstream: &Upstream, node: NodeId, mut connection: Box<NodeConnection>, keep: Option<Duration>) {
        let most = upstream.config.timeouts.node_idle;
        // The node's own limit less a second, so that it is us who close.
        let keep = keep.map_or(most, |told| most.min(told.saturating_sub(Duration::from_secs(1))));
        if keep.is_zero()
            || !upstream.config.keep_alive
            || !connection.is_fit()
            || connection.open.live().wants_connection()
            || !connection.open.rest(upstream.config.limits.idle_connections)
        {
            return;
        }
        let until = Instant::now() + keep;
        self.idle.borrow_mut().entry((upstream.serial, node)).or_default().push(Idle { connection, until });
    }

    /// Gives up what has been idle for too long, or was closed by its node.
    pub fn prune(&self) {
        let now = Instant::now();
        self.idle.borrow_mut().retain(|_, list| {
            list.retain(|idle| idle.until > now && idle.connection.is_fit());
            !list.is_empty()
        });
        self.names.borrow_mut().retain(|_, (asked, _)| now.duration_since(*asked) < NAME_TTL * 12);
    }

    /// Gives up one idle connection to this machine, whichever upstream opened it.
    pub fn give_up_idle(&self, node: NodeId) {
        let mut idle = self.idle.borrow_mut();
        let found = idle.iter_mut().find(|((_, own), list)| *own == node && !list.is_empty());
        let given_up = found.map(|(_, list)| list.remove(0));
        drop(idle);
        drop(given_up);
    }

    /// Gives up all.
    pub fn clear(&self) {
        self.idle.borrow_mut().clear();
    }

    /// A new connection, TLS included.
    ///
    /// # Errors
    /// There is none within `limit`; the node has not seen a byte of any request.
    pub async fn connect(
        &self,
        upstream: &Upstream,
        node: NodeId,
        open: OpenConnection,
        limit: Duration,
    ) -> Result<Box<NodeConnection>, ConnectError> {
        let target = upstream.target(node).ok_or(ConnectError::Unknown)?;
        let standing = async {
            let address = self.resolve(&target.url.host, target.url.port).await?;
            let tcp = dial(address).await?;
            tcp::prepare(&tcp, upstream.config.tcp_keep_alive.as_ref())?;
            match (&target.server_name, &upstream.tls) {
                (Some(name), Some(tls)) => {
                    let stream = TlsConnector::from(tls.clone()).connect(name.clone(), tcp).await?;
                    Ok::<_, ConnectError>(Stream::ClientTls(Box::new(stream)))
                }
                _ => Ok(Stream::Plain(tcp)),
            }
        };
        let stream = timeout(limit, standing).await.map_err(|_| ConnectError::Timeout)??;
        let wire = Wire::new(stream, Buffer::default());
        Ok(Box::new(NodeConnection { wire, search: HeadSearch::default(), is_reused: false, open }))
    }

    /// The address a name stands for; the last good answer holds while nobody answers.
    async fn resolve(&self, host: &str, port: u16) -> Result<SocketAddr, ConnectError> {
        if let Ok(address) = host.parse() {
            return Ok(SocketAddr::new(address, port));
        }
        let name = (host.to_owned(), port);
        let known = self.names.borrow().get(&name).copied();
        if let Some((asked, address)) = known
            && asked.elapsed() < NAME_TTL
        {
            return Ok(address);
        }
        let answer = match tokio::net::lookup_host((host, port)).await {
            Ok(mut addresses) => addresses.next().ok_or_else(|| io::Error::other("no address")),
            Err(error) => Err(error),
        };
        match (answer, known) {
            (Ok(address), _) => {
                self.names.borrow_mut().insert(name, (Instant::now(), address));
                Ok(address)
            }
            (Err(_), Some((_, address))) => Ok(address),
            (Err(error), None) => Err(ConnectError::Name(error)),
        }
    }
}
