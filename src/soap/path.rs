//! Paths into an envelope: `header wsa:ReplyTo/wsa:ReferenceParameters/axis2:ServiceGroupId`.

use std::collections::BTreeMap;

/// Which part of the envelope a path begins in. Its first step tests the children of that part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Children of `soap:Header`.
    Header,
    /// Children of `soap:Body`.
    Body,
}

/// The prefixes a path may use: prefix → namespace URIs. A URI that ends in `*` stands for every URI that begins so.
pub type Prefixes = BTreeMap<String, Vec<String>>;

/// A compiled path: steps from the children of `part` down, then an attribute or the element's text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    /// Header or Body.
    pub part: Part,
    /// At least one.
    pub steps: Vec<Step>,
    /// `@name` behind the last step: the value is that attribute's, else the trimmed text of the element.
    pub attribute: Option<NameTest>,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// `**`: any number of elements, none included.
    AnyDepth,
    /// One element.
    Element {
        /// The element's name.
        name: NameTest,
        /// All must hold.
        predicates: Vec<Predicate>,
    },
}

/// A condition on the element of a step.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Predicate {
    /// `[@a='v']`.
    Attribute(NameTest, String),
    /// `[p:child='v']`: some child element has this trimmed text.
    Child(NameTest, String),
}

/// A test of an expanded name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NameTest {
    /// The namespace.
    pub namespace: NamespaceTest,
    /// The local name.
    pub local: LocalTest,
}

/// A test of a namespace name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NamespaceTest {
    /// `*:`, or the step `*`.
    Any,
    /// No prefix in the path: the name is in no namespace.
    None,
    /// One of these; a text that ends in `*` is a beginning.
    OneOf(Vec<String>),
}

/// A test of a local name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LocalTest {
    /// `*`.
    Any,
    /// Exactly this name.
    Is(String),
    /// A name with `*` in it; each `*` is any run of characters.
    Like(String),
}

/// Why a path is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PathError {
    /// Byte offset into the path's text.
    pub at: usize,
    /// What is wrong, and the way out.
    pub message: String,
}

impl Path {
    /// Reads the text behind `header` or `body`.
    ///
    /// # Errors
    /// A step that is not one, an unknown prefix, a `*` where none may be.
    pub fn parse(_part: Part, _text: &str, _prefixes: &Prefixes) -> Result<Path, PathError> {
        unimplemented!()
    }
}

/// Number of a path in its [`Wanted`].
pub type PathId = u16;

/// What a [`super::Reader`] shall look for: built once per configuration, shared by all messages.
#[derive(Debug, Default)]
pub struct Wanted {
    _paths: Vec<Path>,
}

impl Wanted {
    /// Nothing wanted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a path; an equal one is added once.
    pub fn add(&mut self, _path: Path) -> PathId {
        unimplemented!()
    }

    /// Also wants `wsa:Action` and the first Body child.
    pub fn want_operation(&mut self) {
        unimplemented!()
    }

    /// Also wants the text of a Fault.
    pub fn want_fault(&mut self) {
        unimplemented!()
    }

    /// Whether nothing of the message is wanted at all, so that it need not be read.
    pub fn is_empty(&self) -> bool {
        unimplemented!()
    }

    /// Whether a path of this part is wanted.
    pub fn wants(&self, _part: Part) -> bool {
        unimplemented!()
    }
}
