//! What two processes say to each other, and how it is framed.
//!
//! A frame is a length (4 bytes, of what follows), a kind (1 byte) and the message. [`Message::Hello`] and
//! [`Message::Refused`] begin the same in every version, so that versions can tell each other apart.

use std::io::{self, Read};
use std::net::SocketAddr;

use super::found::{self, FoundState};
use crate::affinity::Change;
use crate::store::change::{self, Names};
use crate::store::fields::{Broken, Get, Put};
use crate::upstream::{Admin, Health};

/// The version spoken here. Another one is refused: a hand-over that half understands the table would lose conversations.
pub const VERSION: u16 = 1;
/// Longest frame. A conversation of 4,096 keys, told with all of them bound, takes 131 KiB.
const FRAME_MAX: usize = 1 << 20;

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// The successor: I am to take over.
    Hello {
        /// What it speaks.
        version: u16,
        /// Its program's version, for people.
        build: String,
        /// A print of the fingerprint secret that its configuration asks for.
        secret: Option<u128>,
    },
    /// The predecessor: no, and nothing has changed.
    Refused(String),
    /// The predecessor: so many sockets follow.
    Welcome {
        /// Its program's version, for people.
        build: String,
        /// The secret of all fingerprints in its table.
        secret: [u8; 16],
        /// How many sockets follow.
        sockets: u16,
    },
    /// The predecessor: the descriptors that come with this frame, in order.
    Sockets(Vec<Listening>),
    /// The successor: my configuration holds; send the table.
    Begin,
    /// The predecessor: a node's state.
    Node(NodeState),
    /// The predecessor: a node that a source told of.
    Found(FoundState),
    /// Either: my table has changed.
    Change {
        /// Where in the sender's journal.
        position: u64,
        /// Up to where the sender had applied the receiver's journal.
        known: u64,
        /// What happened.
        change: Change,
    },
    /// The predecessor: you have been told of all there was before you came.
    Walked,
    /// Either: I have your changes.
    Ack {
        /// Up to here they are in my table.
        applied: u64,
        /// Up to here they are wherever they have to be.
        settled: u64,
    },
    /// The successor: I have all that; from now on wait for my acknowledgements.
    Synced,
    /// The predecessor: I do. Accept.
    Go,
    /// The successor: I accept; stop. Of your listeners I have these.
    Ready(Vec<Listening>),
    /// The predecessor: the store is closed; it is yours.
    Released,
    /// Either: I have nothing more to say.
    Bye,
}

/// A listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// It serves the admin API, not clients.
    pub is_admin: bool,
    /// The address its configuration gives it.
    pub configured: SocketAddr,
}

/// What is known of a node besides its conversations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeState {
    /// Its affinity group.
    pub group: String,
    /// Its name.
    pub name: String,
    /// What the operator wants of it.
    pub admin: Admin,
    /// What checks say of it.
    pub health: Health,
}

impl Message {
    fn kind(&self) -> u8 {
        match self {
            Self::Hello { .. } => 1,
            Self::Refused(_) => 2,
            Self::Welcome { .. } => 3,
            Self::Sockets(_) => 4,
            Self::Begin => 5,
            Self::Node(_) => 6,
            Self::Change { .. } => 7,
            Self::Walked => 8,
            Self::Ack { .. } => 9,
            Self::Synced => 10,
            Self::Go => 11,
            Self::Ready(_) => 12,
            Self::Bye => 13,
            Self::Released => 14,
            Self::Found(_) => 15,
        }
    }

    /// Writes the frame at the end of a buffer.
    pub fn write(&self, out: &mut Vec<u8>) {
        framed(out, self.kind(), |put| match self {
            Self::Hello { version, build, secret } => {
                put.u16(*version);
                put.text(build);
                put.u8(secret.is_some().into());
                put.u128(secret.unwrap_or_default());
            }
            Self::Refused(why) => put.text(why),
            Self::Welcome { build, secret, sockets } => {
                put.text(build);
                put.u128(u128::from_be_bytes(*secret));
                put.u16(*sockets);
            }
            Self::Sockets(sockets) | Self::Ready(sockets) => {
                put.u16(sockets.len() as u16);
                for socket in sockets {
                    put.u8(socket.is_admin.into());
                    put.address(socket.configured);
                }
            }
            Self::Node(node) => {
                put.text(&node.group);
                put.text(&node.name);
                put.u8(node.admin as u8);
                put.u8(node.health as u8);
            }
            Self::Found(state) => found::put(put, state),
            Self::Change { position, known, change } => {
                put.u64(*position);
                put.u64(*known);
                change::put(put, change);
            }
            Self::Ack { applied, settled } => {
                put.u64(*applied);
                put.u64(*settled);
            }
            Self::Begin | Self::Walked | Self::Synced | Self::Go | Self::Bye | Self::Released => {}
        });
    }

    fn parse(kind: u8, body: &[u8], names: &mut Names) -> Result<Self, Broken> {
        let mut get = Get(body);
        let message = match kind {
            1 => {
                let version = get.u16()?;
                if version != VERSION {
                    // What follows is not ours to read.
                    return Ok(Self::Hello { version, build: String::new(), secret: None });
                }
                let build = get.text()?.to_owned();
                let is_some = get.u8()? != 0;
                let secret = get.u128()?;
                Self::Hello { version, build, secret: is_some.then_some(secret) }
            }
            2 => return Ok(Self::Refused(get.text()?.to_owned())),
            3 => {
                Self::Welcome { build: get.text()?.to_owned(), secret: get.u128()?.to_be_bytes(), sockets: get.u16()? }
            }
            4 => Self::Sockets(listening(&mut get)?),
            5 => Self::Begin,
            6 => Self::Node(NodeState {
                group: get.text()?.to_owned(),
                name: get.text()?.to_owned(),
                admin: one_of(get.u8()?, [Admin::Ready, Admin::Drain, Admin::Maint])?,
                health: one_of(get.u8()?, [Health::Unknown, Health::Up, Health::Down])?,
            }),
            7 => Self::Change { position: get.u64()?, known: get.u64()?, change: change::get(&mut get, names)? },
            8 => Self::Walked,
            9 => Self::Ack { applied: get.u64()?, settled: get.u64()? },
            10 => Self::Synced,
            11 => Self::Go,
            12 => Self::Ready(listening(&mut get)?),
            13 => Self::Bye,
            14 => Self::Released,
            15 => Self::Found(found::get(&mut get)?),
            _ => return Err(Broken("a message of no known kind")),
        };
        if get.0.is_empty() { Ok(message) } else { Err(Broken("it goes on after its end")) }
    }
}

/// Writes a change without a copy of it: the one message that is written under locks.
pub fn write_change(out: &mut Vec<u8>, position: u64, known: u64, change: &Change) {
    framed(out, 7, |put| {
        put.u64(position);
        put.u64(known);
        change::put(put, change);
    });
}

/// Reads the next message. `body` is a buffer to be used again.
///
/// # Errors
/// Nothing comes within the time that the reader allows, the other process has gone, or it does not speak the protocol.
pub fn read(from: &mut impl Read, body: &mut Vec<u8>, names: &mut Names) -> io::Result<Message> {
    let invalid = |broken: Broken| io::Error::new(io::ErrorKind::InvalidData, broken);
    let mut head = [0; 5];
    from.read_exact(&mut head)?;
    let [a, b, c, d, kind] = head;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length == 0 || length > FRAME_MAX {
        return Err(invalid(Broken("its length is not possible")));
    }
    body.clear();
    // Grows with what comes, not with what is promised.
    from.take(length as u64 - 1).read_to_end(body)?;
    if body.len() < length - 1 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Message::parse(kind, body, names).map_err(invalid)
}

fn framed(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Put<'_>)) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind]);
    body(&mut Put(out));
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn listening(get: &mut Get<'_>) -> Result<Vec<Listening>, Broken> {
    let count = get.count()?;
    (0..count).map(|_| Ok(Listening { is_admin: get.u8()? != 0, configured: get.address()? })).collect()
}

fn one_of<T: Copy>(number: u8, all: [T; 3]) -> Result<T, Broken> {
    all.get(usize::from(number)).copied().ok_or(Broken("a state of no known kind"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(message: &Message) -> Message {
        let mut bytes = Vec::new();
        message.write(&mut bytes);
        let mut rest = &bytes[..];
        let read = read(&mut rest, &mut Vec::new(), &mut Names::default()).expect("it was written by us");
        assert!(rest.is_empty());
        for end in 0..bytes.len() {
            let cut = super::read(&mut &bytes[..end], &mut Vec::new(), &mut Names::default());
            assert!(cut.is_err(), "{message:?} cut at {end}");
        }
        read
    }

    fn found(is_whole: bool) -> FoundState {
        use crate::config::model::{AdminState, Context, FoundNode, NodeUrl, Scheme};
        let url = NodeUrl { scheme: Scheme::Https, host: "fd00::1".into(), port: 8443 };
        let mut node = FoundNode::new("n1", url);
        if is_whole {
            let context = Context { hosts: vec!["a".into(), "b".into()], path: "/ws".into(), takes_new: true };
            (node.weight, node.state, node.rests) = (77, AdminState::Drain, true);
            (node.route, node.group, node.identity) = (vec!["r".into()], Some("g".into()), Some("pod-7".into()));
            node.contexts = Some([context].into());
        }
        FoundState { upstream: "orders".into(), source: "mcmp".into(), until: 7, node }
    }

    #[test]
    fn every_message_is_read_back_as_it_was_written() {
        let listening = vec![
            Listening { is_admin: false, configured: "127.0.0.1:80".parse().expect("an address") },
            Listening { is_admin: true, configured: "[::1]:9280".parse().expect("an address") },
        ];
        let node = NodeState { group: "orders".into(), name: "n1".into(), admin: Admin::Drain, health: Health::Down };
        let messages = [
            Message::Hello { version: VERSION, build: "0.1".into(), secret: Some(9) },
            Message::Hello { version: VERSION, build: "0.1".into(), secret: None },
            Message::Refused("no".into()),
            Message::Welcome { build: "0.1".into(), secret: [7; 16], sockets: 3 },
            Message::Sockets(listening.clone()),
            Message::Begin,
            Message::Node(node),
            Message::Walked,
            Message::Ack { applied: u64::MAX, settled: 7 },
            Message::Synced,
            Message::Go,
            Message::Ready(listening),
            Message::Bye,
            Message::Released,
            Message::Found(found(true)),
            Message::Found(found(false)),
        ];
        for message in messages {
            assert_eq!(round(&message), message);
        }
    }

    #[test]
    fn another_version_is_read_as_far_as_to_tell() {
        let mut bytes = Vec::new();
        framed(&mut bytes, 1, |put| {
            put.u16(9);
            put.u64(1);
        });
        let hello = read(&mut &bytes[..], &mut Vec::new(), &mut Names::default()).expect("a hello");
        assert!(matches!(hello, Message::Hello { version: 9, .. }), "{hello:?}");
    }

    #[test]
    fn impossible_lengths_and_kinds_are_refused() {
        for bytes in [[0, 0, 0, 0, 5], [0xff, 0xff, 0xff, 0xff, 5], [0, 0, 0, 1, 99]] {
            assert!(read(&mut &bytes[..], &mut Vec::new(), &mut Names::default()).is_err(), "{bytes:?}");
        }
        // A frame that goes on after its message.
        assert!(read(&mut &[0, 0, 0, 2, 5, 0][..], &mut Vec::new(), &mut Names::default()).is_err());
    }
}
