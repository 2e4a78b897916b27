//! Nodes that announce themselves, and who finds nodes.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::audited::Story;
use crate::affinity::Now;
use crate::config::model::{FoundNode, Source};
use crate::config::{parse_nodes, units};
use crate::gateway::{Gateway, Registration};

/// How long a node is there that does not say so itself.
const TTL: Duration = Duration::from_secs(30);
/// Shorter, and a pause of the network would drain nodes; longer, and it is no time to live.
const TTL_BOUNDS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

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
    let (node, ttl) = read(name, body).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
    let until = Now(gateway.now().0.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)));
    let url = node.url.to_string();
    if !gateway.announce(upstream, Registration { node, until }) {
        let why = format!("{name} at {url} is in the way of another node of upstream {upstream}; see GET /v1/nodes");
        return Err((StatusCode::CONFLICT, why));
    }
    story.changed("", format!("{name} at {url}"));
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

/// `{"url": "http://10.0.0.11:8080", "weight": 1, "route": [], "ttl": "30s"}`: the keys of a node, and a time to live.
fn read(name: &str, body: &[u8]) -> Result<(FoundNode, Duration), String> {
    const FORM: &str = r#"write JSON such as {"url": "http://10.0.0.11:8080", "ttl": "30s"}"#;
    let Ok(Value::Object(mut keys)) = serde_json::from_slice(body) else { return Err(FORM.to_owned()) };
    let ttl = match keys.remove("ttl") {
        None => TTL,
        Some(Value::String(text)) => units::duration(&text).map_err(|why| format!("ttl: {why}"))?,
        Some(_) => return Err(r#"ttl: write a duration such as "30s""#.to_owned()),
    };
    if !TTL_BOUNDS.contains(&ttl) {
        return Err("ttl: write a duration of 1s to 1d".to_owned());
    }
    if keys.insert("name".to_owned(), json!(name)).is_some_and(|other| other != json!(name)) {
        return Err("name: the path names the node already; leave it out".to_owned());
    }
    let nodes = parse_nodes(&json!([keys]).to_string(), "body");
    let mut nodes =
        nodes.map_err(|problems| problems.into_iter().map(|one| one.message).collect::<Vec<_>>().join("; "))?;
    nodes.pop().map(|node| (node, ttl)).ok_or_else(|| FORM.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_announces_itself_with_the_keys_of_a_node() {
        for (body, expected) in [
            (r#"{"url": "http://a:1"}"#, Ok(("http://a:1", 30))),
            (r#"{"url": "http://a:1", "ttl": "5m", "weight": 3, "name": "n"}"#, Ok(("http://a:1", 300))),
            (r#"{"url": "http://a:1", "ttl": "0s"}"#, Err("1s to 1d")),
            (r#"{"url": "http://a:1", "ttl": 5}"#, Err("a duration such as")),
            (r#"{"url": "a:1"}"#, Err("write http://a:1")),
            (r#"{"url": "http://a:1", "name": "m"}"#, Err("leave it out")),
            (r#"{"url": "http://a:1", "wieght": 3}"#, Err("did you mean weight?")),
            ("{}", Err("url is missing")),
            ("[]", Err("write JSON")),
            ("", Err("write JSON")),
        ] {
            let told = read("n", body.as_bytes());
            match expected {
                Ok((url, seconds)) => {
                    let (node, ttl) = told.unwrap_or_else(|why| panic!("{body}: {why}"));
                    assert_eq!((node.url.to_string().as_str(), ttl.as_secs()), (url, seconds), "{body}");
                }
                Err(part) => assert!(told.as_ref().is_err_and(|why| why.contains(part)), "{body}: {told:?}"),
            }
        }
    }
}
