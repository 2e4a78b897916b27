//! Waiting until a node that takes nothing new is free: how far it is, and how long it may still take.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::admin_api::AdminApi;

/// What is waited for: so few of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Until {
    /// `conversations` or `requests`.
    what: &'static str,
    /// At most so many.
    count: u64,
}

impl Until {
    /// What is counted: conversations, or requests.
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// No conversation is left.
    pub const FREE: Self = Self { what: "conversations", count: 0 };
}

/// Reads `conversations=0`.
///
/// # Errors
/// It is something else: what to write.
pub fn until(text: &str) -> Result<Until, String> {
    let way_out = || format!("{text:?}: write conversations=0, or requests=0");
    let (what, count) = text.split_once('=').ok_or_else(way_out)?;
    let what = ["conversations", "requests"].into_iter().find(|known| *known == what).ok_or_else(way_out)?;
    Ok(Until { what, count: count.parse().map_err(|_| way_out())? })
}

/// Why the wait is over before the node is free.
#[derive(Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The gateway refuses, or cannot be asked any more.
    Failed(String),
    /// The deadline is over; so many are left.
    Deadline(u64),
    /// Somebody pressed Ctrl-C; so many are left.
    Interrupted(u64),
}

/// Between two questions at least; longer where an answer costs the gateway much.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two lines although nothing changes.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// Waits, telling how far it is, and gives the node as it is then.
///
/// # Errors
/// The node is not free; it stays as it is.
pub fn wait(
    api: &AdminApi,
    path: &str,
    name: &str,
    until: &Until,
    deadline: Duration,
    err: &mut dyn Write,
) -> Result<Value, Stopped> {
    let failed = |error: std::io::Error| Stopped::Failed(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let mut interrupts = {
        let _entered = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).map_err(failed)?
    };
    let began = Instant::now();
    let mut first = None;
    let mut told: Option<(u64, Instant)> = None;
    loop {
        let asked = Instant::now();
        let node = api.ask("GET", path).map_err(Stopped::Failed)?;
        let cost = asked.elapsed();
        let left = node[until.what].as_u64().unwrap_or(0);
        let uncounted = node["uncounted"].as_str();
        if left <= until.count && uncounted.is_none() {
            return Ok(node);
        }
        let pace = pace(*first.get_or_insert(left), left, began.elapsed());
        if told.is_none_or(|(count, when)| count != left || when.elapsed() >= LINE_EVERY) {
            told = Some((left, Instant::now()));
            // Whoever closed the pipe does not care.
            let _ = writeln!(err, "{name}: {}", line(&node, pace));
            if let Some(why) = uncounted {
                let _ = writeln!(err, "{name}: {why}; waiting until it is back");
            }
        }
        let rest = deadline.saturating_sub(began.elapsed());
        if rest.is_zero() {
            return Err(Stopped::Deadline(left));
        }
        let pause = PAUSE.max(cost * 20).min(rest);
        let interrupted = runtime.block_on(async { tokio::time::timeout(pause, interrupts.recv()).await.is_ok() });
        if interrupted {
            return Err(Stopped::Interrupted(left));
        }
    }
}

/// How long the rest takes if it goes on as it went since the beginning; `None` while nothing has changed.
fn pace(first: u64, left: u64, elapsed: Duration) -> Option<Duration> {
    let gone = first.checked_sub(left).filter(|gone| *gone > 0)?;
    Some(elapsed.mul_f64(left as f64 / gone as f64))
}

/// How far it is.
fn line(node: &Value, pace: Option<Duration>) -> String {
    let count = |key: &str| node[key].as_u64().unwrap_or(0);
    let ms = |key: &str| node["outlook"][key].as_u64().map(Duration::from_millis);
    let mut line = format!("{} conversations, {} requests under way", count("conversations"), count("requests"));
    if let (Some(half), Some(all)) = (ms("half_idle_ms"), ms("all_idle_ms"))
        && count("conversations") > 0
    {
        line += &format!("; if none is used again, half are over in {}, all in {}", about(half), about(all));
        if let Some(latest) = ms("at_the_latest_ms") {
            line += &format!(" (at the latest in {})", about(latest));
        }
    }
    if let Some(pace) = pace {
        line += &format!("; at this pace in {}", about(pace));
    }
    line
}

/// A time as people say it: two units at most.
fn about(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", (seconds + 30) / 60),
        seconds => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_a_word_and_a_number() {
        assert_eq!(until("conversations=0"), Ok(Until::FREE));
        assert_eq!(until("requests=3"), Ok(Until { what: "requests", count: 3 }));
        for wrong in ["conversations", "conversations=", "conversations=none", "sessions=0", "=0", ""] {
            assert!(until(wrong).is_err_and(|error| error.contains("conversations=0")), "{wrong}");
        }
    }

    #[test]
    fn a_line_tells_how_far_it_is() {
        let outlook = |latest: Value| {
            serde_json::json!({"conversations": 12, "requests": 3,
                "outlook": {"half_idle_ms": 95_000, "all_idle_ms": 1_700_000, "at_the_latest_ms": latest}})
        };
        let common = "12 conversations, 3 requests under way; if none is used again, half are over in 95s, all in 28m";
        assert_eq!(line(&outlook(Value::Null), None), common);
        let all = format!("{common} (at the latest in 2h30m); at this pace in 10m");
        assert_eq!(line(&outlook(9_000_000.into()), Some(Duration::from_secs(600))), all);
        let none =
            serde_json::json!({"conversations": 0, "requests": 1, "outlook": {"half_idle_ms": 0, "all_idle_ms": 0}});
        assert_eq!(line(&none, None), "0 conversations, 1 requests under way");
    }

    #[test]
    fn a_pace_needs_a_change() {
        let minute = Duration::from_secs(60);
        assert_eq!(pace(10, 10, minute), None);
        assert_eq!(pace(10, 12, minute), None);
        assert_eq!(pace(10, 5, minute), Some(minute));
        assert_eq!(pace(12, 9, minute), Some(minute * 3));
    }
}
