//! The log of events (not requests): `tracing`, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts the log of events on standard error. `CASTILE_LOG` filters it (`info` where it is not set); colours only on a
/// terminal. A second call changes nothing.
pub fn init_events() {
    let filter = EnvFilter::try_from_env("CASTILE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
    // Only tests start it twice, and the first one then stands.
    drop(started);
}
