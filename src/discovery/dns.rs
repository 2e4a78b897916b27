//! Nodes from DNS: addresses of a name, or its SRV records, asked for again when their time to live is over.
//!
//! Whatever is no good answer (no such name, no records, a failing server, silence) leaves the nodes as they were: a name that has
//! no addresses at a moment is what a deployment looks like from here, and so is a name server that restarts.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::Teller;
use crate::config::model::{Dns, FoundNode, NodeUrl, Scheme};

/// Between two questions at least, whatever the time to live.
const ASK_MIN: Duration = Duration::from_secs(1);
/// Between two questions at most: records of a day are asked for more often, since whoever changes them has no way to tell.
const ASK_MAX: Duration = Duration::from_secs(300);
/// After a question that failed; twice as long after each further one.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// Between questions that fail at most.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// For one question to one server; it is asked twice.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Targets of SRV records that are looked up, at most.
const TARGETS_MAX: usize = crate::gateway::NODES_MAX;

/// Why no nodes are found.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0} stands for no address")]
    NoAddress(String),
    #[error("{0} has no SRV records; write port, if its addresses are nodes")]
    NoService(String),
    #[error("asking for {what} of {name} failed: {source}")]
    Asking { what: &'static str, name: String, source: NetError },
    #[error("nobody can be asked: {0}")]
    Resolver(NetError),
}

/// What a good answer says, and until when it holds.
#[derive(Debug)]
struct Answer {
    nodes: Vec<FoundNode>,
    until: Instant,
}

/// One target of an SRV record, with its address.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Service {
    priority: u16,
    weight: u16,
    target: String,
    port: u16,
    address: IpAddr,
}

/// Asks for ever.
pub(super) async fn follow(config: Dns, teller: Teller) {
    let mut retry = RETRY_MIN;
    let mut resolver = None;
    let mut known = BTreeSet::new();
    loop {
        let pause = match ask(&mut resolver, &config, &mut known).await {
            Ok(answer) => {
                teller.sees(answer.nodes);
                retry = RETRY_MIN;
                answer.until.saturating_duration_since(Instant::now()).clamp(ASK_MIN, ASK_MAX)
            }
            Err(why) => {
                teller.fails(why);
                // Whom the system asks may be others by now.
                resolver = None;
                let pause = retry;
                retry = (retry * 2).min(RETRY_MAX);
                pause
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// `known`: the addresses of the last good answer.
async fn ask(
    resolver: &mut Option<TokioResolver>,
    config: &Dns,
    known: &mut BTreeSet<IpAddr>,
) -> Result<Answer, Failed> {
    let resolver = match resolver {
        Some(resolver) => resolver,
        None => resolver.insert(build(config).map_err(Failed::Resolver)?),
    };
    let Some(port) = config.port else { return services(resolver, config, known).await };
    let (addresses, until) = addresses(resolver, &config.name, known).await?;
    let nodes = addresses.iter().map(|address| at(*address, port, config.scheme)).collect();
    *known = addresses;
    Ok(Answer { nodes, until })
}

/// Asks the configured servers, else those of the system, by its search list.
fn build(config: &Dns) -> Result<TokioResolver, NetError> {
    let mut builder = if config.servers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let server = |address: &std::net::SocketAddr| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = address.port();
                connection
            });
            NameServerConfig::new(address.ip(), true, connections.into())
        };
        let servers = config.servers.iter().map(server).collect();
        TokioResolver::builder_with_config(ResolverConfig::from_name_servers(servers), TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    // Answers are kept here, for as long as they say.
    options.cache_size = 0;
    options.timeout = TIMEOUT;
    options.attempts = 2;
    builder.build()
}

/// All addresses of a name, in order. A family of which some are known and nobody can tell at present makes the answer no
/// good one, because its nodes would seem to be gone; one of which there are no records does not.
async fn addresses(
    resolver: &TokioResolver,
    name: &str,
    known: &BTreeSet<IpAddr>,
) -> Result<(BTreeSet<IpAddr>, Instant), Failed> {
    let (four, six) = tokio::join!(resolver.lookup(name, RecordType::A), resolver.lookup(name, RecordType::AAAA));
    let mut found = BTreeSet::new();
    let mut until = None;
    let mut failed = None;
    for (answer, is_needed) in [(four, known.iter().any(IpAddr::is_ipv4)), (six, known.iter().any(IpAddr::is_ipv6))] {
        match answer {
            Ok(answer) => {
                found.extend(answer.answers().iter().filter_map(|record| record.data.ip_addr()));
                until = until.min(Some(answer.valid_until())).or(Some(answer.valid_until()));
            }
            Err(error) if !is_failure(&error) => {}
            Err(source) => {
                let error = Failed::Asking { what: "addresses", name: name.to_owned(), source };
                if is_needed {
                    return Err(error);
                }
                failed = Some(error);
            }
        }
    }
    match (until, failed) {
        (Some(until), _) if !found.is_empty() => Ok((found, until)),
        (_, Some(failed)) => Err(failed),
        _ => Err(Failed::NoAddress(name.to_owned())),
    }
}

/// Whether a server could not answer, rather than that there is nothing.
fn is_failure(error: &NetError) -> bool {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            !matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
        }
        _ => true,
    }
}

async fn services(resolver: &TokioResolver, config: &Dns, known: &mut BTreeSet<IpAddr>) -> Result<Answer, Failed> {
    let name = &config.name;
    let answer = resolver.lookup(name.as_str(), RecordType::SRV).await;
    let answer = answer.map_err(|source| match is_failure(&source) {
        true => Failed::Asking { what: "SRV records", name: name.clone(), source },
        false => Failed::NoService(name.clone()),
    })?;
    let mut until = answer.valid_until();
    let mut services = Vec::new();
    for record in answer.answers().iter().take(TARGETS_MAX) {
        let RData::SRV(srv) = &record.data else { continue };
        let target = srv.target.to_ascii().trim_end_matches('.').to_ascii_lowercase();
        // "." says that there is no such service (RFC 2782).
        if target.is_empty() {
            continue;
        }
        let (addresses, address_until) = addresses(resolver, &format!("{target}."), known).await?;
        until = until.min(address_until);
        let (priority, weight, port) = (srv.priority, srv.weight, srv.port);
        services.extend(addresses.first().map(|&address| Service { priority, weight, target, port, address }));
    }
    if services.is_empty() {
        return Err(Failed::NoService(name.clone()));
    }
    *known = services.iter().map(|service| service.address).collect();
    Ok(Answer { nodes: nodes(services, config.scheme), until })
}

/// A node at an address, called by it.
fn at(address: IpAddr, port: u16, scheme: Scheme) -> FoundNode {
    FoundNode::new(format!("{address}:{port}"), NodeUrl { scheme, host: address.to_string(), port })
}

/// The nodes that SRV records name: those of the best priority, called by their targets. Weights are scaled to ours.
fn nodes(services: Vec<Service>, scheme: Scheme) -> Vec<FoundNode> {
    let best = services.iter().map(|service| service.priority).min();
    let mut services: Vec<_> = services.into_iter().filter(|service| Some(service.priority) == best).collect();
    services.sort_by(|one, other| (&one.target, one.port).cmp(&(&other.target, other.port)));
    services.dedup_by(|later, first| (&later.target, later.port) == (&first.target, first.port));
    let most = services.iter().map(|service| u32::from(service.weight)).max().unwrap_or(0).max(256);
    let node = |service: Service| FoundNode {
        name: format!("{}:{}", service.target, service.port),
        weight: u16::try_from((u32::from(service.weight) * 256 / most).max(1)).unwrap_or(256),
        ..at(service.address, service.port, scheme)
    };
    services.into_iter().map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `priority weight target port address`, separated by commas.
    fn check(services: &str, expected: &str) {
        let service = |text: &str| {
            let words: Vec<_> = text.split_whitespace().collect();
            Service {
                priority: words[0].parse().expect("a number"),
                weight: words[1].parse().expect("a number"),
                target: words[2].to_owned(),
                port: words[3].parse().expect("a number"),
                address: words[4].parse().expect("an address"),
            }
        };
        let found = nodes(services.split(',').map(service).collect(), Scheme::Http);
        let shown: Vec<_> = found.iter().map(|node| format!("{}={}*{}", node.name, node.url, node.weight)).collect();
        assert_eq!(shown.join(" "), expected, "{services}");
    }

    #[test]
    fn services_are_nodes_called_by_their_targets() {
        check("0 1 a.x 80 10.0.0.1", "a.x:80=http://10.0.0.1:80*1");
        check("0 0 b 80 10.0.0.2, 0 50 a 81 10.0.0.1", "a:81=http://10.0.0.1:81*50 b:80=http://10.0.0.2:80*1");
        check("1 1 b 80 10.0.0.2, 0 1 a 80 10.0.0.1", "a:80=http://10.0.0.1:80*1");
        check("0 65535 a 80 10.0.0.1, 0 1024 b 80 fd00::1", "a:80=http://10.0.0.1:80*256 b:80=http://[fd00::1]:80*4");
        check("0 1 a 80 10.0.0.1, 0 1 a 80 10.0.0.1", "a:80=http://10.0.0.1:80*1");
    }

    #[test]
    fn an_address_is_a_node_with_a_name_that_stays() {
        for (address, name) in [("10.0.0.1", "10.0.0.1:8080"), ("fd00::1", "fd00::1:8080")] {
            let node = at(address.parse().expect("an address"), 8080, Scheme::Https);
            assert_eq!(node.name, name);
            assert!(crate::config::sections::name(&node.name).is_ok());
        }
    }
}
