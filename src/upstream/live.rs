//! What changes about a machine while requests run: counts, health, administrative state.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::gate::{Gate, Rank};

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
    pub(super) requests: Gate,
    pub(super) connections: Gate,
    pub(super) way: super::way::Way,
    idle_connections: AtomicU32,
    conversations: AtomicU64,
    /// What became of its conversations.
    pub fates: super::Fates,
    last_chosen_ms: AtomicU64,
    health_since_ms: AtomicU64,
    /// When it was added, came up, or came back from maintenance; 0 = with the process.
    came_ms: AtomicU64,
    pub(super) ejected_until_ms: AtomicU64,
    /// Failures in a row.
    pub(super) failed_in_row: AtomicU32,
    /// Answers in a row that blame itself.
    pub(super) faults_in_row: AtomicU32,
    /// Ejections in a row, each for twice as long as the one before.
    pub(super) ejections: AtomicU32,
    /// Requests since the process began.
    served: AtomicU64,
    /// Failures since the process began.
    pub(super) failures: AtomicU64,
    /// Answers that blame itself, since the process began.
    pub(super) receiver_faults: AtomicU64,
    /// Ejections since the process began.
    pub(super) ejected: AtomicU64,
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
            requests: Gate::default(),
            connections: Gate::default(),
            way: super::way::Way::default(),
            idle_connections: AtomicU32::new(0),
            conversations: AtomicU64::new(0),
            fates: super::Fates::default(),
            last_chosen_ms: AtomicU64::new(0),
            health_since_ms: AtomicU64::new(0),
            came_ms: AtomicU64::new(0),
            ejected_until_ms: AtomicU64::new(0),
            failed_in_row: AtomicU32::new(0),
            faults_in_row: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            served: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            receiver_faults: AtomicU64::new(0),
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
        self.requests.count()
    }

    /// Requests of this rank that wait for a place here. New work that waits for any of several nodes counts at each.
    pub fn waiting(&self, rank: Rank) -> u32 {
        self.requests.waiting(rank)
    }

    /// Whether one more request would be admitted at once (0 = no limit).
    pub fn has_room(&self, limit: u32) -> bool {
        self.requests.has_room(limit)
    }

    /// Whether a request waits for a connection: then none is kept idle.
    pub fn wants_connection(&self) -> bool {
        self.connections.is_awaited()
    }

    /// Open connections, idle ones included.
    pub fn connections(&self) -> u32 {
        self.connections.count()
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

    /// Answers that put the blame on itself, since the process began.
    pub fn receiver_faults(&self) -> u64 {
        self.receiver_faults.load(Relaxed)
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
        let is_new = self.health.swap(health as u8, Relaxed) != health as u8;
        if is_new {
            self.requests.recall();
        }
        is_new
    }

    /// Sets what checks say, as of `now_ms`. If that is new: for how many milliseconds the state before held; 0 for the first.
    pub fn set_health_at(&self, health: Health, now_ms: u64) -> Option<u64> {
        let was = self.health();
        if !self.set_health(health) {
            return None;
        }
        self.health_changes.fetch_add(1, Relaxed);
        if was == Health::Down {
            self.comes(now_ms);
        }
        let before = self.health_since_ms.swap(now_ms, Relaxed);
        Some(if before == 0 { 0 } else { now_ms.saturating_sub(before) })
    }

    /// Sets what the operator wants. True if that is new.
    pub fn set_admin(&self, admin: Admin) -> bool {
        let is_new = self.admin.swap(admin as u8, Relaxed) != admin as u8;
        if is_new {
            self.requests.recall();
        }
        is_new
    }

    /// Sets what the operator wants, as of `now_ms`, and gives what it was. Who returns from maintenance starts slowly.
    pub fn set_admin_at(&self, admin: Admin, now_ms: u64) -> Admin {
        let before = self.admin();
        self.set_admin(admin);
        if before == Admin::Maint && admin != Admin::Maint {
            self.comes(now_ms);
        }
        before
    }

    /// Says that it was added, or is back: it gets new conversations slowly from now on, where that is configured.
    pub fn comes(&self, now_ms: u64) {
        self.came_ms.store(now_ms, Relaxed);
    }

    /// For how many milliseconds it has been there for new conversations.
    pub fn there_for_ms(&self, now_ms: u64) -> u64 {
        let came = self.came_ms.load(Relaxed).max(self.ejected_until_ms());
        // Nobody counts those who were there from the beginning as new.
        if came == 0 { u64::MAX } else { now_ms.saturating_sub(came) }
    }

    /// Keeps new conversations away until then; 0 = no longer.
    pub fn eject_until(&self, ms: u64) {
        self.ejected_until_ms.store(ms, Relaxed);
    }

    /// Admits one request if fewer than `limit` are running (0 = no limit) and nobody waits.
    pub fn try_enter(self: &Arc<Self>, limit: u32) -> Option<InFlight> {
        self.requests.try_enter(limit).then(|| self.admitted())
    }

    /// Admits one request whatever the limit.
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.requests.enter();
        self.admitted()
    }

    /// One request that its gate has counted in.
    pub(super) fn admitted(self: &Arc<Self>) -> InFlight {
        self.served.fetch_add(1, Relaxed);
        InFlight { live: Arc::clone(self) }
    }

    /// Counts one connection if fewer than `limit` are open (0 = no limit) and nobody waits for one.
    pub fn try_open(self: &Arc<Self>, limit: u32) -> Option<OpenConnection> {
        self.connections.try_enter(limit).then(|| self.opened())
    }

    /// One connection that its gate has counted in.
    pub(super) fn opened(self: &Arc<Self>) -> OpenConnection {
        OpenConnection { live: Arc::clone(self), idle: false }
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
        self.live.requests.leave();
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

    /// It waits for a request from now on, if fewer than `limit` do. False: it is to be closed.
    pub fn rest(&mut self, limit: u32) -> bool {
        let count = &self.live.idle_connections;
        self.idle =
            self.idle || count.fetch_update(Relaxed, Relaxed, |idle| (idle < limit).then_some(idle + 1)).is_ok();
        self.idle
    }

    /// It carries a request.
    pub fn use_it(&mut self) {
        if std::mem::take(&mut self.idle) {
            self.live.idle_connections.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.use_it();
        self.live.connections.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_connections_rest_than_may() {
        let live = Arc::new(Live::new(NodeId(0), "g".into(), "n".into()));
        let mut open: Vec<_> = (0..3).map(|_| live.try_open(3).expect("room")).collect();
        assert!(live.try_open(3).is_none());
        assert_eq!(open.iter_mut().map(|one| one.rest(2)).collect::<Vec<_>>(), [true, true, false]);
        open[0].use_it();
        assert!(open[2].rest(2) && !open[0].rest(2));
        drop(open);
        assert_eq!((live.connections(), live.idle_connections()), (0, 0));
    }
}
