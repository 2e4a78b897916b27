//! More than nodes can take.

use std::net::Ipv4Addr;

use super::{Play, Stop, close, none_lost, only_faults, stall_below};
use crate::load::Load;
use crate::stage::{Setup, Stage};
use crate::verdict::Row;

pub fn threefold(play: &Play) -> Result<Row, Stop> {
    let upstream = "    limits: {requests: 4, connections: 4, idle_connections: 4}\n".to_owned();
    let mut stage = Stage::bare(&play.castile, Setup { upstream, ..Setup::default() })?;
    for number in 0..3 {
        stage.add_node(number, Ipv4Addr::LOCALHOST, None, &["--threads", "4", "--delay", "20"])?;
    }
    stage.start_gateway()?;
    let load = Load { clients: 36, ..Load::default() }.start(stage.address);
    load.well(play.some(2_000))?;
    close(stage, vec![load], |evidence, row| {
        vec![none_lost(row), only_faults(evidence, row, &["Overloaded", "NodeUnavailable"]), stall_below(row, 8_000)]
    })
}

pub fn fat(play: &Play) -> Result<Row, Stop> {
    let upstream = "    limits: {requests: 30, connections: 30, idle_connections: 30}\n".to_owned();
    let mut stage = Stage::bare(&play.castile, Setup { upstream, ..Setup::default() })?;
    stage.add_node(0, Ipv4Addr::LOCALHOST, None, &["--threads", "30", "--delay", "5"])?;
    stage.start_gateway()?;
    let load = Load { clients: 8 * 16, ..Load::default() }.start(stage.address);
    load.well(play.some(4_000))?;
    close(stage, vec![load], |evidence, row| {
        vec![none_lost(row), only_faults(evidence, row, &["Overloaded", "NodeUnavailable"]), stall_below(row, 8_000)]
    })
}
