//! The audit stream: who changed what, from where, and what came of it. Apart from the access log, and never dropped.
//!
//! Whoever is about to act takes a place in a bounded queue first, and waits for it; without a place nothing is done. A
//! record that cannot be written waits in its place and is tried again, which readiness, metrics and the log of events
//! tell. The writer is a thread of its own.

mod record;
mod sink;
mod syslog;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use record::{Act, Outcome};
use sink::{FileSink, Sink};
pub use syslog::Receiver as SyslogReceiver;

/// Records that may wait to be written: some hundred KiB.
const PLACES: usize = 1024;
/// How long an act waits for a place before it is refused.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts to write a record.
const RETRY: Duration = Duration::from_secs(1);
/// How often it is said again that records cannot be written.
const REMIND: Duration = Duration::from_secs(60);

/// Where records go.
#[derive(Debug)]
pub enum Target<'a> {
    /// Standard output.
    Stdout,
    /// The end of a file.
    File(&'a Path),
    /// A syslog receiver behind TLS.
    Syslog(SyslogReceiver),
}

/// The act cannot be recorded, so it is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written and its queue is full, so nothing was done; see /ready")]
pub struct Unrecorded;

/// The audit stream of the process.
#[derive(Debug, Clone)]
pub struct Audit(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    queue: Sender<Message>,
    places: Arc<Semaphore>,
    next: AtomicU64,
    state: Arc<State>,
    writer: Thread,
}

#[derive(Debug, Default)]
struct State {
    written: AtomicU64,
    unrecorded: AtomicU64,
    reopen: AtomicBool,
    /// Why the last record could not be written.
    failing: Mutex<Option<String>>,
    /// From then on a record that cannot be written goes to the log of events instead.
    give_up_at: Mutex<Option<Instant>>,
}

#[derive(Debug)]
enum Message {
    Record(record::Record),
    /// Dropped when all before it is done.
    Flush {
        _done: Sender<()>,
    },
}

/// A place in the queue.
#[derive(Debug)]
pub struct Place(Option<OwnedSemaphorePermit>);

impl Audit {
    /// No stream: every act has a place, and nothing is written.
    pub fn off() -> Self {
        Self(None)
    }

    /// Begins the stream.
    ///
    /// # Errors
    /// The file cannot be opened for writing, or there is no thread to be had. A syslog receiver that cannot be reached is
    /// no error: records wait for it.
    pub fn open(target: Target<'_>) -> io::Result<Self> {
        let sink: Box<dyn Sink> = match target {
            Target::Stdout => Box::new(sink::Stdout),
            Target::File(path) => Box::new(FileSink::open(path)?),
            Target::Syslog(receiver) => Box::new(syslog::Syslog::new(receiver)),
        };
        let (queue, messages) = channel();
        let state = Arc::<State>::default();
        let places = Arc::new(Semaphore::new(PLACES));
        let writer = Writer { sink, state: Arc::clone(&state), places: Arc::clone(&places), told_at: None };
        let thread = thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run(&messages))?;
        let writer = thread.thread().clone();
        Ok(Self(Some(Arc::new(Shared { queue, places, next: AtomicU64::new(1), state, writer }))))
    }

    /// A place for an act that is about to be done. Waits for it, some seconds at most.
    ///
    /// # Errors
    /// No place came free: the act must not be done.
    pub async fn place(&self) -> Result<Place, Unrecorded> {
        let Some(shared) = &self.0 else { return Ok(Place(None)) };
        let places = Arc::clone(&shared.places);
        match tokio::time::timeout(PATIENCE, places.acquire_owned()).await {
            Ok(Ok(place)) => Ok(Place(Some(place))),
            _ => {
                shared.state.unrecorded.fetch_add(1, Relaxed);
                tracing::error!("an act is refused because the audit log cannot be written and its queue is full");
                Err(Unrecorded)
            }
        }
    }

    /// Records an act in the place that was taken for it. `now_ms`: milliseconds since 1970.
    pub fn record(&self, place: Place, act: &Act<'_>, now_ms: u64) {
        let (Some(shared), Some(place)) = (&self.0, place.0) else { return };
        // The writer gives it back.
        place.forget();
        let record = record::Record::new(act, shared.next.fetch_add(1, Relaxed), now_ms);
        // The writer ends with the process.
        let _ = shared.queue.send(Message::Record(record));
    }

    /// Closes and opens the file again, for log rotation.
    pub fn reopen(&self) {
        if let Some(shared) = &self.0 {
            shared.state.reopen.store(true, Relaxed);
            shared.writer.unpark();
            let _ = shared.queue.send(Message::Flush { _done: channel().0 });
        }
    }

    /// Waits until everything is written, or `limit` is over; then what cannot be written goes to the log of events. Blocks;
    /// for the end of the process.
    pub fn finish(&self, limit: Duration) {
        let Some(shared) = &self.0 else { return };
        *shared.state.give_up_at.lock() = Some(Instant::now() + limit);
        let (done, wait) = channel();
        if shared.queue.send(Message::Flush { _done: done }).is_ok() {
            shared.writer.unpark();
            // The writer drops it when it is there.
            let _ = wait.recv_timeout(limit + RETRY * 4);
        }
    }

    /// Records written so far.
    pub fn written(&self) -> u64 {
        self.0.as_ref().map_or(0, |shared| shared.state.written.load(Relaxed))
    }

    /// Records that wait to be written.
    pub fn waiting(&self) -> usize {
        self.0.as_ref().map_or(0, |shared| PLACES - shared.places.available_permits())
    }

    /// Acts that were refused because they could not be recorded.
    pub fn unrecorded(&self) -> u64 {
        self.0.as_ref().map_or(0, |shared| shared.state.unrecorded.load(Relaxed))
    }

    /// Why records cannot be written at present.
    pub fn failing(&self) -> Option<String> {
        self.0.as_ref().and_then(|shared| shared.state.failing.lock().clone())
    }
}

struct Writer {
    sink: Box<dyn Sink>,
    state: Arc<State>,
    places: Arc<Semaphore>,
    told_at: Option<Instant>,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        loop {
            match messages.recv_timeout(RETRY) {
                Ok(Message::Record(record)) => {
                    self.write(&record);
                    self.places.add_permits(1);
                }
                Ok(Message::Flush { .. }) => self.reopen_if_asked(),
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.sink.tend() {
                        self.tell(&error);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn reopen_if_asked(&mut self) {
        if self.state.reopen.swap(false, Relaxed)
            && let Err(error) = self.sink.reopen()
        {
            tracing::error!(%error, "the audit log cannot be opened again; the old file is kept");
        }
    }

    /// Writes a record, however long that takes.
    fn write(&mut self, record: &record::Record) {
        loop {
            self.reopen_if_asked();
            match self.sink.write(record) {
                Ok(()) => {
                    self.state.written.fetch_add(1, Relaxed);
                    if self.state.failing.lock().take().is_some() {
                        self.told_at = None;
                        tracing::warn!("the audit log is written again");
                    }
                    return;
                }
                Err(error) => self.tell(&error),
            }
            let give_up_at = *self.state.give_up_at.lock();
            if give_up_at.is_some_and(|at| Instant::now() >= at) {
                tracing::error!(record = record.json, "the gateway ends, and this audit record could not be written");
                return;
            }
            let left = give_up_at.map_or(RETRY, |at| at.saturating_duration_since(Instant::now()));
            thread::park_timeout(RETRY.min(left));
        }
    }

    fn tell(&mut self, error: &io::Error) {
        *self.state.failing.lock() = Some(error.to_string());
        if self.told_at.is_none_or(|at| at.elapsed() >= REMIND) {
            self.told_at = Some(Instant::now());
            let waiting = PLACES - self.places.available_permits();
            tracing::error!(%error, waiting, "the audit log cannot be written; its records wait, and when {PLACES} wait, admin actions are refused");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(what: &str) -> Act<'_> {
        Act { who: "local", what, ..Act::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_disk_keeps_records_and_then_refuses_acts_until_there_is_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("audit.json");
        std::os::unix::fs::symlink("/dev/full", &file).expect("a link");
        let audit = Audit::open(Target::File(&file)).expect("it opens");
        for number in 0..PLACES {
            let place = audit.place().await.expect("there is room");
            audit.record(place, &act(&number.to_string()), 0);
        }
        assert!(audit.place().await.is_err(), "the act must not be done");
        assert_eq!((audit.written(), audit.unrecorded(), audit.waiting()), (0, 1, PLACES));
        std::fs::remove_file(&file).expect("the link can go");
        audit.reopen();
        tokio::task::spawn_blocking(move || {
            audit.finish(Duration::from_secs(60));
            assert_eq!((audit.written(), audit.waiting(), audit.failing()), (PLACES as u64, 0, None));
        })
        .await
        .expect("all is written");
        let lines = std::fs::read_to_string(&file).expect("a new file");
        let first: serde_json::Value = serde_json::from_str(lines.lines().next().expect("lines")).expect("JSON");
        assert_eq!((lines.lines().count(), &first["what"], &first["n"]), (PLACES, &"0".into(), &1.into()));
    }

    #[test]
    fn at_the_end_nobody_waits_for_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("audit.json");
        std::os::unix::fs::symlink("/dev/full", &file).expect("a link");
        let audit = Audit::open(Target::File(&file)).expect("it opens");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let place = runtime.block_on(audit.place()).expect("there is room");
        audit.record(place, &act("stop"), 0);
        audit.finish(Duration::ZERO);
        assert_eq!((audit.written(), audit.waiting()), (0, 0));
        assert!(audit.failing().is_some());
    }
}
