//! The workers of a running gateway: started, told of new configurations, stopped.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::accept::{self, LeaveQueue};
use super::listen::{self, ListenError};
use super::tcp;
use super::worker::{Load, Loads, Worker};
use crate::config::model::Workers;
use crate::gateway::{Gateway, ListenerSetup, Snapshot};
use crate::upstream::NodeId;

/// How often a worker hands over its log lines.
const TICK: Duration = Duration::from_millis(200);
/// Every so many ticks it looks through its pool.
const TICKS_PER_PRUNE: u32 = 5;

/// What a worker is told.
#[derive(Debug)]
pub enum Command {
    /// Accept on this socket, too.
    Listen(SocketAddr, StdListener),
    /// Accept no more on this address.
    Unlisten(SocketAddr),
    /// Serve this connection, accepted by another worker.
    Adopt {
        /// The connection.
        stream: StdStream,
        /// Its other end.
        peer: SocketAddr,
        /// The listener that accepted it.
        setup: ListenerSetup,
        /// Counts it in here.
        load: Load,
    },
    /// Another worker needs a connection to this machine, which has as many as it may: give up an idle one.
    GiveUpIdle(NodeId),
    /// Accept no more on these addresses, but leave what waits there to others who do; connections end with their next
    /// answer.
    Retire(Arc<[SocketAddr]>, Arc<()>),
    /// Finish what is under way, within this time, and end.
    Stop(Duration),
}

/// The workers of a gateway.
#[derive(Debug)]
pub struct Server {
    gateway: Arc<Gateway>,
    commands: Vec<UnboundedSender<Command>>,
    threads: Vec<JoinHandle<()>>,
    /// Configured address → the one bound.
    addresses: HashMap<SocketAddr, SocketAddr>,
    /// Second descriptors of the listening sockets, by configured address: what another process is given. They go before the
    /// workers end accepting, so that nobody connects to a socket that nobody looks at.
    sockets: Inherited,
    loads: Arc<Loads>,
    /// Held by every worker that has not ended accepting since it was told to retire.
    retiring: Arc<()>,
}

/// Listening sockets that stand already, by the address they are configured with or the one they are bound to.
pub type Inherited = HashMap<SocketAddr, Vec<StdListener>>;

/// Why the workers cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A thread or its runtime cannot be had.
    #[error("cannot start a worker: {0}")]
    Thread(#[from] std::io::Error),
}

impl Server {
    /// Opens all sockets, then starts the workers.
    ///
    /// # Errors
    /// A socket or a thread cannot be had; nothing is left running.
    pub fn start(gateway: Arc<Gateway>) -> Result<Self, ServerError> {
        let mut server = Self::prepare(gateway, &mut Inherited::new())?;
        server.accept()?;
        Ok(server)
    }

    /// Starts the workers with all their sockets, but nobody accepts yet. Takes what it can use of the sockets that stand
    /// already.
    ///
    /// # Errors
    /// A socket or a thread cannot be had; nothing is left running.
    pub fn prepare(gateway: Arc<Gateway>, standing: &mut Inherited) -> Result<Self, ServerError> {
        let snapshot = gateway.snapshot();
        let count = worker_count(snapshot.config.workers);
        let mut sockets = Inherited::new();
        let mut addresses = HashMap::new();
        for listener in &snapshot.listeners {
            let configured = listener.config.address;
            let opened = match standing.remove(&configured) {
                Some(found) if !found.is_empty() => found,
                _ => listen::open(configured, count)?,
            };
            addresses.insert(configured, opened[0].local_addr()?);
            sockets.insert(configured, opened);
        }
        let loads = Loads::new(count, Arc::clone(&gateway));
        gateway.pressure.set_descriptors(tcp::raise_descriptors().unwrap_or(0));
        let (commands, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| unbounded_channel()).unzip();
        let mut server =
            Self { gateway, commands, threads: Vec::new(), addresses, sockets, loads, retiring: Arc::default() };
        for (index, receiver) in receivers.into_iter().enumerate() {
            let thread = server.spawn(index, receiver)?;
            server.threads.push(thread);
        }
        Ok(server)
    }

    /// From now on the workers accept. Where fewer sockets stood than there are workers, more are opened beside them, and not
    /// before: what comes to them would be lost if this process failed. Where more stood, one worker has several.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn accept(&mut self) -> Result<(), ServerError> {
        for (configured, sockets) in &mut self.sockets {
            listen::complete(*configured, sockets, self.commands.len())?;
        }
        for (configured, sockets) in &self.sockets {
            self.listen(*configured, clones(sockets)?);
        }
        Ok(())
    }

    /// All listening sockets, by configured address, to be passed to another process.
    pub fn sockets(&self) -> &Inherited {
        &self.sockets
    }

    /// Accepts no more: another process does so on the same sockets, those of these configured addresses. Other listeners
    /// serve what waits and close. What is connected is served on; each connection ends with its next answer.
    pub fn retire(&mut self, kept: &[SocketAddr]) {
        let kept: Arc<[SocketAddr]> = kept.into();
        self.sockets.clear();
        for command in &self.commands {
            let _ = command.send(Command::Retire(Arc::clone(&kept), Arc::clone(&self.retiring)));
        }
    }

    /// Whether nothing is left to do after [`Server::retire`]: nobody accepts, and no connection stands.
    pub fn is_retired(&self) -> bool {
        Arc::strong_count(&self.retiring) == 1 && self.connections() == 0
    }

    fn spawn(&self, index: usize, commands: UnboundedReceiver<Command>) -> Result<JoinHandle<()>, std::io::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let gateway = Arc::clone(&self.gateway);
        let loads = Arc::clone(&self.loads);
        let others: Vec<_> = self.commands.clone();
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| std::io::Error::other(error.to_string()))?;
        std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            let worker = Worker::new(index, gateway, loads, others.into(), u64::from_ne_bytes(seed));
            LocalSet::new().block_on(&runtime, run(worker, commands));
        })
    }

    fn listen(&self, configured: SocketAddr, sockets: Vec<StdListener>) {
        for (command, socket) in self.commands.iter().cycle().zip(sockets) {
            // A worker ends only when told to stop, and then the server is gone as well.
            let _ = command.send(Command::Listen(configured, socket));
        }
    }

    /// The address bound for a listener, by its configured address.
    pub fn address(&self, configured: SocketAddr) -> Option<SocketAddr> {
        self.addresses.get(&configured).copied()
    }

    /// Client connections at present.
    pub fn connections(&self) -> usize {
        self.loads.total()
    }

    /// Takes over a compiled configuration: new listeners are bound first, then the snapshots are swapped, then listeners
    /// that are gone accept no more.
    ///
    /// # Errors
    /// A new address cannot be bound; nothing has changed then.
    pub fn adopt(&mut self, snapshot: Arc<Snapshot>) -> Result<(), ServerError> {
        let wanted: Vec<SocketAddr> = snapshot.listeners.iter().map(|listener| listener.config.address).collect();
        let mut opened = Vec::new();
        for address in wanted.iter().filter(|address| !self.addresses.contains_key(address)) {
            let sockets = listen::open(*address, self.commands.len())?;
            opened.push((*address, clones(&sockets)?, sockets));
        }
        self.gateway.adopt(snapshot);
        for (configured, listening, sockets) in opened {
            if let Some(Ok(bound)) = sockets.first().map(StdListener::local_addr) {
                self.addresses.insert(configured, bound);
            }
            self.listen(configured, listening);
            self.sockets.insert(configured, sockets);
        }
        let gone: Vec<SocketAddr> =
            self.addresses.keys().copied().filter(|address| !wanted.contains(address)).collect();
        for address in gone {
            self.addresses.remove(&address);
            self.sockets.remove(&address);
            for command in &self.commands {
                let _ = command.send(Command::Unlisten(address));
            }
        }
        Ok(())
    }

    /// Stops: accepts no more, finishes what is under way within `limit`, then ends. Blocks until then.
    pub fn stop(mut self, limit: Duration) {
        self.sockets.clear();
        for command in &self.commands {
            let _ = command.send(Command::Stop(limit));
        }
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker ended by a panic");
            }
        }
        self.gateway.access_log.flush();
    }
}

fn clones(sockets: &[StdListener]) -> std::io::Result<Vec<StdListener>> {
    sockets.iter().map(StdListener::try_clone).collect()
}

/// How many workers serve.
pub fn worker_count(configured: Workers) -> usize {
    match configured {
        Workers::Auto => std::thread::available_parallelism().map_or(1, usize::from),
        Workers::Count(count) => usize::from(count.get()),
    }
}

async fn run(worker: Rc<Worker>, mut commands: UnboundedReceiver<Command>) {
    let ticking = spawn_local(tick(Rc::clone(&worker)));
    // Several to one address, where there are more sockets than workers.
    let mut accepting: HashMap<SocketAddr, Vec<oneshot::Sender<LeaveQueue>>> = HashMap::new();
    let mut accepters = Vec::new();
    let mut limit = Duration::ZERO;
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen(configured, socket) => match TcpListener::from_std(socket) {
                Ok(listener) => {
                    let (stop, stopped) = oneshot::channel();
                    accepting.entry(configured).or_default().push(stop);
                    let task = accept::accept(Rc::clone(&worker), listener, configured, stopped);
                    accepters.push(spawn_local(task));
                }
                Err(error) => tracing::error!(%configured, %error, "a worker cannot use its listening socket"),
            },
            Command::Unlisten(configured) => {
                // Dropping the sender ends the accepter.
                accepting.remove(&configured);
            }
            Command::Retire(kept, _accepting) => {
                for (configured, accepters) in accepting.drain() {
                    for accepter in accepters.into_iter().filter(|_| kept.contains(&configured)) {
                        // One that has ended by itself leaves its queue as well.
                        let _ = accepter.send(LeaveQueue);
                    }
                }
                for accepter in accepters.drain(..) {
                    let _ = accepter.await;
                }
                worker.stop.retire();
            }
            Command::Adopt { stream, peer, setup, load } => match TcpStream::from_std(stream) {
                Ok(stream) => accept::begin(&worker, stream, peer, setup, load),
                Err(error) => tracing::warn!(%error, "a connection is lost on its way from another worker"),
            },
            Command::GiveUpIdle(node) => worker.pool.give_up_idle(node),
            Command::Stop(within) => {
                limit = within;
                break;
            }
        }
    }
    accepting.clear();
    for accepter in accepters {
        let _ = accepter.await;
    }
    while let Ok(command) = commands.try_recv() {
        if let Command::Adopt { stream, peer, setup, load } = command
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            accept::begin(&worker, stream, peer, setup, load);
        }
    }
    worker.stop.begin();
    let until = Instant::now() + limit;
    while worker.loads.of(worker.index) > 0 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let left = worker.loads.of(worker.index);
    if left > 0 {
        tracing::warn!(connections = left, "stopped with requests under way");
    }
    ticking.abort();
    worker.pool.clear();
    worker.lines.flush();
}

/// What a worker does now and then.
async fn tick(worker: Rc<Worker>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count = 0u32;
    loop {
        ticks.tick().await;
        worker.lines.flush();
        count = count.wrapping_add(1);
        if count.is_multiple_of(TICKS_PER_PRUNE) {
            worker.pool.prune();
        }
    }
}
