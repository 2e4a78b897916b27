//! Names to machines, for the life of the process.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::{Live, NodeId, UpstreamEvents};

/// Knows every machine that any configuration of this process has named.
///
/// Equal names in one affinity group are one machine, whatever the address: a node's new `url` takes its pins along.
/// Nothing is ever removed, so an id stays valid; a machine costs about 200 bytes.
#[derive(Debug, Default)]
pub struct Registry {
    machines: RwLock<Machines>,
    /// By the name of the upstream.
    events: RwLock<HashMap<String, Arc<UpstreamEvents>>>,
}

#[derive(Debug, Default)]
struct Machines {
    by_name: HashMap<(Arc<str>, Arc<str>), NodeId>,
    by_id: Vec<Arc<Live>>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// The machine of this name; made if it is new.
    pub fn machine(&self, group: &str, name: &str) -> Arc<Live> {
        let mut machines = self.machines.write();
        let key = (Arc::from(group), Arc::from(name));
        if let Some(id) = machines.by_name.get(&key) {
            return Arc::clone(&machines.by_id[id.index()]);
        }
        let id = NodeId(machines.by_id.len() as u32);
        let live = Arc::new(Live::new(id, Arc::clone(&key.0), Arc::clone(&key.1)));
        machines.by_name.insert(key, id);
        machines.by_id.push(Arc::clone(&live));
        live
    }

    /// What is counted of the upstream of this name; made if it is new.
    pub fn events(&self, upstream: &str) -> Arc<UpstreamEvents> {
        Arc::clone(self.events.write().entry(upstream.to_owned()).or_default())
    }

    /// The machine of this id.
    pub fn live(&self, id: NodeId) -> Option<Arc<Live>> {
        self.machines.read().by_id.get(id.index()).cloned()
    }

    /// The name of a machine.
    pub fn name(&self, id: NodeId) -> Option<Arc<str>> {
        self.machines.read().by_id.get(id.index()).map(|live| Arc::clone(live.name()))
    }

    /// All machines, in the order of their ids.
    pub fn machines(&self) -> Vec<Arc<Live>> {
        self.machines.read().by_id.clone()
    }

    /// Runs `f` on a machine without cloning it.
    pub(crate) fn with<R>(&self, id: NodeId, f: impl FnOnce(&Live) -> R) -> Option<R> {
        self.machines.read().by_id.get(id.index()).map(|live| f(live))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_in_one_group_are_one_machine() {
        let registry = Registry::new();
        let a = registry.machine("orders", "n1");
        assert_eq!(a.id(), registry.machine("orders", "n1").id());
        assert_ne!(a.id(), registry.machine("orders", "n2").id());
        assert_ne!(a.id(), registry.machine("billing", "n1").id());
        assert_eq!(registry.name(a.id()).as_deref(), Some("n1"));
    }
}
