//! The gateway in this process.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use castile::config::Config;
use castile::gateway::Gateway;
use castile::proxy::Server;

use super::{Node, Peer};

/// One line of the access log.
pub type LogLine = serde_json::Value;

/// A gateway on ports of its own. Stops when dropped.
pub struct Castile {
    /// What its workers share.
    pub gateway: Arc<Gateway>,
    server: Option<Server>,
    /// Where the admin API listens, if it does.
    pub admin: Option<SocketAddr>,
    /// Its end ends the control plane.
    _control: tokio::sync::oneshot::Sender<()>,
    folder: tempfile::TempDir,
}

impl Castile {
    /// Starts with this configuration, its access log going to a file that [`Castile::stop`] reads.
    pub fn start(yaml: &str) -> Self {
        Self::start_as(yaml, |_| {})
    }

    /// As [`Castile::start`]; shares this store with others.
    pub fn join(yaml: &str, store: Arc<castile::store::testing::Link>) -> Self {
        Self::start_as(yaml, |gateway| {
            gateway.join(store, "test".to_owned(), Duration::from_millis(250)).expect("it joins");
        })
    }

    fn start_as(yaml: &str, begin: impl FnOnce(&Arc<Gateway>)) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let config = read(yaml, folder.path());
        let gateway = Gateway::new(config).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        begin(&gateway);
        castile::discovery::prime(&gateway);
        let server = Server::start(Arc::clone(&gateway)).expect("the gateway starts");
        let (admin, control) = control(&gateway);
        Self { gateway, server: Some(server), admin, _control: control, folder }
    }

    /// Sends a request to the admin API and reads the answer.
    pub fn ask_admin(&self, request: impl AsRef<[u8]>) -> super::Message {
        Peer::connect(self.admin.expect("the admin API listens")).ask(request)
    }

    fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("runs until stopped")
    }

    /// The address of the listener of this name.
    pub fn address(&self, listener: &str) -> SocketAddr {
        let snapshot = self.gateway.snapshot();
        let setup = snapshot.listeners.iter().find(|setup| setup.config.name == listener);
        let configured = setup.unwrap_or_else(|| panic!("there is no listener {listener}")).config.address;
        self.server.as_ref().expect("runs until stopped").address(configured).expect("it is bound")
    }

    /// A connection to the listener `public`.
    pub fn client(&self) -> Peer {
        Peer::connect(self.address("public"))
    }

    /// Sends a request on a connection of its own and reads the answer.
    ///
    /// Returns in the next millisecond at the earliest: so lines of the access log tell by their times which came first.
    pub fn ask(&self, request: impl AsRef<[u8]>) -> super::Message {
        let answer = self.client().ask(request);
        let answered = castile::gateway::unix_ms();
        while castile::gateway::unix_ms() == answered {
            std::thread::yield_now();
        }
        answer
    }

    /// Takes over another configuration.
    pub fn reload(&mut self, yaml: &str) {
        let config = read(yaml, self.folder.path());
        let snapshot = self.gateway.compile(config).unwrap_or_else(|error| panic!("{error}"));
        self.server().adopt(Arc::new(snapshot)).expect("the new listeners can be bound");
    }

    /// As if a successor had taken over on the same sockets: nobody is accepted any more, connections end with their next answer.
    pub fn retire(&mut self) {
        let all: Vec<SocketAddr> = self.server().sockets().keys().copied().collect();
        self.server().retire(&all);
    }

    /// Client connections at present.
    pub fn connections(&self) -> usize {
        self.server.as_ref().map_or(0, Server::connections)
    }

    /// Stops gracefully, and gives the access log as it was written.
    pub fn stop_within(mut self, limit: Duration) -> String {
        self.server.take().expect("runs until stopped").stop(limit);
        std::fs::read_to_string(self.folder.path().join("access.json")).expect("there is a log")
    }

    /// Stops gracefully, and gives the lines of the access log, in the order of their times.
    pub fn stop(self) -> Vec<LogLine> {
        let text = self.stop_within(super::PATIENCE);
        let read = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        let mut lines: Vec<LogLine> = text.lines().map(read).collect();
        // Each worker writes its own lines together.
        lines.sort_by_key(|line| line["time"].to_string());
        lines
    }
}

impl Drop for Castile {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop(Duration::from_millis(100));
        }
    }
}

/// Health checks and the admin API, in a thread of their own until the sender is dropped.
fn control(gateway: &Arc<Gateway>) -> (Option<SocketAddr>, tokio::sync::oneshot::Sender<()>) {
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let (told, bound) = std::sync::mpsc::channel();
    let gateway = Arc::clone(gateway);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let admin = castile::admin::Listener::bind(Arc::clone(&gateway)).await.expect("the admin address is free");
            told.send(admin.as_ref().map(|admin| admin.address().expect("bound"))).expect("somebody waits");
            let admin = async {
                match admin {
                    Some(admin) => admin.run().await,
                    None => std::future::pending().await,
                }
            };
            // As `castile run` does, only more often.
            let sweep = async {
                loop {
                    gateway.affinity.sweep(gateway.now(), 1000);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            tokio::select! {
                () = castile::health::run(Arc::clone(&gateway)) => {}
                () = castile::discovery::run(Arc::clone(&gateway)) => {}
                () = sweep => {}
                () = admin => {}
                _ = ended => {}
            }
        });
    });
    (bound.recv().expect("the control plane starts"), end)
}

fn read(yaml: &str, folder: &Path) -> Config {
    let workers = if yaml.contains("workers:") { "" } else { "workers: 2\n" };
    let log = folder.join("access.json");
    let admin = if yaml.contains("admin:") { "" } else { "admin: {address: none}\n" };
    let yaml = format!("{workers}{yaml}\n{admin}access_log: {{file: {}, format: json}}\n", log.display());
    let loaded = Config::parse(&yaml, "test.yaml").unwrap_or_else(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        panic!("{}\n{yaml}", problems.join("\n"))
    });
    loaded.config
}

/// A configuration with one listener, `public`, one route, and one upstream, `app`, of these nodes, named n0, n1, and so on.
/// `settings` are further lines of the upstream.
pub fn config(nodes: &[&Node], settings: &str) -> String {
    let nodes: Vec<_> =
        nodes.iter().enumerate().map(|(index, node)| format!("{{name: n{index}, url: '{}'}}", node.url())).collect();
    let settings: String = settings.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "listeners: [{{name: public, address: '127.0.0.1:0'}}]\nroutes: [{{upstream: app}}]\n\
         upstreams:\n  app:\n    nodes: [{}]\n{settings}",
        nodes.join(", ")
    )
}

/// Runs the function so many times at once, and gives what each returned.
pub fn parallel<R: Send>(count: usize, run: impl Fn(usize) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|index| {
                scope.spawn({
                    let run = &run;
                    move || run(index)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
