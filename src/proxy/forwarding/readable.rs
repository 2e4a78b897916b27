//! Readable answers: what Castile cannot read it does not let a client ask for.
//!
//! A node that answers in Fast Infoset or in a coding of its own hides the ids that rules would learn (seen with Metro,
//! which offers Fast Infoset by default). Only on upstreams whose rules read messages.

use crate::head::{Fields, Name};

/// Media types of binary XML.
const BINARY: [&[u8]; 3] = [b"application/fastinfoset", b"application/soap+fastinfoset", b"application/soap+msbin1"];
/// Codings that are read, and the absence of one.
const READ: [&[u8]; 4] = [b"gzip", b"x-gzip", b"deflate", b"identity"];

/// Takes offers of what nobody here can read out of `Accept` and `Accept-Encoding`. What stays keeps its bytes.
pub fn ask_for_readable(fields: &mut Fields) {
    let is_readable_type = |item: &[u8]| !BINARY.iter().any(|binary| binary.eq_ignore_ascii_case(token(item)));
    if fields.all_known(Name::Accept).any(|value| !items(value).all(is_readable_type)) {
        keep(fields, Name::Accept, b"Accept", is_readable_type, b"text/xml, */*;q=0.1");
    }
    let is_readable_coding = |item: &[u8]| {
        let name = token(item);
        READ.iter().any(|read| read.eq_ignore_ascii_case(name)) || is_refused(item)
    };
    if fields.all_known(Name::AcceptEncoding).any(|value| !items(value).all(is_readable_coding)) {
        // Without the field any coding would be welcome (RFC 9110 §12.5.3).
        keep(fields, Name::AcceptEncoding, b"Accept-Encoding", is_readable_coding, b"identity");
    }
}

/// The items of all lines that `wanted` keeps, on one line; `else_value` where none is left.
fn keep(fields: &mut Fields, known: Name, name: &[u8], wanted: impl Fn(&[u8]) -> bool, else_value: &[u8]) {
    let mut kept: Vec<u8> = Vec::new();
    for item in fields.all_known(known).flat_map(items).filter(|item| wanted(item)) {
        if !kept.is_empty() {
            kept.extend_from_slice(b", ");
        }
        kept.extend_from_slice(item);
    }
    fields.set(name, if kept.is_empty() { else_value } else { &kept });
}

fn items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}

fn token(item: &[u8]) -> &[u8] {
    item.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// `;q=0`: not offered but refused.
fn is_refused(item: &[u8]) -> bool {
    item.split(|byte| *byte == b';').skip(1).map(<[u8]>::trim_ascii).any(|parameter| {
        let weight = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="));
        weight.is_some_and(|weight| !weight.is_empty() && weight.iter().all(|byte| matches!(byte, b'0' | b'.')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, values: &[&str], expected: &[&str]) {
        let mut fields = Fields::default();
        for value in values {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        ask_for_readable(&mut fields);
        let found: Vec<_> = fields.get_all(name.as_bytes()).map(|value| String::from_utf8_lossy(value)).collect();
        assert_eq!(found, expected, "{name}: {values:?}");
    }

    #[test]
    fn binary_xml_is_not_asked_for() {
        check(
            "Accept",
            &["application/fastinfoset, text/xml, text/html, */*; q=.2"],
            &["text/xml, text/html, */*; q=.2"],
        );
        check("Accept", &["Application/SOAP+FastInfoset;q=1"], &["text/xml, */*;q=0.1"]);
        check("Accept", &["text/xml;x=\"a\" ,  */*"], &["text/xml;x=\"a\" ,  */*"]);
        check("Accept", &["text/xml", "application/soap+msbin1"], &["text/xml"]);
    }

    #[test]
    fn codings_nobody_here_reads_are_not_asked_for() {
        check("Accept-Encoding", &["gzip, deflate, br, zstd"], &["gzip, deflate"]);
        check("Accept-Encoding", &["br"], &["identity"]);
        check("Accept-Encoding", &["*"], &["identity"]);
        check("Accept-Encoding", &["GZIP;q=1.0, identity; q=0.5, *;q=0"], &["GZIP;q=1.0, identity; q=0.5, *;q=0"]);
        check("Accept-Encoding", &["gzip,deflate"], &["gzip,deflate"]);
        check("Accept-Encoding", &[""], &[""]);
    }
}
