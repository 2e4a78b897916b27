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

mod answer;
mod ask;
mod code;
mod conversation;
mod counters;
mod displaced;
mod hints;
mod lifecycle;
mod place;
mod policy;
mod roll;
mod table;
#[cfg(test)]
mod tests;
mod visit;

pub use ask::{Ask, End, Learning, Now, Outcome, Refusal};
pub use code::Code;
pub use conversation::Conversation;
pub use counters::{Counters, Gauges};
pub use lifecycle::Affinity;
pub use policy::{Limits, OnNodeDown, Policy, SharedSessions, UnknownKey, WhenFull};
pub use visit::Visit;
