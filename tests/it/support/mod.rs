//! What the tests stand on: nodes that follow a script, a gateway in this process, clients that write raw bytes.
//!
//! Everything blocks, each in a thread of its own. Nobody sleeps: who waits, waits for an event, and after [`PATIENCE`] the
//! test fails and says for what it waited.

use std::time::Duration;

mod castile;
mod event;
mod message;
mod names;
mod node;
mod peer;
pub mod process;
pub mod soap;
pub mod tls;

pub use castile::{Castile, config, parallel};
pub use event::{Event, eventually};
pub use message::{Message, chunked};
pub use names::{NameServer, Says};
pub use node::{Node, ok, refusing_address};
pub use peer::Peer;

/// How long anything may take. Far longer than it does, as machines may be busy.
pub const PATIENCE: Duration = Duration::from_secs(20);
