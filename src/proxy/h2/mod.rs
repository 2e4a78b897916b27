//! HTTP/2 towards clients (RFC 9113), by hyper: by ALPN on TLS, by prior knowledge in clear.

mod body;
mod client;
mod convert;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::Instant;

use super::buffer::Buffer;
use super::connection::Connection;
use super::deadline::Deadline;
use super::early::Early;
use super::h1::Wire;
use super::h1::server::linger;
use super::handler::{self, Scratch};
use super::stop::Place;
use super::stream::Stream;
use super::worker::Worker;
use client::H2Client;

/// What a client with prior knowledge sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Streams of one connection at once.
const STREAMS_MAX: u32 = 128;
/// Bytes of one stream that may be on their way to us, so that 100 stalled streams cost what 100 connections would.
const WINDOW_BYTES: u32 = 64 * 1024;
/// The same for a whole connection.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Header bytes of one request.
const HEADER_BYTES_MAX: u32 = 64 * 1024;
/// How long a client on whose connection nothing is under way may take to leave when it is asked to.
const FAREWELL: Duration = Duration::from_secs(5);
/// A silent connection is asked whether it still stands.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// What is sent to who begins HTTP/2 and goes wrong: no settings, and GOAWAY with PROTOCOL_ERROR (RFC 9113 §3.4, §6.8).
#[rustfmt::skip]
const BROKEN: &[u8] = &[
    0, 0, 0, 4, 0, 0, 0, 0, 0,
    0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
];
/// From here on nothing but HTTP/2 can have been meant.
const REQUEST_LINE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// How a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// As HTTP/1 may.
    Http1,
    /// As HTTP/2 does.
    Http2,
    /// As HTTP/2 does, and then not.
    Broken,
}

/// How the connection begins. Nothing is used up. `None` where it ended before that was clear.
pub async fn look_for_preface(
    worker: &Worker,
    connection: &Connection,
    stream: &mut Stream,
    input: &mut Buffer,
) -> Option<Begin> {
    let mut deadline = Deadline::default();
    deadline.set(connection.listener.config.timeouts.header);
    loop {
        let known = input.len().min(PREFACE.len());
        if input.filled()[..known] != PREFACE[..known] {
            return Some(if input.filled().starts_with(REQUEST_LINE) { Begin::Broken } else { Begin::Http1 });
        }
        if known == PREFACE.len() {
            return Some(Begin::Http2);
        }
        let holds_nothing = input.is_empty();
        let count = poll_fn(|cx| {
            // Who connects and says nothing costs no buffer.
            let is_silent = holds_nothing && stream.poll_readable(cx).is_pending();
            if !is_silent && let Poll::Ready(read) = stream.poll_fill(cx, input, &worker.buffers) {
                return Poll::Ready(read.ok());
            }
            deadline.poll(cx).map(|()| None)
        })
        .await?;
        if count == 0 {
            // HTTP/1 knows how to answer what broke off.
            return (!input.is_empty()).then_some(Begin::Http1);
        }
    }
}

/// Ends a connection whose preface is broken.
pub async fn refuse(worker: &Worker, stream: Stream, input: Buffer) {
    let mut wire = Wire::new(stream, input);
    wire.interim(|out| out.extend_from_slice(BROKEN));
    let mut deadline = Deadline::default();
    deadline.set(FAREWELL);
    let sent = poll_fn(|cx| match wire.poll_flush(cx) {
        Poll::Ready(sent) => Poll::Ready(sent.is_ok()),
        Poll::Pending => deadline.poll(cx).map(|()| false),
    });
    if sent.await {
        linger(worker, wire, deadline).await;
    }
}

/// Serves one connection to its end. `input` was read already.
pub async fn serve(worker: &Rc<Worker>, connection: Connection, stream: Stream, input: Buffer) {
    let idle = connection.listener.config.timeouts.idle;
    let active = Rc::new(Active::default());
    let connection = Rc::new(connection);
    let service = {
        let (worker, active) = (Rc::clone(worker), Rc::clone(&active));
        service_fn(move |request: Request<Incoming>| {
            let (worker, connection) = (Rc::clone(&worker), Rc::clone(&connection));
            let stream = Active::enter(&active);
            async move {
                let (sender, receiver) = oneshot::channel();
                spawn_local(async move {
                    let _stream = stream;
                    exchange(&worker, &connection, request, sender).await;
                });
                // Without an answer the stream is reset.
                receiver.await
            }
        })
    };
    let io = TokioIo::new(Early::new(stream, input));
    let served = hyper::server::conn::http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .serve_connection(io, service);
    let mut served = std::pin::pin!(served);
    let mut place = Place::default();
    let mut deadline = Deadline::default();
    deadline.set(idle);
    let mut is_leaving = false;
    let result = poll_fn(|cx| {
        if !is_leaving && (worker.stop.poll(cx, &mut place).is_ready() || worker.stop.is_leaving()) {
            is_leaving = true;
            served.as_mut().graceful_shutdown();
            deadline.set(FAREWELL);
        }
        while deadline.poll(cx).is_ready() {
            match active.quiet_for() {
                Some(_) if is_leaving => return Poll::Ready(Ok(())),
                _ if is_leaving => deadline.set(FAREWELL),
                Some(quiet) if quiet >= idle => {
                    is_leaving = true;
                    served.as_mut().graceful_shutdown();
                    deadline.set(FAREWELL);
                }
                quiet => deadline.set(idle - quiet.unwrap_or_default()),
            }
        }
        served.as_mut().poll(cx)
    })
    .await;
    worker.stop.leave(&mut place);
    if let Err(error) = result {
        tracing::debug!(%error, "HTTP/2 connection ended");
    }
}

/// One request of a connection.
async fn exchange(
    worker: &Worker,
    connection: &Connection,
    request: Request<Incoming>,
    sender: oneshot::Sender<hyper::Response<body::Answer>>,
) {
    let (parts, body) = request.into_parts();
    let head = convert::request(&parts);
    let framing = convert::framing(&head, &body);
    let mut client = H2Client::new(body, sender);
    let mut scratch = Scratch::default();
    handler::handle(worker, connection, &head, framing, &mut scratch, &mut client).await;
}

/// How many streams are open, and since when none is.
#[derive(Debug)]
struct Active {
    streams: Cell<usize>,
    since: Cell<Instant>,
}

impl Default for Active {
    fn default() -> Self {
        Self { streams: Cell::new(0), since: Cell::new(Instant::now()) }
    }
}

impl Active {
    fn enter(active: &Rc<Self>) -> ActiveStream {
        active.streams.set(active.streams.get() + 1);
        ActiveStream(Rc::clone(active))
    }

    /// For how long no stream has been open.
    fn quiet_for(&self) -> Option<Duration> {
        (self.streams.get() == 0).then(|| self.since.get().elapsed())
    }
}

struct ActiveStream(Rc<Active>);

impl Drop for ActiveStream {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get() - 1);
        self.0.since.set(Instant::now());
    }
}

/// Runs hyper's tasks on the worker that owns the connection.
#[derive(Debug, Clone, Copy)]
struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}
