//! Prints what `castile::soap::Reader` finds in messages, one line of JSON per file; for tests against other parsers.
//!
//! ```text
//! facts [-t CONTENT-TYPE] [-e CONTENT-ENCODING] [-n PREFIX=URI].. [-p 'header PATH'].. [--operation] [--fault] [--cut] < FILES
//! ```
//!
//! `FILES` has one file name a line. With `--cut` every message is also read in two pieces, cut at every byte (large
//! ones at 2,000 places), and byte by byte; `cuts` then says how many of these readings said something else.

use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::Arc;

use castile::soap::{Content, Facts, Limits, Part, Path, Prefixes, Reader, State, Wanted};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut media, mut coding, mut is_cut) = (Some("text/xml".to_owned()), None, false);
    let (mut prefixes, mut wanted, mut paths) = (Prefixes::new(), Wanted::new(), Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or("an option without its value");
        match argument.as_str() {
            "-t" => media = Some(value()?).filter(|media| !media.is_empty()),
            "-e" => coding = Some(value()?),
            "-n" => {
                let value = value()?;
                let (prefix, uri) = value.split_once('=').ok_or("-n PREFIX=URI")?;
                prefixes.entry(prefix.to_owned()).or_default().push(uri.to_owned());
            }
            "-p" => paths.push(value()?),
            "--operation" => wanted.want_operation(),
            "--fault" => wanted.want_fault(),
            "--cut" => is_cut = true,
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    let mut names = Vec::new();
    for rule in paths {
        let (part, path) = rule.split_once(' ').ok_or("-p 'header PATH' or -p 'body PATH'")?;
        let part = if part == "header" { Part::Header } else { Part::Body };
        let id = wanted.add(Path::parse(part, path, &prefixes)?);
        names.push((id, rule));
    }
    let wanted = Arc::new(wanted);
    let content = Content {
        content_type: media.as_deref().map(str::as_bytes),
        content_encoding: coding.as_deref().map(str::as_bytes),
    };
    let mut out = std::io::stdout().lock();
    for file in std::io::stdin().lock().lines() {
        let file = file?;
        let message = std::fs::read(&file)?;
        let read = |pieces: &[&[u8]]| read(&wanted, content, pieces);
        let (facts, state) = read(&[&message]);
        let mut cuts = 0;
        if is_cut {
            let whole = format!("{facts:?} {state:?}");
            let mut compare = |pieces: &[&[u8]]| {
                let (facts, state) = read(pieces);
                cuts += u32::from(format!("{facts:?} {state:?}") != whole);
            };
            // Reading costs the same at every cut: large messages are cut at 2,000 places.
            for cut in (1..message.len()).step_by(1 + message.len() / 2000) {
                let (left, right) = message.split_at(cut);
                compare(&[left, right]);
            }
            compare(&message.chunks(1).collect::<Vec<_>>());
        }
        let mut found = serde_json::Map::new();
        for (id, rule) in &names {
            let values: Vec<_> = facts.found.iter().filter(|one| one.path == *id).collect();
            found.insert(rule.clone(), values.iter().map(|one| json!([one.value, one.offset])).collect());
        }
        let fault = facts.fault.map(|fault| json!({"texts": fault.texts, "is_sender": fault.is_sender}));
        let line = json!({
            "file": file,
            "version": facts.version.map(|version| format!("{version:?}")),
            "stop": format!("{state:?}"),
            "action": facts.wsa_action,
            "child": facts.body_child,
            "found": found,
            "fault": fault,
            "cuts": cuts,
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Reads a message in these pieces.
fn read(wanted: &Arc<Wanted>, content: Content<'_>, pieces: &[&[u8]]) -> (Facts, State) {
    let mut reader = Reader::new(wanted.clone(), content, Limits::default());
    for piece in pieces {
        reader.push(piece);
    }
    reader.end();
    (reader.facts().clone(), reader.state().clone())
}
