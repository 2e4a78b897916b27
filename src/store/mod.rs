//! Stores: where pins live beyond this process.
//!
//! A store is a [`Sink`](crate::affinity::Sink) of the table's journal: it hears of every change and says how far it has
//! come. The table is always the near cache; a request never reads a store. At the start the table is restored from it.
//!
//! One so far, in a file: [`Disk`]. Its [`mod@file`] says how it is laid out, [`disk`] when it is written and what happens when
//! it cannot be, [`key`] where the key of its fingerprints is. Stores that several gateways share will have to be asked
//! before a first bind as well; that is a question of placement, not of the journal.

pub(crate) mod change;
pub mod disk;
pub(crate) mod fields;
pub mod file;
pub mod fleet;
pub mod key;
pub mod record;
pub mod redis;
pub mod shared;
pub mod testing;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub use disk::{Counts, Disk};
pub use file::{Medium, OpenError, StoreFile, on_disk};
pub use key::{Secret, beside, keep};

use crate::affinity::{Affinity, Now, Restored};

/// A store that is open, and has not been read yet.
#[derive(Debug)]
pub struct Opened {
    file: StoreFile,
    /// The secret of its fingerprints.
    pub secret: Secret,
}

impl Opened {
    /// Opens a store, or makes it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path, configured: Option<Secret>) -> Result<Self, OpenError> {
        let file = StoreFile::open(path, &on_disk())?;
        let secret = key::secret(&file, configured)?;
        Ok(Self { file, secret })
    }

    /// Fills a new table with what is in the store, and keeps the store up to date from now on. The nodes of the configuration
    /// must be registered.
    ///
    /// # Errors
    /// The file cannot be read, or there is no thread to be had.
    pub fn serve(
        mut self,
        affinity: &Arc<Affinity>,
        before_reply: bool,
        now: Now,
    ) -> Result<(Disk, Restored), OpenError> {
        let file = self.file.path().display().to_string();
        let (restored, unreadable) = restore(&mut self.file, affinity, now)
            .map_err(|error| OpenError::Damaged { file: file.clone(), why: error.to_string() })?;
        if unreadable > 0 {
            return Err(OpenError::Damaged { file, why: format!("{unreadable} of its conversations cannot be read") });
        }
        // Numbers that changed hands, and conversations that were left out, go when the whole table is written.
        let whole = !restored.stale.is_empty();
        let disk = Disk::start(self.file, on_disk(), affinity, before_reply, whole)
            .map_err(|source| OpenError::Io { file, source })?;
        Ok((disk, restored))
    }

    /// As [`Opened::serve`], for a table that has been filled by whoever owned the store before: the file follows it.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn follow(self, affinity: &Arc<Affinity>, before_reply: bool) -> Result<Disk, OpenError> {
        let file = self.file.path().display().to_string();
        Disk::start(self.file, on_disk(), affinity, before_reply, true).map_err(|source| OpenError::Io { file, source })
    }
}

/// Reads the file into the table; how many of its conversations cannot be read. One thread reads, others decode and enter.
fn restore(file: &mut StoreFile, affinity: &Affinity, now: Now) -> Result<(Restored, usize), file::CommitError> {
    let nodes = file.nodes()?;
    let (count, numbers) = file.size()?;
    let keys = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(KEYS_EACH);
    let refill = affinity.refill(numbers, keys, now);
    let (sender, receiver) = std::sync::mpsc::sync_channel::<file::Part>(2 * THREADS);
    let (receiver, unreadable) = (parking_lot::Mutex::new(receiver), AtomicUsize::new(0));
    let enter = || {
        loop {
            let next = receiver.lock().recv();
            let Ok(part) = next else { return };
            let (records, torn) = part.records(&nodes);
            unreadable.fetch_add(torn, Relaxed);
            refill.enter(&records);
        }
    };
    let read = std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get().clamp(1, THREADS));
        for _ in 0..threads {
            scope.spawn(enter);
        }
        let read = file.parts(BATCH, |part| {
            // The other end lives longer than this one.
            let _ = sender.send(part);
        });
        drop(sender);
        read
    });
    read?;
    Ok((refill.finish(), unreadable.into_inner()))
}

/// Conversations that go from the reading thread to another at once.
const BATCH: usize = 1024;
/// Threads that enter conversations, at most: more would wait for the one that reads.
const THREADS: usize = 4;
/// How many keys a conversation has, for allocating. Taste: two is what presets mostly learn.
const KEYS_EACH: usize = 2;
