//! From one process to its successor, without a request lost or a conversation moved.
//!
//! ```text
//! predecessor (serves)                    successor (started with --take-over)
//!                        ◄── Hello ──     reads its configuration
//!  same version and secret?
//!                        ── Welcome, Sockets + descriptors ──►
//!                        ◄── Begin ──     compiled, everything bound
//!  Node*, Found*, Change*, Walked ──►             applies and acknowledges
//!                        ◄── Synced ──
//!  answers that bind wait for acknowledgements from now on
//!                        ── Go ──►
//!                        ◄── Ready ──     accepts
//!  accepts no more; each connection ends with its next answer
//!                        ── Released ──►  opens the store
//!                        ◄─ Change, Ack ─►   both serve, each tells the other what it binds
//!                        ── Bye ──►
//!  ends
//! ```
//!
//! Until `Ready` the predecessor serves as if nothing happened, and whatever fails changes nothing. `link` keeps both tables
//! in step, `message` is what they say, `descriptors` passes the sockets. A listening socket is the same socket in both
//! processes: nobody who waits in it is lost by either one's closing it.

mod descriptors;
mod door;
mod found;
mod link;
mod message;
mod predecessor;
mod service;
mod storing;
mod successor;

pub use door::{Door, DoorError, Visitor, refuse};
pub use link::Link;
pub use message::Listening;
pub use predecessor::{Offer, Progress, hand_over};
pub use service::{notify, standing_sockets, start_successor};
pub use successor::{Successor, TakeOverError};
