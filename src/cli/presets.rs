//! `castile presets`: which products and standards are known, and by which rules.

use std::io::Write;
use std::process::ExitCode;

use crate::config::presets::{self, Preset};

/// Which preset to print.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// A preset whose rules are printed; without it, all are listed
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Exit code where there is no such preset: the same as for other wrong usage.
const USAGE: u8 = 2;

/// Lists the presets, or prints the rules of one: 0, or 2 where there is none of that name.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    // Whoever closes the pipe early has seen enough, so failed writes are nobody's concern.
    let Some(name) = &args.name else {
        let _ = write!(out, "{}", list());
        return ExitCode::SUCCESS;
    };
    if name == presets::DEFAULT {
        let _ = write!(out, "{}", bundle());
        return ExitCode::SUCCESS;
    }
    match presets::find(name) {
        Some(preset) => {
            let _ = write!(out, "{}", one(preset));
            ExitCode::SUCCESS
        }
        None => {
            let message = presets::known(name).err().unwrap_or_default();
            let _ = writeln!(err, "{message}");
            ExitCode::from(USAGE)
        }
    }
}

fn list() -> String {
    let width = presets::all().iter().map(|preset| preset.name().len()).max().unwrap_or(0);
    let mut out = String::new();
    out.push_str(&format!("{:width$}  {:<10}  {}\n", "NAME", "EVIDENCE", "WHAT IT IS FOR"));
    let members = presets::bundle().len();
    out.push_str(&format!(
        "{:width$}  {:<10}  all {members} that are safe together (marked *)\n",
        presets::DEFAULT,
        ""
    ));
    for preset in presets::all() {
        let star = if presets::bundle().iter().any(|name| name == preset.name()) { "*" } else { " " };
        let (name, evidence) = (preset.name(), preset.evidence.word());
        out.push_str(&format!("{name:width$} {star}{evidence:<10}  {}\n", preset.title));
    }
    out.push_str(
        "\nEVIDENCE  run: the real software ran through the gateway; captured: recorded traffic of the real software\n",
    );
    out.push_str("          passes; documented: taken from documents, sources and published messages\n");
    out
}

fn one(preset: &Preset) -> String {
    let parents: Vec<_> = preset.written.extends.iter().map(|parent| parent.text.as_str()).collect();
    let extends = if parents.is_empty() { String::new() } else { format!("# extends {}\n", parents.join(", ")) };
    let credentials = if preset.credentials { "# its ids are credentials\n" } else { "" };
    format!(
        "# {}: {}\n# evidence: {}\n{extends}{credentials}{}",
        preset.name(),
        preset.title,
        preset.evidence.word(),
        presets::show(preset).to_yaml()
    )
}

fn bundle() -> String {
    let mut out = String::from("# default: all presets that are safe together; it stands for\npresets:\n");
    for name in presets::bundle() {
        out.push_str(&format!("  - {name}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_sticky;

    fn print(name: Option<&str>) -> (bool, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = run(&Args { name: name.map(str::to_owned) }, &mut out, &mut err);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("messages are text");
        (code == ExitCode::SUCCESS, text(out), text(err))
    }

    #[test]
    fn all_are_listed_with_their_evidence() {
        let (_, out, _) = print(None);
        for preset in presets::all() {
            assert!(out.lines().any(|line| line.starts_with(preset.name()) && line.ends_with(&preset.title)), "{out}");
        }
    }

    #[test]
    fn an_unknown_one_is_wrong_usage() {
        let (good, out, err) = print(Some("axis2"));
        assert!(!good && out.is_empty() && err.contains("did you mean axis2-soapsession?"), "{err}");
    }

    /// What is printed could be pasted under `sticky:`, and would mean the same.
    #[test]
    fn what_is_printed_is_read_as_the_same_rules() {
        for preset in presets::all() {
            let (_, out, _) = print(Some(preset.name()));
            // These belong to presets alone.
            let own: String =
                out.lines().filter(|line| !line.starts_with("upstream:")).map(|line| format!("{line}\n")).collect();
            if preset.rules.keys.is_empty() {
                continue;
            }
            let sticky = parse_sticky(&own, preset.name()).unwrap_or_else(|problems| panic!("{own}{}", problems[0]));
            let mut read = sticky.rules[0].clone();
            read.each_mark(&mut |mark| *mark = Default::default());
            let mut known = preset.rules.clone();
            known.each_mark(&mut |mark| *mark = Default::default());
            assert_eq!(
                format!("{:?}{:?}{:?}", read.keys, read.end, read.lost),
                format!("{:?}{:?}{:?}", known.keys, known.end, known.lost)
            );
            assert_eq!(
                (sticky.ttl.idle, sticky.ttl.max, sticky.ttl.linger),
                (known.ttl.idle, known.ttl.max, known.ttl.linger)
            );
            assert_eq!(format!("{:?}", read.ttl.from), format!("{:?}", known.ttl.from));
        }
    }
}
