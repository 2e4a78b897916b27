use super::*;
use crate::soap::{Path, Prefixes};

use crate::soap::path::Part;

const WSDL: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<!-- <soap:address location="http://node:81/x"/> -->
<w:definitions xmlns:w="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/"
  xmlns:t="http://schemas.xmlsoap.org/wsdl/soap12/" xmlns:x="http://www.w3.org/2001/XMLSchema" targetNamespace="http://node:81/ns">
 <w:import namespace="http://node:81/ns" location = 'http://node:81/a?wsdl=1&amp;b'/>
 <w:types><x:schema><x:import namespace="http://node:81/n" schemaLocation="http://node:81/a?xsd=1"/>
  <x:include schemaLocation="other.xsd"></x:include><x:redefine schemaLocation="http://else:81/a"/></x:schema></w:types>
 <w:service name="é"><w:documentation>http://node:81/docs</w:documentation>
 <w:port><s:address location="http://node:81/app/a"/></w:port><w:port><t:address  location='  http://NODE:81  ' /></w:port>
 <w:port><a:EndpointReference xmlns:a="http://www.w3.org/2005/08/addressing"><a:Address>http://node:81/e</a:Address><a:Metadata xmlns:i="http://www.w3.org/ns/wsdl-instance" i:wsdlLocation="http://node:81/ns http://node:81/m?wsdl"/></a:EndpointReference></w:port>
 <w:port><q:address xmlns:q="urn:q" location="http://node:81/app/a"/></w:port></w:service></w:definitions>
<!-- end -->"#;

const EXPECTED: &[(&str, &str)] = &[
    ("location = 'http://node:81/a?wsdl", "location = 'https://public/p/a?wsdl"),
    ("schemaLocation=\"http://node:81/", "schemaLocation=\"https://public/p/"),
    ("s:address location=\"http://node:81/", "s:address location=\"https://public/p/"),
    ("'  http://NODE:81  '", "'  https://public/p  '"),
    (":Address>http://node:81/", ":Address>https://public/p/"),
    ("ns http://node:81/m", "ns https://public/p/m"),
];

fn addresses() -> Addresses {
    let origin = |url| Origin::of_url(url).expect("a URL").0;
    Addresses::new(vec![origin("http://node:81")], Vec::new(), origin("https://public"), "", "/p").expect("prefixes")
}

fn places(paths: &[&str]) -> Arc<Places> {
    let prefixes: Prefixes = [("w", "http://www.w3.org/2005/08/addressing"), ("l", "urn:wsdli")]
        .map(|(a, b)| (a.into(), vec![b.into()]))
        .into();
    let path = |text: &&str| {
        let (part, text) = text.split_once(' ').expect("a part");
        let part = if part == "header" { Part::Header } else { Part::Body };
        Path::parse(part, text, &prefixes).expect("a path")
    };
    Arc::new(Places::new(paths.iter().map(path).collect(), true))
}

/// The message that comes out, whole and cut at every byte and in small pieces.
fn rewritten(paths: &[&str], content_type: &str, message: &[u8]) -> (Vec<u8>, Tally) {
    let places = places(paths);
    let run = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let content = Content { content_type: Some(content_type.as_bytes()), content_encoding: None };
        let mut rewriter = Rewriter::new(Arc::clone(&places), addresses(), content).expect("XML");
        let mut out = Vec::new();
        let mut received = 0;
        for piece in pieces {
            rewriter.push(piece, &mut out);
            received += piece.len();
            assert!(rewriter.held.len() < 100_000, "{received}");
        }
        rewriter.end(&mut out);
        (out, rewriter.tally())
    };
    let whole = run(&mut [message].into_iter());
    if message.len() < 5_000 {
        for cut in 0..message.len() {
            assert!(run(&mut [&message[..cut], &message[cut..]].into_iter()) == whole, "cut at {cut}");
        }
    }
    for size in if message.len() < 5_000 { [1, 2, 7] } else { [500, 999, 40_000] } {
        assert!(run(&mut message.chunks(size)) == whole, "pieces of {size}");
    }
    whole
}

fn check(paths: &[&str], message: &str, expected: &str) {
    let (out, _) = rewritten(paths, "text/xml", message.as_bytes());
    assert_eq!(String::from_utf8_lossy(&out), expected);
}

fn envelope(header: &str, body: &str) -> String {
    format!(
        "<s:Envelope xmlns:s='{}' xmlns:w='http://www.w3.org/2005/08/addressing' xmlns:u='urn:utility' \
         xmlns:d='http://www.w3.org/2000/09/xmldsig#' xmlns:l='urn:wsdli'><s:Header>{header}</s:Header>\
         <s:Body>{body}</s:Body></s:Envelope>",
        crate::soap::NS_SOAP11
    )
}

fn expected_wsdl() -> String {
    EXPECTED.iter().fold(WSDL.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn utf16(text: &str, is_big: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|unit| if is_big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

#[test]
fn a_wsdls_addresses_change_and_nothing_else() {
    check(&[], WSDL, &expected_wsdl());
}

#[test]
fn addresses_are_written_in_the_messages_encoding() {
    for is_big in [false, true] {
        let (out, _) = rewritten(&[], "text/xml", &utf16(WSDL, is_big));
        assert!(out == utf16(&expected_wsdl(), is_big));
        let marked = format!("\u{feff}{WSDL}");
        let (out, _) = rewritten(&[], "application/wsdl+xml; charset=utf-16", &utf16(&marked, is_big));
        assert!(out == utf16(&format!("\u{feff}{}", expected_wsdl()), is_big));
    }
    let latin = |text: &str| encoding_rs::WINDOWS_1252.encode(text).0.into_owned();
    let (out, tally) = rewritten(&[], "text/xml", &latin(&WSDL.replace("\"utf-8\"", "\"iso-8859-1\"")));
    assert!(out == latin(&expected_wsdl().replace("\"utf-8\"", "\"iso-8859-1\"")));
    assert_eq!(tally, Tally { changed: 6, signed: 0 });
}

#[test]
fn a_wsdl_2_description_and_a_schema_are_rewritten() {
    check(
        &[],
        "<d:description xmlns:d='http://www.w3.org/ns/wsdl'><d:service><d:endpoint address=\"http://node:81/a\"/></d:service></d:description>",
        "<d:description xmlns:d='http://www.w3.org/ns/wsdl'><d:service><d:endpoint address=\"https://public/p/a\"/></d:service></d:description>",
    );
    check(
        &[],
        "<schema xmlns='http://www.w3.org/2001/XMLSchema'><import schemaLocation='http://node:81/a?x&amp;y'/></schema>",
        "<schema xmlns='http://www.w3.org/2001/XMLSchema'><import schemaLocation='https://public/p/a?x&amp;y'/></schema>",
    );
}

#[test]
fn endpoint_references_change_where_rules_say() {
    let paths = &["body **/w:Address", "body **/w:Metadata/@l:wsdlLocation", "header w:ReplyTo/w:Address"];
    let message = |to: &str| {
        envelope(
            &format!(
                "<w:ReplyTo><w:Address>{to}/r</w:Address></w:ReplyTo><w:From><w:Address>http://node:81/f</w:Address></w:From>"
            ),
            &format!(
                "<r><w:Address>\n {to}/a?b=1&amp;c=2 </w:Address><w:Metadata l:wsdlLocation='urn:a {to}/a?wsdl'/>\
                 <x>http://node:81/x</x><w:Address><![CDATA[{to}/c]]></w:Address></r>"
            ),
        )
    };
    check(paths, &message("http://node:81"), &message("https://public/p"));
}

#[test]
fn values_that_are_broken_up_stay() {
    let paths = &["body **/w:Address"];
    for value in [
        "http://no<!-- -->de:81/a",
        "http:&#x2F;/node:81/a",
        "http://no<![CDATA[de:81/a]]>",
        "<b/>http://node:81/a",
        "http://node:81/a b",
    ] {
        let message = envelope("", &format!("<w:Address>{value}</w:Address>"));
        check(paths, &message, &message);
    }
    let message = |to: &str| envelope("", &format!("<w:Address><!--c-->{to}/&#65;<![CDATA[b]]></w:Address>"));
    check(paths, &message("http://node:81"), &message("https://public/p"));
}

#[test]
fn signed_parts_are_left_alone() {
    let paths = &["body **/w:Address", "header w:ReplyTo/w:Address"];
    let security = |uri: &str| {
        format!("<q:Security xmlns:q='urn:q'><d:Signature><d:Reference URI='{uri}'/></d:Signature></q:Security>")
    };
    let address = "<w:Address>http://node:81/a</w:Address>";
    for (message, signed) in [
        (envelope(&security("#b"), &format!("<r u:Id='b'>{address}</r>")), 1),
        (envelope(&security("#b"), &format!("<r id='b'>{address}{address}</r>")), 2),
        (envelope(&security(""), address), 1),
        (envelope(&format!("<w:ReplyTo u:Id='x'>{address}</w:ReplyTo>"), ""), 1),
    ] {
        let (out, tally) = rewritten(paths, "text/xml", message.as_bytes());
        assert_eq!(String::from_utf8_lossy(&out), message);
        assert_eq!(tally, Tally { changed: 0, signed });
    }
    for message in [
        envelope(&security("#other"), &format!("<r id='b'>{address}</r>")),
        envelope("", &format!("<r u:Id='b'>{address}</r>")),
    ] {
        let (_, tally) = rewritten(paths, "text/xml", message.as_bytes());
        assert_eq!(tally, Tally { changed: 1, signed: 0 });
    }
}

#[test]
fn only_the_root_part_of_a_multipart_message_is_rewritten() {
    let message = |to: &str| {
        let root = envelope("", &format!("<w:Address>{to}/a</w:Address>"));
        format!(
            "preamble\r\n--B\r\nContent-Type: application/xop+xml; charset=utf-8\r\n\r\n{root}\r\n--B\r\nContent-Type: text/xml\r\n\r\n{}\r\n--B--\r\n",
            envelope("", "<w:Address>http://node:81/a</w:Address>")
        )
    };
    let (out, _) =
        rewritten(&["body **/w:Address"], "multipart/related; boundary=B", message("http://node:81").as_bytes());
    assert_eq!(String::from_utf8_lossy(&out), message("https://public/p"));
    let encoded = message("http://node:81")
        .replace("charset=utf-8\r\n", "charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n");
    let (out, _) = rewritten(&["body **/w:Address"], "multipart/related; boundary=B", encoded.as_bytes());
    assert_eq!(String::from_utf8_lossy(&out), encoded);
}

#[test]
fn nothing_is_held_without_bound() {
    let paths = &["body **/w:Address"];
    let address = "<w:Address>http://node:81/a</w:Address>";
    let large = |inside: &str| inside.repeat(300_000 / inside.len());
    for body in [
        format!("<w:Address>{}</w:Address>", large("x")),
        format!("<w:Address><!--{}-->http://node:81/a</w:Address>", large("c")),
        format!("<a b='{}'/>{address}", large("x")),
    ] {
        let message = envelope("", &body);
        let (out, tally) = rewritten(paths, "text/xml", message.as_bytes());
        assert!(out == message.as_bytes() && tally.changed == 0);
    }
    let before = format!("{}\r\n--B\r\n\r\n{}\r\n--B--", large("x"), envelope("", address));
    let (out, _) = rewritten(paths, "multipart/related; boundary=B", before.as_bytes());
    assert!(out == before.as_bytes());
}

#[test]
fn what_is_no_soap_passes() {
    for message in
        ["<html><a href='http://node:81/'/></html>", "", "<", "no xml", "<!DOCTYPE a><a/>", "<a", "<a>&", "\u{feff}"]
    {
        check(&["body **/w:Address"], message, message);
    }
}

#[test]
fn wsa_to_changes_in_every_version_of_ws_addressing() {
    for namespace in ["http://www.w3.org/2005/08/addressing", "http://schemas.xmlsoap.org/ws/2004/08/addressing"] {
        let message = |to: &str| {
            envelope(
                &format!("<a:To xmlns:a='{namespace}'>{to}/a</a:To>"),
                "<a:To xmlns:a='urn:a'>http://node:81/a</a:To>",
            )
        };
        let content = Content { content_type: Some(b"text/xml"), content_encoding: None };
        let mut rewriter = Rewriter::new(Arc::new(Places::wsa_to()), addresses(), content).expect("XML");
        let mut out = Vec::new();
        rewriter.push(message("http://node:81").as_bytes(), &mut out);
        assert!(rewriter.is_over());
        assert_eq!(String::from_utf8_lossy(&out), message("https://public/p"));
    }
}

/// Recorded exchanges: whatever the bytes are, only addresses of the node change, and nothing depends on the pieces.
#[test]
fn recorded_messages_change_in_their_addresses_only() {
    let prefixes: Prefixes = [("w".to_owned(), places::NS_ADDRESSING.map(str::to_owned).to_vec())].into();
    let path = |part, text| Path::parse(part, text, &prefixes).expect("a path");
    let paths = vec![path(Part::Body, "**/w:Address"), path(Part::Header, "**/w:Address"), path(Part::Header, "w:To")];
    let places = Arc::new(Places::new(paths, true));
    let folders = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures")).expect("captures");
    let folders = folders.map(|folder| folder.expect("a folder").path()).filter(|folder| folder.is_dir());
    let mut changed = Vec::new();
    for file in folders.flat_map(|folder| std::fs::read_dir(folder).expect("a folder")) {
        let file = file.expect("a file").path();
        let bytes = std::fs::read(&file).expect("a file");
        let Some(at) = memchr::memmem::find(&bytes, b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
        let field = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-type:"));
        let Some((_, content_type)) = field.and_then(|line| line.split_once(':')) else { continue };
        let body = &bytes[at + 4..];
        let Some(url) = memchr::memmem::find(body, b"http://127.0.0.1:") else { continue };
        let end = body[url + 17..].iter().position(|byte| !byte.is_ascii_digit()).expect("an end") + url + 17;
        let origin = std::str::from_utf8(&body[url..end]).expect("ASCII");
        let run = |size: usize| {
            let of = |url| Origin::of_url(url).expect("a URL").0;
            let public = Addresses::new(vec![of(origin)], Vec::new(), of("https://gateway.public"), "", "/prefix");
            let content = Content { content_type: Some(content_type.as_bytes()), content_encoding: None };
            let mut rewriter = Rewriter::new(Arc::clone(&places), public.expect("prefixes"), content)?;
            let mut out = Vec::new();
            body.chunks(size).for_each(|piece| rewriter.push(piece, &mut out));
            rewriter.end(&mut out);
            Some((out, rewriter.tally()))
        };
        let Some((out, tally)) = run(body.len()) else { continue };
        for size in [1, 3, 100] {
            assert!(run(size) == Some((out.clone(), tally)), "{file:?} in pieces of {size}");
        }
        // Bytes that are no text are in attachments, which pass.
        let text: String = out.iter().map(|byte| char::from(*byte)).collect();
        let back: Vec<u8> = text.replace("https://gateway.public/prefix", origin).chars().map(|c| c as u8).collect();
        assert!(back == body, "{file:?}");
        if tally.changed > 0 {
            changed.push(file.parent().and_then(|folder| folder.file_name()).expect("a folder").to_owned());
        }
    }
    for product in ["metro-stateful", "axis2-1.6.4-wsa200408", "sandesha2-rm10"] {
        assert!(changed.iter().any(|folder| folder == product), "{product}: {changed:?}");
    }
}
