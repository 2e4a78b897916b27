//! The client of the demo: one connection a call, as the plainest SOAP clients do.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::envelopes;
use crate::head::{Response, cookie};
use crate::proxy::h1::{BodyDecoder, HeadLimits, parse_response, response_framing};
use crate::soap::Version;

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// The counter, where it counted.
    pub count: Option<u32>,
    /// The node that counted.
    pub node: Option<String>,
    /// The id that an Axis2 answer brought.
    pub id: Option<String>,
    /// The cookie that was set, `name=value`.
    pub cookie: Option<String>,
    /// The text of the Fault, where it is one.
    pub fault: Option<String>,
}

/// Posts an envelope.
///
/// # Errors
/// No connection, or no HTTP answer.
pub async fn call(to: SocketAddr, path: &str, cookie: Option<&str>, envelope: &str) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(to).await?;
    let cookie = cookie.map_or(String::new(), |cookie| format!("Cookie: {cookie}\r\n"));
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {to}\r\nContent-Type: {}\r\nSOAPAction: \"urn:next\"\r\n{cookie}\
         Content-Length: {}\r\nConnection: close\r\n\r\n{envelope}",
        envelopes::content_type(Version::V11),
        envelope.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    read(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not whole"))
}

fn read(bytes: &[u8]) -> Option<Reply> {
    let mut head = Response::new();
    let length = parse_response(bytes, &HeadLimits::default(), &mut head).ok()??;
    let mut decoder = BodyDecoder::for_response(response_framing(&head, b"POST").ok()?);
    let (mut rest, mut body) = (&bytes[length..], Vec::new());
    while !decoder.is_done() {
        let step = decoder.decode(rest).ok()?;
        body.extend_from_slice(&rest[step.data.clone()]);
        rest = &rest[step.consumed..];
        if !step.done && step.consumed == 0 {
            decoder.end_of_input().ok()?;
        }
    }
    let body = String::from_utf8_lossy(&body);
    let cookie = cookie::response_cookies(head.fields())
        .next()
        .map(|set| format!("{}={}", String::from_utf8_lossy(set.name), String::from_utf8_lossy(set.value)));
    Some(Reply {
        count: element(&body, "return").and_then(|text| text.parse().ok()),
        node: element(&body, "node"),
        id: element(&body, "ServiceGroupId"),
        cookie,
        fault: element(&body, "faultstring"),
    })
}

/// The text of the first element of this local name. The demo knows the envelopes it gets.
fn element(body: &str, local: &str) -> Option<String> {
    let at = body.find(&format!(":{local}")).or_else(|| body.find(&format!("<{local}")))?;
    let rest = &body[at..];
    let text = &rest[rest.find('>')? + 1..];
    Some(text[..text.find('<')?].to_owned())
}
