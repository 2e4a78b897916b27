//! One reader for each section of the file. Each fills the model and describes itself; see [`super::read`].

mod affinity;
mod audit;
mod cookie;
mod discovery;
mod health;
mod limits;
mod listener;
mod names;
mod node;
mod process;
mod request_id;
mod route;
pub mod rules;
mod sticky;
mod upstream;

pub use discovery::{IDENTITY, found_node};
pub use health::expectation;
pub use names::{name, namespaces, text};
pub use sticky::sticky;
pub use upstream::CONNECTION;

use super::forms::{Flag, Or, ReadableFile, WritableFile, n16};
use super::model::{Config, Workers};
use super::read::Section;
use crate::config::forms::Count;

/// Reads the whole file.
pub fn config(s: &mut Section) -> Config {
    let workers = s.value(
        "workers",
        "How many workers serve; auto = what the process may use. A change needs a restart.",
        Or("auto", n16(Count::to(1024))),
        None,
    );
    let workers = match workers.and_then(std::num::NonZeroU16::new) {
        None => Workers::Auto,
        Some(count) => Workers::Count(count),
    };
    let namespaces = s
        .optional_with(
            "namespaces",
            "Prefixes for every rule in this file: prefix to namespace, or to a list of them.",
            names::namespaces,
        )
        .unwrap_or_default();
    let listeners = s
        .required_with("listeners", "Where clients connect.", |slot| {
            slot.some(|slot| slot.map(listener::listener).flatten())
        })
        .unwrap_or_default();
    let routes = s
        .required_with("routes", "Which request goes to which upstream; the first match wins.", |slot| {
            slot.some(|slot| slot.map(route::route).flatten())
        })
        .unwrap_or_default();
    let upstreams = s
        .required_with("upstreams", "The applications: name to nodes and policies.", |slot| {
            slot.not_empty();
            slot.named(|name, at, slot| upstream::upstream(name, at, &namespaces, slot))
        })
        .unwrap_or_default();
    let affinity = s.section("affinity", "The affinity table and its store.", affinity::affinity).unwrap_or_default();
    let limits = s.section("limits", "Limits of the process.", limits::process).unwrap_or_default();
    let inspect =
        s.section("inspect", "How much of a message is read for rules.", process::inspect).unwrap_or_default();
    let faults = s.section("faults", "How faults of the gateway itself travel.", process::faults).unwrap_or_default();
    let request_id = request_id::request_id(s);
    let admin = s.section("admin", "The admin API.", process::admin).unwrap_or_default();
    let mcmp = s.optional_with("mcmp", "Where nodes introduce themselves by the mod_cluster protocol.", |slot| {
        slot.map(discovery::mcmp).flatten()
    });
    let access_log = process::access_log(s);
    let audit = audit::audit(s);
    let reload = s.section("reload", "Taking over a changed file.", process::reload).unwrap_or_default();
    let shutdown = s.section("shutdown", "Stopping.", process::shutdown).unwrap_or_default();
    let handover = s.section("handover", "Restarting without losing a request.", process::handover).unwrap_or_default();
    // Its files were taken in before; it is asked for here to be known and described.
    s.field(
        "include",
        "Further files: their namespaces and upstreams, listeners and routes join this file's.",
        |slot| slot.one_or_list(|slot| slot.scalar(WritableFile)),
    );
    s.show("include", None);
    Config {
        workers,
        namespaces,
        listeners,
        routes,
        upstreams,
        affinity,
        limits,
        inspect,
        faults,
        request_id,
        admin,
        mcmp,
        access_log,
        audit,
        reload,
        shutdown,
        handover,
    }
}

/// The keys of a file and a switch are used everywhere.
type Files = ReadableFile;
const FILE: Files = ReadableFile;
const FLAG: Flag = Flag;
