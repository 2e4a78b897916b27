//! What scanning costs, in nanoseconds per message and per KiB.
//!
//! ```text
//! cargo run --release --example scan_speed [PART OF A CASE'S NAME [ROUNDS]]
//! ```

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use castile::soap::{Content, Limits, Part, Path, Prefixes, Reader, Wanted};

fn main() {
    let prefixes: Prefixes = [
        ("axis2", "http://ws.apache.org/namespaces/axis2"),
        ("wsa", "http://www.w3.org/2005/08/addressing"),
        ("c", "http://counter.example.test/"),
    ]
    .map(|(prefix, uri)| (prefix.to_owned(), vec![uri.to_owned()]))
    .into();
    let path = |part: Part, text: &str| Path::parse(part, text, &prefixes).expect("a path");
    let mut header = Wanted::new();
    header.add(path(Part::Header, "axis2:ServiceGroupId"));
    let mut operation = Wanted::new();
    operation.add(path(Part::Header, "axis2:ServiceGroupId"));
    operation.want_operation();
    let mut body = Wanted::new();
    body.add(path(Part::Body, "c:next/c:id"));
    let mut deep = Wanted::new();
    deep.add(path(Part::Body, "**/wsa:ReferenceParameters/*"));
    let mut many = Wanted::new();
    many.add(path(Part::Header, "axis2:ServiceGroupId"));
    for n in 0..500 {
        many.add(path(Part::Header, &format!("wsa:Other{n}/axis2:Key{}", n % 7)));
        many.add(path(Part::Body, &format!("**/wsa:Other{n}/axis2:Key{}", n % 7)));
    }
    let [header, operation, body, deep, many] = [header, operation, body, deep, many].map(Arc::new);
    let small = envelope(1, 8);
    let large = envelope(1, 2000);
    let token = envelope(20_000, 8);
    for (name, wanted, message) in [
        ("header value, small message", &header, &small),
        ("header value and operation, small message", &operation, &small),
        ("body value, small message", &body, &small),
        ("any depth, small message", &deep, &small),
        ("header value, large message", &header, &large),
        ("body value, large message (skims)", &body, &large),
        ("any depth, large message (reads every tag)", &deep, &large),
        ("1,000 paths, any depth, large message", &many, &large),
        ("header value behind a 20 KB token", &header, &token),
    ] {
        if !std::env::args().nth(1).is_none_or(|only| name.contains(&only)) {
            continue;
        }
        let content = Content { content_type: Some(b"text/xml; charset=utf-8"), content_encoding: None };
        let rounds = std::env::args().nth(2).and_then(|rounds| rounds.parse().ok());
        let rounds = rounds.unwrap_or(1 + 40_000_000 / (message.len() + 2000));
        let mut best = f64::MAX;
        for _ in 0..5 {
            let start = Instant::now();
            for _ in 0..rounds {
                let mut reader = Reader::new(wanted.clone(), content, Limits::default());
                reader.push(black_box(message.as_bytes()));
                black_box(reader.facts());
            }
            best = best.min(start.elapsed().as_nanos() as f64 / rounds as f64);
        }
        let kib = message.len() as f64 / 1024.0;
        println!("{best:>10.0} ns {:>8.0} ns/KiB  {:>7} bytes  {name}", best / kib, message.len());
    }
}

/// A follow-up of an Axis2 client, with a security token of this size and so many items in the Body.
fn envelope(token: usize, items: usize) -> String {
    let items: String = (0..items).map(|n| format!("<c:item no=\"{n}\"><c:name>n{n}</c:name></c:item>")).collect();
    let token =
        if token > 1 { format!("<t:token xmlns:t=\"urn:t\">{}</t:token>", "A".repeat(token)) } else { String::new() };
    format!(
        "<?xml version='1.0' encoding='UTF-8'?><soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\">\
         <soapenv:Header xmlns:wsa=\"http://www.w3.org/2005/08/addressing\">{token}\
         <axis2:ServiceGroupId xmlns:axis2=\"http://ws.apache.org/namespaces/axis2\" wsa:IsReferenceParameter=\"true\">\
         urn:uuid:6f1c2a54-0d3e-4b7a-9c58-21d7e4f0a9b3</axis2:ServiceGroupId>\
         <wsa:To>http://gw.example.test/services/Counter</wsa:To><wsa:MessageID>urn:uuid:1</wsa:MessageID>\
         <wsa:Action>urn:next</wsa:Action></soapenv:Header><soapenv:Body>\
         <c:next xmlns:c=\"http://counter.example.test/\">{items}<c:id>1</c:id></c:next></soapenv:Body></soapenv:Envelope>"
    )
}
