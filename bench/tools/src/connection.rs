//! A client's connection: connects when it is needed, and again after an end.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use rustls::ClientConfig;

use crate::answer::{Answer, Request};
use crate::h1::H1;
use crate::h2::H2;
use crate::link::{Link, Outgoing};
use crate::poll::{Poll, Ready};
use crate::soap::Filler;

/// Where to, and how.
#[derive(Debug)]
pub struct Target {
    /// host:port.
    pub address: String,
    /// None: in clear.
    pub tls: Option<Arc<ClientConfig>>,
    /// Requests at once on a connection, over HTTP/2; none: HTTP/1.1.
    pub streams: Option<usize>,
}

#[derive(Debug)]
enum Wire {
    One(H1),
    Two(Box<H2>),
}

/// A connection, which may not stand.
#[derive(Debug)]
pub struct Connection {
    token: usize,
    stands: Option<(Link, Wire)>,
    writing: bool,
}

impl Connection {
    /// One that does not stand yet.
    pub fn new(token: usize) -> Self {
        Self { token, stands: None, writing: false }
    }

    /// Sends a request in a slot that is free.
    ///
    /// # Errors
    ///
    /// When it cannot be connected or sent.
    pub fn start(
        &mut self,
        target: &Target,
        poll: &Poll,
        filler: &Filler,
        slot: usize,
        request: &Request,
    ) -> io::Result<()> {
        if self.stands.is_none() {
            let link = Link::connect(&target.address, target.tls.as_ref())?;
            poll.add(link.socket(), self.token)?;
            let wire = match target.streams {
                None => Wire::One(H1::default()),
                Some(streams) => Wire::Two(Box::new(H2::new(streams))),
            };
            self.stands = Some((link, wire));
            self.writing = false;
        }
        match &mut self.stands.as_mut().expect("made above").1 {
            Wire::One(wire) => wire.start(request),
            Wire::Two(wire) => wire.start(slot, request, filler),
        }
        self.flush(poll, filler)
    }

    /// Does what can be done; `finished` gets the answers that ended, by slot.
    ///
    /// # Errors
    ///
    /// When the connection has come to its end.
    pub fn ready(
        &mut self,
        ready: Ready,
        poll: &Poll,
        filler: &Filler,
        buffer: &mut [u8],
        finished: &mut Vec<(usize, Answer)>,
    ) -> io::Result<()> {
        let Some((link, wire)) = &mut self.stands else { return Ok(()) };
        let mut more = ready.read;
        while more {
            match link.receive(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => match wire {
                    Wire::One(wire) => wire.receive(&buffer[..count], finished)?,
                    Wire::Two(wire) => wire.receive(&buffer[..count], finished)?,
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            more = link.is_tls();
        }
        self.flush(poll, filler)
    }

    /// Gives it up.
    pub fn close(&mut self) {
        self.stands = None;
    }

    fn flush(&mut self, poll: &Poll, filler: &Filler) -> io::Result<()> {
        let Some((link, wire)) = &mut self.stands else { return Ok(()) };
        let outgoing: &mut Outgoing = match wire {
            Wire::One(wire) => &mut wire.outgoing,
            Wire::Two(wire) => &mut wire.outgoing,
        };
        let writing = !outgoing.flush(link, filler)? || !link.flush()?;
        if writing != self.writing {
            self.writing = writing;
            poll.watch_writing(link.socket(), self.token, writing)?;
        }
        Ok(())
    }
}
