//! Nodes that know a user by the TCP connection (NTLM): nobody is ever answered under another's name, with no option set.
//!
//! The full run, of 100,000 requests: `CASTILE_IDENTITY_REQUESTS=100000 cargo test --test it identity -- --nocapture`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::http2;
use crate::support::soap::envelope;
use crate::support::{Castile, Message, Node, Peer, chunked, config, ok, parallel};

/// Users with HTTP/1.1; a quarter as many speak HTTP/2.
const USERS: usize = 16;
const USERS_H2: usize = 4;
/// Clients that never say who they are.
const NOBODIES: usize = 4;
/// Every so many requests one is broken off.
const ABORT_EVERY: usize = 50;

fn wanted() -> usize {
    std::env::var("CASTILE_IDENTITY_REQUESTS").ok().and_then(|count| count.parse().ok()).unwrap_or(3_000)
}

/// A node that remembers who authenticated on a connection, and says so in every answer to come.
fn node() -> Node {
    Node::start(|connection| {
        let (mut challenged, mut user) = (false, None::<String>);
        while let Some(mut request) = connection.peer.head() {
            if request.is_chunked() {
                if connection.peer.try_until(b"0\r\n\r\n").is_none() {
                    return;
                }
            } else if let Some(length) = request.field("content-length") {
                let Some(body) = connection.peer.try_bytes(length.parse().expect("a number")) else { return };
                request.body = body;
            }
            let token = request.field("authorization").and_then(|value| value.strip_prefix("NTLM ").map(str::to_owned));
            let nonce = connection.number.to_string();
            let refused = |token: &str| {
                format!("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM{token}\r\nContent-Length: 0\r\n\r\n")
                    .into_bytes()
            };
            let answer = match token.as_deref().map(|token| token.split('.').collect::<Vec<_>>()).as_deref() {
                Some(["1"]) => {
                    (challenged, user) = (true, None);
                    refused(&format!(" 2.{nonce}"))
                }
                Some(["3", name, answered]) if challenged && *answered == nonce => {
                    (challenged, user) = (false, Some((*name).to_owned()));
                    ok(&format!("X-User: {name}\r\n"), "welcome")
                }
                Some(_) => refused(""),
                None if user.is_some() || request.start_line().contains(" /public ") => {
                    ok(&format!("X-User: {}\r\n", user.as_deref().unwrap_or("nobody")), "ok")
                }
                None => refused(""),
            };
            connection.send(answer);
        }
    })
}

fn request(path: &str, fields: &str, is_chunked: bool) -> Vec<u8> {
    let body = envelope("", "<x/>").into_bytes();
    let framing =
        if is_chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {}", body.len()) };
    let mut bytes =
        format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: text/xml\r\n{fields}{framing}\r\n\r\n").into_bytes();
    bytes.extend(if is_chunked { chunked(&body, &[40], "") } else { body });
    bytes
}

/// What the run came to.
#[derive(Default)]
struct Tally {
    requests: AtomicUsize,
    answered: AtomicUsize,
    aborted: AtomicUsize,
    handshakes: AtomicUsize,
}

impl Tally {
    /// The number of the next request; `None` when there have been enough.
    fn next(&self) -> Option<usize> {
        Some(self.requests.fetch_add(1, Relaxed)).filter(|number| *number < wanted())
    }

    fn check(&self, me: &str, status: u16, user: Option<&str>) {
        match status {
            200 => {
                assert_eq!(user, Some(me), "an answer under another's name");
                self.answered.fetch_add(1, Relaxed);
            }
            401 => assert_eq!(user, None),
            other => panic!("status {other}"),
        }
    }
}

/// A user with HTTP/1.1.
fn user(address: SocketAddr, name: &str, tally: &Tally) {
    let check = |answer: &Message| tally.check(name, answer.status(), answer.field("x-user").as_deref());
    let mut client = Peer::connect(address);
    let mut knows_me = false;
    while let Some(number) = tally.next() {
        if !knows_me {
            tally.handshakes.fetch_add(1, Relaxed);
            let challenge = client.ask(request("/app", "Authorization: NTLM 1\r\n", false));
            assert_eq!(challenge.status(), 401);
            let nonce = challenge.field("www-authenticate").expect("a challenge").replace("NTLM 2.", "");
            let answer = client.ask(request("/app", &format!("Authorization: NTLM 3.{name}.{nonce}\r\n"), false));
            assert_eq!(answer.status(), 200, "the handshake stays on one connection");
            check(&answer);
            knows_me = true;
        }
        let whole = request("/app", "", number % 3 == 0);
        if number.is_multiple_of(ABORT_EVERY) {
            tally.aborted.fetch_add(1, Relaxed);
            let end = if number.is_multiple_of(2 * ABORT_EVERY) { whole.len() } else { whole.len() - 20 };
            client.send(&whole[..end]);
            if number.is_multiple_of(4 * ABORT_EVERY) {
                client.reset();
            }
            client = Peer::connect(address);
            knows_me = false;
            continue;
        }
        let answer = client.ask(&whole);
        check(&answer);
        assert_eq!(answer.status(), 200, "who is known stays known");
        if number % 97 == 0 {
            client = Peer::connect(address);
            knows_me = false;
        }
    }
}

/// A client that never says who it is, on connections of one request and of many.
fn nobody(address: SocketAddr, tally: &Tally) {
    let mut client = Peer::connect(address);
    while let Some(number) = tally.next() {
        let path = if number % 5 == 0 { "/app" } else { "/public" };
        let answer = client.ask(request(path, "", number % 2 == 0));
        tally.check("nobody", answer.status(), answer.field("x-user").as_deref());
        if number % 3 == 0 {
            client = Peer::connect(address);
        }
    }
}

/// A user with HTTP/2, whose requests run side by side.
fn user_h2(address: SocketAddr, name: &str, tally: &Tally) {
    let message = || envelope("", "<x/>").into_bytes();
    let mut client = http2::Client::connect(address);
    while let Some(number) = tally.next() {
        if number.is_multiple_of(7) {
            tally.handshakes.fetch_add(1, Relaxed);
            let challenge = client.ask_all(&[("authorization", "NTLM 1")], vec![message()]);
            let nonce = challenge[0].field("www-authenticate").expect("a challenge").replace("NTLM 2.", "");
            let token = format!("NTLM 3.{name}.{nonce}");
            let answer = client.ask_all(&[("authorization", &token)], vec![message()]);
            assert_eq!(answer[0].status(), 200, "the handshake stays on one connection");
        }
        for answer in client.ask_all(&[], (0..=number % 3).map(|_| message()).collect()) {
            tally.check(name, answer.status(), answer.field("x-user"));
        }
        if number.is_multiple_of(ABORT_EVERY / 5) {
            tally.aborted.fetch_add(1, Relaxed);
            client.abandon(message());
            client = http2::Client::connect(address);
        }
    }
}

#[test]
fn nobody_is_answered_under_anothers_name() {
    let node = node();
    let castile = Castile::start(&format!("workers: 4\n{}", config(&[&node], "")));
    let address = castile.address("public");
    let tally = Tally::default();
    parallel(USERS + USERS_H2 + NOBODIES, |index| match index {
        0..USERS => user(address, &format!("user-{index}"), &tally),
        index if index < USERS + USERS_H2 => user_h2(address, &format!("user-{index}"), &tally),
        _ => nobody(address, &tally),
    });
    let (answered, aborted) = (tally.answered.load(Relaxed), tally.aborted.load(Relaxed));
    let handshakes = tally.handshakes.load(Relaxed);
    println!(
        "{} requests of {} users and {NOBODIES} others, {aborted} broken off, {handshakes} handshakes on {} node connections: \
         {answered} answers under the right name, 0 under another",
        wanted(),
        USERS + USERS_H2,
        node.connections(),
    );
    assert!(answered > wanted() / 2 && aborted > 0);
}
