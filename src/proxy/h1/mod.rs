//! HTTP/1.0 and HTTP/1.1 on the wire (RFC 9112), towards clients and towards nodes.
//!
//! Pure: bytes in, values out. No I/O, no clock, no allocation beyond the buffers of the heads that are filled.
//!
//! Strict by construction. A proxy is attacked where two parsers read one message differently, so there is one way to
//! read a message here, and whatever a lenient parser behind us might read otherwise is refused:
//!
//! * Lines end with CRLF. A bare LF or CR is refused everywhere, as are folded lines and control bytes.
//! * One framing rule (RFC 9112 §6.3): at most one `Content-Length`, plain decimal; or `Transfer-Encoding: chunked`;
//!   never both.
//! * A request of HTTP/1.1 has exactly one valid `Host`.
//!
//! Nodes get a little more room where nothing can be read in two ways: empty reason phrases with and without the space
//! before them, reason phrases with bytes above 0x7F, repeated equal `Content-Length` lines, padded chunk sizes.
//!
//! The way of a message: [`HeadSearch::request`] (or [`parse_request`]) → [`request_framing`] → [`BodyDecoder`]; out by
//! [`write_request_head`], [`chunk_head`], [`write_last_chunk`].

mod bytes;
mod chunked;
mod decoder;
mod encode;
mod error;
mod framing;
mod plain;
mod request;
mod response;
mod search;
pub(super) mod server;
mod target;
mod trailer;
mod wire;

pub use decoder::{BodyDecoder, Step};
pub use encode::{chunk_head, write_last_chunk, write_request_head, write_response_head};
pub use error::{BodyError, HeadError};
pub use framing::{Framing, request_framing, response_framing};
pub use request::parse_request;
pub use response::parse_response;
pub use search::HeadSearch;
pub use target::valid_authority;
pub(super) use wire::{Fill, Wire};

/// How large a head may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// The whole head, from the first byte of its first line to the empty line. Beyond: 431.
    pub head_bytes: usize,
    /// Field lines. Beyond: 431. At most [`HeadLimits::FIELDS_MAX`], larger values count as that.
    pub fields: usize,
    /// The request target. Beyond: 414. RFC 9112 §3 asks for 8,000 at least.
    pub target_bytes: usize,
}

impl HeadLimits {
    /// The most field lines there can be room for: the parser's table lives on the stack.
    pub const FIELDS_MAX: usize = 256;
}

impl Default for HeadLimits {
    /// What servers behind us accept at most; a larger head would be refused there.
    fn default() -> Self {
        Self { head_bytes: 64 * 1024, fields: 128, target_bytes: 16 * 1024 }
    }
}
