//! The whole floor: files as they are written, the reference configuration, and hostile ones.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::tree::{self, Node, Value};
use super::*;

const REFERENCE: &str = include_str!("../../config.yaml");

/// What `check` tells of a file, one line each.
fn told(result: &Result<Loaded, Vec<Problem>>) -> String {
    let lines: Vec<String> = match result {
        Ok(loaded) => {
            loaded.warnings.iter().map(|warning| format!("warning: {warning}")).chain(["good".to_owned()]).collect()
        }
        Err(problems) => problems.iter().map(Problem::to_string).collect(),
    };
    lines.join("\n") + "\n"
}

/// Each `tests/config/*.yaml` is told as its `.expected` says; `UPDATE_EXPECTED=1` writes them.
#[test]
fn files_are_told_as_expected() {
    let folder = Path::new("tests/config");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is in the repository").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        count += 1;
        let env = |name: &str| (name == "SET").then(|| "1".to_owned());
        let told = told(&Config::load_with(&path, Some(&env)));
        let expected = path.with_extension("expected");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&expected, &told).expect("expectations can be written");
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(told, expected, "{}", path.display());
    }
    assert!(count > 10, "{count}");
}

fn reference() -> Loaded {
    Config::parse(REFERENCE, "config.yaml").unwrap_or_else(|problems| panic!("{}", problems[0]))
}

#[test]
fn the_reference_is_good_and_would_warn_of_memory_only() {
    let warnings = |loaded: Loaded| loaded.warnings.iter().map(|warning| warning.key.clone()).collect::<Vec<_>>();
    assert_eq!(warnings(reference()), [""; 0]);
    let memory = REFERENCE.replace("store: {disk: castile.redb, durability: relaxed}", "store: memory");
    let memory = Config::parse(&memory, "c.yaml").unwrap_or_else(|problems| panic!("{}", problems[0]));
    assert_eq!(warnings(memory), ["affinity.store"]);
}

#[test]
fn what_the_reference_says_is_the_default_or_marked_as_an_example() {
    let loaded = reference();
    let lines: Vec<&str> = REFERENCE.lines().collect();
    let is_example = |line: &str| line.contains("# example");
    let mut used = BTreeSet::new();
    for written in &loaded.written {
        let number = loaded.places.place(written.at).line as usize;
        let line = lines[number - 1];
        // A list or map that goes on below stands for its lines, which are looked at themselves.
        if written.value.starts_with(['[', '{']) && !line.contains(['[', '{']) {
            continue;
        }
        used.insert(number);
        assert!(is_example(line), "{} is not the default, but line {number} is not marked: {line}", written.key);
    }
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| is_example(line)) {
        assert!(used.contains(&(number + 1)), "line {} is marked, but says nothing but defaults: {line}", number + 1);
    }
}

/// The reference with one of its absent keys set, for each of them.
fn variants() -> Vec<(String, String)> {
    let lines: Vec<&str> = REFERENCE.lines().collect();
    let off = |line: &str| {
        let (indent, rest) = line.split_at(line.find('#')?);
        let key = rest[1..].split(':').next()?;
        let is_key =
            indent.trim().is_empty() && !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        is_key.then(|| (format!("{indent}{key}:"), format!("{indent}{}", &rest[1..])))
    };
    let mut variants = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let Some((begin, set)) = off(line) else { continue };
        // A key that is already set nearby gives way.
        let same = lines[..number].iter().rposition(|line| line.starts_with(&begin)).filter(|same| number - same < 8);
        let text = lines.iter().enumerate().filter(|(at, _)| Some(*at) != same);
        let text: String = text.map(|(at, line)| format!("{}\n", if at == number { &set } else { *line })).collect();
        variants.push((line.trim().to_owned(), text));
    }
    variants
}

#[test]
fn every_absent_key_of_the_reference_is_shown_as_it_may_be_written() {
    let variants = variants();
    assert!(variants.len() > 30, "{}", variants.len());
    for (line, text) in variants {
        let Err(problems) = Config::parse(&text, "config.yaml") else { continue };
        for problem in problems {
            // The files it names are examples, and a shared store needs the key that stands further down.
            let is_expected =
                ["cannot read", "gateways that share"].iter().any(|begin| problem.message.starts_with(begin));
            assert!(is_expected, "{line}\n{problem}");
        }
    }
}

#[test]
fn the_lifetimes_in_the_reference_are_the_defaults() {
    let (_, text) = variants().into_iter().find(|(line, _)| line.starts_with("#ttl: {idle")).expect("it is shown");
    let loaded = Config::parse(&text, "config.yaml").unwrap_or_else(|problems| panic!("{}", problems[0]));
    let ttl =
        &loaded.config.upstream("counter").and_then(|upstream| upstream.sticky.as_ref()).expect("it is sticky").ttl;
    assert_eq!(ttl.idle, Some(model::TtlPolicy::IDLE));
    assert_eq!(ttl.max, Some(model::TtlPolicy::MAX));
    assert_eq!(ttl.linger, Some(model::TtlPolicy::LINGER));
    assert_eq!(model::TtlPolicy::IDLE, crate::session::TTL_IDLE_DEFAULT);
}

#[test]
fn every_key_of_the_schema_is_in_the_reference() {
    let mut documented = BTreeSet::new();
    let variants = variants();
    for text in variants.iter().map(|(_, text)| text.as_str()).chain([REFERENCE]) {
        let (mut places, mut problems) = (Places::new(), Vec::new());
        let root = tree::parse(text, 0, None, &mut places, &mut problems).expect("the reference is YAML");
        keys_of(&root, "", &mut documented);
    }
    let known: BTreeSet<String> = schema::keys().into_iter().collect();
    for key in &known {
        // The parts of selectors and secrets, and TLS as on listeners, are shown once.
        let last = key.rsplit('.').next().unwrap_or_default();
        let tls = key.starts_with("admin.tls.") || key.starts_with("mcmp.tls.");
        let shown_once = ["at", "via", "is", "regex", "file"].contains(&last) || tls;
        let condition = key.starts_with("upstreams.sticky.end.") || key.starts_with("upstreams.sticky.lost.");
        assert!(documented.contains(key) || shown_once || condition, "{key} is not in config.yaml");
    }
    for key in documented {
        assert!(known.contains(&key), "{key} is not in the schema");
    }
}

fn keys_of(node: &Node, way: &str, keys: &mut BTreeSet<String>) {
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                let is_name = way == "upstreams" || way.ends_with("namespaces");
                let key = if is_name { "*" } else { entry.key.as_str() };
                let below = if way.is_empty() { key.to_owned() } else { format!("{way}.{key}") };
                if !is_name {
                    keys.insert(below.replace(".*", ""));
                }
                keys_of(&entry.value, &below, keys);
            }
        }
        Value::List(items) => items.iter().for_each(|item| keys_of(item, way, keys)),
        Value::Nothing | Value::Broken | Value::Scalar(_) => {}
    }
}

#[test]
fn the_effective_configuration_says_the_same_again() {
    let first = reference().effective.to_yaml();
    let again = Config::parse(&first, "effective.yaml").unwrap_or_else(|problems| panic!("{first}{}", problems[0]));
    assert_eq!(first, again.effective.to_yaml());
}

#[test]
fn secrets_are_not_shown() {
    let text = REFERENCE.replace(
        "  store: {disk: castile.redb, durability: relaxed}",
        "  store: {redis: {url: 'redis://u:hunter2@h'}}\n  fingerprint_key: 0123456789abcdef",
    );
    let loaded = Config::parse(&text, "c.yaml").unwrap_or_else(|problems| panic!("{}", problems[0]));
    let all = format!("{}{:?}{:?}", loaded.effective.to_yaml(), loaded.config, loaded.written);
    assert!(!all.contains("hunter2") && all.contains("(secret)"));
    assert!(
        matches!(&loaded.config.affinity.store, model::Store::Redis { url, .. } if url.reveal().ends_with("hunter2@h"))
    );
}

#[test]
fn what_workers_hold_needs_a_restart() {
    let old = reference().config;
    assert_eq!(needs_restart(&old, &old.clone()), []);
    let text = REFERENCE.replace("workers: auto", "workers: 3").replace("weight: 1", "weight: 2");
    let new = Config::parse(&text, "c.yaml").unwrap_or_else(|problems| panic!("{}", problems[0])).config;
    let keys: Vec<_> = needs_restart(&old, &new).into_iter().map(|found| found.key).collect();
    assert_eq!(keys, ["workers"]);
}

#[test]
fn nodes_that_share_sessions_fail_over() {
    let down = |text: &str| {
        let loaded = Config::parse(text, "c.yaml").unwrap_or_else(|problems| panic!("{}", problems[0]));
        loaded.config.upstreams[1].sticky.as_ref().map(|sticky| sticky.on_node_down)
    };
    let shared = REFERENCE
        .replace("    sticky: {presets: [servlet", "    nodes_share_sessions: all\n    sticky: {presets: [servlet");
    assert_eq!(down(REFERENCE), Some(model::OnNodeDown::Fault));
    assert_eq!(down(&shared), Some(model::OnNodeDown::Failover));
    let written = shared.replace("{presets: [servlet", "{on_node_down: fault, presets: [servlet");
    assert_eq!(down(&written), Some(model::OnNodeDown::Fault));
}

#[test]
fn own_rules_stand_behind_presets_and_know_all_prefixes() {
    let text = REFERENCE.replace(
        "sticky: {presets: [servlet-jsessionid]}",
        "sticky: {presets: [php-session, servlet-jsessionid], keys: [{key: k, match: header bk:A/wsa:B}]}",
    );
    let loaded = Config::parse(&text, "c.yaml").unwrap_or_else(|problems| panic!("{}", problems[0]));
    let sticky = loaded.config.upstreams[1].sticky.as_ref().expect("it is sticky");
    let names: Vec<_> = sticky.rules.iter().map(|rules| rules.name.as_str()).collect();
    assert_eq!(names, ["php-session", "servlet-jsessionid", "cookies"]);
    assert!(sticky.rules[2].namespaces.contains_key("bk") && sticky.rules[2].namespaces.contains_key("wsa"));
    assert!(!sticky.rules[0].namespaces.contains_key("bk"), "prefixes of the file are not for presets");
}

#[test]
fn the_bundle_is_unfolded_in_its_place() {
    let sticky =
        parse_sticky("presets: [default, tr069-cwmp]", "s.yaml").unwrap_or_else(|problems| panic!("{}", problems[0]));
    assert_eq!(sticky.rules.len(), presets::bundle().len() + 1);
    assert_eq!(sticky.rules.last().map(|rules| rules.name.as_str()), Some("tr069-cwmp"));
}

/// Reads, and makes all that can be made of it. What is shown of a good one is good, and shown the same again.
fn survives(text: &str) {
    let none = |_: &str| None;
    let result = Config::parse_with(text, "f.yaml", Some(&none));
    let _ = told(&result);
    let Ok(loaded) = result else { return };
    let shown = loaded.effective.to_yaml();
    if shown.contains(super::show::REDACTED) {
        return;
    }
    match Config::parse_with(&shown, "f.yaml", Some(&none)) {
        Ok(again) => assert_eq!(shown, again.effective.to_yaml()),
        Err(problems) => panic!("{shown}\n{}", problems[0]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_text_is_too_strange(text in "(\\PC|\n|\t){0,200}") {
        survives(&text);
    }

    /// A configuration with a piece cut out, doubled or replaced.
    #[test]
    fn no_damaged_file_is_too_strange(at in 0..REFERENCE.len(), length in 0usize..40, with in "[-\\[\\]{}:,*&!|>'\"%@`#?a-z0-9 \n]{0,6}") {
        let floor = |mut at: usize| { while !REFERENCE.is_char_boundary(at) { at -= 1 } at };
        let (start, end) = (floor(at), floor((at + length).min(REFERENCE.len())));
        survives(&format!("{}{with}{}", &REFERENCE[..start], &REFERENCE[end..]));
    }
}
