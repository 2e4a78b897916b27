//! What the handler knows of a client: pieces of a request body in, a head and pieces of a response body out.
//!
//! Two codecs stand behind it, HTTP/1 ([`super::h1`]) and HTTP/2 ([`super::h2`]).

use std::io;
use std::task::{Context, Poll};

use super::h1::{Fill, Framing};
use crate::head::{Fields, Response};

/// One exchange with a client, from behind the request's head on.
pub trait Client {
    /// Reads more of the request body. Ready when something came, or nothing can come any more.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Fill>;
    /// Body bytes at hand.
    fn body(&self) -> &[u8];
    /// Whether nothing comes after [`Client::body`].
    fn body_is_whole(&self) -> bool;
    /// Uses up the first `count` body bytes.
    fn consume_body(&mut self, count: usize);
    /// Trailer fields of the request, once its body is whole.
    fn trailers(&self) -> Option<&Fields>;
    /// Ready once the client has gone away: for those who wait for something else. What it sends meanwhile is kept, as far
    /// as a small buffer goes.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;
    /// Sends an interim response, if this client can read it.
    fn interim(&mut self, head: &Response);
    /// Begins the final response. `framing` is the node's; the codec chooses its own.
    fn begin(&mut self, head: &mut Response, framing: Framing);
    /// Sends body bytes, or some of them: how many were taken. `last`: none come behind them.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
        last: bool,
        trailers: Option<&Fields>,
    ) -> Poll<io::Result<usize>>;
    /// Sends what was begun but waits to be written.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Whether the response has gone out whole.
    fn is_sent(&self) -> bool;
    /// Whether a final response was begun.
    fn has_begun(&self) -> bool;
    /// The connection must not be used again; the client is told if it still can be.
    fn close(&mut self);
    /// The response cannot be completed: the client must see that.
    fn abort(&mut self);
}
