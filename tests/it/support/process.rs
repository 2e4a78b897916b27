//! The gateway as a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use super::{PATIENCE, eventually};

/// The program with these arguments; nothing goes to the terminal.
pub fn castile(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_castile"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running gateway. Killed when dropped.
pub struct Process {
    child: Child,
    told: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Process {
    /// Runs this configuration with these further arguments.
    pub fn run(file: &Path, arguments: &[&str]) -> Self {
        Self::spawn(castile(&[&["run", "--config", &file.to_string_lossy()], arguments].concat()))
    }

    /// Runs this command.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).spawn().expect("the program runs");
        let told = Arc::<(Mutex<Vec<String>>, Condvar)>::default();
        let (lines, log) = (BufReader::new(child.stderr.take().expect("piped")).lines(), Arc::clone(&told));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                log.0.lock().unwrap().push(line);
                log.1.notify_all();
            }
        });
        Self { child, told }
    }

    /// The first line of its log that contains all these words, once it is there.
    pub fn line(&self, words: &[&str]) -> String {
        self.nth_line(words, 0)
    }

    /// The same for the n-th such line, from 0.
    pub fn nth_line(&self, words: &[&str], number: usize) -> String {
        let find = |lines: &Vec<String>| {
            lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).nth(number).cloned()
        };
        let lines = self.told.0.lock().unwrap();
        let (lines, _) = self.told.1.wait_timeout_while(lines, PATIENCE, |lines| find(lines).is_none()).unwrap();
        find(&lines).unwrap_or_else(|| panic!("in vain: {words:?}\n{}", lines.join("\n")))
    }

    /// What it has told so far.
    pub fn log(&self) -> String {
        self.told.0.lock().unwrap().join("\n")
    }

    /// Where its listener of this name is bound.
    pub fn address(&self, listener: &str) -> SocketAddr {
        self.told_address(&["listening", &format!("listener=\"{listener}\"")])
    }

    /// Where its admin API listens.
    pub fn admin(&self) -> SocketAddr {
        self.told_address(&["admin API"])
    }

    fn told_address(&self, words: &[&str]) -> SocketAddr {
        let line = self.line(words);
        let address = line.split("address=").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
        address.parse().expect("an address")
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the process ends", || {
            status = self.child.try_wait().expect("it is ours");
            status.is_some()
        });
        status.expect("just seen")
    }

    /// Whether it is still there.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a process a signal.
pub fn signal(id: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &id.to_string()]).status().expect("there is kill");
    assert!(status.success());
}
