//! Processes that a scenario starts, hurts and ends.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// A process that is killed when it is dropped. The standard input of a child stays open as long as this lives.
#[derive(Debug)]
pub struct Process {
    id: u32,
    /// `None`: somebody else's child.
    child: Option<Child>,
}

impl Process {
    /// Its errors go to the file.
    pub fn start(mut command: Command, errors: &Path) -> Result<Self, String> {
        let file = File::options().create(true).append(true).open(errors).map_err(|error| error.to_string())?;
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(file).spawn();
        child
            .map(|child| Self { id: child.id(), child: Some(child) })
            .map_err(|error| format!("cannot start {command:?}: {error}"))
    }

    /// One that a child of this process has started.
    pub fn of_others(id: u32) -> Self {
        Self { id, child: None }
    }

    /// By the name that `kill` knows.
    pub fn signal(&self, name: &str) {
        let id = self.id.to_string();
        let _ = Command::new("kill").args(["-s", name, &id]).stderr(Stdio::null()).status();
    }

    pub fn is_alive(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            // One that has ended stays there as `Z` until its parent has looked.
            None => std::fs::read_to_string(format!("/proc/{}/stat", self.id))
                .is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z"))),
        }
    }

    /// Kills it as hard as can be, and waits for it to be gone.
    pub fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        } else if self.is_alive() {
            self.signal("KILL");
        }
    }

    /// Waits for its end: whether it was a good one, as far as that can be known of somebody else's child.
    pub fn wait(&mut self) -> Result<bool, String> {
        let mut is_good = true;
        until("a process ends", || {
            let Some(child) = &mut self.child else { return !self.is_alive() };
            let status = child.try_wait().ok().flatten();
            is_good = status.is_some_and(|status| status.success());
            status.is_some()
        })?;
        Ok(is_good)
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
