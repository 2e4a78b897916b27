//! What an attacker writes reaches a node in one reading only, or not at all.
//!
//! The raw requests are those of `tests/http/probes.jsonl`, here sent through the gateway to a node that takes anything.

use std::sync::Mutex;

use base64::Engine;

use crate::support::{Castile, Node, Peer, config, ok};
use crate::unambiguous::check_unambiguous;

struct Probe {
    id: String,
    status: Option<String>,
    steps: Vec<Vec<u8>>,
}

fn probes() -> Vec<Probe> {
    let bytes = |step: &serde_json::Value| {
        let text = step.as_str().expect("a step is text");
        base64::engine::general_purpose::STANDARD.decode(text).expect("steps are base64")
    };
    include_str!("../http/probes.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("one case a line"))
        .map(|probe| Probe {
            id: probe["id"].as_str().expect("an id").to_owned(),
            status: probe["expected"]["status"].as_str().map(str::to_owned),
            steps: probe["steps_b64"].as_array().expect("steps").iter().map(bytes).collect(),
        })
        .collect()
}

/// A gateway that soon gives up waiting, before a node that answers 200 to whatever it can read.
fn gateway() -> (Castile, Node) {
    let node = Node::start(|connection| {
        while let Some(head) = connection.peer.head() {
            let length = head.field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            let body = match head.is_chunked() {
                true => chunks(&mut connection.peer),
                false => connection.peer.try_bytes(length),
            };
            let Some(body) = body else { return };
            connection.send(ok("", body));
        }
    });
    let yaml = config(&[&node], "timeouts: {stall: 1s}")
        .replace("address: '127.0.0.1:0'", "address: '127.0.0.1:0', timeouts: {header: 1s, idle: 300ms}");
    (Castile::start(&yaml), node)
}

/// A body in chunks with its trailers, as it came.
fn chunks(peer: &mut Peer) -> Option<Vec<u8>> {
    let mut all = peer.try_until(b"0\r\n")?;
    loop {
        let line = peer.try_until(b"\r\n")?;
        all.extend_from_slice(&line);
        if line == b"\r\n" {
            return Some(all);
        }
    }
}

/// The status of the first final answer, `None` where there is none.
fn first_status(bytes: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(bytes);
    let statuses = text.split("HTTP/1.1 ").skip(1).filter_map(|rest| rest.get(..3)?.parse().ok());
    statuses.into_iter().find(|status: &u16| *status >= 200)
}

/// Splits what a node received into heads, and checks each.
fn check_received(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        let (head, rest) =
            bytes.split_at(end.unwrap_or_else(|| panic!("no head: {:?}", String::from_utf8_lossy(bytes))));
        check_unambiguous(head);
        let text = String::from_utf8_lossy(head).to_ascii_lowercase();
        let length = text.split("\r\ncontent-length: ").nth(1).and_then(|rest| rest.split('\r').next()?.parse().ok());
        bytes = match length {
            Some(length) => rest.get(length..).unwrap_or_default(),
            None if text.contains("\r\ntransfer-encoding: chunked\r\n") => {
                let end = |from: usize, end: &[u8]| {
                    let at = rest[from..].windows(end.len()).position(|window| window == end)?;
                    Some(from + at + end.len())
                };
                // The last chunk's size line stays, so that the empty line is found where there are no trailers.
                end(0, b"0\r\n").and_then(|at| end(at - 2, b"\r\n\r\n")).map_or(&[], |at| &rest[at..])
            }
            None => rest,
        };
    }
}

#[test]
fn no_ambiguous_byte_reaches_a_lenient_node_and_every_certain_status_is_right() {
    let probes = probes();
    let (right, wrong) = (Mutex::new(0), Mutex::new(Vec::new()));
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while let Some(probe) = probes.get(next.fetch_add(1, std::sync::atomic::Ordering::SeqCst)) {
                    let (castile, node) = gateway();
                    let mut client = Peer::connect(castile.address("public"));
                    for step in &probe.steps {
                        let _ = client.try_send(step);
                    }
                    let status = first_status(&client.rest());
                    check_received(&node.bytes());
                    let is_right = match probe.status.as_deref() {
                        Some("Exact(400)") => status == Some(400),
                        Some(_) => status.is_some_and(|status| (200..300).contains(&status)),
                        None => continue,
                    };
                    if is_right {
                        *right.lock().unwrap() += 1;
                    } else {
                        wrong.lock().unwrap().push((probe.id.clone(), status));
                    }
                }
            });
        }
    });
    assert_eq!((right.into_inner().unwrap(), wrong.into_inner().unwrap()), (62 + 5, Vec::new()));
}

#[test]
fn a_refused_request_is_the_last_of_its_connection() {
    let (castile, node) = gateway();
    let mut client = castile.client();
    client.send(
        "POST /app HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
         GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    let all = client.rest();
    assert_eq!(first_status(&all), Some(400));
    assert_eq!(String::from_utf8_lossy(&all).matches("HTTP/1.1 ").count(), 1);
    assert_eq!(node.connections(), 0);
}

#[test]
fn a_body_that_breaks_in_the_middle_never_looks_whole_to_the_node() {
    let (castile, node) = gateway();
    let mut client = castile.client();
    client.send(
        "POST /app HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0x5\r\nabcde\r\n0\r\n\r\n\
         GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    assert_eq!(first_status(&client.rest()), Some(400));
    let received = String::from_utf8_lossy(&node.bytes()).into_owned();
    assert!(!received.ends_with("0\r\n\r\n") && !received.contains("smuggled"), "{received}");
}
