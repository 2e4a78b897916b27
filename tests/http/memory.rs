//! A connection in memory, for hyper: it reads what was prepared, in pieces, and what it writes is forgotten or kept.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

/// What the other end sends, and a place for what it receives.
pub struct Memory {
    input: Vec<u8>,
    at: usize,
    piece: usize,
    /// Nothing is there to read before something was written: a server answers only when it was asked.
    waits_for_write: bool,
    /// What was written so far.
    pub output: Arc<Mutex<Vec<u8>>>,
}

impl Memory {
    /// Sends `input` in pieces, then closes its side.
    pub fn new(input: &[u8], piece: usize, waits_for_write: bool) -> Self {
        Self { input: input.to_vec(), at: 0, piece, waits_for_write, output: Arc::default() }
    }
}

impl Read for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let has_written = !self.output.lock().expect("no test panics while it writes").is_empty();
        if self.waits_for_write && !has_written {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let length = self.piece.min(buf.remaining()).min(self.input.len() - self.at);
        buf.put_slice(&self.input[self.at..self.at + length]);
        self.at += length;
        Poll::Ready(Ok(()))
    }
}

impl Write for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        self.output.lock().expect("no test panics while it writes").extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
