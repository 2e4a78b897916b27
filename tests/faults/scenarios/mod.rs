//! The scenarios, and what is common to them.

mod checks;
mod connections;
mod gateway;
mod nodes;
mod overload;
mod resources;

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use crate::load::Running;
use crate::stage::{Setup, Stage};
use crate::verdict::{Evidence, Row};

/// One fault.
pub struct Scenario {
    pub name: &'static str,
    /// What happens, in a line.
    pub what: &'static str,
    /// Whether it belongs to the short run.
    pub quick: bool,
    /// Options of `unshare` for what the scenario does to mounts and networks.
    pub apart: &'static [&'static str],
    pub play: fn(&Play) -> Result<Row, Stop>,
}

/// What every scenario is given.
pub struct Play {
    pub castile: PathBuf,
    pub short: bool,
}

/// Why a scenario came to no end.
pub enum Stop {
    Failed(String),
    /// It cannot be run here.
    NotRun(String),
}

impl From<String> for Stop {
    fn from(what: String) -> Self {
        Self::Failed(what)
    }
}

const fn scenario(name: &'static str, what: &'static str, play: fn(&Play) -> Result<Row, Stop>) -> Scenario {
    Scenario { name, what, quick: true, apart: &[], play }
}

const MOUNT: &[&str] = &["--mount"];
const NETWORK: &[&str] = &["--mount", "--net"];

/// All of them, in the order of the table.
pub const ALL: &[Scenario] = &[
    scenario("healthy", "nothing goes wrong", nodes::healthy),
    scenario("node-killed", "SIGKILL of a node between requests, and back again", nodes::killed),
    scenario("node-killed-failover", "the same, where conversations may move", nodes::killed_failover),
    scenario("node-dies-in-request", "a node dies while it executes, and comes back", nodes::dies),
    scenario("node-refuses", "nobody listens where a node should be", nodes::refuses),
    scenario("node-forgets", "a node is restarted at once and has lost its memory", nodes::forgets),
    Scenario {
        apart: NETWORK,
        ..scenario("node-half-open", "packets to and from a node are dropped, and pass again", connections::half_open)
    },
    scenario("node-stopped", "SIGSTOP of a node, and on again", nodes::stopped),
    scenario("node-slow", "a node takes long for everything", nodes::slow),
    scenario("answer-garbage", "a node answers what is no HTTP", connections::garbage),
    scenario("answer-closed", "a node closes before, in and behind the head of its answer", connections::closed),
    scenario("answer-reset", "a node resets before and in its answer", connections::reset),
    scenario("answer-extra", "more bytes come after the answer", connections::extra),
    scenario("idle-closed", "nodes close idle connections when the next request comes", connections::idle),
    scenario("reloads", "100 reloads under load", gateway::reloads),
    scenario("reload-invalid", "reloads of a file that is wrong", gateway::invalid),
    scenario("gateway-killed", "SIGKILL of the gateway and restart, durability: before_reply", gateway::killed),
    scenario("gateway-upgrade", "SIGUSR2 five times: a successor takes sockets and table over", gateway::upgraded),
    scenario("gateway-upgrade-disk", "the same with durability: before_reply", gateway::upgraded_durable),
    scenario("table-overflow", "ten times as many conversations as there is room for", resources::table),
    Scenario { quick: false, ..scenario("descriptors", "idle clients take all descriptors", resources::descriptors) },
    Scenario {
        apart: MOUNT,
        ..scenario("store-disk-full", "the disk of the store is full, and has room again", resources::disk)
    },
    Scenario {
        apart: MOUNT,
        ..scenario("log-disk-full", "the disk of the access log is full, and has room again", resources::log_disk)
    },
    scenario("overload", "three times the requests that nodes can take", overload::threefold),
    scenario("fat-clients", "8 clients of 16 connections before a node of 30 threads", overload::fat),
    scenario("check-unsticky", "the harness notices conversations that move", checks::unsticky),
    scenario("check-retrying", "the harness notices requests that are executed twice", checks::retrying),
];

impl Scenario {
    /// Plays it, apart from the rest of the machine where it needs that.
    pub fn run(&self, play: &Play) -> Row {
        if self.apart.is_empty() { self.row(play) } else { self.run_apart(play) }
    }

    fn row(&self, play: &Play) -> Row {
        let mut row = match (self.play)(play) {
            Ok(row) => row,
            Err(Stop::Failed(what)) => Row { complaints: vec![what], ..Row::default() },
            Err(Stop::NotRun(why)) => Row { not_run: Some(why), ..Row::default() },
        };
        row.scenario = self.name.to_owned();
        row
    }

    fn run_apart(&self, play: &Play) -> Row {
        let not = |why: String| Row { scenario: self.name.to_owned(), not_run: Some(why), ..Row::default() };
        let is_permitted = Command::new("unshare").args(self.apart).arg("true").stderr(Stdio::null()).status();
        if !is_permitted.is_ok_and(|status| status.success()) {
            return not(format!("unshare {} is not permitted here", self.apart.join(" ")));
        }
        let Ok(itself) = std::env::current_exe() else { return not("this program is not found".to_owned()) };
        let mut command = Command::new("unshare");
        command.args(self.apart).arg(itself).arg("--inside").arg("--castile").arg(&play.castile);
        command.args(play.short.then_some("--short")).arg(self.name);
        let output = command.stderr(Stdio::inherit()).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_else(|error| Row {
            scenario: self.name.to_owned(),
            complaints: vec![format!("it came to no end: {error}")],
            ..Row::default()
        })
    }
}

/// Plays one scenario here, and writes its row for who has put this process apart.
pub fn inside(play: &Play, chosen: &[&Scenario]) -> ExitCode {
    for scenario in chosen {
        match serde_json::to_string(&scenario.row(play)) {
            Ok(row) => println!("{row}"),
            Err(error) => eprintln!("{error}"),
        }
    }
    ExitCode::SUCCESS
}

impl Play {
    /// So many requests, fewer in the short run.
    pub fn some(&self, requests: usize) -> usize {
        if self.short { requests.div_ceil(5) } else { requests }
    }

    pub fn stage(&self, nodes: usize, setup: Setup) -> Result<Stage, String> {
        Stage::new(&self.castile, nodes, setup)
    }
}

/// Ends a scenario: gathers what is known and adds what was expected in vain.
fn close(
    stage: Stage,
    running: Vec<Running>,
    expect: impl FnOnce(&Evidence, &Row) -> Vec<(bool, String)>,
) -> Result<Row, Stop> {
    let told = running.into_iter().flat_map(Running::stop).collect();
    judge(stage.close(told)?, expect)
}

/// The same where the table may have pushed out conversations that nobody has come back to.
fn close_overflown(
    stage: Stage,
    running: Vec<Running>,
    expect: impl FnOnce(&Evidence, &Row) -> Vec<(bool, String)>,
) -> Result<Row, Stop> {
    let told = running.into_iter().flat_map(Running::stop).collect();
    judge(Evidence { overflows: true, ..stage.close(told)? }, expect)
}

/// The same where the gateway was killed.
fn close_killed(
    stage: Stage,
    running: Vec<Running>,
    expect: impl FnOnce(&Evidence, &Row) -> Vec<(bool, String)>,
) -> Result<Row, Stop> {
    let told = running.into_iter().flat_map(Running::stop).collect();
    judge(Evidence { was_killed: true, ..stage.close(told)? }, expect)
}

fn judge(evidence: Evidence, expect: impl FnOnce(&Evidence, &Row) -> Vec<(bool, String)>) -> Result<Row, Stop> {
    let mut row = evidence.row("");
    let expected = expect(&evidence, &row);
    row.complaints.extend(expected.into_iter().filter(|(holds, _)| !holds).map(|(_, what)| what));
    Ok(row)
}

/// No conversation of another node saw anything of it.
fn undisturbed(evidence: &Evidence, faulty: &[&str]) -> (bool, String) {
    let disturbed = evidence.disturbed(faulty);
    let what = format!(
        "{} requests of other nodes' conversations did not go well, first {:?}",
        disturbed.len(),
        disturbed.first()
    );
    (disturbed.is_empty(), what)
}

/// Every request got an answer of some kind.
fn none_lost(row: &Row) -> (bool, String) {
    (row.lost == 0, format!("{} requests got no answer at all", row.lost))
}

/// No Fault, nothing cut, nothing lost.
fn all_well(evidence: &Evidence, row: &Row) -> (bool, String) {
    let bad = evidence.told.iter().find(|told| !matches!(told.outcome, crate::verdict::Outcome::Answered));
    let what = format!("{} of {} requests went well, first other: {bad:?}", evidence.answered(), row.requests);
    (evidence.answered() == row.requests, what)
}

/// Only these Faults.
fn only_faults(evidence: &Evidence, row: &Row, codes: &[&str]) -> (bool, String) {
    let named: usize = codes.iter().map(|code| evidence.faults(code)).sum::<usize>() + evidence.strangers();
    let mut all: Vec<_> = evidence.told.iter().map(|told| format!("{:?}", told.outcome)).collect();
    all.sort_unstable();
    all.dedup_by_key(|text| text.split("node:").next().map(str::to_owned));
    (named == row.faults, format!("other Faults than {codes:?}: {all:?}"))
}

/// Nobody waited longer, milliseconds.
fn stall_below(row: &Row, limit: u64) -> (bool, String) {
    (row.stall_ms < limit, format!("somebody waited {} ms, more than {limit}", row.stall_ms))
}
