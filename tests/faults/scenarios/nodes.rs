//! Nodes that go, come back, hang and forget.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Play, Stop, all_well, close, none_lost, only_faults, stall_below, undisturbed};
use crate::load::Load;
use crate::stage::{Setup, Stage};
use crate::verdict::{Evidence, Row};

/// How long a node stays away: long enough for those who wait for it to be told.
const AWAY: Duration = Duration::from_millis(800);
/// Nodes that failed are asked again soon, so that a scenario need not wait for that.
const SOON: &str = "    health: {observe: {connect_failures: 3, eject: 50ms}}\n";

/// Whoever waits this long for a node that refuses connections waits too long, milliseconds: three tries, 100 ms apart, and
/// a machine that is busy.
const REFUSED: u64 = 3_000;

pub fn healthy(play: &Play) -> Result<Row, Stop> {
    let stage = play.stage(3, Setup::default())?;
    let load = Load::default().start(stage.address);
    load.pass(play.some(3_000))?;
    close(stage, vec![load], |evidence, row| vec![all_well(evidence, row)])
}

pub fn killed(play: &Play) -> Result<Row, Stop> {
    let stage = play.stage(3, Setup { upstream: SOON.to_owned(), ..Setup::default() })?;
    kill_thrice(play, stage, |evidence, row| {
        vec![
            only_faults(evidence, row, &["SessionLost", "NodeFailed", "NodeUnavailable"]),
            (evidence.faults("SessionLost") > 0, "nobody was told of a lost session".to_owned()),
        ]
    })
}

pub fn killed_failover(play: &Play) -> Result<Row, Stop> {
    let upstream = format!("    nodes_share_sessions: all\n{SOON}");
    let stage = play.stage(3, Setup { upstream, ..Setup::default() })?;
    kill_thrice(play, stage, |evidence, row| {
        vec![only_faults(evidence, row, &["NodeFailed"]), (row.reported > 0, "no conversation was moved".to_owned())]
    })
}

/// A node is killed and comes back, three times.
fn kill_thrice(
    play: &Play,
    mut stage: Stage,
    expect: impl FnOnce(&Evidence, &Row) -> Vec<(bool, String)>,
) -> Result<Row, Stop> {
    let load = Load { length: 40, ..Load::default() }.start(stage.address);
    for _ in 0..3 {
        load.well(play.some(400))?;
        stage.nodes[0].serves_more()?;
        stage.nodes[0].kill();
        std::thread::sleep(AWAY);
        stage.nodes[0].start()?;
    }
    load.well(play.some(400))?;
    close(stage, vec![load], |evidence, row| {
        let mut expected = expect(evidence, row);
        expected.push(none_lost(row));
        expected.push(undisturbed(evidence, &["n0"]));
        expected.push(stall_below(row, REFUSED));
        expected
    })
}

pub fn dies(play: &Play) -> Result<Row, Stop> {
    let how = |client: u64, number: u64| if client == 0 && number % 30 == 7 { "die" } else { "ok" };
    let mut stage = play.stage(3, Setup::default())?;
    let load = Load { length: 20, how, ..Load::default() }.start(stage.address);
    let mut deaths = 0;
    for _ in 0..play.some(100) {
        load.pass(30)?;
        for node in &mut stage.nodes {
            deaths += usize::from(node.revive()?);
        }
    }
    close(stage, vec![load], |evidence, row| {
        vec![
            none_lost(row),
            only_faults(evidence, row, &["SessionLost", "NodeFailed", "NodeUnavailable"]),
            (deaths > 0, "no node died".to_owned()),
            (evidence.faults("NodeFailed") >= deaths, "a node's death was told nobody".to_owned()),
            stall_below(row, REFUSED),
        ]
    })
}

pub fn refuses(play: &Play) -> Result<Row, Stop> {
    let mut stage = play.stage(3, Setup::default())?;
    stage.nodes[0].kill();
    let load = Load::default().start(stage.address);
    load.pass(play.some(2_000))?;
    close(stage, vec![load], |evidence, row| vec![all_well(evidence, row), stall_below(row, REFUSED)])
}

pub fn forgets(play: &Play) -> Result<Row, Stop> {
    let mut stage = play.stage(3, Setup { upstream: SOON.to_owned(), ..Setup::default() })?;
    let load = Load { length: 40, ..Load::default() }.start(stage.address);
    for _ in 0..5 {
        load.well(play.some(300))?;
        stage.nodes[0].serves_more()?;
        stage.nodes[0].kill();
        stage.nodes[0].start()?;
    }
    load.well(play.some(300))?;
    close(stage, vec![load], |evidence, row| {
        vec![
            none_lost(row),
            undisturbed(evidence, &["n0"]),
            (evidence.strangers() > 0, "no session was forgotten".to_owned()),
            stall_below(row, REFUSED),
        ]
    })
}

pub fn stopped(play: &Play) -> Result<Row, Stop> {
    let setup = format!("    timeouts: {{connect: 500ms, response: 1s}}\n{SOON}");
    let setup = Setup { upstream: setup, ..Setup::default() };
    let stage = play.stage(3, setup)?;
    let load = Load { clients: 12, length: 40, ..Load::default() }.start(stage.address);
    for _ in 0..2 {
        load.well(play.some(400))?;
        stage.nodes[0].serves_more()?;
        stage.nodes[0].signal("STOP");
        std::thread::sleep(3 * AWAY);
        stage.nodes[0].signal("CONT");
    }
    load.well(play.some(400))?;
    close(stage, vec![load], |evidence, row| {
        vec![
            none_lost(row),
            undisturbed(evidence, &["n0"]),
            only_faults(evidence, row, &["NodeFailed", "SessionLost", "NodeUnavailable"]),
            (evidence.faults("NodeFailed") > 0, "nobody waited for the stopped node".to_owned()),
            stall_below(row, 4_000),
        ]
    })
}

pub fn slow(play: &Play) -> Result<Row, Stop> {
    let mut stage = Stage::bare(&play.castile, Setup::default())?;
    for (number, delay) in ["0", "0", "300"].into_iter().enumerate() {
        stage.add_node(number, Ipv4Addr::LOCALHOST, None, &["--delay", delay])?;
    }
    stage.start_gateway()?;
    let load = Load { clients: 12, ..Load::default() }.start(stage.address);
    load.pass(play.some(800))?;
    close(stage, vec![load], |evidence, row| {
        let slow: Vec<u64> =
            evidence.done.iter().filter(|done| done.node == "n2").map(|done| done.conversation).collect();
        let mut others: Vec<_> = evidence.told.iter().filter(|told| !slow.contains(&told.conversation)).collect();
        others.sort_by_key(|told| told.took);
        // On a busy machine some wait for a processor as long as the slow node takes.
        let most = others.get(others.len() * 95 / 100).map(|told| told.took).unwrap_or_default();
        vec![
            all_well(evidence, row),
            (!slow.is_empty(), "the slow node got nothing".to_owned()),
            (most < Duration::from_millis(300), format!("others waited {most:?} because of the slow node")),
        ]
    })
}
