//! `castile conversations`: what a running gateway keeps of its conversations, and moving or unbinding them.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::admin_api::{AdminApi, AdminArgs, undelivered};
use crate::config::model::Store;
use crate::config::units::{duration, show_duration};
use crate::config::{Config, Loaded};
use crate::gateway::Snapshot;
use crate::session::spec::{Role, Scope};
use crate::session::{Fingerprint, Fingerprinter};
use crate::upstream::Registry;

/// What to do with which conversations.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to do
    #[arg(value_enum, default_value = "ls")]
    pub action: Action,
    /// One conversation, by the fingerprint of any of its keys, as ls and the access log show it
    #[arg(conflicts_with_all = ["id", "upstream", "node", "age", "idle"])]
    pub fingerprint: Option<String>,
    /// One conversation, by a session id that it carries; - reads the id from standard input. The id is fingerprinted here, with
    /// affinity.fingerprint_key of the configuration, or the key file beside its store, and never sent
    #[arg(long, value_name = "ID", conflicts_with_all = ["node", "age", "idle"])]
    pub id: Option<String>,
    /// With --id: the configuration of the gateway
    #[arg(long, value_name = "FILE", default_value = "config.yaml")]
    pub config: PathBuf,
    /// With --id: what else makes up a key of scope host or client_ip
    #[arg(long, value_name = "HOST|ADDRESS", requires = "id")]
    pub scope: Option<String>,
    /// Only those of this upstream (of its affinity group)
    #[arg(long)]
    pub upstream: Option<String>,
    /// Only those on this node
    #[arg(long, value_name = "[UPSTREAM/]NODE")]
    pub node: Option<String>,
    /// Only those that have a key of this name
    #[arg(long, value_name = "NAME")]
    pub key_name: Option<String>,
    /// Only those that began so long ago, such as 4h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub age: Option<Duration>,
    /// Only those that have been idle for so long
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub idle: Option<Duration>,
    /// With move: where to
    #[arg(long, value_name = "[UPSTREAM/]NODE", required_if_eq("action", "move"))]
    pub to: Option<String>,
    /// With ls: how many at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// Print JSON: of ls and show an array, of move and unbind what was done
    #[arg(long)]
    pub json: bool,
    /// Whom to ask
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Action {
    /// List them
    Ls,
    /// Show one with its keys
    Show,
    /// Give them to another node, with all their keys
    Move,
    /// Forget them; their ids count as unknown from then on
    Unbind,
}

const FAILED: u8 = 1;
/// It is done here, but not yet on every gateway of the fleet.
const NOT_EVERYWHERE: u8 = 4;
/// The largest page that the API gives.
const PAGE: usize = 1000;

/// Lists, shows, moves or unbinds: 0; 1 where the gateway refuses or cannot be asked; 4 where a gateway of the
/// fleet has not applied the change.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let done = AdminApi::new(&args.admin).and_then(|api| match args.action {
        Action::Ls | Action::Show => show(&api, args, out, err).map(|()| true),
        Action::Move | Action::Unbind => change(&api, args, out, err),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NOT_EVERYWHERE),
        Err(message) => {
            let _ = writeln!(err, "error: {message}");
            ExitCode::from(FAILED)
        }
    }
}

fn show(api: &AdminApi, args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), String> {
    let (found, is_more) = match one(api, args)? {
        Some((_, conversation)) => (vec![conversation], false),
        None if args.action == Action::Show => {
            return Err("say which: a fingerprint, or --id; castile conversations ls shows all".to_owned());
        }
        None => list(api, args)?,
    };
    // Whoever closes the pipe early has seen enough.
    let _ = match (args.json, args.action) {
        (true, _) => writeln!(out, "{}", Value::from(found)),
        (false, Action::Show) => found.iter().try_for_each(|one| write!(out, "{}", details(one))),
        (false, _) => write!(out, "{}", table(&found)),
    };
    if is_more {
        let _ = writeln!(err, "there are more; --limit shows them");
    }
    Ok(())
}

fn list(api: &AdminApi, args: &Args) -> Result<(Vec<Value>, bool), String> {
    let mut found: Vec<Value> = Vec::new();
    let mut after = Some(0);
    while let Some(at) = after {
        let left = args.limit - found.len();
        if left == 0 {
            return Ok((found, true));
        }
        let path = format!("/v1/conversations?{}limit={}&after={at}", filter(args), left.min(PAGE));
        let page = api.ask("GET", &path)?;
        found.extend(page["conversations"].as_array().cloned().unwrap_or_default());
        after = page["next"].as_u64();
    }
    Ok((found, false))
}

fn change(api: &AdminApi, args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> Result<bool, String> {
    let word = if args.action == Action::Move { "move" } else { "unbind" };
    let to = args.to.as_ref().map(|to| format!("to={to}&")).unwrap_or_default();
    let one = one(api, args)?.map(|(print, _)| print);
    let (mut changed, mut requests, mut health) = (0, 0, String::new());
    let mut late = None;
    let mut after = Some(0);
    while let Some(at) = after {
        let path = match &one {
            Some(print) => format!("/v1/conversations/{print}/{word}?{to}"),
            None => format!("/v1/conversations/{word}?{to}{}after={at}", filter(args)),
        };
        let done = api.ask("POST", &path)?;
        changed += done["changed"].as_u64().unwrap_or(0);
        requests += done["requests_in_flight"].as_u64().unwrap_or(0);
        health = done["health"].as_str().unwrap_or_default().to_owned();
        late = undelivered(&done).or(late);
        after = done["next"].as_u64();
    }
    let _ = if args.json {
        writeln!(out, "{}", serde_json::json!({"changed": changed, "requests_in_flight": requests}))
    } else {
        let done = if args.action == Action::Move { "moved" } else { "unbound" };
        writeln!(out, "{done}: {changed} conversations, with {requests} requests in flight, which end where they are")
    };
    if health == "down" && !args.json {
        let _ = writeln!(out, "note: node {} is down", args.to.as_deref().unwrap_or_default());
    }
    if let Some(told) = &late {
        let _ = writeln!(err, "warning: {told}");
    }
    Ok(late.is_none())
}

/// The one conversation that is named, with the fingerprint it was found by. `None` = none is named.
fn one(api: &AdminApi, args: &Args) -> Result<Option<(String, Value)>, String> {
    let prints = match (&args.fingerprint, &args.id) {
        (None, None) => return Ok(None),
        (Some(print), _) => vec![print.clone()],
        (None, Some(id)) => fingerprints(args, id)?.iter().map(ToString::to_string).collect(),
    };
    let query: Vec<_> = prints.iter().map(|print| format!("id={print}")).collect();
    let page = api.ask("GET", &format!("/v1/conversations?{}", query.join("&")))?;
    match page["conversations"].as_array().map(Vec::as_slice) {
        Some([one]) => Ok(Some((cell(one, "id"), one.clone()))),
        Some([_, ..]) => {
            Err("several conversations have that id as keys of different names; say which by --key-name".to_owned())
        }
        _ => Err("no conversation has that key".to_owned()),
    }
}

/// What the id may be fingerprinted as: by every rule that pins.
fn fingerprints(args: &Args, id: &str) -> Result<Vec<Fingerprint>, String> {
    let id = if id == "-" {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(|error| format!("standard input: {error}"))?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    } else {
        id.to_owned()
    };
    let config = load(&args.config)?;
    let secret = secret(&config.affinity, &args.config)?;
    let fingerprinter = Fingerprinter::new(&secret);
    let snapshot = Snapshot::compile(config, &Registry::default()).map_err(|error| error.to_string())?;
    let mut prints = Vec::new();
    for upstream in &snapshot.upstreams {
        if args.upstream.as_ref().is_some_and(|name| *name != upstream.config.name) {
            continue;
        }
        for rule in upstream.rules.keys().iter().filter(|rule| rule.role == Role::Pin) {
            let scope = match (rule.scope, &args.scope) {
                (Scope::Group, _) => String::new(),
                (Scope::Host, Some(scope)) => scope.to_ascii_lowercase(),
                (Scope::ClientIp, Some(scope)) => scope.clone(),
                (_, None) => continue,
            };
            if args.key_name.as_ref().is_some_and(|name| *name != rule.name) {
                continue;
            }
            let group = &upstream.config.affinity_group;
            let print = |value: Vec<u8>| fingerprinter.fingerprint(group, &rule.space, scope.as_bytes(), &value);
            prints.extend(rule.readings(id.as_bytes()).into_iter().map(print));
        }
    }
    let mut seen = std::collections::HashSet::new();
    prints.retain(|print| seen.insert(*print));
    if prints.is_empty() {
        return Err("no rule pins such ids; keys of scope host or client_ip need --scope".to_owned());
    }
    Ok(prints)
}

/// The configured secret, else the one that the gateway has made beside its store.
fn secret(affinity: &crate::config::model::Affinity, file: &Path) -> Result<crate::store::Secret, String> {
    if let Some(secret) = crate::gateway::configured_secret(affinity) {
        return Ok(secret);
    }
    let Store::Disk { path, .. } = &affinity.store else {
        return Err(format!(
            "{}: affinity.fingerprint_key is not set, so nobody but the gateway can make its fingerprints; set it, or take \
             the fingerprint from the access log",
            file.display()
        ));
    };
    let beside = crate::store::beside(path).map_err(|error| error.to_string())?;
    beside.ok_or_else(|| format!("{} has no key beside it: no gateway has used it from here yet", path.display()))
}

fn load(file: &Path) -> Result<crate::config::model::Config, String> {
    let loaded: Result<Loaded, _> = Config::load(file);
    loaded.map(|loaded| loaded.config).map_err(|problems| {
        let first = problems.first().map(ToString::to_string).unwrap_or_default();
        format!("{first}; castile check {} tells all", file.display())
    })
}

fn filter(args: &Args) -> String {
    let text = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name}={value}&"));
    let time = |name: &str, value: Option<Duration>| value.map(|value| format!("{name}={}&", show_duration(value)));
    let parts = [
        text("upstream", &args.upstream),
        text("node", &args.node),
        text("key", &args.key_name),
        time("age", args.age),
        time("idle", args.idle),
    ];
    parts.into_iter().flatten().collect()
}

fn cell(conversation: &Value, name: &str) -> String {
    conversation[name].as_str().unwrap_or("?").to_owned()
}

/// A time for people: whole seconds, or its two largest units.
fn time(conversation: &Value, name: &str) -> String {
    let Some(millis) = conversation[name].as_u64() else { return "-".to_owned() };
    match millis / 1000 {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        seconds => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

fn key_names(conversation: &Value) -> String {
    let mut names: Vec<_> =
        conversation["keys"].as_array().into_iter().flatten().map(|key| cell(key, "name")).collect();
    names.sort_unstable();
    names.dedup();
    names.join(",")
}

fn table(conversations: &[Value]) -> String {
    let head = ["GROUP", "NODE", "STATE", "AGE", "IDLE", "REQUESTS", "KEYS", "ID"].map(str::to_owned);
    let rows = conversations.iter().map(|one| {
        [
            cell(one, "affinity_group"),
            cell(one, "node"),
            cell(one, "state"),
            time(one, "age_ms"),
            time(one, "idle_ms"),
            one["requests"].to_string(),
            key_names(one),
            cell(one, "id"),
        ]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let widths: Vec<_> = (0..8).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect();
    let line = |row: &[String; 8]| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn details(one: &Value) -> String {
    let mut text = format!(
        "node:      {}/{}\nstate:     {}{}\nage:       {}\nidle:      {}\nexpires:   {}\nrequests:  {}\n",
        cell(one, "affinity_group"),
        cell(one, "node"),
        cell(one, "state"),
        if one["confirmed"] == true { "" } else { ", no later request has confirmed it" },
        time(one, "age_ms"),
        time(one, "idle_ms"),
        if one["expires_in_ms"].is_null() {
            "not by itself".to_owned()
        } else {
            format!("in {}", time(one, "expires_in_ms"))
        },
        one["requests"],
    );
    for key in one["keys"].as_array().into_iter().flatten() {
        text += &format!("key:       {}  {}\n", cell(key, "fingerprint"), cell(key, "name"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (millis, shown) in [(999, "0s"), (119_000, "119s"), (125_000, "2m05s"), (7_260_000, "2h01m")] {
            assert_eq!(time(&serde_json::json!({"t": millis}), "t"), shown);
        }
        assert_eq!(time(&serde_json::json!({"t": null}), "t"), "-");
    }
}
