//! The disk store at work: takes note of changes, and a thread of its own writes them in groups.
//!
//! ```text
//! requests ── tell ──► pending (latest state of each number) ── commit ──► file
//!    ▲                                                            │
//!    └────────────── settled: the position of the last commit ◄───┘
//! ```
//!
//! With `relaxed` durability a commit begins 25 ms after the first change that waits for one; with `before_reply` at once,
//! and what changes meanwhile is the next group. So there is never more than one commit under way, however many requests.
//!
//! **When the file fails** (disk full, I/O error) serving goes on: nobody waits, nothing is noted. The file is opened anew
//! every second or so; once that succeeds the whole table is written again in steps, and what is no longer in it goes. Until
//! then the file holds what its last commit left. A commit that takes longer than anybody waits for it is a failure too,
//! until it ends.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::file::{Batch, CommitError, Medium, StoreFile};
use crate::affinity::{Affinity, Change, Sink, What};

/// From the first change to the commit, where nobody waits. With the commit itself that stays below 50 ms.
const GATHER: Duration = Duration::from_millis(25);
/// Between two tries to open a file that failed.
const RETRY: Duration = Duration::from_secs(1);
/// Conversations that one step of writing the whole table writes.
const STEP: usize = 4096;

/// What requests and the thread share.
#[derive(Debug)]
struct Shared {
    pending: Mutex<Pending>,
    wake: Condvar,
    before_reply: bool,
    /// The position up to which everything is on disk.
    settled: AtomicU64,
    /// The file failed, or takes too long: nobody waits for it.
    failing: AtomicBool,
    status: Mutex<Option<String>>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Pending {
    batch: Batch,
    /// When its first change was made.
    since: Option<Instant>,
    position: u64,
    /// The file failed: what changes now is written when the whole table is.
    deaf: bool,
    closing: bool,
}

/// What a store counts.
#[derive(Debug, Default)]
pub struct Counts {
    /// Commits.
    pub commits: AtomicU64,
    /// Microseconds spent in them.
    pub commit_micros: AtomicU64,
    /// Conversations written or removed.
    pub written: AtomicU64,
    /// Commits and openings that failed.
    pub failures: AtomicU64,
    /// Answers that were passed on without their keys being on disk, because that took too long.
    pub late: AtomicU64,
}

impl Sink for Shared {
    fn tell(&self, position: u64, change: &Change) {
        let mut pending = self.pending.lock();
        pending.position = position;
        if pending.deaf {
            return;
        }
        let record = (!matches!(change.what, What::Gone { .. }) && !change.record.keys.is_empty())
            .then(|| change.record.clone());
        let is_first = pending.batch.is_empty();
        if is_first {
            pending.since = Some(Instant::now());
        }
        pending.batch.insert(change.record.id, record);
        drop(pending);
        if is_first {
            self.wake.notify_one();
        }
    }

    fn settled(&self) -> u64 {
        match self.before_reply && !self.failing.load(SeqCst) {
            true => self.settled.load(SeqCst),
            false => u64::MAX,
        }
    }
}

/// A store at work.
#[derive(Debug)]
pub struct Disk {
    affinity: Arc<Affinity>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Disk {
    /// Writes what the table binds from now on. `whole`: the table as it is now too, because the file says otherwise.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(
        file: StoreFile,
        medium: Medium,
        affinity: &Arc<Affinity>,
        before_reply: bool,
        whole: bool,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            wake: Condvar::new(),
            before_reply,
            settled: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            status: Mutex::default(),
            counts: Counts::default(),
        });
        affinity.journal().attach(Arc::clone(&shared) as Arc<dyn Sink>);
        let writer = Writer {
            path: file.path().to_owned(),
            medium,
            affinity: Arc::clone(affinity),
            shared: Arc::clone(&shared),
        };
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || writer.run(file, whole))?;
        Ok(Self { affinity: Arc::clone(affinity), shared, thread: Mutex::new(Some(thread)) })
    }

    /// What is wrong with it at present.
    pub fn trouble(&self) -> Option<String> {
        self.shared.status.lock().clone()
    }

    /// What it counts.
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// Up to which change nobody has to wait any more; the greatest number: nobody waits at all.
    pub fn settled(&self) -> u64 {
        Sink::settled(&*self.shared)
    }

    /// Conversations that wait for a commit.
    pub fn pending(&self) -> usize {
        self.shared.pending.lock().batch.len()
    }

    /// Somebody waited in vain for a change to be on disk: nobody else shall, until a commit ends.
    pub fn is_late(&self) {
        self.shared.counts.late.fetch_add(1, Relaxed);
        if !self.shared.failing.swap(true, SeqCst) {
            self.shared.tell_trouble("a commit takes too long".to_owned());
            self.affinity.journal().progressed();
        }
    }

    /// Writes what is left, closes the file and frees its lock: for the end of the process, or for the one that comes after it.
    pub fn close(&self) {
        self.shared.pending.lock().closing = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the store's thread panicked");
        }
        let sink = Arc::clone(&self.shared) as Arc<dyn Sink>;
        self.affinity.journal().detach(&sink);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn tell_trouble(&self, why: String) {
        tracing::error!(
            why,
            "the store fails: serving goes on, but what is bound from now on does not survive a restart"
        );
        *self.status.lock() = Some(why);
    }

    fn tell_end_of_trouble(&self) {
        if self.status.lock().take().is_some() {
            tracing::info!("the store works again");
        }
    }
}

/// The thread.
struct Writer {
    path: std::path::PathBuf,
    medium: Medium,
    affinity: Arc<Affinity>,
    shared: Arc<Shared>,
}

/// What the thread is asked to do.
enum Work {
    Commit(Batch, u64),
    Close,
}

impl Writer {
    fn run(self, file: StoreFile, whole: bool) {
        let mut file = Some(file);
        let mut whole = whole;
        loop {
            let result = match &mut file {
                Some(open) if whole => self.write_whole(open).map(|()| whole = false),
                Some(open) => match self.wait() {
                    Work::Commit(batch, position) => self.commit(open, &batch, None, position),
                    Work::Close => break,
                },
                None => {
                    if self.pause() {
                        break;
                    }
                    self.reopen().map(|open| {
                        file = Some(open);
                        whole = true;
                    })
                }
            };
            match result {
                Ok(()) if file.is_some() && !whole => self.shared.tell_end_of_trouble(),
                Ok(()) => {}
                Err(error) => {
                    self.fail(&error);
                    // After an I/O error redb wants to be opened anew.
                    if let Some(file) = file.take() {
                        let _ = file.close();
                    }
                }
            }
        }
        if let Some(mut file) = file {
            let (batch, position) = self.take();
            let last = if batch.is_empty() { Ok(()) } else { self.commit(&mut file, &batch, None, position) };
            if let Err(error) = last.and_then(|()| file.close()) {
                tracing::error!(%error, "the store was not closed cleanly; the next start repairs it");
            }
        }
        self.shared.failing.store(true, SeqCst);
        self.affinity.journal().progressed();
    }

    /// Waits until there is something to write.
    fn wait(&self) -> Work {
        let mut pending = self.shared.pending.lock();
        while pending.batch.is_empty() && !pending.closing {
            self.shared.wake.wait(&mut pending);
        }
        if pending.closing {
            return Work::Close;
        }
        if !self.shared.before_reply {
            // What came while the last commit was under way has waited already.
            let until = pending.since.unwrap_or_else(Instant::now) + GATHER;
            while !pending.closing && !self.shared.wake.wait_until(&mut pending, until).timed_out() {}
        }
        let position = pending.position;
        Work::Commit(std::mem::take(&mut pending.batch), position)
    }

    fn take(&self) -> (Batch, u64) {
        let mut pending = self.shared.pending.lock();
        (std::mem::take(&mut pending.batch), pending.position)
    }

    /// Waits before the next try. True: the process ends.
    fn pause(&self) -> bool {
        let mut pending = self.shared.pending.lock();
        let until = Instant::now() + RETRY;
        while !pending.closing && !self.shared.wake.wait_until(&mut pending, until).timed_out() {}
        pending.closing
    }

    fn commit(
        &self,
        file: &mut StoreFile,
        batch: &Batch,
        swept: Option<Range<u32>>,
        position: u64,
    ) -> Result<(), CommitError> {
        let began = Instant::now();
        file.commit(batch, swept)?;
        let counts = &self.shared.counts;
        counts.commits.fetch_add(1, Relaxed);
        counts.commit_micros.fetch_add(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX), Relaxed);
        counts.written.fetch_add(batch.len() as u64, Relaxed);
        self.shared.settled.store(position, SeqCst);
        self.shared.failing.store(false, SeqCst);
        self.affinity.journal().progressed();
        Ok(())
    }

    /// Writes the whole table in steps, changes that come meanwhile included.
    fn write_whole(&self, file: &mut StoreFile) -> Result<(), CommitError> {
        self.shared.pending.lock().deaf = false;
        let mut from = 0;
        loop {
            let next = self.affinity.walk(from, STEP, &*self.shared);
            let (batch, position) = self.take();
            // What follows the last place of the table is nobody's.
            self.commit(file, &batch, Some(from..next.unwrap_or(u32::MAX)), position)?;
            match next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    fn reopen(&self) -> Result<StoreFile, CommitError> {
        StoreFile::open(&self.path, &self.medium).map_err(|error| CommitError::of(&error))
    }

    fn fail(&self, error: &CommitError) {
        self.shared.counts.failures.fetch_add(1, Relaxed);
        {
            let mut pending = self.shared.pending.lock();
            pending.deaf = true;
            pending.batch = Batch::default();
        }
        let was_failing = self.shared.failing.swap(true, SeqCst);
        if !was_failing || self.shared.status.lock().is_none() {
            self.shared.tell_trouble(format!("{}: {error}", self.path.display()));
        }
        self.affinity.journal().progressed();
    }
}
