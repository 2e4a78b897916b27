//! One GET, bounded in time and bytes, on a connection of its own.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::head::{Request, Response};
use crate::proxy::h1::{BodyDecoder, HeadLimits, parse_response, response_framing};

/// For connecting, and for each piece of an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// For a whole answer. A service that makes its WSDL for the first time takes seconds.
const WHOLE: Duration = Duration::from_secs(30);
/// Bytes of an answer. The largest WSDLs known have some 5 MiB.
const ANSWER_MAX: usize = 16 << 20;

/// Where a connection goes.
pub struct Target {
    /// Host, without brackets.
    pub host: String,
    pub port: u16,
    /// With TLS: the name that the certificate must have.
    pub tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
}

/// An answer.
pub struct Answer {
    pub head: Response,
    /// Chunks undone.
    pub body: Vec<u8>,
}

/// Sends a request without a body, and reads its answer.
///
/// # Errors
/// In words.
pub fn get(target: &Target, request: &Request) -> Result<Answer, String> {
    let address = (target.host.as_str(), target.port).to_socket_addrs().map_err(|error| error.to_string())?.next();
    let address = address.ok_or("it has no address")?;
    let tcp = TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| error.to_string())?;
    tcp.set_read_timeout(Some(PATIENCE))
        .and_then(|()| tcp.set_write_timeout(Some(PATIENCE)))
        .map_err(|error| error.to_string())?;
    match &target.tls {
        None => exchange(tcp, request),
        Some((name, config)) => {
            let connection = ClientConnection::new(config.clone(), name.clone()).map_err(|error| error.to_string())?;
            exchange(StreamOwned::new(connection, tcp), request)
        }
    }
}

fn exchange(mut stream: impl Read + Write, request: &Request) -> Result<Answer, String> {
    let mut bytes = [request.method(), b" ", request.path_and_query(), b" HTTP/1.1\r\n"].concat();
    for field in request.fields().iter() {
        bytes.extend_from_slice(&[field.name, b": ", field.value, b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"Connection: close\r\n\r\n");
    stream.write_all(&bytes).and_then(|()| stream.flush()).map_err(|error| error.to_string())?;
    let until = Instant::now() + WHOLE;
    let (mut received, mut piece) = (Vec::new(), vec![0; 16 << 10]);
    loop {
        let (count, end) = match stream.read(&mut piece) {
            Ok(count) => (count, count == 0),
            // Some servers close TLS without saying so.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => (0, true),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                return Err(format!("it says nothing for {} s", PATIENCE.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        };
        received.extend_from_slice(&piece[..count]);
        if let Some(answer) = whole(&received, end)? {
            return Ok(answer);
        }
        if received.len() > ANSWER_MAX {
            return Err(format!("its answer has more than {} MiB", ANSWER_MAX >> 20));
        }
        if Instant::now() > until {
            return Err(format!("its answer is not whole after {} s", WHOLE.as_secs()));
        }
    }
}

/// The answer, if it is whole. `end`: nothing more comes.
fn whole(mut bytes: &[u8], end: bool) -> Result<Option<Answer>, String> {
    let more = if end { Err("its answer is cut off".to_owned()) } else { Ok(None) };
    let mut head = Response::new();
    loop {
        match parse_response(bytes, &HeadLimits::default(), &mut head).map_err(|error| error.to_string())? {
            None => return more,
            Some(length) => bytes = &bytes[length..],
        }
        if !head.is_interim() {
            break;
        }
    }
    let framing = response_framing(&head, b"GET").map_err(|error| error.to_string())?;
    let mut decoder = BodyDecoder::for_response(framing);
    let mut body = Vec::new();
    while !decoder.is_done() {
        let step = decoder.decode(bytes).map_err(|error| error.to_string())?;
        body.extend_from_slice(&bytes[step.data.clone()]);
        bytes = &bytes[step.consumed..];
        if !step.done && step.consumed == 0 {
            if !end {
                return more;
            }
            decoder.end_of_input().map_err(|error| error.to_string())?;
        }
    }
    Ok(Some(Answer { head, body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_whole_at_their_end_and_not_before() {
        for (bytes, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc"),
            (
                "HTTP/1.1 100 \r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
                "abc",
            ),
            ("HTTP/1.1 404 no\r\nContent-Length: 0\r\n\r\n", ""),
        ] {
            for cut in 0..bytes.len() {
                assert!(matches!(whole(&bytes.as_bytes()[..cut], false), Ok(None)), "{bytes} {cut}");
                assert!(whole(&bytes.as_bytes()[..cut], true).is_err(), "{bytes} {cut}");
            }
            let answer = whole(bytes.as_bytes(), false).expect("HTTP").expect("whole");
            assert_eq!(answer.body, body.as_bytes());
        }
        let closing = b"HTTP/1.0 200 OK\r\n\r\nabc";
        assert!(matches!(whole(closing, false), Ok(None)));
        assert_eq!(whole(closing, true).expect("HTTP").expect("whole").body, b"abc");
        assert!(whole(b"SSH-2.0\r\n\r\n", false).is_err());
    }
}
