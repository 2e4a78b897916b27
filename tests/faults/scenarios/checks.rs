//! Whether the harness would notice: each of these does something wrong on purpose, and fails if the table does not show it.

use std::net::Ipv4Addr;
use std::process::Command;

use super::{Play, Stop};
use crate::load::Load;
use crate::process::{Process, free_address, listens};
use crate::stage::Setup;
use crate::verdict::Row;

/// The complaint that must come; it is the only one that may.
fn must_complain(mut row: Row, about: &str) -> Row {
    let noticed = row.complaints.iter().any(|complaint| complaint.contains(about));
    row.complaints.retain(|complaint| !complaint.contains(about));
    if !noticed {
        row.complaints.push(format!("the harness did not notice: {about}"));
    }
    row
}

pub fn unsticky(play: &Play) -> Result<Row, Stop> {
    let stage = play.stage(3, Setup { sticky: false, ..Setup::default() })?;
    let load = Load::default().start(stage.address);
    load.pass(play.some(500))?;
    let row = stage.close(load.stop())?.row("");
    Ok(must_complain(row, "moved silently"))
}

pub fn retrying(play: &Play) -> Result<Row, Stop> {
    let stage = play.stage(3, Setup::default())?;
    let how = |_, number| if number % 9 == 8 { "close-early" } else { "ok" };
    let address = free_address(Ipv4Addr::LOCALHOST)?;
    let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
    command.args(["toy", "--listen", &address.to_string(), "--to", &stage.address.to_string()]);
    let _toy = Process::start(command, &stage.folder.path().join("toy"))?;
    listens(address)?;
    let load = Load { how, ..Load::default() }.start(address);
    load.pass(play.some(500))?;
    let row = stage.close(load.stop())?.row("");
    Ok(must_complain(row, "executed twice"))
}
