//! Reads a connection's bytes the way a listener does, and writes down what it saw.

use castile::head::{Fields, Request, Response, connection};
use castile::proxy::h1::{BodyDecoder, Framing, HeadLimits, HeadSearch, request_framing, response_framing};

/// Names and values, in order.
pub type Lines = Vec<(Vec<u8>, Vec<u8>)>;

/// One message that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub start: Vec<u8>,
    pub fields: Lines,
    pub framing: Framing,
    pub body: Vec<u8>,
    pub trailers: Lines,
}

/// How the reading ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Between two messages, or after one that closes the connection.
    Clean,
    /// Within a head.
    InHead,
    /// Within a body that is sound so far; the body up to there.
    InBody(Vec<u8>),
    /// A head was refused with this status.
    Head(u16),
    /// A body was refused.
    Body,
}

/// All messages of a connection and how they ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    pub messages: Vec<Message>,
    pub end: End,
}

/// Which side's messages are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Requests,
    /// Answers to requests with this method.
    Responses(&'static str),
}

/// Reads `input`, of which at first one byte is there, then up to the first of `cuts`, and so on, then all.
pub fn read(side: Side, input: &[u8], cuts: &[usize]) -> Transcript {
    let mut arrivals = cuts.iter().copied().filter(|cut| *cut <= input.len()).chain([input.len()]);
    let mut messages = Vec::new();
    let (mut at, mut there) = (0, 0);
    let limits = HeadLimits::default();
    let mut search = HeadSearch::default();
    let (mut request, mut response) = (Request::new(), Response::new());
    'messages: loop {
        let (start, fields, framing, keep) = loop {
            let found = match side {
                Side::Requests => search.request(&input[at..there], &limits, &mut request),
                Side::Responses(_) => search.response(&input[at..there], &limits, &mut response),
            };
            match found {
                Err(error) => return Transcript { messages, end: End::Head(error.status()) },
                Ok(Some(length)) => {
                    at += length;
                    let judged = match side {
                        Side::Requests => request_framing(&request),
                        Side::Responses(method) => response_framing(&response, method.as_bytes()),
                    };
                    let framing = match judged {
                        Ok(framing) => framing,
                        Err(error) => return Transcript { messages, end: End::Head(error.status()) },
                    };
                    break match side {
                        Side::Requests => {
                            let start = [request.method(), b" ", request.target()].concat();
                            let keep = connection::keep_alive(request.version, request.fields());
                            (start, lines(request.fields()), framing, keep)
                        }
                        Side::Responses(_) => {
                            let start = [response.status.to_string().as_bytes(), b" ", response.reason()].concat();
                            (start, lines(response.fields()), framing, response.is_interim())
                        }
                    };
                }
                Ok(None) => match arrivals.next() {
                    Some(more) => there = there.max(more),
                    None if search.has_begun() => return Transcript { messages, end: End::InHead },
                    None => return Transcript { messages, end: End::Clean },
                },
            }
        };
        let mut decoder = match side {
            Side::Requests => BodyDecoder::new(framing),
            Side::Responses(_) => BodyDecoder::for_response(framing),
        };
        let mut body = Vec::new();
        while !decoder.is_done() {
            let Ok(step) = decoder.decode(&input[at..there]) else {
                return Transcript { messages, end: End::Body };
            };
            body.extend_from_slice(&input[at..there][step.data]);
            at += step.consumed;
            if step.consumed == 0 {
                match arrivals.next() {
                    Some(more) => there = there.max(more),
                    None if decoder.end_of_input().is_ok() => break,
                    None => return Transcript { messages, end: End::InBody(body) },
                }
            }
        }
        let trailers = decoder.trailers().map(lines).unwrap_or_default();
        messages.push(Message { start, fields, framing, body, trailers });
        if !keep {
            break 'messages;
        }
    }
    Transcript { messages, end: End::Clean }
}

pub fn lines(fields: &Fields) -> Lines {
    fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}
