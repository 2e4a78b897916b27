//! `castile demo`: three stateful nodes, the gateway in front of them, and a conversation that shows what it is for.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use crate::config::Problem;
use crate::config::model::{Config, ListenerTimeouts, NodeUrl, Route, Scheme, Upstream};
use crate::proxy::Server;

mod client;
mod counter;
mod envelopes;
mod node;
mod show;

use node::Node;
use show::Paint;

/// How to show it.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// End after the show instead of staying up
    #[arg(long)]
    pub once: bool,
    /// Write the access log, as the configuration says
    #[arg(long)]
    pub access_log: bool,
}

/// Exit code where the demo cannot run, or shows what it should not.
const FAILED: u8 = 1;
/// The reference configuration, for those who run the demo elsewhere.
const REFERENCE: &str = include_str!("../../../config.yaml");
/// The upstreams of the reference configuration that the demo speaks to.
const UPSTREAMS: [&str; 2] = ["counter", "cookies"];
/// The upstream that the demo adds: the nodes of `counter`, without stickiness.
const PLAIN: &str = "round-robin";
/// Where it is served.
const PLAIN_PREFIX: &str = "/round-robin";

/// Where everything runs.
struct Stage {
    nodes: Vec<(String, SocketAddr)>,
    gateway: SocketAddr,
    config: &'static str,
}

/// Shows the demo; with `once` it ends then, else at Ctrl-C.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let paint = Paint::for_stdout();
    match play(args, paint, out) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            let _ = writeln!(err, "the conversation did not stay on its node");
            ExitCode::from(FAILED)
        }
        Err(error) => {
            let _ = writeln!(err, "demo: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn play(args: &Args, paint: Paint, out: &mut dyn Write) -> Result<bool, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut config, origin) = configuration(Path::new("config.yaml"))?;
    let nodes = runtime.block_on(start_nodes(&config))?;
    prepare(&mut config, &nodes, args.access_log);
    let gateway = crate::gateway::Gateway::new(config)?;
    let server = Server::start(std::sync::Arc::clone(&gateway))?;
    let snapshot = gateway.snapshot();
    let listener = &snapshot.listeners.first().ok_or("the configuration has no listener")?.config;
    let address = server.address(listener.address).unwrap_or(listener.address);
    let stage = Stage { nodes, gateway: address, config: origin };
    let kept = runtime.block_on(async {
        let kept = show::show(&stage, paint, out).await?;
        if !args.once {
            show::invite(&stage, paint, out)?;
            tokio::signal::ctrl_c().await?;
        }
        Ok::<_, std::io::Error>(kept)
    });
    server.stop(snapshot.config.shutdown.limit);
    Ok(kept?)
}

/// The configuration of the current directory, where it is the reference one, else the copy inside the program; and which.
fn configuration(file: &Path) -> Result<(Config, &'static str), String> {
    if file.exists() {
        let loaded = Config::load(file).map_err(|problems| told(&problems))?;
        if is_for_demo(&loaded.config) {
            return Ok((loaded.config, "./config.yaml"));
        }
    }
    let loaded = Config::parse(REFERENCE, "config.yaml").map_err(|problems| told(&problems))?;
    Ok((loaded.config, "the reference configuration"))
}

/// Whether a configuration names what the demo speaks to.
fn is_for_demo(config: &Config) -> bool {
    UPSTREAMS.iter().all(|name| config.upstream(name).is_some()) && !config.listeners.is_empty()
}

fn told(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// Starts a node for every node of the first upstream.
async fn start_nodes(config: &Config) -> Result<Vec<(String, SocketAddr)>, std::io::Error> {
    let mut nodes = Vec::new();
    for node in config.upstream(UPSTREAMS[0]).map(|upstream| upstream.nodes.as_slice()).unwrap_or_default() {
        let address = Node::start(&node.name).await?;
        nodes.push((node.name.clone(), address));
    }
    Ok(nodes)
}

/// Changes in memory what belongs to this machine: addresses; and adds the same nodes without stickiness.
fn prepare(config: &mut Config, nodes: &[(String, SocketAddr)], access_log: bool) {
    config.listeners.truncate(1);
    for listener in &mut config.listeners {
        listener.tls = None;
        listener.proxy_protocol = false;
        listener.timeouts = ListenerTimeouts::default();
        let is_free = std::net::TcpListener::bind(listener.address).is_ok();
        if !is_free || listener.address.port() == 0 {
            listener.address = SocketAddr::from(([127, 0, 0, 1], 0));
        }
    }
    for upstream in &mut config.upstreams {
        for node in &mut upstream.nodes {
            if let Some((_, address)) = nodes.iter().find(|(name, _)| *name == node.name) {
                let (host, port) = (address.ip().to_string(), address.port());
                node.url = NodeUrl { scheme: Scheme::Http, host, port };
            }
        }
    }
    let mut plain = Upstream::new(PLAIN);
    plain.nodes = config.upstream(UPSTREAMS[0]).map(|upstream| upstream.nodes.clone()).unwrap_or_default();
    config.upstreams.push(plain);
    let route = Route {
        path: Some(format!("{PLAIN_PREFIX}/*")),
        upstream: PLAIN.to_owned(),
        strip_prefix: Some(PLAIN_PREFIX.to_owned()),
        ..Route::default()
    };
    config.routes.insert(0, route);
    config.audit = None;
    if !access_log {
        config.access_log = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_configuration_is_for_the_demo() {
        let loaded = Config::parse(REFERENCE, "config.yaml").unwrap_or_else(|problems| panic!("{}", told(&problems)));
        assert!(is_for_demo(&loaded.config));
    }

    #[test]
    fn a_configuration_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let file = folder.path().join("config.yaml");
        let text = "listeners: [{name: a, address: '127.0.0.1:0'}]\nroutes: [{upstream: u}]\n\
                    upstreams: {u: {nodes: [{name: n, url: 'http://h'}]}}\n";
        std::fs::write(&file, text).expect("a file can be written");
        let (_, origin) = configuration(&file).expect("the reference is good");
        assert_eq!(origin, "the reference configuration");
    }

    #[test]
    fn the_conversation_stays_on_its_node() {
        let mut out = Vec::new();
        let args = Args { once: true, access_log: false };
        let kept = play(&args, Paint::none(), &mut out).expect("the demo runs");
        let text = String::from_utf8(out).expect("the show is text");
        assert!(kept, "{text}");
        assert!(text.contains("Unable to find corresponding context"), "{text}");
    }
}
