//! Paths as they are written in the configuration.
//!
//! ```text
//! path      = step *("/" step) ["/@" name]
//! step      = "**" / name *predicate
//! name      = [prefix ":"] local        ; prefix may be *, local may hold *; "*" alone is any name
//! predicate = "[" ("@" name / name) "=" ('...' / "...") "]"
//! ```

use super::{LocalTest, NameTest, NamespaceTest, Part, Path, PathError, Predicate, Prefixes, Step};

impl Path {
    /// Reads the text behind `header` or `body`.
    ///
    /// # Errors
    /// A step that is not one, an unknown prefix, a `*` where none may be.
    pub fn parse(part: Part, text: &str, prefixes: &Prefixes) -> Result<Path, PathError> {
        let mut reader = Text { text, at: text.len() - text.trim_start().len(), prefixes };
        let mut steps = Vec::new();
        let mut attribute = None;
        loop {
            if reader.rest().starts_with('@') {
                reader.at += 1;
                attribute = Some(reader.name("an attribute name")?);
                if !reader.rest().trim_end().is_empty() {
                    return Err(reader.error("an attribute ends the path; remove what follows it"));
                }
                break;
            }
            let step = reader.step()?;
            if step == Step::AnyDepth && steps.last() == Some(&Step::AnyDepth) {
                return Err(reader.error("** behind ** says nothing more; write it once"));
            }
            steps.push(step);
            if reader.rest().trim_end().is_empty() {
                break;
            }
            if !reader.take('/') {
                return Err(reader.error("expected / or the end of the path"));
            }
        }
        if steps.is_empty() {
            return Err(PathError { at: 0, message: "a path needs at least one step before an attribute".into() });
        }
        Ok(Path { part, steps, attribute })
    }
}

/// The text and the place reading has come to.
struct Text<'a> {
    text: &'a str,
    at: usize,
    prefixes: &'a Prefixes,
}

impl<'a> Text<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take(&mut self, expected: char) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.at += expected.len_utf8();
        }
        found
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn error(&self, message: impl Into<String>) -> PathError {
        PathError { at: self.at, message: message.into() }
    }

    fn step(&mut self) -> Result<Step, PathError> {
        if let Some(behind) = self.rest().strip_prefix("**") {
            if !(behind.is_empty() || behind.starts_with('/') || behind.trim_end().is_empty()) {
                return Err(self.error("** stands alone between slashes; for one element of any name write *"));
            }
            self.at += 2;
            return Ok(Step::AnyDepth);
        }
        let name = self.name("a step")?;
        let mut predicates = Vec::new();
        while self.take('[') {
            predicates.push(self.predicate()?);
        }
        Ok(Step::Element { name, predicates })
    }

    fn predicate(&mut self) -> Result<Predicate, PathError> {
        self.skip_spaces();
        let attribute = self.take('@');
        let name = self.name("a name")?;
        self.skip_spaces();
        if !self.take('=') {
            return Err(self.error("expected = in the predicate: [@name='value'] or [child='value']"));
        }
        self.skip_spaces();
        let quote = match self.rest().chars().next() {
            Some(quote @ ('\'' | '"')) => quote,
            _ => return Err(self.error("expected a value in quotes: [@name='value']")),
        };
        self.at += 1;
        let Some(length) = self.rest().find(quote) else {
            return Err(self.error(format!("the value has no closing {quote}")));
        };
        let value = self.rest()[..length].to_owned();
        self.at += length + 1;
        self.skip_spaces();
        if !self.take(']') {
            return Err(self.error("expected ] at the end of the predicate"));
        }
        Ok(if attribute { Predicate::Attribute(name, value) } else { Predicate::Child(name, value.trim().to_owned()) })
    }

    /// Reads `[prefix:]local`.
    fn name(&mut self, what: &str) -> Result<NameTest, PathError> {
        let start = self.at;
        let length =
            self.rest().find(|c: char| "/[]=@'\"".contains(c) || c.is_whitespace()).unwrap_or(self.rest().len());
        let word = &self.rest()[..length];
        let (prefix, local) = match word.split_once(':') {
            Some((prefix, local)) => (Some(prefix), local),
            None => (None, word),
        };
        if local.is_empty() || prefix == Some("") || local.contains(':') {
            return Err(self.error(format!("expected {what}: name, p:name, *:name, * or **")));
        }
        if local.contains("**") {
            return Err(self.error("** stands alone between slashes; inside a name write one *"));
        }
        let namespace = match prefix {
            Some("*") => NamespaceTest::Any,
            None if local == "*" => NamespaceTest::Any,
            None => NamespaceTest::None,
            Some(prefix) => match self.prefixes.get(prefix) {
                Some(uris) => NamespaceTest::OneOf(uris.clone()),
                None if prefix.contains('*') => {
                    return Err(self.error("a prefix is a whole word or *; write * or list the namespaces under it"));
                }
                None => {
                    return Err(self.error(format!("the prefix {prefix} is not declared; add it under `namespaces`")));
                }
            },
        };
        let local = match local {
            "*" => LocalTest::Any,
            like if like.contains('*') => LocalTest::Like(like.to_owned()),
            is => LocalTest::Is(is.to_owned()),
        };
        self.at = start + length;
        Ok(NameTest { namespace, local })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes() -> Prefixes {
        [("p", "urn:p"), ("q", "urn:q/*")].iter().map(|(p, u)| ((*p).to_owned(), vec![(*u).to_owned()])).collect()
    }

    fn parse(text: &str) -> Result<Path, PathError> {
        Path::parse(Part::Body, text, &prefixes())
    }

    fn element(text: &str) -> NameTest {
        match parse(text).expect("a path").steps.remove(0) {
            Step::Element { name, .. } => name,
            Step::AnyDepth => panic!("** is no element"),
        }
    }

    #[test]
    fn a_name_without_prefix_is_in_no_namespace_but_a_star_is_any_name() {
        assert_eq!(element("a").namespace, NamespaceTest::None);
        assert_eq!(element("a").local, LocalTest::Is("a".into()));
        assert_eq!(element("*").namespace, NamespaceTest::Any);
        assert_eq!(element("*:*").namespace, NamespaceTest::Any);
        assert_eq!(element("*:a").namespace, NamespaceTest::Any);
        assert_eq!(element("p:*").local, LocalTest::Any);
        assert_eq!(element("p:*Key").local, LocalTest::Like("*Key".into()));
        assert_eq!(element("p:*Key").namespace, NamespaceTest::OneOf(vec!["urn:p".into()]));
    }

    #[test]
    fn predicates_and_attributes_are_read() {
        let path = parse("**/p:a[@id='1'][q:c = \" x \"]/b/@p:t").expect("a path");
        assert_eq!(path.steps.len(), 3);
        assert_eq!(path.steps[0], Step::AnyDepth);
        let Step::Element { predicates, .. } = &path.steps[1] else { panic!("an element") };
        assert!(matches!(&predicates[0], Predicate::Attribute(_, value) if value == "1"));
        assert!(matches!(&predicates[1], Predicate::Child(_, value) if value == "x"));
        assert!(path.attribute.is_some());
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_place() {
        for (text, at) in [
            ("", 0),
            ("@a", 0),
            ("a//b", 2),
            ("a/", 2),
            ("/a", 0),
            ("x:a", 0),
            ("a/x:b", 2),
            ("**/**", 5),
            ("**[@a='1']", 0),
            ("***", 0),
            ("a**b", 0),
            ("p*:a", 0),
            ("a:b:c", 0),
            (":a", 0),
            ("p:", 0),
            ("a[", 2),
            ("a[b]", 3),
            ("a[b=1]", 4),
            ("a[b='1]", 5),
            ("a[b='1'", 7),
            ("a[@='1']", 3),
            ("a/@b/c", 4),
            ("a/@", 3),
            ("a b", 1),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.at, at, "{text}: {error}");
        }
    }
}
