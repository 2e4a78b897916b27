//! Answers of which nothing goes on before it is known whether the client is to have them at all.
//!
//! Two reasons: an answer to a request that asks whether a node knows a session (`unknown_key: ask_nodes`), and the first one after
//! a move, where a session that did not come along is to be a Fault (`on_session_replaced: fault`).

use crate::gateway::Lesson;
use crate::head::Response;
use crate::session::{RequestKeys, RequestView};
use crate::soap::{Reader, State};

/// Bytes of an answer that are held at most: then what is known decides. Faults are far smaller.
const BYTES_MAX: usize = 64 << 10;

/// Why an answer is held.
#[derive(Debug, Clone, Copy)]
pub enum Reason<'a> {
    /// The node was asked whether it knows the request's keys. `is_last`: nobody else can be asked.
    Asked {
        /// The request's keys.
        keys: &'a RequestKeys,
        /// Nobody else can be asked.
        is_last: bool,
    },
    /// The conversation was moved, and a new session is not to pass.
    Moved {
        /// The request's keys.
        keys: &'a RequestKeys,
    },
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// More of it must be seen.
    Wait,
    /// It goes on.
    Pass,
    /// It goes on, and the node has confirmed the keys.
    Confirm,
    /// It is not for the client.
    Keep,
}

impl Reason<'_> {
    /// Judges what has come of an answer: `at_hand` bytes of its message, which are all if `is_whole`.
    pub fn judge(
        &self,
        lesson: &Lesson<'_>,
        request: &RequestView<'_>,
        head: &Response,
        at_hand: usize,
        is_whole: bool,
    ) -> Verdict {
        match self {
            Self::Moved { keys } if lesson.is_replaced(keys) => Verdict::Keep,
            Self::Asked { .. } | Self::Moved { .. } if !is_known(lesson, at_hand, is_whole) => Verdict::Wait,
            Self::Moved { .. } => Verdict::Pass,
            Self::Asked { keys, is_last } => {
                match (lesson.is_not_executed(request, keys, head), lesson.is_failure(head)) {
                    (true, _) if *is_last => Verdict::Pass,
                    (true, _) => Verdict::Keep,
                    // It may have been executed, so nobody else is asked; and it confirms nothing.
                    (false, true) => Verdict::Pass,
                    (false, false) => Verdict::Confirm,
                }
            }
        }
    }
}

/// Whether what is still to come can be waited for no longer, or says nothing new.
fn is_known(lesson: &Lesson<'_>, at_hand: usize, is_whole: bool) -> bool {
    let is_read = lesson.reader().is_none_or(|reader: &Reader| matches!(reader.state(), State::Stopped(_)));
    is_whole || is_read || at_hand >= BYTES_MAX
}
