//! A connection's bytes, in clear or over TLS, and what waits to be sent on it.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

use crate::soap::Filler;

/// A connected socket that never blocks.
#[derive(Debug)]
pub struct Link {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

/// TLS towards a candidate: its certificate alone is trusted, and one cipher suite is offered, so that all use the same.
///
/// # Errors
///
/// When the certificate cannot be read.
pub fn tls_config(certificate: &str, protocol: &[u8]) -> Result<Arc<ClientConfig>, Box<dyn std::error::Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let mut provider = ring::default_provider();
    provider.cipher_suites = vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(Arc::new(config))
}

impl Link {
    /// A socket that was accepted.
    ///
    /// # Errors
    ///
    /// When it cannot be made non-blocking.
    pub fn accepted(socket: TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, tls: None })
    }

    /// Connects; a handshake is left to the first bytes.
    ///
    /// # Errors
    ///
    /// When nobody listens.
    pub fn connect(address: &str, tls: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let mut link = Self::accepted(TcpStream::connect(address)?)?;
        if let Some(config) = tls {
            let name = ServerName::try_from("localhost").expect("a name");
            let session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
            link.tls = Some(Box::new(session));
        }
        Ok(link)
    }

    /// The socket, to wait for.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Whether `receive` must be repeated until it would block: what TLS has read the socket does not tell of again.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads what there is; 0 is the end.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is nothing, and what the socket says.
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.read(buffer) };
        match tls.reader().read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => return other,
        }
        if tls.read_tls(&mut self.socket)? == 0 {
            return Ok(0);
        }
        tls.process_new_packets().map_err(io::Error::other)?;
        tls.reader().read(buffer)
    }

    /// Sends some of `first`, then of `second`; how much.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is no room, and what the socket says.
    pub fn send(&mut self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.socket.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]);
        };
        let mut taken = tls.writer().write(first)?;
        if taken == first.len() {
            taken += tls.writer().write(second)?;
        }
        self.flush()?;
        if taken == 0 && !(first.is_empty() && second.is_empty()) {
            Err(ErrorKind::WouldBlock.into())
        } else {
            Ok(taken)
        }
    }

    /// Sends what TLS holds; whether all of it went.
    ///
    /// # Errors
    ///
    /// What the socket says, but for `WouldBlock`.
    pub fn flush(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// What waits to be sent: bytes of its own, then the end of the filler.
#[derive(Debug, Default)]
pub struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    tail: usize,
}

impl Outgoing {
    /// Where to write what is to be sent next. What follows it is set with `end_with`.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
        &mut self.bytes
    }

    /// The last `tail` bytes of the filler follow.
    pub fn end_with(&mut self, tail: usize) {
        self.tail = tail;
    }

    /// Whether all has gone.
    pub fn is_empty(&self) -> bool {
        self.sent == self.bytes.len() && self.tail == 0
    }

    /// Sends as much as goes; whether all has gone.
    ///
    /// # Errors
    ///
    /// What the socket says, but for `WouldBlock`.
    pub fn flush(&mut self, link: &mut Link, filler: &Filler) -> io::Result<bool> {
        while !self.is_empty() {
            let rest = &self.bytes[self.sent..];
            match link.send(rest, if self.tail == 0 { &[] } else { filler.tail(self.tail) }) {
                Ok(count) => {
                    let own = count.min(rest.len());
                    self.sent += own;
                    self.tail -= count - own;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        link.flush()
    }
}
