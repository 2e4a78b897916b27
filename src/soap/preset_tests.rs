//! The paths of all presets (`tests/paths/presets.txt`), alone and all at once.

use std::fmt::Write;
use std::sync::Arc;

use super::*;

/// Every path of the presets, with its line.
fn paths() -> Vec<(String, Path)> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/paths/presets.txt");
    let text = std::fs::read_to_string(file).expect("the presets' paths");
    let (mut prefixes, mut paths) = (Prefixes::new(), Vec::new());
    for line in text.lines() {
        match line.split_once(' ').expect("a word and more") {
            ("preset", _) => prefixes.clear(),
            ("ns", declaration) => {
                let mut words = declaration.split(' ').map(str::to_owned);
                prefixes.insert(words.next().expect("a prefix"), words.collect());
            }
            (part, path) => {
                let part = if part == "header" { Part::Header } else { Part::Body };
                let parsed = Path::parse(part, path, &prefixes);
                paths.push((line.to_owned(), parsed.unwrap_or_else(|error| panic!("{line}: {error}"))));
            }
        }
    }
    paths
}

/// A name that passes a test: its namespace and local name.
fn name(test: &NameTest) -> (String, String) {
    let namespace = match &test.namespace {
        NamespaceTest::Any => "urn:any".to_owned(),
        NamespaceTest::None => String::new(),
        NamespaceTest::OneOf(list) => list[0].replace('*', "x"),
    };
    let local = match &test.local {
        LocalTest::Any => "any".to_owned(),
        LocalTest::Is(name) => name.clone(),
        LocalTest::Like(pattern) => pattern.replace('*', "x"),
    };
    (namespace, local)
}

/// An attribute of this name.
fn attribute(test: &NameTest, value: &str) -> String {
    let (namespace, local) = name(test);
    if namespace.is_empty() || test.namespace == NamespaceTest::Any {
        format!(" {local}='{value}'")
    } else {
        format!(" xmlns:{local}0='{namespace}' {local}0:{local}='{value}'")
    }
}

/// The shortest header or body content in which a path finds `value`.
fn instance(path: &Path, value: &str) -> String {
    let mut content = if path.attribute.is_some() { String::new() } else { value.to_owned() };
    for (number, step) in path.steps.iter().enumerate().rev() {
        let value_attribute = path.attribute.as_ref().filter(|_| number + 1 == path.steps.len());
        let value_attribute = value_attribute.map(|test| attribute(test, value)).unwrap_or_default();
        let Step::Element { name: test, predicates } = step else {
            content = format!("<between xmlns=''{value_attribute}>{content}</between>");
            continue;
        };
        let (namespace, local) = name(test);
        let mut tag = format!("{local} xmlns='{namespace}'{value_attribute}");
        for predicate in predicates {
            match predicate {
                Predicate::Attribute(test, value) => tag += &attribute(test, value),
                Predicate::Child(test, value) => {
                    let (namespace, local) = name(test);
                    write!(content, "<{local} xmlns='{namespace}'>{value}</{local}>").expect("memory");
                }
            }
        }
        content = format!("<{tag}>{content}</{local}>");
    }
    content
}

fn read(wanted: &Arc<Wanted>, message: &str) -> Facts {
    let mut reader = Reader::new(wanted.clone(), Content::default(), Limits::default());
    reader.push(message.as_bytes());
    reader.end();
    assert_eq!(*reader.state(), State::Stopped(Stop::Decided), "{message}");
    reader.facts().clone()
}

#[test]
fn every_path_of_the_presets_finds_its_value_alone_and_among_all_others() {
    let paths = paths();
    assert!(paths.len() > 200);
    let mut all = Wanted::new();
    let ids: Vec<PathId> = paths.iter().map(|(_, path)| all.add(path.clone())).collect();
    let all = Arc::new(all);
    for ((line, path), id) in paths.iter().zip(ids) {
        let inside = instance(path, "the value");
        let (header, body) = if path.part == Part::Header { (inside.as_str(), "") } else { ("", inside.as_str()) };
        let message = format!(
            "<e:Envelope xmlns:e='{NS_SOAP11}'><e:Header>{header}</e:Header><e:Body>{body}</e:Body></e:Envelope>"
        );
        let mut alone = Wanted::new();
        let only = alone.add(path.clone());
        let values =
            |facts: Facts, id| -> Vec<Found> { facts.found.into_iter().filter(|one| one.path == id).collect() };
        let alone = values(read(&Arc::new(alone), &message), only);
        assert!(alone.iter().any(|one| one.value == "the value"), "{line} in {message}");
        let mut among = values(read(&all, &message), id);
        among.iter_mut().for_each(|one| one.path = only);
        assert_eq!(among, alone, "{line} in {message}");
        let elsewhere = message.replace("e:Header>", "e:Other>").replace("e:Body>", "e:Else>");
        let elsewhere = values(read(&all, &elsewhere), id);
        assert_eq!(elsewhere, [], "{line}");
    }
}
