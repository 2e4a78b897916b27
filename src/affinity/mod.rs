//! Affinity: which node serves a request, and what is remembered of it.
//!
//! A [`Conversation`] is what Castile keeps about one session: its node and its keys. The [`Affinity`] table finds it by
//! any of its keys. A request is a [`Visit`]:
//!
//! ```text
//!                  ┌─ Err(node): a parallel first request moved it, connect there
//!                  ▼                    │
//! place ─► Visit ─► connect ─► commit ──┴► write the request ─► read the answer: learn* ─► finish
//!                  ▲    │ no byte accepted
//!                  └ replace
//! ```
//!
//! What is decided where: [`place`](Affinity::place) finds the node (module `place`), and first contact binds all unknown
//! client-issued keys of a request or none; a node that cannot serve is the business of `displaced`; what answers teach and
//! end is in `answer`; how conversations enter, change and leave the table is in `lifecycle`. Below these, `table` finds
//! conversations by key, `roll` keeps them by due time and in the order in which a full table pushes them out, `hints`
//! remembers what binds nothing. Every change that a file or another process has to know is told by the `journal`;
//! `restore` and `refill` read it back.
//!
//! Time is an argument ([`Now`]), so is randomness; nothing here reads a clock, does I/O or logs.

mod answer;
mod ask;
mod asking;
mod code;
mod conversation;
mod counters;
mod displaced;
mod hints;
mod journal;
mod lifecycle;
mod operate;
mod outlook;
mod place;
mod policy;
mod proposal;
mod refill;
mod restore;
mod roll;
mod sync;
mod table;
#[cfg(test)]
mod tests;
mod turns;
mod visit;

pub use ask::{Ask, End, Learning, Now, Outcome, Refusal};
pub use asking::NOBODY_FOR;
pub use code::Code;
pub use conversation::Conversation;
pub use counters::{Counters, Gauges};
pub use journal::{Change, Journal, KeyNames, Keys, Record, Sink, Stage, What, slack};
pub use lifecycle::Affinity;
pub use operate::{Operated, Seen, Standing};
pub use outlook::Outlook;
pub use policy::{Limits, OnNodeDown, Policy, SharedSessions, UnknownKey, WhenFull};
pub use proposal::Proposal;
pub use refill::Refill;
pub use restore::{Follower, Restored, Rule};
pub use turns::{Held, Turn};
pub use visit::Visit;
