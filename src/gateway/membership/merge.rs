//! What several sources tell of one upstream, as one list of nodes: a function of values.

use std::collections::HashSet;
use std::sync::Arc;

use crate::config::model::{FoundNode, Node};
use crate::config::sections;

/// What one source tells at a time: all nodes it knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The nodes.
    pub nodes: Vec<FoundNode>,
    /// Whether a node that is no longer among them has taken its leave itself. Else it was only lost sight of, which must not
    /// leave an upstream without nodes.
    pub is_word: bool,
}

impl Listing {
    /// What a source sees, be it mistaken.
    pub fn seen(nodes: Vec<FoundNode>) -> Self {
        Self { nodes, is_word: false }
    }

    /// What the nodes say themselves.
    pub fn said(nodes: Vec<FoundNode>) -> Self {
        Self { nodes, is_word: true }
    }
}

/// The nodes of an upstream, and what is wrong with what its sources tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Merged {
    /// Those of the file first, then those found, by source.
    pub nodes: Vec<Node>,
    /// What was left out, each as a sentence.
    pub conflicts: Vec<String>,
    /// Labels of sources that lost sight of their nodes, which stay because there are no others.
    pub kept: Vec<Arc<str>>,
}

/// Puts together the nodes of the file and those that sources tell of, in the order of the file. `None`: the source has not
/// told anything yet. `before`: the nodes of the upstream so far.
///
/// The first word of a name or an address holds, so the file's does. Nodes that a source lost sight of stay only where
/// nothing else is left.
pub fn merge(written: &[Node], sources: &[(Arc<str>, Option<&Listing>)], before: &[Node]) -> Merged {
    let mut merged = Merged { nodes: written.to_vec(), ..Merged::default() };
    let mut names: HashSet<String> = written.iter().map(|node| node.name.clone()).collect();
    let mut urls: HashSet<String> = written.iter().map(|node| node.url.to_string()).collect();
    let mut take = |node: Node, merged: &mut Merged| {
        let source = node.found.as_ref().map_or("", |found| &*found.source);
        let url = node.url.to_string();
        let conflict = if let Err(why) = sections::name(&node.name) {
            format!("{source} tells of a node whose name cannot be used: {why}")
        } else if names.contains(&node.name) {
            format!("{source} tells of a node {}, but another one has that name already", node.name)
        } else if urls.contains(&url) {
            format!("{source} tells of a node {} at {url}, but another one listens there already", node.name)
        } else {
            names.insert(node.name.clone());
            urls.insert(url);
            merged.nodes.push(node);
            return;
        };
        merged.conflicts.push(conflict);
    };
    let mut lost = Vec::new();
    for (source, listing) in sources {
        let was = |node: &&Node| node.found.as_ref().is_some_and(|found| found.source == *source);
        let was = before.iter().filter(was).cloned();
        let Some(listing) = listing else {
            // It will tell soon; a reload must not take its nodes away meanwhile.
            was.for_each(|node| take(node, &mut merged));
            continue;
        };
        if !listing.is_word && listing.nodes.is_empty() {
            lost.push((Arc::clone(source), was.collect::<Vec<_>>()));
        }
        for node in &listing.nodes {
            take(node.clone().into_node(source), &mut merged);
        }
    }
    if merged.nodes.is_empty() {
        for (source, nodes) in lost.into_iter().filter(|(_, nodes)| !nodes.is_empty()) {
            nodes.into_iter().for_each(|node| take(node, &mut merged));
            merged.kept.push(source);
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_nodes;

    /// `name@host` of each, or `name@host=identity`.
    fn nodes(text: &str) -> Vec<FoundNode> {
        let one = |word: &str| {
            let (name, rest) = word.split_once('@').expect("name@host");
            let (host, identity) = rest.split_once('=').map_or((rest, None), |(host, id)| (host, Some(id)));
            let text = format!("[{{name: '{name}', url: 'http://{host}'}}]");
            let mut node = parse_nodes(&text, "t").expect("a node").remove(0);
            node.identity = identity.map(str::to_owned);
            node
        };
        text.split_whitespace().map(one).collect()
    }

    fn written(text: &str) -> Vec<Node> {
        let unfound = |node: FoundNode| Node { found: None, ..node.into_node(&Arc::from("")) };
        nodes(text).into_iter().map(unfound).collect()
    }

    /// `name@host(source)` of the nodes, then `!` and how many conflicts, then `kept` and by which sources.
    fn shown(merged: &Merged) -> String {
        let node = |node: &Node| {
            let source = node.found.as_ref().map_or(String::new(), |found| format!("({})", found.source));
            format!("{}@{}{source}", node.name, node.url.host)
        };
        let mut words: Vec<_> = merged.nodes.iter().map(node).collect();
        words.extend((!merged.conflicts.is_empty()).then(|| format!("!{}", merged.conflicts.len())));
        words.extend(merged.kept.iter().map(|source| format!("kept:{source}")));
        words.join(" ")
    }

    #[test]
    fn sources_add_to_the_file_and_the_first_word_holds() {
        for (file, one, two, expected) in [
            ("a@h1", "b@h2", "c@h3", "a@h1 b@h2(one) c@h3(two)"),
            ("a@h1", "a@h9", "", "a@h1 !1"),
            ("a@h1", "b@h1", "", "a@h1 !1"),
            ("", "a@h1", "a@h2", "a@h1(one) !1"),
            ("", "a@h1", "b@h1 c@h3", "a@h1(one) c@h3(two) !1"),
            ("", "", "", ""),
        ] {
            let (one, two) = (Listing::seen(nodes(one)), Listing::seen(nodes(two)));
            let sources = [("one".into(), Some(&one)), ("two".into(), Some(&two))];
            assert_eq!(shown(&merge(&written(file), &sources, &[])), expected);
        }
    }

    /// What follows when source `one` told `before`, and then tells `now`; `-`: nothing yet.
    fn follows(file: &str, before: &str, now: &str, is_word: bool) -> String {
        let first = Listing::seen(nodes(before));
        let was = merge(&written(file), &[("one".into(), Some(&first))], &[]);
        let listing = (now != "-").then(|| Listing { nodes: nodes(now), is_word });
        shown(&merge(&written(file), &[("one".into(), listing.as_ref())], &was.nodes))
    }

    #[test]
    fn a_source_that_loses_sight_of_its_nodes_empties_no_upstream() {
        for (file, before, now, is_word, expected) in [
            ("", "a@h1 b@h2", "b@h2", false, "b@h2(one)"),
            ("", "a@h1 b@h2", "", false, "a@h1(one) b@h2(one) kept:one"),
            ("c@h3", "a@h1 b@h2", "", false, "c@h3"),
            ("", "a@h1 b@h2", "", true, ""),
            ("", "a@h1", "-", false, "a@h1(one)"),
            ("c@h3", "a@h1", "-", false, "c@h3 a@h1(one)"),
            ("", "a@h1", "a@h2", false, "a@h2(one)"),
        ] {
            assert_eq!(follows(file, before, now, is_word), expected, "{file} {before} {now}");
        }
    }

    #[test]
    fn the_identity_of_a_node_is_its_url_unless_its_source_says_another() {
        let listing = Listing::seen(nodes("a@h1 b@h2=pod-7"));
        let merged = merge(&[], &[("one".into(), Some(&listing))], &[]);
        let identities: Vec<_> =
            merged.nodes.iter().flat_map(|node| &node.found).map(|found| &*found.identity).collect();
        assert_eq!(identities, ["http://h1:80", "pod-7"]);
    }

    #[test]
    fn a_name_that_nobody_could_write_is_left_out() {
        let mut listing = Listing::seen(nodes("a@h1 b@h2"));
        listing.nodes[0].name = "a b".to_owned();
        assert_eq!(shown(&merge(&[], &[("one".into(), Some(&listing))], &[])), "b@h2(one) !1");
    }
}
