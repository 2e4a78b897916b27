//! The namespaces in scope (Namespaces in XML 1.0).
//!
//! Our own rather than `quick_xml::name::NamespaceResolver`: that one keeps `xmlns` values escaped, ends silently at the
//! first malformed attribute and allocates its reserved bindings for every message.

use smallvec::SmallVec;

use super::Stop;

/// Declarations in scope at once. Looking a prefix up walks them, so their number bounds the cost of a tag. Real messages
/// have fewer than 30; quick-xml's limit is 128 too.
const BINDINGS_MAX: usize = 128;

/// Bytes of one namespace name. Taste; real ones are shorter than 200.
const URI_BYTES_MAX: usize = 4096;

const XML: &[u8] = b"http://www.w3.org/XML/1998/namespace";

/// What a prefix stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Namespace<'a> {
    /// No namespace.
    None,
    /// This namespace name, unescaped.
    Uri(&'a [u8]),
    /// The prefix is not declared.
    Unbound,
}

/// One declaration: `text[start..uri]` is the prefix, `text[uri..end]` the namespace name.
#[derive(Debug, Clone, Copy)]
struct Binding {
    start: u32,
    uri: u32,
    end: u32,
}

/// The stack of declarations in scope.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    text: Vec<u8>,
    bindings: SmallVec<[Binding; 8]>,
}

impl Namespaces {
    /// The mark to come back to with [`Self::leave`].
    pub fn mark(&self) -> u32 {
        self.bindings.len() as u32
    }

    /// Forgets what was declared since `mark`.
    pub fn leave(&mut self, mark: u32) {
        if let Some(first) = self.bindings.get(mark as usize) {
            self.text.truncate(first.start as usize);
            self.bindings.truncate(mark as usize);
        }
    }

    /// Declares a prefix (empty: the default namespace) for a namespace name (empty: none).
    ///
    /// # Errors
    /// [`Stop::Limit`], with the declaration left out.
    pub fn declare(&mut self, prefix: &[u8], uri: &[u8]) -> Result<(), Stop> {
        if self.bindings.len() >= BINDINGS_MAX {
            return Err(Stop::Limit(format!("more than {BINDINGS_MAX} namespace declarations in scope")));
        }
        if uri.len() > URI_BYTES_MAX {
            return Err(Stop::Limit(format!("a namespace name is longer than {URI_BYTES_MAX} bytes")));
        }
        if self.text.capacity() == 0 {
            self.text.reserve(512);
        }
        let start = self.text.len() as u32;
        self.text.extend_from_slice(prefix);
        let middle = self.text.len() as u32;
        self.text.extend_from_slice(uri);
        self.bindings.push(Binding { start, uri: middle, end: self.text.len() as u32 });
        Ok(())
    }

    /// What an element's prefix stands for; the empty prefix is the default namespace.
    pub fn of_element(&self, prefix: &[u8]) -> Namespace<'_> {
        for binding in self.bindings.iter().rev() {
            let length = (binding.uri - binding.start) as usize;
            if length == prefix.len() && &self.text[binding.start as usize..binding.uri as usize] == prefix {
                let uri = &self.text[binding.uri as usize..binding.end as usize];
                return match (uri.is_empty(), prefix.is_empty()) {
                    (false, _) => Namespace::Uri(uri),
                    (true, true) => Namespace::None,
                    (true, false) => Namespace::Unbound,
                };
            }
        }
        match prefix {
            b"" => Namespace::None,
            b"xml" => Namespace::Uri(XML),
            _ => Namespace::Unbound,
        }
    }

    /// What an attribute's prefix stands for: without one, no namespace.
    pub fn of_attribute(&self, prefix: &[u8]) -> Namespace<'_> {
        if prefix.is_empty() { Namespace::None } else { self.of_element(prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_declaration_holds_until_its_element_ends() {
        let mut spaces = Namespaces::default();
        spaces.declare(b"a", b"urn:1").expect("room");
        let mark = spaces.mark();
        spaces.declare(b"a", b"urn:2").expect("room");
        spaces.declare(b"", b"urn:default").expect("room");
        assert_eq!(spaces.of_element(b"a"), Namespace::Uri(b"urn:2"));
        assert_eq!(spaces.of_element(b""), Namespace::Uri(b"urn:default"));
        assert_eq!(spaces.of_attribute(b""), Namespace::None);
        spaces.declare(b"", b"").expect("room");
        assert_eq!(spaces.of_element(b""), Namespace::None);
        spaces.leave(mark);
        assert_eq!(spaces.of_element(b"a"), Namespace::Uri(b"urn:1"));
        assert_eq!(spaces.of_element(b""), Namespace::None);
        assert_eq!(spaces.of_element(b"b"), Namespace::Unbound);
        assert_eq!(spaces.of_attribute(b"xml"), Namespace::Uri(XML));
    }

    #[test]
    fn declarations_are_bounded() {
        let mut spaces = Namespaces::default();
        for _ in 0..BINDINGS_MAX {
            spaces.declare(b"a", b"urn:1").expect("room");
        }
        assert!(matches!(spaces.declare(b"a", b"urn:1"), Err(Stop::Limit(_))));
    }
}
