//! What of an exchange does not go on as it came: offers that nobody here could read, fields that a preset strips, and
//! addresses. Found by the functions of the data path, told by `castile explain`.

use super::message::ResponseMessage;
use super::rehearsal::{Asked, Rehearsal};
use crate::affinity::Visit;
use crate::gateway::Upstream;
use crate::head::{Fields, Name, Request, connection};
use crate::proxy::forwarding::{self, Onward, Policy, Scheme};
use crate::proxy::h1::Framing;
use crate::proxy::rewrite::Exchange;
use crate::soap::rewrite::{Replaced, Tally};

/// What a node does not get as the client sent it.
pub fn of_request(rehearsal: &Rehearsal, upstream: &Upstream, asked: &Asked<'_>, visit: &Visit) -> Vec<String> {
    let request = &asked.message.head;
    let fields = request.fields();
    let mut notes: Vec<String> = protocols(fields).collect();
    let exchange = exchange(rehearsal, asked, visit);
    let mut readable = fields.clone();
    if !upstream.rules.response_wanted().is_empty() {
        forwarding::ask_for_readable(&mut readable);
    }
    notes.extend(offers(fields, &readable, "rules could not read such an answer"));
    if let Some(exchange) = &exchange {
        let mut plain = readable.clone();
        exchange.ask_for_plain(&mut plain);
        notes.extend(offers(&readable, &plain, "addresses are rewritten in plain answers only"));
    }
    let stripped = upstream.rules.strip_request_headers().iter().filter(|name| fields.get(name.as_bytes()).is_some());
    notes.extend(stripped.map(|name| format!("request: {name} does not go on (strip_request_headers)")));
    let rewriter = exchange.as_ref().and_then(|exchange| exchange.request(fields));
    if let (Some(mut rewriter), Some(body)) = (rewriter, &asked.message.body) {
        let mut out = Vec::new();
        rewriter.push(body, &mut out);
        rewriter.end(&mut out);
        notes.extend(addresses("request", rewriter.replaced(), rewriter.tally()));
    }
    notes
}

/// What a client does not get as the node sent it, where the client came in clear text.
pub fn of_answer(rehearsal: &Rehearsal, asked: &Asked<'_>, visit: &Visit, answer: &ResponseMessage) -> Vec<String> {
    let Some(exchange) = exchange(rehearsal, asked, visit) else { return Vec::new() };
    let mut head = answer.head.clone();
    exchange.head(&mut head);
    let before = answer.head.fields().iter();
    let fields = before.zip(head.fields().iter()).filter(|(before, after)| before.value != after.value);
    // Values may hold session ids.
    let mut notes: Vec<String> =
        fields.map(|(field, _)| format!("response: {} is rewritten", String::from_utf8_lossy(field.name))).collect();
    let body = answer.body.as_deref().unwrap_or_default();
    let framing = Framing::Length(body.len() as u64);
    if let Some(mut message) = exchange.answer(&mut head, framing, asked.message.head.method()) {
        message.take(body, true);
        notes.extend(addresses("response", message.replaced(), message.tally()));
    }
    notes
}

/// What `rewrite` does to the exchange; `None` where the upstream has none.
fn exchange<'a>(rehearsal: &'a Rehearsal, asked: &Asked<'_>, visit: &Visit) -> Option<Exchange<'a>> {
    let onward = Onward {
        peer: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        scheme: Scheme::Http,
        trusted: false,
        node_authority: b"",
        client_cert: None,
    };
    let route = rehearsal.snapshot().routes.get(asked.route?);
    Exchange::new(&onward, &asked.message.head, route, visit.node(), &Policy::of(route))
}

/// Offers of another protocol go with the hop (RFC 9110 §7.8): Castile never switches.
fn protocols(fields: &Fields) -> impl Iterator<Item = String> {
    let mut kept = Request::default();
    *kept.fields_mut() = fields.clone();
    connection::remove_hop_by_hop(kept.fields_mut());
    let gone = ["Upgrade", "HTTP2-Settings"].into_iter().filter(move |name| {
        let has = |fields: &Fields| fields.get(name.as_bytes()).is_some();
        has(fields) && !has(kept.fields())
    });
    gone.map(|name| format!("request: {name} does not go on, for the gateway would not understand what follows"))
        .collect::<Vec<_>>()
        .into_iter()
}

/// Fields that say something else afterwards.
fn offers(before: &Fields, after: &Fields, why: &'static str) -> impl Iterator<Item = String> {
    let all = [(Name::Accept, "Accept"), (Name::AcceptEncoding, "Accept-Encoding")];
    let joined =
        |fields: &Fields, name| fields.all_known(name).map(String::from_utf8_lossy).collect::<Vec<_>>().join(", ");
    let told = all.map(|(known, name)| {
        let (before, after) = (joined(before, known), joined(after, known));
        (before != after).then(|| format!("request: {name} goes on as {after:?}, for {why}"))
    });
    told.into_iter().flatten()
}

/// Every beginning that is written anew. What follows one is not told: it may hold a session id.
fn addresses(what: &'static str, replaced: &[Replaced], tally: Tally) -> Vec<String> {
    let one = |one: &Replaced| format!("{what}: at byte {}, {} is rewritten to {}", one.at, one.from, one.to);
    let mut notes: Vec<String> = replaced.iter().map(one).collect();
    let rest = (tally.changed as usize).saturating_sub(replaced.len());
    if rest > 0 {
        notes.push(format!("{what}: {rest} more addresses are rewritten"));
    }
    match tally.signed {
        0 => {}
        1 => notes.push(format!("{what}: 1 address stays as it is, because it is signed")),
        signed => notes.push(format!("{what}: {signed} addresses stay as they are, because they are signed")),
    }
    notes
}
