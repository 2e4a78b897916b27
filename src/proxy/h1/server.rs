//! A client connection that speaks HTTP/1: one request after another.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use super::{
    BodyDecoder, Fill, Framing, HeadError, HeadLimits, HeadSearch, Wire, request_framing, write_response_head,
};
use crate::config::model::FaultStatus;
use crate::head::{Fields, Name, Request, Response, Version, connection};
use crate::proxy::buffer::Buffer;
use crate::proxy::client::Client;
use crate::proxy::connection::Connection;
use crate::proxy::deadline::Deadline;
use crate::proxy::forwarding::set_framing;
use crate::proxy::handler::{self, Scratch};
use crate::proxy::reply::{self, Failure};
use crate::proxy::request_id::{Reference, RequestId};
use crate::proxy::stop::Place;
use crate::proxy::stream::Stream;
use crate::proxy::worker::Worker;

/// How much of a request body nobody wants is read away, so that its connection can be used again.
const DRAIN_BYTES: u64 = 64 * 1024;
/// How long a closing connection is still read from, so that what was sent last is not lost to a reset.
const LINGER: Duration = Duration::from_secs(2);

/// And how much of it: a client that is still sending its upload must get to the answer behind it.
const LINGER_BYTES: usize = 64 << 20;

/// Serves one connection to its end. `input` was read already.
pub async fn serve(worker: &Worker, connection: &Connection, stream: Stream, input: Buffer) {
    let mut wire = Wire::new(stream, input);
    let mut search = HeadSearch::default();
    let mut request = Request::new();
    let mut scratch = Scratch::default();
    let mut deadline = Deadline::default();
    let mut is_first = true;
    loop {
        let framing =
            match next_head(worker, connection, &mut wire, &mut search, &mut request, &mut deadline, is_first).await {
                Next::Request(framing) => framing,
                Next::Close => return,
                // Whoever that is could not read an answer of HTTP/1.
                Next::Refuse(_) if is_first && speaks_no_http(wire.input.filled()) => {
                    return linger(worker, wire, deadline).await;
                }
                Next::Refuse(error) => return refuse(worker, wire, Failure::BadHead(error), deadline).await,
                Next::TooSlow => return refuse(worker, wire, Failure::ClientTimeout, deadline).await,
            };
        is_first = false;
        if let Err(error) = wire.begin_body(BodyDecoder::new(framing)) {
            return refuse(worker, wire, Failure::BadBody(error), deadline).await;
        }
        let keep = connection::keep_alive(request.version, request.fields());
        let mut client = H1Client {
            worker,
            wire: &mut wire,
            version: request.version,
            keep_alive: keep && !worker.stop.is_leaving(),
            is_head: request.method() == b"HEAD",
            has_begun: false,
            is_aborted: false,
        };
        handler::handle(worker, connection, &request, framing, &mut scratch, &mut client).await;
        let reuse = client.can_go_on();
        let is_aborted = client.is_aborted;
        if is_aborted {
            return abort(&wire.stream);
        }
        if !reuse || !drain(worker, &mut wire, &mut deadline).await {
            return linger(worker, wire, deadline).await;
        }
    }
}

/// What came instead of, or with, the next head.
enum Next {
    Request(Framing),
    Close,
    Refuse(HeadError),
    TooSlow,
}

async fn next_head(
    worker: &Worker,
    connection: &Connection,
    wire: &mut Wire,
    search: &mut HeadSearch,
    request: &mut Request,
    deadline: &mut Deadline,
    is_first: bool,
) -> Next {
    let limits = HeadLimits::default();
    let timeouts = &connection.listener.config.timeouts;
    let mut has_begun = is_first;
    deadline.set(if is_first { timeouts.header } else { timeouts.idle });
    let mut place = Place::default();
    loop {
        if !wire.input.is_empty() {
            match search.request(wire.input.filled(), &limits, request) {
                Ok(Some(length)) => {
                    wire.input.consume(length);
                    worker.stop.leave(&mut place);
                    return match request_framing(request) {
                        Ok(framing) => Next::Request(framing),
                        Err(error) => Next::Refuse(error),
                    };
                }
                Ok(None) => {}
                Err(error) => {
                    worker.stop.leave(&mut place);
                    return Next::Refuse(error);
                }
            }
        }
        let begun = search.has_begun();
        if begun && !has_begun {
            has_begun = true;
            deadline.set(timeouts.header);
        }
        if !begun && wire.input.is_empty() {
            wire.input.release(&worker.buffers);
        }
        let holds_nothing = wire.input.is_empty();
        let came = poll_fn(|cx| {
            if holds_nothing {
                match wire.stream.poll_readable(cx) {
                    Poll::Ready(Ok(())) => return Poll::Ready(Some(Ok(None))),
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                    Poll::Pending => {}
                }
                // Only a connection on which nothing is under way goes when the worker stops.
                if worker.stop.poll(cx, &mut place).is_ready() {
                    return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
                }
            } else if let Poll::Ready(read) = wire.stream.poll_fill(cx, &mut wire.input, &worker.buffers) {
                return Poll::Ready(Some(read.map(Some)));
            }
            deadline.poll(cx).map(|()| None)
        })
        .await;
        let came = match came {
            // There is something to read: now is the time for a buffer.
            Some(Ok(None)) => {
                let read = poll_fn(|cx| match wire.stream.poll_fill(cx, &mut wire.input, &worker.buffers) {
                    // Readiness may be a false alarm.
                    Poll::Pending => Poll::Ready(None),
                    Poll::Ready(read) => Poll::Ready(Some(read)),
                });
                match read.await {
                    Some(read) => read,
                    None => continue,
                }
            }
            Some(Ok(Some(count))) => Ok(count),
            Some(Err(error)) => Err(error),
            None => {
                worker.stop.leave(&mut place);
                return if begun { Next::TooSlow } else { Next::Close };
            }
        };
        if !matches!(came, Ok(count) if count > 0) {
            worker.stop.leave(&mut place);
            return Next::Close;
        }
    }
}

/// Whether the first line has the form of a request line, but of another protocol. An invalid preface of HTTP/2 is one
/// (RFC 9113 §3.4); HTTP/0.9, which names no version, and versions misspelt are none.
fn speaks_no_http(input: &[u8]) -> bool {
    let Some(end) = memchr::memchr(b'\r', input) else { return false };
    let mut words = input[..end].split(|byte| *byte == b' ');
    let (Some(_), Some(_), Some(version), None) = (words.next(), words.next(), words.next(), words.next()) else {
        return false;
    };
    !version.get(..4).is_some_and(|name| name.eq_ignore_ascii_case(b"HTTP"))
}

/// Answers what never became a request, and closes.
async fn refuse(worker: &Worker, mut wire: Wire, failure: Failure, mut deadline: Deadline) {
    let mut head = Response::new();
    let snapshot = worker.gateway.snapshot();
    let config = snapshot.config.request_id.as_ref();
    // What its fields say is not known.
    let id = RequestId::of(config, &Fields::default(), false, worker.serial());
    let body = reply::write(&failure, None, FaultStatus::Binding, id.text(), &mut head);
    Reference { config, id: &id }.answer(&Fields::default(), head.fields_mut());
    tracing::debug!(request = id.text(), %failure, "request refused");
    head.fields_mut().push(b"Connection", b"close");
    wire.begin_message(Framing::Length(body.len() as u64), |out| write_response_head(&head, Version::Http11, out));
    deadline.set(LINGER);
    let mut sent = 0;
    let done = poll_fn(|cx| {
        while sent < body.len() || !wire.is_sent() {
            match wire.poll_send(cx, &body[sent..], true, None) {
                Poll::Ready(Ok(count)) => sent += count,
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                Poll::Pending => return deadline.poll(cx).map(|()| false),
            }
        }
        Poll::Ready(true)
    })
    .await;
    if done {
        linger(worker, wire, deadline).await;
    }
}

/// Reads away a short rest of a request body. False where that is not possible.
async fn drain(worker: &Worker, wire: &mut Wire, deadline: &mut Deadline) -> bool {
    let mut left = DRAIN_BYTES;
    deadline.set(LINGER);
    loop {
        let at_hand = wire.body().len();
        wire.consume_body(at_hand);
        if wire.body_is_whole() {
            return true;
        }
        left = left.saturating_sub(at_hand as u64);
        if left == 0 || wire.body_remaining().is_some_and(|remaining| remaining > left) {
            return false;
        }
        let fill = poll_fn(|cx| match wire.poll_body(cx, &worker.buffers) {
            Poll::Ready(fill) => Poll::Ready(Some(fill)),
            Poll::Pending => deadline.poll(cx).map(|()| None),
        });
        if !matches!(fill.await, Some(Fill::More)) {
            return false;
        }
    }
}

/// Closes so that the last answer arrives: sends the end, then reads on for a while (RFC 9112 §9.6).
pub(in crate::proxy) async fn linger(worker: &Worker, mut wire: Wire, mut deadline: Deadline) {
    use tokio::io::AsyncWriteExt;
    deadline.set(LINGER);
    let mut shutdown = std::pin::pin!(async { wire.stream.shutdown().await });
    if poll_fn(|cx| match shutdown.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result.is_ok()),
        Poll::Pending => deadline.poll(cx).map(|()| false),
    })
    .await
    {
        let mut left = LINGER_BYTES;
        while left > 0 {
            let read = poll_fn(|cx| match wire.stream.poll_fill(cx, &mut wire.input, &worker.buffers) {
                Poll::Ready(read) => Poll::Ready(read.unwrap_or(0)),
                Poll::Pending => deadline.poll(cx).map(|()| 0),
            })
            .await;
            if read == 0 {
                return;
            }
            let held = wire.input.len();
            wire.input.consume(held);
            left = left.saturating_sub(read);
        }
    }
}

/// Breaks the connection, so that nobody takes a broken answer for a whole one.
fn abort(stream: &Stream) {
    // Without lingering in the kernel, closing sends a reset.
    if let Err(error) = socket2::SockRef::from(stream.tcp()).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "connection cannot be reset; it is closed");
    }
}

/// One exchange on an HTTP/1 connection.
struct H1Client<'a> {
    worker: &'a Worker,
    wire: &'a mut Wire,
    version: Version,
    keep_alive: bool,
    is_head: bool,
    has_begun: bool,
    is_aborted: bool,
}

impl H1Client<'_> {
    /// Whether the connection can carry another request.
    fn can_go_on(&self) -> bool {
        self.keep_alive && self.has_begun && self.wire.is_sent()
    }
}

impl Client for H1Client<'_> {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Fill> {
        self.wire.input.widen(&self.worker.buffers);
        self.wire.poll_body(cx, &self.worker.buffers)
    }

    fn body(&self) -> &[u8] {
        self.wire.body()
    }

    fn body_is_whole(&self) -> bool {
        self.wire.body_is_whole()
    }

    fn consume_body(&mut self, count: usize) {
        self.wire.consume_body(count);
    }

    fn trailers(&self) -> Option<&Fields> {
        self.wire.trailers()
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.wire.poll_gone(cx, &self.worker.buffers)
    }

    fn interim(&mut self, head: &Response) {
        // HTTP/1.0 knows no interim responses (RFC 9110 §15.2).
        if self.version != Version::Http10 {
            self.wire.interim(|out| write_response_head(head, Version::Http11, out));
        }
    }

    fn begin(&mut self, head: &mut Response, framing: Framing) {
        self.has_begun = true;
        let framing = match framing {
            // A body without a known end is chunked, so that the connection can go on.
            Framing::Close | Framing::Chunked if self.version == Version::Http10 => {
                self.keep_alive = false;
                Framing::Close
            }
            Framing::Close | Framing::Chunked => Framing::Chunked,
            known => known,
        };
        if framing == Framing::Chunked && head.fields().known(Name::TransferEncoding).is_none()
            || framing == Framing::Close
        {
            set_framing(head.fields_mut(), framing);
        }
        if self.is_head && self.version == Version::Http10 {
            head.fields_mut().retain(|field| field.known != Name::TransferEncoding);
        }
        self.keep_alive &= !self.worker.stop.is_leaving();
        if !self.keep_alive {
            head.fields_mut().push(b"Connection", b"close");
        } else if self.version == Version::Http10 {
            head.fields_mut().push(b"Connection", b"keep-alive");
        }
        self.wire.begin_message(framing, |out| write_response_head(head, Version::Http11, out));
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
        last: bool,
        trailers: Option<&Fields>,
    ) -> Poll<io::Result<usize>> {
        self.wire.poll_send(cx, data, last, trailers)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_flush(cx)
    }

    fn is_sent(&self) -> bool {
        self.wire.is_sent()
    }

    fn has_begun(&self) -> bool {
        self.has_begun
    }

    fn close(&mut self) {
        self.keep_alive = false;
    }

    fn abort(&mut self) {
        self.is_aborted = true;
    }
}
