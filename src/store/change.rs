//! Changes of the table as bytes. The names of keys are not told: only people need them.

use std::sync::Arc;

use super::fields::{Broken, Get, Put};
use crate::affinity::{Change, KeyNames, Keys, Now, Record, Stage, What};
use crate::session::Fingerprint;

/// Keys of one conversation. More than a configuration can allow.
const KEYS_MAX: usize = 4096;

/// Writes a change.
pub fn put(put: &mut Put<'_>, change: &Change) {
    let Change { what, record } = change;
    match what {
        What::Present => put.u8(0),
        What::Bound(bound) => {
            put.u8(1);
            keys(put, bound);
        }
        What::Unbound(unbound) => {
            put.u8(2);
            keys(put, unbound);
        }
        What::Moved => put.u8(3),
        What::Confirmed => put.u8(4),
        What::Used => put.u8(5),
        What::Stage => put.u8(6),
        What::Gone { ended: false } => put.u8(7),
        What::Gone { ended: true } => put.u8(8),
    }
    put.u32(record.id);
    put.text(&record.group);
    put.text(&record.node);
    keys(put, &record.keys);
    put.u64(record.created.0);
    put.u64(record.last_used.0);
    put.u32(record.idle);
    put.u32(record.max);
    put.u8(match record.stage {
        Stage::Live => 0,
        Stage::Lingering => 1,
        Stage::Lost => 2,
    });
    put.u8(u8::from(record.confirmed) | u8::from(record.moved) << 1);
}

/// Reads a change. `names` keeps the names met so far, so that a million conversations share those of three nodes.
pub fn get(get: &mut Get<'_>, names: &mut Names) -> Result<Change, Broken> {
    let what = match get.u8()? {
        0 => What::Present,
        1 => What::Bound(read_keys(get)?),
        2 => What::Unbound(read_keys(get)?),
        3 => What::Moved,
        4 => What::Confirmed,
        5 => What::Used,
        6 => What::Stage,
        7 => What::Gone { ended: false },
        8 => What::Gone { ended: true },
        _ => return Err(Broken("a change of no known kind")),
    };
    let id = get.u32()?;
    let (group, node) = (names.get(get.text()?), names.get(get.text()?));
    let keys = read_keys(get)?;
    let (created, last_used) = (Now(get.u64()?), Now(get.u64()?));
    let (idle, max) = (get.u32()?, get.u32()?);
    let stage = match get.u8()? {
        0 => Stage::Live,
        1 => Stage::Lingering,
        2 => Stage::Lost,
        _ => return Err(Broken("a stage of no known kind")),
    };
    let flags = get.u8()?;
    let (confirmed, moved) = (flags & 1 != 0, flags & 2 != 0);
    let names = KeyNames::new();
    let record = Record { id, group, node, keys, names, created, last_used, idle, max, stage, confirmed, moved };
    Ok(Change { what, record })
}

/// The names of nodes and groups met so far.
#[derive(Debug, Default)]
pub struct Names(std::collections::HashSet<Arc<str>>);

impl Names {
    fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = name.into();
        self.0.insert(Arc::clone(&new));
        new
    }
}

fn keys(put: &mut Put<'_>, keys: &[Fingerprint]) {
    let keys = &keys[..keys.len().min(KEYS_MAX)];
    put.u16(keys.len() as u16);
    keys.iter().for_each(|key| put.u128(key.0));
}

fn read_keys(get: &mut Get<'_>) -> Result<Keys, Broken> {
    let count = get.count()?;
    if count > KEYS_MAX {
        return Err(Broken("more keys than a conversation can have"));
    }
    (0..count).map(|_| get.u128().map(Fingerprint)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(what: What) -> Change {
        let record = Record {
            id: 7,
            group: "orders".into(),
            node: "n1".into(),
            keys: [Fingerprint(1 << 100), Fingerprint(2)].into_iter().collect(),
            names: KeyNames::new(),
            created: Now(1_700_000_000_000),
            last_used: Now(1_700_000_000_123),
            idle: 1_800_000,
            max: u32::MAX,
            stage: Stage::Lingering,
            confirmed: true,
            moved: false,
        };
        Change { what, record }
    }

    #[test]
    fn every_change_is_read_back_as_it_was_written() {
        let keys: Keys = [Fingerprint(3)].into_iter().collect();
        let all = [
            What::Present,
            What::Bound(keys.clone()),
            What::Unbound(keys),
            What::Moved,
            What::Confirmed,
            What::Used,
            What::Stage,
            What::Gone { ended: false },
            What::Gone { ended: true },
        ];
        for what in all {
            let mut bytes = Vec::new();
            put(&mut Put(&mut bytes), &change(what.clone()));
            let mut rest = Get(&bytes);
            assert_eq!(get(&mut rest, &mut Names::default()), Ok(change(what)));
            assert!(rest.0.is_empty());
        }
    }

    #[test]
    fn what_is_cut_off_is_broken_and_never_believed() {
        let mut bytes = Vec::new();
        put(&mut Put(&mut bytes), &change(What::Bound([Fingerprint(3)].into_iter().collect())));
        for end in 0..bytes.len() {
            assert!(get(&mut Get(&bytes[..end]), &mut Names::default()).is_err(), "{end}");
        }
        // A count of keys far beyond what is there.
        let promises = [1, 0xff, 0xff, 0];
        assert!(get(&mut Get(&promises), &mut Names::default()).is_err());
    }
}
