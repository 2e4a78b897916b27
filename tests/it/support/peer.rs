//! One end of a connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::{ClientConnection, ServerConnection, StreamOwned};

use super::{Message, PATIENCE};

/// One end of a connection. Reading waits for [`PATIENCE`] at most; what is asked for and does not come fails the test.
pub struct Peer {
    wire: Wire,
    unread: Vec<u8>,
    /// Every byte received.
    pub seen: Arc<Mutex<Vec<u8>>>,
}

enum Wire {
    Plain(TcpStream),
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Peer {
    /// Connects in clear text.
    pub fn connect(address: SocketAddr) -> Self {
        Self::plain(TcpStream::connect(address).expect("the address is listened on"))
    }

    /// Over this connection, in clear text.
    pub fn plain(stream: TcpStream) -> Self {
        Self::new(Wire::Plain(ready(stream)))
    }

    /// Over this connection, as a TLS client.
    pub fn tls_client(stream: TcpStream, session: ClientConnection) -> Self {
        Self::new(Wire::Client(Box::new(StreamOwned::new(session, ready(stream)))))
    }

    /// Over this connection, as a TLS server.
    pub fn tls_server(stream: TcpStream, session: ServerConnection) -> Self {
        Self::new(Wire::Server(Box::new(StreamOwned::new(session, ready(stream)))))
    }

    fn new(wire: Wire) -> Self {
        Self { wire, unread: Vec::new(), seen: Arc::default() }
    }

    fn tcp(&self) -> &TcpStream {
        match &self.wire {
            Wire::Plain(stream) => stream,
            Wire::Client(stream) => &stream.sock,
            Wire::Server(stream) => &stream.sock,
        }
    }

    /// The certificate the other end showed.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        let certificates = match &self.wire {
            Wire::Plain(_) => None,
            Wire::Client(stream) => stream.conn.peer_certificates(),
            Wire::Server(stream) => stream.conn.peer_certificates(),
        };
        Some(certificates?.first()?.to_vec())
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the other end takes bytes");
    }

    /// Sends bytes, unless the other end has gone.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        let bytes = bytes.as_ref();
        match &mut self.wire {
            Wire::Plain(stream) => stream.write_all(bytes),
            Wire::Client(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Wire::Server(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    /// Says that nothing more comes from this end.
    pub fn end(&mut self) {
        self.tcp().shutdown(Shutdown::Write).expect("the connection stands");
    }

    /// Closes with a reset, so that unread bytes are lost.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(self.tcp());
        socket.set_linger(Some(std::time::Duration::ZERO)).expect("a socket can be told not to linger");
    }

    /// Reads more: false at the end of the connection.
    fn fill(&mut self) -> bool {
        let mut piece = vec![0; 64 * 1024];
        let read = match &mut self.wire {
            Wire::Plain(stream) => stream.read(&mut piece),
            Wire::Client(stream) => stream.read(&mut piece),
            Wire::Server(stream) => stream.read(&mut piece),
        };
        match read {
            Ok(count) => {
                self.unread.extend_from_slice(&piece[..count]);
                self.seen.lock().unwrap().extend_from_slice(&piece[..count]);
                count > 0
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing came in time; unread: {:?}", String::from_utf8_lossy(&self.unread));
            }
            Err(_) => false,
        }
    }

    /// The next head, interim ones included; `None` where the connection ended before it.
    pub fn head(&mut self) -> Option<Message> {
        loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.unread.drain(..at + 4).collect();
                return Some(Message { head, ..Message::default() });
            }
            if !self.fill() {
                assert!(self.unread.is_empty(), "cut head: {:?}", String::from_utf8_lossy(&self.unread));
                return None;
            }
        }
    }

    /// Exactly so many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        self.try_bytes(count).expect("the connection does not end before")
    }

    /// Exactly so many bytes, unless the connection ends before.
    pub fn try_bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.unread.len() < count {
            if !self.fill() {
                return None;
            }
        }
        Some(self.unread.drain(..count).collect())
    }

    /// Everything up to and including `end`.
    pub fn until(&mut self, end: &[u8]) -> Vec<u8> {
        self.try_until(end).unwrap_or_else(|| {
            let (end, unread) = (String::from_utf8_lossy(end), String::from_utf8_lossy(&self.unread));
            panic!("the connection ended before {end:?}: {unread:?}")
        })
    }

    /// Everything up to and including `end`, unless the connection ends before.
    pub fn try_until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|window| window == end) {
                return Some(self.unread.drain(..at + end.len()).collect());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.unread)
    }

    /// Waits until the other end closes, without another byte.
    pub fn expect_close(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "expected the end, got {:?}", String::from_utf8_lossy(&rest));
    }

    /// The next request, body and all. `Expect: 100-continue` is not answered.
    pub fn request(&mut self) -> Option<Message> {
        let mut message = self.head()?;
        self.body(&mut message);
        Some(message)
    }

    /// Reads the body that belongs to a head, as chunks or as its length says.
    pub fn body(&mut self, message: &mut Message) {
        if message.is_chunked() {
            loop {
                let line = self.until(b"\r\n");
                let text = String::from_utf8_lossy(&line);
                let size = text.split([';', '\r']).next().unwrap_or_default();
                let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("no chunk size: {text:?}"));
                if size == 0 {
                    loop {
                        let line = self.until(b"\r\n");
                        if line == b"\r\n" {
                            return;
                        }
                        message.trailers.extend_from_slice(&line);
                    }
                }
                message.chunks.push(size);
                message.body.extend(self.bytes(size));
                assert_eq!(self.bytes(2), b"\r\n", "a chunk ends with CRLF");
            }
        } else if let Some(length) = message.field("content-length") {
            message.body = self.bytes(length.parse().expect("a length is a number"));
        }
    }

    /// The next final answer to a request with a method other than HEAD. Interim ones are passed over.
    pub fn answer(&mut self) -> Message {
        loop {
            let mut message = self.head().expect("an answer before the end of the connection");
            if (100..200).contains(&message.status()) {
                continue;
            }
            let has_body = !matches!(message.status(), 204 | 304);
            let is_framed = message.is_chunked() || message.field("content-length").is_some();
            if has_body && is_framed {
                self.body(&mut message);
            } else if has_body {
                message.body = self.rest();
            }
            return message;
        }
    }

    /// Whether nothing is unread and nothing comes for so long.
    pub fn is_silent_for(&mut self, time: std::time::Duration) -> bool {
        let tcp = self.tcp();
        tcp.set_read_timeout(Some(time)).expect("a timeout can be set");
        let nothing = tcp.peek(&mut [0]).is_err();
        tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        nothing && self.unread.is_empty()
    }

    /// Sends a request and reads its answer.
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Message {
        self.send(request);
        self.answer()
    }
}

fn ready(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream.set_nodelay(true).expect("a socket can be told not to delay");
    stream
}
