//! Reloads as the API previews, asks for and shows them.

use http::StatusCode;
use serde_json::{Value, json};

use crate::gateway::{Gateway, Outlook, Preview};

/// What taking over a configuration of this outlook would do to some of the conversations, from a place on; `next` tells
/// where to go on.
///
/// # Errors
/// A status and a sentence: the outlook is none.
pub fn preview(gateway: &Gateway, query: &str, outlook: &[u8]) -> Result<Value, (StatusCode, String)> {
    let bad = |message: String| (StatusCode::BAD_REQUEST, message);
    let outlook: Outlook = serde_json::from_slice(outlook).map_err(|error| bad(format!("no outlook: {error}")))?;
    let from = match query.strip_prefix("after=") {
        Some(after) => after.parse().map_err(|_| bad("after is a number".to_owned()))?,
        None => 0,
    };
    let mut preview = Preview::new(gateway, &outlook, from);
    let next = preview.step();
    let limit = gateway.snapshot().config.reload.max_conversations_lost;
    Ok(json!({"effect": preview.effect(), "next": next, "max_conversations_lost": limit}))
}

/// Asks for a reload. What it comes to is told by [`shown`].
///
/// # Errors
/// Nobody reloads here.
pub fn ask(gateway: &Gateway, query: &str) -> Result<Value, (StatusCode, String)> {
    let force = match query {
        "" | "force=false" => false,
        "force=true" => true,
        other => return Err((StatusCode::BAD_REQUEST, format!("{other} is not understood; use force=true"))),
    };
    let before = shown(gateway);
    if gateway.ask_reload(force) {
        Ok(before)
    } else {
        Err((StatusCode::SERVICE_UNAVAILABLE, "this process does not reload".to_owned()))
    }
}

/// How many reloads were taken over and refused, and why the last one was.
pub fn shown(gateway: &Gateway) -> Value {
    let (refused, why) = gateway.refused_reloads();
    json!({"taken_over": gateway.reloads(), "refused": refused, "why": why})
}
