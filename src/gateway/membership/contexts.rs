//! Applications that found nodes serve, as routes: behind the file's, the longer path first.
//!
//! A route to an application leads to the nodes that have it. So each set of nodes is an upstream of its own, which shares its
//! name, machines, counts and conversations with the one they were found for; it is in no list but that of the routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::model;
use crate::gateway::{Route, Upstream};
use crate::upstream::Registry;

/// The nodes of one application: by their places, and whether conversations may begin there.
type Serving = Vec<(usize, bool)>;

/// The routes to the applications that nodes of this upstream have. `hosts`: whether those for which they are there matter.
///
/// # Errors
/// None that the upstream itself would not have had: then there are no routes.
pub(in crate::gateway) fn routes(
    upstream: &Arc<Upstream>,
    all: &model::Config,
    registry: &Registry,
    hosts: bool,
) -> Vec<Route> {
    let mut made: BTreeMap<Serving, Arc<Upstream>> = BTreeMap::new();
    let mut routes = Vec::new();
    for ((path, host), serving) in applications(&upstream.config, hosts) {
        let target = made.get(&serving).cloned().or_else(|| {
            let nodes = serving.iter().map(|(index, takes_new)| node(&upstream.config.nodes[*index], *takes_new));
            let config = model::Upstream { nodes: nodes.collect(), ..upstream.config.clone() };
            let compiled = Upstream::compile(&config, all, registry, upstream.left(), Some(upstream));
            let compiled = Arc::new(compiled.ok()?);
            made.insert(serving, Arc::clone(&compiled));
            Some(compiled)
        });
        let Some(target) = target else { continue };
        let patterns = if path.is_empty() { vec![None] } else { vec![Some(path.clone()), Some(format!("{path}/*"))] };
        routes.extend(patterns.into_iter().map(|path| {
            let config = model::Route {
                host: host.clone(),
                path,
                upstream: upstream.config.name.clone(),
                ..model::Route::default()
            };
            Route::new(config, Arc::clone(&target))
        }));
    }
    routes
}

/// Which nodes have which application: by path and host, in the order in which they are looked for.
fn applications(config: &model::Upstream, by_host: bool) -> Vec<((String, Option<String>), Serving)> {
    let mut found: BTreeMap<(String, Option<String>), Serving> = BTreeMap::new();
    for (index, node) in config.nodes.iter().enumerate() {
        let contexts = node.found.iter().filter_map(|found| found.contexts.as_ref());
        for context in contexts.flat_map(|contexts| contexts.iter()) {
            let hosts: Vec<Option<String>> = match context.hosts.as_slice() {
                hosts if by_host && !hosts.is_empty() => hosts.iter().cloned().map(Some).collect(),
                _ => vec![None],
            };
            for host in hosts {
                let serving = found.entry((context.path.clone(), host)).or_default();
                match serving.last_mut() {
                    // Two virtual hosts of one node that count as one.
                    Some((last, takes_new)) if *last == index => *takes_new |= context.takes_new,
                    _ => serving.push((index, context.takes_new)),
                }
            }
        }
    }
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by(|((one, host), _), ((other, other_host), _)| {
        (other.len(), one, host.is_none(), host).cmp(&(one.len(), other, other_host.is_none(), other_host))
    });
    found
}

/// The node as one of those that have an application.
fn node(node: &model::Node, takes_new: bool) -> model::Node {
    let mut node = node.clone();
    if let Some(found) = &mut node.found {
        found.rests |= !takes_new;
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{Context, FoundNode};
    use crate::config::parse_nodes;

    fn found(name: &str, contexts: &[(&[&str], &str, bool)]) -> model::Node {
        let node = parse_nodes(&format!("[{{name: {name}, url: 'http://{name}'}}]"), "t").expect("a node").remove(0);
        let contexts = contexts.iter().map(|(hosts, path, takes_new)| Context {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            path: (*path).to_owned(),
            takes_new: *takes_new,
        });
        FoundNode { contexts: Some(contexts.collect()), ..node }.into_node(&"mcmp".into())
    }

    /// `host/path:nodes`, with `!` behind those where nothing begins.
    fn shown(nodes: Vec<model::Node>, by_host: bool) -> String {
        let config = model::Upstream { nodes, ..model::Upstream::new("u") };
        let name = |(index, takes_new): &(usize, bool)| {
            format!("{}{}", config.nodes[*index].name, if *takes_new { "" } else { "!" })
        };
        let one = |((path, host), serving): &((String, Option<String>), Serving)| {
            let nodes: Vec<_> = serving.iter().map(name).collect();
            format!("{}{path}:{}", host.as_deref().unwrap_or("*"), nodes.join(","))
        };
        applications(&config, by_host).iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn longer_paths_come_first_and_hosts_before_any() {
        let nodes = || {
            vec![
                found("a", &[(&["x"], "", true), (&["x", "y"], "/ws", true), (&[], "/ws/admin", true)]),
                found("b", &[(&["x"], "/ws", false), (&[], "/ws", true)]),
                FoundNode {
                    contexts: None,
                    ..parse_nodes("[{name: c, url: 'http://c'}]", "t").expect("one").remove(0)
                }
                .into_node(&"file".into()),
            ]
        };
        assert_eq!(shown(nodes(), true), "*/ws/admin:a x/ws:a,b! y/ws:a */ws:b x:a");
        assert_eq!(shown(nodes(), false), "*/ws/admin:a */ws:a,b *:a");
        assert_eq!(shown(vec![], true), "");
    }
}
