//! The id of a request: read from its head or made; what callers quote, logs show, and nodes get.

use smallvec::SmallVec;

use super::forwarding::remove_aliases;
use crate::config::model::{AcceptIds, RequestIds};
use crate::head::Fields;

/// Characters of an id at most.
const LENGTH_MAX: usize = 128;
/// The field of the W3C's Trace Context, whose value holds more than the id.
const TRACEPARENT: &str = "traceparent";

/// What an id is made of: two numbers that no other request has together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serial {
    /// The worker's own random number.
    pub worker: u64,
    /// The request's number, scattered.
    pub request: u64,
}

/// The id of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId {
    text: SmallVec<[u8; 40]>,
    /// The number of the field it came in; `None` = it was made.
    given: Option<usize>,
    serial: Serial,
}

impl RequestId {
    /// Reads the id of a request, else makes one of `serial`. `is_trusted`: a proxy that is believed sent it.
    ///
    /// An id is one line of 1 to 128 visible ASCII characters that mean nothing to XML, HTML or a shell's quotes. Of
    /// `traceparent` it is the trace id.
    pub fn of(config: Option<&RequestIds>, fields: &Fields, is_trusted: bool, serial: Serial) -> Self {
        let Some(config) = config else { return Self::made(false, serial) };
        if config.accept == AcceptIds::Any || is_trusted {
            for (number, header) in config.headers.iter().enumerate() {
                let mut lines = fields.get_all(header.as_bytes());
                let (Some(value), None) = (lines.next(), lines.next()) else { continue };
                let id = if is_traceparent(header) { trace_id(value) } else { plain_id(value) };
                if let Some(id) = id {
                    return Self { text: SmallVec::from_slice(id), given: Some(number), serial };
                }
            }
        }
        Self::made(config.headers.first().is_some_and(|header| is_traceparent(header)), serial)
    }

    fn made(is_trace: bool, serial: Serial) -> Self {
        let mut text = SmallVec::new();
        if is_trace {
            text.extend_from_slice(&hex(serial.worker));
        }
        text.extend_from_slice(&hex(serial.request));
        Self { text, given: None, serial }
    }

    /// As callers quote it and logs show it.
    pub fn text(&self) -> &str {
        // Made of visible ASCII characters only.
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// The field it travels in, and its value there. `request`: the fields it was read from.
    fn line<'a>(&self, config: &'a RequestIds, request: &Fields) -> Option<(&'a str, SmallVec<[u8; 64]>)> {
        let header = config.headers.get(self.given.unwrap_or(0))?;
        let value = match self.given {
            _ if !is_traceparent(header) => SmallVec::from_slice(&self.text),
            Some(_) => SmallVec::from_slice(request.get(header.as_bytes())?),
            None => {
                let mut value = SmallVec::from_slice(b"00-");
                value.extend_from_slice(&self.text);
                value.push(b'-');
                value.extend_from_slice(&hex(self.serial.request));
                // Nobody has decided that this trace is recorded: what starts one sends 0 by default (Trace Context §2.2.5).
                value.extend_from_slice(b"-00");
                value
            }
        };
        Some((header, value))
    }
}

/// The id of a request with what is done with it.
#[derive(Debug, Clone, Copy)]
pub struct Reference<'a> {
    /// `None` = it is neither read nor passed on.
    pub config: Option<&'a RequestIds>,
    /// The id.
    pub id: &'a RequestId,
}

impl Reference<'_> {
    /// Makes the head for the node carry the id. An id that was believed passes as it came, in its place: of a
    /// `traceparent` the parent too, as no span of ours is ever reported that could be its child's parent. What was not
    /// believed goes.
    pub fn pass_on(&self, onward: &mut Fields) {
        let Some(config) = self.config else { return };
        if let Some(number) = self.id.given {
            for header in &config.headers[..number] {
                onward.remove(header.as_bytes());
            }
            return;
        }
        if config.accept == AcceptIds::Trusted {
            self.strip(onward);
        } else {
            for header in config.headers.iter().skip(1) {
                onward.remove(header.as_bytes());
            }
        }
        // A made id is not read from anywhere.
        if let Some((header, value)) = self.id.line(config, &Fields::default()) {
            onward.set(header.as_bytes(), &value);
        }
    }

    /// Takes all fields out that could be taken for an id of ours, also spelt with underscores: of trailers, for one.
    pub fn strip(&self, fields: &mut Fields) {
        for header in self.config.iter().flat_map(|config| &config.headers) {
            remove_aliases(fields, header.as_bytes());
        }
    }

    /// Tells the client, where that is wanted. `request`: the fields as received.
    pub fn answer(&self, request: &Fields, answer: &mut Fields) {
        if let Some(config) = self.config.filter(|config| config.answer)
            && let Some((header, value)) = self.id.line(config, request)
        {
            answer.set(header.as_bytes(), &value);
        }
    }
}

fn is_traceparent(header: &str) -> bool {
    header.eq_ignore_ascii_case(TRACEPARENT)
}

fn plain_id(value: &[u8]) -> Option<&[u8]> {
    let good = |byte: &u8| byte.is_ascii_graphic() && !b"\"'<>&\\`".contains(byte);
    ((1..=LENGTH_MAX).contains(&value.len()) && value.iter().all(good)).then_some(value)
}

/// The trace id of `version-traceid-parentid-flags` (Trace Context §2.2), of later versions too.
fn trace_id(value: &[u8]) -> Option<&[u8]> {
    let is_hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    let (known, rest) = value.split_at_checked(55)?;
    let (version, trace, parent, flags) = (&known[..2], &known[3..35], &known[36..52], &known[53..]);
    let dashes = [2, 35, 52].iter().all(|at| known[*at] == b'-');
    let fits = match version {
        b"00" => rest.is_empty(),
        b"ff" => false,
        _ => (rest.is_empty() || rest[0] == b'-') && value.len() <= LENGTH_MAX,
    };
    let good = [version, trace, parent, flags].iter().all(|part| is_hex(part)) && !is_zero(trace) && !is_zero(parent);
    (dashes && fits && good).then_some(trace)
}

fn hex(number: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|at| DIGITS[(number >> (60 - 4 * at) & 15) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIAL: Serial = Serial { worker: 0xabc, request: 0x123 };
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        lines.iter().for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
        fields
    }

    fn config(headers: &[&str], accept: AcceptIds) -> RequestIds {
        RequestIds { headers: headers.iter().map(|&name| name.to_owned()).collect(), accept, answer: true }
    }

    /// The id, and the lines that the node gets.
    fn check(headers: &[&str], accept: AcceptIds, lines: &[(&str, &str)], id: &str, onward: &[(&str, &str)]) {
        let config = config(headers, accept);
        let mut fields = fields(lines);
        let found = RequestId::of(Some(&config), &fields, false, SERIAL);
        assert_eq!(found.text(), id, "{lines:?}");
        Reference { config: Some(&config), id: &found }.pass_on(&mut fields);
        let after: Vec<_> = fields
            .iter()
            .map(|field| {
                (String::from_utf8_lossy(field.name).into_owned(), String::from_utf8_lossy(field.value).into_owned())
            })
            .collect();
        let after: Vec<_> = after.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(after, onward, "{lines:?}");
    }

    #[test]
    fn an_id_is_read_and_passes_as_it_came_or_one_is_made() {
        let any = |lines: &[(&str, &str)], id: &str, onward: &[(&str, &str)]| {
            check(&["X-Request-ID"], AcceptIds::Any, lines, id, onward);
        };
        let made = "0000000000000123";
        any(&[("x-request-id", "a-1"), ("B", "2")], "a-1", &[("x-request-id", "a-1"), ("B", "2")]);
        any(&[("B", "2")], made, &[("B", "2"), ("X-Request-ID", made)]);
        for bad in ["", "a b", "a\"b", "<a>", "\u{e9}", &"x".repeat(129)] {
            any(&[("x-request-id", bad), ("B", "2")], made, &[("x-request-id", made), ("B", "2")]);
        }
        any(&[("X-Request-ID", "a"), ("X-Request-ID", "b")], made, &[("X-Request-ID", made)]);
        any(&[("X-Request-ID", &"x".repeat(128))], &"x".repeat(128), &[("X-Request-ID", &"x".repeat(128))]);
    }

    #[test]
    fn strangers_are_not_believed_where_proxies_are_trusted() {
        let lines = [("X-Request-ID", "forged"), ("x_request_id", "forged"), ("B", "2")];
        let made = "0000000000000123";
        check(&["X-Request-ID"], AcceptIds::Trusted, &lines, made, &[("B", "2"), ("X-Request-ID", made)]);
        let config = config(&["X-Request-ID"], AcceptIds::Trusted);
        assert_eq!(RequestId::of(Some(&config), &fields(&[("X-Request-ID", "a")]), true, SERIAL).text(), "a");
        let mut trailers = fields(&lines);
        let id = RequestId::of(Some(&config), &trailers, false, SERIAL);
        Reference { config: Some(&config), id: &id }.strip(&mut trailers);
        assert_eq!(trailers.len(), 1, "trailers forge nothing");
    }

    #[test]
    fn the_first_field_that_holds_an_id_is_believed() {
        let both = ["X-Request-ID", "traceparent"];
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let line = ("traceparent", TRACE);
        check(&both, AcceptIds::Any, &[line, ("X-Request-ID", "a")], "a", &[line, ("X-Request-ID", "a")]);
        check(&both, AcceptIds::Any, &[("X-Request-ID", "a b"), line], trace, &[line]);
        check(
            &both,
            AcceptIds::Any,
            &[("traceparent", "00-x")],
            "0000000000000123",
            &[("X-Request-ID", "0000000000000123")],
        );
    }

    #[test]
    fn a_trace_keeps_its_parent_or_begins_undecided() {
        let made = "0000000000000abc0000000000000123";
        let line = format!("00-{made}-0000000000000123-00");
        check(&["traceparent"], AcceptIds::Any, &[], made, &[("traceparent", &line)]);
        assert!(trace_id(line.as_bytes()).is_some(), "what is made is valid");
        assert!(trace_id(b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings").is_some());
        for bad in [
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            check(&["traceparent"], AcceptIds::Any, &[("traceparent", bad)], made, &[("traceparent", &line)]);
        }
    }

    #[test]
    fn the_client_gets_what_the_node_got() {
        let config = config(&["traceparent"], AcceptIds::Any);
        for (request, expected) in [
            (fields(&[("traceparent", TRACE)]), TRACE),
            (fields(&[]), "00-0000000000000abc0000000000000123-0000000000000123-00"),
        ] {
            let id = RequestId::of(Some(&config), &request, false, SERIAL);
            let mut answer = fields(&[("traceparent", "of the node")]);
            Reference { config: Some(&config), id: &id }.answer(&request, &mut answer);
            assert_eq!(answer.get(b"traceparent"), Some(expected.as_bytes()));
            assert_eq!(answer.len(), 1);
        }
    }

    #[test]
    fn off_means_made_for_logs_and_faults_only() {
        let mut lines = fields(&[("X-Request-ID", "a")]);
        let id = RequestId::of(None, &lines, true, SERIAL);
        let reference = Reference { config: None, id: &id };
        reference.pass_on(&mut lines);
        reference.answer(&lines.clone(), &mut lines);
        assert_eq!((id.text(), lines.len(), lines.get(b"x-request-id")), ("0000000000000123", 1, Some(&b"a"[..])));
    }
}
