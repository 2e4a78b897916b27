//! Heads between HTTP/2 and our own form.

use http::request::Parts;
use hyper::body::{Body, Incoming};

use crate::head::{Name, Request, Response, Version};
use crate::proxy::h1::Framing;

/// The head of a request. `:authority` stands for `Host` (RFC 9113 §8.3.1), split cookies become one line (§8.2.3).
pub fn request(parts: &Parts) -> Request {
    let mut head = Request::new();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    head.start(Version::Http2, parts.method.as_str().as_bytes(), target.as_bytes());
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let fields = head.fields_mut();
    if let Some(authority) = authority {
        fields.push(b"host", authority);
    }
    let mut cookies: Vec<u8> = Vec::new();
    for (name, value) in &parts.headers {
        match name.as_str() {
            "host" if authority.is_some() => {}
            "cookie" => {
                if !cookies.is_empty() {
                    cookies.extend_from_slice(b"; ");
                }
                cookies.extend_from_slice(value.as_bytes());
            }
            name => fields.push(name.as_bytes(), value.as_bytes()),
        }
    }
    if !cookies.is_empty() {
        fields.push(b"cookie", &cookies);
    }
    head
}

/// How the body goes on to the node. HTTP/2 itself has checked a `Content-Length` against the frames (RFC 9113 §8.1.1).
pub fn framing(head: &Request, body: &Incoming) -> Framing {
    let told = head.fields().known(Name::ContentLength).and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    match told {
        Some(length) => Framing::Length(length),
        None if body.is_end_stream() => Framing::Empty,
        None => Framing::Chunked,
    }
}

/// The head of a response, without what HTTP/2 does not know (RFC 9113 §8.2.2). `None` where a field cannot be said in
/// HTTP/2.
pub fn response<B>(head: &Response, body: B) -> Option<hyper::Response<B>> {
    let mut response = hyper::Response::builder().status(head.status);
    for field in head.fields().iter() {
        if !matches!(field.known, Name::TransferEncoding | Name::Connection | Name::KeepAlive | Name::Upgrade) {
            response = response.header(field.name, field.value);
        }
    }
    response.body(body).ok()
}
