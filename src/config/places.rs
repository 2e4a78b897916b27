//! Places in files, and the problems that are told with them.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::session::spec::Mark;

/// A line and column of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, as it was named when it was read.
    pub file: String,
    /// From 1; 0 = the file as a whole.
    pub line: u32,
    /// In characters, from 1; 0 = the file as a whole.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 { f.write_str(&self.file) } else { write!(f, "{}:{}:{}", self.file, self.line, self.column) }
    }
}

/// What is wrong in a configuration, where, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// The key in full: `upstreams.orders.nodes[1].weight`; empty = the file as a whole.
    pub key: String,
    /// The fault and the way out.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}: {}", self.place, self.message)
        } else {
            write!(f, "{}: {}: {}", self.place, self.key, self.message)
        }
    }
}

/// The places that the marks of one configuration stand for.
#[derive(Debug, Clone, Default)]
pub struct Places {
    files: Vec<PathBuf>,
    places: Vec<(u32, u32, u32)>,
}

/// Set in the marks of presets, which have a table of their own.
const PRESET: u32 = 1 << 31;

impl Places {
    /// No file yet. Mark 0 is taken at once, for what stands nowhere.
    pub fn new() -> Self {
        Self { files: Vec::new(), places: vec![(u32::MAX, 0, 0)] }
    }

    /// Number of a further file.
    pub fn add_file(&mut self, name: impl Into<PathBuf>) -> u32 {
        self.files.push(name.into());
        u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX)
    }

    /// A mark for a line and column of a file.
    pub fn mark(&mut self, file: u32, line: usize, column: usize) -> Mark {
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        self.places.push((file, small(line), small(column)));
        Mark(small(self.places.len() - 1))
    }

    /// The same mark, told apart from those of the file: it stands in the presets.
    pub fn in_presets(mark: Mark) -> Mark {
        Mark(mark.0 | PRESET)
    }

    /// The place of a mark. What is not known stands in the first file as a whole.
    pub fn place(&self, mark: Mark) -> Place {
        if mark.0 & PRESET != 0 {
            return super::presets::places().place(Mark(mark.0 & !PRESET));
        }
        let (file, line, column) = self.places.get(mark.0 as usize).copied().unwrap_or((u32::MAX, 0, 0));
        // What stands nowhere is told of the first file.
        match self.files.get(file as usize).or(self.files.first()) {
            Some(name) => Place { file: name.display().to_string(), line, column },
            None => Place { file: "configuration".to_owned(), line: 0, column: 0 },
        }
    }

    /// The folder that relative paths written at this mark begin in.
    pub fn folder(&self, mark: Mark) -> &Path {
        let (file, ..) = self.places.get(mark.0 as usize).copied().unwrap_or((u32::MAX, 0, 0));
        self.files.get(file as usize).and_then(|name| name.parent()).unwrap_or(Path::new(""))
    }

    /// All files, in the order they were read.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// A problem at a mark. `key` may be empty.
    pub fn problem(&self, mark: Mark, key: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem { place: self.place(mark), key: key.into(), message: message.into() }
    }
}
