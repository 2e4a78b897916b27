//! `include:`: further files join the first.
//!
//! Maps (`namespaces`, `upstreams`) and lists (`listeners`, `routes`) are put together, the including file's entries
//! first, then those of the included files in order; any other section may stand in one file only.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::places::{Places, Problem};
use super::tree::{self, Entry, Environment, Node, Scalar, Value};
use crate::head::is_like;

/// Files included in a chain, at most.
const DEPTH_MAX: usize = 8;
/// Files of one configuration, at most.
const FILES_MAX: usize = 1000;

/// Reads files and puts them together.
pub struct Includer<'a, 'e> {
    /// Places of all files.
    pub places: &'a mut Places,
    /// What is wrong.
    pub problems: &'a mut Vec<Problem>,
    /// What replaces `${NAME}`.
    pub environment: Environment<'e>,
    /// Names with `*` that were looked for.
    pub patterns: Vec<PathBuf>,
    seen: HashSet<PathBuf>,
}

impl<'a, 'e> Includer<'a, 'e> {
    /// With nothing read yet.
    pub fn new(places: &'a mut Places, problems: &'a mut Vec<Problem>, environment: Environment<'e>) -> Self {
        Self { places, problems, environment, patterns: Vec::new(), seen: HashSet::new() }
    }

    /// Reads a file and all that it includes.
    pub fn file(&mut self, path: &Path) -> Option<Node> {
        self.seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_owned()));
        match read(path) {
            Ok(text) => self.text(&text, path, 0),
            Err(message) => {
                let file = self.places.add_file(path);
                let at = self.places.mark(file, 0, 0);
                self.problems.push(self.places.problem(at, "", message));
                None
            }
        }
    }

    /// Reads a text as if it were a file of this name, and all that it includes.
    pub fn text(&mut self, text: &str, name: &Path, depth: usize) -> Option<Node> {
        let file = self.places.add_file(name);
        let mut root = tree::parse(text, file, self.environment, self.places, self.problems)?;
        let included = match &root.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == "include").map(|entry| entry.value.clone()),
            _ => None,
        };
        let items = match included.map(|node| (node.at, node.value)) {
            Some((_, Value::List(items))) => items,
            Some((at, value @ Value::Scalar(_))) => vec![Node { at, value }],
            // What else it may be is told by the reader of the section.
            _ => Vec::new(),
        };
        for item in &items {
            if let Value::Scalar(Scalar { text, .. }) = &item.value {
                self.include(&mut root, text, item, depth);
            }
        }
        Some(root)
    }

    fn include(&mut self, root: &mut Node, pattern: &str, item: &Node, depth: usize) {
        let pattern = self.places.folder(item.at).join(pattern);
        let expanded = expand(&pattern);
        if pattern.to_string_lossy().contains('*') {
            self.patterns.push(pattern);
        }
        let paths = match expanded {
            Ok(paths) => paths,
            Err(message) => return self.problem(item, message),
        };
        for path in paths {
            if depth + 1 > DEPTH_MAX {
                return self.problem(
                    item,
                    format!("files include each other more than {DEPTH_MAX} deep; include from fewer levels"),
                );
            }
            if self.seen.len() >= FILES_MAX {
                return self.problem(item, format!("more than {FILES_MAX} files are included; write fewer"));
            }
            if !self.seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
                self.problem(item, format!("{} is included already; include each file once", path.display()));
                continue;
            }
            match read(&path) {
                Ok(text) => {
                    if let Some(part) = self.text(&text, &path, depth + 1) {
                        self.join(root, part);
                    }
                }
                Err(message) => self.problem(item, message),
            }
        }
    }

    fn problem(&mut self, item: &Node, message: String) {
        self.problems.push(self.places.problem(item.at, "include", message));
    }

    fn join(&mut self, root: &mut Node, part: Node) {
        let Value::Map(part_entries) = part.value else {
            if !matches!(part.value, Value::Nothing | Value::Broken) {
                self.problems.push(self.places.problem(part.at, "", "a configuration is a map: {key: value}"));
            }
            return;
        };
        if matches!(root.value, Value::Nothing) {
            root.value = Value::Map(Vec::new());
        }
        let Value::Map(entries) = &mut root.value else { return };
        for entry in part_entries {
            if entry.key == "include" {
                continue;
            }
            match entries.iter_mut().find(|known| known.key == entry.key) {
                None => entries.push(entry),
                Some(known) => join_entry(known, entry, self.places, self.problems),
            }
        }
    }
}

fn join_entry(known: &mut Entry, entry: Entry, places: &Places, problems: &mut Vec<Problem>) {
    match (known.key.as_str(), &mut known.value.value, entry.value.value) {
        (_, Value::Nothing, value) => known.value = Node { at: entry.value.at, value },
        (_, _, Value::Nothing) => {}
        ("namespaces" | "upstreams", Value::Map(known_entries), Value::Map(more)) => {
            for one in more {
                match known_entries.iter().find(|known| known.key == one.key) {
                    None => known_entries.push(one),
                    Some(earlier) => {
                        let place = places.place(earlier.at);
                        let key = format!("{}.{}", entry.key, one.key);
                        problems.push(places.problem(one.at, key, format!("is already set at {place}; set it once")));
                    }
                }
            }
        }
        ("listeners" | "routes", Value::List(items), Value::List(more)) => items.extend(more),
        _ => {
            let place = places.place(known.at);
            problems.push(places.problem(entry.at, entry.key, format!("is already set at {place}; set it once")));
        }
    }
}

/// The text of a file.
fn read(path: &Path) -> Result<String, String> {
    let name = path.display();
    let meta = std::fs::metadata(path)
        .map_err(|error| format!("cannot read {name}: {error}; correct the path or its permissions"))?;
    if !meta.is_file() {
        return Err(format!("{name} is no file; name one"));
    }
    if meta.len() > tree::BYTES_MAX as u64 {
        return Err(format!("{name} is larger than {} MiB; split it and use include", tree::BYTES_MAX >> 20));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {name}: {error}; correct its permissions"))?;
    String::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8; save it as UTF-8"))
}

/// The files that a path with `*` in its last part names, sorted; without `*`, the path.
pub(super) fn expand(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = pattern.parent().unwrap_or(Path::new(""));
    if folder.to_string_lossy().contains('*') {
        return Err("* may stand in the name of a file only; name the folder".to_owned());
    }
    if !name.contains('*') {
        return Ok(vec![pattern.to_owned()]);
    }
    let shown = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = match std::fs::read_dir(shown) {
        Ok(entries) => entries,
        Err(error) => {
            return Err(format!(
                "cannot read the folder {}: {error}; correct the path or its permissions",
                shown.display()
            ));
        }
    };
    let mut paths: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| {
            let file = entry.file_name().to_string_lossy().into_owned();
            // As in the shell: what is hidden stays so.
            !file.starts_with('.') && is_like(name.as_bytes(), file.as_bytes())
        })
        .map(|entry| folder.join(entry.file_name()))
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    Ok(paths)
}
