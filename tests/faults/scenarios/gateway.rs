//! The gateway itself: reloads, kills, restarts.

use std::net::Ipv4Addr;

use super::{Play, Stop, all_well, close, close_killed, only_faults, stall_below};
use crate::load::Load;
use crate::stage::{Setup, Stage};
use crate::verdict::Row;

pub fn reloads(play: &Play) -> Result<Row, Stop> {
    let mut stage = play.stage(3, Setup::default())?;
    let load = Load { length: 200, ..Load::default() }.start(stage.address);
    for round in 0..play.some(100) {
        load.pass(20)?;
        // What changes is different each time, and never who the nodes are.
        stage.setup.upstream = match round % 4 {
            0 => "    attempts: 2\n",
            1 => "    balance: least_requests\n",
            2 => "    limits: {requests: 512}\n    timeouts: {node_idle: 2s}\n",
            _ => "",
        }
        .to_owned();
        stage.configure()?;
        stage.reload()?;
    }
    close(stage, vec![load], |evidence, row| vec![all_well(evidence, row)])
}

pub fn invalid(play: &Play) -> Result<Row, Stop> {
    let stage = play.stage(3, Setup::default())?;
    let load = Load { length: 100, ..Load::default() }.start(stage.address);
    for text in ["", "listeners: nonsense", "\t", "routes: [{upstream: nobody}]", "upstreams: {app: {nodes: []}}"] {
        load.pass(play.some(300))?;
        std::fs::write(stage.config_file(), text).map_err(|error| error.to_string())?;
        stage.reload()?;
    }
    load.pass(play.some(300))?;
    let refused = stage.told().matches("refused: nothing").count();
    close(stage, vec![load], |evidence, row| {
        vec![all_well(evidence, row), (refused == 5, format!("{refused} of 5 files were refused"))]
    })
}

/// A gateway that keeps its pins on disk, before anybody is told of them; not run where this build cannot.
pub fn durable(stage: &Stage) -> Setup {
    let file = stage.folder.path().join("store/castile.redb");
    let store = format!("affinity: {{store: {{disk: {}, durability: before_reply}}}}\n", file.display());
    Setup { top: stage.setup.top.clone() + &store, ..stage.setup.clone() }
}

/// Says why the gateway would not act on a key of its configuration.
pub fn needs(stage: &Stage, key: &str) -> Result<(), Stop> {
    stage.configure()?;
    let output = std::process::Command::new(&stage.castile).arg("check").arg(stage.config_file()).output();
    let output = output.map_err(|error| error.to_string())?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    match told.lines().find(|line| line.contains(key) && line.contains("not acted on")) {
        Some(_) => Err(Stop::NotRun(format!("this build does not act on {key}"))),
        None => Ok(()),
    }
}

/// How often the gateway is killed, by how many clients it is used then.
const KILLS: usize = 5;
const CLIENTS: u64 = 8;

pub fn killed(play: &Play) -> Result<Row, Stop> {
    let mut stage = Stage::bare(&play.castile, Setup::default())?;
    for number in 0..3 {
        stage.add_node(number, Ipv4Addr::LOCALHOST, None, &[])?;
    }
    stage.setup = durable(&stage);
    std::fs::create_dir(stage.folder.path().join("store")).map_err(|error| error.to_string())?;
    needs(&stage, "affinity.store")?;
    stage.start_gateway()?;
    let load = Load { clients: CLIENTS, length: 100, ..Load::default() }.start(stage.address);
    for _ in 0..KILLS {
        load.well(play.some(400))?;
        if let Some(gateway) = &mut stage.gateway {
            gateway.kill();
        }
        stage.start_gateway()?;
    }
    load.well(play.some(400))?;
    close_killed(stage, vec![load], |evidence, row| {
        let strangers = evidence.strangers();
        // Who asks while nobody listens gets no answer, and nothing is executed; what was under way may have been.
        let under_way = evidence.lost_after_execution();
        let most = KILLS * 2 * CLIENTS as usize;
        vec![
            only_faults(evidence, row, &[]),
            (strangers == 0, format!("{strangers} requests came to a node that does not hold their session")),
            (under_way <= most, format!("{under_way} requests were executed and got no answer")),
        ]
    })
}

/// How often the gateway is replaced by its successor.
const UPGRADES: usize = 5;

pub fn upgraded(play: &Play) -> Result<Row, Stop> {
    upgrade(play, false)
}

pub fn upgraded_durable(play: &Play) -> Result<Row, Stop> {
    upgrade(play, true)
}

fn upgrade(play: &Play, on_disk: bool) -> Result<Row, Stop> {
    let mut stage = Stage::bare(&play.castile, Setup::default())?;
    for number in 0..3 {
        stage.add_node(number, Ipv4Addr::LOCALHOST, None, &[])?;
    }
    stage.setup.top = format!("handover: {{socket: {}}}\n", stage.folder.path().join("control").display());
    if on_disk {
        stage.setup = durable(&stage);
        std::fs::create_dir(stage.folder.path().join("store")).map_err(|error| error.to_string())?;
    }
    stage.start_gateway()?;
    // These live through all of it; those begin and end meanwhile.
    let old = Load { clients: 4, length: 1_000_000, ..Load::default() }.start(stage.address);
    let young = Load { clients: CLIENTS, first: 100, length: 20, ..Load::default() }.start(stage.address);
    for _ in 0..UPGRADES {
        young.well(play.some(400))?;
        stage.upgrade()?;
    }
    young.well(play.some(400))?;
    let told = stage.told();
    let taken = told.matches("taken over; the process before this one accepts no more").count();
    let errors: Vec<String> = told.lines().filter(|line| line.contains("ERROR")).map(str::to_owned).collect();
    close(stage, vec![old, young], |evidence, row| {
        vec![
            all_well(evidence, row),
            stall_below(row, 5_000),
            (taken == UPGRADES, format!("{taken} of {UPGRADES} successors took over")),
            (errors.is_empty(), format!("errors in the log: {errors:?}")),
        ]
    })
}
