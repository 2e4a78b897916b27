//! What the pure parts of an exchange cost: heads, scanning, matching, placing. `cargo bench`
//!
//! Everything at hand is in the caches, as under load; `cargo run --release --example affinity_cost` measures the table among
//! a million conversations, `tests/cost/run` whole requests in instructions.

use std::sync::Arc;

use castile::affinity::{Affinity, Ask, End, Limits, Now, Outcome, Policy};
use castile::config::presets;
use castile::head::{Request, Response};
use castile::proxy::h1::{HeadLimits, parse_request, parse_response};
use castile::session::spec::Ttl;
use castile::session::{Fingerprint, Fingerprinter, Keyer, NameTag, PinKey, RequestKeys, RequestView, RuleSet};
use castile::soap::{self, Content, Prefixes, Reader};
use castile::upstream::{Balance, NodeSet, NodeSpec, Registry};
use divan::{Bencher, black_box};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REQUEST: &[u8] = b"POST /services/Echo HTTP/1.1\r\nHost: orders.example.test\r\nUser-Agent: Axis2\r\n\
    Content-Type: text/xml;charset=UTF-8\r\nSOAPAction: \"urn:echo\"\r\nCookie: a=b; JSESSIONID=0A1B2C3D4E5F60718293A4B5C6D7E8F9.n1\r\n\
    Content-Length: 1024\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml;charset=UTF-8\r\nX-Node: n1\r\n\
    Date: Mon, 23 Nov 2026 21:00:00 GMT\r\nContent-Length: 1024\r\n\r\n";

fn main() {
    divan::main();
}

fn head() -> Request {
    let mut head = Request::new();
    parse_request(REQUEST, &HeadLimits::default(), &mut head).expect("a head");
    head
}

fn rules(preset: &str) -> RuleSet {
    RuleSet::compile(&presets::unfold(preset), &Prefixes::new(), &Ttl::default()).expect("a preset")
}

/// A message of about so many bytes, with a session's id in its Header.
fn message(bytes: usize) -> Vec<u8> {
    let order = "<o:line><o:item>bolt</o:item><o:count>12</o:count></o:line>";
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:wsa=\"http://www.w3.org/2005/08/addressing\"><soapenv:Header><wsa:To>http://localhost/services/Echo</wsa:To>\
         <wsa:Action>urn:echo</wsa:Action><axis2:ServiceGroupId xmlns:axis2=\"http://ws.apache.org/namespaces/axis2\">\
         urn:uuid:6a3c2f00-0000-0000-0000-0123456789ab</axis2:ServiceGroupId></soapenv:Header><soapenv:Body>\
         <o:order xmlns:o=\"urn:o\">{}</o:order></soapenv:Body></soapenv:Envelope>",
        order.repeat(1 + bytes.saturating_sub(600) / order.len())
    )
    .into_bytes()
}

#[divan::bench]
fn head_of_a_request(bencher: Bencher<'_, '_>) {
    let mut head = Request::new();
    bencher.bench_local(|| parse_request(black_box(REQUEST), &HeadLimits::default(), &mut head));
}

#[divan::bench]
fn head_of_a_response(bencher: Bencher<'_, '_>) {
    let mut head = Response::new();
    bencher.bench_local(|| parse_response(black_box(RESPONSE), &HeadLimits::default(), &mut head));
}

fn scan(rules: &RuleSet, message: &[u8], is_request: bool) -> usize {
    let content = Content { content_type: Some(b"text/xml;charset=UTF-8"), content_encoding: None };
    let wanted = if is_request { rules.request_wanted() } else { rules.response_wanted() };
    let mut reader = Reader::new(Arc::clone(wanted), content, soap::Limits::default());
    reader.push(black_box(message));
    reader.end();
    reader.facts().found.len()
}

#[divan::bench(args = [1 << 10, 10 << 10, 100 << 10])]
fn scan_a_request(bencher: Bencher<'_, '_>, bytes: usize) {
    let (rules, message) = (rules("axis2-soapsession"), message(bytes));
    assert_eq!(scan(&rules, &message, true), 1);
    bencher.bench_local(|| scan(&rules, &message, true));
}

#[divan::bench(args = [1 << 10, 10 << 10, 100 << 10])]
fn scan_an_answer(bencher: Bencher<'_, '_>, bytes: usize) {
    let (rules, message) = (rules("axis2-soapsession"), message(bytes));
    bencher.bench_local(|| scan(&rules, &message, false));
}

#[divan::bench(args = ["servlet-jsessionid", "axis2-soapsession", "default"])]
fn match_a_request(bencher: Bencher<'_, '_>, preset: &str) {
    let (rules, head, message) = (rules(preset), head(), message(1024));
    let content = Content { content_type: Some(b"text/xml"), content_encoding: None };
    let mut reader = Reader::new(Arc::clone(rules.request_wanted()), content, soap::Limits::default());
    reader.push(&message);
    let fingerprinter = Fingerprinter::new(&[7; 16]);
    let view = RequestView {
        head: &head,
        facts: Some(reader.facts()),
        http_action: None,
        client_ip: [192, 0, 2, 7].into(),
        connection: 1,
    };
    let keyer = Keyer { fingerprinter: &fingerprinter, group: "g" };
    let mut keys = RequestKeys::default();
    bencher.bench_local(|| rules.match_request(black_box(&view), false, keyer, &mut keys));
    assert!(!keys.pins.is_empty(), "{preset}");
}

#[divan::bench(args = [false, true])]
fn place_a_request(bencher: Bencher<'_, '_>, is_pinned: bool) {
    let registry = Registry::new();
    let specs = ["a", "b", "c"].map(|name| NodeSpec::new(registry.machine("g", name)));
    let nodes = NodeSet::new(Balance::RoundRobin, specs.into());
    let affinity = Affinity::new(Limits::default(), registry);
    let (policy, now) = (Policy::default(), Now(1));
    let mut keys = RequestKeys::default();
    if is_pinned {
        keys.pins.push(PinKey { rule: 0, fingerprint: Fingerprint(7), client_issued: true, name: NameTag::default() });
    }
    bencher.bench_local(|| {
        let ask = Ask {
            keys: black_box(&keys),
            nodes: &nodes,
            policy: &policy,
            tried: &[],
            proposal: None,
            held: None,
            now,
            random: 1,
        };
        let mut visit = affinity.place(&ask).expect("a node serves");
        visit.commit(now).expect("nobody moves it");
        visit.finish(End::of(Outcome::Success), &policy, now);
    });
}
