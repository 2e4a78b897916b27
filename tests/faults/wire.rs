//! HTTP/1.1 over blocking sockets, as little of it as nodes and clients here need.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A connection and what has been read ahead of it.
#[derive(Debug)]
pub struct Wire {
    pub stream: TcpStream,
    ahead: Vec<u8>,
}

/// The first line and the fields.
#[derive(Debug)]
pub struct Head {
    pub start: String,
    fields: Vec<(String, String)>,
}

impl Head {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Of a response; 0 = it has none.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        // A small message must not wait for the acknowledgement of another.
        let _ = stream.set_nodelay(true);
        Self { stream, ahead: Vec::new() }
    }

    pub fn patience(&self, limit: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(limit))?;
        self.stream.set_write_timeout(Some(limit))
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    fn more(&mut self) -> io::Result<usize> {
        let mut piece = [0; 8192];
        let count = loop {
            match self.stream.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.ahead.extend_from_slice(&piece[..count]);
        Ok(count)
    }

    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < count {
            if self.more()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.ahead.drain(..count).collect())
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.ahead.windows(2).position(|two| two == b"\r\n") {
                let line = self.take(end + 2)?;
                return String::from_utf8(line[..end].to_vec()).map_err(|_| broken("a line is no text"));
            }
            if self.more()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The next head; `None` where the peer closed between messages.
    pub fn head(&mut self) -> io::Result<Option<Head>> {
        if self.ahead.is_empty() && self.more()? == 0 {
            return Ok(None);
        }
        let start = self.line()?;
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(Some(Head { start, fields }));
            }
            let (name, value) = line.split_once(':').ok_or_else(|| broken("a field without a colon"))?;
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// The body that belongs to the head.
    pub fn body(&mut self, head: &Head) -> io::Result<String> {
        let bytes = if head.field("transfer-encoding").is_some() {
            self.chunks()?
        } else {
            let length = head.field("content-length").and_then(|text| text.parse().ok());
            self.take(length.ok_or_else(|| broken("a message without a length"))?)?
        };
        String::from_utf8(bytes).map_err(|_| broken("a body is no text"))
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.line()?;
            let size = usize::from_str_radix(size.trim(), 16).map_err(|_| broken("a chunk without a size"))?;
            body.extend(self.take(size)?);
            if !self.line()?.is_empty() {
                return Err(broken("a chunk that does not end"));
            }
            if size == 0 {
                return Ok(body);
            }
        }
    }
}

/// The text between two marks.
pub fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    text.split_once(from)?.1.split_once(to).map(|(inner, _)| inner)
}

/// A SOAP 1.1 envelope in which `t:` is `urn:test`.
pub fn envelope(header: &str, body: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:t=\"urn:test\"><s:Header>{header}\
         </s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
}
