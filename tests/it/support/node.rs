//! Nodes that follow a script.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use rustls::{ServerConfig, ServerConnection};

use super::{Message, PATIENCE, Peer};

/// A node: every connection is served by the script, in a thread of its own. Ends when dropped.
pub struct Node {
    /// Where it listens.
    pub address: SocketAddr,
    ledger: Arc<Ledger>,
    ended: Arc<AtomicBool>,
}

/// What a node received.
#[derive(Default)]
struct Ledger {
    requests: Mutex<Vec<(usize, Message)>>,
    more: Condvar,
    connections: Mutex<Vec<Arc<Mutex<Vec<u8>>>>>,
}

/// A connection of a node, in the hands of its script.
pub struct Connection {
    /// The bytes.
    pub peer: Peer,
    /// Its number, from 0.
    pub number: usize,
    ledger: Arc<Ledger>,
}

impl Connection {
    /// The next request, which goes into the ledger.
    pub fn request(&mut self) -> Option<Message> {
        let message = self.peer.request()?;
        self.note(&message);
        Some(message)
    }

    /// Puts a request into the ledger that was read by other means.
    pub fn note(&self, message: &Message) {
        self.ledger.requests.lock().unwrap().push((self.number, message.clone()));
        self.ledger.more.notify_all();
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // Some tests let the gateway go first.
        let _ = self.peer.try_send(bytes);
    }
}

impl Node {
    /// A node in clear text.
    pub fn start(script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        Self::begin(None, script)
    }

    /// A node behind TLS.
    pub fn start_tls(tls: Arc<ServerConfig>, script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        Self::begin(Some(tls), script)
    }

    /// A node that answers each request as the function says, on connections that stay open.
    pub fn answering(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(move |connection| {
            while let Some(request) = connection.request() {
                connection.send(answer(&request));
            }
        })
    }

    fn begin(tls: Option<Arc<ServerConfig>>, script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (ledger, ended) = (Arc::new(Ledger::default()), Arc::new(AtomicBool::new(false)));
        let (script, book, over) = (Arc::new(script), Arc::clone(&ledger), Arc::clone(&ended));
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { continue };
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (script, ledger, tls) = (Arc::clone(&script), Arc::clone(&book), tls.clone());
                std::thread::spawn(move || {
                    let peer = match tls {
                        None => Peer::plain(stream),
                        Some(tls) => Peer::tls_server(stream, ServerConnection::new(tls).expect("a TLS session")),
                    };
                    ledger.connections.lock().unwrap().push(Arc::clone(&peer.seen));
                    script(&mut Connection { peer, number, ledger });
                });
            }
        });
        Self { address, ledger, ended }
    }

    /// `http://address`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests received so far, with the number of the connection each came on.
    pub fn ledger(&self) -> Vec<(usize, Message)> {
        self.ledger.requests.lock().unwrap().clone()
    }

    /// The requests received so far.
    pub fn requests(&self) -> Vec<Message> {
        self.ledger().into_iter().map(|(_, message)| message).collect()
    }

    /// How many requests came.
    pub fn count(&self) -> usize {
        self.ledger.requests.lock().unwrap().len()
    }

    /// Waits until so many requests came, and gives the last of these.
    pub fn wait_for(&self, count: usize) -> Message {
        let requests = self.ledger.requests.lock().unwrap();
        let (requests, _) =
            self.ledger.more.wait_timeout_while(requests, PATIENCE, |requests| requests.len() < count).unwrap();
        assert!(requests.len() >= count, "{} of {count} requests came in time", requests.len());
        requests[count - 1].1.clone()
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.ledger.connections.lock().unwrap().len()
    }

    /// All bytes received, of all connections.
    pub fn bytes(&self) -> Vec<u8> {
        let connections = self.ledger.connections.lock().unwrap();
        connections.iter().flat_map(|seen| seen.lock().unwrap().clone()).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the accepter, which sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

/// A 200 with this body and these field lines.
pub fn ok(fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// An address that nobody listens on, for as long as the socket returned lives.
pub fn refusing_address() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    // Bound, so that nobody else gets the port, but not listening.
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    let address = socket.local_addr().expect("bound").as_socket().expect("an IP address");
    (socket, address)
}
