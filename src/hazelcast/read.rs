//! What messages hold, read in order.
//!
//! Newer members put more values behind those that older ones know; so structures are left by [`Frames::end`], which passes over whatever
//! was not asked for.

use bytes::Bytes;

use super::data::{DATA_HEADER_BYTES, Data};
use super::uuid::{UUID_BYTES, Uuid};
use super::wire::{BEGIN, END, Message, NULL};

/// Why a message does not hold what its type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The first frame ends before a value.
    #[error("its first frame is too short")]
    Fixed,
    /// There is no further frame.
    #[error("it ends too early")]
    Ended,
    /// A frame of another kind.
    #[error("a frame is of another kind than expected")]
    Kind,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    Text,
}

/// Values of fixed size, by their places.
#[derive(Debug, Clone, Copy)]
pub struct Fixed<'a>(pub &'a [u8]);

impl Fixed<'_> {
    fn take<const N: usize>(&self, at: usize) -> Result<[u8; N], Malformed> {
        self.0.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).ok_or(Malformed::Fixed)
    }

    /// A byte, or a boolean.
    pub fn u8(&self, at: usize) -> Result<u8, Malformed> {
        Ok(self.take::<1>(at)?[0])
    }

    /// A number of 4 bytes.
    pub fn i32(&self, at: usize) -> Result<i32, Malformed> {
        Ok(i32::from_le_bytes(self.take(at)?))
    }

    /// An id, which may be null.
    pub fn uuid(&self, at: usize) -> Result<Option<Uuid>, Malformed> {
        Ok(Uuid::read(&self.take::<UUID_BYTES>(at)?))
    }
}

/// The frames of a message behind its first one.
#[derive(Debug)]
pub struct Frames<'a> {
    message: &'a Message,
    at: usize,
}

impl<'a> Frames<'a> {
    /// Begins behind the first frame.
    pub fn of(message: &'a Message) -> Self {
        Self { message, at: 1 }
    }

    fn flags(&self) -> Result<u16, Malformed> {
        self.message.flags(self.at).ok_or(Malformed::Ended)
    }

    /// The payload of the next frame, which is a value and not null.
    pub fn value(&mut self) -> Result<Bytes, Malformed> {
        let (flags, payload) = self.message.frame(self.at).ok_or(Malformed::Ended)?;
        if flags & (BEGIN | END | NULL) != 0 {
            return Err(Malformed::Kind);
        }
        self.at += 1;
        Ok(payload)
    }

    /// Whether null stands next; it is passed over.
    pub fn null(&mut self) -> Result<bool, Malformed> {
        let is_null = self.flags()? & NULL != 0;
        self.at += usize::from(is_null);
        Ok(is_null)
    }

    /// Enters a structure or a list.
    pub fn begin(&mut self) -> Result<(), Malformed> {
        if self.flags()? & BEGIN == 0 {
            return Err(Malformed::Kind);
        }
        self.at += 1;
        Ok(())
    }

    /// Whether what was entered ends here.
    pub fn is_end(&self) -> Result<bool, Malformed> {
        Ok(self.flags()? & END != 0)
    }

    /// Leaves what was entered last, with everything still in it.
    pub fn end(&mut self) -> Result<(), Malformed> {
        let mut depth = 1usize;
        while depth > 0 {
            let flags = self.flags()?;
            self.at += 1;
            if flags & BEGIN != 0 {
                depth += 1;
            } else if flags & END != 0 {
                depth -= 1;
            }
        }
        Ok(())
    }

    /// The parts of a list, each read by `part`.
    pub fn list<T>(&mut self, mut part: impl FnMut(&mut Self) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        self.begin()?;
        let mut found = Vec::new();
        while !self.is_end()? {
            found.push(part(self)?);
        }
        self.end()?;
        Ok(found)
    }

    /// A string.
    pub fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.value()?.into()).map_err(|_| Malformed::Text)
    }

    /// A string, which may be null.
    pub fn optional_text(&mut self) -> Result<Option<String>, Malformed> {
        if self.null()? { Ok(None) } else { self.text().map(Some) }
    }

    /// A key or a value.
    pub fn data(&mut self) -> Result<Data, Malformed> {
        let payload = self.value()?;
        if payload.len() < DATA_HEADER_BYTES { Err(Malformed::Kind) } else { Ok(Data::received(payload)) }
    }

    /// A key or a value, which may be null.
    pub fn optional_data(&mut self) -> Result<Option<Data>, Malformed> {
        if self.null()? { Ok(None) } else { self.data().map(Some) }
    }
}
