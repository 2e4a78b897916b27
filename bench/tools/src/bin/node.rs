//! node BASE COUNT: that many nodes, on the ports after BASE of 127.0.0.1, in one thread.
//!
//! A request without a session id gets a new one, which names the node. An id or a JSESSIONID of another node is answered
//! 500. An id that a client made belongs to the node that sees it first. `X-Answer-Bytes` says how long the answer is to be.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::TcpListener;

use castile_bench_tools::http::{Reader, header, number};
use castile_bench_tools::link::{Link, Outgoing};
use castile_bench_tools::poll::Poll;
use castile_bench_tools::random::Random;
use castile_bench_tools::soap::{self, Filler, PEEK_BYTES};

/// Tokens below are listeners.
const FIRST_CONNECTION: usize = 1000;
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A gateway's connection.
struct Connection {
    link: Link,
    node: u8,
    reader: Reader,
    peek: Vec<u8>,
    bytes: u64,
    early: Vec<u8>,
    outgoing: Outgoing,
    writing: bool,
}

/// What all nodes share.
struct Nodes {
    filler: Filler,
    random: Random,
    claims: HashMap<Vec<u8>, u8>,
}

fn main() -> io::Result<()> {
    let mut words = std::env::args().skip(1).map(|word| word.parse::<u16>().expect("node BASE COUNT"));
    let (base, count) = (words.next().expect("node BASE COUNT"), words.next().expect("node BASE COUNT"));
    let mut poll = Poll::new()?;
    let mut listeners = Vec::new();
    for node in 1..=count {
        let listener = TcpListener::bind(("127.0.0.1", base + node))?;
        listener.set_nonblocking(true)?;
        poll.add(&listener, usize::from(node))?;
        listeners.push(listener);
    }
    let mut nodes =
        Nodes { filler: Filler::of_answers(ANSWER_BYTES_MAX), random: Random::default(), claims: HashMap::new() };
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        for ready in poll.wait(None) {
            if ready.token < FIRST_CONNECTION {
                while let Ok((socket, _)) = listeners[ready.token - 1].accept() {
                    let at = free.pop().unwrap_or_else(|| {
                        connections.push(None);
                        connections.len() - 1
                    });
                    let link = Link::accepted(socket)?;
                    poll.add(link.socket(), FIRST_CONNECTION + at)?;
                    connections[at] = Some(Connection::new(link, ready.token as u8));
                }
                continue;
            }
            let at = ready.token - FIRST_CONNECTION;
            let Some(connection) = &mut connections[at] else { continue };
            let went_on = if ready.read { connection.receive(&mut buffer, &mut nodes) } else { Ok(()) };
            if went_on.and_then(|()| connection.flush(&poll, ready.token, &mut nodes)).is_err() {
                connections[at] = None;
                free.push(at);
            }
        }
    }
}

impl Connection {
    fn new(link: Link, node: u8) -> Self {
        Self {
            link,
            node,
            reader: Reader::default(),
            peek: Vec::new(),
            bytes: 0,
            early: Vec::new(),
            outgoing: Outgoing::default(),
            writing: false,
        }
    }

    fn receive(&mut self, buffer: &mut [u8], nodes: &mut Nodes) -> io::Result<()> {
        match self.link.receive(buffer) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.take(&buffer[..count], nodes);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads requests and answers them, one after the other; what comes before an answer has gone waits.
    fn take(&mut self, data: &[u8], nodes: &mut Nodes) {
        let mut rest = data;
        while !rest.is_empty() {
            if !self.outgoing.is_empty() {
                return self.early.extend_from_slice(rest);
            }
            let (peek, bytes) = (&mut self.peek, &mut self.bytes);
            let used = self.reader.push(rest, |piece| {
                let room = PEEK_BYTES.saturating_sub(peek.len());
                peek.extend_from_slice(&piece[..piece.len().min(room)]);
                *bytes += piece.len() as u64;
            });
            rest = &rest[used..];
            if self.reader.is_complete() {
                self.answer(nodes);
                self.reader.clear();
                self.peek.clear();
                self.bytes = 0;
            }
        }
    }

    fn flush(&mut self, poll: &Poll, token: usize, nodes: &mut Nodes) -> io::Result<()> {
        loop {
            let writing = !self.outgoing.flush(&mut self.link, &nodes.filler)?;
            if writing != self.writing {
                self.writing = writing;
                poll.watch_writing(self.link.socket(), token, writing)?;
            }
            if writing || self.early.is_empty() {
                return Ok(());
            }
            let early = std::mem::take(&mut self.early);
            self.take(&early, nodes);
        }
    }

    fn answer(&mut self, nodes: &mut Nodes) {
        let head = self.reader.head().expect("the message is complete");
        let cookie = header(head, "cookie").and_then(session_cookie);
        let serial = soap::serial(&self.peek, b"MessageID").unwrap_or(0);
        let (id, mut is_ours) = match soap::id(&self.peek) {
            Some(id) => {
                let owner = match number(&id[id.len().saturating_sub(2)..]) {
                    0 => *nodes.claims.entry(id.to_vec()).or_insert(self.node),
                    issued => issued as u8,
                };
                (id.to_vec(), owner == self.node)
            }
            None => (nodes.random.uuid(self.node), true),
        };
        is_ours &= cookie.is_none_or(|owner| owner == self.node);
        let answer_bytes = header(head, "x-answer-bytes").map_or(1024, number) as usize;

        let mut body = Vec::with_capacity(1024);
        soap::answer(&mut body, serial, &id);
        let tail = answer_bytes.clamp(body.len() + soap::ANSWER_END.len(), ANSWER_BYTES_MAX) - body.len();
        let out = self.outgoing.bytes();
        out.extend_from_slice(if is_ours { b"HTTP/1.1 200 OK\r\n" } else { b"HTTP/1.1 500 Not Ours\r\n" });
        let length = body.len() + tail;
        out.extend_from_slice(
            format!(
                "Content-Type: text/xml;charset=UTF-8\r\nX-Node: node{}\r\nX-Body-Bytes: {}\r\nContent-Length: {length}\r\n",
                self.node, self.bytes
            )
            .as_bytes(),
        );
        if cookie.is_none() {
            out.extend_from_slice(b"Set-Cookie: JSESSIONID=");
            soap::push_hex(out, nodes.random.number());
            soap::push_hex(out, nodes.random.number());
            out.extend_from_slice(format!(".node{}; Path=/\r\n", self.node).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&body);
        self.outgoing.end_with(tail);
    }
}

/// The node that a JSESSIONID names; 0 where it names none.
fn session_cookie(cookies: &[u8]) -> Option<u8> {
    let value = cookies.split(|byte| *byte == b';').find_map(|pair| pair.trim_ascii().strip_prefix(b"JSESSIONID="))?;
    let digits = value.rsplit(|byte| *byte == b'.').next()?.strip_prefix(b"node");
    Some(digits.map_or(0, |digits| number(digits) as u8))
}
