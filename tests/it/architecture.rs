//! The floors: a module names only lower floors.
//!
//! The table is the one in `src/lib.rs`, which is what people read. Modules on one floor never name each other either: where
//! they meet is a floor above. `main.rs` and `lib.rs` stand above all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Module → floor, as the table in `lib.rs` says.
type Floors = BTreeMap<String, u32>;

fn floors(lib: &str) -> Floors {
    let row = |line: &str| {
        let mut cells = line.strip_prefix("//! |")?.split('|').map(str::trim);
        let floor = cells.next()?.parse().ok()?;
        let module = cells.next()?.trim_matches(['[', ']', '`']).to_owned();
        Some((module, floor))
    };
    lib.lines().filter_map(row).collect()
}

/// Every breach in the sources below `src`, each as `file:line: what, and the way out`.
fn breaches(src: &Path) -> Vec<String> {
    let lib = std::fs::read_to_string(src.join("lib.rs")).expect("there is a lib.rs");
    let floors = floors(&lib);
    let mut found = Vec::new();
    for module in lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')) {
        if !floors.contains_key(module) {
            found.push(format!("src/lib.rs: {module} has no floor; give it a row in the table"));
        }
    }
    for file in files(src) {
        let path = file.strip_prefix(src).expect("it was found there");
        let names: Vec<String> =
            path.with_extension("").components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        let Some(&floor) = floors.get(&names[0]) else { continue };
        // `mod.rs` stands for its folder.
        let depth = names.len() - usize::from(names.last().is_some_and(|name| name == "mod"));
        let text = std::fs::read_to_string(&file).expect("a source can be read");
        for (line, module) in named(&code(&text), depth) {
            let Some(&other) = floors.get(&module) else { continue };
            if module != names[0] && other >= floor {
                let what = if other > floor { "a higher" } else { "the same" };
                found.push(format!(
                    "src/{}:{line}: {} (floor {floor}) names {module} (floor {other}), {what} floor; move what both need \
                     below both, or let a higher floor pass it in",
                    path.display(),
                    names[0]
                ));
            }
        }
    }
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The text with comments and the contents of strings blanked; lines stay where they are.
fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest) {
            length
        } else if rest.starts_with('"') {
            let mut escaped = false;
            let end = rest.bytes().skip(1).position(|byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("'\"'") {
            3
        } else {
            let next = rest.chars().next().expect("there is more");
            out.push(next);
            at += next.len_utf8();
            continue;
        };
        out.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
        at += skipped;
    }
    out
}

/// The length of the raw string that begins here.
fn raw_string(rest: &str) -> Option<usize> {
    let behind = rest.strip_prefix('r').or_else(|| rest.strip_prefix("br"))?;
    let hashes = behind.bytes().take_while(|byte| *byte == b'#').count();
    let body = behind[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(rest.len() - body.len() + body.find(&end)? + end.len())
}

/// The top-level modules that a source names, by `crate::` or by as many `super::` as lead there, with their lines. `depth`:
/// how many modules deep the source itself is. Inside an inline module one `super` more leads to the same place; such paths
/// are taken for names inside the own module.
fn named(code: &str, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let up = "super::".repeat(depth);
    for start in ["crate::", up.as_str()] {
        let mut from = 0;
        while let Some(at) = code[from..].find(start).map(|at| at + from) {
            let end = at + start.len();
            from = end;
            let before = code[..at].chars().next_back();
            let is_inside = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || (c == ':' && start != "crate::"));
            if is_inside || code[end..].starts_with("super::") {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            found.extend(first_names(&code[end..]).into_iter().map(|(lines, name)| (line + lines, name)));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The first names of the paths that begin here: one, or those of a group in braces; each with the lines before it.
fn first_names(rest: &str) -> Vec<(usize, String)> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    if !rest.starts_with('{') {
        return vec![(0, name(rest))];
    }
    let (mut depth, mut begins, mut lines, mut found) = (0, false, 0, Vec::new());
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            '\n' => lines += 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        let opens = c == ',' || c == '{';
        if depth == 1 && begins && (c.is_alphabetic() || c == '_') {
            found.push((lines, name(&rest[at..])));
            begins = false;
        } else if depth == 1 && opens {
            begins = true;
        }
    }
    found
}

#[test]
fn modules_name_only_lower_floors() {
    let found = breaches(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// A small crate with one line planted in one of its modules.
fn planted(file: &str, line: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let lib = "//! | floor | module | what |\n//! |---|---|---|\n//! | 0 | [`soap`] | x |\n//! | 1 | [`session`] | x |\n\
               //! | 1 | [`other`] | x |\n//! | 5 | [`proxy`] | x |\npub mod soap;\npub mod session;\npub mod proxy;\n";
    std::fs::write(folder.path().join("lib.rs"), lib).expect("a file can be written");
    for module in ["soap", "session", "proxy"] {
        std::fs::create_dir_all(folder.path().join(module)).expect("a folder can be made");
        std::fs::write(folder.path().join(module).join("mod.rs"), "//! [`crate::proxy`] in a comment is no import.\n")
            .expect("a file can be written");
    }
    std::fs::write(folder.path().join(file), format!("//! Planted.\n\n{line}\n")).expect("a file can be written");
    breaches(folder.path())
}

#[test]
fn an_upward_import_is_found_with_its_place_and_the_way_out() {
    for line in [
        "use crate::proxy::Server;",
        "use crate::{session, proxy::{Server, Other}};",
        "use crate::{\nproxy};",
        "fn f() { crate::proxy::run() }",
        "use super::super::proxy::Server;",
        "const T: &str = \"x\"; use crate::proxy;",
    ] {
        let found = planted("session/rules.rs", line);
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(found[0].starts_with("src/session/rules.rs:"), "{found:?}");
        assert!(found[0].contains("session (floor 1) names proxy (floor 5), a higher floor; move"), "{found:?}");
    }
    assert!(planted("session/rules.rs", "use crate::{\nproxy};")[0].contains("rules.rs:4:"));
    assert!(planted("session/rules.rs", "use crate::other;")[0].contains("the same floor"));
    assert!(planted("session/mod.rs", "use super::proxy;")[0].starts_with("src/session/mod.rs:3:"));
}

#[test]
fn downward_imports_and_mere_mentions_are_none() {
    for line in [
        "use crate::soap::Reader;",
        "use super::soap;",
        "// crate::proxy",
        "/* crate::proxy */",
        "const T: &str = \"crate::proxy\";",
        "const T: &str = r#\"crate::proxy\"#;",
        "use crate::session::proxy;",
        "use other_crate::proxy;",
    ] {
        assert_eq!(planted("session/rules.rs", line), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn a_module_without_a_floor_is_told() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    std::fs::write(folder.path().join("lib.rs"), "pub mod new;\n").expect("a file can be written");
    assert_eq!(breaches(folder.path()), ["src/lib.rs: new has no floor; give it a row in the table"]);
}

#[test]
fn the_package_that_builds_the_lower_floors_again_names_what_they_need() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect("it can be read");
    let dependencies = |manifest: &str| -> Vec<String> {
        let section = manifest.split("[dependencies]\n").nth(1).expect("it has dependencies");
        let lines = section.lines().take_while(|line| !line.starts_with('['));
        lines.filter_map(|line| Some(line.split_once(" = ")?.0.replace('-', "_"))).collect()
    };
    let named = dependencies(&read("tests/shuttle/Cargo.toml"));
    // A crate stands at the beginning of a path.
    let uses = |text: &str, name: &str| {
        let start = format!("{name}::");
        let mut before = text.match_indices(&start).map(|(at, _)| text[..at].chars().next_back());
        before.any(|before| before.is_none_or(|c| c != ':' && c != '_' && !c.is_alphanumeric()))
    };
    for folder in ["affinity", "head", "session", "soap", "upstream"] {
        let sources = files(&root.join("src").join(folder));
        for file in sources.iter().filter(|file| !file.to_string_lossy().contains("test")) {
            let text = code(&std::fs::read_to_string(file).expect("a source can be read"));
            let text = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
            for name in dependencies(&read("Cargo.toml")).iter().filter(|name| uses(text, name)) {
                assert!(
                    named.contains(name),
                    "{}: needs {name}; tests/shuttle/Cargo.toml must name it",
                    file.display()
                );
            }
        }
    }
}
