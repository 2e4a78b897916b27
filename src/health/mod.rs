//! Active checks: each node of an upstream with `health.check` is asked, again and again, whether it serves.
//!
//! One task watches one machine by one check, on the runtime of the control plane; no request ever waits for it. The
//! tasks are those of the present configuration: where a reload, or nodes that come and go, leave the checks of a machine as
//! they are, its tasks go on; else they begin anew, from the state known. What a row
//! of answers comes to is decided in [`crate::upstream::Checked`].

mod answer;
mod exchange;
mod plan;
mod verdict;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use self::plan::Watch;
use crate::gateway::Gateway;
use crate::upstream::{Checked, Health, Live, NodeId, together};

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("no answer in time")]
    Timeout,
    #[error("the node's name stands for no address")]
    NoAddress,
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Answer(#[from] answer::Broken),
    #[error("status {0}")]
    Status(u16),
    #[error("a Fault: {0}")]
    Fault(String),
    #[error("the answer is no SOAP message")]
    NotSoap,
    #[error("nothing in the answer is {0}")]
    Unexpected(String),
}

/// One machine, and what each check of it has come to.
#[derive(Debug)]
struct Machine {
    live: Arc<Live>,
    checks: Mutex<Vec<Checked>>,
}

/// The tasks that watch one machine, and by which checks. They end with it.
struct Watched {
    watches: Arc<[Watch]>,
    _tasks: JoinSet<()>,
}

/// Watches the nodes of the present configuration, and of each that follows. Never returns; dropping it ends all probes.
pub async fn run(gateway: Arc<Gateway>) {
    let mut changes = gateway.changes();
    let mut watched = HashMap::new();
    loop {
        changes.mark_unchanged();
        watched = begin(&gateway, watched);
        // The sender lives in the gateway, which lives as long as this.
        let _ = changes.changed().await;
    }
}

/// Starts the tasks for the present snapshot, or lets them go on. Machines without a check become unknown.
fn begin(gateway: &Arc<Gateway>, mut before: HashMap<NodeId, Watched>) -> HashMap<NodeId, Watched> {
    let snapshot = gateway.snapshot();
    let mut watched = HashMap::new();
    for (live, watches) in plan::plan(&snapshot) {
        let id = live.id();
        let same = before.remove(&id).filter(|one| plan::are_same(&one.watches, &watches));
        watched.insert(id, same.unwrap_or_else(|| watch(gateway, live, watches.into())));
    }
    for live in gateway.registry.machines() {
        if !watched.contains_key(&live.id()) {
            live.set_health_at(Health::Unknown, gateway.now().0);
        }
    }
    watched
}

/// Starts the tasks of one machine.
fn watch(gateway: &Arc<Gateway>, live: Arc<Live>, watches: Arc<[Watch]>) -> Watched {
    let known = live.health();
    let checks = watches.iter().map(|watch| Checked::new(watch.check.fall, watch.check.rise, known)).collect();
    let machine = Arc::new(Machine { live, checks: Mutex::new(checks) });
    let mut tasks = JoinSet::new();
    for index in 0..watches.len() {
        tasks.spawn(keep_asking(Arc::clone(gateway), Arc::clone(&machine), index, Arc::clone(&watches)));
    }
    Watched { watches, _tasks: tasks }
}

/// Asks one node by one check for as long as the configuration holds.
async fn keep_asking(gateway: Arc<Gateway>, machine: Arc<Machine>, index: usize, watches: Arc<[Watch]>) {
    let watch = &watches[index];
    // The first probe is made at once, so that a node is known soon. The second one comes after half an interval to a whole
    // one: from then on probes of many nodes are spread, and those of several gateways do not fall together.
    let mut next = Instant::now() + watch.check.interval.mul_f64(0.5 + random_share() / 2.0);
    loop {
        let result = match timeout(watch.check.timeout, exchange::probe(watch)).await {
            Ok(result) => result,
            Err(_) => Err(Failed::Timeout),
        };
        take(&gateway, &machine, index, watch, result);
        sleep_until(next).await;
        next = (next + watch.check.interval).max(Instant::now());
    }
}

/// Counts one answer, and tells what changes by it.
fn take(gateway: &Gateway, machine: &Machine, index: usize, watch: &Watch, result: Result<(), Failed>) {
    let mut checks = machine.checks.lock();
    let is_new = checks[index].take(result.is_ok());
    let node = &**machine.live.name();
    let upstream = watch.upstream.as_str();
    if let Err(error) = &result {
        tracing::debug!(node, upstream, %error, "a check failed");
    }
    if !is_new {
        return;
    }
    let before = machine.live.health();
    let health = together(checks.iter().map(Checked::health));
    let Some(lasted) = machine.live.set_health_at(health, gateway.now().0) else { return };
    let lasted = std::time::Duration::from_millis(lasted);
    match (before, health) {
        (Health::Down, Health::Up) => tracing::info!(node, upstream, downtime = ?lasted, "node is up"),
        (_, Health::Down) => {
            let why = result.err().map(|error| error.to_string()).unwrap_or_default();
            tracing::warn!(node, upstream, why, "node is down");
        }
        _ => tracing::info!(node, upstream, ?health, "node is known"),
    }
}

/// From 0 to 1; the middle where the system has no random numbers.
fn random_share() -> f64 {
    let mut bytes = [0; 2];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u16::from_ne_bytes(bytes)) / f64::from(u16::MAX),
        Err(_) => 0.5,
    }
}
