//! Listening sockets: one per worker and listener, opened before anybody serves.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted, per socket; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// Why not.
    pub source: io::Error,
}

/// `count` sockets on one address, each with a queue of its own. With port 0 all get the same free port.
///
/// # Errors
/// The address is in use by another process, or not ours.
pub fn open(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, ListenError> {
    let fail = |source| ListenError { address, source };
    if address.port() != 0 {
        // Sockets that share a port would share it with another gateway as well, silently.
        drop(socket(address, false).map_err(fail)?);
    }
    let first = socket(address, true).map_err(fail)?;
    let actual = first.local_addr().map_err(fail)?;
    let mut sockets = vec![first];
    for _ in 1..count {
        sockets.push(socket(actual, true).map_err(fail)?);
    }
    Ok(sockets)
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_told() {
        let sockets = open(SocketAddr::from(([127, 0, 0, 1], 0)), 2).expect("a free port");
        let address = sockets[0].local_addr().expect("bound");
        assert_eq!(sockets[1].local_addr().expect("bound"), address);
        let error = open(address, 1).expect_err("in use");
        assert!(error.to_string().starts_with(&format!("cannot listen on {address}")), "{error}");
    }
}
