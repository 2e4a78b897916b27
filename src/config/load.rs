//! From files to a checked configuration.

use std::path::{Path, PathBuf};

use super::check;
use super::include::Includer;
use super::model::{Config, FoundNode, NodesShareSessions, Sticky};
use super::places::{Places, Problem};
use super::read::{Cx, Section, Written};
use super::sections;
use super::show::Shown;
use super::tree::{self, Environment, Node, Value};
use super::warn;
use crate::soap::Prefixes;

/// A configuration without problems, and what else is known about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is allowed, but perhaps not meant.
    pub warnings: Vec<Problem>,
    /// All files that were read, the first one first; secrets and certificates not included.
    pub files: Vec<PathBuf>,
    /// Certificates, secrets and other files that it names and that are read.
    pub named_files: Vec<PathBuf>,
    /// What is included by names with `*`.
    pub patterns: Vec<PathBuf>,
    /// The places that the configuration's marks stand for.
    pub places: Places,
    /// The configuration with all defaults, to be shown.
    pub effective: Shown,
    /// What the files say that is not the default.
    pub written: Vec<Written>,
}

/// How many problems are told at most; a file with more is mostly one mistake.
const PROBLEMS_MAX: usize = 200;

impl Config {
    /// Reads a file and all that it includes, with the variables of this process.
    ///
    /// # Errors
    /// Every problem, sorted by place.
    pub fn load(path: impl AsRef<Path>) -> Result<Loaded, Vec<Problem>> {
        Self::load_with(path, Some(&variable))
    }

    /// As [`Config::load`], with other variables.
    ///
    /// # Errors
    /// Every problem, sorted by place.
    pub fn load_with(path: impl AsRef<Path>, environment: Environment) -> Result<Loaded, Vec<Problem>> {
        read(environment, |includer| includer.file(path.as_ref()))
    }

    /// Reads a text as if it were a file of this name.
    ///
    /// # Errors
    /// Every problem, sorted by place.
    pub fn parse(text: &str, name: &str) -> Result<Loaded, Vec<Problem>> {
        Self::parse_with(text, name, Some(&variable))
    }

    /// As [`Config::parse`], with other variables.
    ///
    /// # Errors
    /// Every problem, sorted by place.
    pub fn parse_with(text: &str, name: &str, environment: Environment) -> Result<Loaded, Vec<Problem>> {
        read(environment, |includer| includer.text(text, Path::new(name), 0))
    }
}

/// Reads the `sticky` section of an upstream by itself: what sample conversations are tested with.
///
/// # Errors
/// Every problem, sorted by place.
pub fn parse_sticky(text: &str, name: &str) -> Result<Sticky, Vec<Problem>> {
    let (mut places, mut problems) = (Places::new(), Vec::new());
    let file = places.add_file(name);
    match tree::parse(text, file, None, &mut places, &mut problems) {
        Some(root) if problems.is_empty() => read_sticky(&root, places),
        None if problems.is_empty() => {
            read_sticky(&Node { at: places.mark(file, 0, 0), value: Value::Nothing }, places)
        }
        _ => Err(in_order(problems)),
    }
}

/// Reads a list of nodes: YAML or JSON, with the keys of `nodes`, `successor` excepted, and `identity`.
///
/// # Errors
/// Every problem, sorted by place.
pub fn parse_nodes(text: &str, name: &str) -> Result<Vec<FoundNode>, Vec<Problem>> {
    let (mut places, mut problems) = (Places::new(), Vec::new());
    let file = places.add_file(name);
    let root = tree::parse(text, file, None, &mut places, &mut problems);
    if !problems.is_empty() {
        return Err(in_order(problems));
    }
    let Some(root) = root else { return Ok(Vec::new()) };
    let mut cx = Cx::new(places);
    let nodes = cx.root_list(&root, |slot| slot.map(sections::found_node).flatten()).unwrap_or_default();
    let mut names = std::collections::HashSet::new();
    for node in &nodes {
        if !names.insert(node.name.as_str()) {
            cx.problem(root.at, format!("{} is the name of two nodes; give each its own", node.name));
        }
    }
    if cx.problems.is_empty() { Ok(nodes) } else { Err(in_order(cx.problems)) }
}

/// As [`parse_sticky`], from a value of another file that was read with these places.
///
/// # Errors
/// Every problem, sorted by place.
pub fn read_sticky(node: &Node, places: Places) -> Result<Sticky, Vec<Problem>> {
    let mut cx = Cx::new(places);
    let read = |s: &mut Section| sections::sticky(s, "sticky", &Prefixes::new(), NodesShareSessions::None);
    match cx.root(node, read).0 {
        Some(sticky) if cx.problems.is_empty() => Ok(sticky),
        _ => Err(in_order(cx.problems)),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn read(environment: Environment, files: impl FnOnce(&mut Includer) -> Option<Node>) -> Result<Loaded, Vec<Problem>> {
    let (mut places, mut problems) = (Places::new(), Vec::new());
    let mut includer = Includer::new(&mut places, &mut problems, environment);
    let root = files(&mut includer);
    let patterns = std::mem::take(&mut includer.patterns);
    let unreadable = root.is_none() && !problems.is_empty();
    let mut cx = Cx::new(places);
    cx.problems = problems;
    if unreadable {
        return Err(in_order(cx.problems));
    }
    let whole = cx.places.mark(0, 0, 0);
    let root = root.unwrap_or(Node { at: whole, value: Value::Nothing });
    let (config, effective) = cx.root(&Node { at: whole, ..root }, sections::config);
    if let Some(config) = &config {
        check::check(config, &mut cx);
    }
    match config {
        Some(config) if cx.problems.is_empty() => {
            let warnings = warn::warnings(&config, &cx);
            let files = cx.places.files().to_vec();
            let named_files = std::mem::take(&mut cx.named_files);
            Ok(Loaded {
                config,
                warnings,
                files,
                named_files,
                patterns,
                places: cx.places,
                effective,
                written: cx.written,
            })
        }
        _ => Err(in_order(cx.problems)),
    }
}

fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort();
    problems.dedup();
    if problems.len() > PROBLEMS_MAX {
        let more = problems.len() - PROBLEMS_MAX;
        problems.truncate(PROBLEMS_MAX);
        let place = problems[PROBLEMS_MAX - 1].place.clone();
        let message = format!("{more} more problems follow; correct these first");
        problems.push(Problem { place, key: String::new(), message });
    }
    problems
}
