//! Joining the gateways that share a store: see [`crate::store::fleet`].

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{Gateway, StartError, tls};
use crate::affinity::Now;
use crate::config::model;
use crate::store::fleet::{Fleet, Options};
use crate::store::redis;
use crate::store::shared::Shared;
use crate::upstream::Admin;

use super::membership::{Registration, read_announcement};

/// The names of the fleet's state that say what operators want of a node begin so.
const NODE: &str = "node/";
/// And those that say which nodes announced themselves so.
const REGISTERED: &str = "registered/";
/// An announcement that is over for so long is taken out of the store.
const FORGOTTEN_MS: u64 = 3_600_000;

/// A store, and the longest that one call of it may take.
type Reached = (Arc<dyn Shared>, Duration);

/// The store that the configuration shares with other gateways.
///
/// # Errors
/// What cannot be used, and what helps.
fn shared_store(config: &model::Affinity) -> Result<Option<Reached>, String> {
    let model::Store::Redis { url, hosts, sentinel, prefix, timeout, tls: files } = &config.store else {
        return Ok(None);
    };
    let fail = |what: String| format!("affinity.store.redis: {what}");
    let url = redis::Url::parse(url.reveal(), sentinel.is_some()).map_err(|why| fail(format!("url {why}")))?;
    let mut places = vec![url.place.clone()];
    for host in hosts {
        places.push(redis::Place::parse(host, url.place.port).map_err(fail)?);
    }
    let tls = url.tls.then(|| tls::client(files)).transpose().map_err(|error| fail(error.to_string()))?;
    let sentinel =
        sentinel.as_ref().map(|name| redis::Sentinel { name: name.clone(), credentials: url.credentials.clone() });
    let settings = redis::Settings {
        places,
        tls,
        credentials: url.credentials,
        database: url.database,
        sentinel,
        prefix: prefix.clone(),
        timeout: *timeout,
        log_max: redis::LOG_MAX,
    };
    Ok(Some((Arc::new(redis::Redis::new(&settings)), *timeout)))
}

impl Gateway {
    /// Joins the gateways that share the store of the configuration, if it names one that can be shared.
    ///
    /// # Errors
    /// What of it cannot be used.
    pub fn join_configured(self: &Arc<Self>) -> Result<(), StartError> {
        let Some((store, budget)) = shared_store(&self.snapshot().config.affinity).map_err(StartError::Fleet)? else {
            return Ok(());
        };
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = format!("{}:{}", host.trim(), std::process::id());
        tracing::info!(store = store.describe(), name, "this gateway shares its conversations with others");
        self.join(store, name, budget).map_err(|error| StartError::Fleet(error.to_string()))
    }

    /// Joins: from now on this gateway agrees with all others that share this store. Once.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn join(self: &Arc<Self>, store: Arc<dyn Shared>, name: String, budget: Duration) -> std::io::Result<()> {
        let rejects = self.snapshot().config.affinity.on_store_down == model::OnStoreDown::Reject;
        let weak: Weak<Self> = Arc::downgrade(self);
        let at = self.clock();
        let hears = Box::new(move |name: &str, value: Option<&[u8]>| {
            if let Some(gateway) = weak.upgrade() {
                gateway.hear(name, value);
            }
        });
        let mark = self.fingerprinter.fingerprint("", "fleet", b"", b"which key is it");
        let options = Options { name, budget, key_mark: (mark.0 >> 64) as u64, rejects };
        let fleet = Fleet::join(store, &self.affinity, options, Box::new(at), hears)?;
        let _ = self.fleet.set(fleet);
        Ok(())
    }

    /// The clock of the table, without the gateway.
    fn clock(&self) -> impl Fn() -> Now + Send + Sync + 'static {
        let (epoch, started) = (self.epoch, self.started);
        move || Now(epoch + started.elapsed().as_millis() as u64 + 1)
    }

    /// The name under which the fleet keeps what operators want of a node.
    pub fn state_name(group: &str, node: &str) -> String {
        format!("{NODE}{group}/{node}")
    }

    /// The name under which the fleet keeps the announcement of a node.
    pub fn registered_name(upstream: &str, node: &str) -> String {
        format!("{REGISTERED}{upstream}/{node}")
    }

    /// What the fleet keeps of an announcement: until when it holds, and what the node said.
    pub fn registered_value(until: Now, said: &[u8]) -> Vec<u8> {
        [&until.0.to_be_bytes()[..], said].concat()
    }

    /// Another gateway has heard of a node that announces itself, or leaves.
    fn hear_registered(&self, name: &str, of: &str, value: Option<&[u8]>) {
        let Some((upstream, node)) = of.split_once('/') else { return };
        let Some(value) = value else {
            self.take_leave(upstream, node);
            return;
        };
        let Some((until, said)) = value.split_first_chunk::<8>() else { return };
        let (until, now) = (u64::from_be_bytes(*until), self.now().0);
        if until <= now {
            if until.saturating_add(FORGOTTEN_MS) < now
                && let Some(fleet) = self.fleet()
            {
                fleet.forget(name);
            }
            return;
        }
        match read_announcement(node, said) {
            Ok((found, _)) => {
                if !self.announce(upstream, Registration { node: found, until: Now(until) }) {
                    tracing::warn!(
                        upstream,
                        node,
                        "a node that another gateway knows is in the way of another node here"
                    );
                }
            }
            Err(why) => tracing::warn!(upstream, node, why, "a node that another gateway knows cannot be used here"),
        }
    }

    /// Another gateway has changed the fleet's state.
    fn hear(&self, name: &str, value: Option<&[u8]>) {
        if let Some(of) = name.strip_prefix(REGISTERED) {
            return self.hear_registered(name, of, value);
        }
        let Some((group, node)) = name.strip_prefix(NODE).and_then(|name| name.rsplit_once('/')) else { return };
        let wanted = match value {
            Some(b"drain") => Admin::Drain,
            Some(b"maint") => Admin::Maint,
            Some(b"ready") => Admin::Ready,
            _ => return,
        };
        let live = self.registry.machine(group, node);
        let was = live.set_admin_at(wanted, self.now().0);
        if was != wanted {
            tracing::info!(node, group, before = ?was, after = ?wanted, "another gateway sets the state of a node");
        }
    }
}
