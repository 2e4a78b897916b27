//! What a gateway can run out of.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;

use super::gateway::{durable, needs};
use super::{Play, Stop, all_well, close, close_overflown, none_lost, only_faults, stall_below};
use crate::load::Load;
use crate::process::{free_address, until};
use crate::stage::{Setup, Stage};
use crate::verdict::Row;

/// Room for so many conversations.
const ROOM: usize = 60;

pub fn table(play: &Play) -> Result<Row, Stop> {
    let top = format!("affinity: {{max_conversations: {ROOM}, max_keys: {}}}\n", 4 * ROOM);
    let stage = play.stage(3, Setup { top, ..Setup::default() })?;
    // These were there first, and stay.
    let old = Load { clients: 10, length: 100_000, ..Load::default() }.start(stage.address);
    old.well(200)?;
    let flood = Load { clients: 6, first: 100, length: 1, ..Load::default() }.start(stage.address);
    flood.pass(10 * ROOM)?;
    // Those use their conversations, so that the table fills with some that are confirmed.
    let more = Load { clients: 6, first: 200, length: 4, ..Load::default() }.start(stage.address);
    more.pass(4 * 10 * ROOM)?;
    old.well(200)?;
    close_overflown(stage, vec![old, flood, more], |evidence, row| {
        let bad: Vec<_> = evidence
            .told
            .iter()
            .filter(|told| told.conversation < 100 * 1_000_000)
            .filter(|told| !matches!(told.outcome, crate::verdict::Outcome::Answered))
            .collect();
        vec![
            none_lost(row),
            (bad.is_empty(), format!("{} requests of old conversations suffered, first {:?}", bad.len(), bad.first())),
            (row.unpinned > 0, "the table was never full".to_owned()),
            only_faults(evidence, row, &[]),
        ]
    })
}

pub fn descriptors(play: &Play) -> Result<Row, Stop> {
    let stage = play.stage(3, Setup { descriptors: Some(96), ..Setup::default() })?;
    let load = Load { clients: 6, length: 60, ..Load::default() }.start(stage.address);
    for _ in 0..3 {
        load.well(play.some(300))?;
        let hoard: Vec<TcpStream> = (0..150).filter_map(|_| TcpStream::connect(stage.address).ok()).collect();
        load.pass(play.some(300))?;
        drop(hoard);
    }
    load.well(play.some(500))?;
    close(stage, vec![load], |evidence, row| {
        vec![
            none_lost(row),
            (evidence.faults("SessionLost") == 0, "a session was given up because the gateway ran out".to_owned()),
            (evidence.faults("NodeFailed") == 0, "a node was blamed because the gateway ran out".to_owned()),
            // Twice the time that a connection may take for its first head: so long the idle ones may stand in the way.
            stall_below(row, 25_000),
        ]
    })
}

/// A disk of so much room.
fn small_disk(folder: &Path, size: &str) -> Result<(), Stop> {
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let status =
        Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]).arg(folder).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Stop::NotRun("a tmpfs cannot be mounted here".to_owned())),
    }
}

/// Takes all the room that is left.
fn fill(folder: &Path) -> Result<std::path::PathBuf, Stop> {
    let file = folder.join("ballast");
    let block = vec![0; 4096];
    let mut ballast = std::fs::File::create(&file).map_err(|error| error.to_string())?;
    while std::io::Write::write_all(&mut ballast, &block).is_ok() {}
    Ok(file)
}

pub fn log_disk(play: &Play) -> Result<Row, Stop> {
    let mut stage = Stage::bare(&play.castile, Setup::default())?;
    let disk = stage.folder.path().join("logs");
    small_disk(&disk, "128k")?;
    stage.setup.log = Some(disk.join("access.json"));
    for number in 0..3 {
        stage.add_node(number, Ipv4Addr::LOCALHOST, None, &[])?;
    }
    stage.start_gateway()?;
    let load = Load { length: 60, ..Load::default() }.start(stage.address);
    load.pass(play.some(200))?;
    let ballast = fill(&disk)?;
    load.pass(play.some(2_000))?;
    std::fs::remove_file(ballast).map_err(|error| error.to_string())?;
    load.pass(play.some(500))?;
    close(stage, vec![load], |evidence, row| vec![all_well(evidence, row), stall_below(row, 2_000)])
}

pub fn disk(play: &Play) -> Result<Row, Stop> {
    let mut stage = Stage::bare(&play.castile, Setup::default())?;
    for number in 0..3 {
        stage.add_node(number, Ipv4Addr::LOCALHOST, None, &[])?;
    }
    let disk = stage.folder.path().join("store");
    small_disk(&disk, "8m")?;
    stage.setup = durable(&stage);
    stage.setup.admin = Some(free_address(Ipv4Addr::LOCALHOST)?);
    needs(&stage, "affinity.store")?;
    stage.start_gateway()?;
    let load = Load { length: 60, ..Load::default() }.start(stage.address);
    load.well(play.some(400))?;
    let well = said(&stage)?;
    let ballast = fill(&disk)?;
    load.well(play.some(400))?;
    until("the gateway says that the store fails", || said(&stage).is_ok_and(|said| said == FAILS))
        .map_err(|_| format!("log, metric, readiness: {:?} instead of {FAILS:?}", said(&stage)))?;
    load.well(play.some(2_000))?;
    std::fs::remove_file(ballast).map_err(|error| error.to_string())?;
    until("the gateway says that the store works again", || said(&stage).is_ok_and(|said| said == WORKS_AGAIN))
        .map_err(|_| format!("log, metric, readiness: {:?} instead of {WORKS_AGAIN:?}", said(&stage)))?;
    load.well(play.some(500))?;
    close(stage, vec![load], |evidence, row| {
        vec![
            all_well(evidence, row),
            stall_below(row, 5_000),
            (well == WORKS, format!("log, metric, readiness: {well:?} with a disk that has room")),
        ]
    })
}

/// What a gateway says of its store: the log that it fails, and that it works again; the metric; readiness, and its detail.
type Said = (bool, bool, bool, bool, bool);

const WORKS: Said = (false, false, true, true, false);
/// Serving goes on, so it is ready all the same.
const FAILS: Said = (true, false, false, true, true);
const WORKS_AGAIN: Said = (true, true, true, true, false);

fn said(stage: &Stage) -> Result<Said, String> {
    let (told, metrics, ready) = (stage.told(), stage.ask_admin("/metrics")?, stage.ask_admin("/ready")?);
    Ok((
        told.contains("the store fails"),
        told.contains("the store works again"),
        metrics.lines().any(|line| line == "castile_store_up 1"),
        ready.contains("\"ready\":true"),
        ready.contains("the store fails"),
    ))
}
