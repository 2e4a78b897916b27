//! The writer of the access log: a thread of its own, a bounded queue of batches, and never a wait on the data path.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use super::record::{Clock, Format, Record};

/// Bytes a worker collects before it hands them over.
const BATCH_BYTES: usize = 32 * 1024;
/// Batches that may wait for the disk: about 8 MiB.
const BATCHES: usize = 256;

/// The access log of the process.
#[derive(Debug, Clone)]
pub struct AccessLog {
    shared: Option<Arc<Shared>>,
    format: Format,
}

#[derive(Debug)]
struct Shared {
    queue: SyncSender<Message>,
    dropped: AtomicU64,
}

#[derive(Debug)]
enum Message {
    Batch(Vec<u8>),
    Reopen,
    Flush(SyncSender<()>),
}

impl AccessLog {
    /// A log that is not written.
    pub fn off() -> Self {
        Self { shared: None, format: Format::Json }
    }

    /// A log at the end of `file`, or on standard output.
    ///
    /// # Errors
    /// The file cannot be opened for writing.
    pub fn open(file: Option<&Path>, format: Format) -> io::Result<Self> {
        let target = match file {
            Some(path) => Target::File(path.to_owned(), append(path)?),
            None => Target::Stdout,
        };
        let (queue, batches) = sync_channel(BATCHES);
        let shared = Arc::new(Shared { queue, dropped: AtomicU64::new(0) });
        thread::Builder::new().name("access-log".to_owned()).spawn(move || write_all(target, &batches))?;
        Ok(Self { shared: Some(shared), format })
    }

    /// Whether lines are written at all.
    pub fn is_on(&self) -> bool {
        self.shared.is_some()
    }

    /// Closes and opens the file again, for log rotation.
    pub fn reopen(&self) {
        if let Some(shared) = &self.shared {
            // A full queue means that the disk is slow; rotation can ask again.
            let _ = shared.queue.try_send(Message::Reopen);
        }
    }

    /// Waits until everything handed over is written. Blocks; for the end of the process.
    pub fn flush(&self) {
        if let Some(shared) = &self.shared {
            let (done, wait) = sync_channel(1);
            if shared.queue.send(Message::Flush(done)).is_ok() {
                let _ = wait.recv();
            }
        }
    }

    /// Batches lost because the disk was too slow.
    pub fn dropped(&self) -> u64 {
        self.shared.as_ref().map_or(0, |shared| shared.dropped.load(Ordering::Relaxed))
    }

    /// Where one worker collects its lines.
    pub fn lines(&self) -> Lines {
        Lines { log: self.clone(), batch: RefCell::default(), clock: RefCell::default() }
    }
}

/// The lines of one worker, handed over in batches so that a line costs neither a system call nor a wake-up.
#[derive(Debug)]
pub struct Lines {
    log: AccessLog,
    batch: RefCell<Vec<u8>>,
    clock: RefCell<Clock>,
}

impl Lines {
    /// Adds a line.
    pub fn push(&self, record: &Record<'_>) {
        if !self.log.is_on() {
            return;
        }
        let mut batch = self.batch.borrow_mut();
        if batch.capacity() == 0 {
            batch.reserve(BATCH_BYTES + 1024);
        }
        record.write(self.log.format, &mut self.clock.borrow_mut(), &mut batch);
        if batch.len() >= BATCH_BYTES {
            self.hand_over(&mut batch);
        }
    }

    /// Whether lines are wanted at all.
    pub fn is_on(&self) -> bool {
        self.log.is_on()
    }

    /// Hands over what was collected; called every now and then, so that lines do not wait for more.
    pub fn flush(&self) {
        self.hand_over(&mut self.batch.borrow_mut());
    }

    fn hand_over(&self, batch: &mut Vec<u8>) {
        if batch.is_empty() {
            return;
        }
        let Some(shared) = &self.log.shared else { return };
        match shared.queue.try_send(Message::Batch(std::mem::take(batch))) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.flush();
    }
}

enum Target {
    Stdout,
    File(PathBuf, File),
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn write_all(mut target: Target, messages: &Receiver<Message>) {
    let mut failing = false;
    while let Ok(message) = messages.recv() {
        match message {
            Message::Batch(batch) => {
                let result = match &mut target {
                    Target::Stdout => {
                        let mut out = io::stdout().lock();
                        out.write_all(&batch).and_then(|()| out.flush())
                    }
                    Target::File(_, file) => file.write_all(&batch),
                };
                match result {
                    Ok(()) => failing = false,
                    Err(error) if !failing => {
                        failing = true;
                        tracing::error!(%error, "access log cannot be written; lines are lost until it can");
                    }
                    Err(_) => {}
                }
            }
            Message::Reopen => {
                if let Target::File(path, file) = &mut target {
                    match append(path) {
                        Ok(new) => *file = new,
                        Err(error) => {
                            tracing::error!(%error, "access log cannot be opened again; the old file is kept")
                        }
                    }
                }
            }
            Message::Flush(done) => {
                let _ = done.send(());
            }
        }
    }
}
