//! `castile peers`: the gateways that share a store with a running one.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::admin_api::{AdminApi, AdminArgs};
use crate::config::units::show_duration;

/// Whom to ask.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Print JSON, as the API gives it
    #[arg(long)]
    pub json: bool,
    /// The gateway
    #[command(flatten)]
    pub admin: AdminArgs,
}

const FAILED: u8 = 1;

/// Lists them: 0, or 1 where the gateway refuses or cannot be asked.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    match AdminApi::new(&args.admin).and_then(|api| api.ask("GET", "/v1/peers")) {
        Ok(shown) => {
            let text = if args.json { format!("{shown}\n") } else { table(&shown) };
            // Whoever closes the pipe early has seen enough.
            let _ = out.write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(message) => {
            let _ = writeln!(err, "error: {message}");
            ExitCode::from(FAILED)
        }
    }
}

/// The store, and a line for each gateway.
fn table(shown: &Value) -> String {
    let Some(store) = shown["store"].as_str() else {
        return "this gateway shares its conversations with no other: see affinity.store\n".to_owned();
    };
    let mut text = format!("store: {store}");
    if let Some(why) = shown["trouble"].as_str() {
        text += &format!(", away: {why}");
    }
    let pending = shown["pending"].as_u64().unwrap_or(0);
    if pending > 0 {
        text += &format!(", {pending} changes wait for it");
    }
    text.push('\n');
    let rows: Vec<[String; 5]> =
        std::iter::once(["GATEWAY", "VERSION", "UP", "LAG", "LAST CONTACT"].map(str::to_owned))
            .chain(shown["peers"].as_array().into_iter().flatten().map(row))
            .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..5).map(width).collect();
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

fn row(peer: &Value) -> [String; 5] {
    let time = |key: &str| Duration::from_millis(peer[key].as_u64().unwrap_or(0));
    let name = peer["name"].as_str().unwrap_or_default();
    let own = if peer["self"] == true { " (asked)" } else { "" };
    let key = if peer["same_fingerprint_key"] == false { " (another fingerprint_key!)" } else { "" };
    let silent = if peer["silent"] == true { " (silent)" } else { "" };
    [
        format!("{name}{own}{key}{silent}"),
        peer["version"].as_str().unwrap_or_default().to_owned(),
        show_duration(Duration::from_secs(time("up_ms").as_secs())),
        format!("{} changes", peer["lag"].as_u64().unwrap_or(0)),
        format!("{} ago", show_duration(time("last_contact_ms"))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gateway_has_a_line_and_what_is_amiss_shows() {
        let text = table(&serde_json::json!({
            "store": "redis 10.0.0.5:6379", "trouble": "no answer", "pending": 3,
            "peers": [
                {"name": "east", "self": true, "version": "1", "up_ms": 61_000, "lag": 0, "last_contact_ms": 20, "same_fingerprint_key": true},
                {"name": "west", "self": false, "version": "1", "up_ms": 5_000, "lag": 7, "last_contact_ms": 900, "same_fingerprint_key": false},
            ]
        }));
        for part in [
            "redis 10.0.0.5:6379, away: no answer, 3 changes wait",
            "east (asked)",
            "7 changes",
            "another fingerprint_key",
            "900ms ago",
        ] {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
        assert!(table(&serde_json::json!({"store": null, "peers": []})).contains("affinity.store"));
    }
}
