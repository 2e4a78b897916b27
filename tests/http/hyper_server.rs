//! Every request that we read, hyper's server reads the same.
//!
//! hyper takes more than we do (no Host, two Hosts, bare LF, `Content-Length` beside `Transfer-Encoding`, padded chunk sizes);
//! the other way round there is only what [`is_known_difference`] lists.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;

use crate::memory::Memory;
use crate::reading::{Lines, Message, Side, read};

/// A request as hyper's handler got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    pub start: Vec<u8>,
    /// Names in lower case, sorted; values of one name in order.
    pub fields: Lines,
    /// The content and the trailers; `None` where they break off.
    pub body: Option<Content>,
}

/// Content and trailers of a message.
pub type Content = (Vec<u8>, Lines);

/// All requests that hyper's server hands to a handler.
pub fn serve(input: &[u8], piece: usize) -> Vec<Got> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&seen);
    let service = service_fn(move |request: http::Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move {
            let (head, body) = request.into_parts();
            let start = format!("{} {}", head.method, head.uri).into_bytes();
            let fields = sorted(head.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())));
            let body = collect(body).await;
            shared.lock().expect("no handler panics").push(Got { start, fields, body });
            Ok::<_, Infallible>(http::Response::new(String::new()))
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
    let connection = http1::Builder::new()
        .half_close(true)
        .max_headers(256)
        .max_buf_size(1024 * 1024)
        .serve_connection(Memory::new(input, piece, false), service);
    // Its error is of no interest: the handler's list is.
    let _ = runtime.block_on(connection);
    let seen = seen.lock().expect("no handler panics");
    seen.clone()
}

/// The whole body; `None` where it breaks off.
pub async fn collect(mut body: Incoming) -> Option<Content> {
    let (mut bytes, mut trailers) = (Vec::new(), Vec::new());
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        match frame.ok()?.into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => {
                let map = frame.into_trailers().unwrap_or_default();
                trailers = sorted(map.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())));
            }
        }
    }
    Some((bytes, trailers))
}

/// Field lines in an order that does not depend on who grouped them.
pub fn sorted<'a>(lines: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Lines {
    let mut lines: Lines = lines.map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())).collect();
    lines.sort_by(|left, right| left.0.cmp(&right.0));
    lines
}

/// Targets that hyper's URI type refuses and old clients send, or that it writes in another way.
fn is_known_difference(message: &Message) -> bool {
    let target = message.start.splitn(2, |byte| *byte == b' ').nth(1).unwrap_or_default();
    target.iter().any(|byte| b"\"<>\\^`{|}".contains(byte)) || !matches!(target, [b'/', ..] | b"*")
}

/// Compares what both read from `input`.
///
/// # Panics
///
/// Where we read a request that hyper does not, or reads in another way.
pub fn check(input: &[u8]) {
    let ours = read(Side::Requests, input, &[]).messages;
    let theirs = serve(input, usize::MAX);
    for (index, message) in ours.iter().enumerate() {
        let text = String::from_utf8_lossy(input);
        let differs = is_known_difference(message);
        let got = match theirs.get(index) {
            Some(got) => got,
            None if differs => return,
            None => panic!("hyper refuses request {index} of {text:?}"),
        };
        assert!(differs || got.start == message.start, "{text:?}");
        assert_eq!(got.fields, sorted(borrowed(&message.fields)), "{text:?}");
        check_content(message, got.body.as_ref(), &text);
    }
}

/// # Panics
///
/// Where content differs, or we have a trailer that hyper has not. (hyper has those that we drop.)
pub fn check_content(message: &Message, theirs: Option<&Content>, text: &str) {
    let (content, trailers) = theirs.unwrap_or_else(|| panic!("hyper refuses the body of {text:?}"));
    assert_eq!(*content, message.body, "{text:?}");
    for trailer in sorted(borrowed(&message.trailers)) {
        assert!(trailers.contains(&trailer), "{trailer:?} in {text:?}");
    }
}

/// Lines as `sorted` takes them.
pub fn borrowed(lines: &Lines) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
}
