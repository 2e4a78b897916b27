//! Active checks: each node of an upstream with `health.check` is asked, again and again, whether it serves.
//!
//! One task watches one machine by one check, on the runtime of the control plane; no request ever waits for it. The
//! tasks are those of the present configuration: a reload ends them and begins anew, from the states known. What a row
//! of answers comes to is decided in [`crate::upstream::Checked`].

mod answer;
mod exchange;
mod plan;
mod verdict;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use self::plan::Watch;
use crate::gateway::Gateway;
use crate::upstream::{Checked, Health, Live, together};

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

/// Watches the nodes of the present configuration, and of each that follows. Never returns; dropping it ends all probes.
pub async fn run(gateway: Arc<Gateway>) {
    let mut changes = gateway.changes();
    loop {
        changes.mark_unchanged();
        let mut tasks = begin(&gateway);
        tokio::select! {
            // The sender lives in the gateway, which lives as long as this.
            _ = changes.changed() => {}
            () = async { while tasks.join_next().await.is_some() {} std::future::pending().await } => {}
        }
    }
}

/// Starts the tasks for the present snapshot. Machines without a check become unknown.
fn begin(gateway: &Arc<Gateway>) -> JoinSet<()> {
    let snapshot = gateway.snapshot();
    let mut tasks = JoinSet::new();
    let plan = plan::plan(&snapshot);
    for live in gateway.registry.machines() {
        if !plan.iter().any(|(watched, _)| watched.id() == live.id()) {
            live.set_health_at(Health::Unknown, gateway.now().0);
        }
    }
    for (live, watches) in plan {
        let known = live.health();
        let checks = watches.iter().map(|watch| Checked::new(watch.check.fall, watch.check.rise, known)).collect();
        let machine = Arc::new(Machine { live, checks: Mutex::new(checks) });
        for (index, watch) in watches.into_iter().enumerate() {
            tasks.spawn(keep_asking(Arc::clone(gateway), Arc::clone(&machine), index, watch));
        }
    }
    tasks
}

/// Asks one node by one check for as long as the configuration holds.
async fn keep_asking(gateway: Arc<Gateway>, machine: Arc<Machine>, index: usize, watch: Watch) {
    // The first probe is made at once, so that a node is known soon. The second one comes after half an interval to a whole
    // one: from then on probes of many nodes are spread, and those of several gateways do not fall together.
    let mut next = Instant::now() + watch.check.interval.mul_f64(0.5 + random_share() / 2.0);
    loop {
        let result = match timeout(watch.check.timeout, exchange::probe(&watch)).await {
            Ok(result) => result,
            Err(_) => Err(Failed::Timeout),
        };
        take(&gateway, &machine, index, &watch, result);
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
