//! `castile schema`: the JSON Schema of the configuration file, for editors.

use std::io::Write;
use std::process::ExitCode;

use crate::config::schema;

/// Prints the schema.
pub fn run(out: &mut dyn Write) -> ExitCode {
    // Maps of JSON always serialize; whoever closes the pipe early has seen enough.
    let text = serde_json::to_string_pretty(&schema::schema()).unwrap_or_default();
    let _ = writeln!(out, "{text}");
    ExitCode::SUCCESS
}
