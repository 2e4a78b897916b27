//! Castile as a service: what systemd hands in and wants to hear, and a successor started by this process.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::process::{Child, Command};

/// The argument that makes a process a successor.
const TAKE_OVER: &str = "--take-over";

/// Listening sockets that systemd (or a shell that knows `LISTEN_FDS`) has opened for this process, by the address they are
/// bound to.
pub fn standing_sockets() -> HashMap<SocketAddr, Vec<TcpListener>> {
    let mut found: HashMap<SocketAddr, Vec<TcpListener>> = HashMap::new();
    let mut given = listenfd::ListenFd::from_env();
    for index in 0..given.len() {
        let taken = given.take_tcp_listener(index).and_then(|socket| {
            let socket = socket.ok_or(io::ErrorKind::NotFound)?;
            Ok((socket.local_addr()?, socket))
        });
        match taken {
            Ok((address, socket)) => found.entry(address).or_default().push(socket),
            Err(error) => {
                tracing::warn!(index, %error, "a socket that this process was started with is no TCP listener")
            }
        }
    }
    found
}

/// Tells the service manager, if there is one (`NOTIFY_SOCKET`, sd_notify(3)).
pub fn notify(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let send = || {
        let socket = UnixDatagram::unbound()?;
        let address = match path.as_bytes().strip_prefix(b"@") {
            Some(name) => UnixAddress::from_abstract_name(name)?,
            None => UnixAddress::from_pathname(&path)?,
        };
        socket.send_to_addr(state.as_bytes(), &address).map(drop)
    };
    if let Err(error) = send() {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// Starts the program that stands now where this one was started from, with the same arguments, to take over.
///
/// # Errors
/// There is no such program.
pub fn start_successor() -> io::Result<Child> {
    let mut arguments = std::env::args_os();
    let program = arguments.next().ok_or_else(|| io::Error::other("this process does not know its own name"))?;
    let mut rest: Vec<_> = arguments.collect();
    if !rest.iter().any(|argument| argument == TAKE_OVER) {
        rest.push(TAKE_OVER.into());
    }
    Command::new(program).args(rest).spawn()
}
