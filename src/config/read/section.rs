//! A map with known keys.

use serde_json::{Map as JsonMap, Value as Json, json};

use super::cx::Step;
use super::{Cx, Slot, nearest};
use crate::config::forms::Form;
use crate::config::show::Shown;
use crate::config::tree::{Entry, Node, Value};
use crate::session::spec::Mark;

/// A map with known keys, being read or described.
pub struct Section<'a, 'n> {
    /// Where the map begins.
    pub at: Mark,
    pub(super) cx: &'a mut Cx,
    pub(super) entries: &'n [Entry],
    pub(super) known: Vec<&'static str>,
    pub(super) properties: JsonMap<String, Json>,
    pub(super) required: Vec<&'static str>,
    pub(super) shown: Vec<(String, Shown)>,
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

    pub(super) fn unknown_and_missing_keys(&mut self) {
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
