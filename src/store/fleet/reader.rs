//! Reading: what others changed, in the order of the log, and everything anew where the log has gone on without us.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::counts::count;
use super::entry::{self, Entry};
use super::outbox::untold;
use super::{Core, UNNUMBERED};
use crate::affinity::{Follower, Rule, What};
use crate::store::change::Names;
use crate::store::shared::{Position, Read, StoreError};

/// How long one reading waits for the first entry.
const WAIT: Duration = Duration::from_secs(5);
/// How much longer than that it may take.
const GRACE: Duration = Duration::from_secs(2);
/// After a reading that failed.
const RETRY: Duration = Duration::from_millis(250);
/// One step of reading everything may take so long.
const STEP: Duration = Duration::from_secs(5);

/// Others, by what they said last.
#[derive(Debug, Default)]
struct Others {
    followers: HashMap<u64, Follower>,
    names: Names,
}

impl Core {
    /// Follows the others, until the end.
    pub(super) async fn read_on(&self) {
        let mut others = Others::default();
        let mut at = None;
        let mut epoch = 0;
        while !self.is_stopping() {
            let went = tokio::select! {
                went = self.read_once(&mut others, &mut at, &mut epoch) => went,
                () = self.stop.notified() => return,
            };
            if let Err(error) = went {
                if at.is_some() || self.breaker.is_open() {
                    tracing::debug!(%error, "the log of the fleet cannot be read");
                } else {
                    self.fail(&error);
                }
                self.pause(RETRY).await;
            }
        }
    }

    async fn read_once(
        &self,
        others: &mut Others,
        at: &mut Option<Position>,
        epoch: &mut u64,
    ) -> Result<(), StoreError> {
        let Some(after) = *at else {
            // The log from here on, and before that everything there is: what happens meanwhile is in both.
            let now = self.within(STEP, self.store.epoch()).await?;
            let last = self.within(STEP, self.store.last()).await?;
            self.read_all(others).await?;
            self.is_other_store(now);
            *epoch = now;
            *at = Some(last);
            self.applied.store(last.0, Ordering::Release);
            self.members.hurry();
            return Ok(());
        };
        let read = tokio::time::timeout(WAIT + GRACE, self.store.read(after, WAIT)).await;
        match read.map_err(|_| StoreError::Away("the log is not read in time".to_owned()))?? {
            Read::Entries(entries) if entries.is_empty() => {
                // A store that has begun anew may be silent for ever.
                let now = self.within(STEP, self.store.epoch()).await?;
                if now != *epoch {
                    *at = None;
                }
            }
            Read::Entries(entries) => {
                let mut hurry = false;
                for (position, bytes) in (after.0 + 1..).zip(&entries) {
                    hurry |= self.hear(others, bytes);
                    self.applied.store(position, Ordering::Release);
                }
                *at = Some(Position(after.0 + entries.len() as u64));
                if hurry {
                    self.members.hurry();
                }
            }
            Read::Gap(_) => {
                tracing::warn!("the log of the fleet has gone on without this gateway: everything is read anew");
                *at = None;
            }
        }
        Ok(())
    }

    /// Takes over everything that the store holds.
    async fn read_all(&self, others: &mut Others) -> Result<(), StoreError> {
        count(&self.counts.resyncs);
        let rule = Rule::UnlessLater(self.seen.load(Ordering::Acquire));
        let mut from = None;
        loop {
            let step = self.within(STEP, self.store.scan(from)).await?;
            for (_, value) in &step.values {
                match entry::read_value(value, &mut others.names) {
                    // What this table itself has written it knows, or has ended since.
                    Ok((member, _)) if member == self.id => {}
                    Ok((_, record)) => self.adopt(&record, rule),
                    Err(_) => count(&self.counts.unreadable),
                }
            }
            from = step.next;
            if from.is_none() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let states = self.within(STEP, self.store.states()).await?;
        for (name, value) in &states {
            self.hear_state(name, Some(value));
        }
        Ok(())
    }

    /// One entry of the log. Whether somebody may be waiting for it to be applied.
    fn hear(&self, others: &mut Others, bytes: &[u8]) -> bool {
        match entry::read(bytes, &mut others.names) {
            Ok(Entry::Change { member, position, .. }) if member == self.id => {
                self.seen.fetch_max(position, Ordering::AcqRel);
                false
            }
            Ok(Entry::Change { member, change, .. }) => {
                count(&self.counts.heard);
                let rule = Rule::UnlessLater(self.seen.load(Ordering::Acquire));
                if change.record.id == UNNUMBERED {
                    self.adopt(&change.record, rule);
                    return false;
                }
                let follower =
                    others.followers.entry(member).or_insert_with(|| Follower::of_several(Arc::clone(&self.affinity)));
                untold(|| follower.apply_by(&change, rule, self.now()));
                matches!(change.what, What::Moved | What::Gone { .. })
            }
            Ok(Entry::State { member, name, value }) => {
                if member != self.id {
                    self.hear_state(&name, value.as_deref());
                }
                true
            }
            Err(_) => {
                count(&self.counts.unreadable);
                false
            }
        }
    }
}
