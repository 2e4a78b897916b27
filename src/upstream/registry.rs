//! Names to machines, for the life of the process.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::{Live, NodeId, UpstreamEvents};

/// Knows every machine that any configuration of this process has named.
///
/// Equal names in one affinity group are one machine, whatever the address: a node's new `url` takes its pins along. That is
/// so for nodes that somebody wrote down. Of a node that was found the name alone says little, because a pod that comes back
/// under its name is another one: its machine is known by its name, a space and its identity ([`Registry::found`]).
/// Nothing is ever removed, so an id stays valid; a machine costs about 200 bytes.
#[derive(Debug, Default)]
pub struct Registry {
    machines: RwLock<Machines>,
    /// By the name of the upstream.
    events: RwLock<HashMap<String, Arc<UpstreamEvents>>>,
}

/// Affinity group and full name.
type Name = (Arc<str>, Arc<str>);

#[derive(Debug, Default)]
struct Machines {
    by_name: HashMap<Name, NodeId>,
    by_id: Vec<Arc<Live>>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// The machine of this [full name](Live::full_name); made if it is new.
    pub fn machine(&self, group: &str, name: &str) -> Arc<Live> {
        let mut machines = self.machines.write();
        let key: Name = (Arc::from(group), Arc::from(name));
        if let Some(id) = machines.by_name.get(&key) {
            return Arc::clone(&machines.by_id[id.index()]);
        }
        let id = NodeId(machines.by_id.len() as u32);
        let live = Arc::new(Live::new(id, Arc::clone(&key.0), Arc::clone(&key.1)));
        machines.by_name.insert(key, id);
        machines.by_id.push(Arc::clone(&live));
        live
    }

    /// The machine of a node that was found: the same as before only if its identity is.
    pub fn found(&self, group: &str, name: &str, identity: &str) -> Arc<Live> {
        self.machine(group, &format!("{name} {identity}"))
    }

    /// The machine of a node that is written down and listens at `url`. A node of this name that was found there is the same,
    /// and so will one be that is found there when the node is written down no longer.
    pub fn written(&self, group: &str, name: &str, url: &str) -> Arc<Live> {
        let key: Name = (Arc::from(group), Arc::from(name));
        let found: Name = (Arc::from(group), Arc::from(format!("{name} {url}")));
        {
            let mut machines = self.machines.write();
            if !machines.by_name.contains_key(&key)
                && let Some(id) = machines.by_name.get(&found).copied()
            {
                machines.by_name.insert(key, id);
            }
        }
        let live = self.machine(group, name);
        let mut machines = self.machines.write();
        if machines.by_name.get(&found) != Some(&live.id()) {
            // It has moved, so whatever is found at its old address is another one.
            let is_old = |name: &Name| name.1.starts_with(&*format!("{} ", live.name())) && name.1 != *live.full_name();
            machines.by_name.retain(|name, id| *id != live.id() || !is_old(name));
            machines.by_name.insert(found, live.id());
        }
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

    #[test]
    fn a_found_node_is_the_same_if_its_identity_is() {
        let registry = Registry::new();
        let a = registry.found("g", "n1", "http://a:1");
        assert_eq!((&**a.name(), &**a.full_name()), ("n1", "n1 http://a:1"));
        assert_eq!(a.id(), registry.found("g", "n1", "http://a:1").id());
        assert_ne!(a.id(), registry.found("g", "n1", "http://b:1").id());
        assert_eq!(a.id(), registry.machine("g", a.full_name()).id(), "as stores name it");
    }

    #[test]
    fn a_node_that_is_written_down_is_the_one_found_there() {
        let registry = Registry::new();
        let found = registry.found("g", "n1", "http://a:1");
        assert_eq!(registry.written("g", "n1", "http://a:1").id(), found.id());
        let written = registry.written("g", "n2", "http://b:1");
        assert_eq!(registry.found("g", "n2", "http://b:1").id(), written.id());
        assert_eq!(registry.written("g", "n2", "http://c:1").id(), written.id(), "its new url takes its pins along");
        assert_ne!(registry.found("g", "n2", "http://b:1").id(), written.id());
        assert_eq!(registry.found("g", "n2", "http://c:1").id(), written.id());
    }
}
