//! How a conversation is written: one value of the table `conversations`.
//!
//! ```text
//! flags    1 byte   bits 0 and 1: 0 live, 1 lingering, 2 lost; bit 2: confirmed; bit 3: moved; bit 4: it has a last day;
//!                   bit 5: its keys have names
//! node     varint   number in the table `nodes`
//! created  varint   milliseconds since 1970
//! used     varint   last use, milliseconds after `created`
//! idle     varint   milliseconds it outlives that; 4294967295: for ever
//! max      varint   milliseconds it lives at most; only with bit 4
//! keys     to the end: fingerprints, 16 bytes each, most significant byte first; with bit 5 each followed by the name of the
//!          key, 3 bytes: `session::NameTag`
//! ```
//!
//! A varint has seven bits a byte, the least significant first; the top bit says that more follow. A conversation of two
//! keys takes 52 bytes. Schema 1 had no bit 5.

use std::sync::Arc;

use crate::affinity::{KeyNames, Keys, Now, Record, Stage};
use crate::session::{Fingerprint, NameTag};

const CONFIRMED: u8 = 1 << 2;
const MOVED: u8 = 1 << 3;
const HAS_MAX: u8 = 1 << 4;
const HAS_NAMES: u8 = 1 << 5;
/// A fingerprint and a name.
const NAMED: usize = 19;

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
    let has_names = record.has_names();
    let flags = flag(record.confirmed, CONFIRMED) | flag(record.moved, MOVED) | flag(has_max, HAS_MAX);
    out.push(stage | flags | flag(has_names, HAS_NAMES));
    varint(node.into(), out);
    varint(record.created.0, out);
    varint(record.last_used.0.saturating_sub(record.created.0), out);
    varint(record.idle.into(), out);
    if has_max {
        varint(record.max.into(), out);
    }
    for (place, key) in record.keys.iter().enumerate() {
        out.extend_from_slice(&key.0.to_be_bytes());
        if has_names {
            out.extend_from_slice(&record.names[place].0);
        }
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
    if flags & !(3 | CONFIRMED | MOVED | HAS_MAX | HAS_NAMES) != 0 {
        return None;
    }
    let node = usize::try_from(take(&mut rest)?).ok()?;
    let (group, node) = nodes.get(node)?.clone()?;
    let created = take(&mut rest)?;
    let last_used = created.checked_add(take(&mut rest)?)?;
    let idle = u32::try_from(take(&mut rest)?).ok()?;
    let max = if flags & HAS_MAX != 0 { u32::try_from(take(&mut rest)?).ok()? } else { u32::MAX };
    let (keys, names) = if flags & HAS_NAMES != 0 { named(rest)? } else { (unnamed(rest)?, KeyNames::new()) };
    let (created, last_used) = (Now(created), Now(last_used));
    let (confirmed, moved) = (flags & CONFIRMED != 0, flags & MOVED != 0);
    Some(Record { id, group, node, keys, names, created, last_used, idle, max, stage, confirmed, moved })
}

fn unnamed(bytes: &[u8]) -> Option<Keys> {
    let (keys, torn) = bytes.as_chunks::<16>();
    torn.is_empty().then(|| keys.iter().map(|bytes| Fingerprint(u128::from_be_bytes(*bytes))).collect())
}

fn named(bytes: &[u8]) -> Option<(Keys, KeyNames)> {
    let (keys, torn) = bytes.as_chunks::<NAMED>();
    let split = |[key @ .., a, b, c]: &[u8; NAMED]| (Fingerprint(u128::from_be_bytes(*key)), NameTag([*a, *b, *c]));
    torn.is_empty().then(|| keys.iter().map(split).unzip())
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
            names: KeyNames::from_slice(&[NameTag::of("sgid"), NameTag::of("cookie")]),
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
    fn what_schema_1_wrote_is_read_without_names() {
        let old = Record { names: KeyNames::new(), ..record() };
        let mut bytes = Vec::new();
        write(&old, 1, &mut bytes);
        assert_eq!((bytes[0] & HAS_NAMES, bytes.len()), (0, 46));
        assert_eq!(read(7, &bytes, &nodes()), Some(old));
    }

    #[test]
    fn a_conversation_of_two_keys_takes_less_than_sixty_bytes() {
        let mut bytes = Vec::new();
        write(&record(), 1, &mut bytes);
        assert!(bytes.len() < 60, "{}", bytes.len());
    }

    #[test]
    fn what_was_cut_or_is_something_else_is_no_conversation() {
        let mut bytes = Vec::new();
        write(&record(), 1, &mut bytes);
        let keys = bytes.len() - 2 * NAMED;
        for length in 0..bytes.len() {
            let read = read(7, &bytes[..length], &nodes());
            assert_eq!(read.is_some(), length >= keys && (length - keys).is_multiple_of(NAMED), "cut at {length}");
        }
        assert_eq!(read(7, &bytes, &nodes()[..1]), None, "a node that is not there");
        assert_eq!(read(7, &[0xff; 64], &nodes()), None);
        assert_eq!(read(7, &[0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], &nodes()), None);
    }
}
