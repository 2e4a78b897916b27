//! What can be wrong with a message on the wire.

/// Why a head is refused. The connection is closed after the answer: nobody knows where the next message begins.
///
/// The variants are for both directions; [`HeadError::status`] is the answer to a client. A node's refused head is
/// the node's failure, whatever the variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Not `METHOD SP target SP HTTP/1.x` (RFC 9112 §3).
    #[error("malformed request line")]
    RequestLine,
    /// Not `HTTP/1.x SP status [SP reason]` (RFC 9112 §4), or a reason phrase with control bytes.
    #[error("malformed status line")]
    StatusLine,
    /// Neither origin-form, nor absolute-form with http or https, nor `*` of OPTIONS (RFC 9112 §3.2), or bytes that
    /// no URI has.
    #[error("invalid request target")]
    Target,
    /// The request target is longer than [`HeadLimits::target_bytes`](super::HeadLimits::target_bytes).
    #[error("request target exceeds {limit} bytes")]
    TargetTooLong {
        /// The limit in force.
        limit: usize,
    },
    /// A version other than HTTP/1.0 and HTTP/1.1.
    #[error("HTTP version not supported")]
    Version,
    /// CONNECT or TRACE: a gateway opens no tunnels, and an echo would show the fields that it adds.
    #[error("method not supported")]
    Method,
    /// A line that ends with LF alone.
    #[error("line ends without CRLF")]
    BareLf,
    /// A field line that is none: no colon, white space before it or at the line's begin, a name that is no token,
    /// a value with control bytes.
    #[error("malformed field line")]
    Field,
    /// The head is longer than [`HeadLimits::head_bytes`](super::HeadLimits::head_bytes).
    #[error("head exceeds {limit} bytes")]
    TooLarge {
        /// The limit in force.
        limit: usize,
    },
    /// More field lines than [`HeadLimits::fields`](super::HeadLimits::fields).
    #[error("head has more than {limit} fields")]
    TooManyFields {
        /// The limit in force.
        limit: usize,
    },
    /// HTTP/1.1 without `Host` (RFC 9112 §3.2).
    #[error("Host is missing")]
    HostMissing,
    /// More than one `Host` line, equal ones too.
    #[error("several Host fields")]
    HostRepeated,
    /// A `Host` or an authority that is not `host [":" port]`.
    #[error("invalid Host")]
    HostInvalid,
    /// A `Content-Length` that is not a plain decimal number.
    #[error("invalid Content-Length")]
    ContentLength,
    /// Several `Content-Length` lines or a list in one.
    #[error("several Content-Length fields")]
    ContentLengthRepeated,
    /// `Content-Length` beside `Transfer-Encoding` (RFC 9112 §6.1).
    #[error("both Content-Length and Transfer-Encoding")]
    LengthAndCoding,
    /// A malformed `Transfer-Encoding`, several of them, `chunked` twice or not last, or any in HTTP/1.0.
    #[error("invalid Transfer-Encoding")]
    TransferEncoding,
    /// A transfer coding other than `chunked` (RFC 9112 §6.1).
    #[error("transfer coding not supported")]
    TransferCodingUnknown,
    /// `Content_Length` or `Transfer_Encoding`: servers that map `-` and `_` to the same letter (CGI, WSGI, PHP) read
    /// them as framing.
    #[error("framing field spelt with an underscore")]
    FramingAlias,
    /// A node answers 101 although no upgrade was passed on to it.
    #[error("answer switches protocols unasked")]
    Switching,
}

impl HeadError {
    /// The status to answer a client with.
    pub fn status(&self) -> u16 {
        match self {
            HeadError::RequestLine
            | HeadError::Target
            | HeadError::BareLf
            | HeadError::Field
            | HeadError::HostMissing
            | HeadError::HostRepeated
            | HeadError::HostInvalid
            | HeadError::ContentLength
            | HeadError::ContentLengthRepeated
            | HeadError::LengthAndCoding
            | HeadError::TransferEncoding
            | HeadError::FramingAlias => 400,
            HeadError::TargetTooLong { .. } => 414,
            HeadError::TooLarge { .. } | HeadError::TooManyFields { .. } => 431,
            HeadError::Method | HeadError::TransferCodingUnknown => 501,
            HeadError::StatusLine | HeadError::Switching => 502,
            HeadError::Version => 505,
        }
    }
}

/// Why a body cannot be read to its end. The connection is closed; a request with such a body is answered 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// A chunk size that is not 1 to 16 hexadecimal digits followed by CRLF or an extension (RFC 9112 §7.1).
    #[error("invalid chunk size")]
    ChunkSize,
    /// A chunk extension that is none (RFC 9112 §7.1.1).
    #[error("invalid chunk extension")]
    ChunkExtension,
    /// The chunk extensions of one body exceed [`BodyDecoder::EXTENSION_BYTES_MAX`](super::BodyDecoder::EXTENSION_BYTES_MAX).
    #[error("chunk extensions too large")]
    ChunkExtensionTooLarge,
    /// The bytes after a chunk's data are not CRLF.
    #[error("chunk does not end with CRLF")]
    ChunkEnd,
    /// A malformed trailer section (RFC 9112 §7.1.2).
    #[error("malformed trailer")]
    Trailer,
    /// A trailer section beyond [`BodyDecoder::TRAILER_BYTES_MAX`](super::BodyDecoder::TRAILER_BYTES_MAX) or
    /// [`BodyDecoder::TRAILER_FIELDS_MAX`](super::BodyDecoder::TRAILER_FIELDS_MAX).
    #[error("trailer too large")]
    TrailerTooLarge,
    /// The connection ended before the body did.
    #[error("body ends before its time")]
    Truncated,
}
