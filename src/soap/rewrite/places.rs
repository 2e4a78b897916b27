//! Where addresses stand: paths of rules, and what WSDL and XML Schema say.

use smallvec::SmallVec;

use crate::soap::element::Element;
use crate::soap::namespaces::Namespace;
use crate::soap::path::{LocalTest, NameTest, NamespaceTest, Part, Path, Predicate, Step};
use crate::soap::tag::Attribute;
use crate::soap::{Stop, escape};

const NS_WSDL11: &[u8] = b"http://schemas.xmlsoap.org/wsdl/";
const NS_WSDL20: &[u8] = b"http://www.w3.org/ns/wsdl";
const NS_SCHEMA: &[u8] = b"http://www.w3.org/2001/XMLSchema";
/// The bindings of WSDL 1.1 whose ports have an `address`.
const NS_BINDINGS: [&[u8]; 3] = [
    b"http://schemas.xmlsoap.org/wsdl/soap/",
    b"http://schemas.xmlsoap.org/wsdl/soap12/",
    b"http://schemas.xmlsoap.org/wsdl/http/",
];
/// Whose `wsdlLocation` says where the WSDL of an endpoint reference is: WSDL 2.0 and its drafts.
const NS_INSTANCES: [&[u8]; 3] = [
    b"http://www.w3.org/ns/wsdl-instance",
    b"http://www.w3.org/2006/01/wsdl-instance",
    b"http://www.w3.org/2004/08/wsdl-instance",
];
/// All versions of WS-Addressing.
pub(super) const NS_ADDRESSING: [&str; 4] = [
    "http://www.w3.org/2005/08/addressing",
    "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "http://schemas.xmlsoap.org/ws/2004/03/addressing",
    "http://schemas.xmlsoap.org/ws/2003/03/addressing",
];

/// The places in messages that hold addresses.
#[derive(Debug, Default)]
pub struct Places {
    paths: Vec<Path>,
    wsdl: bool,
}

/// Which steps of which paths are done: path and step.
pub(super) type Steps = SmallVec<[(u16, u16); 8]>;

/// What of an element is an address.
#[derive(Debug, Default)]
pub(super) struct Marked {
    /// Its text.
    pub text: bool,
    /// These of its attributes, by index.
    pub attributes: SmallVec<[usize; 2]>,
}

impl Places {
    /// These paths; and with `wsdl`, what WSDLs and schemas hold.
    pub fn new(paths: Vec<Path>, wsdl: bool) -> Self {
        Self { paths, wsdl }
    }

    /// `wsa:To`, of every version of WS-Addressing.
    pub fn wsa_to() -> Self {
        let namespace = NamespaceTest::OneOf(NS_ADDRESSING.map(str::to_owned).to_vec());
        let name = NameTest { namespace, local: LocalTest::Is("To".to_owned()) };
        let steps = vec![Step::Element { name, predicates: Vec::new() }];
        Self::new(vec![Path { part: Part::Header, steps, attribute: None }], false)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.wsdl
    }

    /// Whether some path is of this part.
    pub(super) fn wants(&self, part: Part) -> bool {
        self.paths.iter().any(|path| path.part == part)
    }

    /// Whether the children of WSDLs and schemas are looked at.
    pub(super) fn wsdl(&self) -> bool {
        self.wsdl
    }

    /// Where the paths of a part begin.
    pub(super) fn begin(&self, part: Part) -> Steps {
        let mut steps = Steps::new();
        for (number, path) in self.paths.iter().enumerate().take(usize::from(u16::MAX)) {
            if path.part == part {
                self.add(&mut steps, number as u16, 0);
            }
        }
        steps
    }

    /// The steps that are done with an element whose parent had done `before`.
    ///
    /// # Errors
    /// [`Stop::Malformed`] for a broken reference in an attribute that a path asks for.
    pub(super) fn enter(&self, before: &Steps, element: &Element<'_>, marked: &mut Marked) -> Result<Steps, Stop> {
        let mut after = Steps::new();
        for &(number, done) in before {
            let path = &self.paths[usize::from(number)];
            match &path.steps[usize::from(done)] {
                Step::AnyDepth => self.add(&mut after, number, done),
                Step::Element { name, predicates } if element.is(name) && holds(predicates, element)? => {
                    if usize::from(done) + 1 < path.steps.len() {
                        self.add(&mut after, number, done + 1);
                    } else if let Some(name) = &path.attribute {
                        let all = element.attributes.iter().enumerate();
                        let found = all.filter(|(_, one)| element.attribute_is(one, name)).map(|(index, _)| index);
                        marked.attributes.extend(found);
                    } else {
                        marked.text = true;
                    }
                }
                Step::Element { .. } => {}
            }
        }
        Ok(after)
    }

    /// Adds a step, and where it is `**` also the one behind it: `**` stands for no element, too.
    fn add(&self, steps: &mut Steps, number: u16, mut done: u16) {
        let path = &self.paths[usize::from(number)];
        loop {
            if usize::from(done) >= path.steps.len() || steps.contains(&(number, done)) {
                return;
            }
            steps.push((number, done));
            match path.steps[usize::from(done)] {
                Step::AnyDepth => done += 1,
                Step::Element { .. } => return,
            }
        }
    }
}

/// Whether an element is a WSDL or a schema.
pub(super) fn is_description(element: &Element<'_>) -> bool {
    match element.namespace() {
        Namespace::Uri(NS_WSDL11) => element.tag.local == b"definitions",
        Namespace::Uri(NS_WSDL20) => element.tag.local == b"description",
        Namespace::Uri(NS_SCHEMA) => element.tag.local == b"schema",
        _ => false,
    }
}

/// Marks what is an address by the words of WSDL and schemas. `in_reference`: the parent is an `EndpointReference`.
pub(super) fn mark_description(element: &Element<'_>, in_reference: bool, marked: &mut Marked) {
    let Namespace::Uri(namespace) = element.namespace() else { return };
    if element.tag.local == b"Metadata" && is_addressing(namespace) {
        let is_it = |one: &Attribute<'_>| {
            let namespace = element.spaces.of_attribute(one.prefix());
            one.local() == b"wsdlLocation" && NS_INSTANCES.iter().any(|&instance| namespace == Namespace::Uri(instance))
        };
        marked.attributes.extend(element.attributes.iter().position(is_it));
        return;
    }
    let attribute: &[u8] = match (namespace, element.tag.local) {
        (namespace, b"address") if NS_BINDINGS.contains(&namespace) => b"location",
        (NS_WSDL11 | NS_WSDL20, b"import") | (NS_WSDL20, b"include") => b"location",
        (NS_WSDL20, b"endpoint") => b"address",
        (NS_SCHEMA, b"import" | b"include" | b"redefine" | b"override") => b"schemaLocation",
        (namespace, b"Address") if in_reference && is_addressing(namespace) => {
            marked.text = true;
            return;
        }
        _ => return,
    };
    let found = element.attributes.iter().position(|one| one.prefix().is_empty() && one.local() == attribute);
    marked.attributes.extend(found);
}

/// Whether this is WS-Addressing, of any version.
fn is_addressing(namespace: &[u8]) -> bool {
    NS_ADDRESSING.iter().any(|one| one.as_bytes() == namespace)
}

/// Whether an element passes the predicates. One on a child's text does not: the text comes too late.
fn holds(predicates: &[Predicate], element: &Element<'_>) -> Result<bool, Stop> {
    for predicate in predicates {
        let Predicate::Attribute(name, wanted) = predicate else { return Ok(false) };
        let mut has = false;
        for attribute in element.attributes_that_are(name) {
            has |= *escape::attribute_value(attribute.raw)? == *wanted.as_bytes();
        }
        if !has {
            return Ok(false);
        }
    }
    Ok(true)
}
