//! Decision codes: why a request went where it went, in one word.

use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)*) => {
        /// Why a request went where it went, or why it was refused.
        ///
        /// The texts are stable: access log, `explain`, metrics and the admin API use them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = $doc])+ #[doc = concat!("\n\nText: `", $text, "`.")] $variant,)*
        }

        impl Code {
            /// All codes, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable text.
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// One sentence for operators.
            pub fn reason(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),+).trim_ascii(),)*
                }
            }
        }
    };
}

codes! {
    /// A known key: the node of its conversation.
    Pinned = "pin",
    /// A key of a conversation that has ended and lingers: its node, for retransmissions.
    Lingering = "linger",
    /// First contact: a new client-issued key was bound to the node chosen.
    First = "new",
    /// First contact of a parallel request has chosen the node already; this one follows it.
    Joined = "join",
    /// A sealed cookie of the gateway names the node.
    Sealed = "cookie",
    /// A route tag names the node.
    Route = "route",
    /// A route tag that an answer of the node taught.
    LearntRoute = "learnt",
    /// A weak key stood in for an id that could not be learnt.
    Weak = "weak",
    /// A hash key.
    Hash = "hash",
    /// The balancer; the request carries no key.
    Balanced = "bal",
    /// The balancer; the request carries a key that nobody knows.
    Unknown = "unknown",
    /// Asked whether it knows a key that nobody knows here, and it serves the request.
    Asked = "ask",
    /// The conversation's node cannot serve; another route tag of the request names the one that takes over.
    Secondary = "second",
    /// The conversation's node cannot serve; the conversation was moved.
    Moved = "move",
    /// The table is full of live conversations: served without being pinned.
    Unpinned = "full",
    /// Refused: the conversation's node cannot serve and its session is not elsewhere.
    Lost = "lost",
    /// Refused for a moment: the conversation's node did not accept the request although its check says up.
    Later = "later",
    /// Refused for a moment: its node, all nodes, or its conversation are at their limit, and no more requests may wait.
    Busy = "busy",
    /// Refused for a moment: it waited for a place at a node, or for a turn in its conversation, in vain.
    Waited = "wait",
    /// Refused for a moment: its client begins conversations faster than it may.
    TooMany = "rate",
    /// Refused: no node takes new work.
    NoNode = "none",
    /// Refused: a key that nobody knows, and `unknown_key: reject`.
    Rejected = "reject",
    /// Refused: the table is full of live conversations, and `when_full: reject`.
    Full = "nofit",
    /// Refused for a moment: it needs the store that all gateways share, which is away, and `on_store_down: reject`.
    StoreAway = "store",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_text_of_its_own_and_a_reason() {
        let mut texts: Vec<_> = Code::ALL.iter().map(|code| code.text()).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| code.text().len() >= 2 && code.reason().ends_with('.')));
    }
}
