//! The socket on which a running process can be asked to hand over.
//!
//! It is a Unix socket of mode 0600, and whoever connects must be the same user or root: what is passed is worth as much as
//! the process itself.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixListener;

use super::message::{self, Message};
use crate::store::change::Names;

/// How long the other process may take for one step in which it has nothing to do.
pub const STEP: Duration = Duration::from_secs(10);

/// The socket cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("handover.socket {path}: {source}")]
pub struct DoorError {
    path: PathBuf,
    source: io::Error,
}

/// A bound socket.
#[derive(Debug)]
pub struct Door {
    listener: UnixListener,
    path: PathBuf,
    /// Device and number of the file, to know whether it is still ours; `None` once it is the successor's.
    file: Option<(u64, u64)>,
}

/// Somebody who wants to take over.
#[derive(Debug)]
pub struct Visitor {
    /// The connection.
    pub stream: UnixStream,
    /// The process.
    pub pid: i32,
}

impl Door {
    /// Binds the socket, in the place of one that nobody listens on, or of the one whose process has just handed over.
    /// Needs a runtime.
    ///
    /// # Errors
    /// Another process listens there, or the file cannot be made.
    pub fn open(path: &Path, in_place: bool) -> Result<Self, DoorError> {
        let fail = |source| DoorError { path: path.to_owned(), source };
        if !in_place && UnixStream::connect(path).is_ok() {
            let taken = "another gateway listens there; give each its own socket, or take over with --take-over";
            return Err(fail(io::Error::new(io::ErrorKind::AddrInUse, taken)));
        }
        // Under another name first, so that the name itself never leads to a socket of the wrong mode, or to none.
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", std::process::id()));
        let new = PathBuf::from(name);
        let _ = std::fs::remove_file(&new);
        let listener = StdListener::bind(&new).map_err(fail)?;
        let finish = || {
            std::fs::set_permissions(&new, Permissions::from_mode(0o600))?;
            let meta = std::fs::metadata(&new)?;
            std::fs::rename(&new, path)?;
            listener.set_nonblocking(true)?;
            Ok((meta.dev(), meta.ino()))
        };
        let file = finish().map_err(|error| {
            let _ = std::fs::remove_file(&new);
            fail(error)
        })?;
        let listener = UnixListener::from_std(listener).map_err(fail)?;
        Ok(Self { listener, path: path.to_owned(), file: Some(file) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Listens no more. The file is the successor's, which puts its own in its place; removing it could remove that one.
    pub fn leave(mut self) {
        self.file = None;
    }

    /// The next one who may take over; others are sent away.
    pub async fn visitor(&self) -> Visitor {
        loop {
            match self.listener.accept().await.and_then(|(stream, _)| stream.into_std()).and_then(admit) {
                Ok(visitor) => return visitor,
                Err(error) => {
                    tracing::warn!(%error, "nobody who may take over");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let is_ours = std::fs::metadata(&self.path).is_ok_and(|meta| Some((meta.dev(), meta.ino())) == self.file);
        if is_ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn admit(stream: UnixStream) -> io::Result<Visitor> {
    let peer = rustix::net::sockopt::socket_peercred(&stream)?;
    let own = rustix::process::geteuid();
    if peer.uid != own && !peer.uid.is_root() {
        let why = format!("user {} asked to take over; only user {} and root may", peer.uid.as_raw(), own.as_raw());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(STEP))?;
    stream.set_write_timeout(Some(STEP))?;
    Ok(Visitor { stream, pid: peer.pid.as_raw_nonzero().get() })
}

/// Tells a visitor no, and why, on a thread of its own.
pub fn refuse(visitor: Visitor, why: &'static str) {
    tracing::warn!(pid = visitor.pid, why, "hand-over refused");
    let spawned = std::thread::Builder::new().name("handover-no".into()).spawn(move || {
        // Closing before its greeting was read would reset the answer away.
        if message::read(&mut &visitor.stream, &mut Vec::new(), &mut Names::default()).is_ok() {
            say_no(&visitor.stream, why.to_owned());
        }
    });
    if let Err(error) = spawned {
        tracing::debug!(%error, "who wanted to take over is sent away without a word");
    }
}

/// Says no to whoever has greeted.
pub fn say_no(mut stream: &UnixStream, why: String) {
    use std::io::Write;
    let mut bytes = Vec::new();
    Message::Refused(why).write(&mut bytes);
    if let Err(error) = stream.write_all(&bytes) {
        tracing::debug!(%error, "who wanted to take over did not wait for the answer");
    }
}
