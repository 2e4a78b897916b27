//! Handing over and taking over, as `castile run` does it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use crate::admin;
use crate::config::Config;
use crate::gateway::Gateway;
use crate::handover::{self, Door, Link, Listening, Offer, Progress, Successor, TakeOverError, Visitor};
use crate::proxy::Server;
use crate::upstream::{Admin, NodeId};

/// How long the successor may take to read what is bound here last.
const FAREWELL: Duration = Duration::from_secs(5);

/// Asks the process that serves now, if there is one, for its sockets and its secret.
///
/// # Errors
/// There is no way to ask, or it refuses. It goes on serving.
pub fn ask(config: &Config) -> Result<Option<Successor>, Box<dyn std::error::Error>> {
    let Some(socket) = &config.handover.socket else {
        return Err("--take-over: the configuration names no handover.socket; write handover: {socket: PATH}".into());
    };
    let asked = Successor::ask(socket, Gateway::configured_print(&config.affinity))?;
    match &asked {
        Some(successor) => tracing::info!(version = successor.build, "taking over from the running process"),
        None => tracing::info!(socket = %socket.display(), "nobody to take over from: an ordinary start"),
    }
    Ok(asked)
}

/// Reads the table of the process that serves now and begins to accept in its place.
///
/// # Errors
/// It has gone, or fails. If it lives, it goes on serving.
pub fn take_over(
    successor: Successor,
    given: &[SocketAddr],
    gateway: &Arc<Gateway>,
    server: &mut Server,
) -> Result<Link, Box<dyn std::error::Error>> {
    gateway.expect_store()?;
    let kept = given.iter().filter(|address| server.sockets().contains_key(address));
    let kept = kept.map(|address| Listening { is_admin: false, configured: *address }).collect();
    let caught = successor.catch_up(gateway).map_err(|error: TakeOverError| error.to_string())?;
    let conversations = caught.conversations();
    if let Err(error) = server.accept() {
        caught.give_up();
        return Err(error.into());
    }
    let link = caught.accepts(kept);
    gateway.handovers.conversations.store(conversations, Ordering::Relaxed);
    tracing::info!(conversations, "taken over; the process before this one accepts no more");
    Ok(link)
}

/// Where this process stands between its predecessor and its successor.
#[derive(Debug)]
enum Stage {
    /// It serves.
    Serving,
    /// It serves, and a successor is getting ready.
    HandingOver,
    /// A successor serves; connections that stand here are served on until then.
    Retired { link: Option<Link>, until: Instant },
}

/// What a running process does about its successors.
#[derive(Debug)]
pub struct Succession {
    door: Option<Door>,
    stage: Stage,
    progress: UnboundedReceiver<Progress>,
    sender: UnboundedSender<Progress>,
    /// The process before this one, while it still serves, and what it knows of nodes.
    before: Option<Link>,
    states: HashMap<NodeId, Admin>,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Somebody wants to take over.
    Visitor(Visitor),
    /// A hand-over goes on.
    Progress(Progress),
}

impl Succession {
    /// Begins to listen where the configuration says, in the place of the process before this one if there was one. Needs a
    /// runtime.
    pub fn begin(gateway: &Gateway, before: Option<Link>) -> Self {
        let in_place = before.is_some();
        let (sender, progress) = unbounded_channel();
        let mut this = Self { door: None, stage: Stage::Serving, progress, sender, before, states: HashMap::new() };
        this.door = open(gateway.snapshot().config.handover.socket.as_deref(), in_place);
        this
    }

    /// Listens elsewhere if a reload says so.
    pub fn reloaded(&mut self, gateway: &Gateway) {
        let snapshot = gateway.snapshot();
        let wanted = snapshot.config.handover.socket.as_deref();
        if self.door.as_ref().map(Door::path) != wanted {
            self.door = None;
            self.door = open(wanted, false);
        }
    }

    /// The next thing that happens. May be dropped and called again.
    pub async fn next(&mut self) -> Event {
        let visitor = async {
            match &self.door {
                Some(door) => door.visitor().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // This end holds a sender, so it never closes.
            Some(progress) = self.progress.recv() => Event::Progress(progress),
            visitor = visitor => Event::Visitor(visitor),
        }
    }

    /// Tells the process before this one what the operator wants of nodes since.
    pub fn tell_states(&mut self, gateway: &Gateway) {
        let Some(link) = self.before.as_ref().filter(|link| !link.is_over()) else {
            self.before = None;
            return;
        };
        for live in gateway.registry.machines() {
            if self.states.insert(live.id(), live.admin()) != Some(live.admin()) {
                link.send_state(&live);
            }
        }
    }

    /// Whether a successor serves.
    pub fn is_retired(&self) -> bool {
        matches!(self.stage, Stage::Retired { .. })
    }

    /// Whether a successor serves and nothing is left to do here, or the time for it is over. As long as the process before this
    /// one serves, what it binds must go on to the successor.
    pub fn is_over(&self, server: &Server) -> bool {
        match &self.stage {
            Stage::Retired { until, .. } => {
                let is_last = self.before.as_ref().is_none_or(Link::is_over);
                server.is_retired() && is_last || Instant::now() >= *until
            }
            _ => false,
        }
    }

    /// Does what an event asks for. True where the successor accepts from now on: the admin listener must end.
    pub fn heed(
        &mut self,
        event: Event,
        gateway: &Arc<Gateway>,
        server: &mut Server,
        admin: Option<&(SocketAddr, std::net::TcpListener)>,
    ) -> bool {
        match event {
            Event::Visitor(visitor) => self.receive(visitor, gateway, server, admin),
            Event::Progress(Progress::Ready { kept, link, pid }) => {
                server.retire(&kept);
                if let Some(door) = self.door.take() {
                    door.leave();
                }
                let limit = gateway.snapshot().config.handover.limit;
                let connections = server.connections();
                tracing::info!(pid, connections, ?limit, "handed over; connections end with their next answer");
                link.release_store();
                handover::notify(&format!("MAINPID={pid}"));
                self.stage = Stage::Retired { link: Some(link), until: Instant::now() + limit };
                return true;
            }
            Event::Progress(Progress::Failed(why)) => {
                tracing::error!(why, "hand-over failed; this process goes on serving");
                gateway.handovers.failed.fetch_add(1, Ordering::Relaxed);
                self.stage = Stage::Serving;
            }
            Event::Progress(Progress::Gone) => {
                if let Stage::Retired { link: gone @ Some(_), .. } = &mut self.stage {
                    *gone = None;
                    tracing::warn!("the successor has gone; the connections that stand here are served on");
                }
            }
        }
        false
    }

    fn receive(
        &mut self,
        visitor: Visitor,
        gateway: &Arc<Gateway>,
        server: &Server,
        admin: Option<&(SocketAddr, std::net::TcpListener)>,
    ) {
        let refusal = match self.stage {
            _ if gateway.is_stopping() => Some("it is stopping"),
            Stage::Serving => None,
            Stage::HandingOver => Some("another hand-over is under way"),
            Stage::Retired { .. } => Some("it has handed over already"),
        };
        if let Some(why) = refusal {
            gateway.handovers.failed.fetch_add(1, Ordering::Relaxed);
            return handover::refuse(visitor, why);
        }
        let pid = visitor.pid;
        let offered =
            offer(gateway, server, admin).and_then(|offer| handover::hand_over(visitor, offer, self.sender.clone()));
        match offered {
            Ok(()) => {
                tracing::info!(pid, "a new process takes over");
                self.stage = Stage::HandingOver;
            }
            Err(error) => tracing::error!(%error, "no hand-over: out of descriptors or threads"),
        }
    }

    /// Starts a successor, which then asks as any other.
    pub fn start_successor(&self, gateway: &Gateway) {
        if self.door.is_none() || !matches!(self.stage, Stage::Serving) || gateway.is_stopping() {
            let socket = gateway.snapshot().config.handover.socket.is_some();
            let why = if socket { "not now" } else { "the configuration names no handover.socket" };
            return tracing::error!(why, "no successor is started");
        }
        match handover::start_successor() {
            Ok(mut child) => {
                tracing::info!(pid = child.id(), "a successor was started");
                let watched = std::thread::Builder::new().name("successor".into()).spawn(move || match child.wait() {
                    Ok(status) if status.success() => {}
                    Ok(status) => tracing::error!(%status, "the successor ended"),
                    Err(error) => tracing::debug!(%error, "nobody knows how the successor ended"),
                });
                drop(watched);
            }
            Err(error) => tracing::error!(%error, "the successor cannot be started"),
        }
    }

    /// This process ends: a successor hears that nothing more comes.
    pub fn leave(self) {
        if let Stage::Retired { link: Some(link), .. } = self.stage {
            link.leave(FAREWELL);
        }
    }
}

fn open(path: Option<&Path>, in_place: bool) -> Option<Door> {
    match Door::open(path?, in_place) {
        Ok(door) => {
            tracing::info!(socket = %door.path().display(), "a new process can take over");
            Some(door)
        }
        Err(error) => {
            tracing::error!("{error}; nobody can take over from this process");
            None
        }
    }
}

fn offer(
    gateway: &Arc<Gateway>,
    server: &Server,
    admin: Option<&(SocketAddr, std::net::TcpListener)>,
) -> std::io::Result<Offer> {
    let mut sockets = Vec::new();
    for (configured, own) in server.sockets() {
        for socket in own {
            sockets.push((Listening { is_admin: false, configured: *configured }, socket.try_clone()?));
        }
    }
    if let Some((configured, socket)) = admin {
        sockets.push((Listening { is_admin: true, configured: *configured }, socket.try_clone()?));
    }
    Ok(Offer { gateway: Arc::clone(gateway), sockets })
}

/// The admin listener's socket, with its configured address.
pub fn admin_socket(
    gateway: &Gateway,
    listener: Option<&admin::Listener>,
) -> Option<(SocketAddr, std::net::TcpListener)> {
    let configured = gateway.snapshot().config.admin.address?;
    Some((configured, listener?.share().ok()?))
}
