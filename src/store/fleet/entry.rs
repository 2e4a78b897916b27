//! What the fleet writes into a store, as bytes.
//!
//! ```text
//! value     version 1 byte (1), member 8 bytes: who wrote it, a change of kind "present": the conversation
//! log       version 1 byte (1), member 8 bytes, kind 1 byte
//!   0 change   position 8 bytes in the journal of the member (0: a claim), the change
//!   1 state    name (2 bytes length, text), 1 and the value to the end, or 0: it is gone
//! beat      version 1 byte (1), applied 8 bytes, started 8 bytes, name, software version (2 bytes length, text each)
//! ```
//!
//! Numbers are big-endian. Changes are written as they are between two processes of a hand-over (`store::change`). What another
//! version wrote is not read: a gateway of a newer schema refuses to join (see the state `schema`).

use crate::affinity::{Change, Now, Record, What};
use crate::store::change::{self, Names};
use crate::store::fields::{Broken, Get, Put};
use crate::store::shared::Value;

/// The version of all this.
pub const SCHEMA: u8 = 1;

/// One entry of the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A table has changed.
    Change {
        /// Whose.
        member: u64,
        /// Where in its journal; 0: it was claimed in the store first.
        position: u64,
        /// What happened.
        change: Box<Change>,
    },
    /// The state of the fleet has changed.
    State {
        /// By whom.
        member: u64,
        /// What.
        name: String,
        /// To what; `None` = it is gone.
        value: Option<Vec<u8>>,
    },
}

/// What a member says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Up to here it has applied the log.
    pub applied: u64,
    /// When it began.
    pub started: Now,
    /// Its name, for people.
    pub name: String,
    /// Its software.
    pub version: String,
    /// What tells fingerprint keys apart, without telling them.
    pub key_mark: u64,
}

fn begin(member: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    let mut put = Put(&mut out);
    put.u8(SCHEMA);
    put.u64(member);
    out
}

fn began(get: &mut Get<'_>) -> Result<u64, Broken> {
    if get.u8()? != SCHEMA {
        return Err(Broken("it was written by another version"));
    }
    get.u64()
}

/// The value under the keys of a conversation.
pub fn value(member: u64, record: &Record) -> Value {
    let mut bytes = begin(member);
    change::put(&mut Put(&mut bytes), &Change { what: What::Present, record: record.clone() });
    Value { owner: record.created.0, bytes }
}

/// Reads a value: who wrote it, and the conversation.
///
/// # Errors
/// It is none.
pub fn read_value(value: &Value, names: &mut Names) -> Result<(u64, Record), Broken> {
    let mut get = Get(&value.bytes);
    let member = began(&mut get)?;
    let change = change::get(&mut get, names)?;
    Ok((member, change.record))
}

/// An entry of the log for a change of this member's table.
pub fn change(member: u64, position: u64, told: &Change) -> Vec<u8> {
    let mut bytes = begin(member);
    let mut put = Put(&mut bytes);
    put.u8(0);
    put.u64(position);
    change::put(&mut put, told);
    bytes
}

/// An entry of the log for a change of the fleet's state.
pub fn state(member: u64, name: &str, value: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = begin(member);
    let mut put = Put(&mut bytes);
    put.u8(1);
    put.text(name);
    put.u8(value.is_some().into());
    bytes.extend_from_slice(value.unwrap_or_default());
    bytes
}

/// Reads an entry of the log.
///
/// # Errors
/// It is none.
pub fn read(bytes: &[u8], names: &mut Names) -> Result<Entry, Broken> {
    let mut get = Get(bytes);
    let member = began(&mut get)?;
    match get.u8()? {
        0 => {
            let position = get.u64()?;
            Ok(Entry::Change { member, position, change: Box::new(change::get(&mut get, names)?) })
        }
        1 => {
            let name = get.text()?.to_owned();
            let value = (get.u8()? != 0).then(|| get.0.to_vec());
            Ok(Entry::State { member, name, value })
        }
        _ => Err(Broken("an entry of no known kind")),
    }
}

/// What a member says of itself.
pub fn beat(said: &Said) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    let mut put = Put(&mut bytes);
    put.u8(SCHEMA);
    put.u64(said.applied);
    put.u64(said.started.0);
    put.text(&said.name);
    put.text(&said.version);
    put.u64(said.key_mark);
    bytes
}

/// Reads what a member says of itself.
///
/// # Errors
/// It is none.
pub fn read_beat(bytes: &[u8]) -> Result<Said, Broken> {
    let mut get = Get(bytes);
    if get.u8()? != SCHEMA {
        return Err(Broken("it was written by another version"));
    }
    let (applied, started) = (get.u64()?, Now(get.u64()?));
    let (name, version) = (get.text()?.to_owned(), get.text()?.to_owned());
    Ok(Said { applied, started, name, version, key_mark: get.u64()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::affinity::{KeyNames, Keys, Stage};
    use crate::session::Fingerprint;

    fn record() -> Record {
        Record {
            id: 7,
            group: "orders".into(),
            node: "n1".into(),
            keys: Keys::from_slice(&[Fingerprint(1), Fingerprint(u128::MAX)]),
            names: KeyNames::new(),
            created: Now(1_795_460_000_000),
            last_used: Now(1_795_460_100_000),
            idle: 1_800_000,
            max: u32::MAX,
            stage: Stage::Live,
            confirmed: true,
            moved: false,
        }
    }

    #[test]
    fn what_is_written_is_read_and_what_is_cut_is_refused() {
        let names = &mut Names::default();
        let written = value(9, &record());
        assert_eq!((written.owner, read_value(&written, names)), (1_795_460_000_000, Ok((9, record()))));
        let told = Change { what: What::Bound(Keys::from_slice(&[Fingerprint(3)])), record: record() };
        let bytes = change(9, 4, &told);
        let expected = Entry::Change { member: 9, position: 4, change: Box::new(told) };
        assert_eq!(read(&bytes, names), Ok(expected));
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end], names).is_err(), "cut at {end}");
        }
        for value in [None, Some(&b"drain"[..]), Some(b"")] {
            let expected = Entry::State { member: 9, name: "node/a".into(), value: value.map(<[u8]>::to_vec) };
            assert_eq!(read(&state(9, "node/a", value), names), Ok(expected));
        }
        let said = Said { applied: 3, started: Now(5), name: "east".into(), version: "1".into(), key_mark: 8 };
        assert_eq!(read_beat(&beat(&said)), Ok(said));
        assert!(read(&[2; 40], names).is_err(), "another version");
    }
}
