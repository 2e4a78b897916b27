//! A YAML file as a tree of values, each with its place.
//!
//! Scalars stay text: what a reader makes of `no` or `08` is the reader's business, so nothing is guessed here. Size,
//! depth and the number of values are bounded, so that no file can make it slow or large.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, Span};

use super::places::{Places, Problem};
use crate::session::spec::Mark;

/// Bytes of one file. Far more than anybody writes, little enough to be read at once.
pub const BYTES_MAX: usize = 8 << 20;
/// Values of one file, each use of an alias counted again: an alias bomb ends here.
const VALUES_MAX: usize = 200_000;
/// Entries of one list or map: what compares them with each other stays quick.
const ENTRIES_MAX: usize = 20_000;
/// Nesting of lists and maps; the configuration itself needs 9.
const DEPTH_MAX: usize = 64;

/// A value and where it begins.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it begins.
    pub at: Mark,
    /// What it is.
    pub value: Value,
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum Value {
    /// Nothing is written: an empty value, `~` or `null`.
    Nothing,
    /// A value whose fault has been told.
    Broken,
    /// A scalar.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<Entry>),
}

impl Value {
    /// What it is, for a message.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Nothing | Value::Broken => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// A scalar as text.
#[derive(Debug, Clone)]
pub struct Scalar {
    /// The text after quotes and escapes are resolved.
    pub text: String,
    /// Whether it was written in quotes or as a block, which makes it a text and nothing else.
    pub quoted: bool,
}

/// One key of a map and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub at: Mark,
    /// Its value.
    pub value: Node,
}

/// What replaces `${NAME}` in scalars; `None` = nothing is replaced.
pub type Environment<'e> = Option<&'e dyn Fn(&str) -> Option<String>>;

/// Reads one file. The root is `None` where nothing is written or where it could not be read.
pub fn parse(
    text: &str,
    file: u32,
    environment: Environment,
    places: &mut Places,
    problems: &mut Vec<Problem>,
) -> Option<Node> {
    let mut builder = Builder {
        file,
        environment,
        places,
        problems,
        stack: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        values: 0,
        documents: 0,
    };
    if text.len() > BYTES_MAX {
        builder.whole(format!("the file is larger than {} MiB; split it and use include", BYTES_MAX >> 20));
        return None;
    }
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = DEPTH_MAX;
    options.block_nesting_limit = DEPTH_MAX;
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => {
                if !builder.event(event, span) {
                    return None;
                }
            }
            Err(error) => {
                let mark = *error.marker();
                let at = builder.places.mark(file, mark.line(), mark.col() + 1);
                builder.problem(
                    at,
                    format!("this is not YAML: {}; check indentation and quotes here and above", error.info()),
                );
                return None;
            }
        }
    }
    builder.root
}

/// A list or map that is not closed yet.
struct Open {
    at: Mark,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    /// The entries, and the key whose value is awaited; `None` inside = a key that was refused.
    Map(Vec<Entry>, Option<Option<(String, Mark)>>),
}

struct Builder<'a, 'e> {
    file: u32,
    environment: Environment<'e>,
    places: &'a mut Places,
    problems: &'a mut Vec<Problem>,
    stack: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    root: Option<Node>,
    values: usize,
    documents: usize,
}

impl Builder<'_, '_> {
    fn problem(&mut self, at: Mark, message: impl Into<String>) {
        let problem = self.places.problem(at, "", message);
        self.problems.push(problem);
    }

    fn whole(&mut self, message: String) {
        let at = self.places.mark(self.file, 0, 0);
        self.problem(at, message);
    }

    /// Takes one event; `false` = give up.
    fn event(&mut self, event: Event, span: Span) -> bool {
        let at = self.places.mark(self.file, span.start.line(), span.start.col() + 1);
        if self.values >= VALUES_MAX {
            self.problem(at, format!("the file holds more than {VALUES_MAX} values, aliases counted; write less"));
            return false;
        }
        if let Some(tag) = event.tag()
            && !(event.scalar().is_some() && tag.is_yaml_core_schema_tag("str"))
        {
            self.problem(at, format!("the tag {tag} means nothing here; remove it"));
        }
        let entries = match self.stack.last().map(|open| &open.kind) {
            Some(OpenKind::List(items)) => items.len(),
            Some(OpenKind::Map(entries, _)) => entries.len(),
            None => 0,
        };
        if entries > ENTRIES_MAX {
            self.problem(at, format!("more than {ENTRIES_MAX} entries stand in one list or map; write fewer"));
            return false;
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents == 2 {
                    self.problem(at, "a second document begins here; one file holds one document, so remove the ---");
                    return false;
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = style != ScalarStyle::Plain || tag.is_some();
                let nothing = !quoted && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                let value =
                    if nothing { Value::Nothing } else { Value::Scalar(Scalar { text: text.into_owned(), quoted }) };
                self.add(Node { at, value }, anchor, 1);
            }
            Event::SequenceStart(_, anchor, _) => {
                self.stack.push(Open { at, anchor, kind: OpenKind::List(Vec::new()) })
            }
            Event::MappingStart(_, anchor, _) => {
                self.stack.push(Open { at, anchor, kind: OpenKind::Map(Vec::new(), None) });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.stack.pop() {
                    let value = match open.kind {
                        OpenKind::List(items) => Value::List(items),
                        OpenKind::Map(entries, _) => Value::Map(entries),
                    };
                    let node = Node { at: open.at, value };
                    self.add(node, open.anchor, 1);
                }
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some((mut node, size)) => {
                    node.at = at;
                    self.add(node, 0, size);
                }
                None => {
                    self.problem(at, "this alias stands inside its own anchor; write the value out");
                    self.add(Node { at, value: Value::Broken }, 0, 1);
                }
            },
            _ => {}
        }
        true
    }

    /// Puts a finished value where it belongs.
    fn add(&mut self, mut node: Node, anchor: usize, size: usize) {
        self.values += size;
        if anchor != 0 && self.values < VALUES_MAX {
            let size = count(&node);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let is_key = matches!(self.stack.last(), Some(Open { kind: OpenKind::Map(_, None), .. }));
        if is_key {
            let key = self.key(node);
            if let Some(Open { kind: OpenKind::Map(_, awaited), .. }) = self.stack.last_mut() {
                *awaited = Some(key);
            }
            return;
        }
        self.substitute(&mut node);
        match self.stack.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(OpenKind::List(items)) => items.push(node),
            Some(OpenKind::Map(entries, awaited)) => {
                let Some(Some((key, at))) = awaited.take() else { return };
                if let Some(earlier) = entries.iter().find(|entry| entry.key == key) {
                    let line = self.places.place(earlier.at).line;
                    self.problem(at, format!("{key} is already set in line {line}; set it once"));
                } else {
                    entries.push(Entry { key, at, value: node });
                }
            }
        }
    }

    /// The key that a value in key position is; `None` = it is none, which has been told.
    fn key(&mut self, node: Node) -> Option<(String, Mark)> {
        match node.value {
            Value::Scalar(scalar) if scalar.text == "<<" && !scalar.quoted => {
                self.problem(
                    node.at,
                    "<< does not merge here; write the keys out, or use an alias for the whole value",
                );
                None
            }
            Value::Scalar(scalar) => Some((scalar.text, node.at)),
            Value::Nothing => Some(("null".to_owned(), node.at)),
            Value::Broken => None,
            other => {
                self.problem(node.at, format!("{} cannot be a key; a key is a single word", other.kind()));
                None
            }
        }
    }

    /// Replaces `${NAME}` and `${NAME:-default}`; `$${` stands for the two characters themselves.
    fn substitute(&mut self, node: &mut Node) {
        let (Value::Scalar(scalar), Some(environment)) = (&mut node.value, self.environment) else { return };
        if !scalar.text.contains("${") {
            return;
        }
        match super::environment::substitute(&scalar.text, environment) {
            Ok((text, replaced)) => {
                scalar.text = text;
                // Quotes around a variable are a habit of the shell; what it holds may still be a number.
                scalar.quoted &= !replaced;
            }
            Err(message) => {
                let at = node.at;
                node.value = Value::Broken;
                self.problem(at, message);
            }
        }
    }
}

fn count(node: &Node) -> usize {
    match &node.value {
        Value::Nothing | Value::Broken => 1,
        // Long texts count more, so that an alias cannot multiply one without end either.
        Value::Scalar(scalar) => 1 + scalar.text.len() / 64,
        Value::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|entry| 1 + count(&entry.value)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a file is, and its problems, one a line.
    fn read(text: &str) -> String {
        let (mut places, mut problems) = (Places::new(), Vec::new());
        let file = places.add_file("f.yaml");
        let env = |name: &str| (name == "PORT").then(|| "8080".to_owned());
        let root = parse(text, file, Some(&env), &mut places, &mut problems);
        let mut out: String = root.map(|root| show(&root, &places)).unwrap_or_default();
        for problem in problems {
            out.push_str(&format!("\n{problem}"));
        }
        out
    }

    fn show(node: &Node, places: &Places) -> String {
        let place = places.place(node.at);
        let at = format!("{}:{}", place.line, place.column);
        match &node.value {
            Value::Nothing | Value::Broken => format!("-@{at}"),
            Value::Scalar(scalar) if scalar.quoted => format!("{:?}@{at}", scalar.text),
            Value::Scalar(scalar) => format!("{}@{at}", scalar.text),
            Value::List(items) => format!("[{}]", items.iter().map(|n| show(n, places)).collect::<Vec<_>>().join(" ")),
            Value::Map(entries) => {
                let entries: Vec<_> = entries.iter().map(|e| format!("{}={}", e.key, show(&e.value, places))).collect();
                format!("{{{}}}", entries.join(" "))
            }
        }
    }

    #[test]
    fn values_know_their_place() {
        assert_eq!(read("a: 1\nb:\n  - x\n  - \"no\"\n"), "{a=1@1:4 b=[x@3:5 \"no\"@4:5]}");
        assert_eq!(read("a: {ü: no, c: }\n"), "{a={ü=no@1:8 c=-@1:13}}");
    }

    #[test]
    fn a_key_is_set_once() {
        assert_eq!(
            read("a: 1\nb: 2\na: 3\n"),
            "{a=1@1:4 b=2@2:4}\nf.yaml:3:1: a is already set in line 1; set it once"
        );
    }

    #[test]
    fn an_alias_is_told_at_the_place_of_use() {
        assert_eq!(read("a: &x [1]\nb: *x\n"), "{a=[1@1:8] b=[1@1:8]}");
        assert!(read("a: &x [*x]\n").contains("inside its own anchor"));
        assert!(read("a: *x\n").contains("f.yaml:1:4: this is not YAML"));
    }

    #[test]
    fn an_alias_bomb_ends_early() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for n in 1..12 {
            text.push_str(&format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(",")));
        }
        assert!(read(&text).contains("more than 200000 values"));
    }

    #[test]
    fn lists_and_maps_are_bounded() {
        assert!(read(&"- x\n".repeat(30_000)).contains("f.yaml:20002:3: more than 20000 entries"));
        let keys: String = (0..30_000).map(|n| format!("k{n}: x\n")).collect();
        assert!(read(&keys).contains("more than 20000 entries"));
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(read(&"[".repeat(100_000)).contains("f.yaml:1:"));
        assert!(read(&"- ".repeat(100_000)).contains("f.yaml:1:"));
        assert!(read(&"{a: ".repeat(100_000)).contains("f.yaml:1:"));
    }

    #[test]
    fn a_tab_is_no_indentation() {
        assert!(read("a:\n\tb: 1\n").contains("f.yaml:2:"));
    }

    #[test]
    fn variables_are_replaced() {
        assert_eq!(read("a: ${PORT}\nb: \"${PORT}\"\nc: \"8080\"\n"), "{a=8080@1:4 b=8080@2:4 c=\"8080\"@3:4}");
        assert!(read("a: ${NOPE}\n").contains("f.yaml:1:4: the environment variable NOPE is not set"));
    }
}
