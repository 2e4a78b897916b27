//! Nodes from a file: a YAML or JSON list, looked at again and again.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Teller;
use crate::config::model::FoundNode;
use crate::config::{Sources, parse_nodes};

/// Between two looks. A change is taken over when two looks in a row see the same, as with the configuration.
const PERIOD: Duration = Duration::from_secs(1);
/// A list that is larger is a mistake: a thousand nodes take a tenth of that.
const BYTES_MAX: u64 = 1 << 20;

/// Reads a list of nodes.
///
/// # Errors
/// It cannot be read, or the first problem in it, with its place.
pub fn read(path: &Path) -> Result<Vec<FoundNode>, String> {
    let mut text = String::new();
    let file = std::fs::File::open(path);
    let read = file.and_then(|file| file.take(BYTES_MAX + 1).read_to_string(&mut text));
    read.map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
    if text.len() as u64 > BYTES_MAX {
        return Err(format!("{}: is larger than {} KiB; no list of nodes is", path.display(), BYTES_MAX >> 10));
    }
    parse_nodes(&text, &path.display().to_string()).map_err(|problems| {
        let more = problems.len().saturating_sub(1);
        let first = problems.first().map(ToString::to_string).unwrap_or_default();
        if more == 0 { first } else { format!("{first} (and {more} more)") }
    })
}

/// Reads it and tells what it says.
pub(super) fn tell(path: &Path, teller: &Teller) {
    match read(path) {
        Ok(nodes) => teller.sees(nodes),
        Err(why) => teller.fails(why),
    }
}

/// Looks at the file for ever. The file system may be slow, so it is asked on a thread of its own.
pub(super) async fn follow(path: PathBuf, teller: Teller) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let sources = Sources::of_file(&path);
    let (mut known, mut seen) = (None, None);
    loop {
        ticks.tick().await;
        let look = sources.clone();
        let Ok(now) = tokio::task::spawn_blocking(move || look.stamps()).await else { return };
        if known.as_ref() == Some(&now) {
            continue;
        }
        // At first nobody is writing that one would have to wait for.
        if known.is_some() && seen.replace(now.clone()).as_ref() != Some(&now) {
            continue;
        }
        let (path, teller) = (path.clone(), teller.clone());
        if tokio::task::spawn_blocking(move || tell(&path, &teller)).await.is_err() {
            return;
        }
        (known, seen) = (Some(now), None);
    }
}
