//! Takes a body out of its framing.

use std::ops::Range;

use super::chunked::Chunked;
use super::{BodyError, Framing};
use crate::head::Fields;

/// What [`BodyDecoder::decode`] found in its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// So many bytes of the input are used up; hand in the rest next time, with what has arrived since.
    pub consumed: usize,
    /// Where body bytes lie in the input, within the first `consumed`. Empty where there were none.
    pub data: Range<usize>,
    /// The body is whole; what follows in the input belongs to the next message.
    pub done: bool,
}

/// Takes the body of one message out of its framing, without copying it.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
}

#[derive(Debug)]
enum State {
    Done,
    Length(u64),
    Close,
    Chunked(Chunked),
}

impl BodyDecoder {
    /// Bytes of chunk extensions in one body. Nobody uses them; without a bound one could hide any amount of data there.
    pub const EXTENSION_BYTES_MAX: usize = 16 * 1024;
    /// Bytes of a trailer section.
    pub const TRAILER_BYTES_MAX: usize = 16 * 1024;
    /// Lines of a trailer section.
    pub const TRAILER_FIELDS_MAX: usize = 64;

    /// A decoder for the body of a request.
    pub fn new(framing: Framing) -> Self {
        Self::with(framing, false)
    }

    /// A decoder for the body of a response: blanks between a chunk's size and the end of its line are passed over.
    /// Servers derived from Apache 1.3 pad sizes, and as our own chunks go out, nobody can read them differently.
    pub fn for_response(framing: Framing) -> Self {
        Self::with(framing, true)
    }

    fn with(framing: Framing, padded_sizes: bool) -> Self {
        let state = match framing {
            Framing::Empty | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Close => State::Close,
            Framing::Chunked => State::Chunked(Chunked::new(padded_sizes)),
        };
        Self { state }
    }

    /// Takes the next piece of body out of `input`.
    ///
    /// One call yields at most one range of data. Call again with `&input[step.consumed..]` until `step.done`, or until all is
    /// consumed and more has arrived.
    ///
    /// # Errors
    ///
    /// Broken framing. The connection is then of no more use, and neither is the decoder.
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, BodyError> {
        match &mut self.state {
            State::Done => Ok(Step { consumed: 0, data: 0..0, done: true }),
            State::Close => Ok(Step { consumed: input.len(), data: 0..input.len(), done: false }),
            State::Length(remaining) => {
                let take = usize::try_from(*remaining).unwrap_or(usize::MAX).min(input.len());
                *remaining -= take as u64;
                let done = *remaining == 0;
                if done {
                    self.state = State::Done;
                }
                Ok(Step { consumed: take, data: 0..take, done })
            }
            State::Chunked(chunked) => chunked.decode(input),
        }
    }

    /// The connection has ended: was the body whole?
    ///
    /// # Errors
    ///
    /// [`BodyError::Truncated`] where framing had promised more. A body that ends with its connection is whole.
    pub fn end_of_input(&mut self) -> Result<(), BodyError> {
        if matches!(self.state, State::Close) {
            self.state = State::Done;
        }
        if self.is_done() { Ok(()) } else { Err(BodyError::Truncated) }
    }

    /// Whether the body is whole.
    pub fn is_done(&self) -> bool {
        match &self.state {
            State::Done => true,
            State::Length(_) | State::Close => false,
            State::Chunked(chunked) => chunked.is_done(),
        }
    }

    /// How many bytes are still to come, where framing says so.
    pub fn remaining(&self) -> Option<u64> {
        match &self.state {
            State::Done => Some(0),
            State::Length(remaining) => Some(*remaining),
            State::Close => None,
            State::Chunked(chunked) => chunked.is_done().then_some(0),
        }
    }

    /// The trailer fields of a chunked body that is done, without those that must not be in a trailer (RFC 9110 §6.5.1).
    pub fn trailers(&self) -> Option<&Fields> {
        match &self.state {
            State::Chunked(chunked) => chunked.trailers(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_ends_where_it_says() {
        let mut decoder = BodyDecoder::new(Framing::Length(5));
        assert_eq!(decoder.decode(b"hel"), Ok(Step { consumed: 3, data: 0..3, done: false }));
        assert_eq!(decoder.remaining(), Some(2));
        assert_eq!(decoder.end_of_input(), Err(BodyError::Truncated));
        assert_eq!(decoder.decode(b"loGET"), Ok(Step { consumed: 2, data: 0..2, done: true }));
        assert_eq!(decoder.decode(b"GET"), Ok(Step { consumed: 0, data: 0..0, done: true }));
        assert!(decoder.is_done() && decoder.remaining() == Some(0));
    }

    #[test]
    fn no_body_is_done_at_once() {
        for framing in [Framing::Empty, Framing::Length(0)] {
            let mut decoder = BodyDecoder::new(framing);
            assert!(decoder.is_done());
            assert_eq!(decoder.decode(b"GET"), Ok(Step { consumed: 0, data: 0..0, done: true }));
        }
    }

    #[test]
    fn a_body_without_length_ends_with_its_connection() {
        let mut decoder = BodyDecoder::for_response(Framing::Close);
        assert_eq!(decoder.decode(b"abc"), Ok(Step { consumed: 3, data: 0..3, done: false }));
        assert_eq!(decoder.remaining(), None);
        assert_eq!(decoder.end_of_input(), Ok(()));
        assert!(decoder.is_done());
    }
}
