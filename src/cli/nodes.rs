//! `castile nodes`: what the admin API of a running gateway says of its nodes, and their administrative state.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::Value;

/// What to do with which node.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to do
    #[arg(value_enum, default_value = "ls")]
    pub action: Action,
    /// The node, with its upstream where several have one of that name
    #[arg(value_name = "[UPSTREAM/]NODE", required_if_eq_any([("action", "drain"), ("action", "maint"), ("action", "ready"), ("action", "wait")]))]
    pub node: Option<String>,
    /// Where the admin API listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9280")]
    pub admin: String,
    /// A file that holds a token of the admin API
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// With wait: for how long at most, such as 4h
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = crate::config::units::duration)]
    pub deadline: Duration,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Action {
    /// List nodes
    Ls,
    /// Existing conversations only
    Drain,
    /// Nothing
    Maint,
    /// Everything
    Ready,
    /// Wait until no conversation is pinned to it
    Wait,
}

/// For connecting, and between two pieces of an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read at most.
const ANSWER_MAX: u64 = 16 << 20;
/// Between two questions while waiting.
const POLL: Duration = Duration::from_secs(1);
const FAILED: u8 = 1;

/// Lists nodes, or changes one: 0, or 1 where the gateway refuses or cannot be reached.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    match nodes(args, err) {
        // Whoever closes the pipe early has seen enough.
        Ok(nodes) => {
            let _ = write!(out, "{}", table(&nodes));
            ExitCode::SUCCESS
        }
        Err(message) => {
            let _ = writeln!(err, "error: {message}");
            ExitCode::from(FAILED)
        }
    }
}

fn nodes(args: &Args, err: &mut dyn Write) -> Result<Vec<Value>, String> {
    let token = match &args.token_file {
        None => None,
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            Some(text.trim().to_owned())
        }
    };
    let ask = |method: &str, path: &str| ask(&args.admin, method, path, token.as_deref());
    let mut found: Vec<Value> = match ask("GET", "/v1/nodes")? {
        Value::Array(nodes) => nodes,
        _ => return Err(format!("{} does not answer as an admin API does", args.admin)),
    };
    if let Some(wanted) = &args.node {
        found.retain(|node| is_called(node, wanted));
        if found.is_empty() {
            return Err(format!("there is no node {wanted}; castile nodes ls shows all"));
        }
    }
    let word = match args.action {
        Action::Ls => return Ok(found),
        Action::Drain => Some("drain"),
        Action::Maint => Some("maint"),
        Action::Ready => Some("ready"),
        Action::Wait => None,
    };
    let [node] = found.as_slice() else {
        let names: Vec<_> =
            found.iter().map(|node| format!("{}/{}", text(node, "upstream"), text(node, "node"))).collect();
        return Err(format!("several nodes have that name; write one of {}", names.join(", ")));
    };
    let Some(word) = word else {
        let list = || ask("GET", "/v1/nodes");
        return wait(node.clone(), list, args.deadline, err).map(|node| vec![node]);
    };
    let path = format!("/v1/nodes/{}/{}/{word}", text(node, "upstream"), text(node, "node"));
    Ok(vec![ask("POST", &path)?])
}

/// Waits until no conversation is pinned to the node, and tells how many still are.
fn wait(
    mut node: Value,
    list: impl Fn() -> Result<Value, String>,
    deadline: Duration,
    err: &mut dyn Write,
) -> Result<Value, String> {
    let name = format!("{}/{}", text(&node, "upstream"), text(&node, "node"));
    let until = Instant::now() + deadline;
    let mut told = None;
    loop {
        let left = node["conversations"].as_u64().unwrap_or(0);
        if left == 0 {
            return Ok(node);
        }
        if told != Some(left) {
            told = Some(left);
            let _ = writeln!(err, "{name}: {left} conversations");
        }
        if Instant::now() >= until {
            return Err(format!("{name} still has {left} conversations when the deadline is over"));
        }
        std::thread::sleep(POLL.min(until.saturating_duration_since(Instant::now())));
        let all = list()?;
        let found = all.as_array().and_then(|nodes| nodes.iter().find(|node| is_called(node, &name)));
        node = found.cloned().ok_or_else(|| format!("{name} is no longer configured"))?;
    }
}

fn text<'a>(node: &'a Value, key: &str) -> &'a str {
    node[key].as_str().unwrap_or_default()
}

fn is_called(node: &Value, wanted: &str) -> bool {
    match wanted.split_once('/') {
        Some((upstream, name)) => text(node, "upstream") == upstream && text(node, "node") == name,
        None => text(node, "node") == wanted,
    }
}

/// Asks the admin API and reads its JSON.
fn ask(admin: &str, method: &str, path: &str, token: Option<&str>) -> Result<Value, String> {
    let authority = admin.trim_end_matches('/').strip_prefix("http://").filter(|rest| !rest.contains('/'));
    let authority = authority.ok_or_else(|| format!("{admin}: write http://HOST:PORT (TLS is not spoken here)"))?;
    let with_port = if authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let fail = |error: std::io::Error| {
        format!("{admin} cannot be asked: {error}; is the gateway up, and is that its admin.address?")
    };
    let address = with_port.to_socket_addrs().map_err(fail)?.next().ok_or_else(|| format!("{admin} has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(fail)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(fail)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(fail)?;
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\n{authorization}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(fail)?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut bytes).map_err(fail)?;
    let strange = || format!("{admin} does not answer as an admin API does");
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(length)) = head.parse(&bytes) else { return Err(strange()) };
    let body = &bytes[length..];
    match head.code {
        Some(200) => serde_json::from_slice(body).map_err(|_| strange()),
        _ => Err(format!("refused: {}", String::from_utf8_lossy(body).trim())),
    }
}

fn table(nodes: &[Value]) -> String {
    let head = ["UPSTREAM", "NODE", "STATE", "HEALTH", "CONVERSATIONS", "REQUESTS", "URL"].map(str::to_owned);
    let rows = nodes.iter().map(|node| {
        let is_ejected = node["ejected_ms"].as_u64().is_some_and(|left| left > 0);
        let health = format!("{}{}", text(node, "health"), if is_ejected { ", ejected" } else { "" });
        let count = |key: &str| node[key].as_u64().unwrap_or(0).to_string();
        let named = |key: &str| text(node, key).to_owned();
        [
            named("upstream"),
            named("node"),
            named("state"),
            health,
            count("conversations"),
            count("requests"),
            named("url"),
        ]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..7).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_with_or_without_its_upstream() {
        let node = serde_json::json!({"upstream": "orders", "node": "n1"});
        for (wanted, is_it) in
            [("n1", true), ("orders/n1", true), ("n2", false), ("other/n1", false), ("orders", false)]
        {
            assert_eq!(is_called(&node, wanted), is_it, "{wanted}");
        }
    }

    #[test]
    fn only_plain_addresses_are_asked() {
        for wrong in ["https://localhost:9280", "localhost:9280", "http://localhost/v1"] {
            assert!(
                ask(wrong, "GET", "/v1/nodes", None).is_err_and(|error| error.contains("http://HOST:PORT")),
                "{wrong}"
            );
        }
    }
}
