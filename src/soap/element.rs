//! A start tag as the rules see it: expanded names, attributes, and what multirefs need of it.

use std::borrow::Cow;

use super::namespaces::{Namespace, Namespaces};
use super::place::Place;
use super::tag::{Attribute, Tag};
use super::{NameTest, Stop, escape};

/// The namespace of SOAP 1.2's encoding, whose `id` and `ref` link multirefs (SOAP 1.2 Part 2 §3.1.5).
const NS_ENCODING12: &[u8] = b"http://www.w3.org/2003/05/soap-encoding";

/// A start tag with the namespaces in scope.
pub(super) struct Element<'a> {
    /// The tag.
    pub tag: Tag<'a>,
    /// Its attributes, namespace declarations included.
    pub attributes: &'a [Attribute<'a>],
    /// Where the tag's content begins, behind `<`.
    pub place: Place,
    /// What is in scope, the tag's own declarations included.
    pub spaces: &'a Namespaces,
}

impl<'a> Element<'a> {
    pub fn new(tag: Tag<'a>, attributes: &'a [Attribute<'a>], place: Place, spaces: &'a Namespaces) -> Self {
        Self { tag, attributes, place, spaces }
    }

    /// The element's namespace.
    pub fn namespace(&self) -> Namespace<'a> {
        self.spaces.of_element(self.tag.prefix)
    }

    /// Whether the element's name passes a test.
    pub fn is(&self, test: &NameTest) -> bool {
        test.local.accepts(self.tag.local) && test.namespace.accepts(self.namespace())
    }

    /// Whether an attribute's name passes a test.
    pub fn attribute_is(&self, attribute: &Attribute<'_>, test: &NameTest) -> bool {
        attribute.declares().is_none()
            && test.local.accepts(attribute.local())
            && test.namespace.accepts(self.spaces.of_attribute(attribute.prefix()))
    }

    /// The attributes whose name passes a test.
    pub fn attributes_that_are(&self, test: &NameTest) -> impl Iterator<Item = &Attribute<'a>> {
        self.attributes.iter().filter(|attribute| self.attribute_is(attribute, test))
    }

    /// The id that multirefs may name: `id`, or `id` of SOAP 1.2's encoding.
    ///
    /// # Errors
    /// [`Stop::Malformed`] for a broken reference in it.
    pub fn id(&self) -> Result<Option<Cow<'a, [u8]>>, Stop> {
        self.link(b"id", b"id")
    }

    /// The id that the element names: `href="#id"` (SOAP 1.1 §5.4.1), or `ref` of SOAP 1.2's encoding, with or without `#`.
    ///
    /// # Errors
    /// [`Stop::Malformed`] for a broken reference in it.
    pub fn href(&self) -> Result<Option<Cow<'a, [u8]>>, Stop> {
        for attribute in self.attributes {
            if attribute.prefix().is_empty() && attribute.local() == b"href" && attribute.raw.first() == Some(&b'#') {
                return escape::attribute_value(&attribute.raw[1..]).map(Some);
            }
        }
        let found = self.link(b"", b"ref")?;
        Ok(found.map(|id| match id {
            Cow::Borrowed(id) => Cow::Borrowed(id.strip_prefix(b"#").unwrap_or(id)),
            Cow::Owned(id) => Cow::Owned(id.strip_prefix(b"#").unwrap_or(&id).to_vec()),
        }))
    }

    fn link(&self, plain: &[u8], encoded: &[u8]) -> Result<Option<Cow<'a, [u8]>>, Stop> {
        let is_link = |attribute: &&Attribute<'_>| {
            if attribute.prefix().is_empty() {
                attribute.local() == plain
            } else {
                attribute.local() == encoded
                    && self.spaces.of_attribute(attribute.prefix()) == Namespace::Uri(NS_ENCODING12)
            }
        };
        self.attributes.iter().find(is_link).map(|attribute| escape::attribute_value(attribute.raw)).transpose()
    }

    /// The place behind the tag.
    pub fn behind(&self, content: &[u8]) -> u64 {
        self.place.behind(content).behind(b">").at
    }
}
