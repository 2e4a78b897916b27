//! Redis, with real servers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use castile::store::redis::{Credentials, Place, Redis, Settings};
use castile::store::shared::Shared;
use parking_lot::Mutex;

use crate::server::{Server, free_port, installed};
use crate::suite::{LOG_MAX, World};

/// A server of one's own.
pub struct Real {
    programs: PathBuf,
    folder: tempfile::TempDir,
    pub port: u16,
    more: Vec<String>,
    server: Mutex<Server>,
}

impl Real {
    /// A server with these further arguments.
    pub async fn start(more: &[&str]) -> Option<Self> {
        let programs = tokio::task::spawn_blocking(|| installed("redis")).await.expect("no panic")?;
        let folder = tempfile::tempdir().expect("a folder");
        let (port, more) = (free_port(), more.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        let server = Mutex::new(run(&programs, folder.path(), port, &more));
        let real = Self { programs, folder, port, more, server };
        real.answers().await;
        Some(real)
    }

    /// What `redis-cli` says.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let port = self.port.to_string();
        let done = Command::new(self.programs.join("redis-cli")).args(["-p", &port]).args(arguments).output();
        String::from_utf8_lossy(&done.expect("redis-cli runs").stdout).trim().to_owned()
    }

    /// Until it answers.
    pub async fn answers(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let said = self.cli(&["PING"]);
            if said.contains("PONG") || said.contains("NOAUTH") {
                return;
            }
            assert!(Instant::now() < deadline, "redis-server does not answer: {said}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub fn settings(&self) -> Settings {
        Settings {
            places: vec![Place { host: "127.0.0.1".to_owned(), port: self.port }],
            tls: None,
            credentials: Credentials::default(),
            database: 0,
            sentinel: None,
            prefix: "castile".to_owned(),
            timeout: Duration::from_secs(5),
            log_max: LOG_MAX,
        }
    }
}

fn run(programs: &Path, folder: &Path, port: u16, more: &[String]) -> Server {
    let mut arguments: Vec<_> =
        ["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--port"].map(str::to_owned).to_vec();
    arguments.push(port.to_string());
    arguments.extend_from_slice(more);
    Server::start(&programs.join("redis-server"), &arguments, folder)
}

impl World for Real {
    fn connect(&self) -> Arc<dyn Shared> {
        Arc::new(Redis::new(&self.settings()))
    }

    async fn lose(&self) {
        assert_eq!(self.cli(&["FLUSHALL"]), "OK");
    }

    async fn away(&self) {
        self.server.lock().stop();
    }

    async fn back(&self) {
        *self.server.lock() = run(&self.programs, self.folder.path(), self.port, &self.more);
        self.answers().await;
    }
}

crate::suite!(Real::start(&[]).await);
