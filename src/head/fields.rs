//! Header fields: one buffer, one line per field, in the order received.

use std::ops::Range;

/// A range of the head's buffer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

/// The field names that Castile itself reads. `Other` is every other name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Name {
    Other,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Cookie,
    SetCookie,
    ContentType,
    ContentEncoding,
    Expect,
    Upgrade,
    SoapAction,
    Te,
    Trailer,
    KeepAlive,
    ProxyConnection,
    Forwarded,
    XForwardedFor,
    XForwardedProto,
    XForwardedHost,
    XForwardedPort,
    Via,
    Authorization,
    WwwAuthenticate,
    Location,
    Accept,
    AcceptEncoding,
    XRequestId,
    Http2Settings,
    Date,
}

impl Name {
    /// Which known field `name` is; letters in any case.
    pub fn of(name: &[u8]) -> Name {
        // By length first: a name that nobody asks for costs one comparison at most.
        let candidates: &[(&str, Name)] = match name.len() {
            2 => &[("te", Name::Te)],
            3 => &[("via", Name::Via)],
            4 => &[("host", Name::Host), ("date", Name::Date)],
            6 => &[("cookie", Name::Cookie), ("accept", Name::Accept), ("expect", Name::Expect)],
            7 => &[("trailer", Name::Trailer), ("upgrade", Name::Upgrade)],
            8 => &[("location", Name::Location)],
            9 => &[("forwarded", Name::Forwarded)],
            10 => &[
                ("connection", Name::Connection),
                ("set-cookie", Name::SetCookie),
                ("soapaction", Name::SoapAction),
                ("keep-alive", Name::KeepAlive),
            ],
            12 => &[("content-type", Name::ContentType), ("x-request-id", Name::XRequestId)],
            13 => &[("authorization", Name::Authorization)],
            14 => &[("content-length", Name::ContentLength), ("http2-settings", Name::Http2Settings)],
            15 => &[("x-forwarded-for", Name::XForwardedFor), ("accept-encoding", Name::AcceptEncoding)],
            16 => &[
                ("content-encoding", Name::ContentEncoding),
                ("x-forwarded-host", Name::XForwardedHost),
                ("x-forwarded-port", Name::XForwardedPort),
                ("proxy-connection", Name::ProxyConnection),
                ("www-authenticate", Name::WwwAuthenticate),
            ],
            17 => &[("transfer-encoding", Name::TransferEncoding), ("x-forwarded-proto", Name::XForwardedProto)],
            _ => &[],
        };
        // Then by the first and the last letter, which part nearly all that are left. In a token, bit 5 is all that
        // tells capitals from small letters.
        let [first, .., last] = name else { return Name::Other };
        let ends = (first | 0x20, last | 0x20);
        for (text, known) in candidates {
            let text = text.as_bytes();
            if ends == (text[0], text[text.len() - 1]) && name.eq_ignore_ascii_case(text) {
                return *known;
            }
        }
        Name::Other
    }
}

#[derive(Debug, Clone, Copy)]
struct Line {
    known: Name,
    name: Span,
    value: Span,
}

/// One field as received.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// Which known field it is.
    pub known: Name,
    /// The name, letters as received.
    pub name: &'a [u8],
    /// The value, without surrounding white space.
    pub value: &'a [u8],
}

/// The fields of a head, in the order received. Equal names are kept apart, letters stay as they came.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    raw: Vec<u8>,
    lines: Vec<Line>,
}

impl Fields {
    /// Forgets all fields, keeps the buffers.
    pub fn clear(&mut self) {
        self.raw.clear();
        self.lines.clear();
    }

    /// Number of field lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.lines.iter().map(|line| Field {
            known: line.known,
            name: self.bytes(line.name),
            value: self.bytes(line.value),
        })
    }

    /// The value of the first line with this known name.
    pub fn known(&self, name: Name) -> Option<&[u8]> {
        self.lines.iter().find(|line| line.known == name).map(|line| self.bytes(line.value))
    }

    /// The values of all lines with this known name, in order.
    pub fn all_known(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().filter(move |line| line.known == name).map(|line| self.bytes(line.value))
    }

    /// The value of the first line with this name; letters in any case.
    pub fn get<'a>(&'a self, name: &[u8]) -> Option<&'a [u8]> {
        self.get_all(name).next()
    }

    /// The values of all lines with this name, in order; letters in any case.
    pub fn get_all<'a, 'n>(&'a self, name: &'n [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// Adds a field behind all others.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_known(Name::of(name), name, value);
    }

    /// The same for a name whose [`Name`] the caller knows.
    pub(crate) fn push_known(&mut self, known: Name, name: &[u8], value: &[u8]) {
        // Laid out as it goes out, see `write`.
        self.raw.reserve(name.len() + value.len() + 4);
        let name = self.keep(name);
        self.raw.extend_from_slice(b": ");
        let value = self.keep(value);
        self.raw.extend_from_slice(b"\r\n");
        self.lines.push(Line { known, name, value });
    }

    /// Adds a field behind all others whose value is written in its place.
    pub(crate) fn push_written(&mut self, known: Name, name: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let name = self.keep(name);
        self.raw.extend_from_slice(b": ");
        let start = self.raw.len() as u32;
        write(&mut self.raw);
        let value = Span { start, end: self.raw.len() as u32 };
        self.raw.extend_from_slice(b"\r\n");
        self.lines.push(Line { known, name, value });
    }

    /// Appends all lines as HTTP/1 sends them: `name: value`, CRLF. Lines that stand so in the buffer, one behind the
    /// other, go out in one piece; in a head that was received and hardly changed that is nearly all of it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut run = 0..0;
        for line in &self.lines {
            let (name, value) = (line.name, line.value);
            let end = value.end as usize + 2;
            let stands_so = value.start == name.end + 2
                && self.raw.get(name.end as usize..value.start as usize) == Some(b": ")
                && self.raw.get(value.end as usize..end) == Some(b"\r\n");
            if stands_so && run.end == name.start as usize {
                run.end = end;
                continue;
            }
            out.extend_from_slice(&self.raw[run]);
            if stands_so {
                run = name.start as usize..end;
            } else {
                run = 0..0;
                out.extend_from_slice(self.bytes(name));
                out.extend_from_slice(b": ");
                out.extend_from_slice(self.bytes(value));
                out.extend_from_slice(b"\r\n");
            }
        }
        out.extend_from_slice(&self.raw[run]);
    }

    /// Adds a field before all others.
    pub fn push_front(&mut self, name: &[u8], value: &[u8]) {
        self.push(name, value);
        self.lines.rotate_right(1);
    }

    /// Gives the first line with this name the value, or adds a line behind all others; further lines with the name go.
    ///
    /// The place of the line and the letters of its name stay.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let value = self.keep(value);
        let known = Name::of(name);
        let mut is_set = false;
        let Self { raw, lines } = self;
        lines.retain_mut(|line| {
            let same = line.known == known
                && (known != Name::Other
                    || raw[line.name.start as usize..line.name.end as usize].eq_ignore_ascii_case(name));
            let keep = !same || !is_set;
            if same && !is_set {
                line.value = value;
                is_set = true;
            }
            keep
        });
        if !is_set {
            let name = self.keep(name);
            self.lines.push(Line { known, name, value });
        }
    }

    /// Gives lines with this known name another value: `None` = it stays as it is; an empty one = the line goes.
    pub fn change_known(&mut self, name: Name, mut change: impl FnMut(&[u8]) -> Option<Vec<u8>>) {
        for index in (0..self.lines.len()).rev() {
            if self.lines[index].known != name {
                continue;
            }
            match change(self.bytes(self.lines[index].value)) {
                None => {}
                Some(value) if value.is_empty() => {
                    self.lines.remove(index);
                }
                Some(value) => self.lines[index].value = self.keep(&value),
            }
        }
    }

    /// Removes all lines with this known name.
    pub fn remove_known(&mut self, name: Name) {
        self.lines.retain(|line| line.known != name);
    }

    /// Removes all lines with this name; letters in any case.
    pub fn remove(&mut self, name: &[u8]) {
        self.retain(|field| !field.name.eq_ignore_ascii_case(name));
    }

    /// Keeps the fields for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(Field<'_>) -> bool) {
        let Self { raw, lines } = self;
        lines.retain(|line| {
            keep(Field {
                known: line.known,
                name: &raw[line.name.start as usize..line.name.end as usize],
                value: &raw[line.value.start as usize..line.value.end as usize],
            })
        });
    }

    /// Puts bytes into the head's buffer. Heads are bounded far below 4 GiB by the codecs.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Span {
        let start = self.raw.len() as u32;
        self.raw.extend_from_slice(bytes);
        Span { start, end: self.raw.len() as u32 }
    }

    /// Takes a whole head over with one copy; [`Fields::push_placed`] then says where its fields lie.
    pub(super) fn adopt(&mut self, head: &[u8]) {
        self.clear();
        self.raw.extend_from_slice(head);
    }

    /// Adds a field that lies in the head taken over by `start_with`, behind all others.
    ///
    /// Ranges beyond the head count as empty.
    pub(crate) fn push_placed(&mut self, name: Range<usize>, value: Range<usize>) {
        let name = self.placed(name);
        let value = self.placed(value);
        let known = Name::of(self.bytes(name));
        self.lines.push(Line { known, name, value });
    }

    pub(super) fn placed(&self, range: Range<usize>) -> Span {
        if range.start <= range.end && range.end <= self.raw.len() {
            Span { start: range.start as u32, end: range.end as u32 }
        } else {
            Span::default()
        }
    }

    pub(super) fn bytes(&self, span: Span) -> &[u8] {
        &self.raw[span.start as usize..span.end as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_out_in_their_order_whatever_was_done_to_them() {
        let mut fields = Fields::default();
        fields.adopt(b"GET / HTTP/1.1\r\nA: 1\r\nB:2\r\nC: 3\r\nD: 4 \r\nE: \r\n\r\n");
        for (name, value) in [(16..17, 19..20), (22..23, 24..25), (27..28, 30..31), (33..34, 36..37), (40..41, 43..43)]
        {
            fields.push_placed(name, value);
        }
        fields.push(b"F", b"6");
        fields.push_front(b"Z", b"0");
        fields.set(b"c", b"33");
        let mut out = Vec::new();
        fields.write(&mut out);
        let text = String::from_utf8(out).expect("ASCII");
        assert_eq!(text, "Z: 0\r\nA: 1\r\nB: 2\r\nC: 33\r\nD: 4\r\nE: \r\nF: 6\r\n");
    }

    #[test]
    fn names_are_found_in_any_case_and_kept_as_they_came() {
        let mut fields = Fields::default();
        fields.push(b"content-TYPE", b"text/xml");
        fields.push(b"X-a", b"1");
        fields.push(b"x-A", b"2");
        assert_eq!(fields.known(Name::ContentType), Some(&b"text/xml"[..]));
        assert_eq!(fields.get_all(b"X-A").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(fields.iter().next().expect("three fields").name, b"content-TYPE");
        assert_eq!(fields.known(Name::Host), None);
    }

    #[test]
    fn a_field_that_is_set_keeps_its_place_and_its_letters() {
        let mut fields = Fields::default();
        for (name, value) in [(&b"hOST"[..], &b"a"[..]), (b"X", b"1"), (b"Host", b"b")] {
            fields.push(name, value);
        }
        fields.set(b"Host", b"c");
        fields.set(b"Y", b"2");
        fields.push_front(b"Z", b"3");
        let lines: Vec<_> = fields.iter().map(|field| (field.name, field.value)).collect();
        assert_eq!(lines, [(&b"Z"[..], &b"3"[..]), (b"hOST", b"c"), (b"X", b"1"), (b"Y", b"2")]);
        fields.remove(b"x");
        fields.remove_known(Name::Host);
        assert_eq!(fields.len(), 2);
    }

    #[test]
    fn a_place_beyond_the_head_is_empty() {
        let mut fields = Fields::default();
        fields.adopt(b"a: b");
        fields.push_placed(0..1, 3..9);
        assert_eq!(fields.get(b"A"), Some(&b""[..]));
    }
}
