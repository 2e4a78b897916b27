//! One line of the access log.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::head::digits;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Json,
    /// `name=value` pairs, values with blanks quoted.
    Text,
}

/// What is told of one request. Never an id: `path` comes without query, path parameters and values of keys; keys are
/// told by the first one's fingerprint.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// Milliseconds since 1970 at which the request's head was complete.
    pub time_unix_ms: u64,
    /// Name of the listener.
    pub listener: &'a str,
    /// The client, as far as trusted proxies tell.
    pub client: IpAddr,
    /// `1.0`, `1.1` or `2`.
    pub http: &'static str,
    /// The method.
    pub method: &'a str,
    /// The host asked for.
    pub host: &'a str,
    /// The path without anything that could be an id.
    pub path: &'a str,
    /// What the route matches.
    pub route: Option<&'a str>,
    /// Name of the upstream.
    pub upstream: Option<&'a str>,
    /// Name of the node.
    pub node: Option<&'a str>,
    /// The decision code.
    pub decision: &'a str,
    /// The fingerprint of the first known or new key.
    pub key: Option<crate::session::Fingerprint>,
    /// The operation, where the head gives it.
    pub operation: Option<&'a str>,
    /// The status the client got; 0 = it got none.
    pub status: u16,
    /// Name of the failure, where the answer is our own or was cut.
    pub failure: Option<&'a str>,
    /// Request body bytes passed on.
    pub bytes_in: u64,
    /// Response body bytes passed on.
    pub bytes_out: u64,
    /// Microseconds from the request's head to the end of the response.
    pub total_us: u64,
    /// Microseconds from the node's connection to the first byte of its response.
    pub node_us: Option<u64>,
    /// Keys learnt from the answer.
    pub learnt: u32,
    /// What became of the conversation: `lost`, `ended`, `replaced`.
    pub event: Option<&'static str>,
    /// Nodes tried in vain.
    pub retries: u32,
    /// The request's id.
    pub request_id: &'a str,
}

impl Record<'_> {
    /// Appends the line, line end included.
    pub fn write(&self, format: Format, out: &mut String) {
        let mut line = match format {
            Format::Json => Line::json(out),
            Format::Text => Line::text(out),
        };
        line.bare("time", |out| time(self.time_unix_ms, out));
        line.text_value("listener", self.listener);
        line.bare("client", |out| digits::address(self.client, out));
        line.text_value("http", self.http);
        line.text_value("method", self.method);
        line.text_value("host", self.host);
        line.text_value("path", self.path);
        line.optional("route", self.route);
        line.optional("upstream", self.upstream);
        line.optional("node", self.node);
        line.text_value("decision", self.decision);
        if let Some(key) = self.key {
            line.bare("key", |out| digits::hex128(key.0, out));
        }
        line.optional("operation", self.operation);
        line.number("status", self.status.into());
        line.optional("failure", self.failure);
        line.number("bytes_in", self.bytes_in);
        line.number("bytes_out", self.bytes_out);
        line.number("total_us", self.total_us);
        if let Some(node_us) = self.node_us {
            line.number("node_us", node_us);
        }
        line.number("learnt", self.learnt.into());
        line.optional("event", self.event);
        if self.retries > 0 {
            line.number("retries", self.retries.into());
        }
        line.text_value("request_id", self.request_id);
        line.end();
    }
}

struct Line<'a> {
    out: &'a mut String,
    json: bool,
    first: bool,
}

impl<'a> Line<'a> {
    fn json(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, json: true, first: true }
    }

    fn text(out: &'a mut String) -> Self {
        Self { out, json: false, first: true }
    }

    fn name(&mut self, name: &str) {
        if !self.first {
            self.out.push(if self.json { ',' } else { ' ' });
        }
        self.first = false;
        if self.json {
            self.out.push('"');
            self.out.push_str(name);
            self.out.push_str("\":");
        } else {
            self.out.push_str(name);
            self.out.push('=');
        }
    }

    /// A value that needs no escaping.
    fn bare(&mut self, name: &str, write: impl FnOnce(&mut String)) {
        self.name(name);
        if self.json {
            self.out.push('"');
        }
        write(self.out);
        if self.json {
            self.out.push('"');
        }
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        digits::decimal(value, self.out);
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text_value(name, value);
        }
    }

    fn text_value(&mut self, name: &str, value: &str) {
        self.name(name);
        if !self.json && !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"') {
            self.out.push_str(value);
            return;
        }
        self.out.push('"');
        if value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
            self.out.push_str(value);
            self.out.push('"');
            return;
        }
        let mut plain = 0;
        for (at, c) in value.char_indices() {
            if c == '"' || c == '\\' || c.is_control() {
                self.out.push_str(&value[plain..at]);
                plain = at + c.len_utf8();
                match c {
                    '"' => self.out.push_str("\\\""),
                    '\\' => self.out.push_str("\\\\"),
                    _ => {
                        let _ = write!(self.out, "\\u{:04x}", u32::from(c));
                    }
                }
            }
        }
        self.out.push_str(&value[plain..]);
        self.out.push('"');
    }

    fn end(self) {
        self.out.push_str(if self.json { "}\n" } else { "\n" });
    }
}

/// Milliseconds since 1970, written as RFC 3339 does, in UTC.
pub(super) fn time(unix_ms: u64, out: &mut String) {
    let (seconds, millis) = (unix_ms / 1000, unix_ms % 1000);
    let (days, clock) = (seconds / 86_400, seconds % 86_400);
    // Civil date of a day number, counted in years that begin in March.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    digits::decimal(year, out);
    for (before, number) in [('-', month), ('-', day), ('T', clock / 3600), (':', clock / 60 % 60), (':', clock % 60)] {
        out.push(before);
        digits::two_digits(number, out);
    }
    out.push('.');
    out.push(char::from(b'0' + (millis / 100) as u8));
    digits::two_digits(millis, out);
    out.push('Z');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record<'static> {
        Record {
            time_unix_ms: 1_795_255_200_123,
            listener: "public",
            client: IpAddr::from([192, 0, 2, 7]),
            http: "1.1",
            method: "POST",
            host: "a\"b\n",
            path: "/x y",
            route: None,
            upstream: Some("u"),
            node: None,
            decision: "pin",
            key: None,
            operation: None,
            status: 200,
            failure: None,
            bytes_in: 1,
            bytes_out: 2,
            total_us: 3,
            node_us: None,
            learnt: 0,
            event: None,
            retries: 0,
            request_id: "r",
        }
    }

    #[test]
    fn lines_are_json_whatever_clients_send() {
        let mut out = String::new();
        record().write(Format::Json, &mut out);
        let line: serde_json::Value = serde_json::from_str(&out).expect("is JSON");
        assert_eq!(line["host"], "a\"b\n");
        assert_eq!(line["time"], "2026-11-21T10:00:00.123Z");
        assert_eq!(line["status"], 200);
    }

    #[test]
    fn text_lines_stay_one_line() {
        let mut out = String::new();
        record().write(Format::Text, &mut out);
        assert_eq!(out.matches('\n').count(), 1);
        assert!(out.contains(r#"host="a\"b\u000a" path="/x y" upstream=u"#), "{out}");
    }
}
