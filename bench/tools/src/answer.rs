//! What is kept of an answer, and whether it is the right one.

use crate::http::number;
use crate::session::Session;
use crate::soap::{self, ANSWER_END, PEEK_BYTES};

/// A request, as the generator means it.
#[derive(Debug)]
pub struct Request<'a> {
    /// Its MessageID, which the answer must relate to.
    pub serial: u64,
    /// Whose it is.
    pub session: &'a Session,
    /// Bytes of its body.
    pub bytes: usize,
    /// Bytes that the answer's body shall have.
    pub answer_bytes: usize,
    /// Whether the answer's cookies are wanted.
    pub cookies_wanted: bool,
}

/// An answer.
#[derive(Debug, Default)]
pub struct Answer {
    /// The serial of the request.
    pub serial: u64,
    /// Bytes that were asked for.
    pub asked_bytes: u64,
    /// Bytes that were sent.
    pub sent_bytes: u64,
    /// Whether `cookies` is kept.
    pub cookies_wanted: bool,
    /// 0 where it was not understood.
    pub status: u16,
    /// Which node says it is from it; 0 where none does.
    pub node: u8,
    /// Bytes of the request that the node says it got.
    pub received_bytes: u64,
    /// A `Cookie` header that gives back all that were set.
    pub cookies: Vec<u8>,
    /// Whether the connection ends with it.
    pub closes: bool,
    first: Vec<u8>,
    last: Vec<u8>,
    bytes: u64,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// 500: the node was given another node's session.
    Session,
    /// Another status than 200.
    Status,
    /// From another node than the session's.
    Node,
    /// Another request's, a cut one, or one to a request that did not come whole.
    Content,
}

impl Answer {
    /// To this request, nothing of it here yet.
    pub fn to(request: &Request) -> Self {
        Self {
            serial: request.serial,
            asked_bytes: request.answer_bytes as u64,
            sent_bytes: request.bytes as u64,
            cookies_wanted: request.cookies_wanted,
            ..Self::default()
        }
    }

    /// Takes a header.
    pub fn header(&mut self, name: &[u8], value: &[u8]) {
        if name.eq_ignore_ascii_case(b"x-node") {
            self.node = value.strip_prefix(b"node").map_or(0, |digits| number(digits) as u8);
        } else if name.eq_ignore_ascii_case(b"x-body-bytes") {
            self.received_bytes = number(value);
        } else if name.eq_ignore_ascii_case(b"connection") {
            self.closes = value.eq_ignore_ascii_case(b"close");
        } else if self.cookies_wanted && name.eq_ignore_ascii_case(b"set-cookie") {
            if !self.cookies.is_empty() {
                self.cookies.extend_from_slice(b"; ");
            }
            self.cookies.extend(value.iter().take_while(|byte| **byte != b';'));
        }
    }

    /// Takes a piece of the body.
    pub fn body(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        let room = PEEK_BYTES.saturating_sub(self.first.len());
        self.first.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() >= ANSWER_END.len() {
            self.last.clear();
        }
        self.last.extend_from_slice(&piece[piece.len().saturating_sub(ANSWER_END.len())..]);
        let surplus = self.last.len().saturating_sub(ANSWER_END.len());
        self.last.drain(..surplus);
    }

    /// The session id that the node told.
    pub fn id(&self) -> Option<&[u8]> {
        soap::id(&self.first)
    }

    /// What is wrong with it, for a request of this session. A session that has no node yet takes any.
    pub fn wrong(&self, session: &Session) -> Option<Wrong> {
        match self.status {
            200 => {}
            500 => return Some(Wrong::Session),
            _ => return Some(Wrong::Status),
        }
        if session.node != 0 && session.node != self.node {
            return Some(Wrong::Node);
        }
        let whole = self.bytes == self.asked_bytes && self.last == ANSWER_END && self.received_bytes == self.sent_bytes;
        let ours = soap::serial(&self.first, b"RelatesTo") == Some(self.serial)
            && (session.id.is_empty() || self.id() == Some(&session.id));
        (!whole || !ours).then_some(Wrong::Content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::{Filler, answer};

    /// An answer to request 7 of node 2's session `a`, with some of it changed.
    fn check(change: impl FnOnce(&mut Answer, &mut Vec<u8>), expected: Option<Wrong>) {
        let mut body = Vec::new();
        answer(&mut body, 7, b"a");
        let filler = Filler::of_answers(1024);
        let rest = 1024 - body.len();
        body.extend_from_slice(filler.tail(rest));
        let mut answer = Answer {
            serial: 7,
            asked_bytes: 1024,
            sent_bytes: 10,
            status: 200,
            node: 2,
            received_bytes: 10,
            ..Answer::default()
        };
        change(&mut answer, &mut body);
        for piece in body.chunks(10) {
            answer.body(piece);
        }
        assert_eq!(answer.wrong(&Session { id: b"a".to_vec(), cookies: Vec::new(), node: 2 }), expected);
    }

    #[test]
    fn every_answer_is_checked() {
        check(|_, _| (), None);
        check(|answer, _| answer.status = 500, Some(Wrong::Session));
        check(|answer, _| answer.status = 502, Some(Wrong::Status));
        check(|answer, _| answer.node = 1, Some(Wrong::Node));
        check(|answer, _| answer.serial = 8, Some(Wrong::Content));
        check(|answer, _| answer.received_bytes = 9, Some(Wrong::Content));
        check(|_, body| body.truncate(1000), Some(Wrong::Content));
        check(|_, body| *body.last_mut().unwrap() = b'x', Some(Wrong::Content));
    }
}
