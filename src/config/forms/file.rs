//! Files and secrets.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::Form;
use crate::config::model::Secret;
use crate::config::show::Shown;

/// A file that must be there and readable.
#[derive(Debug, Clone, Copy)]
pub struct ReadableFile;

impl Form for ReadableFile {
    type Value = PathBuf;
    fn what(&self) -> String {
        "the path of a file".to_owned()
    }
    fn parse(&self, text: &str, folder: &Path) -> Result<PathBuf, String> {
        let path = WritableFile.parse(text, folder)?;
        let fault = match std::fs::metadata(&path) {
            // Opening a pipe would wait for its other end.
            Ok(meta) if !meta.is_file() => return Err(format!("{} is no file; name one", path.display())),
            Ok(_) => match std::fs::File::open(&path) {
                Ok(_) => return Ok(path),
                Err(error) => error,
            },
            Err(error) => error,
        };
        Err(format!(
            "cannot read {}: {fault}; correct the path (relative ones begin at this file) or its permissions",
            path.display()
        ))
    }
    fn names_file(&self, text: &str, folder: &Path) -> Option<PathBuf> {
        Some(folder.join(text))
    }
    fn show(&self, value: &PathBuf) -> Shown {
        Shown::Text(value.display().to_string())
    }
    fn schema(&self) -> Json {
        json!({"type": "string"})
    }
}

/// A file that is made where it is absent.
#[derive(Debug, Clone, Copy)]
pub struct WritableFile;

impl Form for WritableFile {
    type Value = PathBuf;
    fn what(&self) -> String {
        "the path of a file".to_owned()
    }
    fn parse(&self, text: &str, folder: &Path) -> Result<PathBuf, String> {
        if text.is_empty() || text.contains('\0') {
            return Err("is no path; write one, relative to this file or from the root".to_owned());
        }
        Ok(folder.join(text))
    }
    fn show(&self, value: &PathBuf) -> Shown {
        ReadableFile.show(value)
    }
    fn schema(&self) -> Json {
        json!({"type": "string"})
    }
}

/// A secret as text.
#[derive(Debug, Clone, Copy)]
pub struct SecretText;

impl Form for SecretText {
    type Value = Secret;
    fn what(&self) -> String {
        "${VARIABLE}, {file: path} or a text".to_owned()
    }
    fn parse(&self, text: &str, _: &Path) -> Result<Secret, String> {
        if text.is_empty() { Err(format!("is empty; write {}", self.what())) } else { Ok(Secret::new(text)) }
    }
    fn show(&self, _: &Secret) -> Shown {
        Shown::Secret
    }
    fn schema(&self) -> Json {
        json!({"type": ["string", "number"]})
    }
}

/// A secret in a file.
#[derive(Debug, Clone, Copy)]
pub struct SecretFile;

/// Bytes of a file that holds a secret. None is longer.
const SECRET_BYTES_MAX: u64 = 64 << 10;

impl Form for SecretFile {
    type Value = Secret;
    fn what(&self) -> String {
        "the path of a file".to_owned()
    }
    fn parse(&self, text: &str, folder: &Path) -> Result<Secret, String> {
        use std::io::Read;
        let path = ReadableFile.parse(text, folder)?;
        let mut content = String::new();
        let read = std::fs::File::open(&path).and_then(|file| file.take(SECRET_BYTES_MAX).read_to_string(&mut content));
        if let Err(error) = read {
            return Err(format!("cannot read {}: {error}; a secret is a line of text", path.display()));
        }
        match content.trim() {
            "" => Err(format!("{} is empty; write the secret into it", path.display())),
            secret => Ok(Secret::new(secret)),
        }
    }
    fn names_file(&self, text: &str, folder: &Path) -> Option<PathBuf> {
        Some(folder.join(text))
    }
    fn show(&self, _: &Secret) -> Shown {
        Shown::Secret
    }
    fn schema(&self) -> Json {
        json!({"type": "string"})
    }
}
