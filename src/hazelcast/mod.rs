//! A client for Hazelcast members 4.x and 5.x: the open client protocol 2, as far as a shared map and the list of members need it.
//!
//! | file | what |
//! |---|---|
//! | [`wire`] | frames and messages, pushed in any pieces; pure |
//! | [`mod@read`], [`mod@write`] | what messages hold; pure |
//! | [`data`] | keys and values as members store them, and the partition of a key; pure |
//! | [`members`] | who is in the cluster; pure |
//! | [`request`], [`answer`] | the calls, one function each; pure |
//! | `connect` | one connection: TCP, TLS, authentication |
//! | `session`, `listeners` | the connection in use: calls, events, heartbeats |
//! | `task` | fail-over: the next connection |
//! | [`client`], [`map`] | what others use |
//!
//! **One connection at a time.** Every call goes to one member, with the right partition; that member asks the owner. It costs one
//! hop more inside the cluster than a connection to every member would, and nothing to understand: a lost connection is
//! the only failure there is, and the next member the answer to it.
//!
//! **Not backup-aware.** A write is answered when its backups stand. Clients that wait for the backups themselves stall for
//! five seconds when a member dies (measured with 5.7).
//!
//! **Every call has a time budget**, because members do not answer everything: a wrong partition never, and whatever a hung
//! member owns only when it has been removed, a minute later.
//!
//! Absent: near caches (stale for seconds), transactions, locks, queries, and 3.x, which speaks another protocol. Follows
//! the "Hazelcast Open Binary Client Protocol" 2.x and the frames that official clients and members exchange (`tests/hazelcast`).

pub mod answer;
pub mod client;
mod connect;
pub mod data;
pub mod error;
mod listeners;
pub mod map;
pub mod members;
pub mod options;
pub mod read;
pub mod request;
mod session;
mod task;
#[cfg(test)]
mod tests;
pub mod uuid;
pub mod wire;
pub mod write;

pub use client::{Client, State};
pub use data::Data;
pub use error::{CallError, ConnectError, ServerError};
pub use map::{Entry, EntryKind, Heard, Map};
pub use members::{Address, Member, Members};
pub use options::{Credentials, Options, Tls};
pub use uuid::Uuid;
