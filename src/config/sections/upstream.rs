//! `upstreams:`.

use super::names::NAME;
use super::{FILE, FLAG, discovery, health, limits, node, sticky};
use crate::config::forms::{Checked, Count, Or, Parsed, Time, Word, n32};
use crate::config::model::{
    Balance, HostHeader, Limits, NodeTls, NodesShareSessions, RequestFraming, Rewrite, Timeouts, Upstream,
};
use crate::config::presets;
use crate::config::read::{Section, Slot};
use crate::config::show::Shown;
use crate::session::spec::{Connection, Mark};
use crate::soap::Prefixes;

const BALANCE: Word<Balance> = Word(&[
    ("round_robin", Balance::RoundRobin),
    ("least_requests", Balance::LeastRequests),
    ("least_conversations", Balance::LeastConversations),
    ("random", Balance::Random),
    ("hash", Balance::Hash),
]);

const SHARE: Word<NodesShareSessions> =
    Word(&[("none", NodesShareSessions::None), ("all", NodesShareSessions::All), ("group", NodesShareSessions::Group)]);

/// How node connections are shared.
pub const CONNECTION: Word<Connection> = Word(&[("shared", Connection::Shared), ("per_client", Connection::PerClient)]);

const FRAMING: Word<RequestFraming> =
    Word(&[("as_received", RequestFraming::AsReceived), ("content_length", RequestFraming::ContentLength)]);

/// Far above what one process can hold, far below what counters can.
const MANY: u64 = 1_000_000;

/// One upstream and its name.
pub fn upstream(name: &str, at: Mark, namespaces: &Prefixes, slot: &mut Slot) -> Option<Upstream> {
    if !slot.cx().describing()
        && let Err(message) = super::name(name)
    {
        slot.cx().problem(at, message);
    }
    slot.map(|s| read(s, name, at, namespaces))
}

fn read(s: &mut Section, name: &str, at: Mark, namespaces: &Prefixes) -> Upstream {
    let usual = Upstream::new(name);
    let is_static = s.is_absent("discovery");
    let nodes =
        s.optional_with("nodes", "The servers of the application; needed unless they are discovered.", |slot| {
            if is_static {
                slot.not_empty();
            }
            slot.list(|slot| slot.map(node::node).flatten())
        });
    if is_static && s.is_absent("nodes") && !s.cx().describing() {
        s.problem("nodes", "nodes is missing; it has no default");
    }
    let nodes = nodes.unwrap_or_default();
    let discovery = s.optional_with("discovery", "Who finds further nodes.", |slot| {
        slot.some(|slot| slot.map(discovery::discovery).flatten())
    });
    let discovery = discovery.unwrap_or_default();
    let affinity_group = s.value(
        "affinity_group",
        "Upstreams of one group share keys and machines: equal node names are one machine. Default: the upstream's name.",
        NAME,
        usual.affinity_group,
    );
    let balance = s.value("balance", "How new conversations are spread.", BALANCE, usual.balance);
    let share = s.value(
        "nodes_share_sessions",
        "Whether the nodes replicate their sessions among themselves.",
        SHARE,
        usual.nodes_share_sessions,
    );
    let sticky =
        s.optional_with("sticky", "What binds a conversation to its node; without it, nothing does.", |slot| {
            slot.map(|s| sticky::sticky(s, name, namespaces, share))
        });
    // Where the file is silent the presets decide, so that is what is shown.
    let per_client = sticky.as_ref().is_some_and(|sticky| presets::wants_own_connections(&sticky.rules));
    let usual = if per_client { "per_client" } else { "shared" };
    let connection = s.value_with(
        "connection",
        "How node connections are shared; written here it wins over presets. Default: shared, or as a preset needs it.",
        Shown::Plain(usual.to_owned()),
        |slot| slot.scalar(CONNECTION),
    );
    let usual = Upstream::new(name);
    Upstream {
        at,
        name: usual.name,
        nodes,
        discovery,
        affinity_group,
        balance,
        sticky,
        nodes_share_sessions: share,
        connection,
        keep_alive: s.value("keep_alive", "Whether node connections are used again.", FLAG, usual.keep_alive),
        tcp_keep_alive: limits::tcp_keep_alive(s),
        request_framing: s.value(
            "request_framing",
            "How request bodies are framed towards nodes.",
            FRAMING,
            usual.request_framing,
        ),
        host: s.value(
            "host",
            "The Host that nodes see: pass = the client's, node = the node's, or a name.",
            HOST,
            usual.host,
        ),
        tls: s.optional_with("tls", "TLS towards nodes whose URL is https.", |slot| slot.map(tls)),
        rewrite: s.optional_with(
            "rewrite",
            "Which node addresses in answers are turned into the public one.",
            |slot| slot.map(rewrite),
        ),
        health: s
            .section("health", "How it is known whether a node serves.", |s| health::health(s, namespaces))
            .unwrap_or_default(),
        limits: s.section("limits", "Bounds per node, over all workers.", node_limits).unwrap_or_default(),
        timeouts: s.section("timeouts", "How long nodes may take.", timeouts).unwrap_or_default(),
        attempts: s.value(
            "attempts",
            "Nodes tried for a request that none has accepted a byte of.",
            n32(Count::to(64)),
            usual.attempts,
        ),
        strict: s.value("strict", "Whether a message that cannot be parsed is refused.", FLAG, usual.strict),
    }
}

const HOST: Parsed<HostHeader> = Parsed(
    "pass, node or a name",
    |text| match text {
        "pass" => Ok(HostHeader::Pass),
        "node" => Ok(HostHeader::Node),
        name if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c)) => {
            Ok(HostHeader::Name(name.to_owned()))
        }
        other => Err(format!("{other:?} is no Host; write pass, node, or a name with or without a port")),
    },
    |host| match host {
        HostHeader::Pass => "pass".to_owned(),
        HostHeader::Node => "node".to_owned(),
        HostHeader::Name(name) => name.clone(),
    },
);

pub(super) fn tls(s: &mut Section) -> NodeTls {
    let at = s.at;
    let ca = s.optional("ca", "PEM: the authorities that sign node certificates; default: the system's.", FILE);
    let client_certificate =
        s.optional("client_certificate", "PEM: the certificate shown to nodes, and its chain.", FILE);
    let client_key = s.optional("client_key", "PEM: its private key.", FILE);
    let server_name = s.optional(
        "server_name",
        "The name that node certificates are checked for, and SNI.",
        Checked("a name", server_name),
    );
    let verify = s.value("verify", "Whether node certificates are checked at all.", FLAG, true);
    match (s.place_of("client_certificate"), s.place_of("client_key")) {
        (Some(_), None) => s.problem("client_certificate", "its private key is missing; set client_key"),
        (None, Some(_)) => s.problem("client_key", "its certificate is missing; set client_certificate"),
        _ => {}
    }
    NodeTls { at, ca, client_certificate, client_key, server_name, verify }
}

fn server_name(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no host name; write one such as orders.example.com"))
    }
}

fn rewrite(s: &mut Section) -> Rewrite {
    let usual = Rewrite::default();
    Rewrite {
        wsdl: s.value("wsdl", "Addresses in WSDLs and schemas.", FLAG, usual.wsdl),
        epr: s.value("epr", "Endpoint references, at the presets' rewrite_url places.", FLAG, usual.epr),
        location: s.value("location", "Location and Content-Location.", FLAG, usual.location),
        wsa_to: s.value("wsa_to", "In requests, wsa:To back to the node's address.", FLAG, usual.wsa_to),
        cookies: s.value("cookies", "Domain, Path and Secure of cookies.", FLAG, usual.cookies),
        public_url: s.optional(
            "public_url",
            "What clients see; default: what the client or a trusted proxy says.",
            Checked("a URL", public_url),
        ),
    }
}

fn public_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && !text.contains(['?', '#', ' ', '@', '*']) => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err(format!(
            "{text:?} is no public URL; write one such as https://soap.example.com or https://example.com/soap"
        )),
    }
}

fn node_limits(s: &mut Section) -> Limits {
    let usual = Limits::default();
    Limits {
        requests: s.value("requests", "Requests at once.", n32(Count::to(MANY)), usual.requests),
        connections: s.value("connections", "Connections.", n32(Count::to(MANY)), usual.connections),
        idle_connections: s.value(
            "idle_connections",
            "Idle connections kept.",
            n32(Count::from_zero(MANY)),
            usual.idle_connections,
        ),
        queue: s.value(
            "queue",
            "Requests that wait for a place; 0 = none waits.",
            n32(Count::from_zero(MANY)),
            usual.queue,
        ),
        queue_timeout: s.value("queue_timeout", "How long they wait.", Time, usual.queue_timeout),
        make_way: s.value(
            "make_way",
            "Where requests wait, one whose client sends or takes nothing for so long is given up for them; none = never.",
            Or("none", Time),
            usual.make_way,
        ),
    }
}

fn timeouts(s: &mut Section) -> Timeouts {
    let usual = Timeouts::default();
    Timeouts {
        connect: s.value("connect", "Until a connection stands, TLS included.", Time, usual.connect),
        response: s.value(
            "response",
            "From the end of the request to the first byte of the response.",
            Time,
            usual.response,
        ),
        stall: s.value("stall", "Between two pieces of a body, either way.", Time, usual.stall),
        node_idle: s.value(
            "node_idle",
            "How long an idle node connection is kept; shorter than nodes keep theirs.",
            Time,
            usual.node_idle,
        ),
    }
}
