//! Command lines of the form `--name value`.

use std::collections::HashMap;
use std::str::FromStr;

/// What was given.
#[derive(Debug)]
pub struct Options(HashMap<String, String>);

impl Options {
    /// Those of this process.
    pub fn of_process() -> Self {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let pairs = words.chunks(2).map(|pair| {
            let name = pair[0].trim_start_matches('-').to_string();
            (name, pair.get(1).cloned().unwrap_or_default())
        });
        Self(pairs.collect())
    }

    /// The text of `name`, or `default`.
    pub fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.0.get(name).map_or(default, String::as_str)
    }

    /// The number of `name`, or `default`.
    ///
    /// # Panics
    ///
    /// Where it is none: the bench wrote it.
    pub fn number<T: FromStr>(&self, name: &str, default: T) -> T {
        match self.0.get(name) {
            None => default,
            Some(text) => text.parse().unwrap_or_else(|_| panic!("--{name} {text}: not a number")),
        }
    }

    /// Whether `name` was given.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}
