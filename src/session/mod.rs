//! Session rules: which values of a message are keys of a conversation, and when a conversation is over.
//!
//! [`spec`] is the language as written (`presets`, `sticky`), [`RuleSet`] is its compiled form for one upstream. Matching
//! and learning are functions of heads, [`crate::soap::Facts`] and rules. No I/O, no clock, no table.

pub mod spec;

mod condition;
mod fingerprint;
mod keys;
mod matching;
mod readings;
mod rewrite;
mod rules;
mod seal;
mod selector;
mod stretch;
mod time;
mod transform;
mod view;

pub use condition::{Condition, Story};
pub use fingerprint::{Fingerprint, Fingerprinter};
pub use keys::{Learnt, LearntKey, NameTag, PinKey, RequestKeys, RouteKey, SealedNode, WeakKey};
pub use matching::{Hit, Keyer};
pub use rewrite::RewriteUrls;
pub use rules::{KeyRule, RuleSet, TTL_IDLE_DEFAULT, Ttl};
pub use seal::{Seal, SealNonce, Sealed};
pub use selector::{Place, Selector, VALUES_MAX, Value};
pub use view::{RequestView, ResponseView};
