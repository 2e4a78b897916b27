//! Header fields: one buffer, one line per field, in the order received.

use std::ops::Range;

use super::name::Name;

/// A range of the head's buffer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    known: Name,
    /// Whether it stands in the buffer as it goes out: `name: value`, CRLF.
    is_laid_out: bool,
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
#[derive(Debug, Default)]
pub struct Fields {
    raw: Vec<u8>,
    lines: Vec<Line>,
    seen: NameSet,
}

/// Names of which there may be lines: nearly everybody who asks for a name asks for one that is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NameSet(u64);

impl NameSet {
    /// So many names.
    pub const fn of(names: &[Name]) -> Self {
        let mut set = 0;
        let mut at = 0;
        while at < names.len() {
            set |= 1 << names[at] as u8;
            at += 1;
        }
        Self(set)
    }

    fn add(&mut self, name: Name) {
        self.0 |= 1 << name as u8;
    }
}

impl Clone for Fields {
    fn clone(&self) -> Self {
        Self { raw: self.raw.clone(), lines: self.lines.clone(), seen: self.seen }
    }

    /// Keeps the buffers.
    fn clone_from(&mut self, source: &Self) {
        self.raw.clear();
        self.raw.extend_from_slice(&source.raw);
        self.lines.clear();
        self.lines.extend_from_slice(&source.lines);
        self.seen = source.seen;
    }
}

impl Fields {
    /// Forgets all fields, keeps the buffers.
    pub fn clear(&mut self) {
        self.raw.clear();
        self.lines.clear();
        self.seen = NameSet::default();
    }

    /// Whether there may be a line with one of these names. False: there is none.
    pub fn may_have(&self, names: NameSet) -> bool {
        self.seen.0 & names.0 != 0
    }

    fn add(&mut self, line: Line) {
        self.seen.add(line.known);
        self.lines.push(line);
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
        if !self.may_have(NameSet::of(&[name])) {
            return None;
        }
        self.lines.iter().find(|line| line.known == name).map(|line| self.bytes(line.value))
    }

    /// The values of all lines with this known name, in order.
    pub fn all_known(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        let lines = if self.may_have(NameSet::of(&[name])) { &self.lines[..] } else { &[] };
        lines.iter().filter(move |line| line.known == name).map(|line| self.bytes(line.value))
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
        self.push_written(known, name, |out| out.extend_from_slice(value));
    }

    /// Adds a field behind all others whose value is written in its place. Laid out as it goes out, see `write`.
    #[inline]
    pub(crate) fn push_written(&mut self, known: Name, name: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let name = self.keep(name);
        self.raw.extend_from_slice(b": ");
        let start = self.raw.len() as u32;
        write(&mut self.raw);
        let value = Span { start, end: self.raw.len() as u32 };
        self.raw.extend_from_slice(b"\r\n");
        self.add(Line { known, is_laid_out: true, name, value });
    }

    /// Adds all lines of another head behind all others.
    pub(crate) fn append(&mut self, other: &Self) {
        let by = self.raw.len() as u32;
        let moved = |span: Span| Span { start: span.start + by, end: span.end + by };
        self.raw.extend_from_slice(&other.raw);
        let lines = other.lines.iter();
        self.lines.extend(lines.map(|line| Line { name: moved(line.name), value: moved(line.value), ..*line }));
        self.seen.0 |= other.seen.0;
    }

    /// Appends all lines as HTTP/1 sends them: `name: value`, CRLF. Lines that stand so in the buffer, one behind the
    /// other, go out in one piece; in a head that was received and hardly changed that is nearly all of it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut run = 0..0;
        for line in &self.lines {
            let (start, end) = (line.name.start as usize, line.value.end as usize + 2);
            if line.is_laid_out && run.end == start {
                run.end = end;
                continue;
            }
            out.extend_from_slice(&self.raw[run]);
            if line.is_laid_out {
                run = start..end;
            } else {
                run = 0..0;
                out.extend_from_slice(self.bytes(line.name));
                out.extend_from_slice(b": ");
                out.extend_from_slice(self.bytes(line.value));
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
        let known = Name::of(name);
        if !self.may_have(NameSet::of(&[known])) {
            return self.push_known(known, name, value);
        }
        let value = self.keep(value);
        let mut is_set = false;
        let Self { raw, lines, .. } = self;
        lines.retain_mut(|line| {
            let same = line.known == known
                && (known != Name::Other
                    || raw[line.name.start as usize..line.name.end as usize].eq_ignore_ascii_case(name));
            let keep = !same || !is_set;
            if same && !is_set {
                line.value = value;
                line.is_laid_out = false;
                is_set = true;
            }
            keep
        });
        if !is_set {
            let name = self.keep(name);
            self.add(Line { known, is_laid_out: false, name, value });
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
                Some(value) => {
                    self.lines[index].value = self.keep(&value);
                    self.lines[index].is_laid_out = false;
                }
            }
        }
    }

    /// Removes all lines with this known name.
    pub fn remove_known(&mut self, name: Name) {
        if self.may_have(NameSet::of(&[name])) {
            self.lines.retain(|line| line.known != name);
        }
    }

    /// Removes all lines with this name; letters in any case.
    pub fn remove(&mut self, name: &[u8]) {
        self.retain(|field| !field.name.eq_ignore_ascii_case(name));
    }

    /// Keeps the fields for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(Field<'_>) -> bool) {
        let Self { raw, lines, .. } = self;
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
        let (colon, end) = (name.end as usize, value.end as usize);
        let is_laid_out = value.start == name.end + 2
            && self.raw.get(colon..colon + 2) == Some(b": ")
            && self.raw.get(end..end + 2) == Some(b"\r\n");
        self.add(Line { known, is_laid_out, name, value });
    }

    /// Adds a field that lies at these places of a head that [`Fields::stand_in`] will give, with its name as it is there.
    #[inline]
    pub(crate) fn push_standing(&mut self, text: &[u8], name: Range<usize>, value: Range<usize>, is_laid_out: bool) {
        let span = |range: Range<usize>| Span { start: range.start as u32, end: range.end as u32 };
        self.add(Line { known: Name::of(text), is_laid_out, name: span(name), value: span(value) });
    }

    /// Takes over the head in which the lines lie.
    pub(super) fn stand_in(&mut self, head: &[u8]) {
        self.raw.clear();
        self.raw.extend_from_slice(head);
        debug_assert!(self.lines.iter().all(|line| line.value.end as usize <= head.len()));
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
