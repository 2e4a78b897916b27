//! Who is there.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Core;
use super::entry::{self, Said};
use crate::affinity::Now;
use crate::store::shared::{Position, StoreError};

/// How often a member says that it is there.
const BEAT: Duration = Duration::from_secs(1);
/// Who has said nothing for so long is gone.
const GONE: Duration = Duration::from_secs(5);
/// Who was silent for so long when it vanished has not taken its leave: those who do go within a beat or two.
const SILENT: Duration = Duration::from_millis(3500);
/// Who vanished without a leave may still serve, cut off from the store: it is named for so long.
const NAMED: Duration = Duration::from_secs(600);
/// Between two beats at least.
const REST: Duration = Duration::from_millis(20);

/// A gateway of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who: drawn at its start.
    pub id: u64,
    /// Its name, for people.
    pub name: String,
    /// Its software.
    pub version: String,
    /// When it began, by its own clock.
    pub started: Now,
    /// Up to here it has applied the log.
    pub applied: Position,
    /// How long ago it was last heard of.
    pub age: Duration,
    /// It has the same fingerprint key: without that it knows no conversation of the others by any id.
    pub same_key: bool,
}

/// Who is there, as of a moment ago.
#[derive(Debug, Default)]
pub(super) struct Members {
    list: Mutex<Vec<Member>>,
    looked: Mutex<Option<Instant>>,
    /// Those that vanished without taking their leave, and when they were last heard of.
    silent: Mutex<Vec<(Member, Instant)>>,
    hurry: Notify,
}

impl Members {
    pub fn list(&self) -> Vec<Member> {
        self.list.lock().clone()
    }

    /// Those that fell silent lately.
    pub fn silent(&self) -> Vec<Member> {
        let silent = self.silent.lock();
        silent.iter().map(|(member, heard)| Member { age: heard.elapsed(), ..member.clone() }).collect()
    }

    /// Somebody may be waiting to hear how far this gateway has come.
    pub fn hurry(&self) {
        self.hurry.notify_one();
    }
}

impl Core {
    /// Says that it is there, and looks who else is, until the end.
    pub(super) async fn beat_on(&self) {
        let own = format!("{:016x}", self.id);
        while !self.is_stopping() {
            if !self.breaker.is_open() {
                let went = async {
                    self.within(self.options.budget, self.store.beat(&own, &self.said(), GONE)).await?;
                    self.look_around().await
                };
                if let Err(error) = went.await {
                    self.fail(&error);
                }
            }
            tokio::select! {
                () = self.pause(BEAT) => {}
                () = self.members.hurry.notified() => self.pause(REST).await,
            }
        }
        let _ = self.within(self.options.budget, self.store.beat(&own, &[], Duration::ZERO)).await;
    }

    fn said(&self) -> Vec<u8> {
        entry::beat(&Said {
            applied: self.applied.load(Ordering::Acquire),
            started: self.started,
            name: self.options.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            key_mark: self.options.key_mark,
        })
    }

    async fn look_around(&self) -> Result<(), StoreError> {
        let beats = self.within(self.options.budget, self.store.members()).await?;
        let mut now: Vec<Member> = beats
            .into_iter()
            .filter_map(|beat| {
                let id = u64::from_str_radix(&beat.member, 16).ok()?;
                let said = entry::read_beat(&beat.bytes).ok()?;
                let Said { applied, started, name, version, key_mark } = said;
                let same_key = key_mark == self.options.key_mark;
                Some(Member { id, name, version, started, applied: Position(applied), age: beat.age, same_key })
            })
            .collect();
        now.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        let before = std::mem::replace(&mut *self.members.list.lock(), now.clone());
        let looked = self.members.looked.lock().replace(Instant::now()).map_or(Duration::ZERO, |then| then.elapsed());
        let has = |list: &[Member], id: u64| list.iter().any(|member| member.id == id);
        for member in now.iter().filter(|member| !has(&before, member.id) && member.id != self.id) {
            tracing::info!(name = member.name, version = member.version, "a gateway has joined the fleet");
            if !member.same_key {
                tracing::error!(
                    name = member.name,
                    "a gateway of the fleet has another affinity.fingerprint_key: neither knows the other's conversations"
                );
            }
        }
        for member in before.iter().filter(|member| !has(&now, member.id) && member.id != self.id) {
            let silence = member.age + looked;
            let took_leave = silence < SILENT;
            tracing::warn!(name = member.name, took_leave, "a gateway has left the fleet");
            if !took_leave && let Some(heard) = Instant::now().checked_sub(silence) {
                self.members.silent.lock().push((member.clone(), heard));
            }
        }
        self.members.silent.lock().retain(|(one, heard)| heard.elapsed() < NAMED && !has(&now, one.id));
        Ok(())
    }

    /// Waits until every member that is there has applied the log so far; those that have not, and those that fell silent.
    pub(super) async fn await_applied(self: &Arc<Self>, position: Position, patience: Duration) -> Vec<Member> {
        let until = tokio::time::Instant::now() + patience;
        loop {
            let looked = if self.breaker.is_open() {
                Err(StoreError::Away("the store is away".to_owned()))
            } else {
                self.look_around().await
            };
            let mine = self.applied.load(Ordering::Acquire);
            let behind = |member: &Member| match member.id == self.id {
                true => Position(mine) < position,
                false => member.applied < position,
            };
            let mut late: Vec<Member> = self.members.list().into_iter().filter(behind).collect();
            if looked.is_ok() && late.is_empty() || tokio::time::Instant::now() >= until {
                late.extend(self.members.silent());
                return late;
            }
            tokio::time::sleep(REST).await;
        }
    }
}
