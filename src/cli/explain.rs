//! `castile explain`: which rules find what in a message, where it goes and why, and what its answer teaches.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::explanation::{Answer, Explanation, KeyValue, Looked, explain, version, word};
use super::message::{RequestMessage, ResponseMessage};
use super::rehearsal::{Rehearsal, stand};
use crate::config::{Config, Problem, model, parse_sticky, presets};

/// What to explain.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "config.yaml")]
    pub config: PathBuf,
    /// Instead of a configuration: the rules of these presets, and three nodes
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',', conflicts_with = "config")]
    pub preset: Vec<String>,
    /// The request: .http as on the wire, .xml an envelope alone, .mime a Content-Type line and the body
    #[arg(long, value_name = "MESSAGE")]
    pub request: PathBuf,
    /// Its response, in the same forms
    #[arg(long, value_name = "MESSAGE")]
    pub response: Option<PathBuf>,
    /// Print JSON; its form is told above
    #[arg(long)]
    pub json: bool,
    /// Show the values of keys. They are credentials: without this, their fingerprints are shown
    #[arg(long)]
    pub show_values: bool,
}

/// Exit code where the configuration or a message has problems.
const PROBLEMS: u8 = 1;
/// Exit code where there is no such preset.
const USAGE: u8 = 2;

/// Explains an exchange: 0 = done, 1 = the configuration or a message cannot be read, 2 = no such preset.
pub fn run(args: &Args, colours: bool, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    if let Some(message) = args.preset.iter().find_map(|name| presets::known(name).err()) {
        let _ = writeln!(err, "{message}");
        return ExitCode::from(USAGE);
    }
    match tell(args, colours) {
        // Whoever closes the pipe early has seen enough, so failed writes are nobody's concern.
        Ok(text) => {
            let _ = out.write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(lines) => {
            for line in lines {
                let _ = writeln!(err, "{line}");
            }
            ExitCode::from(PROBLEMS)
        }
    }
}

fn tell(args: &Args, colours: bool) -> Result<String, Vec<String>> {
    let config = config(args).map_err(|problems| problems.iter().map(Problem::to_string).collect::<Vec<_>>())?;
    let one = |error: &dyn std::fmt::Display| vec![error.to_string()];
    let rehearsal = Rehearsal::new(config).map_err(|error| one(&error))?;
    let request = RequestMessage::read(&args.request).map_err(|error| one(&error))?;
    let response = args.response.as_ref().map(|file| ResponseMessage::read(file, request.head.method()));
    let response = response.transpose().map_err(|error| one(&error))?;
    let explanation = explain(&rehearsal, &request, response.as_ref());
    if args.json {
        return Ok(format!("{:#}\n", explanation.to_json(args.show_values)));
    }
    Ok(Page { explanation: &explanation, with_values: args.show_values, colours }.text())
}

fn config(args: &Args) -> Result<model::Config, Vec<Problem>> {
    if args.preset.is_empty() {
        return Ok(Config::load(&args.config)?.config);
    }
    stand(parse_sticky(&format!("presets: [{}]", args.preset.join(", ")), "--preset")?)
}

/// The explanation for people.
struct Page<'a> {
    explanation: &'a Explanation,
    with_values: bool,
    colours: bool,
}

/// Width of the names on the left.
const LEFT: usize = 11;

impl Page<'_> {
    fn text(&self) -> String {
        let told = self.explanation;
        let mut out = String::new();
        self.line(&mut out, "request", &told.request);
        let soap = told
            .soap
            .map_or_else(|| "not SOAP, as far as was read".to_owned(), |soap| format!("SOAP {}", version(soap)));
        let operation =
            told.operation.as_deref().map_or_else(String::new, |operation| format!(", operation {operation}"));
        self.line(&mut out, "message", &format!("{soap}{operation}"));
        self.line(&mut out, "", &format!("for its keys: {}", told.reading));
        match (&told.route, &told.upstream) {
            (Some(route), Some(upstream)) => self.line(&mut out, "route", &format!("{route} → upstream {upstream}")),
            _ => self.line(&mut out, "route", "none matches"),
        }
        if told.upstream.is_some() {
            let _ = writeln!(out, "\n{}", self.bold("Keys of the request, by rules in their order"));
            self.rules(&mut out, &told.rules, "no rule reads requests");
        }
        let decision = &told.decision;
        let _ = writeln!(out, "\n{}", self.bold("Decision"));
        self.line(&mut out, "code", decision.code.map_or("none", |code| code.text()));
        self.line(
            &mut out,
            "node",
            decision.node.as_deref().unwrap_or(match decision.code {
                Some(_) => "the balancer chooses",
                None => "none",
            }),
        );
        self.line(&mut out, "why", &decision.reason);
        if let Some(answer) = &told.answer {
            self.answer(&mut out, answer);
        }
        for note in &told.notes {
            let _ = writeln!(out, "\nnote: {note}");
        }
        out
    }

    fn answer(&self, out: &mut String, answer: &Answer) {
        let title = format!("What the answer teaches (status {})", answer.status);
        let _ = writeln!(out, "\n{}", self.bold(&title));
        self.line(out, "message", &format!("for its keys: {}", answer.reading));
        self.rules(out, &answer.rules, "no rule learns");
        if let Some(ttl) = answer.ttl {
            self.line(out, "lifetime", &format!("{} s without a request", ttl.as_secs()));
        }
        let _ = writeln!(out, "\n{}", self.bold("What it says about the conversation"));
        self.conditions(out, "lost", &answer.lost, "the node knows the session, as far as it says");
        if answer.is_lost() {
            self.line(out, "", "counts only where the request carried a known key");
        }
        self.conditions(out, "end", &answer.end, "it goes on");
        if answer.is_fault && answer.end.iter().any(|(_, holds)| *holds) {
            self.line(out, "", "never counts on a Fault");
        }
    }

    fn conditions(&self, out: &mut String, name: &str, conditions: &[(String, bool)], none: &str) {
        if !conditions.iter().any(|(_, holds)| *holds) {
            self.line(out, name, none);
        }
        for (at, (text, holds)) in conditions.iter().enumerate() {
            let mark = if *holds { self.green("holds") } else { "no   ".to_owned() };
            let any = conditions.iter().any(|(_, holds)| *holds);
            self.line(out, if at == 0 && any { name } else { "" }, &format!("{mark}  {text}"));
        }
    }

    fn rules(&self, out: &mut String, rules: &[Looked], none: &str) {
        if rules.is_empty() {
            self.line(out, "", none);
        }
        let width =
            rules.iter().flat_map(|rule| &rule.places).map(|(place, _)| place.chars().count()).max().unwrap_or(0);
        let width = width.min(60);
        for rule in rules {
            let issued = if rule.client_issued { ", client-issued" } else { "" };
            let _ = writeln!(out, "  {} ({}{issued}) of {}", self.bold(&rule.key), word(rule.role), rule.source);
            if rule.is_elsewhere {
                let _ = writeln!(out, "    does not apply: the preset is confined to other requests");
                continue;
            }
            for (place, values) in &rule.places {
                let pad = " ".repeat(width.saturating_sub(place.chars().count()));
                if values.is_empty() {
                    let _ = writeln!(out, "    {place}{pad}  nothing");
                }
                for value in values {
                    let _ = writeln!(out, "    {place}{pad}  {}", self.value(value));
                }
            }
        }
    }

    fn value(&self, found: &KeyValue) -> String {
        let shown = match self.with_values {
            true => printable(&found.value),
            false => format!("#{}", found.fingerprint),
        };
        let place = match (found.offset, found.is_decoded) {
            (Some(offset), false) => format!(" at byte {offset}"),
            (Some(offset), true) => format!(" at byte {offset} of the decoded body"),
            (None, _) => String::new(),
        };
        format!("{}{place}", self.green(&shown))
    }

    fn line(&self, out: &mut String, name: &str, text: &str) {
        let _ = writeln!(out, "  {name:LEFT$}{text}");
    }

    fn bold(&self, text: &str) -> String {
        if self.colours { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn green(&self, text: &str) -> String {
        if self.colours { format!("\x1b[32m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A value comes from a message: nothing in it may drive the terminal.
fn printable(value: &[u8]) -> String {
    String::from_utf8_lossy(value).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
