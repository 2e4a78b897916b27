//! The table at the end.

use std::fmt::Write as _;

use crate::scenarios::Scenario;
use crate::verdict::Row;

/// In one word.
pub fn verdict(row: &Row) -> &'static str {
    match (&row.not_run, row.complaints.is_empty()) {
        (Some(_), _) => "NOT RUN",
        (None, true) => "ok",
        (None, false) => "FAILED",
    }
}

/// One line a scenario, then what is to be said.
pub fn table(rows: &[Row]) -> String {
    let mut out = format!(
        "\n{:24} {:>8} {:>5} {:>5} {:>6} {:>8} {:>8} {:>8} {:>8} {:>7}\n{:24} {:>8} {:>5} {:>5} {:>6} {:>8} {:>8} {:>8} {:>8} {:>7}\n",
        "scenario",
        "requests",
        "lost",
        "cut",
        "Faults",
        "executed",
        "moved",
        "moved+",
        "served",
        "longest",
        "",
        "",
        "",
        "",
        "",
        "twice",
        "silently",
        "reported",
        "unpinned",
        "stall",
    );
    let (checks, rows): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.scenario.starts_with("check-"));
    for row in rows.iter().copied() {
        line(row, &mut out);
    }
    if !checks.is_empty() {
        out.push_str("\nthe harness itself, with faults that it must notice:\n");
        for row in checks.iter().copied() {
            line(row, &mut out);
        }
    }
    let rows = || rows.iter().chain(&checks);
    for row in rows() {
        for complaint in row.complaints.iter().take(8) {
            let _ = write!(out, "\n{}: {complaint}", row.scenario);
        }
    }
    let count = |word| rows().filter(|row| verdict(row) == word).count();
    let _ = write!(out, "\n{} passed, {} failed, {} skipped", count("ok"), count("FAILED"), count("NOT RUN"));
    out
}

fn line(row: &Row, out: &mut String) {
    let _ = match &row.not_run {
        Some(why) => writeln!(out, "{:24} NOT RUN: {why}", row.scenario),
        None => writeln!(
            out,
            "{:24} {:>8} {:>5} {:>5} {:>6} {:>8} {:>8} {:>8} {:>8} {:>4} ms  {}",
            row.scenario,
            row.requests,
            row.lost,
            row.cut,
            row.faults,
            row.twice,
            row.silently,
            row.reported,
            row.unpinned,
            row.stall_ms,
            verdict(row)
        ),
    };
}

/// What there is.
pub fn list(scenarios: &[Scenario]) {
    for scenario in scenarios {
        println!("{:24} {}", scenario.name, scenario.what);
    }
}
