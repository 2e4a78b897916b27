//! One HTTP/1 connection, to a client or a node: what was received, what is to be sent.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::{BodyDecoder, BodyError, Framing, chunk_head, write_last_chunk};
use crate::head::Fields;
use crate::proxy::buffer::{Buffer, Buffers, SMALL};
use crate::proxy::stream::Stream;

/// A connection with its buffers. One message at a time in either direction.
#[derive(Debug)]
pub struct Wire {
    /// The connection.
    pub stream: Stream,
    /// Received: decoded body, a gap, then bytes not decoded yet.
    pub input: Buffer,
    decoder: BodyDecoder,
    decoded: usize,
    gap: usize,
    /// To be sent before any body byte: heads, chunk heads and ends.
    output: Vec<u8>,
    sent: usize,
    chunked: bool,
    chunk_left: usize,
    last_written: bool,
}

/// What reading a body came to.
#[derive(Debug)]
pub enum Fill {
    /// There is more, or the body is whole: look at it.
    More,
    /// The peer closed before the body was whole.
    Truncated,
    /// The framing is broken.
    Broken(BodyError),
    /// Reading failed.
    Failed(io::Error),
}

impl Wire {
    /// A connection on which nothing has happened yet, but perhaps `input` was read.
    pub fn new(stream: Stream, input: Buffer) -> Self {
        Self {
            stream,
            input,
            decoder: BodyDecoder::new(Framing::Empty),
            decoded: 0,
            gap: 0,
            output: Vec::new(),
            sent: 0,
            chunked: false,
            chunk_left: 0,
            last_written: true,
        }
    }

    /// The head of a message has been taken off `input`: its body follows.
    ///
    /// # Errors
    /// Broken framing in what has already arrived.
    pub fn begin_body(&mut self, decoder: BodyDecoder) -> Result<(), BodyError> {
        debug_assert!(self.decoded == 0 && self.gap == 0);
        self.decoder = decoder;
        self.decode()
    }

    /// Decoded body bytes at hand.
    pub fn body(&self) -> &[u8] {
        &self.input.filled()[..self.decoded]
    }

    /// Whether nothing of the body comes after [`Wire::body`].
    pub fn body_is_whole(&self) -> bool {
        self.decoder.is_done()
    }

    /// Trailer fields, once the body is whole.
    pub fn trailers(&self) -> Option<&Fields> {
        self.decoder.trailers()
    }

    /// The body bytes still to come, where known.
    pub fn body_remaining(&self) -> Option<u64> {
        self.decoder.remaining()
    }

    /// Uses up the first `count` body bytes.
    pub fn consume_body(&mut self, count: usize) {
        self.decoded -= count;
        self.input.consume(count);
        if self.decoded == 0 && self.gap > 0 {
            self.input.consume(self.gap);
            self.gap = 0;
        }
    }

    /// Takes what is left of a whole body off the connection, which need not wait for it any longer. False: something came
    /// behind it, and is lost.
    pub fn take_body(&mut self) -> (Buffer, bool) {
        let mut body = std::mem::take(&mut self.input);
        let is_all = body.len() == self.decoded + self.gap;
        body.truncate(self.decoded);
        (self.decoded, self.gap) = (0, 0);
        (body, is_all)
    }

    /// Reads more of the body. Ready when something came, or nothing can come any more.
    pub fn poll_body(&mut self, cx: &mut Context<'_>, buffers: &Buffers) -> Poll<Fill> {
        if self.decoder.is_done() {
            return Poll::Ready(Fill::More);
        }
        let before = self.decoded;
        loop {
            // Framing without data (the head of a chunk) is no news.
            match ready!(self.stream.poll_fill(cx, &mut self.input, buffers)) {
                Err(error) => return Poll::Ready(Fill::Failed(error)),
                Ok(0) => {
                    return Poll::Ready(match self.decoder.end_of_input() {
                        Ok(()) => Fill::More,
                        Err(_) => Fill::Truncated,
                    });
                }
                Ok(_) => {}
            }
            if let Err(error) = self.decode() {
                return Poll::Ready(Fill::Broken(error));
            }
            if self.decoded > before || self.decoder.is_done() {
                return Poll::Ready(Fill::More);
            }
        }
    }

    /// Ready once the peer has ended its side or the connection is broken. Looks no further ahead than a small buffer: a
    /// peer that has sent more is not watched.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>, buffers: &Buffers) -> Poll<()> {
        while self.input.len() < SMALL {
            if self.input.is_empty() && ready!(self.stream.poll_readable(cx)).is_err() {
                return Poll::Ready(());
            }
            if !self.decoder.is_done() {
                match ready!(self.poll_body(cx, buffers)) {
                    Fill::More => {}
                    Fill::Truncated | Fill::Failed(_) | Fill::Broken(_) => return Poll::Ready(()),
                }
            } else if !matches!(ready!(self.stream.poll_fill(cx, &mut self.input, buffers)), Ok(count) if count > 0) {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Decodes what has arrived, moving body bytes together at the front.
    fn decode(&mut self) -> Result<(), BodyError> {
        loop {
            let raw = self.decoded + self.gap;
            let step = self.decoder.decode(&self.input.filled()[raw..])?;
            let data = raw + step.data.start..raw + step.data.end;
            let count = data.len();
            if count > 0 && data.start != self.decoded {
                self.input.filled_mut().copy_within(data, self.decoded);
            }
            self.decoded += count;
            self.gap += step.consumed - count;
            if self.decoded == 0 && self.gap > 0 {
                self.input.consume(self.gap);
                self.gap = 0;
            }
            if step.done || step.consumed == 0 || self.decoded + self.gap == self.input.len() {
                return Ok(());
            }
        }
    }

    /// The next message goes out: `write` puts its head into the buffer given; its body follows by [`Wire::poll_send`].
    pub fn begin_message(&mut self, framing: Framing, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.output);
        self.chunked = framing == Framing::Chunked;
        self.chunk_left = 0;
        self.last_written = false;
    }

    /// Puts an interim head before everything else that is to be sent.
    pub fn interim(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.output);
    }

    /// Whether anything waits to be written.
    pub fn has_output(&self) -> bool {
        self.sent < self.output.len()
    }

    /// Sends `data`, or some of it: how many bytes of it were taken. `last`: no data comes behind it.
    ///
    /// With `last`, ready only when everything is on its way, or some of `data` is left; call until all is taken and
    /// [`Wire::is_sent`].
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
        last: bool,
        trailers: Option<&Fields>,
    ) -> Poll<io::Result<usize>> {
        let mut taken = 0;
        loop {
            let data = &data[taken..];
            if self.chunked && self.chunk_left == 0 && !data.is_empty() {
                let mut head = [0; 20];
                self.output.extend_from_slice(chunk_head(data.len(), &mut head));
                self.chunk_left = data.len();
            }
            let now = if self.chunked { &data[..self.chunk_left.min(data.len())] } else { data };
            let mut tail = Tail::default();
            if self.chunked && !now.is_empty() && now.len() == self.chunk_left {
                tail.push(b"\r\n");
            }
            let ends = last && now.len() == data.len() && !self.last_written;
            if ends && self.chunked && self.chunk_left == now.len() {
                match trailers {
                    None => tail.push(b"0\r\n\r\n"),
                    Some(_) => tail.long(|out| write_last_chunk(trailers, out)),
                }
            }
            let head = &self.output[self.sent..];
            let all = head.len() + now.len() + tail.bytes().len();
            if all == 0 {
                self.last_written |= ends;
                ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
                return Poll::Ready(Ok(taken));
            }
            let slices = [IoSlice::new(head), IoSlice::new(now), IoSlice::new(tail.bytes())];
            let wrote = match Pin::new(&mut self.stream).poll_write_vectored(cx, &slices) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(wrote)) => wrote,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if taken > 0 => return Poll::Ready(Ok(taken)),
                Poll::Pending => return Poll::Pending,
            };
            let of_head = wrote.min(head.len());
            let of_data = (wrote - of_head).min(now.len());
            let of_tail = wrote - of_head - of_data;
            self.sent += of_head;
            if self.sent == self.output.len() {
                self.output.clear();
                self.sent = 0;
            }
            taken += of_data;
            if self.chunked {
                self.chunk_left -= of_data;
            }
            // What follows a chunk belongs to it: once its data is out, the rest waits in the output.
            if of_data == now.len() && self.sent == 0 && self.output.is_empty() {
                self.output.extend_from_slice(&tail.bytes()[of_tail..]);
                self.last_written |= ends;
            }
            if wrote == all && !self.stream.is_tls() {
                return Poll::Ready(Ok(taken));
            }
        }
    }

    /// Sends what waits, as far as it goes.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.has_output() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.output[self.sent..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
        }
        self.output.clear();
        self.sent = 0;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Whether the message has gone out whole.
    pub fn is_sent(&self) -> bool {
        self.last_written && !self.has_output()
    }
}

/// What follows the data of a chunk: nearly always short and constant.
#[derive(Default)]
struct Tail {
    short: [u8; 8],
    len: usize,
    long: Vec<u8>,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.short[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn long(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.long.extend_from_slice(&self.short[..self.len]);
        write(&mut self.long);
    }

    fn bytes(&self) -> &[u8] {
        if self.long.is_empty() { &self.short[..self.len] } else { &self.long }
    }
}
