//! The process that hands over.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::descriptors;
use super::door::{Visitor, say_no};
use super::link::Link;
use super::message::{self, Listening, Message, VERSION};
use super::successor::take_admin;
use crate::affinity::Follower;
use crate::gateway::Gateway;
use crate::store::change::Names;

/// How long the successor may be silent while it compiles its configuration or reads the table.
const SILENCE: Duration = Duration::from_secs(30);

/// What is handed over.
#[derive(Debug)]
pub struct Offer {
    /// The table, the nodes, the secret.
    pub gateway: Arc<Gateway>,
    /// The listening sockets.
    pub sockets: Vec<(Listening, TcpListener)>,
}

/// How it goes, for the control plane.
#[derive(Debug)]
pub enum Progress {
    /// The successor accepts. This process must stop accepting, at once.
    Ready {
        /// The listeners that the successor has, by their configured addresses here.
        kept: Vec<SocketAddr>,
        /// What is bound here goes to the successor by this.
        link: Link,
        /// Its process.
        pid: i32,
    },
    /// Nothing has changed: why.
    Failed(String),
    /// After [`Progress::Ready`]: the successor has ended or said goodbye.
    Gone,
}

/// Hands over to a visitor, on a thread of its own.
///
/// # Errors
/// The thread cannot be had; the visitor is gone then.
pub fn hand_over(visitor: Visitor, offer: Offer, progress: UnboundedSender<Progress>) -> io::Result<()> {
    std::thread::Builder::new().name("handover-in".into()).spawn(move || {
        let mut is_ready = false;
        let end = run(&visitor, offer, &progress, &mut is_ready);
        let last = match end {
            _ if is_ready => Progress::Gone,
            Ok(()) => Progress::Failed("the successor gave up".to_owned()),
            Err(Failure::Refused(why)) => Progress::Failed(why),
            Err(Failure::Io(error)) => Progress::Failed(describe(&error)),
        };
        // Nobody listens any more where the process is about to end.
        let _ = progress.send(last);
    })?;
    Ok(())
}

enum Failure {
    /// The successor was told so.
    Refused(String),
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn run(
    visitor: &Visitor,
    offer: Offer,
    progress: &UnboundedSender<Progress>,
    is_ready: &mut bool,
) -> Result<(), Failure> {
    let stream = &visitor.stream;
    let read = || message::read(&mut &*stream, &mut Vec::new(), &mut Names::default());
    if let Err(why) = judge(&read()?, &offer.gateway) {
        say_no(stream, why.clone());
        return Err(Failure::Refused(why));
    }
    send_sockets(stream, &offer)?;
    let Offer { gateway, sockets } = offer;
    // The successor has its own now; the server's are what the workers stop using.
    drop(sockets);
    stream.set_read_timeout(Some(SILENCE))?;
    match read()? {
        Message::Begin => {}
        Message::Refused(why) => return Err(Failure::Refused(why)),
        _ => return Err(unexpected().into()),
    }

    let link = Link::begin(Arc::clone(&gateway), stream.try_clone()?, false)?;
    let walking = link.clone();
    let own = Arc::clone(&gateway);
    let machines = gateway.registry.machines();
    std::thread::Builder::new().name("handover-walk".into()).spawn(move || {
        for live in machines {
            walking.send_state(&live);
        }
        walking.send_found(&own);
        if walking.walk() {
            walking.send(&Message::Walked);
        }
    })?;
    let mut follower = Follower::new(Arc::clone(&gateway.affinity));
    let ended = link.read(&mut follower, &mut |link, message| match message {
        Message::Synced => {
            link.wait();
            link.send(&Message::Go);
            Ok(())
        }
        Message::Ready(sockets) if !*is_ready => {
            *is_ready = true;
            // From now on it may be silent for as long as nobody begins a conversation.
            link.allow_silence(None)?;
            let kept = sockets.iter().filter(|one| !one.is_admin).map(|one| one.configured).collect();
            // Nobody listens where the process is about to end: then the successor serves alone.
            let _ = progress.send(Progress::Ready { kept, link: link.clone(), pid: visitor.pid });
            Ok(())
        }
        Message::Node(state) => {
            take_admin(&gateway, &state);
            Ok(())
        }
        _ => Err(unexpected()),
    });
    link.end();
    Ok(ended?)
}

/// Whether this successor can take over.
fn judge(hello: &Message, gateway: &Gateway) -> Result<(), String> {
    let Message::Hello { version, secret, .. } = hello else { return Err("that is no greeting".to_owned()) };
    if *version != VERSION {
        return Err(format!(
            "the running process ({}) speaks version {VERSION} of the hand-over, the new one version {version}; stop the one and start the other",
            env!("CARGO_PKG_VERSION")
        ));
    }
    if secret.is_some_and(|print| print != gateway.secret_print()) {
        return Err("affinity.fingerprint_key differs from the running process's: every pin would be forgotten; keep the key, or stop the one process and start the other".to_owned());
    }
    Ok(())
}

fn send_sockets(mut stream: &UnixStream, offer: &Offer) -> io::Result<()> {
    use std::io::Write;
    let sockets = &offer.sockets[..offer.sockets.len().min(descriptors::MAX)];
    let mut bytes = Vec::new();
    Message::Welcome {
        build: env!("CARGO_PKG_VERSION").to_owned(),
        secret: *offer.gateway.secret(),
        sockets: sockets.len() as u16,
    }
    .write(&mut bytes);
    stream.write_all(&bytes)?;
    for some in sockets.chunks(descriptors::AT_ONCE) {
        bytes.clear();
        Message::Sockets(some.iter().map(|(listening, _)| *listening).collect()).write(&mut bytes);
        let descriptors: Vec<BorrowedFd<'_>> = some.iter().map(|(_, socket)| socket.as_fd()).collect();
        descriptors::send(stream, &bytes, &descriptors)?;
    }
    Ok(())
}

fn unexpected() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the other process says what it should not say now")
}

/// What a failed stream means here.
fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "the successor ended before it was ready".to_owned()
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "the successor took too long".to_owned(),
        _ => error.to_string(),
    }
}
