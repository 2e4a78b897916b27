//! `castile nodes`: what the admin API of a running gateway says of its nodes, and their administrative state.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::admin_api::{AdminApi, AdminArgs, undelivered};
use super::waiting::{self, Stopped, Until};

/// What to do with which node.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to do
    #[arg(value_enum, default_value = "ls")]
    pub action: Action,
    /// The node, with its upstream where several have one of that name
    #[arg(value_name = "[UPSTREAM/]NODE", required_if_eq_any([("action", "drain"), ("action", "maint"), ("action", "ready"), ("action", "wait")]))]
    pub node: Option<String>,
    /// With drain or wait: wait for it; conversations=0, or requests=0 (default for wait: conversations=0)
    #[arg(long, value_name = "WHAT=N", value_parser = waiting::until)]
    pub until: Option<Until>,
    /// How long to wait at most, such as 4h (default: 1h)
    #[arg(long, value_name = "TIME", value_parser = crate::config::units::duration)]
    pub deadline: Option<Duration>,
    /// After the wait, and only if it was not in vain: set this state
    #[arg(long, value_name = "STATE")]
    pub then: Option<State>,
    /// The gateway
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Action {
    /// List nodes
    Ls,
    /// Existing conversations only
    Drain,
    /// Nothing
    Maint,
    /// Everything
    Ready,
    /// Wait until no conversation is pinned to it
    Wait,
}

/// An administrative state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum State {
    /// Nothing
    Maint,
    /// Everything
    Ready,
}

const DEADLINE: Duration = Duration::from_secs(3600);
const FAILED: u8 = 1;
const USAGE: u8 = 2;
/// The deadline is over and the node is not free.
const DEADLINE_OVER: u8 = 3;
/// It holds here, but not yet on every gateway of the fleet.
const NOT_EVERYWHERE: u8 = 4;
/// As shells tell of SIGINT.
const INTERRUPTED: u8 = 130;

/// Lists nodes, changes one, waits for one: 0; 1 where the gateway refuses or cannot be reached; 3 where the deadline is
/// over first; 4 where a gateway of the
/// fleet has not applied the change; 130 after Ctrl-C.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let waits = args.until.is_some() || args.action == Action::Wait;
    let fits = matches!(args.action, Action::Wait | Action::Drain);
    if waits && !fits || !waits && (args.deadline.is_some() || args.then.is_some()) {
        let _ = writeln!(
            err,
            "error: --until, --deadline and --then are for waiting: castile nodes drain NODE --until conversations=0"
        );
        return ExitCode::from(USAGE);
    }
    match nodes(args, waits, err) {
        // Whoever closes the pipe early has seen enough.
        Ok(nodes) => {
            let _ = write!(out, "{}", table(&nodes));
            match nodes.iter().find_map(undelivered) {
                None => ExitCode::SUCCESS,
                Some(told) => {
                    let _ = writeln!(err, "warning: {told}");
                    ExitCode::from(NOT_EVERYWHERE)
                }
            }
        }
        Err((code, message)) => {
            let _ = writeln!(err, "error: {message}");
            ExitCode::from(code)
        }
    }
}

fn nodes(args: &Args, waits: bool, err: &mut dyn Write) -> Result<Vec<Value>, (u8, String)> {
    let failed = |message: String| (FAILED, message);
    let api = AdminApi::new(&args.admin).map_err(failed)?;
    let mut found: Vec<Value> = match api.ask("GET", "/v1/nodes").map_err(failed)? {
        Value::Array(nodes) => nodes,
        _ => return Err(failed(format!("{} does not answer as an admin API does", args.admin.admin))),
    };
    if let Some(wanted) = &args.node {
        found.retain(|node| is_called(node, wanted));
        if found.is_empty() {
            return Err(failed(format!("there is no node {wanted}; castile nodes ls shows all")));
        }
    }
    let word = match args.action {
        Action::Ls => return Ok(found),
        Action::Drain => Some("drain"),
        Action::Maint => Some("maint"),
        Action::Ready => Some("ready"),
        Action::Wait => None,
    };
    let [node] = found.as_slice() else {
        let names: Vec<_> =
            found.iter().map(|node| format!("{}/{}", text(node, "upstream"), text(node, "node"))).collect();
        return Err(failed(format!("several nodes have that name; write one of {}", names.join(", "))));
    };
    let name = format!("{}/{}", text(node, "upstream"), text(node, "node"));
    let path = format!("/v1/nodes/{name}");
    let mut shown = node.clone();
    if let Some(word) = word {
        shown = api.ask("POST", &format!("{path}/{word}")).map_err(failed)?;
    }
    if waits {
        if let Some(told) = undelivered(&shown) {
            let _ = writeln!(err, "warning: {told}");
        }
        let until = args.until.as_ref().unwrap_or(&Until::FREE);
        let deadline = args.deadline.unwrap_or(DEADLINE);
        shown = waiting::wait(&api, &path, &name, until, deadline, err)
            .map_err(|why| stopped(&why, until, &name, &shown))?;
    }
    let then = match args.then {
        Some(State::Maint) => "maint",
        Some(State::Ready) => "ready",
        None => return Ok(vec![shown]),
    };
    Ok(vec![api.ask("POST", &format!("{path}/{then}")).map_err(failed)?])
}

/// What stays when the wait was in vain.
fn stopped(why: &Stopped, until: &Until, name: &str, node: &Value) -> (u8, String) {
    let what = until.what();
    let stays = format!("it stays in state {}; castile nodes wait {name} waits on", text(node, "state"));
    match why {
        Stopped::Failed(message) => (FAILED, message.clone()),
        Stopped::Deadline(left) => {
            (DEADLINE_OVER, format!("the deadline is over and {name} still has {left} {what}: {stays}"))
        }
        Stopped::Interrupted(left) => {
            (INTERRUPTED, format!("interrupted while {name} still had {left} {what}: {stays}"))
        }
    }
}

fn text<'a>(node: &'a Value, key: &str) -> &'a str {
    node[key].as_str().unwrap_or_default()
}

fn is_called(node: &Value, wanted: &str) -> bool {
    match wanted.split_once('/') {
        Some((upstream, name)) => text(node, "upstream") == upstream && text(node, "node") == name,
        None => text(node, "node") == wanted,
    }
}

/// The state that holds, and what the file says where that is another.
fn state(node: &Value) -> String {
    let state = text(node, "state");
    match node["file_state"].as_str() {
        Some(file) if file != state => {
            format!("{state} ({}: {file})", if text(node, "source") == "config" { "file" } else { "source" })
        }
        Some(_) => state.to_owned(),
        None => format!("{state} (has left)"),
    }
}

fn table(nodes: &[Value]) -> String {
    let head = ["UPSTREAM", "NODE", "STATE", "HEALTH", "CONVERSATIONS", "REQUESTS", "URL", "FROM"].map(str::to_owned);
    let rows = nodes.iter().map(|node| {
        let is_ejected = node["ejected_ms"].as_u64().is_some_and(|left| left > 0);
        let is_slow = node["slow_start_ms"].as_u64().is_some_and(|left| left > 0);
        let health = [
            text(node, "health"),
            if is_ejected { ", ejected" } else { "" },
            if is_slow { ", starts slowly" } else { "" },
        ];
        let count = |key: &str| node[key].as_u64().unwrap_or(0).to_string();
        let named = |key: &str| text(node, key).to_owned();
        [
            named("upstream"),
            named("node"),
            state(node),
            health.concat(),
            count("conversations"),
            count("requests"),
            named("url"),
            named("source"),
        ]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..8).map(width).collect();
    let line = |row: &[String; 8]| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_with_or_without_its_upstream() {
        let node = serde_json::json!({"upstream": "orders", "node": "n1"});
        for (wanted, is_it) in
            [("n1", true), ("orders/n1", true), ("n2", false), ("other/n1", false), ("orders", false)]
        {
            assert_eq!(is_called(&node, wanted), is_it, "{wanted}");
        }
    }

    #[test]
    fn a_state_that_is_not_the_files_says_so() {
        let check = |state_now: &str, file: Value| {
            state(&serde_json::json!({"state": state_now, "file_state": file, "source": "config"}))
        };
        assert_eq!(check("drain", "drain".into()), "drain");
        assert_eq!(check("drain", "ready".into()), "drain (file: ready)");
        assert_eq!(check("drain", Value::Null), "drain (has left)");
    }
}
