//! What a node says of itself when it announces itself.

use std::time::Duration;

use serde_json::{Value, json};

use crate::config::model::FoundNode;
use crate::config::{parse_nodes, units};

/// How long a node is there that does not say so itself.
const TTL: Duration = Duration::from_secs(30);
/// Shorter, and a pause of the network would drain nodes; longer, and it is no time to live.
const TTL_BOUNDS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// What a node says: `{"url": "http://10.0.0.11:8080", "weight": 1, "route": [], "ttl": "30s"}`: the keys of a node, and a time to live.
///
/// # Errors
/// What of it cannot be used.
pub fn read_announcement(name: &str, body: &[u8]) -> Result<(FoundNode, Duration), String> {
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
            let told = read_announcement("n", body.as_bytes());
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
