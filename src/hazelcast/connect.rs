//! One connection: TCP, TLS, preamble, authentication.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::answer::{self, Welcome};
use super::error::ConnectError;
use super::members::Address;
use super::options::{Options, Tls};
use super::request;
use super::uuid::Uuid;
use super::wire::{Decoder, Message, PREAMBLE};

/// Bytes both ways, in clear text or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection on which the member has let us in.
pub(super) struct Connection {
    pub(super) stream: Box<dyn Stream>,
    pub(super) decoder: Decoder,
    pub(super) member: Address,
    pub(super) welcome: Welcome,
}

/// The number of the first call on a connection.
const FIRST: i64 = 1;

/// Connects to a member, in the time that is for it.
pub(super) async fn connect(options: &Options, client: Uuid, member: &Address) -> Result<Connection, ConnectError> {
    let after = options.connect;
    let silent = |_| ConnectError::Silent { member: member.clone(), after };
    timeout(after, attempt(options, client, member)).await.map_err(silent)?
}

async fn attempt(options: &Options, client: Uuid, member: &Address) -> Result<Connection, ConnectError> {
    let fail = |source: io::Error| ConnectError::Io { member: member.clone(), source: Arc::new(source) };
    let mut stream = open(options.tls.as_ref(), member).await.map_err(fail)?;
    let mut out = BytesMut::from(PREAMBLE);
    // The partition of a request that is about no key does not depend on how many there are.
    request::authentication(options, client).send(FIRST, 1, &mut out);
    stream.write_all(&out).await.map_err(fail)?;
    stream.flush().await.map_err(fail)?;
    let mut decoder = Decoder::default();
    loop {
        while let Some(message) =
            decoder.take().map_err(|error| ConnectError::Wire { member: member.clone(), error })?
        {
            if message.correlation() == FIRST && !message.is_event() {
                let welcome = judge(member, &message)?;
                return Ok(Connection { stream, decoder, member: member.clone(), welcome });
            }
        }
        if stream.read_buf(decoder.buffer()).await.map_err(fail)? == 0 {
            return Err(ConnectError::Closed { member: member.clone() });
        }
    }
}

/// Whether the member lets us in.
fn judge(member: &Address, message: &Message) -> Result<Welcome, ConnectError> {
    let member = || member.clone();
    let malformed = |error| ConnectError::Malformed { member: member(), kind: message.kind(), error };
    if answer::is_error(message) {
        return Err(ConnectError::Member { member: member(), error: answer::error(message).map_err(malformed)? });
    }
    let welcome = answer::welcome(message).map_err(malformed)?;
    welcome.map_err(|refusal| ConnectError::Refused { member: member(), refusal })
}

async fn open(tls: Option<&Tls>, member: &Address) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect((member.host.as_str(), member.port)).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let name = match &tls.server_name {
        Some(name) => name.clone(),
        None => ServerName::try_from(member.host.clone()).map_err(io::Error::other)?,
    };
    Ok(Box::new(TlsConnector::from(Arc::clone(&tls.config)).connect(name, stream).await?))
}

/// The pause before the next round over all members, when so many have failed in a row.
pub(super) fn pause(rounds: u32, longest: Duration) -> Duration {
    let first = Duration::from_millis(100);
    first.saturating_mul(1u32.checked_shl(rounds.saturating_sub(1)).unwrap_or(u32::MAX)).min(longest)
}

/// Members in the order in which to try them: the known ones and those to begin with, each once, the one that was lost last.
/// `turn` spreads clients over the members.
pub(super) fn candidates(known: &[Address], first: &[Address], lost: Option<&Address>, turn: usize) -> Vec<Address> {
    let mut found: Vec<Address> = Vec::new();
    for address in known.iter().chain(first) {
        if !found.contains(address) {
            found.push(address.clone());
        }
    }
    if !found.is_empty() {
        let turn = turn % found.len();
        found.rotate_left(turn);
    }
    found.sort_by_key(|address| Some(address) == lost);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<Address> {
        text.split_whitespace().map(|word| word.parse().expect("it is an address")).collect()
    }

    #[test]
    fn the_lost_member_is_tried_last() {
        let lost = addresses("b");
        for (known, first, lost, turn, expected) in [
            ("a b c", "b z", None, 0, "a b c z"),
            ("a b c", "b z", None, 1, "b c z a"),
            ("a b c", "b z", Some(&lost[0]), 1, "c z a b"),
            ("", "a b", Some(&lost[0]), 3, "a b"),
            ("", "", None, 3, ""),
        ] {
            assert_eq!(candidates(&addresses(known), &addresses(first), lost, turn), addresses(expected));
        }
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let longest = Duration::from_secs(5);
        for (rounds, millis) in [(0, 100), (1, 100), (2, 200), (6, 3200), (7, 5000), (40, 5000), (u32::MAX, 5000)] {
            assert_eq!(pause(rounds, longest), Duration::from_millis(millis), "{rounds}");
        }
    }
}
