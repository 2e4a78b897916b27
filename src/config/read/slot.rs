//! A place for one value.

use serde_json::{Map as JsonMap, Value as Json, json};

use super::cx::Step;
use super::{Cx, Section};
use crate::config::forms::Form;
use crate::config::show::Shown;
use crate::config::tree::{Entry, Node, Value};
use crate::session::spec::Mark;

/// A place for one value: in the file, or in the description.
pub struct Slot<'a, 'n> {
    pub(super) cx: &'a mut Cx,
    node: Option<&'n Node>,
    pub(super) schema: Json,
    pub(super) shown: Option<Shown>,
}

impl<'a, 'n> Slot<'a, 'n> {
    pub(super) fn new(cx: &'a mut Cx, node: Option<&'n Node>) -> Self {
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
                    let file = form.names_file(&scalar.text, self.cx.places.folder(node.at));
                    self.cx.named_files.extend(file);
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
