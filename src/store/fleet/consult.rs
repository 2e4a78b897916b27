//! Before a request is placed: what does the store know of its keys, and who binds those that nobody knows?

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::Notify;

use super::counts::count;
use super::{Core, Fleet, entry};
use crate::affinity::{Affinity, Ask, Change, Now, Policy, Proposal, Record, Refusal, Rule, What};
use crate::session::{Fingerprint, RequestKeys};
use crate::store::change::Names;
use crate::store::shared::{Claim, StoreError, Value};

/// What the fleet says of a request.
#[derive(Debug)]
pub struct Consulted {
    /// The node that its conversation begins on, where all agree that it begins here.
    pub proposal: Option<Proposal>,
    /// While it lives, no other request of this gateway claims the same keys: keep it until the request is placed.
    _claiming: Option<InHand>,
}

/// What came of asking the store for keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The table knows what the store knows.
    Known,
    /// The store is away.
    Away,
}

impl Consulted {
    fn nothing() -> Self {
        Self { proposal: None, _claiming: None }
    }
}

type Unknown = SmallVec<[Fingerprint; 4]>;

/// The different keys of the request that the table does not know, of these only the client-issued ones if wanted.
fn unknown(affinity: &Affinity, keys: &RequestKeys, now: Now, only_issued: bool) -> Unknown {
    let mut unknown = Unknown::new();
    for pin in keys.pins.iter().filter(|pin| pin.client_issued || !only_issued) {
        if !unknown.contains(&pin.fingerprint) && !affinity.is_bound(pin.fingerprint, now) {
            unknown.push(pin.fingerprint);
        }
    }
    unknown
}

impl Fleet {
    /// Takes over what the store knows of keys of the request that the table does not know and only a node can have issued.
    ///
    /// # Errors
    /// The store is away, and the request needs it (`on_store_down: reject`).
    pub async fn fetch(&self, keys: &RequestKeys, policy: &Policy) -> Result<(), Refusal> {
        let core = &self.core;
        if !policy.pins {
            return Ok(());
        }
        let now = core.now();
        let mut wanted = unknown(&core.affinity, keys, now, false);
        let is_known = wanted.len() < keys.pins.len();
        wanted.retain(|key| keys.pins.iter().any(|pin| pin.fingerprint == *key && !pin.client_issued));
        if core.breaker.is_open() {
            return if core.options.rejects && !is_known { Err(Refusal::StoreAway) } else { Ok(()) };
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let own = Arc::clone(core);
        let keys = wanted.to_vec();
        let got = self.run(async move { own.call(own.store.get(&keys)).await }).await;
        match got {
            Ok(values) => {
                for value in values.into_iter().flatten() {
                    if core.take_over(&value) {
                        count(&core.counts.fetched);
                    }
                }
                Ok(())
            }
            Err(_) if core.options.rejects && !is_known => Err(Refusal::StoreAway),
            Err(_) => Ok(()),
        }
    }

    /// Agrees with the other gateways on the node of a request that carries client-issued keys which this table does not
    /// know. Nothing happens, and nobody is asked, for any other request. Call it before each placement.
    ///
    /// # Errors
    /// As [`Affinity::place`] where no node can be proposed; [`Refusal::StoreAway`].
    pub async fn consult(&self, ask: &Ask<'_>) -> Result<Consulted, Refusal> {
        let core = &self.core;
        if !ask.policy.pins {
            return Ok(Consulted::nothing());
        }
        loop {
            let issued = unknown(&core.affinity, ask.keys, ask.now, true);
            if issued.is_empty() {
                return Ok(Consulted::nothing());
            }
            let known = ask.keys.pins.iter().find_map(|pin| core.affinity.record(pin.fingerprint, ask.now));
            if core.breaker.is_open() {
                return core.alone(known.is_some());
            }
            let in_hand = match core.claiming.enter(&issued) {
                Ok(in_hand) => in_hand,
                Err(other) => {
                    // Another request of this gateway is claiming one of them: what it comes to holds for this one.
                    let _ = tokio::time::timeout(core.options.budget, other).await;
                    if core.breaker.is_open() {
                        return core.alone(known.is_some());
                    }
                    continue;
                }
            };
            let (proposal, record) = match known {
                Some(record) => (None, record),
                None => {
                    let proposal = core.affinity.propose(ask)?;
                    let record = core.affinity.proposed(&proposal, &issued, ask).ok_or(Refusal::NoNode)?;
                    debug_assert_eq!(record.id, super::UNNUMBERED);
                    (Some(proposal), record)
                }
            };
            return match self.claim(issued, record).await {
                Ok(Claim::Won(_)) => {
                    count(&core.counts.claims_won);
                    Ok(Consulted { proposal, _claiming: Some(in_hand) })
                }
                Ok(Claim::Taken(_, value)) => {
                    count(&core.counts.claims_lost);
                    core.take_over(&value);
                    Ok(Consulted::nothing())
                }
                Err(_) => core.alone(proposal.is_none()),
            };
        }
    }

    async fn claim(&self, issued: Unknown, mut record: Record) -> Result<Claim, StoreError> {
        for key in &issued {
            if !record.keys.contains(key) {
                record.keys.push(*key);
            }
        }
        let core = Arc::clone(&self.core);
        self.run(async move {
            let mut keys = issued.to_vec();
            keys.sort_unstable_by_key(|key| key.0);
            let value = entry::value(core.id, &record);
            let time = super::writer::time_of(&record, core.now());
            let bound = Change { what: What::Bound(issued.iter().copied().collect()), record };
            let log = entry::change(core.id, 0, &bound);
            core.call(core.store.claim(&keys, &value, time, &log)).await
        })
        .await
    }
}

impl Core {
    /// What a request does whose store is away.
    fn alone(&self, is_known: bool) -> Result<Consulted, Refusal> {
        if self.options.rejects && !is_known { Err(Refusal::StoreAway) } else { Ok(Consulted::nothing()) }
    }

    /// Takes a value of the store over into the table. False if it is none.
    fn take_over(&self, value: &Value) -> bool {
        match entry::read_value(value, &mut Names::default()) {
            Ok((_, record)) => {
                self.adopt(&record, Rule::UnlessLater(self.seen.load(Relaxed)));
                true
            }
            Err(_) => {
                count(&self.counts.unreadable);
                false
            }
        }
    }
}

/// The keys that requests of this gateway are claiming at this moment.
#[derive(Debug, Default, Clone)]
pub(super) struct Claiming(Arc<Mutex<HashMap<Fingerprint, Arc<Notify>>>>);

/// Keys in the hands of one request.
#[derive(Debug)]
struct InHand {
    claiming: Claiming,
    keys: Unknown,
    done: Arc<Notify>,
}

impl Claiming {
    /// Takes all these keys in hand, or says when to look again.
    fn enter(&self, keys: &[Fingerprint]) -> Result<InHand, tokio::sync::futures::OwnedNotified> {
        let mut claiming = self.0.lock();
        if let Some(other) = keys.iter().find_map(|key| claiming.get(key)) {
            // Polled or not, it hears of what ends after this lock.
            return Err(Arc::clone(other).notified_owned());
        }
        let done = Arc::<Notify>::default();
        for key in keys {
            claiming.insert(*key, Arc::clone(&done));
        }
        Ok(InHand { claiming: self.clone(), keys: keys.into(), done })
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        let mut claiming = self.claiming.0.lock();
        for key in &self.keys {
            claiming.remove(key);
        }
        drop(claiming);
        self.done.notify_waiters();
    }
}
