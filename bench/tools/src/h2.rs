//! The generator's HTTP/2 (RFC 9113): several requests at once on a connection.
//!
//! Headers that never change are put into the peer's table by the first request and named by number from then on, as
//! real clients do.

use std::io::{self, ErrorKind};

use loona_hpack::Decoder;

use crate::answer::{Answer, Request};
use crate::http::number;
use crate::link::Outgoing;
use crate::soap::{self, Filler};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD_BYTES: usize = 9;
/// The most that every peer takes in one frame.
const FRAME_BYTES_MAX: usize = 16 * 1024;
/// What a peer may send on a stream; more than any answer has.
const STREAM_WINDOW: u32 = 64 << 20;
/// What it may send on the connection, given back by halves.
const CONNECTION_WINDOW: u32 = 1 << 30;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// Names (by their number in the static table, RFC 7541 appendix A, or spelled) and values that never change.
const CONSTANT: [(u8, &str, &str); 5] = [
    (4, ":path", "/services/Echo"),
    (1, ":authority", "127.0.0.1"),
    (31, "content-type", "text/xml;charset=UTF-8"),
    (58, "user-agent", "Axis2"),
    (0, "soapaction", "\"urn:echo\""),
];

/// A connection's state.
#[derive(Debug)]
pub struct H2 {
    /// Frames that have not gone.
    pub outgoing: Outgoing,
    received: Vec<u8>,
    decoder: Hpack,
    header_block: Vec<u8>,
    streams: Vec<Option<Stream>>,
    next_stream: u32,
    window: i64,
    stream_window: i64,
    consumed: u32,
    is_indexed: bool,
}

/// Hides a decoder that has no Debug.
struct Hpack(Decoder<'static>);

impl std::fmt::Debug for Hpack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hpack")
    }
}

#[derive(Debug)]
struct Stream {
    id: u32,
    answer: Answer,
    body: Vec<u8>,
    sent: usize,
    window: i64,
}

impl H2 {
    /// A new connection for so many requests at once.
    pub fn new(streams: usize) -> Self {
        let mut outgoing = Outgoing::default();
        let out = outgoing.bytes();
        out.extend_from_slice(PREFACE);
        let mut settings = Vec::new();
        // No push; windows that are never in the way.
        for (id, value) in [(2_u16, 0_u32), (4, STREAM_WINDOW)] {
            settings.extend_from_slice(&id.to_be_bytes());
            settings.extend_from_slice(&value.to_be_bytes());
        }
        frame(out, SETTINGS, 0, 0, &settings);
        frame(out, WINDOW_UPDATE, 0, 0, &(CONNECTION_WINDOW - 65_535).to_be_bytes());
        Self {
            outgoing,
            received: Vec::new(),
            decoder: Hpack(Decoder::new()),
            header_block: Vec::new(),
            streams: (0..streams).map(|_| None).collect(),
            next_stream: 1,
            window: 65_535,
            stream_window: 65_535,
            consumed: 0,
            is_indexed: false,
        }
    }

    /// Writes a request.
    pub fn start(&mut self, slot: usize, request: &Request, filler: &Filler) {
        let mut body = Vec::with_capacity(request.bytes);
        soap::request(&mut body, request.serial, &request.session.id);
        let rest = request.bytes.saturating_sub(body.len());
        body.extend_from_slice(filler.tail(rest));
        let mut block = vec![0x83, 0x86];
        for (at, (index, name, value)) in CONSTANT.iter().enumerate() {
            if self.is_indexed {
                // The last that entered has number 62.
                block.push(0x80 | (62 + CONSTANT.len() - 1 - at) as u8);
            } else {
                literal(&mut block, 0x40, 6, *index, name, value.as_bytes());
            }
        }
        self.is_indexed = true;
        literal(&mut block, 0, 4, 28, "content-length", request.bytes.to_string().as_bytes());
        if request.answer_bytes != 1024 {
            literal(&mut block, 0, 4, 0, "x-answer-bytes", request.answer_bytes.to_string().as_bytes());
        }
        if !request.session.cookies.is_empty() {
            literal(&mut block, 0, 4, 32, "cookie", &request.session.cookies);
        }
        let id = self.next_stream;
        self.next_stream += 2;
        frame(self.outgoing.bytes(), HEADERS, END_HEADERS, id, &block);
        let answer = Answer::to(request);
        self.streams[slot] = Some(Stream { id, answer, body, sent: 0, window: self.stream_window });
        self.send_bodies();
    }

    /// Takes what was received.
    ///
    /// # Errors
    ///
    /// When the peer breaks off or says what we do not understand.
    pub fn receive(&mut self, data: &[u8], finished: &mut Vec<(usize, Answer)>) -> io::Result<()> {
        self.received.extend_from_slice(data);
        let received = std::mem::take(&mut self.received);
        let mut rest = &received[..];
        while let Some((head, after)) = rest.split_at_checked(FRAME_HEAD_BYTES) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
            let Some((payload, next)) = after.split_at_checked(length) else { break };
            self.frame(head[3], head[4], stream, payload, finished)?;
            rest = next;
        }
        self.received = rest.to_vec();
        self.send_bodies();
        Ok(())
    }

    fn frame(
        &mut self,
        kind: u8,
        flags: u8,
        id: u32,
        payload: &[u8],
        finished: &mut Vec<(usize, Answer)>,
    ) -> io::Result<()> {
        match kind {
            DATA => {
                self.consumed += payload.len() as u32;
                if self.consumed > CONNECTION_WINDOW / 2 {
                    frame(self.outgoing.bytes(), WINDOW_UPDATE, 0, 0, &self.consumed.to_be_bytes());
                    self.consumed = 0;
                }
                if let Some((_, stream)) = self.stream(id) {
                    stream.answer.body(unpadded(flags, payload)?);
                }
                self.end(flags, id, finished)
            }
            HEADERS => {
                let block = unpadded(flags, payload)?;
                let skip = if flags & PRIORITY != 0 { 5 } else { 0 };
                self.header_block = block.get(skip..).ok_or(ErrorKind::InvalidData)?.to_vec();
                self.headers(flags, id)?;
                self.end(flags, id, finished)
            }
            CONTINUATION => {
                self.header_block.extend_from_slice(payload);
                self.headers(flags, id)
            }
            RESET | GO_AWAY => Err(io::Error::new(ErrorKind::ConnectionReset, format!("frame {kind}: {payload:?}"))),
            SETTINGS if flags & ACK == 0 => {
                for setting in payload.chunks_exact(6) {
                    self.setting(number_of(&setting[..2]), number_of(&setting[2..]))?;
                }
                frame(self.outgoing.bytes(), SETTINGS, ACK, 0, &[]);
                Ok(())
            }
            PING if flags & ACK == 0 => {
                frame(self.outgoing.bytes(), PING, ACK, 0, payload);
                Ok(())
            }
            WINDOW_UPDATE => {
                let more = i64::from(number_of(payload));
                match self.stream(id) {
                    _ if id == 0 => self.window += more,
                    Some((_, stream)) => stream.window += more,
                    None => {}
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn setting(&mut self, id: u32, value: u32) -> io::Result<()> {
        match id {
            // Our table of constants must have room.
            1 if value < 512 => Err(io::Error::other("the peer has no header table")),
            4 => {
                let change = i64::from(value) - self.stream_window;
                self.stream_window = i64::from(value);
                self.streams.iter_mut().flatten().for_each(|stream| stream.window += change);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn headers(&mut self, flags: u8, id: u32) -> io::Result<()> {
        if flags & END_HEADERS == 0 {
            return Ok(());
        }
        let fields =
            self.decoder.0.decode(&self.header_block).map_err(|error| io::Error::other(format!("{error:?}")))?;
        if let Some((_, stream)) = self.stream(id) {
            for (name, value) in &fields {
                if name == b":status" {
                    stream.answer.status = number(value) as u16;
                } else {
                    stream.answer.header(name, value);
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, flags: u8, id: u32, finished: &mut Vec<(usize, Answer)>) -> io::Result<()> {
        if flags & END_STREAM != 0
            && let Some((slot, _)) = self.stream(id)
            && let Some(stream) = self.streams[slot].take()
        {
            if stream.sent < stream.body.len() {
                return Err(io::Error::other("an answer before the request had gone"));
            }
            finished.push((slot, stream.answer));
        }
        Ok(())
    }

    fn stream(&mut self, id: u32) -> Option<(usize, &mut Stream)> {
        let found = self.streams.iter_mut().enumerate();
        found.filter_map(|(slot, stream)| Some((slot, stream.as_mut()?))).find(|(_, stream)| stream.id == id)
    }

    /// Writes what the windows allow.
    fn send_bodies(&mut self) {
        for stream in self.streams.iter_mut().flatten() {
            while stream.sent < stream.body.len() {
                let room = self.window.min(stream.window).clamp(0, FRAME_BYTES_MAX as i64) as usize;
                let piece = &stream.body[stream.sent..];
                let piece = &piece[..piece.len().min(room)];
                if piece.is_empty() {
                    break;
                }
                stream.sent += piece.len();
                stream.window -= piece.len() as i64;
                self.window -= piece.len() as i64;
                let flags = if stream.sent == stream.body.len() { END_STREAM } else { 0 };
                frame(self.outgoing.bytes(), DATA, flags, stream.id, piece);
            }
        }
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A header field in full (RFC 7541 §6.2), its name by number or, where that is 0, spelled.
fn literal(out: &mut Vec<u8>, pattern: u8, bits: u8, index: u8, name: &str, value: &[u8]) {
    integer(out, pattern, bits, index.into());
    if index == 0 {
        integer(out, 0, 7, name.len());
        out.extend_from_slice(name.as_bytes());
    }
    integer(out, 0, 7, value.len());
    out.extend_from_slice(value);
}

/// RFC 7541 §5.1.
fn integer(out: &mut Vec<u8>, pattern: u8, bits: u8, number: usize) {
    let most = (1 << bits) - 1;
    if number < most {
        return out.push(pattern | number as u8);
    }
    out.push(pattern | most as u8);
    let mut rest = number - most;
    while rest >= 128 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn unpadded(flags: u8, payload: &[u8]) -> io::Result<&[u8]> {
    if flags & PADDED == 0 {
        return Ok(payload);
    }
    let (padding, rest) = payload.split_first().ok_or(ErrorKind::InvalidData)?;
    Ok(rest.get(..rest.len().saturating_sub(usize::from(*padding))).ok_or(ErrorKind::InvalidData)?)
}

fn number_of(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Session;

    /// The header blocks of our frames, as another decoder reads them.
    fn decoded(bytes: &[u8], decoder: &mut Decoder) -> Vec<Vec<(String, String)>> {
        let (mut rest, mut blocks) = (bytes, Vec::new());
        while let Some((head, after)) = rest.split_at_checked(FRAME_HEAD_BYTES) {
            let (payload, next) = after.split_at(number_of(&head[..3]) as usize);
            if head[3] == HEADERS {
                let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
                let fields = decoder.decode(payload).unwrap();
                blocks.push(fields.into_iter().map(|(name, value)| (text(name), text(value))).collect());
            }
            rest = next;
        }
        blocks
    }

    #[test]
    fn the_second_request_says_the_same_in_fewer_bytes() {
        let (mut wire, filler) = (H2::new(2), Filler::of_requests(2048));
        let skip = wire.outgoing.bytes().len();
        let session = Session { cookies: b"a=b".to_vec(), ..Session::default() };
        let request = Request { serial: 1, session: &session, bytes: 1024, answer_bytes: 1024, cookies_wanted: false };
        wire.start(0, &request, &filler);
        let first = wire.outgoing.bytes().len() - skip;
        wire.start(1, &request, &filler);
        let second = wire.outgoing.bytes().len() - skip - first;
        assert!(second < first - 60, "{first} and {second} bytes");
        let blocks = decoded(&wire.outgoing.bytes()[PREFACE.len()..], &mut Decoder::new());
        assert_eq!(blocks.len(), 2);
        assert_eq!(blocks[0], blocks[1]);
        for (_, name, value) in CONSTANT {
            assert!(blocks[0].contains(&(name.to_string(), value.to_string())), "{name}");
        }
        assert!(blocks[0].contains(&("content-length".to_string(), "1024".to_string())));
        assert!(blocks[0].contains(&("cookie".to_string(), "a=b".to_string())));
    }

    #[test]
    fn a_body_waits_for_its_window() {
        let (mut wire, filler) = (H2::new(1), Filler::of_requests(1 << 20));
        let session = Session::default();
        let request =
            Request { serial: 1, session: &session, bytes: 100_000, answer_bytes: 1024, cookies_wanted: false };
        wire.start(0, &request, &filler);
        let sent = |wire: &H2| wire.streams[0].as_ref().map_or(0, |stream| stream.sent);
        assert_eq!(sent(&wire), 65_535);
        let mut update = Vec::new();
        frame(&mut update, WINDOW_UPDATE, 0, 0, &100_000_u32.to_be_bytes());
        frame(&mut update, WINDOW_UPDATE, 0, 1, &10_000_u32.to_be_bytes());
        let (one, other) = update.split_at(5);
        wire.receive(one, &mut Vec::new()).unwrap();
        wire.receive(other, &mut Vec::new()).unwrap();
        assert_eq!(sent(&wire), 75_535);
    }
}
