//! What a scenario plays on: nodes, a gateway before them, a folder for what they write.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::ledger;
use crate::process::{Process, free_address, listens, until};
use crate::verdict::{Evidence, Told};
use crate::wire::Wire;

/// A node as a scenario sees it.
#[derive(Debug)]
pub struct NodeProcess {
    pub name: String,
    pub address: SocketAddr,
    options: Vec<String>,
    /// A network namespace that it lives in.
    namespace: Option<String>,
    ledger: PathBuf,
    process: Option<Process>,
}

/// How the gateway is set up, as far as scenarios differ.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Further lines of the upstream, each indented by four blanks.
    pub upstream: String,
    /// Further lines at the top.
    pub top: String,
    /// Whether anything is sticky.
    pub sticky: bool,
    /// Further settings below `sticky`.
    pub policy: String,
    /// The access log; `None`: a file of the folder.
    pub log: Option<PathBuf>,
    /// Descriptors that it may have.
    pub descriptors: Option<u32>,
    /// Where its admin API listens.
    pub admin: Option<SocketAddr>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            upstream: String::new(),
            top: String::new(),
            sticky: true,
            policy: String::new(),
            log: None,
            descriptors: None,
            admin: None,
        }
    }
}

/// Nodes, gateway, folder.
pub struct Stage {
    pub folder: TempDir,
    pub nodes: Vec<NodeProcess>,
    pub setup: Setup,
    pub gateway: Option<Process>,
    pub address: SocketAddr,
    pub castile: PathBuf,
}

impl NodeProcess {
    pub fn start(&mut self) -> Result<(), String> {
        let itself = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = match &self.namespace {
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(itself);
                command
            }
            None => Command::new(itself),
        };
        command.args(["node", "--name", &self.name, "--listen", &self.address.to_string(), "--ledger"]);
        command.arg(&self.ledger).args(&self.options);
        self.process = Some(Process::start(command, &self.ledger.with_extension("errors"))?);
        listens(self.address)
    }

    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Waits until it has executed 20 more requests.
    pub fn serves_more(&self) -> Result<(), String> {
        let count = || std::fs::read_to_string(&self.ledger).unwrap_or_default().lines().count();
        let goal = count() + 20;
        until(&format!("{} serves more", self.name), || count() >= goal)
    }

    /// Starts it again if it has died. Returns whether it had.
    pub fn revive(&mut self) -> Result<bool, String> {
        let is_alive = self.process.as_mut().is_some_and(Process::is_alive);
        if !is_alive {
            self.start()?;
        }
        Ok(!is_alive)
    }

    pub fn signal(&self, name: &str) {
        if let Some(process) = &self.process {
            process.signal(name);
        }
    }
}

impl Stage {
    /// So many nodes, and the gateway.
    pub fn new(castile: &Path, nodes: usize, setup: Setup) -> Result<Self, String> {
        let mut stage = Self::bare(castile, setup)?;
        for number in 0..nodes {
            stage.add_node(number, Ipv4Addr::LOCALHOST, None, &[])?;
        }
        stage.start_gateway()?;
        Ok(stage)
    }

    /// Nothing runs yet.
    pub fn bare(castile: &Path, setup: Setup) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let address = free_address(Ipv4Addr::LOCALHOST)?;
        Ok(Self { folder, nodes: Vec::new(), setup, gateway: None, address, castile: castile.to_owned() })
    }

    /// A node `nN`, running.
    pub fn add_node(
        &mut self,
        number: usize,
        ip: Ipv4Addr,
        namespace: Option<&str>,
        options: &[&str],
    ) -> Result<(), String> {
        let address = match namespace {
            Some(_) => SocketAddr::from((ip, 8080)),
            None => free_address(ip)?,
        };
        let mut node = NodeProcess {
            name: format!("n{number}"),
            address,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            namespace: namespace.map(str::to_owned),
            ledger: self.folder.path().join(format!("n{number}.ledger")),
            process: None,
        };
        node.start()?;
        self.nodes.push(node);
        Ok(())
    }

    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("castile.yaml")
    }

    fn events(&self) -> PathBuf {
        self.folder.path().join("events")
    }

    fn log(&self) -> PathBuf {
        self.setup.log.clone().unwrap_or_else(|| self.folder.path().join("access.json"))
    }

    /// Writes the configuration.
    pub fn configure(&self) -> Result<(), String> {
        let mut yaml = format!(
            "workers: 2\nlisteners: [{{name: public, address: '{}'}}]\nroutes: [{{upstream: app}}]\nadmin: {{address: {}}}\n\
             access_log: {{file: {}}}\n{}\nupstreams:\n  app:\n    nodes:\n",
            self.address,
            self.setup.admin.map_or("none".to_owned(), |address| format!("'{address}'")),
            self.log().display(),
            self.setup.top,
        );
        for node in &self.nodes {
            let _ = writeln!(yaml, "      - {{name: {}, url: 'http://{}'}}", node.name, node.address);
        }
        if self.setup.sticky {
            yaml.push_str(
                "    sticky:\n      namespaces: {t: urn:test}\n      keys:\n        \
                 - {key: session, learn: header t:Session, match: header t:Session}\n        \
                 - {key: id, match: header t:Id, client_issued: true}\n      lost: [{fault: unknown session}]\n",
            );
            yaml.push_str(&self.setup.policy);
        }
        yaml.push_str(&self.setup.upstream);
        std::fs::write(self.config_file(), yaml).map_err(|error| error.to_string())
    }

    pub fn start_gateway(&mut self) -> Result<(), String> {
        self.configure()?;
        let mut command = Command::new("sh");
        let limit = self.setup.descriptors.map(|limit| format!("ulimit -n {limit}; ")).unwrap_or_default();
        command.args(["-c", &format!("{limit}exec \"$0\" run --config \"$1\"")]);
        command.arg(&self.castile).arg(self.config_file()).env("RUST_BACKTRACE", "1");
        let mut process = Process::start(command, &self.events())?;
        until("the gateway listens", || TcpStream::connect(self.address).is_ok() || !process.is_alive())?;
        if !process.is_alive() {
            return Err(format!("the gateway does not start: {}", self.told()));
        }
        self.gateway = Some(process);
        Ok(())
    }

    /// What the gateway has told on its standard error.
    pub fn told(&self) -> String {
        std::fs::read_to_string(self.events()).unwrap_or_default()
    }

    /// Has the configuration read anew, and waits until the gateway has said what came of it.
    pub fn reload(&self) -> Result<(), String> {
        let count = || {
            self.told().matches("configuration taken over").count() + self.told().matches("refused: nothing").count()
        };
        let before = count();
        self.gateway.as_ref().ok_or("no gateway runs")?.signal("HUP");
        until("the gateway reads its configuration", || count() > before)
    }

    /// Has the gateway start its successor, and waits until the process before it has ended.
    pub fn upgrade(&mut self) -> Result<(), String> {
        let successors = |told: &str| -> Vec<u32> {
            told.lines()
                .filter(|line| line.contains("a successor was started"))
                .filter_map(|line| line.split("pid=").nth(1)?.trim().parse().ok())
                .collect()
        };
        let before = successors(&self.told()).len();
        let mut old = self.gateway.take().ok_or("no gateway runs")?;
        old.signal("USR2");
        let mut new = None;
        until("a successor is started", || {
            new = successors(&self.told()).get(before).copied();
            new.is_some()
        })?;
        self.gateway = new.map(Process::of_others);
        match old.wait() {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("the process before the successor did not end well: {}", self.told())),
            Err(error) => Err(format!("{error}: {}", self.told())),
        }
    }

    /// What the admin API answers.
    pub fn ask_admin(&self, path: &str) -> Result<String, String> {
        let address = self.setup.admin.ok_or("no admin API was asked for")?;
        let ask = || {
            let mut wire = Wire::new(TcpStream::connect(address)?);
            wire.patience(Duration::from_secs(10))?;
            wire.send(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())?;
            let head = wire.head()?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
            wire.body(&head)
        };
        ask().map_err(|error| format!("{path} of the admin API: {error}"))
    }

    /// Ends all and gathers what is known.
    pub fn close(mut self, told: Vec<Told>) -> Result<Evidence, String> {
        let mut gateway = self.gateway.take().ok_or("no gateway runs")?;
        if !gateway.is_alive() {
            return Err(format!("the gateway has died: {}", self.told()));
        }
        gateway.signal("TERM");
        if !gateway.wait()? {
            return Err(format!("the gateway did not end well: {}", self.told()));
        }
        if let Some(line) = self.told().lines().find(|line| line.contains("panicked")) {
            return Err(format!("the gateway panicked: {line}"));
        }
        let mut evidence = Evidence { told, ..Evidence::default() };
        for node in &mut self.nodes {
            node.kill();
            let text = std::fs::read_to_string(&node.ledger).unwrap_or_default();
            evidence.done.extend(ledger::read(&text)?);
        }
        evidence.decisions = decisions(&std::fs::read_to_string(self.log()).unwrap_or_default());
        if let Some(folder) = std::env::var_os("FAULTS_KEEP") {
            let kept = PathBuf::from(folder);
            let _ = Command::new("cp").arg("-r").arg(self.folder.path()).arg(kept).status();
        }
        Ok(evidence)
    }
}

/// What the access log says of each request. A line that a kill or a full disk cut in half is passed over.
fn decisions(log: &str) -> HashMap<(u64, u32), String> {
    let mut decisions = HashMap::new();
    for line in log.lines() {
        let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let mut words = line["path"].as_str().unwrap_or_default().trim_start_matches("/app/").split('/');
        let conversation = words.next().and_then(|word| word.parse().ok());
        let request = words.next().and_then(|word| word.parse().ok());
        if let (Some(conversation), Some(request)) = (conversation, request) {
            decisions.insert((conversation, request), line["decision"].as_str().unwrap_or_default().to_owned());
        }
    }
    decisions
}
