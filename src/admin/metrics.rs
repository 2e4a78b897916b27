//! What the gateway counts, gathered for Prometheus.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::nodes::{health_text, state_text};
use crate::affinity::Code;
use crate::gateway::{Gateway, Scarce, Snapshot, Upstream};
use crate::telemetry::metrics::{self as m, Metric, Text};
use crate::telemetry::series::Event;
use crate::upstream::{Admin, Fate, Health, Live, Rank};

/// All metrics as text.
pub fn text(gateway: &Gateway) -> String {
    let mut text = Text::default();
    let snapshot = gateway.snapshot();
    let now = gateway.now();
    let flag = |is: bool| if is { 1.0 } else { 0.0 };
    text.many(m::INFO, [(&[("version", env!("CARGO_PKG_VERSION"))][..], 1.0)]);
    text.one(m::READY, flag(!gateway.is_stopping()));
    text.one(m::UPTIME, gateway.uptime().as_secs_f64());
    text.one(m::RELOADS, gateway.reloads() as f64);
    text.one(m::RELOADS_REFUSED, gateway.refused_reloads().0 as f64);
    text.one(m::HANDOVERS_FAILED, gateway.handovers.failed.load(Ordering::Relaxed) as f64);
    text.one(m::TAKEN_OVER, gateway.handovers.conversations.load(Ordering::Relaxed) as f64);
    text.tallies(&gateway.tallies());
    text.one(m::ACCESS_LOG_DROPPED, gateway.access_log.dropped() as f64);
    text.one(m::AUDIT_RECORDS, gateway.audit.written() as f64);
    text.one(m::AUDIT_WAITING, gateway.audit.waiting() as f64);
    text.one(m::AUDIT_FAILING, flag(gateway.audit.failing().is_some()));
    text.one(m::AUDIT_UNRECORDED, gateway.audit.unrecorded() as f64);

    let pressure = &gateway.pressure;
    let limits = &snapshot.config.limits;
    text.one(m::CLIENT_CONNECTIONS, pressure.connections() as f64);
    text.one(m::CLIENT_CONNECTIONS_MAX, pressure.connections_max(limits) as f64);
    let refused = Scarce::ALL.map(|why| ([("limit", why.text())], pressure.refused(why)));
    text.many(m::CLIENT_CONNECTIONS_REFUSED, refused.iter().map(|(labels, count)| (&labels[..], *count as f64)));
    text.one(m::BUFFER_BYTES, pressure.buffers() as f64);
    text.one(m::BUFFER_BYTES_MAX, limits.buffers as f64);
    text.one(m::READ_AHEAD_BYTES, pressure.ahead() as f64);

    let events: Vec<_> = gateway.affinity.counters().each().map(|(name, count)| ([("event", name)], count)).collect();
    text.many(m::AFFINITY_EVENTS, events.iter().map(|(labels, count)| (&labels[..], *count as f64)));
    let gauges = gateway.affinity.gauges();
    text.one(m::CONVERSATIONS, gauges.conversations as f64);
    text.one(m::CONVERSATIONS_SPARE, gauges.spare as f64);
    text.one(m::CONVERSATIONS_MAX, snapshot.config.affinity.max_conversations as f64);
    text.one(m::KEYS, gauges.keys as f64);
    text.one(m::KEYS_MAX, snapshot.config.affinity.max_keys as f64);
    text.one(m::HINTS, gauges.hints as f64);
    if let Some(store) = gateway.store() {
        let counts = store.counts();
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
        text.one(m::STORE_UP, flag(store.trouble().is_none()));
        text.one(m::STORE_COMMITS, count(&counts.commits));
        text.one(m::STORE_COMMIT_SECONDS, count(&counts.commit_micros) / 1e6);
        text.one(m::STORE_WRITTEN, count(&counts.written));
        text.one(m::STORE_FAILURES, count(&counts.failures));
        text.one(m::STORE_LATE, count(&counts.late));
        text.one(m::STORE_PENDING, store.pending() as f64);
    }

    by_upstream(&mut text, &snapshot);
    upstreams(&mut text, &snapshot);

    // A machine has one set of numbers, however many upstreams name it.
    let machines: Vec<Arc<Live>> =
        gateway.registry.machines().into_iter().filter(|live| live.is_configured()).collect();
    let mut each = |metric: Metric, value: &dyn Fn(&Live) -> f64| {
        let labels: Vec<_> =
            machines.iter().map(|live| [("group", &**live.group()), ("node", &**live.name())]).collect();
        text.many(metric, labels.iter().zip(&machines).map(|(labels, live)| (&labels[..], value(live))));
    };
    each(m::NODE_REQUESTS, &|live| live.served() as f64);
    each(m::NODE_FAILURES, &|live| live.failures() as f64);
    each(m::NODE_RECEIVER_FAULTS, &|live| live.receiver_faults() as f64);
    each(m::NODE_EJECTIONS, &|live| live.ejected() as f64);
    each(m::NODE_HEALTH_CHANGES, &|live| live.health_changes() as f64);
    each(m::NODE_IN_FLIGHT, &|live| f64::from(live.requests()));
    let waiting: Vec<_> = machines
        .iter()
        .flat_map(|live| {
            [("pinned", Rank::Pinned), ("new", Rank::New)].map(|(word, rank)| {
                let labels = [("group", &**live.group()), ("node", &**live.name()), ("rank", word)];
                (labels, f64::from(live.waiting(rank)))
            })
        })
        .collect();
    each(m::NODE_CONNECTIONS, &|live| f64::from(live.connections()));
    each(m::NODE_IDLE, &|live| f64::from(live.idle_connections()));
    each(m::NODE_CONVERSATIONS, &|live| live.conversations() as f64);
    each(m::NODE_EJECTED, &|live| flag(live.is_ejected(now.0)));
    let fates: Vec<_> = machines
        .iter()
        .flat_map(|live| {
            Fate::ALL.iter().map(|fate| {
                ([("group", &**live.group()), ("node", &**live.name()), ("event", fate.text())], live.fates.of(*fate))
            })
        })
        .collect();
    text.many(m::NODE_FATES, fates.iter().map(|(labels, count)| (&labels[..], *count as f64)));
    text.many(m::NODE_WAITING, waiting.iter().map(|(labels, value)| (&labels[..], *value)));
    text.one(m::TURNS_WAITING, gateway.affinity.waiting_for_turns() as f64);
    by_word(
        &mut text,
        m::NODE_HEALTH,
        "health",
        &machines,
        &[Health::Unknown, Health::Up, Health::Down],
        health_text,
        |live| live.health(),
    );
    by_word(
        &mut text,
        m::NODE_STATE,
        "state",
        &machines,
        &[Admin::Ready, Admin::Drain, Admin::Maint],
        state_text,
        |live| live.admin(),
    );
    text.finish()
}

/// What is counted of requests, by upstream and node.
fn by_upstream(text: &mut Text, snapshot: &Snapshot) {
    let all: Vec<_> = snapshot
        .upstreams
        .iter()
        .flat_map(|upstream| {
            let nodes = upstream.nodes.nodes().iter().map(|node| (Some(node.id), &*node.name)).chain([(None, "")]);
            nodes.filter_map(|(id, name)| {
                upstream
                    .series(id)
                    .map(|series| ([("upstream", upstream.config.name.as_str()), ("node", name)], series))
            })
        })
        .collect();
    let codes: Vec<_> = all
        .iter()
        .flat_map(|([upstream, node], series)| {
            Code::ALL.iter().map(|code| ([*upstream, *node, ("code", code.text())], series.decisions(*code)))
        })
        .collect();
    text.many(m::REQUESTS, codes.iter().map(|(labels, count)| (&labels[..], *count as f64)));
    let events: Vec<_> = all
        .iter()
        .flat_map(|([upstream, node], series)| {
            Event::ALL.iter().map(|event| ([*upstream, *node, ("event", event.text())], series.events(*event)))
        })
        .collect();
    text.many(m::REQUEST_EVENTS, events.iter().map(|(labels, count)| (&labels[..], *count as f64)));
    text.histograms(m::FIRST_BYTE, all.iter().map(|(labels, series)| (&labels[..], series.first_byte())));
    text.histograms(m::UPSTREAM_DURATION, all.iter().map(|(labels, series)| (&labels[..], series.total())));
}

/// What is counted of each upstream.
fn upstreams(text: &mut Text, snapshot: &Snapshot) {
    let each = |upstream: &'_ Arc<Upstream>| {
        let name = upstream.config.name.clone();
        upstream.events.each().map(|(event, count)| (name.clone(), event, count)).collect::<Vec<_>>()
    };
    let events: Vec<_> = snapshot.upstreams.iter().flat_map(each).collect();
    let labels: Vec<_> = events.iter().map(|(name, event, _)| [("upstream", &**name), ("event", *event)]).collect();
    let counts = events.iter().map(|(_, _, count)| *count as f64);
    text.many(m::UPSTREAM_EVENTS, labels.iter().zip(counts).map(|(labels, count)| (&labels[..], count)));
    let waiting = snapshot.upstreams.iter().map(|one| ([("upstream", one.config.name.as_str())], one.events.waiting()));
    let waiting: Vec<_> = waiting.collect();
    text.many(m::UPSTREAM_WAITING, waiting.iter().map(|(labels, count)| (&labels[..], f64::from(*count))));
}

/// One sample for each machine and each word it could be described by; 1 for the one that holds.
fn by_word<T: Copy + PartialEq>(
    text: &mut Text,
    metric: Metric,
    label: &str,
    machines: &[Arc<Live>],
    values: &[T],
    word: fn(T) -> &'static str,
    present: fn(&Live) -> T,
) {
    let samples: Vec<_> = machines
        .iter()
        .flat_map(|live| {
            values.iter().map(move |value| {
                let labels = [("group", &**live.group()), ("node", &**live.name()), (label, word(*value))];
                (labels, if present(live) == *value { 1.0 } else { 0.0 })
            })
        })
        .collect();
    text.many(metric, samples.iter().map(|(labels, value)| (&labels[..], *value)));
}
