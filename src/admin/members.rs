//! Nodes that announce themselves, and who finds nodes.

use http::StatusCode;
use serde_json::{Value, json};

use super::audited::Story;
use super::fleet::Wanted;
use crate::affinity::Now;
use crate::config::model::Source;
use crate::gateway::{Gateway, Registration, read_announcement};

/// What was asked for cannot be had: a status and a sentence.
type Refused = (StatusCode, String);

/// A node announces itself, or renews that.
///
/// # Errors
/// The upstream takes no announcements, the node cannot be read, or another one has its name or address.
pub fn announce(
    gateway: &Gateway,
    upstream: &str,
    name: &str,
    body: &[u8],
    story: &mut Story,
) -> Result<Value, Refused> {
    takes_announcements(gateway, upstream)?;
    let (node, ttl) = read_announcement(name, body).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
    let until = Now(gateway.now().0.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)));
    let url = node.url.to_string();
    if !gateway.announce(upstream, Registration { node, until }) {
        let why = format!("{name} at {url} is in the way of another node of upstream {upstream}; see GET /v1/nodes");
        return Err((StatusCode::CONFLICT, why));
    }
    story.changed("", format!("{name} at {url}"));
    story.wanted = Some(Wanted::State {
        name: Gateway::registered_name(upstream, name),
        value: Some(Gateway::registered_value(until, body)),
        awaited: false,
    });
    Ok(
        json!({"upstream": upstream, "node": name, "url": url, "ttl_ms": u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)}),
    )
}

/// A node takes its leave.
///
/// # Errors
/// The upstream takes no announcements, or the node is not there.
pub fn leave(gateway: &Gateway, upstream: &str, name: &str, story: &mut Story) -> Result<Value, Refused> {
    takes_announcements(gateway, upstream)?;
    if !gateway.take_leave(upstream, name) {
        return Err((StatusCode::NOT_FOUND, format!("no node {name} has announced itself to upstream {upstream}")));
    }
    story.changed(name, "");
    story.wanted = Some(Wanted::State { name: Gateway::registered_name(upstream, name), value: None, awaited: true });
    Ok(json!({"upstream": upstream, "node": name, "left": true}))
}

/// Who finds nodes, and how that goes.
pub fn sources(gateway: &Gateway) -> Value {
    let now = gateway.now();
    let shown = gateway.found_by().into_iter().map(|view| {
        json!({
            "upstream": view.upstream,
            "source": &*view.source,
            "nodes": view.nodes,
            "last_success_ms": view.at.map(|at| now.0.saturating_sub(at.0)),
            "failures": view.failures,
            "failing": view.failing,
        })
    });
    shown.collect()
}

fn takes_announcements(gateway: &Gateway, upstream: &str) -> Result<(), Refused> {
    let snapshot = gateway.snapshot();
    let Some(config) = snapshot.config.upstream(upstream) else {
        return Err((StatusCode::NOT_FOUND, format!("there is no upstream {upstream}")));
    };
    if config.discovery.iter().any(|one| one.source == Source::Register) {
        return Ok(());
    }
    let why =
        format!("nodes cannot announce themselves to upstream {upstream}; write discovery: [{{register: {{}}}}] there");
    Err((StatusCode::CONFLICT, why))
}
