//! Processes that a scenario starts, hurts and ends.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// A child that is killed when it is dropped. Its standard input stays open as long as this lives.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Its errors go to the file.
    pub fn start(mut command: Command, errors: &Path) -> Result<Self, String> {
        let file = File::options().create(true).append(true).open(errors).map_err(|error| error.to_string())?;
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(file).spawn();
        child.map(|child| Self { child }).map_err(|error| format!("cannot start {command:?}: {error}"))
    }

    /// By the name that `kill` knows.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-s", name, &id]).stderr(Stdio::null()).status();
    }

    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it as hard as can be, and waits for it to be gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Result<ExitStatus, String> {
        let mut status = None;
        until("a process ends", || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        })?;
        status.ok_or_else(|| "it has no status".to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for an event that nothing announces.
pub fn until(what: &str, mut happened: impl FnMut() -> bool) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        if Instant::now() > deadline {
            return Err(format!("in {PATIENCE:?} it did not happen that {what}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Waits for somebody to listen there.
pub fn listens(address: SocketAddr) -> Result<(), String> {
    until(&format!("somebody listens on {address}"), || TcpStream::connect(address).is_ok())
}

/// An address where nobody listens at this moment, so that a process may and come back to it. Below the ports that the
/// system gives to those who connect: none of them shall take it while its process is away, or meet itself there.
pub fn free_address(ip: Ipv4Addr) -> Result<SocketAddr, String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(37);
    for _ in 0..PORTS.len() {
        let offset = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS.len() as u32;
        let address = SocketAddr::from((ip, PORTS.start + offset as u16));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err("no port is free".to_owned())
}

const PORTS: std::ops::Range<u16> = 20_000..32_000;
