#![no_main]
//! Messages give the same facts at any cut.

use std::sync::{Arc, LazyLock};

use castile::soap::{Content, Limits, Part, Path, Prefixes, Reader, Wanted};
use libfuzzer_sys::fuzz_target;

static WANTED: LazyLock<Arc<Wanted>> = LazyLock::new(|| {
    let mut prefixes = Prefixes::default();
    prefixes.insert("a".into(), vec!["urn:a".into()]);
    let mut wanted = Wanted::new();
    for (part, text) in [
        (Part::Header, "a:id"),
        (Part::Header, "*:ReplyTo/**/*:id/@k"),
        (Part::Body, "a:r/a:s/@id"),
        (Part::Body, "**/a:t[@k='v']"),
    ] {
        wanted.add(Path::parse(part, text, &prefixes).expect("a sound path"));
    }
    wanted.want_operation();
    wanted.want_fault();
    Arc::new(wanted)
});

const TYPES: [&[u8]; 6] = [
    b"text/xml; charset=utf-8",
    b"application/soap+xml; action=\"urn:a#b\"",
    b"text/xml; charset=iso-8859-1",
    b"text/xml; charset=utf-16",
    b"multipart/related; boundary=b; type=\"application/xop+xml\"",
    b"application/xml",
];
const CODINGS: [Option<&[u8]>; 3] = [None, Some(b"gzip"), Some(b"deflate")];

/// What is known at the end, in words.
fn facts(content: Content<'_>, bytes: &[u8], piece: usize) -> String {
    let limits = Limits { bytes: 1 << 16, depth: 16, attributes: 16, value_bytes: 64 };
    let mut reader = Reader::new(Arc::clone(&WANTED), content, limits);
    for part in bytes.chunks(piece) {
        reader.push(part);
    }
    reader.end();
    format!("{:?} {:?}", reader.facts(), reader.state())
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (kind, piece, bytes) = input;
    let content_type = Some(TYPES[usize::from(kind) % TYPES.len()]);
    let content_encoding = CODINGS[usize::from(kind) / TYPES.len() % CODINGS.len()];
    let content = Content { content_type, content_encoding };
    let whole = facts(content, bytes, bytes.len().max(1));
    assert_eq!(facts(content, bytes, usize::from(piece) + 1), whole);
    assert_eq!(facts(content, bytes, 1), whole);
});
