//! What all workers share: the present snapshot, the table, the logs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
// The system's clock; in tests it may be paused.
use tokio::time::Instant;

use super::capture::Captures;
use super::{Membership, Pressure, Snapshot, SnapshotError, Sources, tls};
use crate::affinity::{Affinity, Limits, Now, WhenFull};
use crate::config::model;
use crate::session::Fingerprinter;
use crate::store::fleet::Fleet;
use crate::store::{Disk, OpenError, Opened, Secret};
use crate::telemetry::audit::{self, Audit, SyslogReceiver};
use crate::telemetry::metrics::Tally;
use crate::telemetry::series::Book;
use crate::telemetry::{AccessLog, Format};
use crate::upstream::Registry;

/// A secret that no log shows.
struct Hidden(Secret);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden(..)")
    }
}

/// What hand-overs from and to other processes came to.
#[derive(Debug, Default)]
pub struct Handovers {
    /// Successors that failed or were refused; nothing changed by them.
    pub failed: AtomicU64,
    /// Conversations that came over from the process before this one.
    pub conversations: AtomicU64,
}

/// Why the gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot be compiled.
    #[error("configuration: {0}")]
    Config(#[from] SnapshotError),
    /// The access log cannot be opened.
    #[error("access log {file}: {source}")]
    AccessLog {
        /// Where it should be.
        file: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The store cannot be used.
    #[error("{0}")]
    Store(#[from] OpenError),
    /// The store that gateways share cannot be used.
    #[error("{0}")]
    Fleet(String),
    /// The audit stream cannot be opened.
    #[error("audit: {0}")]
    Audit(String),
    /// The system has no random numbers.
    #[error("no random numbers: {0}")]
    Random(String),
}

/// What all workers share.
#[derive(Debug)]
pub struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    /// Every machine this process knows.
    pub registry: Arc<Registry>,
    /// The table of conversations.
    pub affinity: Arc<Affinity>,
    /// Makes fingerprints.
    pub fingerprinter: Fingerprinter,
    /// What all clients together use.
    pub pressure: Pressure,
    /// How fast each source begins conversations.
    pub sources: Sources,
    /// Nodes that come and go by themselves.
    pub(super) membership: Membership,
    secret: Hidden,
    /// What became of hand-overs.
    pub handovers: Handovers,
    /// The access log.
    pub access_log: AccessLog,
    store: OnceLock<Disk>,
    pub(super) fleet: OnceLock<Fleet>,
    /// The audit stream.
    pub audit: Audit,
    /// Who captures exchanges.
    pub captures: Captures,
    pub(super) started: Instant,
    /// Milliseconds from 1970 to the start.
    pub(super) epoch: u64,
    /// Bytes of messages held until they can be placed, over all workers.
    inspecting: AtomicU64,
    reloads: watch::Sender<u64>,
    /// Counts reloads and changes of nodes.
    changes: watch::Sender<u64>,
    /// How many reloads were refused, and why the last one was, unless one was taken over since.
    refused: Mutex<(u64, Option<String>)>,
    /// Who asks for a reload, forced or not, and until somebody heeds them, the other end.
    asked: (UnboundedSender<bool>, Mutex<Option<UnboundedReceiver<bool>>>),
    stopping: AtomicBool,
    /// What each worker counts.
    tallies: Mutex<Vec<Arc<Tally>>>,
    /// What is counted by upstream and node.
    book: Book,
}

impl Gateway {
    /// A gateway with this configuration, serving nobody yet, with the pins of its store.
    ///
    /// # Errors
    /// The configuration cannot be compiled, or a file it names cannot be used.
    pub fn open(config: model::Config) -> Result<Arc<Self>, StartError> {
        let model::Store::Disk { path, durability } = &config.affinity.store else { return Self::new(config) };
        let before_reply = *durability == model::Durability::BeforeReply;
        let began = Instant::now();
        let file = path.display().to_string();
        let opened = Opened::open(path, configured_secret(&config.affinity))?;
        let gateway = Self::with_secret(config, &opened.secret)?;
        let (disk, restored) = opened.serve(&gateway.affinity, before_reply, gateway.now())?;
        let _ = gateway.store.set(disk);
        let took = began.elapsed();
        let crate::affinity::Restored { conversations, keys, expired, homeless, full, .. } = restored;
        tracing::info!(file, conversations, keys, expired, ?took, "pins restored");
        if homeless > 0 {
            tracing::warn!(
                homeless,
                "conversations of nodes that the configuration does not name: on_node_down decides"
            );
        }
        if full > 0 {
            tracing::warn!(
                full,
                "conversations left out: affinity.max_conversations or max_keys is too low for the store"
            );
        }
        Ok(gateway)
    }

    /// A gateway with this configuration that keeps its pins in memory, whatever store the configuration names.
    ///
    /// # Errors
    /// As [`Gateway::open`].
    pub fn new(config: model::Config) -> Result<Arc<Self>, StartError> {
        let secret = secret(&config.affinity)?;
        Self::with_secret(config, &secret)
    }

    /// As [`Gateway::new`], with the secret of the process before this one, whatever the configuration says.
    ///
    /// # Errors
    /// As [`Gateway::new`].
    pub fn with_secret(config: model::Config, secret: &Secret) -> Result<Arc<Self>, StartError> {
        let registry = Registry::new();
        let access_log = open_access_log(config.access_log.as_ref())?;
        let audit = open_audit(config.audit.as_ref()).map_err(StartError::Audit)?;
        let affinity = Affinity::new(limits(&config.affinity), Arc::clone(&registry));
        let fingerprinter = Fingerprinter::new(secret);
        let snapshot = Snapshot::compile(config, &registry)?;
        let book = Book::default();
        let (asked, heard) = unbounded_channel();
        snapshot.count_in(&book);
        snapshot.settle(None, 0);
        Ok(Arc::new(Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            registry,
            affinity,
            fingerprinter,
            pressure: Pressure::default(),
            sources: Sources::default(),
            membership: Membership::default(),
            secret: Hidden(*secret),
            handovers: Handovers::default(),
            access_log,
            store: OnceLock::new(),
            fleet: OnceLock::new(),
            audit,
            captures: Captures::default(),
            started: Instant::now(),
            epoch: unix_ms(),
            inspecting: AtomicU64::new(0),
            reloads: watch::Sender::new(0),
            changes: watch::Sender::new(0),
            refused: Mutex::default(),
            asked: (asked, Mutex::new(Some(heard))),
            stopping: AtomicBool::new(false),
            tallies: Mutex::default(),
            book,
        }))
    }

    /// Whether the store can be used with the secret of the process before this one; called while that still owns the store.
    ///
    /// # Errors
    /// The store has pins that were made with another key, or the key cannot be kept beside it.
    pub fn expect_store(&self) -> Result<(), OpenError> {
        let snapshot = self.snapshot();
        match &snapshot.config.affinity.store {
            model::Store::Disk { path, .. } if snapshot.config.affinity.fingerprint_key.is_none() => {
                crate::store::keep(path, self.secret())
            }
            _ => Ok(()),
        }
    }

    /// Whether answers wait until the store has what they bind.
    pub fn is_durable(&self) -> bool {
        let before_reply = model::Durability::BeforeReply;
        matches!(&self.snapshot().config.affinity.store, model::Store::Disk { durability, .. } if *durability == before_reply)
    }

    /// Opens the store that the process before this one has closed, and keeps it up to date from now on. Nothing happens where
    /// there is none.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn take_store(&self) -> Result<(), OpenError> {
        let snapshot = self.snapshot();
        let model::Store::Disk { path, .. } = &snapshot.config.affinity.store else { return Ok(()) };
        let opened = Opened::open(path, configured_secret(&snapshot.config.affinity))?;
        let disk = opened.follow(&self.affinity, self.is_durable())?;
        let _ = self.store.set(disk);
        Ok(())
    }

    /// The secret of the fingerprints, for a successor.
    pub fn secret(&self) -> &Secret {
        &self.secret.0
    }

    /// A print of that secret: equal for equal ones, and tells nothing else.
    pub fn secret_print(&self) -> u128 {
        print(&self.secret.0)
    }

    /// A print of the secret that a configuration asks for; `None` where it leaves it to the gateway.
    pub fn configured_print(config: &model::Affinity) -> Option<u128> {
        configured_secret(config).map(|secret| print(&secret))
    }

    /// The present configuration, for one request from beginning to end.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Takes over a checked configuration. Requests in flight keep theirs, conversations survive.
    ///
    /// # Errors
    /// It cannot be compiled; nothing has changed then.
    pub fn reload(&self, config: model::Config) -> Result<Arc<Snapshot>, SnapshotError> {
        let snapshot = Arc::new(self.compile(config)?);
        self.adopt(Arc::clone(&snapshot));
        Ok(snapshot)
    }

    /// Compiles a configuration to follow the present one.
    ///
    /// # Errors
    /// It cannot be compiled.
    pub fn compile(&self, config: model::Config) -> Result<Snapshot, SnapshotError> {
        let nodes = |written: &model::Upstream, old: Option<&super::Upstream>| self.merged(written, old).nodes;
        Snapshot::compile_with(config, &self.registry, Some(&self.snapshot()), nodes)
    }

    /// Makes a compiled configuration the present one.
    pub fn adopt(&self, snapshot: Arc<Snapshot>) {
        self.affinity.set_limits(limits(&snapshot.config.affinity));
        self.put_in_turn(snapshot);
        // What was told since it was compiled.
        self.refresh_nodes();
        self.refused.lock().1 = None;
        self.reloads.send_modify(|count| *count += 1);
        self.nodes_changed();
    }

    /// Makes a snapshot the present one. The caller sees to it that nobody else does meanwhile.
    pub(super) fn put(&self, snapshot: Arc<Snapshot>) {
        snapshot.settle(Some(&self.snapshot()), self.now().0);
        snapshot.count_in(&self.book);
        self.snapshot.store(snapshot);
    }

    /// Who watches nodes is told that there are others.
    pub(super) fn nodes_changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// How often the configuration was taken over anew.
    pub fn reloads(&self) -> u64 {
        *self.reloads.borrow()
    }

    /// Tells whenever the configuration was taken over anew, or nodes came or left: for those who act on it by themselves.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Tells whenever the configuration was taken over anew.
    pub fn reloaded(&self) -> watch::Receiver<u64> {
        self.reloads.subscribe()
    }

    /// Takes note that a reload was refused, for readiness and metrics.
    pub fn refuse_reload(&self, why: String) {
        let mut refused = self.refused.lock();
        refused.0 += 1;
        refused.1 = Some(why);
    }

    /// How many reloads were refused, and why the last one was, unless one was taken over since.
    pub fn refused_reloads(&self) -> (u64, Option<String>) {
        self.refused.lock().clone()
    }

    /// Asks whoever reloads to do so; `force`: however many conversations are lost. False where nobody does.
    pub fn ask_reload(&self, force: bool) -> bool {
        self.asked.1.lock().is_none() && self.asked.0.send(force).is_ok()
    }

    /// What [`Gateway::ask_reload`] asks for, for whoever reloads; there is one.
    pub fn asked_reloads(&self) -> Option<UnboundedReceiver<bool>> {
        self.asked.1.lock().take()
    }

    /// From now on readiness says that no new work is welcome.
    pub fn begin_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether it is about to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Where one more worker counts.
    pub fn tally(&self) -> Arc<Tally> {
        let tally = Arc::<Tally>::default();
        self.tallies.lock().push(Arc::clone(&tally));
        tally
    }

    /// What each worker has counted.
    pub fn tallies(&self) -> Vec<Arc<Tally>> {
        self.tallies.lock().clone()
    }

    /// The clock of the table: wall-clock time as of the start, and from there on without steps.
    pub fn now(&self) -> Now {
        // One more than none: zero means "never" in several places.
        Now(self.epoch + self.started.elapsed().as_millis() as u64 + 1)
    }

    /// How long it has been running.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The store, where it is on disk.
    pub fn store(&self) -> Option<&Disk> {
        self.store.get()
    }

    /// The gateways that share a store with this one.
    pub fn fleet(&self) -> Option<&Fleet> {
        self.fleet.get()
    }

    /// Takes `bytes` of the budget for messages held until they can be placed. False where it is used up.
    pub fn inspect_more(&self, bytes: u64, limit: u64) -> bool {
        let before = self.inspecting.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > limit {
            self.inspecting.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Gives `bytes` of that budget back.
    pub fn inspect_less(&self, bytes: u64) {
        self.inspecting.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Milliseconds since 1970.
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn limits(config: &model::Affinity) -> Limits {
    let count = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    Limits {
        max_conversations: count(config.max_conversations),
        max_keys: count(config.max_keys),
        max_hints: count(config.max_hints),
        when_full: match config.when_full {
            model::WhenFull::ServeUnpinned => WhenFull::ServeUnpinned,
            model::WhenFull::Reject => WhenFull::Reject,
        },
    }
}

fn print(secret: &Secret) -> u128 {
    Fingerprinter::new(secret).fingerprint("", "", b"", b"castile secret print").0
}

/// The configured secret, hashed to its length.
pub fn configured_secret(config: &model::Affinity) -> Option<Secret> {
    let key = config.fingerprint_key.as_ref()?;
    let print = Fingerprinter::new(b"castile secret 1").fingerprint("", "", b"", key.reveal().as_bytes());
    Some(print.0.to_be_bytes())
}

/// The configured secret, else a new one: with the memory store nobody needs it again.
fn secret(config: &model::Affinity) -> Result<Secret, StartError> {
    if let Some(secret) = configured_secret(config) {
        return Ok(secret);
    }
    let mut secret = Secret::default();
    getrandom::fill(&mut secret).map_err(|error| StartError::Random(error.to_string()))?;
    Ok(secret)
}

fn open_access_log(config: Option<&model::AccessLog>) -> Result<AccessLog, StartError> {
    let Some(config) = config else { return Ok(AccessLog::off()) };
    let format = match config.format {
        model::LogFormat::Json => Format::Json,
        model::LogFormat::Text => Format::Text,
    };
    let file = match &config.target {
        model::LogTarget::Stdout => None,
        model::LogTarget::File(path) => Some(path.as_path()),
    };
    AccessLog::open(file, format).map_err(|source| StartError::AccessLog {
        file: file.map_or_else(|| "stdout".to_owned(), |path| path.display().to_string()),
        source,
    })
}

fn open_audit(config: Option<&model::Audit>) -> Result<Audit, String> {
    let target = match config {
        None => return Ok(Audit::off()),
        Some(model::Audit::Log(model::LogTarget::Stdout)) => audit::Target::Stdout,
        Some(model::Audit::Log(model::LogTarget::File(path))) => audit::Target::File(path),
        Some(model::Audit::Syslog { host, port, tls: files }) => {
            let name = files.server_name.clone().unwrap_or_else(|| host.clone());
            let name = rustls::pki_types::ServerName::try_from(name.clone())
                .map_err(|_| format!("{name} is no name that a certificate can be checked for"))?;
            let tls = tls::client(files).map_err(|error| error.to_string())?;
            audit::Target::Syslog(SyslogReceiver { host: host.clone(), port: *port, name, tls })
        }
    };
    let file = match &target {
        audit::Target::File(path) => path.display().to_string(),
        _ => String::new(),
    };
    Audit::open(target).map_err(|error| format!("{file}: {error}"))
}
