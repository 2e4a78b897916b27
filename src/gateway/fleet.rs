//! Joining the gateways that share a store: see [`crate::store::fleet`].

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Gateway;
use crate::affinity::Now;
use crate::config::model;
use crate::store::fleet::{Fleet, Options};
use crate::store::shared::Shared;
use crate::upstream::Admin;

/// The names of the fleet's state that say what operators want of a node begin so.
const NODE: &str = "node/";

impl Gateway {
    /// Joins: from now on this gateway agrees with all others that share this store. Once.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn join(self: &Arc<Self>, store: Arc<dyn Shared>, name: String, budget: Duration) -> std::io::Result<()> {
        let rejects = self.snapshot().config.affinity.on_store_down == model::OnStoreDown::Reject;
        let weak: Weak<Self> = Arc::downgrade(self);
        let at = self.clock();
        let hears = Box::new(move |name: &str, value: Option<&[u8]>| {
            if let Some(gateway) = weak.upgrade() {
                gateway.hear(name, value);
            }
        });
        let options = Options { name, budget, rejects };
        let fleet = Fleet::join(store, &self.affinity, options, Box::new(at), hears)?;
        let _ = self.fleet.set(fleet);
        Ok(())
    }

    /// The clock of the table, without the gateway.
    fn clock(&self) -> impl Fn() -> Now + Send + Sync + 'static {
        let (epoch, started) = (self.epoch, self.started);
        move || Now(epoch + started.elapsed().as_millis() as u64 + 1)
    }

    /// The name under which the fleet keeps what operators want of a node.
    pub fn state_name(group: &str, node: &str) -> String {
        format!("{NODE}{group}/{node}")
    }

    /// Another gateway has changed the fleet's state.
    fn hear(&self, name: &str, value: Option<&[u8]>) {
        let Some((group, node)) = name.strip_prefix(NODE).and_then(|name| name.rsplit_once('/')) else { return };
        let wanted = match value {
            Some(b"drain") => Admin::Drain,
            Some(b"maint") => Admin::Maint,
            Some(b"ready") => Admin::Ready,
            _ => return,
        };
        let live = self.registry.machine(group, node);
        let was = live.set_admin_at(wanted, self.now().0);
        if was != wanted {
            tracing::info!(node, group, before = ?was, after = ?wanted, "another gateway sets the state of a node");
        }
    }
}
