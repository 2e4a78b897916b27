//! One line of the access log.

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
    pub method: &'a [u8],
    /// The host asked for.
    pub host: &'a [u8],
    /// The path without anything that could be an id.
    pub path: &'a [u8],
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
    /// Microseconds that it waited for a place at a node, or for a turn in its conversation, where it did.
    pub queued_us: Option<u64>,
    /// Keys learnt from the answer.
    pub learnt: u32,
    /// What became of the conversation: `lost`, `ended`, `replaced`.
    pub event: Option<&'static str>,
    /// Nodes tried in vain.
    pub retries: u32,
    /// The request's id.
    pub request_id: &'a str,
}

/// A field's name as each format begins it, made at compile time.
struct Label {
    json: &'static str,
    json_text: &'static str,
    text: &'static str,
}

macro_rules! label {
    ($name:literal) => {
        const {
            Label {
                json: concat!(",\"", $name, "\":"),
                json_text: concat!(",\"", $name, "\":\""),
                text: concat!(" ", $name, "="),
            }
        }
    };
}

impl Record<'_> {
    /// Appends the line, line end included.
    pub fn write(&self, format: Format, clock: &mut Clock, out: &mut Vec<u8>) {
        // Once for most lines, rather than whenever a value does not fit.
        out.reserve(512 + self.path.len() + self.host.len());
        let mut line = Line { out, json: format == Format::Json };
        line.begin(clock.text(self.time_unix_ms));
        line.text_value(label!("listener"), self.listener.as_bytes());
        line.bare(label!("client"), |out| digits::address(self.client, out));
        line.text_value(label!("http"), self.http.as_bytes());
        line.text_value(label!("method"), self.method);
        line.text_value(label!("host"), self.host);
        line.text_value(label!("path"), self.path);
        line.optional(label!("route"), self.route);
        line.optional(label!("upstream"), self.upstream);
        line.optional(label!("node"), self.node);
        line.text_value(label!("decision"), self.decision.as_bytes());
        if let Some(key) = self.key {
            line.bare(label!("key"), |out| digits::hex128(key.0, out));
        }
        line.optional(label!("operation"), self.operation);
        line.number(label!("status"), self.status.into());
        line.optional(label!("failure"), self.failure);
        line.number(label!("bytes_in"), self.bytes_in);
        line.number(label!("bytes_out"), self.bytes_out);
        line.number(label!("total_us"), self.total_us);
        if let Some(node_us) = self.node_us {
            line.number(label!("node_us"), node_us);
        }
        if let Some(queued_us) = self.queued_us {
            line.number(label!("queued_us"), queued_us);
        }
        line.number(label!("learnt"), self.learnt.into());
        line.optional(label!("event"), self.event);
        if self.retries > 0 {
            line.number(label!("retries"), self.retries.into());
        }
        line.text_value(label!("request_id"), self.request_id.as_bytes());
        line.end();
    }
}

struct Line<'a> {
    out: &'a mut Vec<u8>,
    json: bool,
}

impl Line<'_> {
    fn begin(&mut self, time: &[u8]) {
        if self.json {
            self.out.extend_from_slice(b"{\"time\":\"");
            self.out.extend_from_slice(time);
            self.out.push(b'"');
        } else {
            self.out.extend_from_slice(b"time=");
            self.out.extend_from_slice(time);
        }
    }

    /// A value that needs no escaping.
    fn bare(&mut self, label: Label, write: impl FnOnce(&mut Vec<u8>)) {
        if self.json {
            self.out.extend_from_slice(label.json_text.as_bytes());
            write(self.out);
            self.out.push(b'"');
        } else {
            self.out.extend_from_slice(label.text.as_bytes());
            write(self.out);
        }
    }

    fn number(&mut self, label: Label, value: u64) {
        self.out.extend_from_slice(if self.json { label.json } else { label.text }.as_bytes());
        digits::decimal(value, self.out);
    }

    fn optional(&mut self, label: Label, value: Option<&str>) {
        if let Some(value) = value {
            self.text_value(label, value.as_bytes());
        }
    }

    fn text_value(&mut self, label: Label, value: &[u8]) {
        let plain = is_plain(value);
        if self.json && plain {
            self.out.extend_from_slice(label.json_text.as_bytes());
            self.out.extend_from_slice(value);
            self.out.push(b'"');
            return;
        }
        self.out.extend_from_slice(if self.json { label.json } else { label.text }.as_bytes());
        if plain && !value.is_empty() && !value.contains(&b' ') {
            self.out.extend_from_slice(value);
        } else {
            escape(value, self.out);
        }
    }

    fn end(self) {
        self.out.extend_from_slice(if self.json { b"}\n" } else { b"\n" });
    }
}

/// Whether all bytes are printable ASCII that JSON takes as it is. Eight at a time: a line asks for a dozen values.
fn is_plain(value: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & TOPS;
    let is_odd = |word: u64| {
        let below_blank = word.wrapping_sub(ONES * 0x20) & !word & TOPS;
        let each = |byte: u8| has_zero(word ^ (ONES * u64::from(byte)));
        (word & TOPS) | below_blank | each(b'"') | each(b'\\') | each(0x7f)
    };
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    match (value.last_chunk::<8>(), value.first_chunk::<4>(), value.last_chunk::<4>()) {
        // The last eight bytes may overlap those before them.
        (Some(last), ..) => value.as_chunks::<8>().0.iter().chain([last]).all(|bytes| is_odd(word(bytes)) == 0),
        (None, Some(first), Some(last)) => {
            let both = u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
            is_odd(both) == 0
        }
        _ => value.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'"' && *byte != b'\\'),
    }
}

/// A JSON string of whatever came; what is not UTF-8 is replaced.
fn escape(value: &[u8], out: &mut Vec<u8>) {
    let value = String::from_utf8_lossy(value);
    out.push(b'"');
    let mut plain = 0;
    for (at, c) in value.char_indices() {
        if c == '"' || c == '\\' || c.is_control() {
            out.extend_from_slice(&value.as_bytes()[plain..at]);
            plain = at + c.len_utf8();
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                _ => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
            }
        }
    }
    out.extend_from_slice(&value.as_bytes()[plain..]);
    out.push(b'"');
}

/// Times as RFC 3339 writes them, in UTC. Most lines lie in the second of the line before, of which only the
/// milliseconds are new.
#[derive(Debug, Clone)]
pub struct Clock {
    second: u64,
    text: Vec<u8>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { second: u64::MAX, text: Vec::new() }
    }
}

impl Clock {
    fn text(&mut self, unix_ms: u64) -> &[u8] {
        let (second, millis) = (unix_ms / 1000, unix_ms % 1000);
        if second != self.second {
            self.second = second;
            self.text.clear();
            date_and_time(second, &mut self.text);
            self.text.extend_from_slice(b".000Z");
        }
        let at = self.text.len() - 4;
        for (place, divisor) in [100, 10, 1].into_iter().enumerate() {
            self.text[at + place] = b'0' + (millis / divisor % 10) as u8;
        }
        &self.text
    }
}

/// Milliseconds since 1970, as RFC 3339 writes them, in UTC.
pub(super) fn time(unix_ms: u64) -> String {
    String::from_utf8_lossy(Clock::default().text(unix_ms)).into_owned()
}

fn date_and_time(unix: u64, out: &mut Vec<u8>) {
    let (days, clock) = (unix / 86_400, unix % 86_400);
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
    for (before, number) in
        [(b'-', month), (b'-', day), (b'T', clock / 3600), (b':', clock / 60 % 60), (b':', clock % 60)]
    {
        out.push(before);
        digits::two_digits(number, out);
    }
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
            method: b"POST",
            host: b"a\"b\n",
            path: b"/x y",
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
            queued_us: None,
            learnt: 0,
            event: None,
            retries: 0,
            request_id: "r",
        }
    }

    #[test]
    fn lines_are_json_whatever_clients_send() {
        let mut out = Vec::new();
        record().write(Format::Json, &mut Clock::default(), &mut out);
        let line: serde_json::Value = serde_json::from_slice(&out).expect("is JSON");
        assert_eq!(line["host"], "a\"b\n");
        assert_eq!(line["time"], "2026-11-21T10:00:00.123Z");
        assert_eq!(line["status"], 200);
    }

    #[test]
    fn text_lines_stay_one_line() {
        let mut out = Vec::new();
        record().write(Format::Text, &mut Clock::default(), &mut out);
        let out = String::from_utf8(out).expect("UTF-8");
        assert_eq!(out.matches('\n').count(), 1);
        assert!(out.contains(r#"host="a\"b\u000a" path="/x y" upstream=u"#), "{out}");
    }

    #[test]
    fn every_byte_at_every_place_is_read_back() {
        for length in 1..20 {
            for at in 0..length {
                for byte in 0..=255 {
                    let mut value = vec![b'a'; length];
                    value[at] = byte;
                    let odd = !(b' '..=b'~').contains(&byte) || byte == b'"' || byte == b'\\';
                    assert_eq!(is_plain(&value), !odd, "{byte} at {at} of {length}");
                }
            }
        }
        let all: Vec<u8> = (0..=255).collect();
        let mut out = Vec::new();
        escape(&all, &mut out);
        let read: String = serde_json::from_slice(&out).expect("is JSON");
        assert_eq!(read, String::from_utf8_lossy(&all));
    }

    #[test]
    fn time_goes_on_within_and_between_seconds() {
        let mut clock = Clock::default();
        for (unix_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (7, "1970-01-01T00:00:00.007Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_010, "2000-02-29T00:00:00.010Z"),
            (951_782_399_120, "2000-02-28T23:59:59.120Z"),
        ] {
            assert_eq!(clock.text(unix_ms), expected.as_bytes());
        }
    }
}
