//! One exchange on an HTTP/2 stream.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::body::{Body, Incoming};
use tokio::sync::oneshot;

use super::body::{Answer, Slot};
use super::convert;
use crate::head::{Fields, Response};
use crate::proxy::client::Client;
use crate::proxy::h1::{Fill, Framing};

/// One exchange on an HTTP/2 stream.
pub struct H2Client {
    incoming: Incoming,
    held: BytesMut,
    is_whole: bool,
    trailers: Fields,
    sender: Option<oneshot::Sender<hyper::Response<Answer>>>,
    slot: Rc<RefCell<Slot>>,
    is_finished: bool,
}

impl H2Client {
    /// An exchange whose head was read; the answer's goes to `sender`.
    pub fn new(incoming: Incoming, sender: oneshot::Sender<hyper::Response<Answer>>) -> Self {
        Self {
            is_whole: incoming.is_end_stream(),
            incoming,
            held: BytesMut::new(),
            trailers: Fields::default(),
            sender: Some(sender),
            slot: Rc::default(),
            is_finished: false,
        }
    }
}

impl Client for H2Client {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Fill> {
        while !self.is_whole {
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                None => self.is_whole = true,
                Some(Err(error)) => return Poll::Ready(Fill::Failed(io::Error::other(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => {
                        self.held.extend_from_slice(&data);
                        self.is_whole = self.incoming.is_end_stream();
                        return Poll::Ready(Fill::More);
                    }
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            for (name, value) in &trailers {
                                self.trailers.push(name.as_str().as_bytes(), value.as_bytes());
                            }
                        }
                    }
                },
            }
        }
        Poll::Ready(Fill::More)
    }

    fn body(&self) -> &[u8] {
        &self.held
    }

    fn body_is_whole(&self) -> bool {
        self.is_whole
    }

    fn consume_body(&mut self, count: usize) {
        self.held.advance(count);
    }

    fn trailers(&self) -> Option<&Fields> {
        self.is_whole.then_some(&self.trailers)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sender.as_mut().map_or(Poll::Pending, |sender| sender.poll_closed(cx))
    }

    fn interim(&mut self, _head: &Response) {
        // The library that speaks HTTP/2 for us cannot send interim responses; none is needed for the final one.
    }

    fn begin(&mut self, head: &mut Response, framing: Framing) {
        let is_empty = matches!(framing, Framing::Empty | Framing::Length(0));
        let answer = Answer::new(Rc::clone(&self.slot), is_empty);
        if let (Some(sender), Some(response)) = (self.sender.take(), convert::response(head, answer)) {
            // A receiver that has gone shows as a body that has gone.
            let _ = sender.send(response);
        } else {
            self.slot.borrow_mut().abort();
        }
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
        last: bool,
        trailers: Option<&Fields>,
    ) -> Poll<io::Result<usize>> {
        let mut slot = self.slot.borrow_mut();
        if !data.is_empty() {
            ready!(slot.poll_room(cx));
            if slot.is_gone() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            slot.put(Bytes::copy_from_slice(data));
        }
        if last && !self.is_finished {
            self.is_finished = true;
            slot.finish(trailers.map(header_map));
        }
        if data.is_empty() {
            ready!(slot.poll_drained(cx));
            if slot.is_gone() && !slot.is_drained() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.slot.borrow().is_gone() {
            true => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            false => Poll::Ready(Ok(())),
        }
    }

    fn is_sent(&self) -> bool {
        let slot = self.slot.borrow();
        // An answer without a body is taken with its head; hyper does not ask for a piece.
        self.is_finished && (slot.is_drained() || slot.is_gone())
    }

    fn has_begun(&self) -> bool {
        self.sender.is_none()
    }

    fn close(&mut self) {
        // A stream carries one exchange anyway.
    }

    fn abort(&mut self) {
        self.slot.borrow_mut().abort();
        self.sender = None;
    }
}

fn header_map(fields: &Fields) -> HeaderMap {
    fields
        .iter()
        .filter_map(|field| {
            Some((HeaderName::from_bytes(field.name).ok()?, HeaderValue::from_bytes(field.value).ok()?))
        })
        .collect()
}
