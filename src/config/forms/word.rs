//! Words that stand for something.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::Form;
use crate::config::read::nearest;
use crate::config::show::Shown;

/// One of some words.
#[derive(Debug)]
pub struct Word<T: 'static>(
    /// The words and what they mean.
    pub &'static [(&'static str, T)],
);

impl<T> Clone for Word<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Word<T> {}

impl<T: Copy + PartialEq> Form for Word<T> {
    type Value = T;
    fn what(&self) -> String {
        words(self.0.iter().map(|(word, _)| *word))
    }
    fn parse(&self, text: &str, _: &Path) -> Result<T, String> {
        if let Some((_, value)) = self.0.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        match nearest(text, self.0.iter().map(|(word, _)| *word)) {
            Some(near) => Err(format!("{text:?} means nothing here; did you mean {near}? ({} are known)", self.what())),
            None => Err(format!("{text:?} means nothing here; write {}", self.what())),
        }
    }
    fn show(&self, value: &T) -> Shown {
        let word = self.0.iter().find(|(_, known)| known == value).map_or("", |(word, _)| *word);
        Shown::Plain(word.to_owned())
    }
    fn schema(&self) -> Json {
        json!({"enum": self.0.iter().map(|(word, _)| word_json(word)).collect::<Vec<_>>()})
    }
}

/// A word as editors read it: `true` is a boolean to them.
fn word_json(word: &str) -> Json {
    match word {
        "true" => json!(true),
        "false" => json!(false),
        _ => json!(word),
    }
}

fn words<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<_> = words.collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// A value of another form, or a word that stands for its absence.
#[derive(Debug, Clone, Copy)]
pub struct Or<F>(
    /// The word: `none`, `auto`.
    pub &'static str,
    /// The form.
    pub F,
);

impl<F: Form> Form for Or<F> {
    type Value = Option<F::Value>;
    fn what(&self) -> String {
        format!("{}, or {}", self.1.what(), self.0)
    }
    fn parse(&self, text: &str, folder: &Path) -> Result<Self::Value, String> {
        if text == self.0 {
            return Ok(None);
        }
        self.1.parse(text, folder).map(Some).map_err(|message| format!("{message}, or {}", self.0))
    }
    fn show(&self, value: &Self::Value) -> Shown {
        value.as_ref().map_or_else(|| Shown::Plain(self.0.to_owned()), |value| self.1.show(value))
    }
    fn schema(&self) -> Json {
        json!({"anyOf": [{"const": self.0}, self.1.schema()]})
    }
    fn takes_quoted(&self, text: &str) -> bool {
        text == self.0 || self.1.takes_quoted(text)
    }
}
