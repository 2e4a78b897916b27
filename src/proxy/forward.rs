//! Passing an exchange through: the request to the node, its answer to the client, learning on the way.
//!
//! Both directions run in one task, as one future: no lock, no queue between them. A piece of the answer goes out only
//! after what it teaches was bound.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::ahead::{Ahead, Rest, TARRY};
use super::client::Client;
use super::deadline::Deadline;
use super::forwarding;
use super::h1::{BodyDecoder, BodyError, Fill, Framing, HeadLimits, response_framing};
use super::hold::STORE_PATIENCE;
use super::intake::Message;
use super::pace::Pace;
use super::pool::NodeConnection;
use super::request_id::Reference;
use super::rewrite::{Answer, Beginning, Exchange};
use super::withheld::{Reason, Verdict};
use super::worker::Worker;
use crate::config::model::Timeouts;
use crate::gateway::Lesson;
use crate::head::{Fields, Name, Response, Version, connection};
use crate::session::RequestView;
use crate::upstream::InTheWay;

/// How passing an exchange through ended.
#[derive(Debug)]
pub enum Ended {
    /// The answer went out whole.
    Answered,
    /// The client went away, or its request broke off.
    Client(ClientEnd),
    /// The node failed before its answer was whole.
    Node(NodeEnd),
    /// The answer is not for the client, which has seen nothing of it.
    Withheld,
    /// The node has said all; the client has yet to take the rest.
    Ahead(Box<Rest>),
}

impl Ended {
    /// The node's answer broke off.
    pub(super) fn broken_off(fill: Fill) -> Self {
        match fill {
            Fill::Failed(error) => failed(error),
            Fill::Broken(error) => failed(error),
            Fill::More | Fill::Truncated => failed("it closed in the middle of its answer"),
        }
    }
}

/// What the client did.
#[derive(Debug)]
pub enum ClientEnd {
    /// It closed, or its connection failed.
    Gone,
    /// It sent or took nothing for too long.
    Stalled,
    /// It did so while others waited for the node.
    InTheWay,
    /// The framing of its body is broken.
    Broken(BodyError),
}

/// What the node did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeEnd {
    /// It closed, reset, or answered what is no HTTP: why.
    Failed(String),
    /// It did not answer, or stopped in the middle, for too long.
    TimedOut,
}

/// What is told of an exchange besides how it ended.
#[derive(Debug, Default)]
pub struct Passed {
    /// Request body bytes passed on.
    pub bytes_in: u64,
    /// Response body bytes passed on.
    pub bytes_out: u64,
    /// Whether the client was told to go on (100).
    pub continued: bool,
    /// When the first byte of the answer's head came.
    pub answered_at: Option<Instant>,
    /// Whether the answer was whole when the client had gone.
    pub node_is_done: bool,
    /// Whether the node has confirmed the keys it was asked for.
    pub confirmed: bool,
    /// Whether the node connection can carry another request, and how long the node keeps it.
    pub reusable: Option<Option<Duration>>,
}

/// One exchange on its way.
pub struct Forward<'a, 'l, C: Client> {
    /// The worker.
    pub worker: &'a Worker,
    /// The client.
    pub client: &'a mut C,
    /// The node. Its request head waits in the wire.
    pub node: &'a mut NodeConnection,
    /// The request, as received.
    pub request: RequestHeadParts<'a>,
    /// The message of the request, as far as it was read.
    pub message: &'a mut Message,
    /// Where the node's head goes, as received.
    pub head: &'a mut Response,
    /// Where the head for the client is made.
    pub out: &'a mut Response,
    /// What changes in heads.
    pub policy: &'a forwarding::Policy,
    /// The request's id.
    pub reference: Reference<'a>,
    /// What is rewritten; `None` = nothing.
    pub rewrite: Option<&'a Exchange<'a>>,
    /// The cookie of our own that the answer sets.
    pub cookie: Option<String>,
    /// What the request begins with instead of what came.
    pub beginning: Option<Beginning>,
    /// The answer's message, where it is rewritten.
    pub answer: Option<Answer>,
    /// Why nothing of the answer goes on yet; `None` = it goes on as it comes.
    pub withheld: Option<Reason<'a>>,
    /// What is learnt from the answer.
    pub lesson: &'a mut Lesson<'l>,
    /// Limits.
    pub timeouts: &'a Timeouts,
    /// The connection's timer.
    pub deadline: &'a mut Deadline,
    /// What is asked of the client: while it sends, and while it takes.
    pub paces: [Pace; 2],
    /// What is held of the answer because the client is slow; `None` as long as it is not.
    pub ahead: Option<Ahead>,
    /// Says whether the request has to make way, while its client is slow.
    pub in_the_way: Option<InTheWay>,
    /// The framing of an answer without a body, until its head may go out.
    pub bodiless: Option<Framing>,
    /// What has passed.
    pub passed: Passed,
    /// The node's framing of the answer.
    pub framing: Framing,
}

/// The parts of a request that do not change while it is passed on; with the facts read meanwhile it is a view.
#[derive(Debug, Clone, Copy)]
pub struct RequestHeadParts<'a> {
    /// Its head.
    pub head: &'a crate::head::Request,
    /// The operation its head gives.
    pub http_action: Option<&'a str>,
    /// The client.
    pub client_ip: std::net::IpAddr,
    /// The connection's number.
    pub connection: u64,
}

impl<'a> RequestHeadParts<'a> {
    /// The request as rules see it.
    pub fn view<'b>(&self, message: &'b Message) -> RequestView<'b>
    where
        'a: 'b,
    {
        RequestView {
            head: self.head,
            facts: message.reader.as_deref().map(crate::soap::Reader::facts),
            http_action: self.http_action,
            client_ip: self.client_ip,
            connection: self.connection,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Up {
    /// The request is on its way.
    Sending,
    /// It is out.
    Sent,
    /// The node takes no more of it; an answer may still come.
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Down {
    /// No final head yet.
    Awaiting,
    /// The body passes.
    Body,
}

/// What the exchange waits for, which says how long and who is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    ClientSends,
    ClientTakes,
    Store,
    NodeTakes,
    NodeAnswers,
    NodeSends,
}

impl<C: Client> Forward<'_, '_, C> {
    /// Passes everything through.
    pub async fn run(&mut self) -> Ended {
        let mut up = Up::Sending;
        let mut down = Down::Awaiting;
        let mut timed: Option<Waiting> = None;
        let mut since: Option<Instant> = None;
        let mut scanned = 0;
        let mut is_slow = false;
        poll_fn(|cx| {
            let mut moved = false;
            let mut waiting = Waiting::NodeAnswers;
            if up == Up::Sending {
                match self.send_request(cx, &mut up, &mut moved) {
                    Ok(wait) => waiting = wait.unwrap_or(waiting),
                    Err(ended) => return Poll::Ready(ended),
                }
            }
            match self.pass_answer(cx, &mut down, &mut scanned, &mut moved) {
                Ok(None) => return Poll::Ready(self.end(up)),
                Ok(Some(wait)) if up != Up::Sending || matches!(wait, Waiting::ClientTakes | Waiting::Store) => {
                    waiting = wait;
                }
                Ok(Some(_)) => {}
                Err(ended) => return Poll::Ready(ended),
            }
            if waiting == Waiting::ClientTakes && self.ahead.is_some() {
                match self.read_ahead(cx, up == Up::Sent, &mut scanned) {
                    Ok(wait) => waiting = wait,
                    Err(ended) => return Poll::Ready(ended),
                }
            }
            if moved || timed != Some(waiting) {
                is_slow = false;
                self.in_the_way = None;
                let now = Instant::now();
                let time = since.replace(now).map_or(Duration::ZERO, |since| now - since);
                match timed.replace(waiting) {
                    Some(Waiting::ClientSends) => self.paces[0].waited(time),
                    Some(Waiting::ClientTakes) => self.paces[1].waited(time),
                    _ => {}
                }
                let stall = self.timeouts.stall;
                let limit = match waiting {
                    Waiting::NodeAnswers => self.timeouts.response,
                    // First it is seen whether it is slow.
                    Waiting::ClientSends => self.paces[0].patience(self.passed.bytes_in, stall).min(TARRY),
                    Waiting::ClientTakes => self.paces[1].patience(self.passed.bytes_out, stall).min(TARRY),
                    Waiting::Store => STORE_PATIENCE,
                    Waiting::NodeTakes | Waiting::NodeSends => stall,
                };
                self.deadline.set_from(now, limit);
            }
            if let Some(in_the_way) = &self.in_the_way
                && in_the_way.poll(cx).is_ready()
            {
                return Poll::Ready(Ended::Client(ClientEnd::InTheWay));
            }
            if self.deadline.poll(cx).is_ready() {
                if waiting == Waiting::Store {
                    self.stop_waiting(cx);
                    return Poll::Pending;
                }
                if matches!(waiting, Waiting::ClientSends | Waiting::ClientTakes) && !is_slow {
                    is_slow = true;
                    self.is_slow(cx, waiting, since);
                    return Poll::Pending;
                }
                return Poll::Ready(match waiting {
                    Waiting::ClientSends | Waiting::ClientTakes => Ended::Client(ClientEnd::Stalled),
                    Waiting::Store | Waiting::NodeTakes | Waiting::NodeAnswers | Waiting::NodeSends => {
                        Ended::Node(NodeEnd::TimedOut)
                    }
                });
            }
            Poll::Pending
        })
        .await
    }

    /// Sends what there is of the request; what it waits for then, or nothing once it is out.
    fn send_request(&mut self, cx: &mut Context<'_>, up: &mut Up, moved: &mut bool) -> Result<Option<Waiting>, Ended> {
        loop {
            let whole = self.client.body_is_whole();
            self.message.scan(self.client.body(), whole);
            if let Some(beginning) = &mut self.beginning {
                match self.node.wire.poll_send(cx, &beginning.bytes, false, None) {
                    Poll::Ready(Ok(count)) => {
                        *moved = true;
                        self.passed.bytes_in += count as u64;
                        beginning.bytes.drain(..count);
                        if beginning.bytes.is_empty() {
                            self.client.consume_body(beginning.replaces);
                            self.message.scanned -= beginning.replaces;
                            self.beginning = None;
                        }
                    }
                    Poll::Ready(Err(_)) => {
                        *up = Up::Refused;
                        return Ok(None);
                    }
                    Poll::Pending => return Ok(Some(Waiting::NodeTakes)),
                }
                continue;
            }
            if !self.client.body().is_empty() || whole {
                let trailers = if whole { self.request_trailers() } else { None };
                match self.node.wire.poll_send(cx, self.client.body(), whole, trailers.as_ref()) {
                    Poll::Ready(Ok(count)) => {
                        *moved = true;
                        self.passed.bytes_in += count as u64;
                        self.client.consume_body(count);
                        self.message.scanned -= count;
                        if whole && self.client.body().is_empty() && self.node.wire.is_sent() {
                            *up = Up::Sent;
                            return Ok(None);
                        }
                    }
                    Poll::Ready(Err(_)) => {
                        // It may have answered before it closed.
                        *up = Up::Refused;
                        return Ok(None);
                    }
                    Poll::Pending => return Ok(Some(Waiting::NodeTakes)),
                }
                continue;
            }
            self.message.release();
            match self.client.poll_body(cx) {
                Poll::Ready(Fill::More) => *moved = true,
                Poll::Ready(Fill::Truncated | Fill::Failed(_)) => return Err(Ended::Client(ClientEnd::Gone)),
                Poll::Ready(Fill::Broken(error)) => return Err(Ended::Client(ClientEnd::Broken(error))),
                Poll::Pending => {
                    // The head need not wait for a body that is not here.
                    if self.node.wire.has_output() {
                        match self.node.wire.poll_flush(cx) {
                            Poll::Ready(Ok(())) => {}
                            Poll::Ready(Err(_)) => {
                                *up = Up::Refused;
                                return Ok(None);
                            }
                            Poll::Pending => return Ok(Some(Waiting::NodeTakes)),
                        }
                    }
                    return Ok(Some(Waiting::ClientSends));
                }
            }
        }
    }

    fn request_trailers(&self) -> Option<Fields> {
        let mut trailers = self.client.trailers().filter(|fields| !fields.is_empty())?.clone();
        forwarding::trailers(&mut trailers, self.policy);
        self.reference.strip(&mut trailers);
        Some(trailers)
    }

    /// Passes what there is of the answer; what it waits for then, or `None` once it has gone out whole.
    fn pass_answer(
        &mut self,
        cx: &mut Context<'_>,
        down: &mut Down,
        scanned: &mut usize,
        moved: &mut bool,
    ) -> Result<Option<Waiting>, Ended> {
        loop {
            if *down == Down::Awaiting {
                match self.await_head(cx)? {
                    Some(()) => {
                        *down = Down::Body;
                        *moved = true;
                    }
                    None => return Ok(Some(Waiting::NodeAnswers)),
                }
            }
            let whole = self.node.wire.body_is_whole();
            let body = self.node.wire.body();
            if body.len() > *scanned || whole {
                self.lesson.message(self.request.view(self.message), self.head, &body[*scanned..], whole);
                *scanned = body.len();
            }
            if self.is_held(cx) {
                return self.let_go_ahead(cx);
            }
            if let Some(framing) = self.bodiless.take() {
                self.client.begin(self.out, framing);
            }
            let body = self.node.wire.body();
            if self.withheld.is_some() {
                if self.judge(whole)? {
                    continue;
                }
            } else if self.answer.is_some() {
                // It takes all that is there, also where the client cannot take it yet.
                let passed = self.pass_rewritten(cx, whole, moved);
                *scanned = 0;
                if let Some(wait) = passed? {
                    return Ok(wait);
                }
            } else if !body.is_empty() || whole {
                let trailers = self.node.wire.trailers().filter(|fields| whole && !fields.is_empty());
                match self.client.poll_send(cx, body, whole, trailers) {
                    Poll::Ready(Ok(count)) => {
                        *moved = true;
                        self.passed.bytes_out += count as u64;
                        self.node.wire.consume_body(count);
                        *scanned -= count;
                        if whole && self.node.wire.body().is_empty() && self.client.is_sent() {
                            return Ok(None);
                        }
                    }
                    Poll::Ready(Err(_)) => {
                        self.passed.node_is_done = whole;
                        return Err(Ended::Client(ClientEnd::Gone));
                    }
                    Poll::Pending => return Ok(Some(Waiting::ClientTakes)),
                }
                continue;
            }
            self.node.wire.input.widen(&self.worker.buffers);
            match self.node.wire.poll_body(cx, &self.worker.buffers) {
                Poll::Ready(Fill::More) => *moved = true,
                Poll::Ready(fill) => return Err(Ended::broken_off(fill)),
                Poll::Pending => {
                    return match self.client.poll_flush(cx) {
                        Poll::Ready(Err(_)) => Err(Ended::Client(ClientEnd::Gone)),
                        Poll::Ready(Ok(())) => Ok(Some(Waiting::NodeSends)),
                        Poll::Pending => Ok(Some(Waiting::ClientTakes)),
                    };
                }
            }
        }
    }

    /// Rewrites and passes what there is of the answer. `None`: the node must send more; else as [`Self::pass_answer`].
    #[allow(clippy::type_complexity)]
    fn pass_rewritten(
        &mut self,
        cx: &mut Context<'_>,
        whole: bool,
        moved: &mut bool,
    ) -> Result<Option<Option<Waiting>>, Ended> {
        let Some(answer) = &mut self.answer else { return Ok(None) };
        let at_hand = self.node.wire.body().len();
        answer.take(self.node.wire.body(), whole);
        self.node.wire.consume_body(at_hand);
        if !answer.has_begun {
            match answer.begin(self.out) {
                Some(framing) => self.client.begin(self.out, framing),
                None => return Ok(None),
            }
        }
        while !answer.out.is_empty() || answer.is_whole {
            let trailers = self.node.wire.trailers().filter(|fields| answer.is_whole && !fields.is_empty());
            match self.client.poll_send(cx, &answer.out, answer.is_whole, trailers) {
                Poll::Ready(Ok(count)) => {
                    *moved = true;
                    self.passed.bytes_out += count as u64;
                    answer.out.drain(..count);
                    if answer.is_whole && answer.out.is_empty() && self.client.is_sent() {
                        return Ok(Some(None));
                    }
                }
                Poll::Ready(Err(_)) => {
                    self.passed.node_is_done = whole;
                    return Err(Ended::Client(ClientEnd::Gone));
                }
                Poll::Pending => return Ok(Some(Some(Waiting::ClientTakes))),
            }
        }
        Ok(None)
    }

    /// Reads heads until the final one: `None` while it has not come.
    fn await_head(&mut self, cx: &mut Context<'_>) -> Result<Option<()>, Ended> {
        loop {
            let limits = HeadLimits::default();
            let found = match self.node.wire.input.is_empty() {
                true => None,
                false => {
                    self.node.search.response(self.node.wire.input.filled(), &limits, self.head).map_err(failed)?
                }
            };
            let Some(length) = found else {
                match self.node.wire.stream.poll_fill(cx, &mut self.node.wire.input, &self.worker.buffers) {
                    Poll::Ready(Ok(0)) if self.node.wire.input.is_empty() => {
                        return Err(failed("it closed without an answer"));
                    }
                    Poll::Ready(Ok(0)) => return Err(failed("it closed in the middle of a head")),
                    Poll::Ready(Ok(_)) => continue,
                    Poll::Ready(Err(error)) => return Err(failed(error)),
                    Poll::Pending => {
                        // Interim heads do not wait for the final one.
                        let _ = self.client.poll_flush(cx);
                        return Ok(None);
                    }
                }
            };
            self.passed.answered_at.get_or_insert_with(Instant::now);
            self.node.wire.input.consume(length);
            if self.head.is_interim() {
                if self.head.status == 101 {
                    return Err(failed("it switched protocols unasked"));
                }
                if !(self.head.status == 100 && self.message.continued) {
                    self.out.clone_from(self.head);
                    forwarding::response(self.out, self.policy);
                    self.client.interim(self.out);
                    self.passed.continued |= self.head.status == 100;
                }
                continue;
            }
            self.begin_answer()?;
            return Ok(Some(()));
        }
    }

    /// The final head is here: learns from it and hands it to the client.
    fn begin_answer(&mut self) -> Result<(), Ended> {
        let framing = response_framing(self.head, self.request.head.method()).map_err(failed)?;
        let keeps = framing != Framing::Close && connection::keep_alive(self.head.version, self.head.fields());
        self.passed.reusable =
            keeps.then(|| connection::keep_alive_timeout(self.head.fields()).map(Duration::from_secs));
        self.node.wire.begin_body(BodyDecoder::for_response(framing)).map_err(failed)?;
        self.lesson.head(self.request.view(self.message), self.head, framing != Framing::Empty);
        self.out.clone_from(self.head);
        forwarding::response(self.out, self.policy);
        self.reference.answer(self.request.head.fields(), self.out.fields_mut());
        let expects = self.request.head.fields().known(Name::Expect).is_some();
        if expects && !self.message.continued && !self.passed.continued && !self.client.body_is_whole() {
            // The client may send its body now, or not: nobody could say where its next request begins (RFC 9110 §10.1.1).
            self.client.close();
        }
        if let Some(rewrite) = self.rewrite {
            rewrite.head(self.out);
            self.answer = rewrite.answer(self.out, framing, self.request.head.method());
        }
        if let Some(cookie) = self.cookie.take() {
            self.out.fields_mut().push(b"Set-Cookie", cookie.as_bytes());
        }
        if self.withheld.is_some() {
            self.framing = framing;
        } else if self.answer.is_none() {
            self.begin(framing);
        }
        Ok(())
    }

    /// Judges the answer as far as it has come. True once it goes on; false while more of it must be seen.
    fn judge(&mut self, whole: bool) -> Result<bool, Ended> {
        let Some(reason) = self.withheld else { return Ok(true) };
        let request = self.request.view(self.message);
        let at_hand = self.node.wire.body().len();
        match reason.judge(self.lesson, &request, self.head, at_hand, whole) {
            Verdict::Wait => return Ok(false),
            Verdict::Keep => return Err(Ended::Withheld),
            Verdict::Pass => {}
            Verdict::Confirm => {
                if let Reason::Asked { keys, .. } = reason {
                    self.lesson.confirm(keys);
                }
                self.passed.confirmed = true;
            }
        }
        self.withheld = None;
        if self.answer.is_none() {
            self.begin(self.framing);
        }
        Ok(true)
    }

    fn begin(&mut self, framing: Framing) {
        match framing {
            // Its head is all of it, and may have to wait.
            Framing::Empty | Framing::Length(0) => self.bodiless = Some(framing),
            _ => self.client.begin(self.out, framing),
        }
    }

    /// The answer is out: what of the connections can be used again.
    fn end(&mut self, up: Up) -> Ended {
        self.passed.node_is_done = true;
        if up != Up::Sent {
            // The node answered without the whole request: neither side is where a next request could begin.
            self.passed.reusable = None;
            self.client.close();
        }
        Ended::Answered
    }
}

fn failed(why: impl ToString) -> Ended {
    Ended::Node(NodeEnd::Failed(why.to_string()))
}

/// The version a client's log line names.
pub fn version_text(version: Version) -> &'static str {
    match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
        Version::Http2 => "2",
    }
}
