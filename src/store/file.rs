//! The file of the disk store: a redb database, schema 2.
//!
//! | table | key | value |
//! |---|---|---|
//! | `castile` | `schema` | 2, as 4 bytes, least significant first |
//! | `castile` | `check` | the fingerprint of nothing under the file's fingerprint key, 16 bytes: whether a key fits |
//! | `nodes` | number (`u32`) | affinity group, one zero byte, name of the node |
//! | `conversations` | number (`u32`) | see [`record`] |
//!
//! A conversation's number is its place in the table of the gateway that wrote it, so a place that changes hands is
//! overwritten, and the file holds at most `max_conversations` of them. A gateway of a later schema reads earlier ones,
//! and makes them its own with its first commit; a schema it does not know it leaves alone. Schema 1 had no names of keys.
//!
//! redb writes copies of pages and makes them valid by one checksummed switch, so a torn write leaves the state of the
//! commit before. One process has it open at a time: the file is locked.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageBackend, TableDefinition,
};

use super::record;
use crate::affinity::Record;

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("castile");
const NODES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("nodes");
const CONVERSATIONS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("conversations");

const SCHEMA: u32 = 2;
/// The earliest one that is read.
const SCHEMA_MIN: u32 = 1;
/// What redb keeps of the file in memory. Its writes come in batches and its reads at the start, so more buys nothing.
const CACHE: usize = 16 << 20;

/// Why a store cannot be opened. Each tells the way out.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "store {file}: another process has it open; one gateway owns it at a time: stop that one, or give this one a file of its own"
    )]
    InUse {
        /// The file.
        file: String,
    },
    /// It cannot be opened or made.
    #[error(
        "store {file}: {source}; make its directory writable for this user, or name another file in affinity.store.disk"
    )]
    Io {
        /// The file.
        file: String,
        /// Why not.
        source: std::io::Error,
    },
    /// It is no store, or a damaged one.
    #[error(
        "store {file}: this is no store of Castile, or it is damaged ({why}); it was left as it is: restore it from a copy, or move it away to begin with an empty one"
    )]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// A later version wrote it.
    #[error(
        "store {file}: its schema is {schema}, and this version reads {SCHEMA}; run the version that wrote it, or move it away"
    )]
    Schema {
        /// The file.
        file: String,
        /// Its schema.
        schema: u32,
    },
    /// The fingerprint key is another one.
    #[error(
        "store {file}: it was written with another fingerprint key, so none of its pins could be found; restore {key}, or move {file} away"
    )]
    Key {
        /// The file.
        file: String,
        /// Where the key comes from.
        key: String,
    },
    /// The fingerprint key cannot be read or made.
    #[error("fingerprint key {file}: {why}")]
    KeyFile {
        /// The file of the key.
        file: String,
        /// What is wrong, and the way out.
        why: String,
    },
}

/// Why a commit failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CommitError(String);

impl CommitError {
    /// As an error of a commit.
    pub fn of(error: &impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl<E: Into<redb::Error>> From<E> for CommitError {
    fn from(error: E) -> Self {
        Self(error.into().to_string())
    }
}

/// What to write: the present state of some conversations, `None` for those that are gone.
pub type Batch = HashMap<u32, Option<Record>>;

/// Affinity groups and names of nodes, by number.
pub type NodeNames = Vec<Option<(Arc<str>, Arc<str>)>>;

/// Some conversations as they stand in the file.
#[derive(Debug, Default)]
pub struct Part {
    bytes: Vec<u8>,
    /// Number and end of each.
    ends: Vec<(u32, usize)>,
}

impl Part {
    /// What can be read of it, and how many cannot.
    pub fn records(&self, nodes: &NodeNames) -> (Vec<Record>, usize) {
        let mut begin = 0;
        let read = self.ends.iter().filter_map(|&(id, end)| {
            let bytes = &self.bytes[begin..end];
            begin = end;
            record::read(id, bytes, nodes)
        });
        let records: Vec<Record> = read.collect();
        let unreadable = self.ends.len() - records.len();
        (records, unreadable)
    }
}

/// Opens the file; a test puts something that fails in between.
pub type Medium = Box<dyn Fn(&Path) -> Result<Box<dyn StorageBackend>, DatabaseError> + Send + Sync>;

/// The open file.
pub struct StoreFile {
    database: Database,
    path: PathBuf,
    nodes: HashMap<(Arc<str>, Arc<str>), u32>,
    scratch: Vec<u8>,
    /// An earlier version wrote it: the next commit says that this one did.
    is_older: bool,
}

impl std::fmt::Debug for StoreFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoreFile({})", self.path.display())
    }
}

/// A file of the file system, made 0600 if absent.
pub fn on_disk() -> Medium {
    Box::new(|path| {
        let file = open_private(path)?;
        Ok(Box::new(redb::backends::FileBackend::new(file)?))
    })
}

fn open_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// redb takes backends by type.
#[derive(Debug)]
struct Boxed(Box<dyn StorageBackend>);

type Io<T> = Result<T, std::io::Error>;

impl StorageBackend for Boxed {
    fn len(&self) -> Io<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Io<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> Io<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> Io<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> Io<()> {
        self.0.write(offset, data)
    }
    fn close(&self) -> Io<()> {
        self.0.close()
    }
    fn try_lock_range(
        &self,
        start: std::ops::Bound<u64>,
        end: std::ops::Bound<u64>,
    ) -> Result<bool, redb::BackendError> {
        self.0.try_lock_range(start, end)
    }
    fn unlock_range(&self, start: std::ops::Bound<u64>, end: std::ops::Bound<u64>) -> Result<(), redb::BackendError> {
        self.0.unlock_range(start, end)
    }
}

impl StoreFile {
    /// Opens a store, or makes one where there is nothing. What is there is checked whole first.
    ///
    /// # Errors
    /// See [`OpenError`]; the file is as it was.
    pub fn open(path: &Path, medium: &Medium) -> Result<Self, OpenError> {
        let name = || path.display().to_string();
        let database = medium(path)
            .and_then(|backend| {
                let mut builder = Database::builder();
                builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
                builder.create_with_backend(Boxed(backend))
            })
            .map_err(|error| match error {
                DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { file: name() },
                DatabaseError::Storage(redb::StorageError::Io(source))
                    if source.kind() != std::io::ErrorKind::InvalidData =>
                {
                    OpenError::Io { file: name(), source }
                }
                error => OpenError::Damaged { file: name(), why: error.to_string() },
            })?;
        let mut store =
            Self { database, path: path.to_owned(), nodes: HashMap::new(), scratch: Vec::new(), is_older: false };
        let damaged = |error: CommitError| OpenError::Damaged { file: name(), why: error.0 };
        match store.schema().map_err(damaged)? {
            Some(schema @ SCHEMA_MIN..=SCHEMA) => store.is_older = schema < SCHEMA,
            Some(schema) => return Err(OpenError::Schema { file: name(), schema }),
            None => {
                store.make().map_err(|error| OpenError::Io { file: name(), source: std::io::Error::other(error.0) })?;
            }
        }
        Ok(store)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn schema(&self) -> Result<Option<u32>, CommitError> {
        let read = self.database.begin_read()?;
        let meta = match read.open_table(META) {
            Ok(meta) => meta,
            Err(redb::TableError::TableDoesNotExist(_)) if read.list_tables()?.next().is_none() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let value = meta.get("schema")?.ok_or_else(|| CommitError("it has no schema".to_owned()))?;
        let bytes = value.value().try_into().map_err(|_| CommitError("its schema is no number".to_owned()))?;
        Ok(Some(u32::from_le_bytes(bytes)))
    }

    fn make(&self) -> Result<(), CommitError> {
        let write = self.database.begin_write()?;
        write.open_table(META)?.insert("schema", SCHEMA.to_le_bytes().as_slice())?;
        write.open_table(NODES)?;
        write.open_table(CONVERSATIONS)?;
        write.commit()?;
        // The file itself is there only once its directory is written.
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty())
            && let Ok(folder) = File::open(folder)
        {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    /// What tells whether a fingerprint key fits; `None`: none was used yet.
    pub fn check(&self) -> Result<Option<[u8; 16]>, CommitError> {
        let meta = self.database.begin_read()?.open_table(META)?;
        Ok(meta.get("check")?.and_then(|value| value.value().try_into().ok()))
    }

    /// Notes what tells whether a fingerprint key fits.
    pub fn set_check(&self, check: [u8; 16]) -> Result<(), CommitError> {
        let write = self.database.begin_write()?;
        write.open_table(META)?.insert("check", check.as_slice())?;
        write.commit()?;
        Ok(())
    }

    /// How many conversations there are, and the number after the last one's.
    pub fn size(&self) -> Result<(u64, u32), CommitError> {
        let conversations = self.database.begin_read()?.open_table(CONVERSATIONS)?;
        let last = conversations.last()?.map_or(0, |(id, _)| id.value().saturating_add(1));
        Ok((conversations.len()?, last))
    }

    /// The names of nodes, by their numbers.
    pub fn nodes(&mut self) -> Result<NodeNames, CommitError> {
        let mut nodes = NodeNames::new();
        for entry in self.database.begin_read()?.open_table(NODES)?.iter()? {
            let (number, name) = entry?;
            let number = number.value();
            let named = std::str::from_utf8(name.value()).ok().and_then(|name| name.split_once('\0'));
            let Some((group, name)) = named else { continue };
            // Numbers are given in order; a larger one is no number of ours.
            if number as usize > nodes.len() + 0xffff {
                continue;
            }
            nodes.resize(nodes.len().max(number as usize + 1), None);
            let name: (Arc<str>, Arc<str>) = (group.into(), name.into());
            self.nodes.insert(name.clone(), number);
            nodes[number as usize] = Some(name);
        }
        Ok(nodes)
    }

    /// Every conversation as it stands there, in the order of numbers, `at_once` of them. `take` gets each part once.
    pub fn parts(&self, at_once: usize, mut take: impl FnMut(Part)) -> Result<(), CommitError> {
        let read = self.database.begin_read()?;
        let mut part = Part::default();
        for entry in read.open_table(CONVERSATIONS)?.iter()? {
            let (id, bytes) = entry?;
            part.bytes.extend_from_slice(bytes.value());
            part.ends.push((id.value(), part.bytes.len()));
            if part.ends.len() == at_once {
                let room = Part { bytes: Vec::with_capacity(part.bytes.len()), ends: Vec::with_capacity(at_once) };
                take(std::mem::replace(&mut part, room));
            }
        }
        take(part);
        Ok(())
    }

    /// Writes a batch and makes it durable. `swept`: whatever has a number in there and is not in the batch goes too.
    ///
    /// # Errors
    /// Nothing of it was written; the file must be opened anew.
    pub fn commit(&mut self, batch: &Batch, swept: Option<Range<u32>>) -> Result<(), CommitError> {
        let write = self.database.begin_write()?;
        if self.is_older {
            write.open_table(META)?.insert("schema", SCHEMA.to_le_bytes().as_slice())?;
        }
        let mut new_nodes = Vec::new();
        {
            let mut conversations = write.open_table(CONVERSATIONS)?;
            if let Some(range) = swept {
                conversations.retain_in(range, |id, _| batch.contains_key(&id))?;
            }
            let mut ids: Vec<u32> = batch.keys().copied().collect();
            ids.sort_unstable();
            for id in ids {
                let Some(Some(record)) = batch.get(&id) else {
                    conversations.remove(id)?;
                    continue;
                };
                let name = (Arc::clone(&record.group), Arc::clone(&record.node));
                let next = self.nodes.len() as u32;
                let node = *self.nodes.entry(name).or_insert_with_key(|name| {
                    new_nodes.push((next, name.clone()));
                    next
                });
                record::write(record, node, &mut self.scratch);
                conversations.insert(id, self.scratch.as_slice())?;
            }
        }
        if !new_nodes.is_empty() {
            let mut nodes = write.open_table(NODES)?;
            for (number, (group, name)) in new_nodes {
                nodes.insert(number, format!("{group}\0{name}").as_bytes())?;
            }
        }
        write.commit()?;
        self.is_older = false;
        Ok(())
    }

    /// Closes it; the lock is free then.
    ///
    /// # Errors
    /// It was not closed cleanly: the next one to open it repairs it.
    pub fn close(self) -> Result<(), CommitError> {
        Ok(self.database.close()?)
    }
}
