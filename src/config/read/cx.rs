//! What readers share.

use std::collections::HashMap;

use serde_json::{Map as JsonMap, Value as Json};

use super::{Section, Slot};
use crate::config::places::{Places, Problem};
use crate::config::show::Shown;
use crate::config::tree::Node;
use crate::session::spec::Mark;

/// What readers share: the places, the problems so far, and the way to the value being read.
pub struct Cx {
    /// Places of all marks.
    pub places: Places,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What the file says that is not the default: (`upstreams.*.sticky.wait`, place, value).
    pub written: Vec<Written>,
    /// Files that the file names and that are read: certificates, secrets.
    pub named_files: Vec<std::path::PathBuf>,
    pub(super) way: Vec<Step>,
    keys: HashMap<Mark, String>,
    pub(super) describing: bool,
    /// Parts of the description that are used in several places.
    pub(super) shared: JsonMap<String, Json>,
}

/// A value in the file that is not the default.
#[derive(Debug, Clone)]
pub struct Written {
    /// Its key, with `*` for names and numbers.
    pub kind: String,
    /// Its key in full.
    pub key: String,
    /// Where it stands.
    pub at: Mark,
    /// What it says, on one line.
    pub value: String,
}

/// A step of the way to a value.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Key(&'static str),
    Name(String),
    Item(usize),
}

impl Cx {
    /// Reads with these places.
    pub fn new(places: Places) -> Self {
        Self {
            places,
            problems: Vec::new(),
            written: Vec::new(),
            named_files: Vec::new(),
            way: Vec::new(),
            keys: HashMap::new(),
            describing: false,
            shared: JsonMap::new(),
        }
    }

    /// Whether nothing is read and the reader describes itself.
    pub fn describing(&self) -> bool {
        self.describing
    }

    /// Tells a problem of the value being read.
    pub fn problem(&mut self, at: Mark, message: impl Into<String>) {
        let key = self.key();
        self.problems.push(self.places.problem(at, key, message));
    }

    /// Tells a problem of another value.
    pub fn tell(&mut self, at: Mark, key: impl Into<String>, message: impl Into<String>) {
        self.problems.push(self.places.problem(at, key, message));
    }

    /// The key of the value being read, in full.
    pub fn key(&self) -> String {
        let mut key = String::new();
        for step in &self.way {
            match step {
                Step::Key(name) => join(&mut key, name),
                Step::Name(name) => join(&mut key, name),
                Step::Item(number) => key.push_str(&format!("[{number}]")),
            }
        }
        key
    }

    /// Remembers the key of the value being read, for problems found later.
    pub fn keep_key(&mut self, at: Mark) {
        let key = self.key();
        self.keys.insert(at, key);
    }

    /// The key of a value read earlier, where it was kept.
    pub fn kept_key(&self, at: Mark) -> String {
        self.keys.get(&at).cloned().unwrap_or_default()
    }

    fn kind(&self) -> String {
        let mut kind = String::new();
        for step in &self.way {
            match step {
                Step::Key(name) => join(&mut kind, name),
                Step::Name(_) => join(&mut kind, "*"),
                Step::Item(_) => {}
            }
        }
        kind
    }

    pub(super) fn wrote(&mut self, at: Mark, value: &Shown) {
        let (kind, key, value) = (self.kind(), self.key(), value.to_line());
        self.written.push(Written { kind, key, at, value });
    }

    /// Reads a whole tree.
    pub fn root<T>(&mut self, node: &Node, read: impl FnOnce(&mut Section) -> T) -> (Option<T>, Shown) {
        let mut slot = Slot::new(self, Some(node));
        let value = slot.map(read);
        let shown = slot.shown.take().unwrap_or(Shown::Map(Vec::new()));
        (value, shown)
    }

    /// Reads a whole tree that is a list.
    pub fn root_list<T>(&mut self, node: &Node, read: impl FnMut(&mut Slot) -> Option<T>) -> Option<Vec<T>> {
        Slot::new(self, Some(node)).list(read)
    }

    /// Describes what a reader would read, as JSON Schema.
    pub fn describe<T>(read: impl FnOnce(&mut Section) -> T) -> Json {
        let mut cx = Cx { describing: true, ..Cx::new(Places::new()) };
        let mut slot = Slot::new(&mut cx, None);
        slot.map(read);
        let mut schema = slot.schema;
        if let Json::Object(object) = &mut schema {
            object.insert("$defs".to_owned(), Json::Object(cx.shared));
        }
        schema
    }
}

fn join(key: &mut String, name: &str) {
    if !key.is_empty() {
        key.push('.');
    }
    key.push_str(name);
}
