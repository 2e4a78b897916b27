//! A table is filled with what a file holds, by several threads at once.

use super::conversation::Phase;
use super::restore::{LeftOut, Nodes};
use super::sync::Mutex;
use super::{Affinity, Now, Record, Restored, Rule};

/// A table that is being filled. Any thread may [`enter`](Refill::enter) conversations; [`finish`](Refill::finish) is called when
/// all have.
#[derive(Debug)]
pub struct Refill<'a> {
    affinity: &'a Affinity,
    now: Now,
    sum: Mutex<Sum>,
}

#[derive(Debug, Default)]
struct Sum {
    restored: Restored,
    /// When they were last used, and their places: conversations that may be pushed out.
    spares: Vec<(u64, u32)>,
}

impl Affinity {
    /// Begins to fill the table, which nobody may use yet, with conversations that have numbers below `numbers`, and about so
    /// many keys. The nodes of the configuration must be known.
    pub fn refill(&self, numbers: u32, keys: usize, now: Now) -> Refill<'_> {
        self.tell(now);
        self.table.reserve(keys.min(self.max_keys()));
        self.roll.reserve(numbers.min(u32::try_from(self.max_conversations()).unwrap_or(u32::MAX)));
        Refill { affinity: self, now, sum: Mutex::default() }
    }

    /// Enters these conversations in one thread; see [`Affinity::refill`].
    pub fn restore(&self, records: impl IntoIterator<Item = Record>, now: Now) -> Restored {
        let records: Vec<Record> = records.into_iter().collect();
        let numbers = records.iter().map(|record| record.id.saturating_add(1)).max().unwrap_or(0);
        let refill = self.refill(numbers, records.iter().map(|record| record.keys.len()).sum(), now);
        refill.enter(&records);
        refill.finish()
    }
}

impl Refill<'_> {
    /// Enters some conversations.
    pub fn enter(&self, records: &[Record]) {
        let mut part = Sum::default();
        let mut nodes = Nodes::default();
        for record in records {
            self.enter_one(record, &mut nodes, &mut part);
        }
        let mut sum = self.sum.lock();
        sum.spares.append(&mut part.spares);
        sum.restored.add(part.restored);
    }

    fn enter_one(&self, record: &Record, nodes: &mut Nodes, part: &mut Sum) {
        let (node, configured) = nodes.find(self.affinity, record);
        let restored = &mut part.restored;
        match self.affinity.adopt(record, &record.keys, node, Rule::Latest, self.now) {
            Ok((conversation, conflicts)) => {
                let state = conversation.lock();
                restored.conversations += 1;
                restored.keys += state.keys.len();
                restored.homeless += usize::from(!configured);
                restored.conflicts += conflicts;
                if state.slot != record.id {
                    restored.stale.push(record.id);
                    restored.renumbered = true;
                }
                if state.phase != Phase::Gone && state.may_go() {
                    part.spares.push((state.last_used, state.slot));
                }
            }
            Err(why) => {
                match why {
                    LeftOut::Expired => restored.expired += 1,
                    LeftOut::Full => restored.full += 1,
                }
                restored.stale.push(record.id);
            }
        }
    }

    /// What came of it. The table may be used.
    pub fn finish(self) -> Restored {
        let Sum { restored, mut spares } = std::mem::take(&mut *self.sum.lock());
        self.affinity.roll.release_rest();
        // Longest idle first, as before.
        spares.sort_unstable();
        for (_, slot) in spares {
            self.affinity.spare_at(slot);
        }
        restored
    }
}

impl Restored {
    fn add(&mut self, other: Self) {
        self.conversations += other.conversations;
        self.keys += other.keys;
        self.homeless += other.homeless;
        self.expired += other.expired;
        self.full += other.full;
        self.conflicts += other.conflicts;
        self.stale.extend(other.stale);
        self.renumbered |= other.renumbered;
    }
}
