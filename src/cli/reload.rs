//! `castile reload`, and `castile check --against`: taking a changed file over, and what that would do.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::admin_api::{AdminApi, AdminArgs};
use crate::gateway::{Effect, Outlook};

/// How to reload.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Also where more conversations would be lost than reload.max_conversations_lost allows
    #[arg(long)]
    pub force: bool,
    /// Whom to ask
    #[command(flatten)]
    pub admin: AdminArgs,
}

const FAILED: u8 = 1;
/// For the gateway to read its files.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two questions.
const POLL: Duration = Duration::from_millis(100);

/// Asks for a reload and tells what it came to: 0 = taken over, 1 = refused, or the gateway cannot be asked.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    match AdminApi::new(&args.admin).and_then(|api| reload(&api, args.force)) {
        Ok(()) => {
            let _ = writeln!(out, "configuration taken over");
            ExitCode::SUCCESS
        }
        Err(message) => {
            let _ = writeln!(err, "error: {message}");
            ExitCode::from(FAILED)
        }
    }
}

fn reload(api: &AdminApi, force: bool) -> Result<(), String> {
    let before = api.ask("POST", if force { "/v1/reload?force=true" } else { "/v1/reload" })?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let now = api.ask("GET", "/v1/reload")?;
        if now["taken_over"] != before["taken_over"] {
            return Ok(());
        }
        if now["refused"] != before["refused"] {
            return Err(format!("reload refused: {}", now["why"].as_str().unwrap_or_default()));
        }
        std::thread::sleep(POLL);
    }
    Err("the gateway does not say what became of the reload".to_owned())
}

/// Tells what taking the file over would do. Whether a reload would be taken over without force.
///
/// # Errors
/// The gateway cannot be asked.
pub fn preview(outlook: &Outlook, admin: &AdminArgs, json: bool, out: &mut dyn Write) -> Result<bool, String> {
    let api = AdminApi::new(admin)?;
    let body = serde_json::to_string(outlook).expect("names are text");
    let (mut effect, mut limit, mut after) = (Effect::default(), Value::Null, Some(0));
    while let Some(at) = after {
        let page = api.send("POST", &format!("/v1/preview?after={at}"), &body)?;
        let more: Effect = serde_json::from_value(page["effect"].clone())
            .map_err(|_| format!("{} does not answer as an admin API does", admin.admin))?;
        effect.add(more);
        limit = page["max_conversations_lost"].clone();
        after = page["next"].as_u64();
    }
    effect.overflow = effect.conversations.saturating_sub(outlook.max_conversations);
    let is_allowed = limit.as_u64().is_none_or(|limit| effect.lost() <= limit);
    let _ = if json {
        let mut shown = serde_json::to_value(effect).expect("numbers are JSON");
        shown["max_conversations_lost"] = limit;
        shown["allowed"] = is_allowed.into();
        writeln!(out, "{shown}")
    } else {
        write!(out, "{}", text(&effect, is_allowed))
    };
    Ok(is_allowed)
}

fn text(effect: &Effect, is_allowed: bool) -> String {
    let rows = [
        (effect.conversations, "live conversations"),
        (effect.without_node, "would lose their node: it leaves the configuration, and is drained while it answers"),
        (effect.without_rule, "would not be found any more: no rule would read their keys as now"),
        (effect.with_fewer_rules, "would be found by fewer of their keys"),
        (effect.overflow, "are more than affinity.max_conversations would be"),
    ];
    let mut text: String = rows.iter().map(|(count, what)| format!("{count:>8}  {what}\n")).collect();
    if !is_allowed {
        text +=
            "a reload would be refused: reload.max_conversations_lost of the running gateway; castile reload --force\n";
    }
    text
}
