//! One record of the audit stream.

use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::telemetry::record::time;

/// What came of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    /// It was done.
    #[default]
    Done,
    /// It was not permitted, or not taken over; nothing has changed.
    Refused,
    /// It could not be done; nothing has changed.
    Failed,
}

/// An act. Never a session id or a credential.
#[derive(Debug, Clone, Copy, Default)]
pub struct Act<'a> {
    /// The name of a token, the subject of a certificate, or `local`; empty = not known.
    pub who: &'a str,
    /// The other end of the connection.
    pub from: Option<IpAddr>,
    /// How it was asked for: `POST /v1/nodes/app/n1/drain`, `SIGHUP`, `start`.
    pub what: &'a str,
    /// What held before.
    pub before: Option<&'a str>,
    /// What holds now.
    pub after: Option<&'a str>,
    /// What came of it.
    pub outcome: Outcome,
    /// The HTTP status of the answer.
    pub status: Option<u16>,
    /// Why it was refused or failed, or what else is to be known.
    pub why: Option<&'a str>,
}

/// An act as it is written.
#[derive(Debug)]
pub struct Record {
    /// One JSON object, without a line end.
    pub json: String,
    /// When it was, as RFC 3339 writes it.
    pub time: String,
    /// Whether somebody should look at it.
    pub is_warning: bool,
}

impl Record {
    /// Numbers without a gap show that none is missing; a start begins at 1.
    pub fn new(act: &Act<'_>, number: u64, now_ms: u64) -> Self {
        let when = time(now_ms);
        let outcome = match act.outcome {
            Outcome::Done => "done",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        };
        let mut fields = Map::new();
        let mut text = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                fields.insert(name.to_owned(), Value::String(value.to_owned()));
            }
        };
        let from = act.from.map(|address| address.to_canonical().to_string());
        text("time", Some(&when));
        text("who", Some(act.who).filter(|who| !who.is_empty()));
        text("from", from.as_deref());
        text("what", Some(act.what));
        text("before", act.before);
        text("after", act.after);
        text("result", Some(outcome));
        text("why", act.why);
        if let Some(status) = act.status {
            fields.insert("status".to_owned(), status.into());
        }
        fields.insert("n".to_owned(), number.into());
        fields.insert("pid".to_owned(), std::process::id().into());
        Self { json: Value::Object(fields).to_string(), time: when, is_warning: act.outcome != Outcome::Done }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_of_json_whatever_was_asked_for() {
        let act = Act {
            who: "deploy",
            from: Some(IpAddr::from([192, 0, 2, 7])),
            what: "POST /v1/nodes/a\"b\nc",
            before: Some("ready"),
            after: Some("drain"),
            status: Some(200),
            ..Act::default()
        };
        let record = Record::new(&act, 7, 1_795_255_200_123);
        assert!(!record.json.contains('\n') && !record.is_warning);
        let json: Value = serde_json::from_str(&record.json).expect("JSON");
        assert_eq!((&json["who"], &json["what"]), (&"deploy".into(), &"POST /v1/nodes/a\"b\nc".into()));
        assert_eq!((&json["time"], &json["n"]), (&"2026-11-21T10:00:00.123Z".into(), &7.into()));
        assert_eq!(
            (&json["before"], &json["after"], &json["result"]),
            (&"ready".into(), &"drain".into(), &"done".into())
        );
        let refused = Record::new(&Act { outcome: Outcome::Refused, ..Act::default() }, 1, 0);
        assert!(refused.is_warning && !refused.json.contains("who"));
    }
}
