#![no_main]
//! Addresses are rewritten the same at any cut; what is no address's beginning stays, byte for byte; no description harms.

use std::sync::{Arc, LazyLock};

use castile::soap::rewrite::{Addresses, Description, Origin, Places, Rewriter};
use castile::soap::{Content, Part, Path, Prefixes};
use libfuzzer_sys::fuzz_target;

static PLACES: LazyLock<Arc<Places>> = LazyLock::new(|| {
    let mut prefixes = Prefixes::default();
    prefixes.insert("a".into(), vec!["http://www.w3.org/2005/08/addressing".into()]);
    let path = |part, text| Path::parse(part, text, &prefixes).expect("a sound path");
    let paths = vec![path(Part::Header, "a:ReplyTo/a:Address"), path(Part::Body, "**/a:Address"), path(Part::Body, "**/x/@url")];
    Arc::new(Places::new(paths, true))
});

const TYPES: [&[u8]; 4] =
    [b"text/xml; charset=utf-8", b"text/xml; charset=utf-16", b"application/wsdl+xml", b"multipart/related; boundary=b"];

fn addresses() -> Addresses {
    let origin = |url| Origin::of_url(url).expect("a URL").0;
    Addresses::new(vec![origin("http://n")], vec![origin("http://g:8")], origin("https://public"), "", "/p").expect("prefixes")
}

fn rewritten(content: Content<'_>, bytes: &[u8], piece: usize) -> Option<(Vec<u8>, Rewriter)> {
    let mut rewriter = Rewriter::new(Arc::clone(&PLACES), addresses(), content)?;
    let mut out = Vec::new();
    for part in bytes.chunks(piece) {
        rewriter.push(part, &mut out);
    }
    rewriter.end(&mut out);
    Some((out, rewriter))
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (kind, piece, bytes) = input;
    let content_type = TYPES[usize::from(kind) % TYPES.len()];
    let content = Content { content_type: Some(content_type), content_encoding: None };
    let Some((whole, rewriter)) = rewritten(content, bytes, bytes.len().max(1)) else { return };
    for piece in [usize::from(piece) + 1, 1] {
        assert_eq!(rewritten(content, bytes, piece).map(|(out, _)| out), Some(whole.clone()));
    }
    if rewriter.tally().changed == 0 {
        assert_eq!(whole, bytes);
    }
    let _ = Description::read(Some(content_type), bytes);
});
