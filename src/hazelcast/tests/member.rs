//! A member that is told what to do. What it says was captured from real ones.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::captures::{Direction, capture};
use crate::hazelcast::Address;
use crate::hazelcast::wire::{Decoder, Message};

/// What it does about a request.
pub(crate) enum Reply {
    /// Sends these messages, one after the other.
    Say(Vec<Vec<u8>>),
    /// Nothing.
    Ignore,
    /// Closes the connection.
    Close,
}

type Conduct = dyn Fn(&FakeMember, &Message) -> Reply + Send + Sync;

/// A member on a port of its own.
#[derive(Clone)]
pub(crate) struct FakeMember {
    pub(crate) address: Address,
    conduct: Arc<Conduct>,
    /// Every request goes here: its type.
    seen: mpsc::UnboundedSender<u32>,
}

pub(crate) const AUTHENTICATION: u32 = 0x100;
pub(crate) const CLUSTER_VIEW: u32 = 0x300;
pub(crate) const PING: u32 = 0xb00;
pub(crate) const GET: u32 = 0x1_0200;
pub(crate) const REMOVE: u32 = 0x1_0300;
pub(crate) const LISTEN: u32 = 0x1_1900;
pub(crate) const STOP_LISTENING: u32 = 0x1_1a00;

impl FakeMember {
    /// Starts one; the receiver hears the types of requests.
    pub(crate) async fn start(
        conduct: impl Fn(&Self, &Message) -> Reply + Send + Sync + 'static,
    ) -> (Self, mpsc::UnboundedReceiver<u32>) {
        Self::start_with(None, conduct).await
    }

    /// Starts one that speaks TLS.
    pub(crate) async fn start_with(
        tls: Option<TlsAcceptor>,
        conduct: impl Fn(&Self, &Message) -> Reply + Send + Sync + 'static,
    ) -> (Self, mpsc::UnboundedReceiver<u32>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
        let port = listener.local_addr().expect("it is bound").port();
        let (seen, requests) = mpsc::unbounded_channel();
        let address = Address { host: "127.0.0.1".to_owned(), port };
        let member = Self { address, conduct: Arc::new(conduct), seen };
        let this = member.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (this, tls) = (this.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => this.serve(tls.accept(stream).await.ok()?).await,
                        None => this.serve(stream).await,
                    }
                });
            }
        });
        (member, requests)
    }

    async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<()> {
        let mut preamble = [0; 3];
        stream.read_exact(&mut preamble).await.ok()?;
        assert_eq!(&preamble, b"CP2");
        let mut decoder = Decoder::default();
        loop {
            while let Some(message) = decoder.take().expect("what we send is well-formed") {
                let _ = self.seen.send(message.kind());
                match (self.conduct)(&self, &message) {
                    Reply::Say(messages) => {
                        stream.write_all(&messages.concat()).await.ok()?;
                        stream.flush().await.ok()?;
                    }
                    Reply::Ignore => {}
                    Reply::Close => return None,
                }
            }
            if stream.read_buf(decoder.buffer()).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// What a member does that is well.
    pub(crate) fn usual(&self, request: &Message) -> Reply {
        let number = request.correlation();
        match request.kind() {
            AUTHENTICATION => say("01-authentication.hex", number),
            CLUSTER_VIEW => Reply::Say(vec![
                self.members(number, self.address.port),
                captured("02-cluster-view-listener.hex", Direction::Response, 0, number),
            ]),
            PING => say("17-ping.hex", number),
            GET => say("06-get.hex", number),
            REMOVE => say("15-remove.hex", number),
            LISTEN => say("04-add-entry-listener.hex", number),
            STOP_LISTENING => say("18-remove-entry-listener.hex", number),
            other => panic!("{other:#x} is not usual here"),
        }
    }

    /// The event that there are two members: this one, and one at that port.
    pub(crate) fn members(&self, number: i64, other: u16) -> Vec<u8> {
        let mut bytes = captured("02-cluster-view-listener.hex", Direction::Event, 0, number);
        for (port, place) in [(21220u32, self.address.port), (21221, other)] {
            while let Some(at) = bytes.windows(4).position(|part| part == port.to_le_bytes()) {
                bytes[at..at + 4].copy_from_slice(&u32::from(place).to_le_bytes());
            }
        }
        bytes
    }
}

/// A captured message, with this number.
pub(crate) fn captured(file: &str, direction: Direction, nth: usize, number: i64) -> Vec<u8> {
    let all = capture(file);
    let found = all.iter().filter(|captured| captured.direction == direction).nth(nth);
    found.expect("there are as many").numbered(number)
}

/// The first captured response of a file.
pub(crate) fn say(file: &str, number: i64) -> Reply {
    Reply::Say(vec![captured(file, Direction::Response, 0, number)])
}
