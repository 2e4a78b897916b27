//! A real member, as a process.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use castile::hazelcast::Address;

/// How long a JVM may take to start and to join, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A member. It is killed when it is dropped.
#[derive(Debug)]
pub struct Member {
    child: Child,
    // The member ends with its input, so that none stays behind whatever happens to this process.
    _input: ChildStdin,
    lines: Receiver<String>,
    pub port: u16,
}

impl Member {
    /// Starts one that joins the one at `peer`, and waits until it is up.
    pub fn start(classes: &str, cluster: &str, port: u16, peer: u16, http: u16) -> Result<Self, String> {
        let mut command = Command::new("java");
        command.args(["-Xmx256m", "-cp", classes, "Member", cluster]);
        command.args([port, peer, http].map(|number| number.to_string()));
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = spawned.map_err(|error| format!("cannot start java: {error}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the child has no pipes".to_owned());
        };
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let member = Self { child, _input: input, lines, port };
        member.wait_for("READY")?;
        Ok(member)
    }

    pub fn address(&self) -> Address {
        Address { host: "127.0.0.1".to_owned(), port: self.port }
    }

    /// By the name that `kill` knows.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-s", name, &id]).status();
    }

    fn wait_for(&self, word: &str) -> Result<(), String> {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.starts_with(word) => return Ok(()),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("the member has not said {word} in {PATIENCE:?}"));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(format!("the member ended before it said {word}")),
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports where nobody listens at this moment.
pub fn free_ports<const N: usize>() -> Result<[u16; N], String> {
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        *port = listener.local_addr().map_err(|error| error.to_string())?.port();
        held.push(listener);
    }
    Ok(ports)
}
