//! Limits, media types, and how far a reader says it has come.

use std::fmt::Write;
use std::sync::Arc;

use rustix::time::ClockId;

use super::*;

fn wanted(paths: &[(Part, &str)], operation: bool, fault: bool) -> Arc<Wanted> {
    let mut wanted = Wanted::new();
    for (part, path) in paths {
        wanted.add(Path::parse(*part, path, &Prefixes::new()).expect("a path"));
    }
    if operation {
        wanted.want_operation();
    }
    if fault {
        wanted.want_fault();
    }
    Arc::new(wanted)
}

fn read(wanted: &Arc<Wanted>, content: Content<'_>, limits: Limits, message: &[u8]) -> (Facts, Stop) {
    let mut all = Vec::new();
    for size in [message.len().max(1), 1000] {
        let mut reader = Reader::new(wanted.clone(), content, limits);
        message.chunks(size).for_each(|piece| reader.push(piece));
        reader.end();
        let State::Stopped(stop) = reader.state().clone() else { panic!("an ended reader has stopped") };
        all.push((reader.facts().clone(), stop));
    }
    assert_eq!(format!("{:?}", all[0]), format!("{:?}", all[1]), "the same in pieces");
    all.remove(0)
}

fn envelope(header: &str, body: &str) -> String {
    format!("<e:Envelope xmlns:e='{NS_SOAP11}'><e:Header>{header}</e:Header><e:Body>{body}</e:Body></e:Envelope>")
}

const XML: Content<'static> = Content { content_type: Some(b"text/xml"), content_encoding: None };

#[test]
fn limits_end_the_reading_and_what_was_found_stays() {
    let any = wanted(&[(Part::Header, "id"), (Part::Header, "**/x")], false, false);
    let limits = Limits { bytes: 200_000, depth: 10, attributes: 5, value_bytes: 100 };
    let nested = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
    let attributes = |count: usize| (0..count).fold("<a".to_owned(), |tag, n| tag + &format!(" a{n}=''")) + "/>";
    let spaces = |count: usize| (0..count).map(|n| format!("<a xmlns:n{n}='urn:n'>")).collect::<String>();
    for (header, message) in [
        (nested(8), None),
        (nested(9), Some("nesting")),
        (attributes(5), None),
        (attributes(6), Some("attributes")),
        (format!("<{}/>", "n".repeat(1024)), None),
        (format!("<{}/>", "n".repeat(1025)), Some("name")),
        (format!("<a {}=''/>", "n".repeat(1025)), Some("name")),
        (format!("<a b='{}'/>", "v".repeat(60_000)), None),
        (format!("<a b='{}'/>", "v".repeat(70_000)), Some("tag")),
        (format!("<a xmlns='{}'/>", "v".repeat(5000)), Some("namespace name")),
        (format!("<a>{}</a>", "t".repeat(250_000)), Some("bytes were to be read")),
    ] {
        let message_text = envelope(&format!("<id>7</id>{header}"), "");
        let (facts, stop) = read(&any, XML, limits, message_text.as_bytes());
        assert_eq!(facts.found.len(), 1, "{stop}");
        match message {
            None => assert_eq!(stop, Stop::Decided),
            Some(part) => assert!(matches!(&stop, Stop::Limit(text) if text.contains(part)), "{part}: {stop}"),
        }
    }
    let deep = Limits { depth: 1000, ..limits };
    let (_, stop) = read(&any, XML, deep, envelope(&spaces(200), "").as_bytes());
    assert!(matches!(&stop, Stop::Limit(text) if text.contains("declarations")), "{stop}");
}

#[test]
fn what_is_passed_over_has_no_limits_but_the_bytes() {
    let id = wanted(&[(Part::Header, "id")], false, false);
    let nested = "<a>".repeat(500) + &"</a>".repeat(500);
    let long = format!("<a><a b='{}' c=\">\"><d/>{nested}</a></a><id>7</id>", "v".repeat(100_000));
    let (facts, stop) = read(&id, XML, Limits::default(), envelope(&long, "").as_bytes());
    assert_eq!((facts.found.len(), stop), (1, Stop::Decided));
}

#[test]
fn media_types_decide_what_is_read() {
    let id = wanted(&[(Part::Header, "id")], false, false);
    let message = envelope("<id>7</id>", "");
    let read = |content_type: Option<&str>, coding: Option<&str>, message: &[u8]| {
        let content =
            Content { content_type: content_type.map(str::as_bytes), content_encoding: coding.map(str::as_bytes) };
        read(&id, content, Limits::default(), message).1
    };
    for media in
        ["text/xml", "application/soap+xml", "application/xml; charset=utf-8", "TEXT/XML;charset=\"UTF-8\"", ""]
    {
        assert_eq!(read(Some(media), None, message.as_bytes()), Stop::Decided, "{media}");
    }
    assert_eq!(read(None, None, message.as_bytes()), Stop::Decided);
    assert_eq!(read(None, Some("identity"), format!(" \r\n{message}").as_bytes()), Stop::Decided);
    for media in [
        "text/html",
        "application/json",
        "application/fastinfoset",
        "application/soap+fastinfoset",
        "application/soap+msbin1",
        "multipart/related",
        "xml",
        "text/xml; charset=x-unknown",
    ] {
        assert!(matches!(read(Some(media), None, message.as_bytes()), Stop::Unreadable(_)), "{media}");
    }
    for coding in ["br", "gzip, gzip"] {
        assert!(matches!(read(Some("text/xml"), Some(coding), message.as_bytes()), Stop::Unreadable(_)), "{coding}");
    }
    for other in ["{\"a\": 1}", "GIF89a", "a=b&c=d"] {
        assert!(matches!(read(None, None, other.as_bytes()), Stop::Unreadable(_)), "{other}");
    }
    let encrypted = "--b\r\nContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n\r\n\r\n--b--";
    let media = "multipart/encrypted; boundary=b";
    assert!(matches!(read(Some(media), None, encrypted.as_bytes()), Stop::Unreadable(_)));
    assert_eq!(read(Some("text/xml"), None, b""), Stop::Empty);
    assert_eq!(read(None, Some("gzip"), b""), Stop::Empty);
}

/// The states after each piece; pieces end at `|`.
fn states(wanted: &Arc<Wanted>, message: &str) -> Vec<String> {
    let mut reader = Reader::new(wanted.clone(), XML, Limits::default());
    message
        .split('|')
        .map(|piece| {
            reader.push(piece.as_bytes());
            match reader.state() {
                State::Head => "head".to_owned(),
                State::Body { awaited, alive } => {
                    format!("body{}{}", if *awaited { " awaited" } else { "" }, if *alive { " alive" } else { "" })
                }
                State::Stopped(stop) => format!("{stop:?}"),
            }
        })
        .collect()
}

#[test]
fn a_reader_says_how_far_it_has_come() {
    let soap = |inside: &str| format!("<e:Envelope xmlns:e='{NS_SOAP11}'>|{inside}");
    let header = wanted(&[(Part::Header, "id")], false, false);
    assert_eq!(states(&header, &soap("<e:Header><id>7</id>|</e:Header>")), ["head", "head", "Decided"]);
    assert_eq!(states(&header, &soap("<e:Body>|")), ["head", "Decided", "Decided"]);
    let reference = "<e:Header><id href='#i'/></e:Header>|<e:Body><x/>|<m id='i'>|7</m>|<n/></e:Body>|";
    let awaited = ["head", "body awaited", "body awaited", "body", "Decided", "Decided", "Decided"];
    assert_eq!(states(&header, &soap(reference)), awaited);
    let body = wanted(&[(Part::Body, "op/id")], false, false);
    let inside = "<e:Header/>|<e:Body>|<op>|<id>7</id>|</op>|<x>|</x></e:Body>";
    let all = ["head", "body alive", "body alive", "body alive", "body alive", "body", "body", "Decided"];
    assert_eq!(states(&body, &soap(inside)), all);
    let inside = "<e:Body>|<other>|</other>|<op>";
    assert_eq!(states(&body, &soap(inside)), ["head", "body alive", "body", "body", "body"]);
    let operation = wanted(&[(Part::Header, "id")], true, false);
    assert_eq!(states(&operation, &soap("<e:Header/>|<e:Body>|<op>")), ["head", "body", "body", "Decided"]);
    assert_eq!(states(&operation, &soap("<e:Body>|</e:Body>")), ["head", "body", "Decided"]);
    let fault = wanted(&[], false, true);
    assert_eq!(states(&fault, &soap("<e:Body>|<op>")), ["head", "body", "Decided"]);
    assert_eq!(states(&fault, &soap("<e:Body>|<e:Fault>|</e:Fault>")), ["head", "body", "body", "Decided"]);
    assert_eq!(states(&wanted(&[], false, false), &soap("<e:Body>")), ["Decided", "Decided"]);
}

#[test]
fn reading_is_never_quadratic() {
    let everything = wanted(
        &[(Part::Header, "**"), (Part::Body, "**/a[b='1']/**/c"), (Part::Body, "**/@x"), (Part::Body, "a/**/a/**/a/b")],
        true,
        true,
    );
    let mut many = String::new();
    for n in 0..200 {
        write!(many, " p{n}='{n}'").expect("memory");
    }
    let limits = Limits { depth: 1 << 20, attributes: 1 << 20, ..Limits::default() };
    let bodies = |size: usize| {
        let long = |piece: &str| piece.repeat(size / piece.len());
        [
            ("nesting", long("<a>")),
            ("nested namespaces", long("<a xmlns:b='c'>")),
            ("siblings", long("<a><b>2</b><c>3</c></a>")),
            ("attributes", format!("<a{}/>", long(" p='1'"))),
            ("elements with attributes", long(&format!("<a{many}/>"))),
            ("references", long("<c href='#x'/><d id='y'>z</d>")),
            ("comments", long("<!--'--><!-->-->")),
            ("sections", format!("<a>{}</a>", long("<![CDATA[]]]]>"))),
            ("characters", format!("<a>{}</a>", long("&#10;"))),
            ("open quotes", long("<a b='")),
            ("open tags", long("<a ")),
            ("brackets", long("<")),
            ("unclosed comment", long("<!--")),
            ("returns", format!("<a>{}</a>", long("\r"))),
            ("faults", format!("<e:Fault>{}", long("<faultcode>a</faultcode>"))),
            ("predicates", long("<a><a><b>2</b></a>")),
        ]
    };
    let cost = |body: &str| {
        let message = envelope("<x/>", body);
        let begun = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
        let (_, stop) = read(&everything, XML, limits, message.as_bytes());
        let ended = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
        let nanoseconds = (ended.tv_sec - begun.tv_sec) * 1_000_000_000 + (ended.tv_nsec - begun.tv_nsec);
        (nanoseconds as f64 / 1e9, stop)
    };
    for ((name, short), (_, long)) in bodies(1 << 16).into_iter().zip(bodies(1 << 19)) {
        let ((one, _), (eight, stop)) = (cost(&short), cost(&long));
        println!("{name}: {one:.3} s, eight times as much: {eight:.3} s, {stop}");
        // A linear reader takes 8 times as long, a quadratic one 64 times; what takes no time is not measured well.
        assert!(eight < 0.2 + 24.0 * one, "{name}: {one:.3} s, eight times as much: {eight:.3} s, {stop}");
    }
}
