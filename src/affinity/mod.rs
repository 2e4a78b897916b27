//! Affinity: which node serves a request, and what is remembered of it.
//!
//! A [`Conversation`] is what Castile keeps about one session: its node and its keys. The [`Affinity`] table finds it by
//! any of its keys. A request is a [`Visit`]:
//!
//! ```text
//! place ──► Visit ── connect ──► commit ── write the request ── read the answer ──► learn* ──► finish
//!             ▲         │failed    │Err(node): a parallel first request moved the reservation; go there
//!             └ replace ┘          
//! ```
//!
//! Time is an argument ([`Now`]), so is randomness; nothing here reads a clock, does I/O or logs.

mod code;
mod counters;
mod policy;
mod visit;

pub use code::Code;
pub use counters::{Counters, Gauges};
pub use policy::{Limits, OnNodeDown, Policy, SharedSessions, UnknownKey, WhenFull};
pub use visit::{Affinity, Ask, End, Learning, Now, Outcome, Refusal, Visit};
