//! Paths into an envelope: `header wsa:ReplyTo/wsa:ReferenceParameters/axis2:ServiceGroupId`.

use std::collections::BTreeMap;

use super::namespaces::Namespace;

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

impl NamespaceTest {
    /// Whether a namespace name passes. A prefix that is bound to nothing passes no test: real traffic has such names, and
    /// what they mean is anybody's guess.
    pub(super) fn accepts(&self, namespace: Namespace<'_>) -> bool {
        match (self, namespace) {
            (_, Namespace::Unbound) => false,
            (Self::Any, _) => true,
            (Self::None, found) => found == Namespace::None,
            (Self::OneOf(_), Namespace::None) => false,
            (Self::OneOf(list), Namespace::Uri(uri)) => list.iter().any(|one| match one.strip_suffix('*') {
                Some(beginning) => uri.starts_with(beginning.as_bytes()),
                None => uri == one.as_bytes(),
            }),
        }
    }
}

impl LocalTest {
    /// Whether a local name passes.
    pub(super) fn accepts(&self, local: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Is(name) => name.as_bytes() == local,
            Self::Like(pattern) => is_like(local, pattern.as_bytes()),
        }
    }
}

/// Whether `name` is like `pattern`, in which `*` stands for any run of bytes.
fn is_like(name: &[u8], pattern: &[u8]) -> bool {
    let mut pieces = pattern.split(|&byte| byte == b'*');
    let Some(mut rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        // The earliest place for each piece leaves the most room for the next ones.
        let Some(at) = memchr::memmem::find(rest, piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_in_a_local_name_is_any_run_of_characters() {
        for (pattern, name, is) in [
            ("*Key", "OrderKey", true),
            ("*Key", "Key", true),
            ("*Key", "KeyX", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("tracking.*", "tracking.conversationId", true),
        ] {
            assert_eq!(LocalTest::Like(pattern.into()).accepts(name.as_bytes()), is, "{name} like {pattern}");
        }
    }

    #[test]
    fn a_namespace_pattern_is_a_beginning() {
        let test = NamespaceTest::OneOf(vec!["urn:a".into(), "urn:b/*".into()]);
        assert!(test.accepts(Namespace::Uri(b"urn:a")));
        assert!(test.accepts(Namespace::Uri(b"urn:b/2")));
        assert!(!test.accepts(Namespace::Uri(b"urn:a/")));
        assert!(!test.accepts(Namespace::Uri(b"urn:b")));
        assert!(!test.accepts(Namespace::None));
        assert!(!test.accepts(Namespace::Unbound));
    }

    #[test]
    fn an_unbound_prefix_passes_no_test() {
        assert!(NamespaceTest::Any.accepts(Namespace::None));
        assert!(!NamespaceTest::Any.accepts(Namespace::Unbound));
        assert!(!NamespaceTest::None.accepts(Namespace::Unbound));
    }
}
