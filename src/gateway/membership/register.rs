//! Nodes that announced themselves: the one place that knows them. No clock: a time to live ends at a time.

use std::collections::BTreeMap;

use super::Listing;
use crate::affinity::Now;
use crate::config::model::FoundNode;

/// The label of the source that these nodes are.
pub const REGISTER: &str = "register";

/// All nodes that announced themselves, by upstream and name.
#[derive(Debug, Default)]
pub struct Registrations(BTreeMap<(String, String), Registration>);

/// A node that announced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The node.
    pub node: FoundNode,
    /// Until when it is there unless it announces itself again.
    pub until: Now,
}

impl Registrations {
    /// A node is there until then. What it was before, if it was there.
    pub fn announce(&mut self, upstream: &str, registration: Registration) -> Option<Registration> {
        self.0.insert((upstream.to_owned(), registration.node.name.clone()), registration)
    }

    /// A node takes its leave. `None`: it was not there.
    pub fn leave(&mut self, upstream: &str, name: &str) -> Option<Registration> {
        self.0.remove(&(upstream.to_owned(), name.to_owned()))
    }

    /// Removes those whose time is over, and gives their upstreams and names.
    pub fn expire(&mut self, now: Now) -> Vec<(String, String)> {
        let is_over = |(_, registration): &(&(String, String), &Registration)| registration.until <= now;
        let over: Vec<_> = self.0.iter().filter(is_over).map(|(name, _)| name.clone()).collect();
        over.iter().for_each(|name| drop(self.0.remove(name)));
        over
    }

    /// All nodes of an upstream. `is_word`: the change before it was a leave.
    pub fn listing(&self, upstream: &str, is_word: bool) -> Listing {
        let nodes = self.each().filter(|(of, _)| *of == upstream).map(|(_, registration)| registration.node.clone());
        Listing { nodes: nodes.collect(), is_word }
    }

    /// All of them, with their upstreams.
    pub fn each(&self) -> impl Iterator<Item = (&str, &Registration)> {
        self.0.iter().map(|((upstream, _), registration)| (upstream.as_str(), registration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_nodes;

    fn registration(name: &str, until: u64) -> Registration {
        let node = parse_nodes(&format!("[{{name: {name}, url: 'http://{name}'}}]"), "t").expect("a node").remove(0);
        Registration { node, until: Now(until) }
    }

    #[test]
    fn a_node_is_there_until_its_time_is_over_or_it_leaves() {
        let mut all = Registrations::default();
        for (name, until) in [("a", 10), ("b", 20), ("c", 30)] {
            assert_eq!(all.announce("u", registration(name, until)), None);
        }
        let names = |all: &Registrations| {
            all.listing("u", false).nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(all.expire(Now(9)), []);
        assert_eq!(all.expire(Now(10)), [("u".to_owned(), "a".to_owned())]);
        assert_eq!(names(&all), "b c");
        assert!(all.announce("u", registration("b", 100)).is_some(), "renewed");
        assert!(all.leave("u", "c").is_some() && all.leave("u", "c").is_none() && all.leave("v", "b").is_none());
        assert_eq!(all.expire(Now(99)), []);
        assert_eq!(names(&all), "b");
        assert_eq!(all.listing("v", true).nodes, []);
    }
}
