//! The sample conversations and recorded traffic that ship with the project, through `castile test`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use castile::cli::test::{Args, run};
use castile::config::presets;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn test(config: Option<PathBuf>, dirs: &[PathBuf]) -> (ExitCode, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(&Args { config, dirs: dirs.to_vec() }, &mut out, &mut err);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("messages are text");
    (code, text(out), text(err))
}

fn passes(dirs: &[PathBuf]) -> String {
    let (code, out, err) = test(None, dirs);
    let wrong: Vec<_> = out.lines().filter(|line| !line.starts_with("ok ")).collect();
    assert!(code == ExitCode::SUCCESS, "{}\n{err}", wrong.join("\n"));
    out
}

#[test]
fn every_conversation_is_kept_together() {
    let out = passes(&[folder("conversations")]);
    assert!(out.lines().last().is_some_and(|line| line.ends_with(" passed, 0 failed")), "{out}");
}

#[test]
fn recorded_traffic_is_kept_together() {
    passes(&[folder("captures")]);
}

#[test]
fn every_preset_has_a_conversation() {
    let expected = std::fs::read_to_string(folder("conversations/expect.yaml")).expect("it ships");
    for preset in presets::all() {
        let line = format!("  preset: {}", preset.name());
        assert!(expected.lines().any(|found| found == line), "{} has none", preset.name());
    }
}

#[test]
fn one_folder_is_tested_alone() {
    let out = passes(&[folder("conversations/axis2-soapsession")]);
    assert_eq!(out.lines().count(), 5, "three exchanges, a wrong node and the sum: {out}");
}

/// A copy of a conversation with other expectations.
fn expecting(text: &str) -> (tempfile::TempDir, PathBuf) {
    let temporary = tempfile::tempdir().expect("a folder can be made");
    let to = temporary.path().join("a");
    std::fs::create_dir(&to).expect("a folder can be made");
    for entry in std::fs::read_dir(folder("conversations/axis2-soapsession")).expect("it ships") {
        let entry = entry.expect("it can be read");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("it can be copied");
    }
    std::fs::write(temporary.path().join("expect.yaml"), text).expect("a file can be written");
    (temporary, to)
}

#[test]
fn what_is_not_as_expected_is_told_and_counted() {
    let exchanges = "exchanges: [{n: 1, pinned: false}, {n: 2, pinned: false, ends: true}], wrong_node: false";
    let (_temporary, dir) = expecting(&format!("a: {{preset: axis2-soapsession, {exchanges}}}"));
    let (code, out, _) = test(None, &[dir]);
    assert!(code == ExitCode::from(1), "{out}");
    assert!(out.contains("FAIL a 02 pinned: expected false, found true; ends: expected true, found false"), "{out}");
    assert!(out.contains("FAIL a 90 recognised as lost: expected false, found true"), "{out}");
    assert!(out.ends_with("\n1 passed, 2 failed\n"), "{out}");
}

#[test]
fn another_preset_finds_nothing() {
    let (_temporary, dir) = expecting("a: {preset: axis1-session, exchanges: [{n: 2, pinned: false}]}");
    assert!(test(None, &[dir]).0 == ExitCode::SUCCESS);
}

#[test]
fn bad_expectations_fail_and_missing_ones_are_wrong_usage() {
    for (text, message) in [
        ("a: {preset: axis2-soapsesion, exchanges: [{n: 1}]}", "did you mean axis2-soapsession?"),
        ("a: {preset: axis2-soapsession, exchanges: [{n: 7}]}", "07-request.http is missing"),
        ("a: {exchanges: [{n: 1}]}", "neither preset"),
        ("a: {preset: none, exchange: [{n: 1}]}", "exchange is unknown"),
    ] {
        let (_temporary, dir) = expecting(text);
        let (code, out, _) = test(None, &[dir]);
        assert!(code == ExitCode::from(1) && out.contains(message), "{text}: {out}");
    }
    let (_temporary, dir) = expecting("b: {preset: none, exchanges: [{n: 1}]}");
    let (code, _, err) = test(None, &[dir]);
    assert!(code == ExitCode::from(2) && err.contains("says nothing about a"), "{err}");
    assert!(test(None, &[folder("nowhere")]).0 == ExitCode::from(2));
}

#[test]
fn a_configuration_stands_over_the_presets_that_are_expected() {
    let (temporary, dir) = expecting("a: {preset: none, exchanges: [{n: 2, pinned: true}]}");
    let file = temporary.path().join("c.yaml");
    let write = |preset: &str| {
        let text = format!(
            "listeners: [{{name: a, address: '127.0.0.1:0'}}]\nroutes: [{{path: /none, upstream: u}}, {{upstream: u}}]\n\
             upstreams: {{u: {{nodes: [{{name: n, url: 'http://h'}}], sticky: {{presets: [{preset}]}}}}}}\n"
        );
        std::fs::write(&file, text).expect("a file can be written");
    };
    write("axis2-soapsession");
    let (code, out, err) = test(Some(file.clone()), std::slice::from_ref(&dir));
    assert!(code == ExitCode::SUCCESS, "{out}{err}");
    write("axis1-session");
    assert!(test(Some(file), &[dir]).0 == ExitCode::from(1));
}
