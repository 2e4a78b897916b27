//! Messages by which other gateways are misled, and where the id still counts.

use crate::support::soap::{AXIS2, CLIENT_ISSUED, Trio, client_id, envelope, group_id, login_node, post, served_by};
use crate::support::{Castile, chunked, config};

/// A WS-Security header of about so many bytes.
fn security(bytes: usize) -> String {
    let token = "MIIC".repeat(bytes / 4);
    format!(
        "<wsse:Security xmlns:wsse=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd\">\
         <wsse:BinarySecurityToken>{token}</wsse:BinarySecurityToken></wsse:Security>"
    )
}

/// With two sessions on two nodes, requests in which `mine` is the id and `other` is not reach the node of `mine`.
fn check(request: impl Fn(&str, &str) -> Vec<u8>) {
    let trio = Trio::start(AXIS2);
    let (mine, node) = trio.login();
    let (other, _) = std::iter::repeat_with(|| trio.login()).find(|(_, other)| *other != node).expect("another node");
    trio.expect_on(node, request(&mine, &other));
}

#[test]
fn an_id_in_a_soap_header_counts() {
    check(|mine, _| post("", envelope(&group_id(mine), "<next/>")));
}

#[test]
fn an_id_behind_20_kib_of_ws_security_counts() {
    check(|mine, _| post("", envelope(&format!("{}{}", security(20 << 10), group_id(mine)), "<next/>")));
}

#[test]
fn an_id_behind_a_megabyte_and_a_half_of_ws_security_counts() {
    check(|mine, _| post("", envelope(&format!("{}{}", security(3 << 19), group_id(mine)), "<next/>")));
    check(|mine, _| {
        let message = envelope(&format!("{}{}", security(3 << 19), group_id(mine)), "<next/>");
        let head = "POST /app HTTP/1.1\r\nHost: h\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n";
        [head.as_bytes(), &chunked(message.as_bytes(), &[1000], "")].concat()
    });
}

#[test]
fn an_id_in_a_comment_does_not_count() {
    check(|mine, other| post("", envelope(&format!("<!-- {} -->{}", group_id(other), group_id(mine)), "<next/>")));
}

#[test]
fn an_element_of_another_namespace_does_not_count() {
    check(|mine, other| {
        let decoys: String = ["http://ws.apache.org/namespaces/axis2/", "urn:x", ""]
            .map(|uri| format!("<ServiceGroupId xmlns=\"{uri}\">{other}</ServiceGroupId>"))
            .concat();
        post("", envelope(&format!("{decoys}{}", group_id(mine)), "<next/>"))
    });
}

#[test]
fn an_id_in_cdata_counts() {
    check(|mine, _| post("", envelope(&group_id(&format!("<![CDATA[{mine}]]>")), "<next/>")));
    check(|mine, _| {
        let (a, b) = mine.split_at(mine.len() / 2);
        post("", envelope(&group_id(&format!("{a}<!-- x --><![CDATA[{b}]]>")), "<next/>"))
    });
}

#[test]
fn an_id_in_character_references_counts() {
    check(|mine, _| {
        let references: String = mine.chars().map(|c| format!("&#x{:x};", u32::from(c))).collect();
        post("", envelope(&group_id(&references), "<next/>"))
    });
}

#[test]
fn an_id_in_utf_16_counts() {
    for (bom, big) in [(true, true), (true, false), (false, true), (false, false)] {
        check(|mine, _| {
            let text = format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?>{}", envelope(&group_id(mine), "<next/>"));
            let text = if bom { format!("\u{feff}{text}") } else { text };
            let bytes: Vec<u8> = text
                .encode_utf16()
                .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
                .collect();
            post(
                &format!(
                    "Content-Type: text/xml; charset=utf-16{}\r\n",
                    if bom {
                        ""
                    } else if big {
                        "be"
                    } else {
                        "le"
                    }
                ),
                bytes,
            )
        });
    }
}

fn multipart(root_type: &str, parts: &[(&str, &str, Vec<u8>)]) -> Vec<u8> {
    let mut body = b"preamble, to be passed over\r\n".to_vec();
    for (id, content_type, content) in parts {
        body.extend_from_slice(
            format!("--=_b 1\r\nContent-Type: {content_type}\r\nContent-ID: <{id}>\r\nContent-Transfer-Encoding: binary\r\n\r\n")
                .as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--=_b 1--\r\n");
    post(
        &format!("Content-Type: multipart/related; type=\"{root_type}\"; start=\"<root>\"; boundary=\"=_b 1\"\r\n"),
        body,
    )
}

#[test]
fn an_id_in_an_mtom_message_with_a_large_attachment_counts() {
    check(|mine, other| {
        let attachment = [group_id(other).into_bytes(), vec![0xab; 3 << 20]].concat();
        let root = envelope(&group_id(mine), "<next/>").into_bytes();
        multipart(
            "application/xop+xml",
            &[
                ("root", "application/xop+xml; charset=UTF-8; type=\"text/xml\"", root),
                ("a", "application/octet-stream", attachment),
            ],
        )
    });
}

#[test]
fn an_id_in_a_message_with_soap_attachments_counts() {
    check(|mine, other| {
        let root = envelope(&group_id(mine), "<next/>").into_bytes();
        let attachment = [envelope(&group_id(other), "").into_bytes(), vec![b'x'; 3 << 20]].concat();
        multipart("text/xml", &[("root", "text/xml", root), ("a", "text/xml", attachment)])
    });
}

#[test]
fn the_same_name_deeper_in_an_earlier_header_does_not_count() {
    check(|mine, other| {
        post(
            "",
            envelope(&format!("<x:Old xmlns:x=\"urn:x\">{}</x:Old>{}", group_id(other), group_id(mine)), "<next/>"),
        )
    });
}

#[test]
fn an_id_in_the_body_does_not_count() {
    check(|mine, other| post("", envelope(&group_id(mine), &group_id(other))));
    let trio = Trio::start(AXIS2);
    let (other, _) = trio.login();
    let nodes: std::collections::BTreeSet<_> =
        (0..6).map(|_| served_by(&trio.castile.ask(post("", envelope("", &group_id(&other)))))).collect();
    assert_eq!(nodes.len(), 3);
}

#[test]
fn white_space_around_an_id_does_not_count() {
    check(|mine, _| post("", envelope(&group_id(&format!("\r\n\t  {mine} \n")), "<next/>")));
}

#[test]
fn two_ids_that_differ_only_late_are_two() {
    let nodes = [0, 1, 2].map(login_node);
    let castile = Castile::start(&config(&[&nodes[0], &nodes[1], &nodes[2]], CLIENT_ISSUED));
    let long = "urn:uuid:6f1c2a54-0d3e-4b7a-9c58-21d7e4f0a9b3-".repeat(20);
    let ask = |id: &str| served_by(&castile.ask(post("", envelope(&client_id(id), "<x/>"))));
    let owners: Vec<_> = (0..12).map(|i| ask(&format!("{long}{i}"))).collect();
    assert_eq!(owners.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
    assert_eq!(owners, (0..12).map(|i| ask(&format!("{long}{i}"))).collect::<Vec<_>>());
}

#[test]
fn a_gzipped_message_is_read_and_passed_as_it_came() {
    use std::io::Write;
    let trio = Trio::start(AXIS2);
    let (id, node) = trio.login();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(envelope(&group_id(&id), "<next/>").as_bytes()).expect("a Vec takes all");
    let bytes = encoder.finish().expect("a Vec takes all");
    trio.expect_on(node, post("Content-Encoding: gzip\r\n", &bytes));
    assert!(trio.nodes[node].requests().iter().filter(|request| request.body == bytes).count() == 6);
}

#[test]
fn a_message_that_is_no_soap_is_served_all_the_same() {
    let trio = Trio::start(AXIS2);
    for body in [&b"not xml"[..], b"<a><b></a>", b"<html/>", b"", b"\xff\xfe\x00"] {
        assert_eq!(trio.castile.ask(post("", body)).status(), 200);
    }
}

#[test]
fn a_document_type_declaration_is_refused() {
    let trio = Trio::start(AXIS2);
    let message = format!("<!DOCTYPE s:Envelope [<!ENTITY x \"y\">]>{}", envelope("", "<x>&x;</x>"));
    let answer = trio.castile.ask(post("", message));
    assert_eq!(answer.status(), 500);
    assert!(answer.text().contains("MessageRefused"), "{}", answer.text());
    assert_eq!(trio.nodes.iter().map(crate::support::Node::count).sum::<usize>(), 0);
}
