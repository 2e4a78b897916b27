//! Frames and messages: bytes in, whole messages out.
//!
//! A frame is a length (4 bytes, little-endian, itself and the flags included), flags (2 bytes) and a payload; a message is the frames
//! up to one that is [`FINAL`]. Its first frame has the type, the number of the call and values of fixed
//! size; strings, keys, lists and the like have frames of their own, between [`BEGIN`] and [`END`] where they nest.
//!
//! Pure, and bounded: whatever a member sends, no more than [`MESSAGE_BYTES_MAX`] are kept, twice that with fragments.

use bytes::{Buf, Bytes, BytesMut};

/// The first frame of a message, or of its first fragment.
pub const BEGIN_FRAGMENT: u16 = 1 << 15;
/// The first frame of a message, or of its last fragment.
pub const END_FRAGMENT: u16 = 1 << 14;
/// The last frame.
pub const FINAL: u16 = 1 << 13;
/// A structure or a list begins.
pub const BEGIN: u16 = 1 << 12;
/// It ends.
pub const END: u16 = 1 << 11;
/// Nothing stands here.
pub const NULL: u16 = 1 << 10;
/// The message is an event, not the answer to a call.
pub const EVENT: u16 = 1 << 9;

/// What a client sends first.
pub const PREAMBLE: &[u8] = b"CP2";
/// Length and flags.
pub const HEADER_BYTES: usize = 6;
/// The largest message: thousands of entries, a cluster of hundreds of members. A larger one ends the connection.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// What one read should have room for: many small answers.
const READ_BYTES: usize = 8 << 10;
/// Fragmented messages that may be under way at once.
const GATHERING_MAX: usize = 16;

/// Type, number of the call, and a byte of what depends on the direction.
const FIRST_FRAME_BYTES_MIN: usize = 13;

/// Why what a member sends is no message of this protocol. The connection is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A length below that of length and flags.
    #[error("a frame of {0} bytes; is this the port of a Hazelcast member 4.x or 5.x?")]
    FrameLength(u32),
    /// A message beyond [`MESSAGE_BYTES_MAX`].
    #[error("a message of more than {MESSAGE_BYTES_MAX} bytes")]
    TooLarge,
    /// A first frame without the flags or values of one.
    #[error("a message without a beginning")]
    NoBeginning,
    /// A fragment of no message, or of too many.
    #[error("a fragment out of place")]
    Fragment,
}

/// Where a frame's payload stands in its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    flags: u16,
    from: u32,
    to: u32,
}

/// A whole message. It has a first frame, with the type and the number of the call at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    bytes: Bytes,
    frames: Vec<Span>,
}

impl Message {
    /// What kind of message it is.
    pub fn kind(&self) -> u32 {
        u32::from_le_bytes(self.first_bytes(0))
    }

    /// The number of the call that it answers, or that asked for this event.
    pub fn correlation(&self) -> i64 {
        i64::from_le_bytes(self.first_bytes(4))
    }

    /// Whether it is an event.
    pub fn is_event(&self) -> bool {
        self.frames[0].flags & EVENT != 0
    }

    /// The payload of the first frame.
    pub fn first(&self) -> &[u8] {
        &self.bytes[self.frames[0].from as usize..self.frames[0].to as usize]
    }

    /// The flags and payload of a frame, the first one is 0.
    pub fn frame(&self, at: usize) -> Option<(u16, Bytes)> {
        let span = self.frames.get(at)?;
        Some((span.flags, self.bytes.slice(span.from as usize..span.to as usize)))
    }

    /// The flags of a frame.
    pub fn flags(&self, at: usize) -> Option<u16> {
        self.frames.get(at).map(|span| span.flags)
    }

    /// How many frames there are.
    pub fn frames(&self) -> usize {
        self.frames.len()
    }

    fn first_bytes<const N: usize>(&self, from: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.first()[from..from + N]);
        bytes
    }
}

/// Makes messages of bytes in any pieces.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    /// The frames of the message that the buffer begins with, as far as they have come.
    frames: Vec<Span>,
    /// Where the next frame begins.
    at: usize,
    gathering: Vec<Gathering>,
}

/// A message that comes in fragments.
#[derive(Debug)]
struct Gathering {
    id: [u8; 8],
    bytes: BytesMut,
    frames: Vec<Span>,
}

impl Decoder {
    /// Where what is received is appended.
    pub fn buffer(&mut self) -> &mut BytesMut {
        // Without room a read would get a few dozen bytes.
        self.buffer.reserve(READ_BYTES);
        &mut self.buffer
    }

    /// Takes what was received.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message that has come whole.
    ///
    /// # Errors
    /// When the bytes cannot become one. The decoder is of no use any more.
    pub fn take(&mut self) -> Result<Option<Message>, WireError> {
        while let Some(message) = self.unit()? {
            let flags = message.frames[0].flags;
            if flags & BEGIN_FRAGMENT != 0 && flags & END_FRAGMENT != 0 {
                return checked(message).map(Some);
            }
            if let Some(whole) = self.gather(message)? {
                return checked(whole).map(Some);
            }
        }
        Ok(None)
    }

    /// The frames up to the next final one: a message or a fragment.
    fn unit(&mut self) -> Result<Option<Message>, WireError> {
        while let Some(header) = self.buffer.get(self.at..self.at + HEADER_BYTES) {
            let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
            let flags = u16::from_le_bytes([header[4], header[5]]);
            let bytes = length as usize;
            if bytes < HEADER_BYTES || length > i32::MAX as u32 {
                return Err(WireError::FrameLength(length));
            }
            let end = self.at + bytes;
            if end > MESSAGE_BYTES_MAX {
                return Err(WireError::TooLarge);
            }
            if self.buffer.len() < end {
                return Ok(None);
            }
            self.frames.push(Span { flags, from: (self.at + HEADER_BYTES) as u32, to: end as u32 });
            self.at = end;
            if flags & FINAL != 0 {
                self.at = 0;
                let frames = std::mem::take(&mut self.frames);
                return Ok(Some(Message { bytes: self.buffer.split_to(end).freeze(), frames }));
            }
        }
        Ok(None)
    }

    /// Puts a fragment to those of its message; that message with its last one.
    fn gather(&mut self, fragment: Message) -> Result<Option<Message>, WireError> {
        let id: [u8; 8] = fragment.first().try_into().map_err(|_| WireError::Fragment)?;
        let flags = fragment.frames[0].flags;
        let known = self.gathering.iter().position(|gathering| gathering.id == id);
        let at = match known {
            Some(at) if flags & BEGIN_FRAGMENT == 0 => at,
            None if flags & BEGIN_FRAGMENT != 0 && self.gathering.len() < GATHERING_MAX => {
                self.gathering.push(Gathering { id, bytes: BytesMut::new(), frames: Vec::new() });
                self.gathering.len() - 1
            }
            _ => return Err(WireError::Fragment),
        };
        let begins = fragment.frames[0].to as usize;
        let all: usize = self.gathering.iter().map(|gathering| gathering.bytes.len()).sum();
        if all + fragment.bytes.len() - begins > MESSAGE_BYTES_MAX {
            return Err(WireError::TooLarge);
        }
        let gathering = &mut self.gathering[at];
        let shift = |place: u32| (place as usize - begins + gathering.bytes.len()) as u32;
        gathering.frames.extend(fragment.frames[1..].iter().map(|span| Span {
            // Each fragment has a last frame; of the message only one is.
            flags: span.flags & !FINAL,
            from: shift(span.from),
            to: shift(span.to),
        }));
        let mut rest = fragment.bytes;
        rest.advance(begins);
        gathering.bytes.extend_from_slice(&rest);
        if flags & END_FRAGMENT == 0 {
            return Ok(None);
        }
        let whole = self.gathering.swap_remove(at);
        Ok(Some(Message { bytes: whole.bytes.freeze(), frames: whole.frames }))
    }
}

/// A message with a first frame that can be one.
fn checked(message: Message) -> Result<Message, WireError> {
    let first = message.frames.first().ok_or(WireError::NoBeginning)?;
    let bytes = (first.to - first.from) as usize;
    if bytes < FIRST_FRAME_BYTES_MIN { Err(WireError::NoBeginning) } else { Ok(message) }
}
