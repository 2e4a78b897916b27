//! Sample messages: HTTP messages in files, as recorded (`.http`), or envelopes alone (`.xml`, `.mime`).
//!
//! Files are written by people, so a little more is taken than on the wire: heads whose lines end with LF, bodies whose
//! length nobody said, or said wrongly. What was taken so is noted.

use std::path::{Path, PathBuf};

use crate::head::{Request, Response, Version};
use crate::proxy::h1::{
    BodyDecoder, Framing, HeadError, HeadLimits, parse_request, parse_response, request_framing, response_framing,
};
use crate::soap::{self, Content, Limits, Reader, Wanted};

/// What a body is called whose file does not say its media type.
const TEXT_XML: &[u8] = b"text/xml";

/// Why a file is no sample message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// It cannot be read.
    #[error("{}: {source}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Its head is refused, as the gateway would refuse it.
    #[error("{}: not an HTTP message: {source}", .file.display())]
    Head {
        /// The file.
        file: PathBuf,
        /// Why.
        source: HeadError,
    },
    /// Its head does not end.
    #[error("{}: the head has no end: an empty line is missing", .file.display())]
    Endless {
        /// The file.
        file: PathBuf,
    },
    /// The framing of its body is broken.
    #[error("{}: the body is broken: {message}", .file.display())]
    Body {
        /// The file.
        file: PathBuf,
        /// Why.
        message: String,
    },
}

/// A request.
#[derive(Debug, Clone)]
pub struct RequestMessage {
    /// Its head, as in the file or made up.
    pub head: Request,
    /// Its body, out of its framing; `None` where it has none.
    pub body: Option<Vec<u8>>,
    /// What is odd about the file.
    pub notes: Vec<String>,
}

/// A final response.
#[derive(Debug, Clone)]
pub struct ResponseMessage {
    /// Its head, as in the file or made up.
    pub head: Response,
    /// Its body, out of its framing; `None` where it has none.
    pub body: Option<Vec<u8>>,
    /// What is odd about the file.
    pub notes: Vec<String>,
}

impl RequestMessage {
    /// Reads a request: `.http` as recorded; `.xml` an envelope, posted to `/`; `.mime` a `Content-Type` line, then the body.
    ///
    /// # Errors
    /// See [`MessageError`].
    pub fn read(path: &Path) -> Result<Self, MessageError> {
        let bytes = load(path)?;
        let mut head = Request::new();
        if let Some((fields, body)) = bare(path, &bytes) {
            head.start(Version::Http11, b"POST", b"/");
            for (name, value) in fields.iter().chain([&(b"Host".to_vec(), b"localhost".to_vec())]) {
                head.fields_mut().push(name, value);
            }
            return Ok(Self { head, body: Some(body), notes: Vec::new() });
        }
        let (bytes, mut notes) = with_crlf(bytes);
        let refused = |source| MessageError::Head { file: path.into(), source };
        let Some(head_bytes) = parse_request(&bytes, &HeadLimits::default(), &mut head).map_err(refused)? else {
            return Err(MessageError::Endless { file: path.into() });
        };
        let rest = &bytes[head_bytes..];
        let mut framing = request_framing(&head).map_err(refused)?;
        if framing == Framing::Empty && !rest.is_empty() {
            notes.push("no Content-Length: what follows the head is taken for the body".to_owned());
            framing = Framing::Close;
        }
        let body = take_body(path, BodyDecoder::new(framing), framing, rest, &mut notes)?;
        Ok(Self { head, body, notes })
    }
}

impl ResponseMessage {
    /// Reads the response to a request with this method; interim responses before it are passed over. An envelope alone
    /// came with 200, or with 500 where it holds a Fault.
    ///
    /// # Errors
    /// See [`MessageError`].
    pub fn read(path: &Path, request_method: &[u8]) -> Result<Self, MessageError> {
        let bytes = load(path)?;
        let mut head = Response::new();
        if let Some((fields, body)) = bare(path, &bytes) {
            let is_fault = look(&body, fields.first().map(|(_, value)| value.as_slice())).fault.is_some();
            let (status, reason) = if is_fault { (500, &b"Internal Server Error"[..]) } else { (200, &b"OK"[..]) };
            head.start(Version::Http11, status, reason);
            fields.iter().for_each(|(name, value)| head.fields_mut().push(name, value));
            return Ok(Self { head, body: Some(body), notes: Vec::new() });
        }
        let (bytes, mut notes) = with_crlf(bytes);
        let refused = |source| MessageError::Head { file: path.into(), source };
        let mut rest = &bytes[..];
        loop {
            let Some(head_bytes) = parse_response(rest, &HeadLimits::default(), &mut head).map_err(refused)? else {
                return Err(MessageError::Endless { file: path.into() });
            };
            rest = &rest[head_bytes..];
            if !head.is_interim() {
                break;
            }
        }
        let framing = response_framing(&head, request_method).map_err(refused)?;
        let body = take_body(path, BodyDecoder::for_response(framing), framing, rest, &mut notes)?;
        Ok(Self { head, body, notes })
    }
}

fn load(path: &Path) -> Result<Vec<u8>, MessageError> {
    std::fs::read(path).map_err(|source| MessageError::File { file: path.into(), source })
}

/// Fields and body of a file that is no `.http`; `None` where it is one.
#[allow(clippy::type_complexity)]
fn bare(path: &Path, bytes: &[u8]) -> Option<(Vec<(Vec<u8>, Vec<u8>)>, Vec<u8>)> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if extension.eq_ignore_ascii_case("xml") {
        let media = match look(bytes, Some(TEXT_XML)).version {
            Some(soap::Version::V12) => &b"application/soap+xml"[..],
            Some(soap::Version::V11) | None => TEXT_XML,
        };
        return Some((vec![(b"Content-Type".to_vec(), media.to_vec())], bytes.to_vec()));
    }
    if !extension.eq_ignore_ascii_case("mime") {
        return None;
    }
    let mut rest = bytes;
    let mut fields = Vec::new();
    loop {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let line = rest[..end].trim_ascii();
        rest = &rest[end..];
        let Some(colon) = memchr::memchr(b':', line) else { break };
        fields.push((line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec()));
    }
    Some((fields, rest.to_vec()))
}

/// What an envelope says by itself.
fn look(body: &[u8], content_type: Option<&[u8]>) -> soap::Facts {
    let mut wanted = Wanted::new();
    wanted.want_operation();
    wanted.want_fault();
    let content = Content { content_type, content_encoding: None };
    let mut reader = Reader::new(wanted.into(), content, Limits::default());
    reader.push(body);
    reader.end();
    reader.facts().clone()
}

/// Where no line of the head ends with CRLF, the file was written by hand: LF counts as CRLF up to the empty line.
fn with_crlf(bytes: Vec<u8>) -> (Vec<u8>, Vec<String>) {
    let Some(first) = memchr::memchr(b'\n', &bytes) else { return (bytes, Vec::new()) };
    if first == 0 || bytes[first - 1] == b'\r' {
        return (bytes, Vec::new());
    }
    let head_end = memchr::memmem::find(&bytes, b"\n\n").map_or(bytes.len(), |end| end + 2);
    let mut out = Vec::with_capacity(bytes.len() + 64);
    for line in bytes[..head_end].split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        out.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(&bytes[head_end..]);
    (out, vec!["the lines of the head end with LF; they are taken for CRLF".to_owned()])
}

/// Takes a body out of its framing.
fn take_body(
    path: &Path,
    mut decoder: BodyDecoder,
    framing: Framing,
    input: &[u8],
    notes: &mut Vec<String>,
) -> Result<Option<Vec<u8>>, MessageError> {
    if framing == Framing::Empty {
        return Ok(None);
    }
    let mut body = Vec::new();
    let mut at = 0;
    while !decoder.is_done() {
        let step = decoder
            .decode(&input[at..])
            .map_err(|error| MessageError::Body { file: path.into(), message: error.to_string() })?;
        body.extend_from_slice(&input[at..][step.data]);
        at += step.consumed;
        if !step.done && at == input.len() {
            if decoder.end_of_input().is_err() {
                notes.push(format!("the body ends early, after {} bytes; it is taken as it is", body.len()));
            }
            break;
        }
    }
    if at < input.len() && !input[at..].trim_ascii().is_empty() {
        notes.push(format!("{} bytes behind the end of the body are passed over", input.len() - at));
    }
    Ok(Some(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("a file can be written");
        (folder, file)
    }

    #[test]
    fn a_file_written_by_hand_is_read() {
        let (_folder, file) = write("a.http", "POST /a HTTP/1.1\nHost: h\n\n<a/>\n");
        let message = RequestMessage::read(&file).expect("a request");
        assert_eq!((message.head.path(), message.body.as_deref()), (&b"/a"[..], Some(&b"<a/>\n"[..])));
        assert_eq!(message.notes.len(), 2, "{:?}", message.notes);
    }

    #[test]
    fn chunks_are_taken_out_of_their_framing_and_interim_answers_are_passed_over() {
        let (_folder, file) = write(
            "a.http",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n<a\r\n2\r\n/>\r\n0\r\n\r\n",
        );
        let message = ResponseMessage::read(&file, b"POST").expect("a response");
        assert_eq!((message.head.status, message.body.as_deref()), (200, Some(&b"<a/>"[..])));
        assert_eq!(message.notes, [""; 0]);
    }

    #[test]
    fn what_the_gateway_refuses_is_no_message() {
        let (_folder, file) = write("a.http", "POST /a HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n");
        assert!(RequestMessage::read(&file).is_err_and(|error| error.to_string().contains("not an HTTP message")));
        let (_folder, file) = write("a.http", "POST /a HTTP/1.1\r\nHost: h\r\n");
        assert!(matches!(RequestMessage::read(&file), Err(MessageError::Endless { .. })));
    }

    #[test]
    fn an_envelope_alone_is_told_by_its_namespace() {
        let (_folder, file) = write(
            "a.xml",
            "<e:Envelope xmlns:e='http://www.w3.org/2003/05/soap-envelope'><e:Body><e:Fault/></e:Body></e:Envelope>",
        );
        let message = RequestMessage::read(&file).expect("a request");
        assert_eq!(message.head.fields().get(b"content-type"), Some(&b"application/soap+xml"[..]));
        assert_eq!(ResponseMessage::read(&file, b"POST").expect("a response").head.status, 500);
    }
}
