//! How a conversation is written: one value of the table `conversations`.
//!
//! ```text
//! flags    1 byte   bits 0 and 1: 0 live, 1 lingering, 2 lost; bit 2: confirmed; bit 3: moved; bit 4: it has a last day
//! node     varint   number in the table `nodes`
//! created  varint   milliseconds since 1970
//! used     varint   last use, milliseconds after `created`
//! idle     varint   milliseconds it outlives that; 4294967295: for ever
//! max      varint   milliseconds it lives at most; only with bit 4
//! keys     16 bytes each, to the end: fingerprints, most significant byte first
//! ```
//!
//! A varint has seven bits a byte, the least significant first; the top bit says that more follow. A conversation of two
//! keys takes 49 bytes.

use std::sync::Arc;

use crate::affinity::{Keys, Now, Record, Stage};
use crate::session::Fingerprint;

const CONFIRMED: u8 = 1 << 2;
const MOVED: u8 = 1 << 3;
const HAS_MAX: u8 = 1 << 4;

/// Writes a conversation, whose node has this number.
pub fn write(record: &Record, node: u32, out: &mut Vec<u8>) {
    out.clear();
    let stage = match record.stage {
        Stage::Live => 0,
        Stage::Lingering => 1,
        Stage::Lost => 2,
    };
    let flag = |is: bool, bit: u8| if is { bit } else { 0 };
    let has_max = record.max != u32::MAX;
    out.push(stage | flag(record.confirmed, CONFIRMED) | flag(record.moved, MOVED) | flag(has_max, HAS_MAX));
    varint(node.into(), out);
    varint(record.created.0, out);
    varint(record.last_used.0.saturating_sub(record.created.0), out);
    varint(record.idle.into(), out);
    if has_max {
        varint(record.max.into(), out);
    }
    for key in &record.keys {
        out.extend_from_slice(&key.0.to_be_bytes());
    }
}

/// Reads a conversation; `nodes` holds affinity groups and names by number. `None`: this is none.
pub fn read(id: u32, bytes: &[u8], nodes: &[Option<(Arc<str>, Arc<str>)>]) -> Option<Record> {
    let (&flags, mut rest) = bytes.split_first()?;
    let stage = match flags & 3 {
        0 => Stage::Live,
        1 => Stage::Lingering,
        2 => Stage::Lost,
        _ => return None,
    };
    if flags & !(3 | CONFIRMED | MOVED | HAS_MAX) != 0 {
        return None;
    }
    let node = usize::try_from(take(&mut rest)?).ok()?;
    let (group, node) = nodes.get(node)?.clone()?;
    let created = take(&mut rest)?;
    let last_used = created.checked_add(take(&mut rest)?)?;
    let idle = u32::try_from(take(&mut rest)?).ok()?;
    let max = if flags & HAS_MAX != 0 { u32::try_from(take(&mut rest)?).ok()? } else { u32::MAX };
    let (keys, torn) = rest.as_chunks::<16>();
    if !torn.is_empty() {
        return None;
    }
    let keys: Keys = keys.iter().map(|bytes| Fingerprint(u128::from_be_bytes(*bytes))).collect();
    let (created, last_used) = (Now(created), Now(last_used));
    let (confirmed, moved) = (flags & CONFIRMED != 0, flags & MOVED != 0);
    Some(Record { id, group, node, keys, created, last_used, idle, max, stage, confirmed, moved })
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, more) = rest.split_first()?;
        *rest = more;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            id: 7,
            group: "orders".into(),
            node: "n1".into(),
            keys: Keys::from_slice(&[Fingerprint(1), Fingerprint(u128::MAX)]),
            created: Now(1_795_460_000_000),
            last_used: Now(1_795_460_100_000),
            idle: 1_800_000,
            max: u32::MAX,
            stage: Stage::Live,
            confirmed: false,
            moved: false,
        }
    }

    fn nodes() -> Vec<Option<(Arc<str>, Arc<str>)>> {
        vec![None, Some(("orders".into(), "n1".into()))]
    }

    #[test]
    fn what_is_written_is_read() {
        let stages = [Stage::Live, Stage::Lingering, Stage::Lost];
        for (stage, max, flag) in stages.into_iter().zip([u32::MAX, 0, 86_400_000]).map(|(s, m)| (s, m, m == 0)) {
            let record = Record { stage, max, confirmed: flag, moved: !flag, ..record() };
            let mut bytes = Vec::new();
            write(&record, 1, &mut bytes);
            assert_eq!(read(7, &bytes, &nodes()), Some(record));
        }
    }

    #[test]
    fn a_conversation_of_two_keys_takes_fifty_bytes() {
        let mut bytes = Vec::new();
        write(&record(), 1, &mut bytes);
        assert!(bytes.len() <= 50, "{}", bytes.len());
    }

    #[test]
    fn what_was_cut_or_is_something_else_is_no_conversation() {
        let mut bytes = Vec::new();
        write(&record(), 1, &mut bytes);
        let keys = bytes.len() - 32;
        for length in 0..bytes.len() {
            let read = read(7, &bytes[..length], &nodes());
            assert_eq!(read.is_some(), length >= keys && (length - keys).is_multiple_of(16), "cut at {length}");
        }
        assert_eq!(read(7, &bytes, &nodes()[..1]), None, "a node that is not there");
        assert_eq!(read(7, &[0xff; 64], &nodes()), None);
        assert_eq!(read(7, &[0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], &nodes()), None);
    }
}
