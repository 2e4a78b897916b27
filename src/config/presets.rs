//! The presets: tested sets of rules for products and standards, inside the binary.
//!
//! They are written in the same language as the file and read by the same reader.

use std::sync::OnceLock;

use super::forms::{AnyText, Flag, Word};
use super::places::{Places, Problem};
use super::read::{Cx, Section, nearest};
use super::sections::rules;
use super::show::Shown;
use super::tree;
use crate::session::spec::{Connection, Mark, Only, Rules, Ttl};
use crate::soap::Prefixes;

/// The bundle of all presets that are safe together.
pub const DEFAULT: &str = "default";

const TEXT: &str = include_str!("../session/presets.yaml");

/// How well a preset is known to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// Taken from documents and sources.
    Documented,
    /// Passes recorded traffic of the real software.
    Captured,
    /// The real software has been run through the gateway.
    Run,
}

impl Evidence {
    const WORDS: Word<Evidence> =
        Word(&[("documented", Evidence::Documented), ("captured", Evidence::Captured), ("run", Evidence::Run)]);

    /// As it is listed.
    pub fn word(self) -> &'static str {
        match self {
            Evidence::Documented => "documented",
            Evidence::Captured => "captured",
            Evidence::Run => "run",
        }
    }
}

/// One preset.
#[derive(Debug, Clone)]
pub struct Preset {
    /// What it is for, in one line.
    pub title: String,
    /// How well it is known to be right.
    pub evidence: Evidence,
    /// Whether whoever reads its ids may act as the client.
    pub credentials: bool,
    /// Its rules as written: `extends` not resolved, prefixes its own only.
    pub written: Rules,
    /// Its rules with `extends` resolved, and all prefixes they may use.
    pub rules: Rules,
}

impl Preset {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.rules.name
    }
}

struct Library {
    places: Places,
    prefixes: Prefixes,
    bundle: Vec<String>,
    presets: Vec<Preset>,
}

/// Read once. A test holds that there are no problems in it, so here they would only leave rules out.
fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| read(TEXT).0)
}

/// All presets, in the order of the file.
pub fn all() -> &'static [Preset] {
    &library().presets
}

/// The preset of this name.
pub fn find(name: &str) -> Option<&'static Preset> {
    all().iter().find(|preset| preset.name() == name)
}

/// Names of the presets in [`DEFAULT`].
pub fn bundle() -> &'static [String] {
    &library().bundle
}

/// The built-in prefixes.
pub fn prefixes() -> &'static Prefixes {
    &library().prefixes
}

/// The places of marks in presets.
pub(super) fn places() -> &'static Places {
    &library().places
}

/// Checks the name of a preset, or of the bundle.
///
/// # Errors
/// There is none of this name.
pub fn known(name: &str) -> Result<String, String> {
    if name == DEFAULT || find(name).is_some() {
        return Ok(name.to_owned());
    }
    let near = nearest(name, all().iter().map(Preset::name).chain([DEFAULT]));
    let near = near.map_or_else(String::new, |near| format!("did you mean {near}? "));
    Err(format!("there is no preset {name:?}; {near}castile presets lists all"))
}

/// The rules of a preset, or of every member of the bundle. An unknown name has none.
///
/// The bundle asks for no connections of its own: what WinRM and Exchange need would slow everybody else down, and for
/// NTLM and Negotiate it comes about by itself.
pub fn unfold(name: &str) -> Vec<Rules> {
    if name != DEFAULT {
        return find(name).map(|preset| preset.rules.clone()).into_iter().collect();
    }
    let members = bundle().iter().filter_map(|name| find(name));
    members.map(|preset| Rules { connection: None, ..preset.rules.clone() }).collect()
}

fn read(text: &str) -> (Library, Vec<Problem>) {
    let (mut places, mut problems) = (Places::new(), Vec::new());
    let file = places.add_file("presets.yaml");
    let root = tree::parse(text, file, None, &mut places, &mut problems);
    let mut cx = Cx::new(places);
    cx.problems = problems;
    let read = root.and_then(|root| cx.root(&root, file_reader).0);
    let (prefixes, bundle, mut presets) = read.unwrap_or_default();
    for preset in &mut presets {
        mark_as_preset(&mut preset.written);
    }
    let mut resolved = Vec::with_capacity(presets.len());
    for preset in &presets {
        let mut rules = resolve(&preset.written, &presets, 0);
        let mut known = prefixes.clone();
        known.append(&mut rules.namespaces);
        rules.namespaces = known;
        resolved.push(rules);
    }
    for (preset, rules) in presets.iter_mut().zip(resolved) {
        preset.rules = rules;
    }
    (Library { places: cx.places, prefixes, bundle, presets }, cx.problems)
}

fn file_reader(s: &mut Section) -> (Prefixes, Vec<String>, Vec<Preset>) {
    let prefixes = s.required_with("common_namespaces", "", super::sections::namespaces).unwrap_or_default();
    let bundle = s.many("bundle", "", AnyText);
    let presets =
        s.required_with("presets", "", |slot| slot.named(|name, _, slot| slot.map(|s| preset(s, name)).flatten()));
    (prefixes, bundle, presets.unwrap_or_default())
}

fn preset(s: &mut Section, name: &str) -> Option<Preset> {
    let title = s.required("title", "", AnyText);
    let evidence = s.required("evidence", "", Evidence::WORDS);
    let credentials = s.value("credentials", "", Flag, false);
    let extends = s.many_with("extends", "", super::sections::text);
    let only = s.section("only", "", |s| Only {
        host: s.optional_with("host", "", super::sections::text),
        path: s.optional_with("path", "", super::sections::text),
        action: s.optional_with("action", "", super::sections::text),
    });
    let mut written = rules::rules(s, name);
    written.extends = extends;
    written.only = only.unwrap_or_default();
    written.ttl = s.section("ttl", "", rules::ttl).unwrap_or_default();
    written.connection =
        s.section("upstream", "", |s| s.optional("connection", "", super::sections::CONNECTION)).flatten();
    Some(Preset { title: title?, evidence: evidence?, credentials, rules: Rules::default(), written })
}

/// Puts the rules of the parents before a preset's own: lists one after the other, scalars where it says nothing. Of
/// several parents the longest lifetime holds, as for several presets of an upstream.
fn resolve(rules: &Rules, presets: &[Preset], depth: usize) -> Rules {
    let parents =
        rules.extends.iter().filter_map(|name| presets.iter().find(|preset| preset.written.name == name.text));
    // A circle would be a fault in the library, which a test excludes; the depth keeps it from hanging.
    let parents: Vec<Rules> = if depth < 8 {
        parents.map(|parent| resolve(&parent.written, presets, depth + 1)).collect()
    } else {
        Vec::new()
    };
    let mut out = Rules { name: rules.name.clone(), ttl: longest(&parents), ..Rules::default() };
    for part in parents.iter().chain([rules]) {
        out.namespaces.extend(part.namespaces.clone());
        out.keys.extend(part.keys.iter().cloned());
        out.end.extend(part.end.iter().cloned());
        out.lost.extend(part.lost.iter().cloned());
        out.rewrite_url.extend(part.rewrite_url.iter().cloned());
        out.strip_request_headers.extend(part.strip_request_headers.iter().cloned());
        out.connection = part.connection.or(out.connection);
        if part.only != Only::default() {
            out.only = part.only.clone();
        }
    }
    out.ttl = Ttl {
        idle: rules.ttl.idle.or(out.ttl.idle),
        max: rules.ttl.max.or(out.ttl.max),
        linger: rules.ttl.linger.or(out.ttl.linger),
        from: rules.ttl.from.clone().or(out.ttl.from),
    };
    out
}

fn longest(parents: &[Rules]) -> Ttl {
    let says_idle = parents.iter().any(|parent| parent.ttl.idle.is_some());
    let idle = parents.iter().map(|parent| parent.ttl.idle.unwrap_or(super::model::TtlPolicy::IDLE)).max();
    // Missing means no end, so all must say one.
    let max = parents.iter().map(|parent| parent.ttl.max.flatten()).collect::<Option<Vec<_>>>();
    Ttl {
        idle: idle.filter(|_| says_idle),
        max: max.and_then(|max| max.into_iter().max()).map(Some),
        linger: parents.iter().filter_map(|parent| parent.ttl.linger).max(),
        from: parents.iter().find_map(|parent| parent.ttl.from.clone()),
    }
}

fn mark_as_preset(rules: &mut Rules) {
    rules.each_mark(&mut |mark: &mut Mark| *mark = Places::in_presets(*mark));
}

/// The rules of a preset as YAML: its own, or with `extends` resolved and the prefixes they use.
pub fn show(preset: &Preset) -> Shown {
    super::show_rules::preset(preset)
}

/// Whether rules ask for connections of their own, for the effective configuration.
pub fn wants_own_connections(rules: &[Rules]) -> bool {
    rules.iter().any(|rules| rules.connection == Some(Connection::PerClient))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::RuleSet;

    #[test]
    fn the_library_has_no_problems() {
        let (library, problems) = read(TEXT);
        assert_eq!(problems, []);
        assert!(library.presets.len() >= 65, "{}", library.presets.len());
    }

    #[test]
    fn every_preset_compiles() {
        for preset in all() {
            if let Err(problems) =
                RuleSet::compile(std::slice::from_ref(&preset.rules), &Prefixes::new(), &Ttl::default())
            {
                let (mark, message) = &problems[0];
                panic!("{}: {}: {message}", preset.name(), places().place(Mark(mark.0 & !(1 << 31))));
            }
        }
    }

    #[test]
    fn what_a_preset_extends_and_what_the_bundle_holds_exists() {
        for preset in all() {
            for parent in &preset.written.extends {
                assert!(find(&parent.text).is_some(), "{} extends {}", preset.name(), parent.text);
            }
        }
        for member in bundle() {
            assert!(find(member).is_some(), "{member}");
        }
        RuleSet::compile(&unfold(DEFAULT), &Prefixes::new(), &Ttl::default()).expect("the bundle compiles");
    }

    #[test]
    fn a_preset_never_gives_a_prefix_another_meaning_than_its_parent() {
        for preset in all() {
            for parent in preset.written.extends.iter().filter_map(|name| find(&name.text)) {
                for (prefix, uris) in &parent.rules.namespaces {
                    assert_eq!(preset.rules.namespaces.get(prefix), Some(uris), "{} {prefix}", preset.name());
                }
            }
        }
    }

    #[test]
    fn parents_come_first_and_own_scalars_hold() {
        let netsuite = find("netsuite").expect("it ships");
        assert_eq!(netsuite.rules.keys[0].key.text, "jsid");
        assert_eq!(netsuite.rules.ttl.idle, Some(std::time::Duration::from_secs(1200)));
        let wcf = find("wcf-session").expect("it ships");
        assert_eq!(
            wcf.rules.ttl.idle,
            Some(std::time::Duration::from_secs(1800)),
            "wcf-context says nothing: 30 minutes"
        );
        assert_eq!(wcf.rules.ttl.max, None, "of four parents only one ends");
        assert!(wcf.rules.keys.iter().any(|key| key.key.text == "aspnet"));
    }

    #[test]
    fn the_bundle_asks_for_no_connections_of_its_own() {
        assert!(unfold("wsman-winrm")[0].connection.is_some());
        assert!(unfold(DEFAULT).iter().all(|rules| rules.connection.is_none()));
    }

    #[test]
    fn a_mistyped_preset_is_recognised() {
        assert!(known("axis2-soapsesion").is_err_and(|message| message.contains("did you mean axis2-soapsession?")));
        assert!(known("default").is_ok());
        assert!(known("zzz").is_err_and(|message| !message.contains("mean")));
    }
}
