//! `castile test`: sample conversations through the real rules and the real table, without a network.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::expectations::{Exchange, Expectations, Expected, FILE};
use super::message::{RequestMessage, ResponseMessage};
use super::rehearsal::{Asked, Rehearsal, stand};
use crate::affinity::{Code, Visit};
use crate::config::{Config, model};

/// What to test.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Use the routes and upstreams of this file instead of the presets and rules in expect.yaml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A conversation, or a folder of conversations
    #[arg(value_name = "DIR", required = true)]
    pub dirs: Vec<PathBuf>,
}

/// Exit code where an exchange is not as expected.
const FAILED: u8 = 1;
/// Exit code where there is nothing to test.
const USAGE: u8 = 2;

/// The answer of a node that does not know the session has this number.
const WRONG_NODE: u32 = 90;
/// Files of this number and above are not part of the conversation.
const NOT_PART: u32 = 80;

/// Tests conversations: 0 = all as expected, 1 = some are not, 2 = there is nothing to test, or not where it was said.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let config = match args.config.as_ref().map(Config::load).transpose() {
        Ok(loaded) => loaded.map(|loaded| loaded.config),
        Err(problems) => {
            for problem in &problems {
                let _ = writeln!(err, "{problem}");
            }
            return ExitCode::from(FAILED);
        }
    };
    let mut conversations = Vec::new();
    for dir in &args.dirs {
        match find(dir) {
            Ok(found) => conversations.extend(found),
            Err(message) => {
                let _ = writeln!(err, "castile test: {message}");
                return ExitCode::from(USAGE);
            }
        }
    }
    let (mut passed, mut failed) = (0, 0);
    for conversation in &conversations {
        // Whoever closes the pipe early has seen enough, so failed writes are nobody's concern.
        match conversation.test(config.as_ref()) {
            Ok(verdicts) => {
                for verdict in verdicts {
                    passed += u32::from(verdict.is_good());
                    failed += u32::from(!verdict.is_good());
                    let _ = writeln!(out, "{verdict}");
                }
            }
            Err(message) => {
                failed += 1;
                let message = message.replace('\n', "\n       ");
                let _ = writeln!(out, "FAIL {}: {message}", conversation.name);
            }
        }
    }
    let _ = writeln!(out, "{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

/// A conversation in a folder.
struct Conversation {
    folder: PathBuf,
    name: String,
    expected: Result<Expected, String>,
}

/// The conversations under a folder.
fn find(dir: &Path) -> Result<Vec<Conversation>, String> {
    if !dir.is_dir() {
        return Err(format!("{} is no folder", dir.display()));
    }
    let dir = dir.canonicalize().map_err(|error| format!("{}: {error}", dir.display()))?;
    let own = Expectations::read(&dir)?;
    let is_conversation = files(&dir)?.keys().any(|(_, kind)| *kind == Kind::Request);
    let mut found = Vec::new();
    if is_conversation {
        let parent = match dir.parent() {
            Some(parent) if own.is_none() => Expectations::read(parent)?,
            _ => None,
        };
        let expectations = own
            .or(parent)
            .ok_or_else(|| format!("{}: there is no {FILE} here or in the folder above", dir.display()))?;
        found.extend(conversation(&dir, &expectations));
        if found.is_empty() {
            return Err(format!("{} says nothing about {}", expectations.file.display(), name(&dir)));
        }
    } else {
        for folder in folders(&dir)? {
            let inner = Expectations::read(&folder)?.filter(Expectations::is_single);
            let Some(expectations) = inner.as_ref().or(own.as_ref()) else { continue };
            found.extend(conversation(&folder, expectations));
        }
        if found.is_empty() {
            return Err(match &own {
                None => format!("{}: there is no {FILE}", dir.display()),
                Some(own) => format!("{} is about no folder beside it", own.file.display()),
            });
        }
    }
    Ok(found)
}

fn conversation(folder: &Path, expectations: &Expectations) -> Option<Conversation> {
    let name = name(folder);
    let expected = expectations.of(&name)?;
    Some(Conversation { folder: folder.into(), expected, name })
}

fn name(folder: &Path) -> String {
    folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn folders(dir: &Path) -> Result<BTreeSet<PathBuf>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", dir.display());
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(dir).map_err(told)? {
        let path = entry.map_err(told)?.path();
        if path.is_dir() {
            found.insert(path);
        }
    }
    Ok(found)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Request,
    Response,
}

/// The messages of a folder: `NN-request`, `NN-response` and `90-*-response`, as `.http`, `.xml` or `.mime`.
fn files(folder: &Path) -> Result<BTreeMap<(u32, Kind), PathBuf>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(told)? {
        let path = entry.map_err(told)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let Some((number, rest)) = stem.split_once('-') else { continue };
        let Ok(number) = number.parse::<u32>() else { continue };
        let kind = match rest {
            "request" if number < NOT_PART => Kind::Request,
            "response" if number < NOT_PART => Kind::Response,
            _ if number == WRONG_NODE && rest.ends_with("response") => Kind::Response,
            _ => continue,
        };
        if ["http", "xml", "mime"].contains(&extension) {
            found.insert((number, kind), path);
        }
    }
    Ok(found)
}

/// What was found of one exchange.
#[derive(Debug, Default)]
struct Found {
    pinned: bool,
    weak: bool,
    ends: bool,
    lost: bool,
    /// The decision code, or why there is no decision.
    decision: String,
    /// Keys of the request and of its answer, without values.
    details: Vec<String>,
}

/// What was judged of one exchange.
#[derive(Debug)]
struct Verdict {
    name: String,
    found: Found,
    expected: Exchange,
    /// Only whether the session was lost is told: the answer of a wrong node.
    is_wrong_node: bool,
}

impl Verdict {
    /// Name, what was expected and what was found, of all that is expected.
    fn points(&self) -> impl Iterator<Item = (&'static str, bool, bool)> {
        let (expected, found) = (&self.expected, &self.found);
        let lost = if self.is_wrong_node { "recognised as lost" } else { "lost" };
        [
            ("pinned", expected.pinned, found.pinned),
            ("weak", expected.weak, found.weak),
            ("ends", expected.ends, found.ends),
            (lost, expected.lost, found.lost),
        ]
        .into_iter()
        .filter_map(|(name, expected, found)| Some((name, expected?, found)))
    }

    fn is_good(&self) -> bool {
        self.points().all(|(_, expected, found)| expected == found)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.is_good() { "ok  " } else { "FAIL" };
        write!(f, "{mark} {} ", self.name)?;
        if self.is_good() {
            let mut told: Vec<_> = self.points().filter(|(_, _, found)| *found).map(|(name, ..)| name).collect();
            if told.is_empty() {
                told.push(if self.is_wrong_node { "not recognised as lost" } else { "not pinned" });
            }
            return write!(f, "{} ({})", told.join(", "), self.found.decision);
        }
        let wrong: Vec<_> = self
            .points()
            .filter(|(_, expected, found)| expected != found)
            .map(|(name, expected, found)| format!("{name}: expected {expected}, found {found}"))
            .collect();
        write!(f, "{} ({})", wrong.join("; "), self.found.decision)?;
        self.found.details.iter().try_for_each(|line| write!(f, "\n       {line}"))
    }
}

impl Conversation {
    fn test(&self, config: Option<&model::Config>) -> Result<Vec<Verdict>, String> {
        let expected = self.expected.as_ref().map_err(Clone::clone)?;
        let config = match config {
            Some(config) => config.clone(),
            None => stand(expected.rules()?).map_err(|problems| problems[0].to_string())?,
        };
        let files = files(&self.folder)?;
        for number in expected.exchanges.keys() {
            if !files.contains_key(&(*number, Kind::Request)) {
                return Err(format!("{number:02}-request.http is missing"));
            }
        }
        let mut verdicts = Vec::new();
        let rehearsal = Rehearsal::new(config.clone()).map_err(|error| error.to_string())?;
        for ((number, kind), request) in &files {
            if *kind == Kind::Request {
                let found = exchange(&rehearsal, request, files.get(&(*number, Kind::Response)))?;
                // Exchanges of which nothing is expected still teach.
                if let Some(expected) = expected.exchanges.get(number) {
                    let name = format!("{} {number:02}", self.name);
                    verdicts.push(Verdict { name, found, expected: *expected, is_wrong_node: false });
                }
            }
        }
        if let (Some(is_told), Some(answer)) = (expected.wrong_node, files.get(&(WRONG_NODE, Kind::Response))) {
            let found = self.wrong_node(config, &files, expected, answer)?;
            let expected = Exchange { lost: Some(is_told), ..Exchange::default() };
            verdicts.push(Verdict { name: format!("{} 90", self.name), found, expected, is_wrong_node: true });
        } else if expected.wrong_node.is_some() {
            return Err("there is no 90-...-response.http to be recognised or not".to_owned());
        }
        Ok(verdicts)
    }

    /// The conversation once more, up to its last pinned request, which is answered by a node that does not know it.
    fn wrong_node(
        &self,
        config: model::Config,
        files: &BTreeMap<(u32, Kind), PathBuf>,
        expected: &Expected,
        answer: &PathBuf,
    ) -> Result<Found, String> {
        let numbers: Vec<u32> =
            files.keys().filter(|(_, kind)| *kind == Kind::Request).map(|(number, _)| *number).collect();
        let pinned = expected.exchanges.iter().filter(|(_, exchange)| exchange.pinned == Some(true));
        let last = pinned.map(|(number, _)| *number).max().or(numbers.last().copied()).unwrap_or_default();
        let rehearsal = Rehearsal::new(config).map_err(|error| error.to_string())?;
        let mut found = Found::default();
        for number in numbers.into_iter().filter(|number| *number <= last) {
            let response = if number == last { Some(answer) } else { files.get(&(number, Kind::Response)) };
            found = exchange(&rehearsal, &files[&(number, Kind::Request)], response)?;
        }
        Ok(found)
    }
}

/// One exchange through the gateway.
fn exchange(rehearsal: &Rehearsal, request: &Path, response: Option<&PathBuf>) -> Result<Found, String> {
    let message = RequestMessage::read(request).map_err(|error| error.to_string())?;
    let asked = rehearsal.ask(&message);
    let mut found = Found::default();
    let Some(upstream) = rehearsal.upstream(&asked) else {
        found.decision = "no route for this request".to_owned();
        return Ok(found);
    };
    found.details = keys(rehearsal, &asked);
    if let Some(stop) = &asked.refused {
        found.decision = format!("refused: {stop}");
        return Ok(found);
    }
    let visit = match rehearsal.place(&asked) {
        Ok(visit) => visit,
        Err(refusal) => {
            found.decision = format!("{}: {refusal}", refusal.code());
            return Ok(found);
        }
    };
    found.pinned = matches!(visit.code(), Code::Pinned | Code::Lingering | Code::Joined | Code::Moved);
    found.weak = visit.code() == Code::Weak;
    found.decision = visit.code().to_string();
    note_known(&mut found.details, &visit);
    // Without an answer the visit is dropped, which proves nothing.
    let Some(response) = response else { return Ok(found) };
    let answer = ResponseMessage::read(response, message.head.method()).map_err(|error| error.to_string())?;
    let lesson = rehearsal.learn(upstream, &asked, visit, &answer);
    let (view, seen) = (asked.view(), lesson.view(&answer.head));
    let story = lesson.story(&asked.keys);
    found.lost = upstream.rules.lost(&view, &seen, &story).is_some();
    found.ends = upstream.rules.ended(&view, &seen, &story);
    let rules = upstream.rules.keys();
    for key in lesson.keys() {
        let name = rules.get(usize::from(key.rule)).map_or("?", |rule| &rule.name);
        found.details.push(format!("answer {}: learnt {name}", answer.head.status));
    }
    rehearsal.finish(upstream, &asked, lesson, &answer);
    Ok(found)
}

/// Where the request carries keys.
fn keys(rehearsal: &Rehearsal, asked: &Asked<'_>) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(upstream) = rehearsal.upstream(asked) {
        upstream.rules.hits(&asked.view(), &mut |hit| {
            out.push(format!("request: {} in {}", hit.key.name, hit.selector));
        });
    }
    if out.is_empty() {
        out.push("request: no key".to_owned());
    }
    out
}

fn note_known(details: &mut Vec<String>, visit: &Visit) {
    details.push(match visit.known().len() {
        0 => "no pin of it is known".to_owned(),
        1 => "one pin of it is known".to_owned(),
        count => format!("{count} pins of it are known"),
    });
}
