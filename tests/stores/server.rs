//! Servers of other people's, as processes.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

/// A process, killed when this is dropped.
pub struct Server {
    child: Child,
}

impl Server {
    pub fn start(program: &Path, arguments: &[String], folder: &Path) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).expect("a file");
        let child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display()));
        Self { child }
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().expect("there is kill");
        assert!(status.success());
    }

    /// Ends it, gently.
    pub fn stop(&mut self) {
        self.signal("TERM");
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.child.try_wait().expect("it is ours").is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.kill();
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The folder of a server's programs, installed if need be. `None` = it cannot be had; said loudly, once.
pub fn installed(name: &str) -> Option<PathBuf> {
    static FOUND: LazyLock<Mutex<HashMap<String, Option<PathBuf>>>> = LazyLock::new(Mutex::default);
    let mut found = FOUND.lock().expect("nobody panics here");
    found.entry(name.to_owned()).or_insert_with(|| install(name)).clone()
}

fn install(name: &str) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fleet/install");
    let done = Command::new(script).arg(name).output().expect("tests/fleet/install runs");
    if done.status.success() {
        return Some(PathBuf::from(String::from_utf8_lossy(&done.stdout).trim()));
    }
    let why = String::from_utf8_lossy(&done.stderr);
    if std::env::var_os("CASTILE_STORES").is_some_and(|value| value == "required") {
        // Whoever waits for the lock shall say the same.
        eprintln!("no {name} to test with: {}", why.trim());
        std::process::exit(1);
    }
    // Past the capture of the test's output.
    let line = format!("SKIPPED: all tests of the store {name}: {}\n", why.trim());
    let _ = std::fs::write("/dev/stderr", line);
    None
}

/// A port where nobody listens at this moment, below those that the system gives to who connects, so that a server may come
/// back to it.
pub fn free_port() -> u16 {
    static NEXT: Mutex<u32> = Mutex::new(0);
    let mut next = NEXT.lock().expect("nobody panics here");
    let begin = std::process::id().wrapping_mul(41);
    loop {
        let port = 10_000 + (begin.wrapping_add(*next) % 9_000) as u16;
        *next += 1;
        // The bus of a cluster is 10000 above.
        if [port, port + 10_000].iter().all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()) {
            return port;
        }
    }
}
