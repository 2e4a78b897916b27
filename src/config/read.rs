//! Reads a tree, and describes what it would read.
//!
//! A reader is written once and used four ways: it fills the model, checks the file, makes the effective configuration,
//! and describes itself for the JSON Schema. For the last it runs without a file; so it asks for every key it knows,
//! always, whatever earlier keys said. Which keys are known, their types and their defaults cannot drift apart.

use std::collections::HashMap;

use serde_json::{Map as JsonMap, Value as Json, json};

use super::forms::Form;
use super::places::{Places, Problem};
use super::show::Shown;
use super::tree::{Entry, Node, Value};
use crate::session::spec::Mark;

/// What readers share: the places, the problems so far, and the way to the value being read.
pub struct Cx {
    /// Places of all marks.
    pub places: Places,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What the file says that is not the default: (`upstreams.*.sticky.wait`, place, value).
    pub written: Vec<Written>,
    way: Vec<Step>,
    keys: HashMap<Mark, String>,
    describing: bool,
    /// Parts of the description that are used in several places.
    shared: JsonMap<String, Json>,
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

#[derive(Debug, Clone)]
enum Step {
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

    fn wrote(&mut self, at: Mark, value: &Shown) {
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

/// A place for one value: in the file, or in the description.
pub struct Slot<'a, 'n> {
    cx: &'a mut Cx,
    node: Option<&'n Node>,
    schema: Json,
    shown: Option<Shown>,
}

impl<'a, 'n> Slot<'a, 'n> {
    fn new(cx: &'a mut Cx, node: Option<&'n Node>) -> Self {
        Self { cx, node, schema: Json::Bool(true), shown: None }
    }

    /// Where the value stands.
    pub fn at(&self) -> Mark {
        self.node.map(|node| node.at).unwrap_or_default()
    }

    /// What all readers share.
    pub fn cx(&mut self) -> &mut Cx {
        self.cx
    }

    /// The value as written; `None` while describing.
    pub fn value(&self) -> Option<&'n Value> {
        self.node.map(|node| &node.value)
    }

    /// Tells a problem of this value.
    pub fn problem(&mut self, message: impl Into<String>) {
        let at = self.at();
        self.cx.problem(at, message);
    }

    /// Describes this value once, under a name, and refers to it everywhere.
    pub fn describe_once(&mut self, name: &str) {
        if self.cx.describing {
            let whole = std::mem::replace(&mut self.schema, json!({"$ref": format!("#/$defs/{name}")}));
            self.cx.shared.insert(name.to_owned(), whole);
        }
    }

    /// Shows that a secret is set, or nothing.
    pub fn redact(&mut self, set: bool) {
        self.shown = set.then_some(Shown::Secret);
    }

    /// A scalar of this form.
    pub fn scalar<F: Form>(&mut self, form: F) -> Option<F::Value> {
        if self.cx.describing {
            self.schema = form.schema();
            if self.schema["type"] != "string" {
                // A variable may stand for anything, but editors see the text that names it.
                let variable = json!({"type": "string", "pattern": r"\$\{"});
                self.cx.shared.insert("variable".to_owned(), variable);
                self.schema = json!({"anyOf": [self.schema, {"$ref": "#/$defs/variable"}]});
            }
            return None;
        }
        let node = self.node?;
        let message = match &node.value {
            Value::Scalar(scalar) if scalar.quoted && !form.takes_quoted(&scalar.text) => {
                format!("{:?} is a text because of its quotes; write {}, without quotes", scalar.text, form.what())
            }
            Value::Scalar(scalar) => match form.parse(&scalar.text, self.cx.places.folder(node.at)) {
                Ok(value) => {
                    self.shown = Some(form.show(&value));
                    return Some(value);
                }
                Err(message) => message,
            },
            Value::Broken => return None,
            Value::Nothing => format!("has no value; write {}, or remove the key", form.what()),
            other => format!("is {}; write {}", other.kind(), form.what()),
        };
        self.cx.problem(node.at, message);
        None
    }

    /// A map with known keys. A map of which nothing is written is an empty one.
    pub fn map<T>(&mut self, read: impl FnOnce(&mut Section) -> T) -> Option<T> {
        let entries: &[Entry] = match self.node.map(|node| &node.value) {
            None if self.cx.describing => &[],
            Some(Value::Map(entries)) => entries,
            Some(Value::Nothing) => &[],
            Some(Value::Broken) => return None,
            Some(other) => {
                let kind = other.kind();
                self.problem(format!("is {kind}; a map belongs here: {{key: value}}"));
                return None;
            }
            None => return None,
        };
        let mut section = Section {
            at: self.at(),
            cx: self.cx,
            entries,
            known: Vec::new(),
            properties: JsonMap::new(),
            required: Vec::new(),
            shown: Vec::new(),
        };
        let value = read(&mut section);
        section.unknown_and_missing_keys();
        let Section { properties, required, shown, .. } = section;
        self.schema = json!({"type": "object", "additionalProperties": false, "properties": properties});
        if !required.is_empty() {
            self.schema["required"] = json!(required);
        }
        self.shown = Some(Shown::Map(shown));
        Some(value)
    }

    /// A map whose keys are names of the user's, each value read by `read`.
    pub fn named<T>(&mut self, mut read: impl FnMut(&str, Mark, &mut Slot) -> Option<T>) -> Option<Vec<T>> {
        if self.cx.describing {
            let mut slot = Slot::new(self.cx, None);
            read("", Mark::default(), &mut slot);
            let schema = slot.schema;
            self.schema = json!({"type": "object", "additionalProperties": schema});
            return None;
        }
        let entries: &[Entry] = match &self.node?.value {
            Value::Map(entries) => entries,
            Value::Nothing => &[],
            Value::Broken => return None,
            other => {
                let kind = other.kind();
                self.problem(format!("is {kind}; a map of names belongs here: {{name: value}}"));
                return None;
            }
        };
        let (mut values, mut shown) = (Vec::new(), Vec::new());
        for entry in entries {
            self.cx.way.push(Step::Name(entry.key.clone()));
            let mut slot = Slot::new(self.cx, Some(&entry.value));
            values.extend(read(&entry.key, entry.at, &mut slot));
            if let Some(value) = slot.shown.take() {
                self.cx.wrote(entry.at, &value);
                shown.push((entry.key.clone(), value));
            }
            self.cx.way.pop();
        }
        self.shown = Some(Shown::Map(shown));
        Some(values)
    }

    /// A list.
    pub fn list<T>(&mut self, read: impl FnMut(&mut Slot) -> Option<T>) -> Option<Vec<T>> {
        if let Some(node @ Node { value: Value::Scalar(_) | Value::Map(_), .. }) = self.node {
            let kind = node.value.kind();
            self.problem(format!("is {kind}; a list belongs here: [a, b], or lines that begin with -"));
            return None;
        }
        self.items(read, false)
    }

    /// A list of at least one.
    pub fn some<T>(&mut self, read: impl FnMut(&mut Slot) -> Option<T>) -> Option<Vec<T>> {
        self.not_empty();
        self.list(read)
    }

    /// Tells of a list or map of which nothing is written.
    pub fn not_empty(&mut self) {
        let empty = match self.value() {
            Some(Value::Nothing) => true,
            Some(Value::List(items)) => items.is_empty(),
            Some(Value::Map(entries)) => entries.is_empty(),
            _ => false,
        };
        if empty {
            self.problem("is empty; write at least one");
        }
    }

    /// A list, or a single value in place of a list of one.
    pub fn one_or_list<T>(&mut self, read: impl FnMut(&mut Slot) -> Option<T>) -> Option<Vec<T>> {
        self.items(read, true)
    }

    fn items<T>(&mut self, mut read: impl FnMut(&mut Slot) -> Option<T>, one: bool) -> Option<Vec<T>> {
        if self.cx.describing {
            let mut slot = Slot::new(self.cx, None);
            read(&mut slot);
            let item = slot.schema;
            let list = json!({"type": "array", "items": item});
            self.schema = if one { json!({"anyOf": [item, list]}) } else { list };
            return None;
        }
        let node = self.node?;
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            Value::Nothing => &[],
            _ => {
                let mut slot = Slot::new(self.cx, Some(node));
                let value = read(&mut slot);
                self.shown = slot.shown.take();
                return value.map(|value| vec![value]);
            }
        };
        let (mut values, mut shown) = (Vec::new(), Vec::new());
        for (number, item) in items.iter().enumerate() {
            self.cx.way.push(Step::Item(number));
            let mut slot = Slot::new(self.cx, Some(item));
            values.extend(read(&mut slot));
            shown.extend(slot.shown.take());
            self.cx.way.pop();
        }
        self.shown = Some(Shown::List(shown));
        Some(values)
    }

    /// One of two readers: the first for a single value, the second for a map.
    pub fn scalar_or_map<T>(
        &mut self,
        scalar: impl FnOnce(&mut Slot) -> Option<T>,
        map: impl FnOnce(&mut Slot) -> Option<T>,
    ) -> Option<T> {
        if self.cx.describing {
            scalar(self);
            let first = std::mem::take(&mut self.schema);
            map(self);
            let second = std::mem::take(&mut self.schema);
            self.schema = json!({"anyOf": [first, second]});
            return None;
        }
        match self.node.map(|node| &node.value) {
            Some(Value::Map(_)) => map(self),
            _ => scalar(self),
        }
    }
}

/// A map with known keys, being read or described.
pub struct Section<'a, 'n> {
    /// Where the map begins.
    pub at: Mark,
    cx: &'a mut Cx,
    entries: &'n [Entry],
    known: Vec<&'static str>,
    properties: JsonMap<String, Json>,
    required: Vec<&'static str>,
    shown: Vec<(String, Shown)>,
}

impl<'n> Section<'_, 'n> {
    /// What all readers share.
    pub fn cx(&mut self) -> &mut Cx {
        self.cx
    }

    /// Where the value of a key stands, if it is written.
    pub fn place_of(&self, key: &str) -> Option<Mark> {
        self.entry(key).map(|entry| entry.value.at)
    }

    /// Tells a problem of one of the keys, or of the map where the key is not written.
    pub fn problem(&mut self, key: &'static str, message: impl Into<String>) {
        match self.place_of(key) {
            Some(at) => {
                self.cx.way.push(Step::Key(key));
                self.cx.problem(at, message);
                self.cx.way.pop();
            }
            None => self.cx.problem(self.at, message),
        }
    }

    fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// A key whose value `read` reads; `None` where it is not written or wrong. All other questions stand on this one.
    pub fn field<T>(&mut self, key: &'static str, doc: &str, read: impl FnOnce(&mut Slot) -> Option<T>) -> Option<T> {
        debug_assert!(!self.known.contains(&key), "{key} is asked for twice");
        self.known.push(key);
        let entry = self.entry(key);
        if entry.is_none() && !self.cx.describing {
            return None;
        }
        self.cx.way.push(Step::Key(key));
        let mut slot = Slot::new(self.cx, entry.map(|entry| &entry.value));
        let value = read(&mut slot);
        let (mut schema, shown) = (slot.schema, slot.shown.take());
        self.cx.way.pop();
        if self.cx.describing {
            if let Json::Object(object) = &mut schema {
                object.insert("description".to_owned(), json!(doc));
            }
            self.properties.insert(key.to_owned(), schema);
        }
        self.shown.extend(shown.map(|shown| (key.to_owned(), shown)));
        value
    }

    /// A key with a default.
    pub fn value<F: Form>(&mut self, key: &'static str, doc: &str, form: F, default: F::Value) -> F::Value {
        let usual = form.show(&default);
        let value = self.field(key, doc, |slot| slot.scalar(form));
        if self.cx.describing {
            if let Some(Json::Object(object)) = self.properties.get_mut(key) {
                let plain = usual.to_line();
                let json = match &usual {
                    Shown::Plain(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
                    Shown::Text(text) => json!(text),
                    _ => json!(plain),
                };
                object.insert("default".to_owned(), json);
            }
            return default;
        }
        match value {
            Some(value) => {
                self.note_written(key, Some(&usual));
                value
            }
            None => {
                self.shown.push((key.to_owned(), usual));
                default
            }
        }
    }

    /// A key that may be absent.
    pub fn optional<F: Form>(&mut self, key: &'static str, doc: &str, form: F) -> Option<F::Value> {
        self.optional_with(key, doc, |slot| slot.scalar(form))
    }

    /// A key that may be absent, with a reader of its own.
    pub fn optional_with<T>(
        &mut self,
        key: &'static str,
        doc: &str,
        read: impl FnOnce(&mut Slot) -> Option<T>,
    ) -> Option<T> {
        let value = self.field(key, doc, read);
        if value.is_some() {
            self.note_written(key, None);
        }
        value
    }

    /// A key with a reader of its own, and how its default is shown; `None` where it is not written or wrong.
    pub fn value_with<T>(
        &mut self,
        key: &'static str,
        doc: &str,
        usual: Shown,
        read: impl FnOnce(&mut Slot) -> Option<T>,
    ) -> Option<T> {
        let value = self.field(key, doc, read);
        if value.is_some() {
            self.note_written(key, Some(&usual));
        } else if !self.cx.describing {
            self.shown.push((key.to_owned(), usual));
        }
        value
    }

    /// A key that must be there.
    pub fn required<F: Form>(&mut self, key: &'static str, doc: &str, form: F) -> Option<F::Value> {
        self.required_with(key, doc, |slot| slot.scalar(form))
    }

    /// A key that must be there, with a reader of its own.
    pub fn required_with<T>(
        &mut self,
        key: &'static str,
        doc: &str,
        read: impl FnOnce(&mut Slot) -> Option<T>,
    ) -> Option<T> {
        self.required.push(key);
        self.optional_with(key, doc, read)
    }

    /// A list of scalars, or a single one in its place; absent = empty.
    pub fn many<F: Form + Copy>(&mut self, key: &'static str, doc: &str, form: F) -> Vec<F::Value> {
        self.many_with(key, doc, |slot| slot.scalar(form))
    }

    /// A list, or a single value in its place, with a reader of its own; absent = empty.
    pub fn many_with<T>(&mut self, key: &'static str, doc: &str, read: impl FnMut(&mut Slot) -> Option<T>) -> Vec<T> {
        let value = self.field(key, doc, |slot| slot.one_or_list(read));
        self.note_written(key, Some(&Shown::List(Vec::new())));
        value.unwrap_or_default()
    }

    /// A map of which every key has a default: read where absent, too.
    pub fn section<T>(&mut self, key: &'static str, doc: &str, read: impl FnOnce(&mut Section) -> T) -> Option<T> {
        if self.entry(key).is_some() || self.cx.describing {
            return self.field(key, doc, |slot| slot.map(read));
        }
        self.known.push(key);
        let nothing = Node { at: self.at, value: Value::Nothing };
        self.cx.way.push(Step::Key(key));
        let mut slot = Slot::new(self.cx, Some(&nothing));
        let value = slot.map(read);
        // A map of which nothing has a default says nothing.
        let shown = slot.shown.take().filter(|shown| *shown != Shown::Map(Vec::new()));
        self.cx.way.pop();
        self.shown.extend(shown.map(|shown| (key.to_owned(), shown)));
        value
    }

    /// Shows a value that was worked out from others; `None` = nothing.
    pub fn show(&mut self, key: &'static str, shown: Option<Shown>) {
        self.shown.retain(|(name, _)| name != key);
        self.shown.extend(shown.map(|shown| (key.to_owned(), shown)));
    }

    fn note_written(&mut self, key: &'static str, usual: Option<&Shown>) {
        let Some(at) = self.entry(key).map(|entry| entry.at) else { return };
        let shown = self.shown.iter().find(|(name, _)| name == key).map(|(_, shown)| shown.clone());
        let Some(shown) = shown.filter(|shown| usual != Some(shown)) else { return };
        self.cx.way.push(Step::Key(key));
        self.cx.wrote(at, &shown);
        self.cx.way.pop();
    }

    /// Whether a key is not written, nor anything that was meant to be it.
    pub fn is_absent(&self, key: &str) -> bool {
        !self.entries.iter().any(|entry| entry.key == key || self.meant(&entry.key) == Some(key))
    }

    /// The known key that an unknown one was meant to be.
    fn meant(&self, written: &str) -> Option<&'static str> {
        if self.known.contains(&written) { None } else { nearest(written, self.known.iter().copied()) }
    }

    fn unknown_and_missing_keys(&mut self) {
        if self.cx.describing {
            return;
        }
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str())) {
            let message = match self.meant(&entry.key) {
                Some(near) => format!("unknown key {:?}; did you mean {near}?", entry.key),
                None => format!("unknown key {:?}; known here: {}", entry.key, self.known.join(", ")),
            };
            self.cx.problem(entry.at, message);
        }
        for key in self.required.clone() {
            if self.is_absent(key) {
                self.cx.problem(self.at, format!("{key} is missing; it has no default"));
            }
        }
    }
}

/// The known word nearest to a written one, if any is near enough to be meant.
pub fn nearest<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let plain = |word: &str| word.to_ascii_lowercase().replace(['-', ' '], "_");
    // Distances cost the product of the lengths; nobody mistypes a word of more than 64 letters.
    let written = plain(&written.chars().take(64).collect::<String>());
    let likeness = |word: &&str| {
        let word = plain(word);
        let few_wrong = strsim::damerau_levenshtein(&written, &word) <= (written.len() / 3).max(1) && written.len() > 2;
        let begun = written.len() > 3 && word.starts_with(&written);
        let likeness = strsim::jaro_winkler(&written, &word);
        if few_wrong || begun { likeness.max(0.9) } else { likeness }
    };
    let likely = known.map(|word| (likeness(&word), word)).filter(|(likeness, _)| *likeness >= 0.9);
    // The first of equals, as the file lists them.
    likely.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, word)| word)
}
