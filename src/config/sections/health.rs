//! `health:` of an upstream.

use std::num::NonZeroU32;
use std::time::Duration;

use super::names::text;
use super::{FILE, FLAG};
use crate::config::forms::{Checked, Count, Or, Time, TimeOrZero, n16, n32};
use crate::config::model::{Check, Health, Observe, Probe};
use crate::config::presets;
use crate::config::read::Section;
use crate::session::RuleSet;
use crate::session::spec::{Key, Mark, Rules, Selector, Text, Ttl};
use crate::soap::Prefixes;

/// Checks and observation.
pub fn health(s: &mut Section, namespaces: &Prefixes) -> Health {
    Health {
        check: s.optional_with("check", "Active probes; without them the health of a node is unknown.", |slot| {
            slot.map(|s| check(s, namespaces)).flatten()
        }),
        observe: s.section("observe", "What traffic tells.", observe).unwrap_or_default(),
        slow_start: s.value(
            "slow_start",
            "For how long a node that was added, came up or came back gets new conversations slowly; 0s = at once.",
            TimeOrZero,
            Duration::ZERO,
        ),
    }
}

fn check(s: &mut Section, namespaces: &Prefixes) -> Option<Check> {
    let at = s.at;
    let envelope = s.optional("soap", "File of an envelope to be posted; any answer but a Fault is good.", FILE);
    let expect = s.optional_with("expect", "With soap: a selector that must find something in the answer.", text);
    let posted = s.optional(
        "path",
        "With soap: the path it is posted to; / where it is not said.",
        Checked("a path such as /app", path),
    );
    let get =
        s.optional("get", "Path to GET; a status of 200 to 399 is good.", Checked("a path such as /app?wsdl", path));
    let tcp = s.value("tcp", "Whether a connection that stands is enough.", FLAG, false);
    let port = s.optional("port", "Another port than the node's.", n16(Count::to(65535)));
    let interval = s.value("interval", "Between two probes.", Time, Duration::from_secs(5));
    let timeout = s.value("timeout", "For one probe.", Time, Duration::from_secs(2));
    let fall = s.value("fall", "Failures in a row that make a node down.", n32(Count::to(100)), 3);
    let rise = s.value("rise", "Successes in a row that make it up.", n32(Count::to(100)), 2);
    if s.cx().describing() {
        return None;
    }
    if timeout > interval {
        s.problem(
            "timeout",
            "is longer than the interval, so that probes would overtake each other; write a shorter one",
        );
    }
    let written: Vec<_> =
        [("soap", s.place_of("soap")), ("get", s.place_of("get")), ("tcp", s.place_of("tcp").filter(|_| tcp))]
            .into_iter()
            .filter_map(|(key, at)| at.map(|_| key))
            .collect();
    match written.as_slice() {
        [] => s.cx().problem(at, "says nothing to send; write tcp: true, get: PATH or soap: FILE"),
        [_] => {}
        [first, second, ..] => s.problem(second, format!("{first} is written too; keep one of them")),
    }
    if s.place_of("soap").is_none() && expect.is_some() {
        s.problem("expect", "only the answer to a SOAP probe is read; write soap: FILE, or remove expect");
    }
    if s.place_of("soap").is_none() && posted.is_some() {
        s.problem("path", "is where a SOAP probe is posted; write soap: FILE, or get: PATH for a GET");
    }
    if let Some(expect) = &expect
        && let Err(problems) = expectation(expect, namespaces)
    {
        for (_, message) in problems {
            s.problem("expect", message);
        }
    }
    let probe = match (envelope, get) {
        (Some(envelope), _) => Probe::Soap { envelope, path: posted.unwrap_or_else(|| "/".to_owned()), expect },
        (None, Some(path)) => Probe::Get(path),
        (None, None) => Probe::Tcp,
    };
    let port = port.and_then(std::num::NonZeroU16::new);
    Some(Check { at, probe, port, interval, timeout, fall, rise })
}

/// What a check expects in an answer, read as a key learnt from one.
///
/// # Errors
/// The selector cannot find anything in an answer.
pub fn expectation(expect: &Text, namespaces: &Prefixes) -> Result<RuleSet, Vec<(Mark, String)>> {
    let mut prefixes = presets::prefixes().clone();
    prefixes.extend(namespaces.clone());
    let key = Key {
        key: Text { text: "expect".to_owned(), at: expect.at },
        learn: vec![Selector { at: expect.clone(), ..Selector::default() }],
        ..Key::default()
    };
    let rules = Rules { keys: vec![key], ..Rules::default() };
    RuleSet::compile(&[rules], &prefixes, &Ttl::default())
}

fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && !text.contains(['#', ' ']) && text.chars().all(|c| c.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no path; write one such as /app?wsdl"))
    }
}

fn observe(s: &mut Section) -> Observe {
    let usual = Observe::default();
    Observe {
        connect_failures: s.value(
            "connect_failures",
            "Requests in a row that a node did not accept or broke off, until new conversations go elsewhere.",
            n32(Count::to(1000)),
            usual.connect_failures,
        ),
        receiver_faults: s
            .value(
                "receiver_faults",
                "The same for answers in a row that blame the node itself: Receiver (Server) Faults, other 5xx; none = they are counted only.",
                Or("none", n32(Count::to(1000))),
                None,
            )
            .and_then(NonZeroU32::new),
        eject: s.value("eject", "For how long they do, the first time.", Time, usual.eject),
        panic: s.value(
            "panic",
            "Per cent of the nodes that could serve: where ejection leaves fewer, it counts for nothing; 0 = where it leaves none.",
            n32(Count { min: 0, max: 100, below: "" }),
            usual.panic,
        ),
    }
}
