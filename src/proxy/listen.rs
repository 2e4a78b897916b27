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

/// Sockets that stand already, and as many more beside them as are missing to `count`. Where their owner did not allow that
/// (`SO_REUSEPORT`), several workers share one queue.
///
/// # Errors
/// No descriptors are left.
pub fn complete(configured: SocketAddr, sockets: &mut Vec<TcpListener>, count: usize) -> Result<(), ListenError> {
    let fail = |source| ListenError { address: configured, source };
    let own = sockets.len();
    for listener in sockets.iter() {
        listener.set_nonblocking(true).map_err(fail)?;
    }
    for number in own..count {
        let actual = sockets[0].local_addr().map_err(fail)?;
        let more = socket(actual, true).or_else(|_| sockets[number % own].try_clone()).map_err(fail)?;
        sockets.push(more);
    }
    Ok(())
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
    fn sockets_that_stand_are_completed() {
        let mut all = open(SocketAddr::from(([127, 0, 0, 1], 0)), 2).expect("a free port");
        let address = all[0].local_addr().expect("bound");
        complete(address, &mut all, 3).expect("they share the port");
        assert_eq!(all.iter().filter(|one| one.local_addr().is_ok_and(|own| own == address)).count(), 3);
        let lone = socket(SocketAddr::from(([127, 0, 0, 1], 0)), false).expect("a free port");
        let address = lone.local_addr().expect("bound");
        let mut all = vec![lone];
        complete(address, &mut all, 3).expect("the queue is shared");
        assert_eq!(all.iter().filter(|one| one.local_addr().is_ok_and(|own| own == address)).count(), 3);
    }

    #[test]
    fn an_address_in_use_is_told() {
        let sockets = open(SocketAddr::from(([127, 0, 0, 1], 0)), 2).expect("a free port");
        let address = sockets[0].local_addr().expect("bound");
        assert_eq!(sockets[1].local_addr().expect("bound"), address);
        let error = open(address, 1).expect_err("in use");
        assert!(error.to_string().starts_with(&format!("cannot listen on {address}")), "{error}");
    }
}
