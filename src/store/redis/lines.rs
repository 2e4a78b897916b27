//! The connections in use: one for all questions, one for the reader of the log; both made anew when they break.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::line::Line;
use super::master::Master;
use super::settings::{Place, Settings};
use crate::store::shared::StoreError;

/// What became of an attempt to connect; `None` = it lasts.
type Attempt = Option<Result<Arc<Line>, StoreError>>;

/// The connections in use.
#[derive(Debug)]
pub(super) struct Lines {
    pub master: Arc<Master>,
    main: Mutex<Option<watch::Receiver<Attempt>>>,
    reader: Mutex<Reader>,
    /// How often another server turned out to decide.
    moves: AtomicU64,
}

/// The connection that waits for the log.
#[derive(Debug, Default)]
struct Reader {
    /// Kept from one reading to the next.
    idle: Option<Reading>,
    /// Which server was read from last, as far as it says.
    server: Option<String>,
}

/// A connection to read the log on.
#[derive(Debug)]
pub(super) struct Reading {
    pub line: Line,
    /// Which process it leads to, and whom that follows: the same only if nothing of its log can have changed meanwhile.
    server: String,
    moves: u64,
}

impl Lines {
    pub fn new(settings: &Settings) -> Self {
        Self {
            master: Arc::new(Master::new(settings)),
            main: Mutex::default(),
            reader: Mutex::default(),
            moves: AtomicU64::new(0),
        }
    }

    /// The connection for questions. Connecting is nobody's own: who gives up waiting for it does not end it.
    pub async fn main(&self) -> Result<Arc<Line>, StoreError> {
        let mut attempt = self.attempt();
        let done = attempt.wait_for(Option::is_some).await.map(|done| done.clone());
        match done {
            Ok(Some(result)) => result,
            // Whoever connected ended with its runtime.
            _ => Err(StoreError::Away(format!("{}: connecting was given up", self.master.describe()))),
        }
    }

    /// The attempt that holds: a new one if the last one failed, or its connection broke.
    fn attempt(&self) -> watch::Receiver<Attempt> {
        let mut main = self.main.lock();
        if let Some(attempt) = &*main {
            let holds = match &*attempt.borrow() {
                None => attempt.has_changed().is_ok(),
                Some(Ok(line)) => line.is_alive(),
                Some(Err(_)) => false,
            };
            if holds {
                return attempt.clone();
            }
        }
        let (sender, attempt) = watch::channel(None);
        let master = Arc::clone(&self.master);
        tokio::spawn(async move {
            let result = master.connect().await.map(Arc::new);
            sender.send_replace(Some(result));
        });
        *main = Some(attempt.clone());
        attempt
    }

    /// Uses this connection no longer.
    pub fn leave(&self, line: &Arc<Line>) {
        let mut main = self.main.lock();
        let current = main
            .as_ref()
            .is_some_and(|attempt| matches!(&*attempt.borrow(), Some(Ok(current)) if Arc::ptr_eq(current, line)));
        if current {
            *main = None;
        }
    }

    /// Another server decides, maybe this one.
    pub fn moved(&self, to: Option<Place>) {
        self.master.hint(to);
        self.moves.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether what is read here still is what is written.
    pub fn is_current(&self, reading: &Reading) -> bool {
        reading.line.is_alive() && reading.moves == self.moves.load(Ordering::Acquire)
    }

    /// A connection to read the log on, and whether that log may differ from the one read last.
    pub async fn reading(&self) -> Result<(Reading, bool), StoreError> {
        let idle = self.reader.lock().idle.take();
        if let Some(reading) = idle.filter(|reading| self.is_current(reading)) {
            return Ok((reading, false));
        }
        let moves = self.moves.load(Ordering::Acquire);
        let line = self.master.connect().await?;
        // A user that may not ask this is told of a gap once too often.
        let info = line.ask::<String>(&redis::cmd("INFO")).await.unwrap_or_default();
        let server: String =
            info.lines().filter(|line| ["run_id:", "master_replid:"].iter().any(|key| line.starts_with(key))).collect();
        let mut reader = self.reader.lock();
        let differs = reader.server.as_ref().is_some_and(|last| server.is_empty() || *last != server);
        reader.server = Some(server.clone());
        Ok((Reading { line, server, moves }, differs))
    }

    /// Keeps a connection for the next reading: nothing is under way on it.
    pub fn keep(&self, reading: Reading) {
        let mut reader = self.reader.lock();
        if reader.server.as_ref() == Some(&reading.server) {
            reader.idle = Some(reading);
        }
    }
}
