//! What is to be watched: every machine once per differing check.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::verdict::Expected;
use crate::config::model::{Check, HostHeader, NodeTls, NodeUrl, Probe};
use crate::gateway::{Snapshot, Upstream};
use crate::session::spec::Mark;
use crate::upstream::Live;

/// One check of one machine.
#[derive(Debug)]
pub struct Watch {
    /// The upstream that asks for it first.
    pub upstream: String,
    /// As configured.
    pub check: Check,
    /// Where it goes: the node, or another port of its host.
    pub url: NodeUrl,
    /// The `Host` field.
    pub host: String,
    /// TLS, with the name its certificate is checked for.
    pub tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
    /// How TLS was configured, to tell checks apart.
    tls_config: Option<NodeTls>,
    /// With a SOAP check: what is sent and expected.
    pub soap: Option<Arc<Expected>>,
}

/// The machines of a configuration that have checks, each with all that differ.
pub fn plan(snapshot: &Snapshot) -> Vec<(Arc<Live>, Vec<Watch>)> {
    let mut plan: Vec<(Arc<Live>, Vec<Watch>)> = Vec::new();
    for upstream in &snapshot.upstreams {
        let Some(check) = &upstream.config.health.check else { continue };
        let soap = match &check.probe {
            Probe::Soap { envelope, expect, .. } => {
                match Expected::read(envelope, expect.as_ref(), &snapshot.config.namespaces, snapshot.inspect) {
                    Ok(expected) => Some(Arc::new(expected)),
                    Err(error) => {
                        // The file was readable when the configuration was checked.
                        let (name, file) = (&upstream.config.name, envelope.display());
                        tracing::error!(upstream = name, %file, %error, "the check cannot be made; no node is probed");
                        continue;
                    }
                }
            }
            Probe::Tcp | Probe::Get(_) => None,
        };
        for (node, target) in upstream.nodes.nodes().iter().zip(&upstream.targets) {
            let watch = watch(upstream, check, target, soap.clone());
            match plan.iter_mut().find(|(live, _)| live.id() == node.id) {
                Some((_, watches)) if watches.iter().any(|other| is_same(other, &watch)) => {}
                Some((_, watches)) => watches.push(watch),
                None => plan.push((Arc::clone(&node.live), vec![watch])),
            }
        }
    }
    plan
}

fn watch(upstream: &Upstream, check: &Check, target: &crate::gateway::Target, soap: Option<Arc<Expected>>) -> Watch {
    let mut url = target.url.clone();
    if let Some(port) = check.port {
        url.port = port.get();
    }
    let host = match &upstream.config.host {
        HostHeader::Name(name) => name.clone(),
        HostHeader::Pass | HostHeader::Node => url.authority(),
    };
    let tls = target.server_name.clone().zip(upstream.tls.clone());
    let tls_config =
        tls.is_some().then(|| NodeTls { at: Mark::default(), ..upstream.config.tls.clone().unwrap_or_default() });
    Watch { upstream: upstream.config.name.clone(), check: check.clone(), url, host, tls, tls_config, soap }
}

/// Whether two rows of checks say the same, one by one.
pub fn are_same(one: &[Watch], other: &[Watch]) -> bool {
    let tls = |watch: &Watch| watch.tls.as_ref().map(|(_, tls)| Arc::as_ptr(tls));
    let are_same = |(one, other): (&Watch, &Watch)| {
        // An envelope may have another content by now, and TLS other certificates; those are read anew at a reload.
        let is_soap = matches!(one.check.probe, Probe::Soap { .. });
        let is_same_soap =
            one.soap.as_ref().map(|soap| &soap.envelope) == other.soap.as_ref().map(|soap| &soap.envelope);
        one.upstream == other.upstream && is_same(one, other) && tls(one) == tls(other) && (!is_soap || is_same_soap)
    };
    one.len() == other.len() && one.iter().zip(other).all(are_same)
}

/// Whether one of the two says all that the other would.
fn is_same(one: &Watch, other: &Watch) -> bool {
    let numbers = |watch: &Watch| (watch.check.interval, watch.check.timeout, watch.check.fall, watch.check.rise);
    let probe = match (&one.check.probe, &other.check.probe) {
        (Probe::Tcp, Probe::Tcp) => true,
        (Probe::Get(one), Probe::Get(other)) => one == other,
        (Probe::Soap { envelope: a, expect: e, path: p }, Probe::Soap { envelope: b, expect: f, path: q }) => {
            a == b && p == q && e.as_ref().map(|text| &text.text) == f.as_ref().map(|text| &text.text)
        }
        _ => false,
    };
    probe
        && one.url == other.url
        && one.host == other.host
        && one.tls_config == other.tls_config
        && numbers(one) == numbers(other)
}
