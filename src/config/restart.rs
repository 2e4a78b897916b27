//! What a reload cannot change.

use super::model::Config;

/// A key that needs a restart, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeedsRestart {
    /// The key.
    pub key: &'static str,
    /// What keeps it from changing, and the way out.
    pub reason: &'static str,
}

/// What differs between two configurations and cannot change while the gateway runs; empty = a reload may go on.
pub fn needs_restart(old: &Config, new: &Config) -> Vec<NeedsRestart> {
    let mut found = Vec::new();
    let mut check = |changed: bool, key: &'static str, reason: &'static str| {
        if changed {
            found.push(NeedsRestart { key, reason });
        }
    };
    check(
        old.workers != new.workers,
        "workers",
        "workers hold their connections and cannot be made or ended while serving; restart to change their number",
    );
    check(
        old.affinity.store != new.affinity.store,
        "affinity.store",
        "pins would stay behind in the old store; restart to change it",
    );
    check(
        old.affinity.fingerprint_key != new.affinity.fingerprint_key,
        "affinity.fingerprint_key",
        "every pin known so far would be forgotten; restart to change it",
    );
    check(
        old.admin.address != new.admin.address,
        "admin.address",
        "it is listened on from the start to the end; restart to change it",
    );
    check(
        old.access_log != new.access_log,
        "access_log",
        "it is open from the start to the end; restart to change it, or send SIGUSR1 to open the same file anew",
    );
    check(old.audit != new.audit, "audit", "it is one stream from the start to the end; restart to change it");
    found
}
