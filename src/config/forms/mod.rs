//! The forms a single value may have: how each is read, shown, and described.

mod file;
mod number;
mod text;
mod word;

use std::path::Path;

use serde_json::Value as Json;

use super::show::Shown;

pub use file::{ReadableFile, SecretFile, SecretText, WritableFile};
pub use number::{Count, Fit, Flag, Size, Time, TimeOrZero, n16, n32};
pub use text::{ADDRESS, AnyText, Checked, NETWORK, Parsed};
pub use word::{Or, Word};

/// How a single value is read, shown, and described.
pub trait Form {
    /// What it becomes.
    type Value;
    /// The form in words, for messages: `a duration such as 30s`.
    fn what(&self) -> String;
    /// Reads the text; `folder` is where relative paths begin.
    ///
    /// # Errors
    /// The fault and the way out.
    fn parse(&self, text: &str, folder: &Path) -> Result<Self::Value, String>;
    /// The file that this text names, where it is to be read: whoever watches the configuration watches it, too.
    fn names_file(&self, _text: &str, _folder: &Path) -> Option<std::path::PathBuf> {
        None
    }
    /// As [`Form::parse`] would read it.
    fn show(&self, value: &Self::Value) -> Shown;
    /// As JSON Schema.
    fn schema(&self) -> Json;
    /// Whether this text may stand in quotes. Numbers and `true` stand without.
    fn takes_quoted(&self, _text: &str) -> bool {
        true
    }
}
