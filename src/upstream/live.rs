//! What changes about a machine while requests run: counts, health, administrative state.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A node is ejected for no longer than this at a time, unless the file says so: one that came back long ago should not
/// stand idle for an hour. Taste.
pub const EJECT_MAX: Duration = Duration::from_secs(300);

/// A machine, by its number in the [`super::Registry`]. Valid as long as the process; never stored or sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// The number, for arrays kept beside the registry.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Administrative state: what the operator wants of a node, whatever its health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[repr(u8)]
pub enum Admin {
    /// Everything.
    #[default]
    Ready = 0,
    /// Existing conversations only.
    Drain = 1,
    /// Nothing.
    Maint = 2,
}

/// Health as checks see it. Without a check it stays unknown, which serves like up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[repr(u8)]
pub enum Health {
    /// Nobody has looked.
    #[default]
    Unknown = 0,
    /// A check passed.
    Up = 1,
    /// Checks failed.
    Down = 2,
}

/// The living state of one machine. Shared by all workers and by every snapshot that names the machine.
#[derive(Debug)]
pub struct Live {
    id: NodeId,
    group: Arc<str>,
    name: Arc<str>,
    requests: AtomicU32,
    connections: AtomicU32,
    idle_connections: AtomicU32,
    conversations: AtomicU64,
    /// What became of its conversations.
    pub fates: super::Fates,
    last_chosen_ms: AtomicU64,
    health_since_ms: AtomicU64,
    ejected_until_ms: AtomicU64,
    /// Failures in a row.
    failed_in_row: AtomicU32,
    /// Ejections in a row, each for twice as long as the one before.
    ejections: AtomicU32,
    /// Requests since the process began.
    served: AtomicU64,
    /// Failures since the process began.
    failures: AtomicU64,
    /// Ejections since the process began.
    ejected: AtomicU64,
    /// Changes of health since the process began.
    health_changes: AtomicU64,
    health: AtomicU8,
    admin: AtomicU8,
    /// In how many node sets the machine stands, old snapshots included.
    sets: AtomicU32,
}

impl Live {
    pub(super) fn new(id: NodeId, group: Arc<str>, name: Arc<str>) -> Self {
        Self {
            id,
            group,
            name,
            requests: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            idle_connections: AtomicU32::new(0),
            conversations: AtomicU64::new(0),
            fates: super::Fates::default(),
            last_chosen_ms: AtomicU64::new(0),
            health_since_ms: AtomicU64::new(0),
            ejected_until_ms: AtomicU64::new(0),
            failed_in_row: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            served: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            ejected: AtomicU64::new(0),
            health_changes: AtomicU64::new(0),
            health: AtomicU8::new(Health::Unknown as u8),
            admin: AtomicU8::new(Admin::Ready as u8),
            sets: AtomicU32::new(0),
        }
    }

    /// Its number.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Its affinity group.
    pub fn group(&self) -> &Arc<str> {
        &self.group
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Requests it is working on for us.
    pub fn requests(&self) -> u32 {
        self.requests.load(Relaxed)
    }

    /// Open connections, idle ones included.
    pub fn connections(&self) -> u32 {
        self.connections.load(Relaxed)
    }

    /// Open connections that wait for a request.
    pub fn idle_connections(&self) -> u32 {
        self.idle_connections.load(Relaxed)
    }

    /// Requests it was given since the process began.
    pub fn served(&self) -> u64 {
        self.served.load(Relaxed)
    }

    /// Connects that failed, and exchanges that it did not finish, since the process began.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// How often it was ejected since the process began.
    pub fn ejected(&self) -> u64 {
        self.ejected.load(Relaxed)
    }

    /// How often its health changed since the process began.
    pub fn health_changes(&self) -> u64 {
        self.health_changes.load(Relaxed)
    }

    /// Conversations pinned to it (ended ones that linger are not counted).
    pub fn conversations(&self) -> u64 {
        self.conversations.load(Relaxed)
    }

    /// When it was last chosen for a request; 0 = never.
    pub fn last_chosen_ms(&self) -> u64 {
        self.last_chosen_ms.load(Relaxed)
    }

    /// Until when it gets no new conversation.
    pub fn ejected_until_ms(&self) -> u64 {
        self.ejected_until_ms.load(Relaxed)
    }

    /// Whether observation keeps new conversations away from it.
    pub fn is_ejected(&self, now_ms: u64) -> bool {
        now_ms < self.ejected_until_ms()
    }

    /// Health as checks see it.
    pub fn health(&self) -> Health {
        match self.health.load(Relaxed) {
            1 => Health::Up,
            2 => Health::Down,
            _ => Health::Unknown,
        }
    }

    /// Administrative state.
    pub fn admin(&self) -> Admin {
        match self.admin.load(Relaxed) {
            1 => Admin::Drain,
            2 => Admin::Maint,
            _ => Admin::Ready,
        }
    }

    /// Whether existing conversations may be served: not in maintenance, not down.
    pub fn serves(&self) -> bool {
        self.admin() != Admin::Maint && self.health() != Health::Down
    }

    /// Whether new conversations may begin here: ready, not down, not ejected.
    pub fn takes_new(&self, now_ms: u64) -> bool {
        self.admin() == Admin::Ready && self.health() != Health::Down && !self.is_ejected(now_ms)
    }

    /// Whether any node set, an old snapshot's included, names the machine.
    pub fn is_configured(&self) -> bool {
        self.sets.load(Relaxed) > 0
    }

    /// Sets what checks say. True if that is new.
    pub fn set_health(&self, health: Health) -> bool {
        self.health.swap(health as u8, Relaxed) != health as u8
    }

    /// Sets what checks say, as of `now_ms`. If that is new: for how many milliseconds the state before held; 0 for the first.
    pub fn set_health_at(&self, health: Health, now_ms: u64) -> Option<u64> {
        if !self.set_health(health) {
            return None;
        }
        self.health_changes.fetch_add(1, Relaxed);
        let before = self.health_since_ms.swap(now_ms, Relaxed);
        Some(if before == 0 { 0 } else { now_ms.saturating_sub(before) })
    }

    /// Sets what the operator wants. True if that is new.
    pub fn set_admin(&self, admin: Admin) -> bool {
        self.admin.swap(admin as u8, Relaxed) != admin as u8
    }

    /// Keeps new conversations away until then; 0 = no longer.
    pub fn eject_until(&self, ms: u64) {
        self.ejected_until_ms.store(ms, Relaxed);
    }

    /// Takes note that a connect failed, or that it broke off, hung or answered garbage: what no caller can bring about.
    /// If that ejects it, for how long: `eject` the first time, twice as long each further time in which nothing went
    /// well between, up to [`EJECT_MAX`].
    pub fn failed(&self, now_ms: u64, allowed: u32, eject: Duration) -> Option<Duration> {
        self.failures.fetch_add(1, Relaxed);
        let in_row = self.failed_in_row.fetch_add(1, Relaxed).saturating_add(1);
        if in_row < allowed || self.is_ejected(now_ms) {
            return None;
        }
        let before = self.ejections.fetch_add(1, Relaxed);
        let longest = EJECT_MAX.max(eject);
        let time = eject.saturating_mul(1u32.checked_shl(before).unwrap_or(u32::MAX)).min(longest);
        let until = now_ms.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        // Of workers that see it fail at once, one ejects it.
        let is_first = self
            .ejected_until_ms
            .fetch_update(Relaxed, Relaxed, |present| (present <= now_ms).then_some(until))
            .is_ok();
        if !is_first {
            self.ejections.fetch_sub(1, Relaxed);
            return None;
        }
        self.ejected.fetch_add(1, Relaxed);
        Some(time)
    }

    /// Takes note that it answered a request, whatever the answer says. A present ejection runs out by itself.
    pub fn went_well(&self) {
        // Nearly always there is nothing to write, and the line stays shared between workers.
        if self.failed_in_row.load(Relaxed) != 0 {
            self.failed_in_row.store(0, Relaxed);
        }
        if self.ejections.load(Relaxed) != 0 {
            self.ejections.store(0, Relaxed);
        }
    }

    /// Admits one request if fewer than `limit` are running (0 = no limit).
    pub fn try_enter(self: &Arc<Self>, limit: u32) -> Option<InFlight> {
        add_within(&self.requests, limit).then(|| self.admitted())
    }

    /// Admits one request whatever the limit.
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.requests.fetch_add(1, Relaxed);
        self.admitted()
    }

    fn admitted(self: &Arc<Self>) -> InFlight {
        self.served.fetch_add(1, Relaxed);
        InFlight { live: Arc::clone(self) }
    }

    /// Counts one connection if fewer than `limit` are open (0 = no limit).
    pub fn try_open(self: &Arc<Self>, limit: u32) -> Option<OpenConnection> {
        add_within(&self.connections, limit).then(|| OpenConnection { live: Arc::clone(self), idle: false })
    }

    pub(super) fn chosen(&self, now_ms: u64) {
        self.last_chosen_ms.store(now_ms, Relaxed);
    }

    pub(super) fn add_set(&self) {
        self.sets.fetch_add(1, Relaxed);
    }

    pub(super) fn remove_set(&self) {
        self.sets.fetch_sub(1, Relaxed);
    }

    /// Only the affinity table counts conversations.
    pub(crate) fn add_conversation(&self) {
        self.conversations.fetch_add(1, Relaxed);
    }

    /// Only the affinity table counts conversations.
    pub(crate) fn remove_conversation(&self) {
        self.conversations.fetch_sub(1, Relaxed);
    }
}

/// Adds one unless that would exceed `limit` (0 = no limit).
fn add_within(count: &AtomicU32, limit: u32) -> bool {
    if limit == 0 {
        count.fetch_add(1, Relaxed);
        return true;
    }
    count.fetch_update(Relaxed, Relaxed, |n| (n < limit).then_some(n + 1)).is_ok()
}

/// One request on a machine; dropping it counts it out.
#[derive(Debug)]
pub struct InFlight {
    live: Arc<Live>,
}

impl InFlight {
    /// The machine.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.live.requests.fetch_sub(1, Relaxed);
    }
}

/// One connection to a machine; dropping it counts it out.
#[derive(Debug)]
pub struct OpenConnection {
    live: Arc<Live>,
    idle: bool,
}

impl OpenConnection {
    /// The machine.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Says whether it waits for a request.
    pub fn set_idle(&mut self, idle: bool) {
        match (self.idle, idle) {
            (false, true) => self.live.idle_connections.fetch_add(1, Relaxed),
            (true, false) => self.live.idle_connections.fetch_sub(1, Relaxed),
            _ => return,
        };
        self.idle = idle;
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.set_idle(false);
        self.live.connections.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a row of events comes to, one second apart: `-` a failure, `+` a success; the seconds it is ejected for, or `.`.
    fn observe(events: &str) -> String {
        let live = Live::new(NodeId(0), "g".into(), "n".into());
        let told = events.chars().enumerate().map(|(second, event)| {
            let now = 1 + second as u64 * 1000;
            let ejected = match event {
                '-' => live.failed(now, 3, Duration::from_secs(2)),
                _ => {
                    live.went_well();
                    None
                }
            };
            ejected.map_or(".".to_owned(), |time| time.as_secs().to_string())
        });
        told.collect()
    }

    #[test]
    fn failures_in_a_row_eject_for_longer_and_longer_until_something_goes_well() {
        assert_eq!(observe("--+--+"), "......");
        assert_eq!(observe("---"), "..2");
        assert_eq!(observe("-----"), "..2.4", "when it is over, one more failure is enough");
        assert_eq!(observe("---------"), "..2.4...8");
        assert_eq!(observe("-----+--"), "..2.4...", "still ejected");
        assert_eq!(observe("-----+..---"), "..2.4.....2", "after a success it begins anew");
    }

    #[test]
    fn an_ejection_has_an_end() {
        let live = Live::new(NodeId(0), "g".into(), "n".into());
        let mut now = 1;
        for _ in 0..100 {
            let time = live.failed(now, 1, Duration::from_secs(10)).expect("it is ejected");
            assert!(time <= EJECT_MAX);
            now += time.as_millis() as u64;
        }
        assert_eq!(live.failed(now, 1, Duration::from_secs(10)), Some(EJECT_MAX));
        let far = live.failed(now + 400_000, 1, Duration::from_secs(900));
        assert_eq!(far, Some(Duration::from_secs(900)), "where the file says more, it holds");
    }
}
