//! What the table counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts since the process began. They only grow.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        impl Counters {
            /// Names and values, for metrics.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
                [$((stringify!($name), self.$name.load(Relaxed)),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Keys bound by answers.
    learnt,
    /// Client-issued keys bound by requests.
    reserved,
    /// Requests that carried a known key.
    matched,
    /// Requests whose pin keys nobody knew.
    unknown,
    /// Requests whose known keys named different nodes, and answers that took a key from another node's conversation.
    conflicts,
    /// Keys that an answer took from another conversation.
    rebound,
    /// Conversations that a node said it does not know.
    lost,
    /// Conversations given up because their node cannot serve.
    orphaned,
    /// Conversations that ended.
    ended,
    /// Conversations that outlived their time.
    expired,
    /// Conversations moved to another node because theirs could not serve.
    moved,
    /// Conversations that an operator gave to another node.
    relocated,
    /// Conversations that an operator unbound.
    unbound,
    /// Reservations moved to another node because theirs accepted no byte.
    replaced,
    /// Client-issued keys dropped because their first request failed.
    withdrawn,
    /// Unconfirmed conversations pushed out of a full table.
    evicted,
    /// Keys refused because the table is full.
    refused_keys,
    /// Keys dropped because their conversation had too many.
    dropped_keys,
    /// Requests served without being pinned because the table is full.
    served_unpinned,
    /// Requests refused because the table is full.
    refused_full,
    /// Requests refused because their key is unknown.
    refused_unknown,
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// Present sizes of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauges {
    /// Conversations, ended ones that linger included.
    pub conversations: usize,
    /// Of these, conversations that a full table may push out: at rest, and not confirmed by a later request or over.
    pub spare: usize,
    /// Keys of all conversations.
    pub keys: usize,
    /// Weak keys and learnt routes.
    pub hints: usize,
}
