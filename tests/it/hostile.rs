//! XML that is written to harm its reader passes as it is or is refused, and nothing it names is fetched.
//!
//! The messages below are our own. Where `CASTILE_CORPORA` names a folder, every file in it is sent as well: the W3C XML
//! Conformance Test Suite, say, or the tests of XML parsers, which are not part of this repository.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::soap::{client_id, envelope, envelope12, post};
use crate::support::{Castile, Node, config, ok};

/// Rules that read Header and Body of requests and answers.
const RULES: &str = "sticky:
  presets: [axis2-soapsession]
  namespaces: {t: urn:test}
  keys:
    - {key: id, match: header t:Id, client_issued: true}
    - {key: deep, match: body t:Deep, learn: body t:Deep}";

/// What a node may get, or a client hear, beyond twice what was sent: heads, and a Fault.
const ALLOWANCE: usize = 4096;

/// Files larger than this are not sent: what is tested is reading, not patience.
const FILE_MAX: u64 = 4 << 20;

/// A gateway before a node that gives every message back, and what hostile messages point to.
struct Site {
    castile: Castile,
    node: Node,
    trap: TcpListener,
    folder: tempfile::TempDir,
}

const SECRET: &str = "nobody-has-read-this-file";

impl Site {
    fn start() -> Self {
        let node = Node::answering(|request| ok("Content-Type: text/xml\r\n", &request.body));
        let castile = Castile::start(&config(&[&node], RULES));
        let trap = TcpListener::bind("127.0.0.1:0").expect("an address");
        trap.set_nonblocking(true).expect("a socket");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("secret"), SECRET).expect("a file");
        Self { castile, node, trap, folder }
    }

    fn url(&self) -> String {
        format!("http://{}/x", self.trap.local_addr().expect("it is bound"))
    }

    fn file(&self) -> String {
        format!("file://{}", self.folder.path().join("secret").display())
    }

    /// Sends a message both ways. It is answered, and grows on neither way. The ledger is asked by the caller, once.
    fn send(&self, name: &str, fields: &str, body: &[u8]) -> usize {
        let answer = self.castile.ask(post(fields, body));
        let status = answer.status();
        assert!((200..=599).contains(&status), "{name}: {status}");
        // Refusals are Faults, and SOAP 1.1 has only this status for those.
        assert!(status != 500 || answer.text().contains("MessageRefused"), "{name}: {}", answer.text());
        assert!(answer.body.len() <= 2 * body.len() + ALLOWANCE, "{name}: {} bytes came back", answer.body.len());
        assert!(!answer.text().contains(SECRET), "{name}");
        if status == 200 {
            assert!(answer.body == body, "{name}: it was changed on its way");
        }
        body.len()
    }

    /// Nothing was fetched, nothing grew, and everybody is still served.
    fn check(self, sent: usize, messages: usize) {
        let fetched = self.trap.accept().map(|_| ()).map_err(|error| error.kind());
        assert_eq!(fetched, Err(ErrorKind::WouldBlock), "something that a message names was fetched");
        let received: usize = self.node.requests().iter().map(|request| request.body.len()).sum();
        assert!(received <= sent, "{received} bytes of {sent} reached the node");
        assert_eq!(self.castile.ask(post("", envelope(&client_id("after"), "<x/>"))).status(), 200);
        assert!(!self.castile.stop().is_empty());
        assert!(messages > 0);
    }
}

/// Entities that grow by `factor` on each of `levels`.
fn laughs(levels: usize, factor: usize) -> String {
    let mut entities = "<!DOCTYPE l [<!ENTITY l0 \"lol\">".to_owned();
    for level in 1..=levels {
        let inner = format!("&l{};", level - 1).repeat(factor);
        write!(entities, "<!ENTITY l{level} \"{inner}\">").expect("strings take all");
    }
    entities + "]>"
}

fn utf16(text: &str, little: bool, mark: bool) -> Vec<u8> {
    let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
    units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
}

fn bomb(size: usize) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let text = envelope("", &"<x></x>".repeat(size / 7));
    gzip.write_all(text.as_bytes()).expect("memory takes all");
    gzip.finish().expect("memory takes all")
}

/// Name, further field lines, body.
fn messages(site: &Site) -> Vec<(String, &'static str, Vec<u8>)> {
    let (url, file) = (site.url(), site.file());
    let with_id = |id: &str| envelope(&client_id(id), &format!("<t:Deep xmlns:t='urn:test'>{id}</t:Deep>"));
    let plain = with_id("one");
    let dtd = |dtd: &str, id: &str| format!("<!DOCTYPE x [{dtd}]>{}", with_id(id));
    let mut all: Vec<(String, &'static str, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, body: Vec<u8>| all.push((name.to_owned(), "", body));
    // Entities and what is outside.
    add("billion laughs", (laughs(9, 10) + &with_id("&l9;")).into_bytes());
    add("quadratic", dtd(&format!("<!ENTITY q \"{}\">", "q".repeat(50_000)), &"&q;".repeat(10_000)).into_bytes());
    add("cycle", dtd("<!ENTITY a \"&b;\"><!ENTITY b \"&a;\">", "&a;").into_bytes());
    add("external entity", dtd(&format!("<!ENTITY e SYSTEM \"{url}\">"), "&e;").into_bytes());
    add("external file", dtd(&format!("<!ENTITY e SYSTEM \"{file}\">"), "&e;").into_bytes());
    add("endless file", dtd("<!ENTITY e SYSTEM \"file:///dev/zero\">", "&e;").into_bytes());
    add("parameter entity", dtd(&format!("<!ENTITY % p SYSTEM \"{url}\"> %p;"), "x").into_bytes());
    add("external DTD", format!("<!DOCTYPE x SYSTEM \"{url}\">{plain}").into_bytes());
    add("public DTD", format!("<!DOCTYPE x PUBLIC \"-//x\" \"{url}\">{plain}").into_bytes());
    add("entity in an attribute", format!("{}<x a=\"&l9;\"/>", laughs(9, 10)).into_bytes());
    add("default attribute", dtd("<!ATTLIST Id a CDATA \"v\">", "x").into_bytes());
    add("unknown entity", with_id("&nobody;").into_bytes());
    add("unfinished DTD", b"<!DOCTYPE x [<!ENTITY a \"".repeat(1000));
    add("style sheet", format!("<?xml-stylesheet href=\"{url}\"?>{plain}").into_bytes());
    let include = format!("<i:include xmlns:i='http://www.w3.org/2001/XInclude' href='{file}' parse='text'/>");
    add("XInclude", with_id(&include).into_bytes());
    let place = format!("<x xmlns:i='http://www.w3.org/2001/XMLSchema-instance' i:schemaLocation='urn:x {url}'/>");
    add("schema location", envelope(&place, &place).into_bytes());
    // Size and depth.
    add("deep header", envelope(&"<x>".repeat(200_000), "").into_bytes());
    add("deep body", envelope("", &"<x>".repeat(200_000)).into_bytes());
    add("only ends", "</x>".repeat(100_000).into_bytes());
    let many = |each: &dyn Fn(usize) -> String| (0..50_000).map(each).collect::<String>();
    add("attributes", envelope(&format!("<x {}/>", many(&|n| format!(" a{n}='1'"))), "").into_bytes());
    add("same attribute", envelope(&format!("<x {}/>", "a='1' ".repeat(50_000)), "").into_bytes());
    add("namespaces", envelope(&format!("<x {}/>", many(&|n| format!(" xmlns:n{n}='u{n}'"))), "").into_bytes());
    add("nested namespaces", envelope(&many(&|n| format!("<x xmlns:n{n}='u'>")), "").into_bytes());
    add("long name", envelope(&format!("<{}/>", "n".repeat(1 << 20)), "").into_bytes());
    add("long attribute", envelope(&format!("<x a='{}'/>", "v".repeat(1 << 20)), "").into_bytes());
    add("long id", with_id(&"i".repeat(1 << 20)).into_bytes());
    add("many ids", envelope(&many(&|n| client_id(&n.to_string())), "").into_bytes());
    add("long comment", format!("<!--{}-->{plain}", "-x".repeat(1 << 19)).into_bytes());
    add("many comments", envelope(&"<!---->".repeat(100_000), "").into_bytes());
    add("sections", with_id(&"<![CDATA[]]>".repeat(50_000)).into_bytes());
    add("instructions", ("<?x y?>".repeat(100_000) + &plain).into_bytes());
    // What is not well-formed.
    for (name, id) in [
        ("zero", "&#0;"),
        ("surrogate", "&#xD800;"),
        ("beyond Unicode", "&#x110000;"),
        ("huge reference", "&#99999999999999999999999;"),
        ("empty reference", "&;&#;&#x;"),
        ("open reference", "&amp"),
        ("section's end", "]]>"),
        ("open section", "<![CDATA["),
        ("open comment", "<!-- "),
        ("two dashes", "<!-- -- -->"),
        ("open tag", "<x "),
        ("open value", "<x a='"),
        ("declaration inside", "<?xml version='1.0'?>"),
        ("DTD inside", "<!DOCTYPE x>"),
        ("unbound prefix", "<nobody:x/>"),
        ("xml rebound", "<x xmlns:xml='urn:x'/>"),
        ("xmlns bound", "<x xmlns:xmlns='urn:x'/>"),
        ("empty prefix", "<x xmlns:p=''/>"),
        ("two colons", "<a:b:c xmlns:a='u'/>"),
        ("crossed", "<a><b></a></b>"),
        ("second envelope", "</t:Id></s:Header></s:Envelope><s:Envelope>"),
    ] {
        add(name, with_id(id).into_bytes());
    }
    add("two roots", plain.repeat(2).into_bytes());
    add("two headers", plain.replace("<s:Body>", "<s:Header/><s:Body>").into_bytes());
    add("body first", plain.replace("Header", "-").replace("Body", "Header").replace('-', "Body").into_bytes());
    add("nothing", Vec::new());
    add("white space", vec![b' '; 1 << 20]);
    add("no XML", vec![0xff; 4096]);
    add("zeros", vec![0; 4096]);
    // Encodings.
    for (little, mark) in [(true, true), (true, false), (false, true), (false, false)] {
        add(&format!("UTF-16 {little} {mark}"), utf16(&plain, little, mark));
    }
    add("half a unit", utf16(&plain, true, true)[..99].to_vec());
    for name in ["UTF-7", "UTF-16", "EBCDIC-CP-BE", "UCS-4", "nobody's", "UTF-8\u{0}"] {
        add(name, format!("<?xml version='1.0' encoding='{name}'?>{plain}").into_bytes());
    }
    for (name, bytes) in
        [("overlong", &b"\xc0\xbc\xe0\x80\xbc"[..]), ("cut character", b"\xf0\x9f"), ("CESU", b"\xed\xa0\x80")]
    {
        let (before, after) = plain.split_once("one").expect("it is there");
        add(name, [before.as_bytes(), bytes, after.as_bytes()].concat());
    }
    add("marks", ["\u{feff}".repeat(3), plain.clone()].concat().into_bytes());
    add("SOAP 1.2 with a DTD", format!("<!DOCTYPE x>{}", envelope12("", "<x/>")).into_bytes());
    // What packs it.
    all.push(("bomb".to_owned(), "Content-Encoding: gzip\r\n", bomb(64 << 20)));
    all.push(("no gzip".to_owned(), "Content-Encoding: gzip\r\n", plain.into_bytes()));
    let part = "Content-Type: multipart/related; boundary=b; type=\"text/xml\"\r\n";
    all.push(("boundaries".to_owned(), part, b"--b\r\n\r\n".repeat(50_000)));
    all.push(("open part".to_owned(), part, b"--b\r\nContent-Type: ".repeat(10_000)));
    all
}

#[test]
fn hostile_messages_harm_nobody() {
    let site = Site::start();
    let messages = messages(&site);
    let sent = messages.iter().map(|(name, fields, body)| site.send(name, fields, body)).sum();
    site.check(sent, messages.len());
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.flatten() {
        let kind = entry.file_type().expect("it has a type");
        let size = entry.metadata().map_or(0, |data| data.len());
        match kind.is_dir() {
            true => files(&entry.path(), found),
            false if kind.is_file() && size <= FILE_MAX => found.push(entry.path()),
            false => {}
        }
    }
}

#[test]
fn foreign_collections_of_hostile_xml_harm_nobody() {
    let Some(folder) = std::env::var_os("CASTILE_CORPORA") else {
        eprintln!(
            "NOT RUN: CASTILE_CORPORA names no folder of XML files; only the messages of tests/it/hostile.rs were sent"
        );
        return;
    };
    let mut found = Vec::new();
    files(Path::new(&folder), &mut found);
    let site = Site::start();
    let (next, sent) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(path) = found.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let body = std::fs::read(path).expect("it can be read");
                    sent.fetch_add(site.send(&path.display().to_string(), "", &body), Ordering::SeqCst);
                }
            });
        }
    });
    eprintln!("{} files, {} bytes", found.len(), sent.load(Ordering::SeqCst));
    site.check(sent.into_inner(), found.len());
}
