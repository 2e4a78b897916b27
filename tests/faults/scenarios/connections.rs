//! Connections to nodes that break.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use super::{Play, Stop, all_well, close, none_lost, only_faults, stall_below, undisturbed};
use crate::load::{How, Load};
use crate::stage::{Setup, Stage};
use crate::verdict::{Evidence, Row};

/// The node does something wrong now and then.
fn now_and_then(
    play: &Play,
    how: How,
    expect: impl FnOnce(&Evidence, &Row) -> Vec<(bool, String)>,
) -> Result<Row, Stop> {
    let stage = play.stage(3, Setup::default())?;
    let load = Load { length: 20, how, ..Load::default() }.start(stage.address);
    load.pass(play.some(2_500))?;
    close(stage, vec![load], |evidence, row| {
        let mut expected = expect(evidence, row);
        let meant_well: Vec<_> = evidence
            .told
            .iter()
            .filter(|told| told.how == "ok" && !matches!(told.outcome, crate::verdict::Outcome::Answered))
            .collect();
        let what =
            format!("{} requests suffered from those of others, first {:?}", meant_well.len(), meant_well.first());
        expected.push((meant_well.is_empty(), what));
        expected.push(none_lost(row));
        expected.push(stall_below(row, 3_000));
        expected
    })
}

pub fn garbage(play: &Play) -> Result<Row, Stop> {
    let how = |client: u64, number: u64| if (client + number) % 11 == 10 { "garbage" } else { "ok" };
    now_and_then(play, how, |evidence, row| {
        vec![
            only_faults(evidence, row, &["NodeFailed"]),
            (row.faults > 0, "no garbage was told".to_owned()),
            (row.cut == 0, "garbage came through".to_owned()),
        ]
    })
}

pub fn closed(play: &Play) -> Result<Row, Stop> {
    let how = |client: u64, number: u64| match (client + number) % 31 {
        10 => "close-early",
        20 => "close-head",
        30 => "close-mid",
        _ => "ok",
    };
    now_and_then(play, how, |evidence, row| {
        vec![
            only_faults(evidence, row, &["NodeFailed"]),
            (row.faults > 0, "no close was told".to_owned()),
            (row.cut > 0, "a cut answer was passed as a whole one".to_owned()),
        ]
    })
}

pub fn reset(play: &Play) -> Result<Row, Stop> {
    let how = |client: u64, number: u64| match (client + number) % 21 {
        10 => "reset-early",
        20 => "reset-mid",
        _ => "ok",
    };
    now_and_then(play, how, |evidence, row| {
        vec![only_faults(evidence, row, &["NodeFailed"]), (row.faults > 0, "no reset was told".to_owned())]
    })
}

pub fn extra(play: &Play) -> Result<Row, Stop> {
    let how = |client: u64, number: u64| if (client + number) % 7 == 6 { "extra" } else { "ok" };
    now_and_then(play, how, |evidence, row| vec![all_well(evidence, row)])
}

pub fn idle(play: &Play) -> Result<Row, Stop> {
    let setup = Setup { upstream: "    timeouts: {node_idle: 60s}\n".to_owned(), ..Setup::default() };
    let mut stage = Stage::bare(&play.castile, setup)?;
    for (number, idle) in ["19", "20", "21"].into_iter().enumerate() {
        stage.add_node(number, Ipv4Addr::LOCALHOST, None, &["--idle", idle])?;
    }
    stage.start_gateway()?;
    // One client a node and a rhythm just like theirs: each connection is closed when it is to be used.
    let loads: Vec<_> = (0..6)
        .map(|number| {
            let think = Duration::from_micros(19_000 + 400 * number);
            Load { clients: 1, first: number, think, length: 50, ..Load::default() }.start(stage.address)
        })
        .collect();
    loads[0].pass(play.some(300))?;
    close(stage, loads, |evidence, row| {
        vec![
            none_lost(row),
            // A request written into a closing connection may have been executed, for all that anybody can know.
            only_faults(evidence, row, &["NodeFailed"]),
            (
                row.faults * 10 < row.requests,
                format!("{} of {} requests met a closing connection", row.faults, row.requests),
            ),
            stall_below(row, 3_000),
        ]
    })
}

/// A second network, joined to this process's by a wire that can be cut: `away` is 10.77.0.2, here is 10.77.0.1.
fn second_network() -> Result<(), String> {
    for line in [
        "mount -t tmpfs none /run",
        "mkdir -p /run/netns",
        "ip link set lo up",
        "ip netns add away",
        "ip link add near type veth peer name far netns away",
        "ip addr add 10.77.0.1/24 dev near",
        "ip link set near up",
        "ip -n away addr add 10.77.0.2/24 dev far",
        "ip -n away link set lo up",
        "ip -n away link set far up",
    ] {
        run(line)?;
    }
    Ok(())
}

fn run(line: &str) -> Result<(), String> {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap_or_default()).args(words).output();
    let output = output.map_err(|error| format!("{line}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(format!("{line}: {}", String::from_utf8_lossy(&output.stderr))) }
}

pub fn half_open(play: &Play) -> Result<Row, Stop> {
    second_network().map_err(Stop::NotRun)?;
    let setup = Setup {
        upstream:
            "    timeouts: {connect: 500ms, response: 2s}\n    health: {observe: {connect_failures: 3, eject: 50ms}}\n"
                .to_owned(),
        ..Setup::default()
    };
    let mut stage = Stage::bare(&play.castile, setup)?;
    stage.add_node(0, Ipv4Addr::new(10, 77, 0, 2), Some("away"), &[])?;
    stage.add_node(1, Ipv4Addr::LOCALHOST, None, &[])?;
    stage.add_node(2, Ipv4Addr::LOCALHOST, None, &[])?;
    stage.start_gateway()?;
    let load = Load { clients: 12, length: 40, ..Load::default() }.start(stage.address);
    for _ in 0..2 {
        load.well(play.some(400))?;
        stage.nodes[0].serves_more()?;
        // The other end goes: what is sent vanishes, and nobody is told.
        run("ip -n away link set far down")?;
        std::thread::sleep(Duration::from_secs(4));
        run("ip -n away link set far up")?;
    }
    load.well(play.some(400))?;
    close(stage, vec![load], |evidence, row| {
        vec![
            none_lost(row),
            undisturbed(evidence, &["n0"]),
            only_faults(evidence, row, &["NodeFailed", "SessionLost", "NodeUnavailable"]),
            (row.faults > 0, "nobody noticed".to_owned()),
            stall_below(row, 6_000),
        ]
    })
}
