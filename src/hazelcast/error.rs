//! What can go wrong, and the way out.

use std::sync::Arc;
use std::time::Duration;

use super::members::Address;
use super::read::Malformed;
use super::wire::WireError;

/// Why a member does not let us in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another cluster name, or user and password that it does not know. Members do not say which.
    #[error(
        "the cluster has another name, or it does not know this user and password; the name is `cluster-name` in the member's configuration"
    )]
    Credentials,
    /// It writes keys and values in another way.
    #[error("it serializes in another way; members of 4.x and 5.x are understood")]
    Serialization,
    /// It lets no clients in, or not this one.
    #[error("it admits no such client; see its `client` and blue/green settings")]
    NotAllowed,
    /// A reason that newer members know.
    #[error("it refuses with status {0}")]
    Other(u8),
}

/// Why there is no connection to a member.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// No connection, or none any more.
    #[error("cannot talk to {member}")]
    Io {
        /// The member.
        member: Address,
        /// What the system says.
        source: Arc<std::io::Error>,
    },
    /// It closed the connection. 3.x does at once.
    #[error("{member} closed the connection; members of 3.x speak another protocol")]
    Closed {
        /// The member.
        member: Address,
    },
    /// Nothing came in time: neither the connection, nor an answer, nor a heartbeat.
    #[error("{member} has not answered for {after:?}")]
    Silent {
        /// The member.
        member: Address,
        /// How long it was waited for.
        after: Duration,
    },
    /// It does not let us in.
    #[error("{member} refuses: {refusal}")]
    Refused {
        /// The member.
        member: Address,
        /// Why.
        refusal: Refusal,
    },
    /// It failed at something without which the connection is of no use.
    #[error("{member}: {error}")]
    Member {
        /// The member.
        member: Address,
        /// What it said.
        error: ServerError,
    },
    /// What it sends is no message.
    #[error("{member} sent {error}")]
    Wire {
        /// The member.
        member: Address,
        /// What is wrong.
        error: WireError,
    },
    /// A message does not hold what it should.
    #[error("{member} sent a message of type {kind:#08x} that cannot be read: {error}")]
    Malformed {
        /// The member.
        member: Address,
        /// The message's type.
        kind: u32,
        /// What is wrong.
        error: Malformed,
    },
}

/// What a member says instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{class} (code {code}): {message}")]
pub struct ServerError {
    /// The protocol's number of the exception.
    pub code: i32,
    /// The exception's class in Java.
    pub class: String,
    /// Its message; may be empty.
    pub message: String,
}

impl ServerError {
    /// Whether it says that the call was not executed, and may be asked again: partitions were moving, or a member left.
    pub(super) fn is_passing(&self) -> bool {
        let name = self.class.rsplit('.').next().unwrap_or_default();
        matches!(
            name,
            "RetryableHazelcastException"
                | "PartitionMigratingException"
                | "WrongTargetException"
                | "TargetNotMemberException"
                | "CallerNotMemberException"
                | "HazelcastInstanceNotActiveException"
        )
    }

    /// Whether it says that this member is on its way out.
    pub(super) fn is_farewell(&self) -> bool {
        self.class.ends_with(".HazelcastInstanceNotActiveException")
    }
}

/// Why a call has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// No member was connected when the call's time was over. Only what may be asked again can have been executed before.
    #[error("{call}: no member of the cluster could be reached within {after:?}")]
    Away {
        /// The call.
        call: &'static str,
        /// Its time budget.
        after: Duration,
        /// What went wrong last, if anything has.
        #[source]
        why: Option<ConnectError>,
    },
    /// It was asked, and no answer came within the call's time. It may have been executed.
    #[error("{call}: no answer within {after:?}; it may have been executed")]
    Late {
        /// The call.
        call: &'static str,
        /// Its time budget.
        after: Duration,
    },
    /// The connection was lost before the answer, and asking again could change the outcome. It may have been executed.
    #[error("{call}: the connection was lost before its answer; it may have been executed")]
    Lost {
        /// The call.
        call: &'static str,
    },
    /// The member could not do it.
    #[error("{call}: {error}")]
    Member {
        /// The call.
        call: &'static str,
        /// What it said.
        error: ServerError,
    },
    /// The answer does not hold what it should.
    #[error("{call}: the answer cannot be read: {error}")]
    Malformed {
        /// The call.
        call: &'static str,
        /// What is wrong.
        error: Malformed,
    },
    /// The request is larger than members may be sent.
    #[error("{call}: {bytes} bytes are too many for one message")]
    TooLarge {
        /// The call.
        call: &'static str,
        /// Its size.
        bytes: usize,
    },
    /// The client has ended, with the runtime that it ran in.
    #[error("{call}: the client has ended")]
    Ended {
        /// The call.
        call: &'static str,
    },
}
