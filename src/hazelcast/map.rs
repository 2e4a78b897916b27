//! A map of the cluster, and what happens to it.

use std::time::Duration;

use tokio::sync::mpsc;

use super::answer;
use super::client::Client;
use super::data::Data;
use super::error::CallError;
use super::request;

/// A map of the cluster, by its name. It exists once something has been put into it.
#[derive(Debug, Clone)]
pub struct Map {
    client: Client,
    name: String,
}

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// From now on everything is told. What happened before may not have been: the connection is new, or the listener was too slow.
    Anew,
    /// Something happened to an entry.
    Entry(Entry),
}

/// What happened to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What.
    pub kind: EntryKind,
    /// Its key; none if it happened to all entries.
    pub key: Option<Data>,
    /// Its value, if it has one now.
    pub value: Option<Data>,
    /// The value before. Members leave it out where they did not have to read it.
    pub old: Option<Data>,
}

/// What can happen to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// There was none with this key.
    Added,
    /// It was removed.
    Removed,
    /// It has another value.
    Updated,
    /// It had to go because the map was full.
    Evicted,
    /// Its time was over. Told up to six seconds late, or when somebody asks for it, or never.
    Expired,
    /// All entries were evicted or removed at once.
    Cleared,
    /// Something else.
    Other,
}

impl EntryKind {
    pub(super) const ADDED: i32 = 1;
    pub(super) const REMOVED: i32 = 2;
    pub(super) const UPDATED: i32 = 4;
    pub(super) const EVICTED: i32 = 8;
    pub(super) const EXPIRED: i32 = 16;
    pub(super) const ALL_EVICTED: i32 = 32;
    pub(super) const ALL_CLEARED: i32 = 64;

    pub(super) fn of(number: i32) -> Self {
        match number {
            Self::ADDED => Self::Added,
            Self::REMOVED => Self::Removed,
            Self::UPDATED => Self::Updated,
            Self::EVICTED => Self::Evicted,
            Self::EXPIRED => Self::Expired,
            Self::ALL_EVICTED | Self::ALL_CLEARED => Self::Cleared,
            _ => Self::Other,
        }
    }
}

/// All calls take no longer than the client's time for a call.
///
/// `ttl` is how long an entry lives, `idle` how long it lives without being read or written; none: until it is removed. Members
/// count in seconds, so entries live up to two seconds longer than asked for, never shorter.
impl Map {
    pub(super) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// The value of a key. Reading begins the entry's idle time anew.
    ///
    /// # Errors
    /// As all calls, see [`CallError`].
    pub async fn get(&self, key: &Data) -> Result<Option<Data>, CallError> {
        self.client.ask(request::get(&self.name, key), answer::value).await
    }

    /// Puts a value; the one before comes back. Asked again after a lost connection, that may be the same one.
    ///
    /// # Errors
    /// As all calls, see [`CallError`].
    pub async fn put(
        &self,
        key: &Data,
        value: &Data,
        ttl: Option<Duration>,
        idle: Option<Duration>,
    ) -> Result<Option<Data>, CallError> {
        self.client.ask(request::put(&self.name, key, value, ttl, idle), answer::value).await
    }

    /// Puts a value where there is none. One that is there stays and comes back; that is the caller's own if it was asked
    /// again after a lost connection, so whoever gets back what it wanted to put has put it.
    ///
    /// # Errors
    /// As all calls, see [`CallError`].
    pub async fn put_if_absent(
        &self,
        key: &Data,
        value: &Data,
        ttl: Option<Duration>,
        idle: Option<Duration>,
    ) -> Result<Option<Data>, CallError> {
        self.client.ask(request::put_if_absent(&self.name, key, value, ttl, idle), answer::value).await
    }

    /// Puts `new` where `old` is, and keeps how long the entry lives. False if something else is there, or nothing.
    ///
    /// # Errors
    /// As all calls, see [`CallError`]; [`CallError::Lost`] among them.
    pub async fn replace_if_same(&self, key: &Data, old: &Data, new: &Data) -> Result<bool, CallError> {
        self.client.ask(request::replace_if_same(&self.name, key, old, new), answer::flag).await
    }

    /// Removes an entry; its value comes back.
    ///
    /// # Errors
    /// As all calls, see [`CallError`]; [`CallError::Lost`] among them.
    pub async fn remove(&self, key: &Data) -> Result<Option<Data>, CallError> {
        self.client.ask(request::remove(&self.name, key), answer::value).await
    }

    /// Removes an entry if it has this value.
    ///
    /// # Errors
    /// As all calls, see [`CallError`]; [`CallError::Lost`] among them.
    pub async fn remove_if_same(&self, key: &Data, value: &Data) -> Result<bool, CallError> {
        self.client.ask(request::remove_if_same(&self.name, key, value), answer::flag).await
    }

    /// How long an entry lives from now on. False if there is none.
    ///
    /// # Errors
    /// As all calls, see [`CallError`].
    pub async fn set_ttl(&self, key: &Data, ttl: Option<Duration>) -> Result<bool, CallError> {
        self.client.ask(request::set_ttl(&self.name, key, ttl), answer::flag).await
    }

    /// Every key with its value, in one message: for small maps, see [`MESSAGE_BYTES_MAX`](super::wire::MESSAGE_BYTES_MAX).
    ///
    /// # Errors
    /// As all calls, see [`CallError`].
    pub async fn entries(&self) -> Result<Vec<(Data, Data)>, CallError> {
        self.client.ask(request::entry_set(&self.name), answer::entries).await
    }

    /// Hears what happens to the map, wherever in the cluster, until the receiver is dropped. The first thing is
    /// [`Heard::Anew`]; it comes again with each new connection. `room`: how much may wait to be heard, at least 1; whoever is
    /// slower misses something and hears [`Heard::Anew`].
    pub fn listen(&self, room: usize) -> mpsc::Receiver<Heard> {
        let (events, heard) = mpsc::channel(room.max(1));
        self.client.listen(self.name.clone(), events);
        heard
    }
}
