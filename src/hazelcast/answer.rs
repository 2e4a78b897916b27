//! What members answer and tell, read.

use super::data::Data;
use super::error::{Refusal, ServerError};
use super::map::{Entry, EntryKind};
use super::members::{self, Address, Members};
use super::read::{Fixed, Frames, Malformed};
use super::uuid::{UUID_BYTES, Uuid};
use super::wire::Message;

/// Instead of an answer: what went wrong.
const ERROR: u32 = 0;
/// Who is in the cluster.
const MEMBERS_VIEW: u32 = 0x00_0302;
/// What happened to an entry.
const ENTRY: u32 = 0x01_1902;
/// Where values of fixed size begin in an answer.
const ANSWER: usize = 13;
/// Where they begin in an event.
const EVENT: usize = 16;
/// Partitions that a cluster may have. Members accept no more than a few ten thousand.
const PARTITIONS_MAX: i32 = 1 << 20;

/// What a member says of itself when it has let us in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The member.
    pub member: Uuid,
    /// Its address as the other members know it.
    pub address: Option<Address>,
    /// Its version.
    pub version: String,
    /// The cluster's id, new when all of its members were started anew.
    pub cluster: Option<Uuid>,
    /// How many partitions there are, at least one.
    pub partitions: i32,
}

/// Reads the answer to the authentication.
pub fn welcome(message: &Message) -> Result<Result<Welcome, Refusal>, Malformed> {
    let fixed = Fixed(message.first());
    match fixed.u8(ANSWER)? {
        0 => {}
        1 => return Ok(Err(Refusal::Credentials)),
        2 => return Ok(Err(Refusal::Serialization)),
        3 => return Ok(Err(Refusal::NotAllowed)),
        other => return Ok(Err(Refusal::Other(other))),
    }
    let member = fixed.uuid(ANSWER + 1)?.ok_or(Malformed::Kind)?;
    // The version of the serialization stands in between.
    let partitions_at = ANSWER + 1 + UUID_BYTES + 1;
    let partitions = fixed.i32(partitions_at)?;
    if !(1..=PARTITIONS_MAX).contains(&partitions) {
        return Err(Malformed::Kind);
    }
    let cluster = fixed.uuid(partitions_at + 4)?;
    let mut frames = Frames::of(message);
    let address = if frames.null()? { None } else { Some(members::address(&mut frames)?) };
    let version = frames.text()?;
    Ok(Ok(Welcome { member, address, version, cluster, partitions }))
}

/// What a member tells unasked, or again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Who is in the cluster.
    Members(Members),
    /// What happened to entries.
    Entry(Entry),
    /// Something that newer members tell, or nobody here needs.
    Other,
}

/// Reads an event.
pub fn event(message: &Message) -> Result<Event, Malformed> {
    let fixed = Fixed(message.first());
    let mut frames = Frames::of(message);
    match message.kind() {
        MEMBERS_VIEW => {
            let version = fixed.i32(EVENT)?;
            Ok(Event::Members(Members { version, list: frames.list(members::member)? }))
        }
        ENTRY => {
            let kind = EntryKind::of(fixed.i32(EVENT)?);
            let key = frames.optional_data()?;
            let value = frames.optional_data()?;
            let old = frames.optional_data()?;
            Ok(Event::Entry(Entry { kind, key, value, old }))
        }
        _ => Ok(Event::Other),
    }
}

/// Whether it says that something went wrong.
pub fn is_error(message: &Message) -> bool {
    message.kind() == ERROR
}

/// Reads what went wrong: the outermost exception, without its stack.
pub fn error(message: &Message) -> Result<ServerError, Malformed> {
    let mut frames = Frames::of(message);
    frames.begin()?;
    frames.begin()?;
    let code = Fixed(&frames.value()?).i32(0)?;
    let class = frames.text()?;
    let text = frames.optional_text()?.unwrap_or_default();
    Ok(ServerError { code, class, message: text })
}

/// Reads an answer that is true or false.
pub fn flag(message: &Message) -> Result<bool, Malformed> {
    Ok(Fixed(message.first()).u8(ANSWER)? != 0)
}

/// Reads an answer that is a value or null.
pub fn value(message: &Message) -> Result<Option<Data>, Malformed> {
    Frames::of(message).optional_data()
}

/// Reads the entries of a map.
pub fn entries(message: &Message) -> Result<Vec<(Data, Data)>, Malformed> {
    Frames::of(message).list(|frames| Ok((frames.data()?, frames.data()?)))
}

/// Reads the number of a listener.
pub fn registration(message: &Message) -> Result<Uuid, Malformed> {
    Fixed(message.first()).uuid(ANSWER)?.ok_or(Malformed::Kind)
}
