//! Just enough of HTTP/1.1: heads, header values and the two framings of a body.

use memchr::memmem;

/// Heads beyond are not ours.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The value of a header of a raw head, from its first line to the blank one.
pub fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    headers(head).find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
}

/// Names and values of a raw head.
pub fn headers(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    head.split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}

/// The number that some bytes begin with; 0 where they begin with none.
pub fn number(text: &[u8]) -> u64 {
    text.iter().take_while(|byte| byte.is_ascii_digit()).fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0'))
}

/// Reads one message after another off a connection.
#[derive(Debug, Default)]
pub struct Reader {
    head: Vec<u8>,
    framing: Option<Framing>,
}

/// How far a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked { at: Chunk, left: u64 },
    Ended,
}

/// Where in the chunked coding a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    Size,
    SizeEnd,
    Data,
    DataEnd,
    Trailer,
    TrailerEnd,
}

impl Reader {
    /// Takes what was received; how much of it belongs to this message. `body` gets the pieces of its body.
    pub fn push(&mut self, data: &[u8], body: impl FnMut(&[u8])) -> usize {
        let mut used = 0;
        let framing = match &mut self.framing {
            Some(framing) => framing,
            None => {
                let before = self.head.len();
                self.head.extend_from_slice(&data[..data.len().min(HEAD_BYTES_MAX)]);
                let Some(end) = memmem::find(&self.head[before.saturating_sub(3)..], b"\r\n\r\n") else {
                    return data.len();
                };
                self.head.truncate(before.saturating_sub(3) + end + 4);
                used = self.head.len() - before;
                self.framing.insert(Framing::of(&self.head))
            }
        };
        used + framing.push(&data[used..], body)
    }

    /// The head, once it is complete.
    pub fn head(&self) -> Option<&[u8]> {
        self.framing.is_some().then_some(&self.head)
    }

    /// Whether the message has ended.
    pub fn is_complete(&self) -> bool {
        self.framing == Some(Framing::Ended)
    }

    /// Whether nothing of the message has come.
    pub fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// On to the next message.
    pub fn clear(&mut self) {
        self.head.clear();
        self.framing = None;
    }
}

impl Framing {
    fn of(head: &[u8]) -> Self {
        if header(head, "transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
            return Self::Chunked { at: Chunk::Size, left: 0 };
        }
        match header(head, "content-length").map(number) {
            Some(length) if length > 0 => Self::Length(length),
            _ => Self::Ended,
        }
    }

    fn push(&mut self, data: &[u8], mut body: impl FnMut(&[u8])) -> usize {
        let mut used = 0;
        loop {
            let rest = &data[used..];
            match self {
                Self::Ended => return used,
                _ if rest.is_empty() => return used,
                Self::Length(left) => {
                    let piece = &rest[..rest.len().min(*left as usize)];
                    body(piece);
                    used += piece.len();
                    *left -= piece.len() as u64;
                    if *left == 0 {
                        *self = Self::Ended;
                    }
                }
                Self::Chunked { at: at @ Chunk::Data, left } => {
                    let piece = &rest[..rest.len().min(*left as usize)];
                    body(piece);
                    used += piece.len();
                    *left -= piece.len() as u64;
                    if *left == 0 {
                        *at = Chunk::DataEnd;
                    }
                }
                Self::Chunked { at, left } => {
                    let byte = rest[0];
                    used += 1;
                    *at = match (*at, byte) {
                        (Chunk::Size, b'\n') | (Chunk::SizeEnd, b'\n') if *left == 0 => Chunk::Trailer,
                        (Chunk::Size, b'\n') | (Chunk::SizeEnd, b'\n') => Chunk::Data,
                        (Chunk::Size, _) => match (byte as char).to_digit(16) {
                            Some(digit) => {
                                *left = *left * 16 + u64::from(digit);
                                Chunk::Size
                            }
                            None => Chunk::SizeEnd,
                        },
                        (Chunk::DataEnd, b'\n') => Chunk::Size,
                        (Chunk::TrailerEnd, b'\n') => Chunk::Trailer,
                        (Chunk::Trailer, b'\n') => {
                            *self = Self::Ended;
                            return used;
                        }
                        (Chunk::Trailer, b'\r') => Chunk::Trailer,
                        (Chunk::Trailer, _) => Chunk::TrailerEnd,
                        (other, _) => other,
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However a message is cut, it reads the same.
    fn check(message: &str, body: &str, rest: &str) {
        let bytes = message.as_bytes();
        for cut in 0..=bytes.len() {
            let (mut reader, mut got, mut left) = (Reader::default(), Vec::new(), Vec::new());
            for piece in [&bytes[..cut], &bytes[cut..]] {
                let used =
                    if reader.is_complete() { 0 } else { reader.push(piece, |data| got.extend_from_slice(data)) };
                left.extend_from_slice(&piece[used..]);
            }
            assert!(reader.is_complete(), "cut at {cut}");
            assert_eq!((got, left), (body.into(), rest.into()), "cut at {cut}");
        }
    }

    #[test]
    fn a_message_with_a_length_ends_there() {
        check("POST / HTTP/1.1\r\ncontent-Length: 5\r\n\r\nhelloGET", "hello", "GET");
    }

    #[test]
    fn a_chunked_message_ends_behind_its_trailers() {
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\nHT",
            "hello0123456789abcdef",
            "HT",
        );
    }

    #[test]
    fn a_message_without_either_has_no_body() {
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\nG", "", "G");
    }
}
