//! A client whose exchange is captured while it passes.

use std::io;
use std::task::{Context, Poll};

use super::client::Client;
use super::h1::{Fill, Framing};
use crate::gateway::capture::Body;
use crate::head::{Fields, Response};

/// Passes everything through, and keeps the begin of it.
pub struct Tap<'a, C> {
    client: &'a mut C,
    /// What was used of the request's body.
    pub request: Body,
    /// The head of the final answer.
    pub head: Option<Response>,
    /// What was sent of its body.
    pub response: Body,
}

impl<'a, C: Client> Tap<'a, C> {
    /// Nothing kept yet.
    pub fn new(client: &'a mut C) -> Self {
        Self { client, request: Body::default(), head: None, response: Body::default() }
    }
}

impl<C: Client> Client for Tap<'_, C> {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Fill> {
        self.client.poll_body(cx)
    }

    fn body(&self) -> &[u8] {
        self.client.body()
    }

    fn body_is_whole(&self) -> bool {
        self.client.body_is_whole()
    }

    fn consume_body(&mut self, count: usize) {
        self.request.keep(&self.client.body()[..count]);
        self.client.consume_body(count);
    }

    fn trailers(&self) -> Option<&Fields> {
        self.client.trailers()
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.client.poll_gone(cx)
    }

    fn interim(&mut self, head: &Response) {
        self.client.interim(head);
    }

    fn begin(&mut self, head: &mut Response, framing: Framing) {
        self.client.begin(head, framing);
        self.head = Some(head.clone());
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
        last: bool,
        trailers: Option<&Fields>,
    ) -> Poll<io::Result<usize>> {
        let sent = self.client.poll_send(cx, data, last, trailers);
        if let Poll::Ready(Ok(count)) = sent {
            self.response.keep(&data[..count]);
        }
        sent
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.client.poll_flush(cx)
    }

    fn is_sent(&self) -> bool {
        self.client.is_sent()
    }

    fn has_begun(&self) -> bool {
        self.client.has_begun()
    }

    fn close(&mut self) {
        self.client.close();
    }

    fn abort(&mut self) {
        self.client.abort();
    }
}
