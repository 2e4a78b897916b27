//! `castile run`: the gateway itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};

use super::succession::{self, Succession};
use crate::admin;
use crate::config::model::Admin;
use crate::config::{self, Config, Loaded, Problem, Sources};
use crate::discovery;
use crate::gateway::{Gateway, Outlook, Preview, unix_ms};
use crate::handover::{self, Link};
use crate::health;
use crate::proxy::Server;
use crate::session::Fingerprinter;
use crate::telemetry::audit::{Act, Outcome};
use crate::telemetry::init_events;

use super::watch::{self, Watched};

/// What to run.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "config.yaml")]
    pub config: PathBuf,

    /// Take over from the process that listens on the configuration's handover.socket, without losing a request
    #[arg(long)]
    pub take_over: bool,
}

/// Exit code where the gateway cannot start.
const FAILED: u8 = 1;
/// How long the end waits for the audit stream to be written.
const AUDIT_PATIENCE: Duration = Duration::from_secs(5);
/// How often expired conversations are looked for.
const SWEEP: Duration = Duration::from_secs(1);
/// How often a process that has handed over looks whether its last connection has gone.
const LOOK: Duration = Duration::from_millis(50);
/// How many conversations one sweep looks at before others get a turn.
const SWEEP_STEP: usize = 10_000;
/// How many conversations one sweep tells another process of, if they are in use; a million are through in 20 seconds.
const USE_STEP: usize = 50_000;

/// Runs until SIGTERM or SIGINT. SIGHUP reads the configuration anew, SIGUSR1 opens the access log and the audit file anew,
/// SIGUSR2 starts a successor that takes over.
pub fn run(args: &Args) -> ExitCode {
    init_events();
    let loaded = match load(&args.config) {
        Ok(loaded) => loaded,
        Err(problems) => {
            tell(&problems);
            return ExitCode::from(FAILED);
        }
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let watched = Arc::new(Watched::new(Sources::of(&loaded)));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the control plane");
            return ExitCode::from(FAILED);
        }
    };
    let started = begin(loaded.config, args.take_over, &runtime);
    let Started { gateway, server, admin, before } = match started {
        Ok(started) => started,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::from(FAILED);
        }
    };
    if let Some(Ok(address)) = admin.as_ref().map(admin::Listener::address) {
        tracing::info!(%address, "admin API");
    }
    let what = if before.is_some() { "take over" } else { "start" };
    let begun = Act { who: "local", what, after: Some(&mark(&gateway)), why: Some(VERSION), ..Act::default() };
    runtime.block_on(audit(&gateway, &begun));
    let (mut succession, told) = {
        let _entered = runtime.enter();
        let told = match Told::listen() {
            Ok(told) => told,
            Err(error) => {
                tracing::error!(%error, "no signals can be heeded");
                return ExitCode::from(FAILED);
            }
        };
        // Whoever hears that it is there may send one.
        (Succession::begin(&gateway, before), told)
    };
    handover::notify(&format!("READY=1\nMAINPID={}", std::process::id()));
    match runtime.block_on(control(&gateway, server, admin, &mut succession, told, args, watched)) {
        Ok(server) => {
            // Whoever has handed over has had handover.limit for that, which promises the latest end.
            let limit = if succession.is_retired() { Duration::ZERO } else { gateway.snapshot().config.shutdown.limit };
            if !succession.is_retired() {
                tracing::info!(?limit, "stopping: requests under way are finished");
                handover::notify("STOPPING=1");
            }
            server.stop(limit);
            if let Some(store) = gateway.store() {
                store.close();
            }
            if let Some(fleet) = gateway.fleet() {
                fleet.leave();
            }
            succession.leave();
            gateway.audit.finish(AUDIT_PATIENCE);
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(%error, "the control plane failed");
            ExitCode::from(FAILED)
        }
    }
}

/// A gateway that serves.
struct Started {
    gateway: Arc<Gateway>,
    server: Server,
    admin: Option<admin::Listener>,
    /// The process that this one has taken over from.
    before: Option<Link>,
}

/// Starts the gateway: with sockets of its own, of the service manager, or of the process that it takes over from.
fn begin(
    config: Config,
    take_over: bool,
    runtime: &tokio::runtime::Runtime,
) -> Result<Started, Box<dyn std::error::Error>> {
    let mut successor = if take_over { succession::ask(&config)? } else { None };
    let mut standing = handover::standing_sockets();
    if let Some(successor) = &mut successor {
        standing.extend(std::mem::take(&mut successor.sockets));
    }
    let given: Vec<_> = standing.keys().copied().collect();
    let gateway = match &successor {
        Some(successor) => Gateway::with_secret(config, &successor.secret)?,
        None => Gateway::open(config)?,
    };
    discovery::prime(&gateway);
    gateway.join_configured()?;
    let mut server = Server::prepare(Arc::clone(&gateway), &mut standing)?;
    let stand_by = successor.as_mut().and_then(|successor| successor.admin.take());
    let bound = runtime.block_on(bind_admin(&gateway, stand_by)).and_then(|admin| match successor {
        Some(successor) => {
            succession::take_over(successor, &given, &gateway, &mut server).map(|link| (admin, Some(link)))
        }
        None => server.accept().map(|()| (admin, None)).map_err(Into::into),
    });
    // Only now: sockets that nobody wants any more are the other process's until it has handed over.
    for address in standing.keys() {
        tracing::info!(%address, "no listener is configured there; its socket is not used");
    }
    drop(standing);
    match bound {
        Ok((admin, before)) => {
            tell_listeners(&gateway, &server);
            Ok(Started { gateway, server, admin, before })
        }
        Err(error) => {
            server.stop(Duration::ZERO);
            Err(error)
        }
    }
}

/// Reads the configuration on a thread of its own: what reading needs, and a gateway does not, goes back to the system when
/// the thread ends, instead of staying with the main thread's allocator for good (measured: 10 MiB).
fn load(path: &Path) -> Result<Loaded, Vec<Problem>> {
    std::thread::scope(|scope| scope.spawn(|| Config::load(path)).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

type AdminSocket = (SocketAddr, std::net::TcpListener);

async fn bind_admin(
    gateway: &Arc<Gateway>,
    standing: Option<AdminSocket>,
) -> Result<Option<admin::Listener>, Box<dyn std::error::Error>> {
    match admin::Listener::bind_or_take(Arc::clone(gateway), standing).await {
        Ok(admin) => Ok(admin),
        // Nobody asked for that very address: a second gateway on one machine serves, and says so.
        Err(error) if gateway.snapshot().config.admin == Admin::default() => {
            tracing::warn!("{error}; there is no admin API, set admin.address to have one");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn tell_listeners(gateway: &Gateway, server: &Server) {
    for listener in &gateway.snapshot().listeners {
        let address = server.address(listener.config.address).unwrap_or(listener.config.address);
        let tls = listener.tls.is_some();
        tracing::info!(listener = listener.config.name, %address, tls, "listening");
    }
}

/// Signals that would end a process that does not heed them.
struct Told {
    hangup: Signal,
    reopen: Signal,
    succeed: Signal,
}

impl Told {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            succeed: signal(SignalKind::user_defined2())?,
        })
    }
}

/// Heeds signals until one says stop.
async fn control(
    gateway: &Arc<Gateway>,
    mut server: Server,
    admin: Option<admin::Listener>,
    succession: &mut Succession,
    told: Told,
    args: &Args,
    watched: Arc<Watched>,
) -> Result<Server, std::io::Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let Told { mut hangup, mut reopen, mut succeed } = told;
    let mut sweep = tokio::time::interval(SWEEP);
    // SIGTERM was received; serving ends then.
    let mut stop_at = None;
    let mut background = tokio::task::JoinSet::new();
    let mut asked = gateway.asked_reloads();
    let (tell_changed, mut changed) = tokio::sync::mpsc::channel(1);
    background.spawn(watch::run(Arc::clone(gateway), Arc::clone(&watched), tell_changed));
    background.spawn(health::run(Arc::clone(gateway)));
    let discovery = background.spawn(discovery::run(Arc::clone(gateway)));
    let mut admin_socket = succession::admin_socket(gateway, admin.as_ref());
    let admin = admin.map(|admin| background.spawn(admin.run()));
    let mut look = tokio::time::interval(LOOK);
    let mut in_use = 0;
    loop {
        tokio::select! {
            _ = terminate.recv(), if stop_at.is_none() => {
                gateway.begin_stopping();
                audit(gateway, &Act { who: "local", what: "stop (SIGTERM)", ..Act::default() }).await;
                let delay = gateway.snapshot().config.shutdown.delay;
                if !delay.is_zero() {
                    tracing::info!(?delay, "readiness says no; serving goes on until the delay is over");
                }
                stop_at = Some(tokio::time::Instant::now() + delay);
            }
            () = async { tokio::time::sleep_until(stop_at.unwrap_or_else(tokio::time::Instant::now)).await },
                if stop_at.is_some() => return Ok(server),
            _ = interrupt.recv() => {
                gateway.begin_stopping();
                audit(gateway, &Act { who: "local", what: "stop (SIGINT)", ..Act::default() }).await;
                return Ok(server);
            }
            event = succession.next() => {
                if succession.heed(event, gateway, &mut server, admin_socket.as_ref()) {
                    admin_socket = None;
                    if let Some(admin) = &admin {
                        admin.abort();
                    }
                    // Nodes introduce themselves to the successor from now on.
                    discovery.abort();
                    audit(gateway, &Act { who: "local", what: "hand over", ..Act::default() }).await;
                }
            }
            _ = look.tick(), if succession.is_retired() => {
                if succession.is_over(&server) {
                    return Ok(server);
                }
            }
            _ = succeed.recv() => succession.start_successor(gateway),
            cause = next_reload(&mut hangup, &mut asked, &mut changed), if !succession.is_retired() => {
                audited_reload(gateway, &mut server, args, &watched, cause).await;
                succession.reloaded(gateway);
            }
            _ = reopen.recv() => {
                gateway.access_log.reopen();
                gateway.audit.reopen();
            }
            _ = sweep.tick() => {
                succession.tell_states(gateway);
                if gateway.affinity.agrees() {
                    in_use = gateway.affinity.tell_use(in_use, USE_STEP, gateway.now()).unwrap_or(0);
                }
                while gateway.affinity.sweep(gateway.now(), SWEEP_STEP) >= SWEEP_STEP {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

/// Which release runs.
const VERSION: &str = concat!("castile ", env!("CARGO_PKG_VERSION"));

/// Records what the process does by itself. It cannot be left undone, so where it cannot be recorded, that is told.
async fn audit(gateway: &Gateway, act: &Act<'_>) {
    if let Ok(place) = gateway.audit.place().await {
        gateway.audit.record(place, act, unix_ms());
    }
}

/// A mark of the present configuration: as long as it is the same, so is the configuration.
fn mark(gateway: &Gateway) -> String {
    let text = format!("{:?}", gateway.snapshot().config);
    let print = Fingerprinter::new(b"castile config 1").fingerprint("", "", b"", text.as_bytes());
    format!("configuration {:016x}", (print.0 >> 64) as u64)
}

/// Why the configuration is read anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// SIGHUP.
    Signal,
    /// The admin API, whose own record tells by whom.
    Asked,
    /// The same, however many conversations are lost.
    Forced,
    /// `reload.watch`: the files have changed.
    Changed,
}

impl Cause {
    /// For the audit stream.
    fn text(self) -> &'static str {
        match self {
            Self::Signal => "reload (SIGHUP)",
            Self::Asked => "reload (asked for)",
            Self::Forced => "reload (asked for, forced)",
            Self::Changed => "reload (files changed)",
        }
    }
}

/// Reloads, once there is a place for the record of it.
async fn audited_reload(gateway: &Arc<Gateway>, server: &mut Server, args: &Args, watched: &Watched, cause: Cause) {
    let place = match gateway.audit.place().await {
        Ok(place) => place,
        Err(unrecorded) => {
            tracing::error!("reload refused: {unrecorded}");
            gateway.refuse_reload(unrecorded.to_string());
            return;
        }
    };
    let before = mark(gateway);
    reload(gateway, server, args, watched, cause == Cause::Forced);
    let after = mark(gateway);
    let why = gateway.refused_reloads().1;
    let outcome = if why.is_some() { Outcome::Refused } else { Outcome::Done };
    let (before, after) = (Some(before.as_str()), Some(after.as_str()));
    let act = Act { who: "local", what: cause.text(), before, after, outcome, why: why.as_deref(), ..Act::default() };
    gateway.audit.record(place, &act, unix_ms());
}

/// Takes over the changed file, or says why not and changes nothing.
fn reload(gateway: &Arc<Gateway>, server: &mut Server, args: &Args, watched: &Watched, force: bool) {
    let before = watched.look();
    let sources = match load(&args.config) {
        Ok(loaded) => {
            let sources = Sources::of(&loaded);
            match take_over(gateway, server, loaded, force) {
                Ok(()) => tracing::info!("configuration taken over"),
                Err(why) => {
                    tracing::error!("reload refused: {why}");
                    gateway.refuse_reload(why);
                }
            }
            sources
        }
        Err(problems) => {
            tell(&problems);
            tracing::error!(problems = problems.len(), "reload refused: nothing has changed");
            gateway.refuse_reload(problems.first().map(ToString::to_string).unwrap_or_default());
            before.0.with_problems(&problems)
        }
    };
    watched.was_read(&before, sources);
}

/// Waits until the configuration is to be read anew.
async fn next_reload(
    hangup: &mut Signal,
    asked: &mut Option<UnboundedReceiver<bool>>,
    changed: &mut Receiver<()>,
) -> Cause {
    tokio::select! {
        _ = hangup.recv() => Cause::Signal,
        Some(force) = next_asked(asked) => if force { Cause::Forced } else { Cause::Asked },
        Some(()) = changed.recv() => {
            tracing::info!("files of the configuration have changed");
            Cause::Changed
        }
    }
}

/// The next reload that somebody asks for; never comes where another one heeds them.
async fn next_asked(asked: &mut Option<UnboundedReceiver<bool>>) -> Option<bool> {
    match asked {
        Some(asked) => asked.recv().await,
        None => std::future::pending().await,
    }
}

/// # Errors
/// Why not; nothing has changed then.
fn take_over(gateway: &Arc<Gateway>, server: &mut Server, loaded: Loaded, force: bool) -> Result<(), String> {
    let old = gateway.snapshot();
    let restart = config::needs_restart(&old.config, &loaded.config);
    if !restart.is_empty() {
        let why: Vec<_> = restart.iter().map(|what| format!("{}: {}", what.key, what.reason)).collect();
        return Err(why.join("; "));
    }
    let snapshot = gateway.compile(loaded.config).map_err(|error| error.to_string())?;
    if let (Some(limit), false) = (old.config.reload.max_conversations_lost, force) {
        let outlook = Outlook::of(&snapshot);
        let lost = Preview::new(gateway, &outlook, 0).finish().lost();
        if lost > limit {
            return Err(format!(
                "{lost} conversations would be lost, and reload.max_conversations_lost allows {limit}; drain their nodes first, \
                 or use castile reload --force"
            ));
        }
    }
    server.adopt(Arc::new(snapshot)).map_err(|error| error.to_string())
}

fn tell(problems: &[Problem]) {
    for problem in problems {
        tracing::error!("{problem}");
    }
}
