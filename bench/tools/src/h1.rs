//! The generator's HTTP/1.1: one request at a time on a connection.

use std::io::{self, ErrorKind};

use crate::answer::{Answer, Request};
use crate::http::{Reader, headers, number};
use crate::link::Outgoing;
use crate::soap;

/// A connection's state.
#[derive(Debug, Default)]
pub struct H1 {
    /// The request, as far as it has not gone.
    pub outgoing: Outgoing,
    reader: Reader,
    answer: Option<Answer>,
}

impl H1 {
    /// Writes a request.
    pub fn start(&mut self, request: &Request) {
        let out = self.outgoing.bytes();
        let mut body = Vec::with_capacity(1024);
        soap::request(&mut body, request.serial, &request.session.id);
        let tail = request.bytes.saturating_sub(body.len());
        out.extend_from_slice(
            b"POST /services/Echo HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Axis2\r\n\
            Content-Type: text/xml;charset=UTF-8\r\nSOAPAction: \"urn:echo\"\r\nContent-Length: ",
        );
        out.extend_from_slice(request.bytes.to_string().as_bytes());
        if request.answer_bytes != 1024 {
            out.extend_from_slice(format!("\r\nX-Answer-Bytes: {}", request.answer_bytes).as_bytes());
        }
        if !request.session.cookies.is_empty() {
            out.extend_from_slice(b"\r\nCookie: ");
            out.extend_from_slice(&request.session.cookies);
        }
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&body);
        self.outgoing.end_with(tail);
        self.answer = Some(Answer::to(request));
    }

    /// Takes what was received.
    ///
    /// # Errors
    ///
    /// When nothing was asked.
    pub fn receive(&mut self, data: &[u8], finished: &mut Vec<(usize, Answer)>) -> io::Result<()> {
        let answer = self.answer.as_mut().ok_or(ErrorKind::InvalidData)?;
        let used = self.reader.push(data, |piece| answer.body(piece));
        if used < data.len() {
            return Err(io::Error::new(ErrorKind::InvalidData, "more than one answer"));
        }
        if self.reader.is_complete() {
            let head = self.reader.head().expect("a complete message has one");
            answer.status = number(head.get(9..12).unwrap_or_default()) as u16;
            for (name, value) in headers(head) {
                answer.header(name, value);
            }
            // An answer that came before the request had gone leaves the connection of no use.
            answer.closes |= !self.outgoing.is_empty();
            self.reader.clear();
            finished.extend(self.answer.take().map(|answer| (0, answer)));
        }
        Ok(())
    }
}
