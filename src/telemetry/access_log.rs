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
    dropped: Arc<AtomicU64>,
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
        let dropped = Arc::<AtomicU64>::default();
        let lost = Arc::clone(&dropped);
        thread::Builder::new().name("access-log".to_owned()).spawn(move || write_all(target, &batches, &lost))?;
        let shared = Arc::new(Shared { queue, dropped });
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

    /// Lines lost because the disk was too slow or full.
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
            Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) => {
                if let Message::Batch(lost) = lost {
                    shared.dropped.fetch_add(lines_in(&lost), Ordering::Relaxed);
                }
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

fn lines_in(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

/// Writes a batch; where that fails, gives the error and how many bytes of it are in the file.
fn write_batch(file: &mut File, batch: &[u8]) -> Result<(), (io::Error, usize)> {
    let mut sent = 0;
    while sent < batch.len() {
        match file.write(&batch[sent..]) {
            Ok(0) => return Err((io::ErrorKind::WriteZero.into(), sent)),
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((error, sent)),
        }
    }
    Ok(())
}

fn write_all(mut target: Target, messages: &Receiver<Message>, dropped: &AtomicU64) {
    let mut failing = false;
    let mut lost_before = 0;
    // A full disk may take a line in part; the next one must not stand behind it.
    let mut is_torn = false;
    while let Ok(message) = messages.recv() {
        match message {
            Message::Batch(batch) => {
                let result = match &mut target {
                    Target::Stdout => {
                        let mut out = io::stdout().lock();
                        out.write_all(&batch).and_then(|()| out.flush()).map_err(|error| (error, 0))
                    }
                    Target::File(_, file) => {
                        let ended = if is_torn { file.write_all(b"\n").map_err(|error| (error, 0)) } else { Ok(()) };
                        ended.and_then(|()| {
                            is_torn = false;
                            write_batch(file, &batch)
                        })
                    }
                };
                match result {
                    Ok(()) if failing => {
                        failing = false;
                        let lines = dropped.load(Ordering::Relaxed) - lost_before;
                        tracing::warn!(lines, "access log is written again; lines were lost");
                    }
                    Ok(()) => {}
                    Err((error, sent)) => {
                        if !failing {
                            failing = true;
                            lost_before = dropped.load(Ordering::Relaxed);
                            tracing::error!(%error, "access log cannot be written; lines are lost until it can");
                        }
                        is_torn |= sent > 0 && batch.get(sent - 1) != Some(&b'\n');
                        dropped.fetch_add(lines_in(&batch[sent..]), Ordering::Relaxed);
                    }
                }
            }
            Message::Reopen => {
                if let Target::File(path, file) = &mut target {
                    match append(path) {
                        Ok(new) => {
                            *file = new;
                            is_torn = false;
                        }
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn line(request_id: &str) -> Record<'_> {
        Record {
            time_unix_ms: 0,
            listener: "public",
            client: IpAddr::from([192, 0, 2, 7]),
            http: "1.1",
            method: b"POST",
            host: b"h",
            path: b"/",
            route: None,
            upstream: None,
            node: None,
            decision: "bal",
            key: None,
            operation: None,
            status: 200,
            failure: None,
            bytes_in: 0,
            bytes_out: 0,
            total_us: 0,
            queued_us: None,
            node_us: None,
            learnt: 0,
            event: None,
            retries: 0,
            request_id,
        }
    }

    #[test]
    fn a_full_disk_costs_lines_which_are_counted_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("access.json");
        std::os::unix::fs::symlink("/dev/full", &file).expect("a link");
        let log = AccessLog::open(Some(&file), Format::Json).expect("it opens");
        let lines = log.lines();
        for _ in 0..3 {
            lines.push(&line("lost"));
            lines.flush();
        }
        log.flush();
        assert_eq!(log.dropped(), 3);
        std::fs::remove_file(&file).expect("the link can go");
        log.reopen();
        lines.push(&line("kept"));
        lines.flush();
        log.flush();
        let text = std::fs::read_to_string(&file).expect("a new file");
        assert!(text.lines().count() == 1 && text.contains("kept"), "{text}");
        assert_eq!(log.dropped(), 3);
    }
}
