//! Session rules: which values of a message are keys of a conversation, and when a conversation is over.
//!
//! [`spec`] is the language as written (`presets`, `sticky`), [`RuleSet`] is its compiled form for one upstream. Matching
//! and learning are functions of heads, [`crate::soap::Facts`] and rules. No I/O, no clock, no table.

pub mod spec;

mod fingerprint;
mod keys;

pub use fingerprint::{Fingerprint, Fingerprinter};
pub use keys::{Learnt, LearntKey, PinKey, RequestKeys, RouteKey};
