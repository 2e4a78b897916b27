//! All paths of a configuration as one automaton.
//!
//! Paths that begin alike share their nodes, and the steps of a node are found by the local name's number, so that the cost
//! of a tag does not grow with the number of paths: hundreds (all presets at once) cost what one costs.

use hashbrown::HashMap;

use super::{LocalTest, NameTest, Part, Path, Predicate, Step};

/// Number of a path in its [`Wanted`].
pub type PathId = u16;

/// What a [`super::Reader`] shall look for: built once per configuration, shared by all messages.
#[derive(Debug)]
pub struct Wanted {
    ids: HashMap<Path, PathId>,
    /// Local names that steps ask for, numbered.
    names: HashMap<Box<[u8]>, u32>,
    /// Which lengths they have, a bit each; the last one stands for all longer ones.
    lengths: u64,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    parts: [bool; 2],
    body_text: bool,
    operation: bool,
    fault: bool,
}

/// The root of the header paths.
const HEADER: u32 = 0;
/// The root of the body paths.
const BODY: u32 = 1;

/// A place in the paths: some steps are done.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Next steps that ask for exactly one local name: its number and the edge, sorted.
    named: Vec<(u32, u32)>,
    /// Next steps with a `*` in the local name.
    pub loose: Vec<u32>,
    /// The node behind a `**` that follows here.
    pub deep: Option<u32>,
    /// Whether this node stands behind a `**`, so that every element below leads to it again.
    pub stays: bool,
    /// Paths that end here with the element's text.
    pub text: Vec<PathId>,
    /// Paths that end here with an attribute.
    pub attributes: Vec<(NameTest, PathId)>,
}

/// A step from a node to the next one.
#[derive(Debug)]
pub(super) struct Edge {
    pub name: NameTest,
    pub predicates: Vec<Predicate>,
    pub target: u32,
}

impl Node {
    /// The edges that ask for exactly the name of this number.
    pub fn named(&self, name: u32) -> impl Iterator<Item = u32> + '_ {
        let first = self.named.partition_point(|&(number, _)| number < name);
        self.named[first..].iter().take_while(move |&&(number, _)| number == name).map(|&(_, edge)| edge)
    }

    /// Whether a path goes on below an element that led here.
    pub fn goes_on(&self) -> bool {
        self.stays || self.deep.is_some() || !self.named.is_empty() || !self.loose.is_empty()
    }
}

impl Default for Wanted {
    fn default() -> Self {
        Self::new()
    }
}

impl Wanted {
    /// Nothing wanted.
    pub fn new() -> Self {
        Self {
            ids: HashMap::new(),
            names: HashMap::new(),
            lengths: 0,
            nodes: vec![Node::default(), Node::default()],
            edges: Vec::new(),
            parts: [false; 2],
            body_text: false,
            operation: false,
            fault: false,
        }
    }

    /// Adds a path; an equal one is added once.
    ///
    /// Of more than 65,535 paths the further ones are never found; their number is `PathId::MAX`.
    pub fn add(&mut self, path: Path) -> PathId {
        if let Some(&id) = self.ids.get(&path) {
            return id;
        }
        let id = self.ids.len().min(PathId::MAX.into()) as PathId;
        if id == PathId::MAX {
            return id;
        }
        let mut node = match path.part {
            Part::Header => HEADER,
            Part::Body => BODY,
        };
        for step in &path.steps {
            node = match step {
                Step::AnyDepth => self.deep(node),
                Step::Element { name, predicates } => self.next(node, name, predicates),
            };
        }
        self.parts[usize::from(path.part == Part::Body)] = true;
        let end = &mut self.nodes[node as usize];
        match &path.attribute {
            Some(name) => end.attributes.push((name.clone(), id)),
            None => {
                end.text.push(id);
                self.body_text |= path.part == Part::Body;
            }
        }
        self.ids.insert(path, id);
        id
    }

    /// Also wants `wsa:Action` and the first Body child.
    pub fn want_operation(&mut self) {
        self.operation = true;
    }

    /// Also wants the text of a Fault.
    pub fn want_fault(&mut self) {
        self.fault = true;
    }

    /// Whether nothing of the message is wanted at all, so that it need not be read.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && !self.operation && !self.fault
    }

    /// Whether a path of this part is wanted.
    pub fn wants(&self, part: Part) -> bool {
        self.parts[usize::from(part == Part::Body)]
    }

    /// Whether `wsa:Action` and the first Body child are wanted.
    pub(super) fn operation(&self) -> bool {
        self.operation
    }

    /// Whether the text of a Fault is wanted.
    pub(super) fn fault(&self) -> bool {
        self.fault
    }

    /// Whether some body path asks for an element's text.
    pub(super) fn body_text(&self) -> bool {
        self.body_text
    }

    /// Where the paths of a part begin.
    pub(super) fn root(&self, part: Part) -> u32 {
        if part == Part::Header { HEADER } else { BODY }
    }

    pub(super) fn node(&self, node: u32) -> &Node {
        &self.nodes[node as usize]
    }

    pub(super) fn edge(&self, edge: u32) -> &Edge {
        &self.edges[edge as usize]
    }

    /// The number of a local name, if some step asks for it.
    pub(super) fn name(&self, local: &[u8]) -> Option<u32> {
        if self.lengths & length_bit(local) == 0 { None } else { self.names.get(local).copied() }
    }

    /// The node behind `**`.
    fn deep(&mut self, from: u32) -> u32 {
        if let Some(deep) = self.nodes[from as usize].deep {
            return deep;
        }
        let deep = self.nodes.len() as u32;
        self.nodes.push(Node { stays: true, ..Node::default() });
        self.nodes[from as usize].deep = Some(deep);
        deep
    }

    /// The node behind an element step.
    fn next(&mut self, from: u32, name: &NameTest, predicates: &[Predicate]) -> u32 {
        let node = &self.nodes[from as usize];
        let mut all = node.named.iter().map(|&(_, edge)| edge).chain(node.loose.iter().copied());
        let same = |&edge: &u32| {
            let edge = &self.edges[edge as usize];
            edge.name == *name && edge.predicates == predicates
        };
        if let Some(edge) = all.find(same) {
            return self.edges[edge as usize].target;
        }
        let target = self.nodes.len() as u32;
        let edge = self.edges.len() as u32;
        self.nodes.push(Node::default());
        self.edges.push(Edge { name: name.clone(), predicates: predicates.to_vec(), target });
        if let LocalTest::Is(local) = &name.local {
            let next = self.names.len() as u32;
            self.lengths |= length_bit(local.as_bytes());
            let number = *self.names.entry(local.as_bytes().into()).or_insert(next);
            let named = &mut self.nodes[from as usize].named;
            let at = named.partition_point(|&(before, _)| before <= number);
            named.insert(at, (number, edge));
        } else {
            self.nodes[from as usize].loose.push(edge);
        }
        target
    }
}

fn length_bit(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::Prefixes;

    fn path(part: Part, text: &str) -> Path {
        Path::parse(part, text, &Prefixes::new()).expect("a path")
    }

    #[test]
    fn an_equal_path_is_added_once() {
        let mut wanted = Wanted::new();
        assert!(wanted.is_empty());
        let first = wanted.add(path(Part::Header, "a/b"));
        assert_eq!(wanted.add(path(Part::Header, "a/b")), first);
        assert_ne!(wanted.add(path(Part::Body, "a/b")), first);
        assert!(!wanted.is_empty());
    }

    #[test]
    fn paths_that_begin_alike_share_their_nodes() {
        let mut wanted = Wanted::new();
        wanted.add(path(Part::Body, "a/b/c"));
        let nodes = wanted.nodes.len();
        wanted.add(path(Part::Body, "a/b/@d"));
        assert_eq!(wanted.nodes.len(), nodes);
        wanted.add(path(Part::Body, "a/x"));
        assert_eq!(wanted.nodes.len(), nodes + 1);
        wanted.add(path(Part::Body, "a[@t='1']/x"));
        assert_eq!(wanted.nodes.len(), nodes + 3);
    }

    #[test]
    fn parts_and_extras_are_known() {
        let mut wanted = Wanted::new();
        wanted.want_operation();
        assert!(!wanted.is_empty() && !wanted.wants(Part::Header) && !wanted.wants(Part::Body));
        wanted.add(path(Part::Header, "a"));
        assert!(wanted.wants(Part::Header) && !wanted.wants(Part::Body));
        wanted.add(path(Part::Body, "a/@b"));
        assert!(wanted.wants(Part::Body) && !wanted.body_text());
    }
}
