//! The process that takes over.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::descriptors::{self, Receiver};
use super::door::STEP;
use super::found::FoundState;
use super::link::Link;
use super::message::{self, Listening, Message, NodeState, VERSION};
use super::storing::Awaited;
use crate::affinity::{Follower, Now};
use crate::config::model::FoundNode;
use crate::gateway::{Gateway, Listing, REGISTER, Registration};
use crate::store::Secret;
use crate::store::change::Names;
use crate::upstream::Live;

/// How long the predecessor may be silent while it walks through its table.
const SILENCE: Duration = Duration::from_secs(30);

/// Why this process cannot take over.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// The running process said no.
    #[error("the running process refused to hand over: {0}")]
    Refused(String),
    /// The connection to it failed.
    #[error("taking over by {path} failed: {source}; the running process goes on serving")]
    Failed {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// What a running process gave away: sockets and secret.
#[derive(Debug)]
pub struct Successor {
    stream: UnixStream,
    path: PathBuf,
    /// What the running process calls itself.
    pub build: String,
    /// The secret of its fingerprints.
    pub secret: Secret,
    /// Its listening sockets, by the address its configuration gives them.
    pub sockets: HashMap<SocketAddr, Vec<TcpListener>>,
    /// The socket of its admin API, with its configured address.
    pub admin: Option<(SocketAddr, TcpListener)>,
}

impl Successor {
    /// Asks the process that listens on this socket to hand over; `None` where nobody does. `secret`: a print of the secret
    /// that the configuration asks for.
    ///
    /// # Errors
    /// It refuses or fails. It goes on serving then.
    pub fn ask(path: &Path, secret: Option<u128>) -> Result<Option<Self>, TakeOverError> {
        let stream = match UnixStream::connect(path) {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(source) => return Err(TakeOverError::Failed { path: path.to_owned(), source }),
        };
        Self::greet(stream, path, secret).map(Some)
    }

    fn greet(stream: UnixStream, path: &Path, secret: Option<u128>) -> Result<Self, TakeOverError> {
        let fail = |source| TakeOverError::Failed { path: path.to_owned(), source };
        stream.set_read_timeout(Some(STEP)).map_err(fail)?;
        stream.set_write_timeout(Some(STEP)).map_err(fail)?;
        say(&stream, &Message::Hello { version: VERSION, build: env!("CARGO_PKG_VERSION").to_owned(), secret })
            .map_err(fail)?;
        let mut receiver = Receiver::new(&stream);
        let (mut body, mut names) = (Vec::new(), Names::default());
        let mut read = |receiver: &mut Receiver<'_>| message::read(receiver, &mut body, &mut names).map_err(fail);
        let (build, secret, count) = match read(&mut receiver)? {
            Message::Welcome { build, secret, sockets } => (build, secret, usize::from(sockets)),
            Message::Refused(why) => return Err(TakeOverError::Refused(why)),
            _ => return Err(fail(unexpected())),
        };
        let mut listening = Vec::new();
        while listening.len() < count.min(descriptors::MAX) {
            match read(&mut receiver)? {
                Message::Sockets(some) if !some.is_empty() => listening.extend(some),
                _ => return Err(fail(unexpected())),
            }
        }
        if listening.len() != receiver.descriptors.len() {
            return Err(fail(io::Error::new(io::ErrorKind::InvalidData, "not every socket has come")));
        }
        let mut sockets: HashMap<SocketAddr, Vec<TcpListener>> = HashMap::new();
        let mut admin = None;
        for (Listening { is_admin, configured }, descriptor) in
            listening.into_iter().zip(receiver.descriptors.drain(..))
        {
            if is_admin {
                admin = Some((configured, TcpListener::from(descriptor)));
            } else {
                sockets.entry(configured).or_default().push(TcpListener::from(descriptor));
            }
        }
        Ok(Self { stream, path: path.to_owned(), build, secret, sockets, admin })
    }

    /// Reads the table and the nodes' states into this gateway. When this returns both tables are in step and the
    /// predecessor waits for what is bound here; it accepts until `Caught::accepts` is called.
    ///
    /// # Errors
    /// The predecessor has gone or does not speak the protocol. It goes on serving, if it still does.
    pub fn catch_up(self, gateway: &Arc<Gateway>) -> Result<Caught, TakeOverError> {
        let path = self.path.clone();
        self.follow(gateway).map_err(|source| TakeOverError::Failed { path, source })
    }

    fn follow(self, gateway: &Arc<Gateway>) -> io::Result<Caught> {
        let Self { stream, .. } = self;
        stream.set_read_timeout(Some(SILENCE))?;
        say(&stream, &Message::Begin)?;
        let link = Link::begin(Arc::clone(gateway), stream, true)?;
        let (done, synced) = std::sync::mpsc::channel();
        let reading = link.clone();
        let own = Arc::clone(gateway);
        std::thread::Builder::new().name("handover-in".into()).spawn(move || {
            let mut follower = Follower::new(Arc::clone(&own.affinity));
            let mut store = None;
            let mut is_live = false;
            let mut found = Vec::new();
            let ended = reading.read(&mut follower, &mut |link, message| match message {
                Message::Node(state) => {
                    take_state(&own, &state);
                    Ok(())
                }
                Message::Found(state) => {
                    found.push(state);
                    Ok(())
                }
                Message::Walked => {
                    take_found(&own, std::mem::take(&mut found));
                    store = Some(Awaited::begin(&own));
                    link.wait();
                    link.send(&Message::Synced);
                    Ok(())
                }
                Message::Go => {
                    is_live = true;
                    link.allow_silence(None)?;
                    let _ = done.send(());
                    Ok(())
                }
                Message::Released => {
                    if let Some(store) = store.take() {
                        store.take();
                    }
                    Ok(())
                }
                _ => Err(unexpected()),
            });
            // One that is gone has left its store as well.
            if let Some(store) = store.take().filter(|_| is_live) {
                store.take();
            }
            match &ended {
                Ok(()) => tracing::info!("the process before this one has ended; all its conversations are here"),
                Err(error) => tracing::warn!(%error, "the process before this one has gone without a word"),
            }
            reading.end();
        })?;
        // The reader ends, and with it this wait, when nothing comes for too long.
        match synced.recv() {
            Ok(()) => Ok(Caught { link }),
            Err(_) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the running process broke off")),
        }
    }
}

/// In step with the predecessor.
#[derive(Debug)]
pub struct Caught {
    link: Link,
}

impl Caught {
    /// Conversations that came over.
    pub fn conversations(&self) -> u64 {
        self.link.heard()
    }

    /// This process accepts on these sockets of the predecessor, which may stop.
    pub fn accepts(self, sockets: Vec<Listening>) -> Link {
        self.link.send(&Message::Ready(sockets));
        self.link
    }

    /// This process cannot go on.
    pub fn give_up(self) {
        self.link.end();
    }
}

/// What sources told holds until they tell again: some do so only when a node has something to say.
fn take_found(gateway: &Gateway, found: Vec<FoundState>) {
    let mut lists: BTreeMap<(String, String), Vec<FoundNode>> = BTreeMap::new();
    for FoundState { upstream, source, until, node } in found {
        if source == REGISTER && until > 0 {
            gateway.announce(&upstream, Registration { node, until: Now(until) });
        } else {
            lists.entry((upstream, source)).or_default().push(node);
        }
    }
    for ((upstream, source), nodes) in lists {
        // What was read here already is newer.
        if gateway.told(&upstream, &source).is_none_or(|told| told.listing.is_none()) {
            gateway.tell(&upstream, &source, Listing::seen(nodes));
        }
    }
}

/// What the operator wants of a node holds, whoever serves.
pub fn take_admin(gateway: &Gateway, state: &NodeState) -> Arc<Live> {
    let live = gateway.registry.machine(&state.group, &state.name);
    if live.admin() != state.admin {
        live.set_admin(state.admin);
        tracing::info!(node = state.name, state = ?state.admin, "administrative state of the other process");
    }
    live
}

/// What checks said of a node holds until this process has looked.
fn take_state(gateway: &Gateway, state: &NodeState) {
    let live = take_admin(gateway, state);
    // Without a check here nobody would ever correct it.
    let is_checked = gateway.snapshot().upstreams.iter().any(|upstream| {
        upstream.config.health.check.is_some()
            && *upstream.config.affinity_group == *state.group
            && upstream.nodes.get(live.id()).is_some()
    });
    if is_checked {
        live.set_health(state.health);
    }
}

fn say(mut stream: &UnixStream, message: &Message) -> io::Result<()> {
    let mut bytes = Vec::new();
    message.write(&mut bytes);
    stream.write_all(&bytes)
}

fn unexpected() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the other process says what it should not say now")
}
