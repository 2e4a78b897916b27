//! Raw requests with the answers that RFC 9112 asks for.
//!
//! `probes.jsonl` is the test suite of Http11Probe (Copyright (c) 2026 Diogo Martins, MIT licence), one case a line, the
//! bytes of each step in base64. The codec alone judges here: what it accepts, a node would answer.

use base64::Engine;
use serde::Deserialize;

use crate::reading::{End, Side, read};

#[derive(Deserialize)]
pub struct Probe {
    id: String,
    expected: Expected,
    scored: bool,
    steps_b64: Vec<String>,
}

#[derive(Deserialize)]
struct Expected {
    status: Option<String>,
    text: Option<String>,
    allow_close: bool,
}

/// What the client of a probe gets to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// The request goes to a node, and the node's answer comes back.
    Forwarded,
    /// We answer.
    Status(u16),
    /// We wait for more, until a timeout.
    Waiting,
}

pub fn probes() -> Vec<(Probe, Vec<u8>)> {
    let bytes = |step: &String| base64::engine::general_purpose::STANDARD.decode(step).expect("steps are base64");
    include_str!("probes.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Probe>(line).expect("one case a line"))
        .map(|probe| {
            let input = probe.steps_b64.iter().flat_map(bytes).collect();
            (probe, input)
        })
        .collect()
}

/// The answer to the first request of a probe. A body that breaks after its head was accepted counts as 400: a node must
/// not see its end.
fn first_answer(input: &[u8]) -> Seen {
    let transcript = read(Side::Requests, input, &[]);
    match (transcript.messages.is_empty(), transcript.end) {
        (false, _) => Seen::Forwarded,
        (true, End::Head(status)) => Seen::Status(status),
        (true, End::Body) => Seen::Status(400),
        (true, End::Clean | End::InHead | End::InBody(_)) => Seen::Waiting,
    }
}

#[test]
fn probes_with_one_right_status_get_it() {
    let (mut right, mut wrong) = (0, Vec::new());
    for (probe, input) in probes() {
        if probe.expected.status.as_deref() == Some("Exact(400)") {
            match first_answer(&input) {
                Seen::Status(400) => right += 1,
                other => wrong.push((probe.id, other)),
            }
        }
    }
    assert_eq!((right, wrong), (62, Vec::new()));
}

#[test]
fn probes_of_sound_requests_are_forwarded() {
    for (probe, input) in probes() {
        if probe.expected.status.as_deref() == Some("Range2xx") {
            assert_eq!(first_answer(&input), Seen::Forwarded, "{}", probe.id);
        }
    }
}

/// Probes for which the suite accepts several answers, and the one that Castile gives. A change here is a change of what
/// clients see.
#[test]
fn probes_with_several_right_answers_get_a_stable_one() {
    let mut answers = String::new();
    for (probe, input) in probes() {
        if probe.expected.status.is_none() {
            let scored = if probe.scored { "" } else { " (not scored)" };
            let close = if probe.expected.allow_close { " or close" } else { "" };
            let text = probe.expected.text.as_deref().unwrap_or("none");
            answers.push_str(&format!("{}: {:?} | {text}{close}{scored}\n", probe.id, first_answer(&input)));
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/probes.expected");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &answers).expect("the source tree is writable");
    }
    let expected = std::fs::read_to_string(path).expect("the file lies beside this one");
    assert_eq!(answers, expected, "run with BLESS=1 and read the difference");
}
