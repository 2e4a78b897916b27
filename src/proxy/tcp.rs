//! What is set on TCP connections, to clients and to nodes alike; and the descriptors they need.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::config::model::TcpKeepAlive;

/// Bytes that the system holds of what a peer does not take: with more (usually 4 MiB) a slow reader costs memory, and
/// its progress shows only every few minutes.
const UNSENT_BYTES: u32 = 32 * 1024;

/// Sends at once what is written, and asks a silent peer whether it is still there, so that no firewall on the way forgets
/// the connection.
///
/// # Errors
/// The connection has gone.
pub fn prepare(stream: &TcpStream, keep_alive: Option<&TcpKeepAlive>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES)?;
    let Some(keep_alive) = keep_alive else { return Ok(()) };
    // The system counts in whole seconds.
    let second = Duration::from_secs(1);
    let settings = TcpKeepalive::new()
        .with_time(keep_alive.idle.max(second))
        .with_interval(keep_alive.interval.max(second))
        .with_retries(keep_alive.probes);
    SockRef::from(stream).set_tcp_keepalive(&settings)
}

/// Raises the number of descriptors that the process may have as far as it may: how many that is. `None` = no limit.
pub fn raise_descriptors() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::debug!(%error, "the number of descriptors stays as it is");
    }
    getrlimit(Resource::Nofile).current
}

/// Whether there are no descriptors left: our fault, not the peer's.
pub fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error.raw_os_error().is_some_and(|code| code == Errno::MFILE.raw_os_error() || code == Errno::NFILE.raw_os_error())
}
