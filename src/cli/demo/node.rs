//! A node of the demo: an HTTP/1.1 server with sessions of its own.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::counter;
use crate::head::{Name, Request, Response, connection};
use crate::proxy::h1::{BodyDecoder, HeadLimits, HeadSearch, request_framing, write_response_head};

/// Sessions a node keeps; beyond it, it forgets all. A demo needs a handful.
const SESSIONS_MAX: usize = 10_000;
/// The largest request body a node reads.
const BODY_BYTES_MAX: usize = 4 << 20;

/// A node, shared by its connections.
#[derive(Debug)]
pub struct Node {
    /// Its name, as in the configuration.
    pub name: String,
    sessions: Mutex<HashMap<String, u32>>,
}

impl Node {
    /// A node without sessions.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), sessions: Mutex::default() }
    }

    /// Starts a node on a free port of this machine, in the runtime of the caller.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(name: &str) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let node = Arc::new(Self::new(name));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let node = Arc::clone(&node);
                // Whoever closes in the middle of an exchange ends his connection only.
                tokio::spawn(async move { serve(&node, stream).await.unwrap_or_default() });
            }
        });
        Ok(address)
    }

    /// Counts on in this session: the new count. `None` = there is no such session here.
    pub fn count(&self, session: &str) -> Option<u32> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let count = sessions.get_mut(session)?;
        *count = count.saturating_add(1);
        Some(*count)
    }

    /// Begins a session whose count is 1: its random name.
    pub fn begin(&self) -> io::Result<String> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
        let name: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= SESSIONS_MAX {
            sessions.clear();
        }
        sessions.insert(name.clone(), 1);
        Ok(name)
    }
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its media type.
    pub content_type: &'static str,
    /// A cookie it sets.
    pub set_cookie: Option<String>,
    /// Its body.
    pub body: String,
}

async fn serve(node: &Node, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::new();
    let mut request = Request::new();
    loop {
        let mut search = HeadSearch::default();
        let length = loop {
            match search.request(&input, &HeadLimits::default(), &mut request).map_err(invalid)? {
                Some(length) => break length,
                None if stream.read_buf(&mut input).await? == 0 => return Ok(()),
                None => {}
            }
        };
        input.drain(..length);
        let body = read_body(&mut stream, &mut input, &request).await?;
        let answer = counter::answer(node, &request, &body)?;
        let keep = connection::keep_alive(request.version, request.fields());
        stream.write_all(&written(&request, &answer, keep)).await?;
        if !keep {
            return stream.shutdown().await;
        }
    }
}

async fn read_body(stream: &mut TcpStream, input: &mut Vec<u8>, request: &Request) -> io::Result<Vec<u8>> {
    let mut decoder = BodyDecoder::new(request_framing(request).map_err(invalid)?);
    if request.fields().known(Name::Expect).is_some() && !decoder.is_done() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let mut body = Vec::new();
    while !decoder.is_done() {
        let step = decoder.decode(input).map_err(invalid)?;
        body.extend_from_slice(&input[step.data.clone()]);
        input.drain(..step.consumed);
        if body.len() > BODY_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if !step.done && step.consumed == 0 && stream.read_buf(input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(body)
}

fn written(request: &Request, answer: &Answer, keep: bool) -> Vec<u8> {
    let mut head = Response::new();
    let reason: &[u8] = match answer.status {
        200 => b"OK",
        404 => b"Not Found",
        405 => b"Method Not Allowed",
        _ => b"Internal Server Error",
    };
    head.start(crate::head::Version::Http11, answer.status, reason);
    let fields = head.fields_mut();
    fields.push(b"Content-Type", answer.content_type.as_bytes());
    if let Some(cookie) = &answer.set_cookie {
        fields.push(b"Set-Cookie", cookie.as_bytes());
    }
    fields.push(b"Content-Length", answer.body.len().to_string().as_bytes());
    if !keep {
        fields.push(b"Connection", b"close");
    }
    let mut bytes = Vec::new();
    write_response_head(&head, crate::head::Version::Http11, &mut bytes);
    if request.method() != b"HEAD" {
        bytes.extend_from_slice(answer.body.as_bytes());
    }
    bytes
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
