//! Writing: what this table changes, and after an outage what it changed meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::outbox::{Kept, untold};
use super::{Core, entry};
use crate::affinity::{Change, Follower, Record, Rule, What, slack};
use crate::session::Fingerprint;
use crate::store::change::Names;
use crate::store::shared::{Claim, StoreError, Value, Write};

/// Changes written at once.
const BATCH: usize = 256;
/// Conversations handled at once after an outage.
const STEP: usize = 256;
/// Conversations of the table looked at in one step.
const WALK: usize = 1024;
/// How often it is looked whether the store is back.
const LOOK: Duration = Duration::from_secs(1);
/// A store that is back may be slow for a moment.
const RETURNING: u32 = 4;
/// Added to every time to live: clocks differ, and nothing may go early.
const MARGIN: Duration = Duration::from_secs(5);

/// How long the store keeps a conversation: as long as any gateway may still use it.
pub(super) fn time_of(record: &Record, now: crate::affinity::Now) -> Option<Duration> {
    let due = record.due();
    if due == u64::MAX {
        return None;
    }
    let behind = slack(Duration::from_millis(record.idle.into()));
    Some(Duration::from_millis(due.saturating_sub(now.0)) + behind * 2 + MARGIN)
}

/// Whether what the store says was set later than our own word.
fn is_later(theirs: &[u8], own: Option<&[u8]>) -> bool {
    let stamp = |bytes: &[u8]| super::stamp_of(bytes).map_or(0, |(stamp, _)| stamp);
    own.is_some_and(|own| stamp(theirs) > stamp(own))
}

impl Core {
    /// Writes what the table changes, until the end.
    pub(super) async fn write_on(&self) {
        loop {
            let batch = self.outbox.take(BATCH);
            if batch.is_empty() {
                if self.is_stopping() {
                    return;
                }
                self.outbox.wake.notified().await;
                continue;
            }
            if self.breaker.is_open() {
                self.outbox.store_is_away(batch);
                continue;
            }
            let last = batch.last().map_or(0, |(position, _)| *position);
            let changes = self.writes(&batch);
            match self.call(self.store.write(&changes)).await {
                Ok(_) => {
                    self.counts.told.fetch_add(batch.len() as u64, Ordering::Relaxed);
                    self.outbox.written(last);
                    if self.outbox.is_flooded() {
                        self.fail(&StoreError::Away("the store does not keep up".to_owned()));
                    }
                }
                Err(_) => self.outbox.store_is_away(batch),
            }
            self.affinity.journal().progressed();
        }
    }

    /// These changes, as the store is to make them.
    fn writes(&self, batch: &[(u64, Change)]) -> Vec<Write> {
        let now = self.now();
        let mut writes = Vec::with_capacity(batch.len() * 2);
        for (position, change) in batch {
            let Change { what, record } = change;
            let owner = record.created.0;
            let value = || entry::value(self.id, record);
            let time = time_of(record, now);
            let others = |bound: &[Fingerprint]| -> Vec<Fingerprint> {
                record.keys.iter().copied().filter(|key| !bound.contains(key)).collect()
            };
            let mut renew = |keys: Vec<Fingerprint>| {
                if !keys.is_empty() {
                    writes.push(Write::Renew(keys, value(), time));
                }
            };
            match what {
                What::Gone { ended: false } => continue,
                What::Gone { ended: true } => writes.push(Write::Remove(record.keys.to_vec(), owner)),
                What::Bound(bound) => {
                    renew(others(bound));
                    writes.push(Write::Put(bound.to_vec(), value(), time));
                }
                What::Unbound(unbound) => {
                    renew(others(unbound));
                    writes.push(Write::Remove(unbound.to_vec(), owner));
                }
                What::Present | What::Moved | What::Confirmed | What::Used | What::Stage => renew(others(&[])),
            }
            writes.push(Write::Log(entry::change(self.id, *position, change)));
        }
        writes
    }

    /// Waits until what the journal said up to this position is in the store.
    pub(super) async fn settle(&self, position: u64) -> Result<(), StoreError> {
        let journal = self.affinity.journal();
        let settled = std::future::poll_fn(|cx| journal.poll_settled(cx, position));
        let away = || StoreError::Away("the store is away".to_owned());
        tokio::time::timeout(self.options.budget * RETURNING, settled).await.map_err(|_| away())?;
        if self.breaker.is_open() { Err(away()) } else { Ok(()) }
    }

    /// Looks for a store that is away, and brings it up to date once it is back, until the end.
    pub(super) async fn return_on(&self) {
        while !self.is_stopping() {
            self.pause(LOOK).await;
            let budget = self.options.budget * RETURNING;
            if !self.breaker.is_open() {
                // Whether it is still the store it was.
                if let Ok(epoch) = self.within(budget, self.store.epoch()).await
                    && self.is_other_store(epoch)
                {
                    tracing::warn!("the shared store has lost what it held: it is told again");
                    self.fail(&StoreError::Away("the store has lost what it held".to_owned()));
                    self.tell_all();
                }
                continue;
            }
            let Ok(epoch) = self.within(budget, self.store.epoch()).await else { continue };
            if self.is_other_store(epoch) {
                tracing::warn!("the shared store has lost what it held: it is told again");
                self.tell_all();
            }
            self.epoch.store(epoch, Ordering::Release);
            match self.tell_kept(budget).await {
                Ok(()) => {
                    self.breaker.close();
                    *self.trouble.lock() = None;
                    self.affinity.journal().progressed();
                    tracing::info!("the shared store is back, and knows what happened meanwhile");
                }
                Err(error) => *self.trouble.lock() = Some(error.to_string()),
            }
        }
    }

    /// Whether this epoch says that the store lost what it held. The first one heard is believed.
    pub(super) fn is_other_store(&self, epoch: u64) -> bool {
        let known = self.epoch.load(Ordering::Acquire);
        if known == 0 {
            self.epoch.store(epoch, Ordering::Release);
        }
        known != 0 && known != epoch
    }

    /// Notes the whole table as to be told. Only while the store is away.
    fn tell_all(&self) {
        let mut next = Some(0);
        while let Some(from) = next {
            next = self.affinity.walk(from, WALK, &*self.outbox);
        }
    }

    /// Keeps orders that could not be told, unless there are newer ones.
    fn keep_orders(&self, untold: Vec<(String, Option<Vec<u8>>)>) {
        let mut orders = self.orders.lock();
        for (name, value) in untold {
            if !orders.iter().any(|(own, _)| *own == name) {
                orders.push((name, value));
            }
        }
    }

    async fn tell_kept(&self, budget: Duration) -> Result<(), StoreError> {
        let orders = std::mem::take(&mut *self.orders.lock());
        let theirs = match orders.is_empty() {
            true => Vec::new(),
            false => {
                self.within(budget, self.store.states()).await.inspect_err(|_| self.keep_orders(orders.clone()))?
            }
        };
        for (name, value) in orders {
            let later = theirs.iter().find(|(other, bytes)| *other == name && is_later(bytes, value.as_deref()));
            if let Some((name, bytes)) = later {
                tracing::warn!(
                    name,
                    "an order given while the store was away is not told: a later one was given elsewhere"
                );
                self.hear_state(name, Some(bytes));
                continue;
            }
            let log = entry::state(self.id, &name, value.as_deref());
            let changes = [Write::State(name.clone(), value.clone()), Write::Log(log)];
            if let Err(error) = self.within(budget, self.store.write(&changes)).await {
                self.keep_orders(vec![(name, value)]);
                return Err(error);
            }
        }
        while let Some(mut kept) = self.outbox.kept(STEP) {
            while let Some(one) = kept.pop() {
                if let Err(error) = self.tell_one(&one, budget).await {
                    kept.push(one);
                    self.outbox.keep_on(kept);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Tells what became of one conversation while the store was away.
    async fn tell_one(&self, kept: &Kept, budget: Duration) -> Result<(), StoreError> {
        let record = &kept.record;
        let (keys, owner) = (record.keys.to_vec(), record.created.0);
        let time = time_of(record, self.now());
        let value = entry::value(self.id, record);
        let mut changes = Vec::new();
        if kept.ended {
            let mut gone = keys.clone();
            gone.extend(kept.unbound.iter().copied());
            let told = Change { what: What::Gone { ended: true }, record: record.clone() };
            changes.extend([Write::Remove(gone, owner), Write::Log(entry::change(self.id, 0, &told))]);
            return self.within(budget, self.store.write(&changes)).await.map(drop);
        }
        if !kept.unbound.is_empty() {
            let told = Change { what: What::Unbound(kept.unbound.clone()), record: record.clone() };
            changes.push(Write::Remove(kept.unbound.to_vec(), owner));
            changes.push(Write::Log(entry::change(self.id, 0, &told)));
        }
        let bound = Change { what: What::Bound(record.keys.clone()), record: record.clone() };
        let bound = entry::change(self.id, 0, &bound);
        if kept.moved {
            // It was moved because its node was away, or because an operator said so: that holds.
            let told = Change { what: What::Moved, record: record.clone() };
            changes.extend([Write::Put(keys.clone(), value, time), Write::Log(bound)]);
            changes.push(Write::Log(entry::change(self.id, 0, &told)));
        } else if kept.bound && !keys.is_empty() {
            match self.within(budget, self.store.claim(&keys, &value, time, &bound)).await? {
                Claim::Won(_) => {}
                Claim::Taken(_, theirs) if theirs.owner == owner => {
                    changes.extend([Write::Put(keys.clone(), value, time), Write::Log(bound)]);
                }
                Claim::Taken(index, theirs) if self.yields_to(record, keys[index], &theirs) => {}
                Claim::Taken(..) => changes.extend([Write::Put(keys.clone(), value, time), Write::Log(bound)]),
            }
        } else if !keys.is_empty() {
            changes.push(Write::Renew(keys, value, time));
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.within(budget, self.store.write(&changes)).await.map(drop)
    }

    /// Another gateway may have bound this key meanwhile: then its word holds. False: it says the same node.
    fn yields_to(&self, own: &Record, key: Fingerprint, theirs: &Value) -> bool {
        let Ok((_, record)) = entry::read_value(theirs, &mut Names::default()) else {
            super::counts::count(&self.counts.unreadable);
            return false;
        };
        if record.node == own.node {
            return false;
        }
        super::counts::count(&self.counts.conflicts);
        tracing::warn!(
            key = %format_args!("{:016x}", (key.0 >> 64) as u64),
            here = %own.node,
            there = %record.node,
            "two gateways bound one id to different nodes while the store was away: the store's word holds"
        );
        self.adopt(&record, Rule::Theirs(u64::MAX));
        true
    }

    /// Takes a conversation of the store into the table.
    pub(super) fn adopt(&self, record: &Record, rule: Rule) {
        let change = Change { what: What::Bound(record.keys.clone()), record: record.clone() };
        untold(|| Follower::new(Arc::clone(&self.affinity)).apply_by(&change, rule, self.now()));
    }
}
