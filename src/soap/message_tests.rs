//! The messages in `tests/messages`: real and awkward ones, each with what is to be found in it.
//!
//! `NAME.message` is HTTP fields, an empty line and the body. `NAME.expected` declares prefixes (`ns p uri`), names paths,
//! each followed by its values and their offsets, and ends with everything else a reader says. Adding a case is adding two
//! files; with `CASTILE_WRITE_EXPECTED` set, the second is completed from what was read, to be looked at.

use std::fmt::Write;
use std::sync::Arc;

use super::*;

/// A message as in its file.
struct Message {
    content_type: Option<Vec<u8>>,
    content_encoding: Option<Vec<u8>>,
    body: Vec<u8>,
}

impl Message {
    fn load(file: &std::path::Path) -> Self {
        let bytes = std::fs::read(file).expect("a file");
        let at =
            if bytes.starts_with(b"\r\n") { 0 } else { memchr::memmem::find(&bytes, b"\r\n\r\n").expect("a head") + 2 };
        let field = |name: &str| {
            bytes[..at].split(|&byte| byte == b'\n').find_map(|line| {
                let colon = memchr::memchr(b':', line)?;
                line[..colon].eq_ignore_ascii_case(name.as_bytes()).then(|| line[colon + 1..].trim_ascii().to_vec())
            })
        };
        Self {
            content_type: field("content-type"),
            content_encoding: field("content-encoding"),
            body: bytes[at + 2..].to_vec(),
        }
    }

    fn content(&self) -> Content<'_> {
        Content { content_type: self.content_type.as_deref(), content_encoding: self.content_encoding.as_deref() }
    }
}

/// The paths of an expectation, as written.
fn paths(expected: &str) -> (Wanted, Vec<(PathId, String)>, String) {
    let (mut wanted, mut ids, mut prefixes, mut head) = (Wanted::new(), Vec::new(), Prefixes::new(), String::new());
    wanted.want_operation();
    wanted.want_fault();
    for line in expected.lines() {
        let (part, path) = match line.split_once(' ') {
            Some(("ns", declaration)) => {
                let (prefix, uri) = declaration.split_once(' ').expect("ns PREFIX URI");
                prefixes.insert(prefix.to_owned(), vec![uri.to_owned()]);
                writeln!(head, "{line}").expect("memory");
                continue;
            }
            Some(("header", path)) => (Part::Header, path),
            Some(("body", path)) => (Part::Body, path),
            _ => continue,
        };
        ids.push((wanted.add(Path::parse(part, path, &prefixes).expect("a path")), line.to_owned()));
    }
    (wanted, ids, head)
}

/// All that a reader says, in the form of an expectation.
fn report(reader: &Reader, ids: &[(PathId, String)]) -> String {
    let facts = reader.facts();
    let mut text = String::new();
    for (id, line) in ids {
        writeln!(text, "{line}").expect("memory");
        for found in facts.found.iter().filter(|found| found.path == *id) {
            writeln!(text, "  {:?} at {}", found.value, found.offset).expect("memory");
        }
    }
    writeln!(text, "version: {:?}, offsets: {:?}", facts.version, facts.origin).expect("memory");
    writeln!(text, "action: {:?}", facts.wsa_action).expect("memory");
    writeln!(text, "first child: {:?}", facts.body_child).expect("memory");
    if let Some(fault) = &facts.fault {
        writeln!(text, "fault: sender {}, {:?}", fault.is_sender, fault.texts).expect("memory");
    }
    let State::Stopped(stop) = reader.state() else { panic!("an ended reader has stopped") };
    writeln!(text, "stop: {stop}").expect("memory");
    text
}

fn read<'a>(wanted: &Arc<Wanted>, content: Content<'_>, pieces: impl Iterator<Item = &'a [u8]>) -> Reader {
    let mut reader = Reader::new(wanted.clone(), content, Limits::default());
    pieces.for_each(|piece| reader.push(piece));
    reader.end();
    reader
}

/// Every message with its expectation.
fn all() -> Vec<(std::path::PathBuf, Message)> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/messages");
    let files = std::fs::read_dir(directory).expect("the messages").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|kind| kind == "message")).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), Message::load(&file))).collect()
}

#[test]
fn every_message_says_what_is_expected_however_it_is_cut() {
    let messages = all();
    assert!(messages.len() > 15);
    for (file, message) in messages {
        let expected_file = file.with_extension("expected");
        let expected = std::fs::read_to_string(&expected_file).expect("an expectation");
        let (wanted, ids, head) = paths(&expected);
        let wanted = Arc::new(wanted);
        let whole = report(&read(&wanted, message.content(), std::iter::once(&message.body[..])), &ids);
        if std::env::var_os("CASTILE_WRITE_EXPECTED").is_some() {
            std::fs::write(&expected_file, head.clone() + &whole).expect("writable");
        } else {
            assert_eq!(head.clone() + &whole, expected, "{}", file.display());
        }
        let bytes = report(&read(&wanted, message.content(), message.body.chunks(1)), &ids);
        assert_eq!(bytes, whole, "{} byte by byte", file.display());
        for cut in 1..message.body.len() {
            let (left, right) = message.body.split_at(cut);
            let cut_in_two = report(&read(&wanted, message.content(), [left, right].into_iter()), &ids);
            assert_eq!(cut_in_two, whole, "{} cut at {cut}", file.display());
        }
    }
}

/// A small generator of numbers: tests must not depend on a crate's next version to repeat a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit.max(1)
    }

    /// Changes a message in a few places.
    fn spoil(&mut self, body: &mut Vec<u8>) {
        const PIECES: [&[u8]; 24] = [
            b"<",
            b">",
            b"/>",
            b"</",
            b"<!--",
            b"-->",
            b"<![CDATA[",
            b"]]>",
            b"<?",
            b"?>",
            b"&",
            b"&amp;",
            b"&#x10FFFF;",
            b"'",
            b"\"",
            b" id='a'",
            b" href='#a'",
            b"xmlns=''",
            b"<a:id>",
            b"</e:Header>",
            b"\0",
            b"\xff",
            b"\r\n--",
            b"<!",
        ];
        for _ in 0..=self.below(4) {
            let at = self.below(body.len() + 1);
            match self.below(4) {
                0 => drop(body.splice(at..at, PIECES[self.below(PIECES.len())].iter().copied())),
                1 if at < body.len() => body[at] = self.below(256) as u8,
                2 => drop(body.drain(at..(at + self.below(40)).min(body.len()))),
                _ => {
                    let from = self.below(body.len() + 1);
                    let copy = body[from..(from + self.below(60)).min(body.len())].to_vec();
                    drop(body.splice(at..at, copy));
                }
            }
        }
    }
}

#[test]
fn a_spoilt_message_never_panics_and_says_the_same_however_it_is_cut() {
    let messages = all();
    let rounds = std::env::var("CASTILE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1000);
    let seed = std::env::var("CASTILE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for round in seed..seed + rounds {
        let mut random = Random(round);
        let (file, message) = &messages[random.below(messages.len())];
        let expected = std::fs::read_to_string(file.with_extension("expected")).expect("an expectation");
        let (mut wanted, mut ids, _) = paths(&expected);
        for (part, path) in [(Part::Header, "**/@*"), (Part::Body, "**"), (Part::Body, "**/*[id='1']/**/*")] {
            ids.push((wanted.add(Path::parse(part, path, &Prefixes::new()).expect("a path")), path.to_owned()));
        }
        let wanted = Arc::new(wanted);
        let mut body = message.body.clone();
        random.spoil(&mut body);
        let whole = report(&read(&wanted, message.content(), std::iter::once(&body[..])), &ids);
        let mut pieces = Vec::new();
        let mut rest = &body[..];
        while !rest.is_empty() {
            let most = [1, 7, 300][random.below(3)];
            let size = 1 + random.below(most);
            let (piece, behind) = rest.split_at(size.min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        let cut = report(&read(&wanted, message.content(), pieces.into_iter()), &ids);
        assert_eq!(cut, whole, "{} with CASTILE_SEED={round}", file.display());
    }
}
