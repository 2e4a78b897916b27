//! The body of an answer on its way to hyper: one piece at a time, so that a slow client slows the node.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};

/// Where the handler puts a piece and hyper takes it.
#[derive(Debug, Default)]
pub struct Slot {
    piece: Option<Bytes>,
    trailers: Option<HeaderMap>,
    is_last: bool,
    is_aborted: bool,
    is_gone: bool,
    taker: Option<Waker>,
    giver: Option<Waker>,
}

impl Slot {
    /// Whether the last piece was taken.
    pub fn is_drained(&self) -> bool {
        self.is_last && self.piece.is_none() && self.trailers.is_none()
    }

    /// Whether hyper has dropped the body: the client has gone, or reset the stream.
    pub fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Waits for room.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.piece.is_none() || self.is_gone {
            return Poll::Ready(());
        }
        self.giver = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Waits until the last piece was taken.
    pub fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_drained() || self.is_gone {
            return Poll::Ready(());
        }
        self.giver = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Puts a piece; there must be room.
    pub fn put(&mut self, piece: Bytes) {
        self.piece = Some(piece);
        self.wake_taker();
    }

    /// Nothing follows but these trailers.
    pub fn finish(&mut self, trailers: Option<HeaderMap>) {
        self.is_last = true;
        self.trailers = trailers;
        self.wake_taker();
    }

    /// The body cannot be completed: the stream is reset.
    pub fn abort(&mut self) {
        self.is_aborted = true;
        self.wake_taker();
    }

    fn wake_taker(&mut self) {
        if let Some(taker) = self.taker.take() {
            taker.wake();
        }
    }

    fn wake_giver(&mut self) {
        if let Some(giver) = self.giver.take() {
            giver.wake();
        }
    }
}

/// The body as hyper sees it.
#[derive(Debug)]
pub struct Answer {
    slot: Rc<RefCell<Slot>>,
    is_empty: bool,
}

/// The answer could not be completed.
#[derive(Debug)]
pub struct Aborted;

impl fmt::Display for Aborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer was broken off")
    }
}

impl std::error::Error for Aborted {}

impl From<Infallible> for Aborted {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl Answer {
    /// A body fed through `slot`; `is_empty`: nothing will come.
    pub fn new(slot: Rc<RefCell<Slot>>, is_empty: bool) -> Self {
        Self { slot, is_empty }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let mut slot = self.slot.borrow_mut();
        if slot.is_aborted {
            return Poll::Ready(Some(Err(Aborted)));
        }
        if let Some(piece) = slot.piece.take() {
            slot.wake_giver();
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if slot.is_last {
            slot.wake_giver();
            return Poll::Ready(slot.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
        }
        slot.taker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty || self.slot.borrow().is_drained()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let mut slot = self.slot.borrow_mut();
        slot.is_gone = true;
        slot.wake_giver();
    }
}
