//! The same promises to clients that speak HTTP/2.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::soap::{
    AXIS2, CLIENT_ISSUED, Trio, client_id, envelope, group_id, login_node, reply_to, slow_node,
};
use crate::support::{Castile, Event, Node, PATIENCE, config, ok};

/// A body in one piece.
struct Whole(Option<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

/// An answer as the client has it.
pub struct Answer {
    head: http::response::Parts,
    body: Vec<u8>,
}

impl Answer {
    /// The status.
    pub fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// The value of the first field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client on a connection of its own, with prior knowledge.
pub struct Client {
    runtime: tokio::runtime::Runtime,
    sender: http2::SendRequest<Whole>,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let sender = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("it speaks HTTP/2");
            tokio::spawn(async move { drop(connection.await) });
            sender
        });
        Self { runtime, sender }
    }

    /// Heeds what the other end says until the connection has ended.
    pub fn serve_until_closed(mut self) {
        let ended = async {
            while poll_fn(|cx| self.sender.poll_ready(cx)).await.is_ok() && !self.sender.is_closed() {
                tokio::task::yield_now().await;
            }
        };
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, ended).await }).expect("it ends in time");
    }

    /// Sends these messages at once, each with these fields, and gives the answers.
    pub fn ask_all(&self, fields: &[(&str, &str)], messages: Vec<Vec<u8>>) -> Vec<Answer> {
        let all = async {
            let exchanges: Vec<_> = messages
                .into_iter()
                .map(|message| {
                    let mut request = http::Request::post("http://h/app").header("content-type", "text/xml");
                    for (name, value) in fields {
                        request = request.header(*name, *value);
                    }
                    let request = request.body(Whole(Some(message.into()))).expect("a request");
                    let mut sender = self.sender.clone();
                    tokio::spawn(async move {
                        let (head, body) = sender.send_request(request).await.expect("an answer").into_parts();
                        Answer { head, body: whole(body).await }
                    })
                })
                .collect();
            let mut answers = Vec::new();
            for exchange in exchanges {
                answers.push(exchange.await.expect("an answer"));
            }
            answers
        };
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, all).await.expect("answers in time") })
    }

    /// Sends a request and goes away before its answer.
    pub fn abandon(self, message: Vec<u8>) {
        let request = http::Request::post("http://h/app").header("content-type", "text/xml");
        let request = request.body(Whole(Some(message.into()))).expect("a request");
        let mut sender = self.sender.clone();
        let sent = async {
            let exchange = tokio::spawn(async move { sender.send_request(request).await.is_ok() });
            // The connection's task gets a turn to write it.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            exchange.abort();
        };
        self.runtime.block_on(sent);
    }

    pub fn ask(&self, fields: &[(&str, &str)], message: impl Into<Vec<u8>>) -> Answer {
        self.ask_all(fields, vec![message.into()]).remove(0)
    }
}

async fn whole(mut body: Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(data) = frame.expect("the answer is whole").into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    bytes
}

fn client(castile: &Castile) -> Client {
    Client::connect(castile.address("public"))
}

#[test]
fn a_conversation_over_http_2_stays_on_its_node() {
    let trio = Trio::start(AXIS2);
    let client = client(&trio.castile);
    for _ in 0..4 {
        let login = client.ask(&[("x-login", "yes")], envelope("", "<login/>"));
        let text = login.text();
        let id = text.split("axis2\">").nth(1).and_then(|rest| rest.split('<').next()).expect("an id");
        for _ in 0..4 {
            let next = client.ask(&[], envelope(&group_id(id), "<next/>"));
            assert_eq!(next.field("x-node"), login.field("x-node"));
            // And it goes on over HTTP/1.1.
            let request = crate::support::soap::post("", envelope(&group_id(id), "<next/>"));
            assert_eq!(trio.castile.ask(request).field("x-node").as_deref(), login.field("x-node"));
        }
    }
}

#[test]
fn streams_of_one_connection_wait_for_nobody_but_their_own_node() {
    let may_answer = Event::new();
    let (slow, quick) = (slow_node(0, &may_answer), login_node(1));
    let yaml = config(&[&slow], "")
        .replace("routes: [", "routes: [{operation: quick, upstream: other}, ")
        .replace("upstreams:\n", &format!("upstreams:\n  other: {{nodes: [{{name: q, url: '{}'}}]}}\n", quick.url()));
    let castile = Castile::start(&yaml);
    let client = client(&castile);
    let waiting = {
        let mut sender = client.sender.clone();
        client.runtime.spawn(async move {
            let request = http::Request::post("http://h/app").body(Whole(Some(Bytes::from_static(b"<x/>"))));
            sender.send_request(request.expect("a request")).await.expect("an answer").status()
        })
    };
    let answer = client.ask(&[("soapaction", "quick")], envelope("", "<x/>"));
    assert_eq!(answer.field("x-node"), Some("1"));
    may_answer.happen();
    assert_eq!(client.runtime.block_on(waiting).expect("an answer"), 200);
}

#[test]
fn parallel_first_streams_with_one_id_reach_one_node() {
    let nodes = [0, 1, 2].map(login_node);
    let castile = Castile::start(&config(&[&nodes[0], &nodes[1], &nodes[2]], CLIENT_ISSUED));
    let client = client(&castile);
    for round in 0..5 {
        let message = envelope(&client_id(&format!("round {round}")), "<begin/>").into_bytes();
        let answers = client.ask_all(&[], vec![message; 60]);
        assert!(answers.iter().all(|answer| answer.field("x-node") == answers[0].field("x-node")), "round {round}");
    }
}

#[test]
fn large_messages_pass_both_ways_byte_for_byte() {
    let node = Node::answering(|request| ok("Content-Type: text/xml\r\n", request.body.clone()));
    let castile = Castile::start(&config(&[&node], AXIS2));
    let client = client(&castile);
    let bytes: Vec<u8> = (0..5_000_000u32).map(|i| (i % 251) as u8).collect();
    for answer in client.ask_all(&[], vec![bytes.clone(); 4]) {
        assert!(answer.body == bytes);
    }
}

#[test]
fn the_node_sees_a_request_of_http_1_1() {
    let node =
        Node::answering(|_| ok("Keep-Alive: timeout=5\r\nConnection: keep-alive\r\nX-Answer: 1\r\n", reply_to("x")));
    let castile = Castile::start(&config(&[&node], ""));
    let answer = client(&castile).ask(&[("cookie", "a=1"), ("cookie", "b=2"), ("x-mine", "3")], "<x/>");
    let request = node.wait_for(1);
    assert_eq!(request.start_line(), "POST /app HTTP/1.1");
    assert_eq!(request.all("host"), ["h"]);
    assert_eq!(request.all("cookie"), ["a=1; b=2"], "one line, as HTTP/1.1 has it (RFC 9113 §8.2.3)");
    assert_eq!(request.all("x-mine"), ["3"]);
    assert_eq!(request.body, b"<x/>");
    assert_eq!((answer.head.version, answer.field("x-answer")), (http::Version::HTTP_2, Some("1")));
    assert_eq!((answer.field("keep-alive"), answer.field("connection")), (None, None));
}

#[test]
fn a_failed_node_is_told_by_a_fault_and_a_cut_answer_by_a_reset() {
    let node = Node::start(|connection| {
        if connection.request().is_some_and(|request| request.field("x-cut").is_some()) {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        }
    });
    let castile = Castile::start(&config(&[&node], ""));
    let client = client(&castile);
    let fault = client.ask(&[], envelope("", "<x/>"));
    assert_eq!(fault.head.status, 500);
    assert!(fault.text().contains("NodeFailed"), "{}", fault.text());
    let cut = client.runtime.block_on(async {
        let request = http::Request::post("http://h/app").header("x-cut", "1").body(Whole(None)).expect("a request");
        // The reset may overtake the head.
        let Ok(answer) = client.sender.clone().send_request(request).await else { return true };
        let mut body = answer.into_body();
        loop {
            match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                Some(Ok(_)) => {}
                Some(Err(_)) => return true,
                None => return false,
            }
        }
    });
    assert!(cut, "half an answer must not look whole");
}

#[test]
fn a_stop_lets_streams_finish() {
    let (asked, may_answer) = (Event::new(), Event::new());
    let node = Node::answering({
        let (asked, may_answer) = (asked.clone(), may_answer.clone());
        move |_| {
            asked.happen();
            may_answer.wait();
            ok("", "finished")
        }
    });
    let castile = Castile::start(&config(&[&node], ""));
    let client = client(&castile);
    let waiting = {
        let mut sender = client.sender.clone();
        client.runtime.spawn(async move {
            let request = http::Request::post("http://h/app").body(Whole(Some(Bytes::from_static(b"<x/>"))));
            let answer = sender.send_request(request.expect("a request")).await.expect("an answer");
            whole(answer.into_body()).await
        })
    };
    let address = castile.address("public");
    client.runtime.block_on(async { tokio::task::yield_now().await });
    let stopping = std::thread::spawn(move || {
        asked.wait();
        let stopping = std::thread::spawn(move || castile.stop());
        crate::support::eventually("nobody is accepted any more", || std::net::TcpStream::connect(address).is_err());
        may_answer.happen();
        stopping.join().unwrap()
    });
    assert_eq!(client.runtime.block_on(waiting).expect("an answer"), b"finished");
    drop(client);
    assert_eq!(stopping.join().unwrap()[0]["http"], "2");
}

#[test]
fn addresses_are_rewritten_in_known_and_unknown_lengths() {
    let node = Node::answering(|request| {
        let host = request.field("host").expect("a host");
        let large = "x".repeat(if request.text().contains("large") { 200_000 } else { 0 });
        let address = "<a:Address xmlns:a=\"http://www.w3.org/2005/08/addressing\">";
        ok("Content-Type: text/xml\r\n", envelope("", &format!("{address}http://{host}/a</a:Address>{large}")))
    });
    let settings = "host: node\nrewrite: {}\nsticky: {presets: [jaxws-stateful]}";
    let castile = Castile::start(&config(&[&node], settings));
    let client = Client::connect(castile.address("public"));
    let messages = ["small", "large"].map(|body| envelope("", body).into_bytes()).to_vec();
    let answers = client.ask_all(&[], messages);
    assert!(answers.iter().all(|answer| answer.text().contains(">http://h/a</a:Address>")));
    let length = answers[0].body.len().to_string();
    assert_eq!((answers[0].field("content-length"), answers[1].field("content-length")), (Some(&length[..]), None));
    assert!(answers[1].body.len() > 200_000);
    drop(client);
    let log = castile.stop();
    assert_eq!(log.iter().map(|line| line["status"].as_u64()).collect::<Vec<_>>(), [Some(200); 2], "both ended well");
}

#[test]
fn an_answer_over_http_2_waits_until_its_key_is_known_elsewhere() {
    // With a body, and without one.
    let nodes = [
        login_node(0),
        Node::answering(|_| b"HTTP/1.1 204 No Content\r\nSet-Cookie: JSESSIONID=secret; Path=/\r\n\r\n".to_vec()),
    ];
    for node in &nodes {
        let castile = Castile::start(&config(&[node], "sticky: {presets: [axis2-soapsession, servlet-jsessionid]}"));
        let elsewhere = std::sync::Arc::<Unsettled>::default();
        castile.gateway.affinity.journal().attach(std::sync::Arc::clone(&elsewhere) as _);
        let began = std::time::Instant::now();
        let status = client(&castile).ask(&[("x-login", "yes")], envelope("", "<login/>")).head.status;
        // Nobody ever says that it is known, so patience ends the wait.
        assert!(status.is_success() && began.elapsed() >= std::time::Duration::from_millis(900), "{status}");
    }
}

/// Somebody who has to know, and never does.
#[derive(Debug, Default)]
struct Unsettled;

impl castile::affinity::Sink for Unsettled {
    fn tell(&self, _: u64, _: &castile::affinity::Change) {}

    fn settled(&self) -> u64 {
        0
    }
}

#[test]
fn a_request_id_goes_the_same_way() {
    let node = login_node(0);
    let castile = Castile::start(&(config(&[&node], "") + "request_id: {answer: true}\n"));
    let client = client(&castile);
    let answer = client.ask(&[("x-request-id", "two-1")], envelope("", "<x/>"));
    assert_eq!(answer.field("x-request-id"), Some("two-1"));
    assert_eq!(node.requests()[0].field("x-request-id").as_deref(), Some("two-1"));
    let made = client.ask(&[], envelope("", "<x/>"));
    assert_eq!(made.field("x-request-id"), node.requests()[1].field("x-request-id").as_deref());
    assert_eq!(castile.stop()[0]["request_id"], "two-1");
}

#[test]
fn a_broken_preface_ends_the_connection_in_the_words_of_http_2() {
    let node = login_node(0);
    let castile = Castile::start(&config(&[&node], ""));
    let mut broken = castile.client();
    broken.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
    // SETTINGS without any, then GOAWAY with PROTOCOL_ERROR.
    assert_eq!(
        broken.rest(),
        [&[0, 0, 0, 4, 0, 0, 0, 0, 0][..], &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]].concat()
    );
    let mut other = castile.client();
    other.send("INVALID CONNECTION PREFACE\r\n\r\n");
    other.expect_close();
    // Who means HTTP/1 is answered as there.
    for (head, status) in [
        ("GET / http/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET /\r\n", 400),
        ("PRI * HTTP/2.0\n\n", 400),
        ("GET / HTTP/9.9\r\n\r\n", 505),
    ] {
        assert_eq!(castile.ask(head).status(), status, "{head:?}");
    }
    assert_eq!(node.connections(), 0);
}
