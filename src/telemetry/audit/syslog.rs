//! Syslog over TLS: messages of RFC 5424, counted in octets (RFC 5425).
//!
//! Syslog has no acknowledgements: what was written into a connection that then breaks may be lost. So the last
//! messages are kept for a while and sent again over the next connection. A receiver may see one twice, never none; their
//! numbers tell.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::record::Record;
use super::sink::Sink;

/// For connecting to one address, and for each read and write.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a message may still turn out to be lost: a receiver that goes says so sooner.
const DOUBT: Duration = Duration::from_secs(10);
/// Messages kept for sending again.
const DOUBTED_MAX: usize = 256;
/// Facility 13, log audit (RFC 5424 §6.2.1); severities notice and warning.
const FACILITY: u8 = 13;

/// A syslog receiver behind TLS.
#[derive(Debug)]
pub struct Receiver {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The name its certificate is checked for.
    pub name: ServerName<'static>,
    /// Authorities, and our certificate.
    pub tls: Arc<ClientConfig>,
}

/// A stream to a receiver.
pub struct Syslog {
    receiver: Receiver,
    own_name: String,
    connection: Option<StreamOwned<ClientConnection, TcpStream>>,
    doubted: VecDeque<(Instant, Vec<u8>)>,
}

impl Syslog {
    /// Nothing is connected before the first message.
    pub fn new(receiver: Receiver) -> Self {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self { receiver, own_name: host_name(&name), connection: None, doubted: VecDeque::new() }
    }

    fn connect(&self) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut last = io::Error::new(ErrorKind::NotFound, format!("{} has no address", self.receiver.host));
        for address in (self.receiver.host.as_str(), self.receiver.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(mut socket) => {
                    socket.set_read_timeout(Some(PATIENCE))?;
                    socket.set_write_timeout(Some(PATIENCE))?;
                    socket.set_nodelay(true)?;
                    let mut session = ClientConnection::new(Arc::clone(&self.receiver.tls), self.receiver.name.clone())
                        .map_err(io::Error::other)?;
                    while session.is_handshaking() {
                        session.complete_io(&mut socket)?;
                    }
                    return Ok(StreamOwned::new(session, socket));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// A connection that stands as far as anybody knows; a new one gets first what the last one may have lost.
    fn connected(&mut self) -> io::Result<()> {
        self.doubted.retain(|(at, _)| at.elapsed() < DOUBT);
        if self.connection.as_mut().is_some_and(stands) {
            return Ok(());
        }
        self.connection = None;
        let mut connection = self.connect()?;
        for (at, message) in &mut self.doubted {
            connection.write_all(message)?;
            *at = Instant::now();
        }
        connection.flush()?;
        self.connection = Some(connection);
        Ok(())
    }
}

impl Sink for Syslog {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        self.connected()?;
        let message = frame(record, &self.own_name);
        let Some(connection) = &mut self.connection else { return Err(ErrorKind::NotConnected.into()) };
        if let Err(error) = connection.write_all(&message).and_then(|()| connection.flush()) {
            self.connection = None;
            return Err(error);
        }
        if self.doubted.len() == DOUBTED_MAX {
            self.doubted.pop_front();
        }
        self.doubted.push_back((Instant::now(), message));
        Ok(())
    }

    fn tend(&mut self) -> io::Result<()> {
        if self.doubted.is_empty() { Ok(()) } else { self.connected() }
    }
}

/// Whether the receiver has not closed the connection. Receivers say nothing else.
fn stands(connection: &mut StreamOwned<ClientConnection, TcpStream>) -> bool {
    let mut ask = || {
        connection.sock.set_nonblocking(true)?;
        let came = connection.conn.read_tls(&mut connection.sock);
        connection.sock.set_nonblocking(false)?;
        match came {
            Ok(0) => return Ok(false),
            Ok(_) => {
                connection.conn.process_new_packets().map_err(io::Error::other)?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        match connection.conn.reader().read(&mut [0; 64]) {
            Ok(0) => Ok(false),
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(true),
        }
    };
    ask().unwrap_or(false)
}

/// One message, its length before it (RFC 5425 §4.3).
fn frame(record: &Record, own_name: &str) -> Vec<u8> {
    let severity = if record.is_warning { 4 } else { 5 };
    let priority = FACILITY * 8 + severity;
    let message =
        format!("<{priority}>1 {} {own_name} castile {} audit - {}", record.time, std::process::id(), record.json);
    format!("{} {message}", message.len()).into_bytes()
}

/// As RFC 5424 §6.2.4 wants it: 1 to 255 visible ASCII characters, `-` for none.
fn host_name(text: &str) -> String {
    let name: String = text.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_in_octets() {
        let record = Record {
            json: "{\"who\":\"J\u{f6}rg\"}".to_owned(),
            time: "2026-11-21T10:00:00.123Z".to_owned(),
            is_warning: true,
        };
        let text = String::from_utf8(frame(&record, "gw1")).expect("UTF-8");
        let (length, message) = text.split_once(' ').expect("a length");
        assert_eq!(length.parse(), Ok(message.len()));
        let id = std::process::id();
        assert_eq!(message, format!("<108>1 2026-11-21T10:00:00.123Z gw1 castile {id} audit - {}", record.json));
    }

    #[test]
    fn a_machine_without_a_name_is_a_dash() {
        assert_eq!((host_name("\n").as_str(), host_name("gw 1\n").as_str()), ("-", "gw1"));
    }
}
