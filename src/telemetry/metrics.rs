//! The metrics: every name in one place, with unit and meaning, and how they are written for Prometheus.
//!
//! Labels come from the configuration or from a fixed list; none grows with traffic.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::series::Histogram;
use crate::affinity::Code;

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bounds.
    Histogram,
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// With its unit; counters end in `_total`.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// One sentence.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident: $kind:ident $name:literal $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: Metric = Metric { name: $name, kind: Kind::$kind, help: $help };)*

        /// All metrics.
        pub const ALL: &[Metric] = &[$($constant,)*];
    };
}

metrics! {
    INFO: Gauge "castile_info" "1; the version is a label.";
    READY: Gauge "castile_ready" "1 while new work is welcome, 0 from SIGTERM on.";
    UPTIME: Gauge "castile_uptime_seconds" "Seconds since the start.";
    RELOADS: Counter "castile_reloads_total" "Configurations taken over after the first one.";
    RELOADS_REFUSED: Counter "castile_reloads_refused_total" "Reloads that were refused and changed nothing.";
    HANDOVERS_FAILED: Counter "castile_handovers_failed_total" "Hand-overs to a successor that failed or were refused, and changed nothing.";
    TAKEN_OVER: Gauge "castile_taken_over_conversations" "Conversations that this process took over from the one before it.";
    DECISIONS: Counter "castile_decisions_total" "Requests by decision code: why they went where they went.";
    RESPONSES: Counter "castile_responses_total" "Requests by the status that the client got; 0 where it got none.";
    DURATION: Histogram "castile_request_duration_seconds" "Seconds from a request's head to the end of its answer.";
    REQUESTS: Counter "castile_requests_total" "Requests by upstream, node and decision code; an empty node: none was found.";
    REQUEST_EVENTS: Counter "castile_request_events_total" "What requests did, by upstream and node: keys learnt, keys matched, unknown, in conflict, sessions lost, replaced, ended, conversations moved, connects retried.";
    FIRST_BYTE: Histogram "castile_node_first_byte_seconds" "Seconds from a node's connection to the first byte of its answer, by upstream and node.";
    UPSTREAM_DURATION: Histogram "castile_upstream_duration_seconds" "Seconds from a request's head to the end of its answer, by upstream and node.";
    CLIENT_CONNECTIONS: Gauge "castile_connections" "Client connections that stand.";
    CLIENT_CONNECTIONS_MAX: Gauge "castile_connections_max" "As many may: limits.connections, or half of the descriptors less a reserve.";
    CLIENT_CONNECTIONS_REFUSED: Counter "castile_connections_refused_total" "Client connections refused, or left waiting, for what was scarce.";
    BUFFER_BYTES: Gauge "castile_buffer_bytes" "Bytes of buffers in use.";
    BUFFER_BYTES_MAX: Gauge "castile_buffer_bytes_max" "limits.buffers.";
    READ_AHEAD_BYTES: Gauge "castile_read_ahead_bytes" "Bytes of answers held for slow clients, their nodes being free already or soon; a quarter of limits.buffers at most.";
    ACCESS_LOG_DROPPED: Counter "castile_access_log_dropped_lines_total" "Lines of the access log lost because the disk was too slow or full.";
    AUDIT_RECORDS: Counter "castile_audit_records_total" "Records written to the audit stream.";
    AUDIT_WAITING: Gauge "castile_audit_waiting_records" "Records that wait to be written to it.";
    AUDIT_FAILING: Gauge "castile_audit_failing" "1 while records cannot be written to it.";
    AUDIT_UNRECORDED: Counter "castile_audit_refused_acts_total" "Acts that were refused because they could not be recorded.";
    AFFINITY_EVENTS: Counter "castile_affinity_events_total" "What the table of conversations counts, by event.";
    CONVERSATIONS: Gauge "castile_conversations" "Conversations in the table.";
    CONVERSATIONS_SPARE: Gauge "castile_conversations_spare" "Of these, those that a full table may push out.";
    CONVERSATIONS_MAX: Gauge "castile_conversations_max" "affinity.max_conversations.";
    KEYS: Gauge "castile_keys" "Keys of all conversations.";
    KEYS_MAX: Gauge "castile_keys_max" "affinity.max_keys.";
    HINTS: Gauge "castile_hints" "Weak keys and learnt routes.";
    STORE_UP: Gauge "castile_store_up" "1 while the store can be written; absent without one.";
    STORE_COMMITS: Counter "castile_store_commits_total" "Groups of changes written to the store.";
    STORE_COMMIT_SECONDS: Counter "castile_store_commit_seconds_total" "Seconds spent writing them.";
    STORE_WRITTEN: Counter "castile_store_conversations_written_total" "Conversations written to the store, or removed from it.";
    STORE_FAILURES: Counter "castile_store_failures_total" "Commits that failed, and files that could not be opened again.";
    STORE_LATE: Counter "castile_store_late_total" "Answers passed on before their keys were in the store, because that took too long.";
    STORE_PENDING: Gauge "castile_store_pending" "Conversations that wait to be written.";
    UPSTREAM_EVENTS: Counter "castile_upstream_events_total" "What is counted of an upstream, by event: moved, replaced_after_move, replaced, lost, waited, ...";
    UPSTREAM_WAITING: Gauge "castile_upstream_waiting" "Requests that wait for the node of their conversation to return.";
    NODE_REQUESTS: Counter "castile_node_requests_total" "Requests given to a machine, by all upstreams of its affinity group.";
    NODE_FAILURES: Counter "castile_node_failures_total" "Connects that failed and exchanges that a machine did not finish.";
    NODE_RECEIVER_FAULTS: Counter "castile_node_receiver_faults_total" "Answers that blame the machine itself: Receiver (Server) Faults, and other 5xx.";
    NODE_EJECTIONS: Counter "castile_node_ejections_total" "How often a machine was ejected because it failed in a row.";
    NODE_HEALTH_CHANGES: Counter "castile_node_health_changes_total" "How often the health of a machine changed.";
    NODE_IN_FLIGHT: Gauge "castile_node_requests_in_flight" "Requests that a machine works on for this gateway.";
    NODE_WAITING: Gauge "castile_node_waiting_requests" "Requests that wait for a place at a machine, by rank: pinned ones go first; a new one that waits for any of several machines counts at each.";
    TURNS_WAITING: Gauge "castile_waiting_for_turn" "Requests that wait until their conversation has a turn for them (sticky.concurrency).";
    NODE_CONNECTIONS: Gauge "castile_node_connections" "Open connections to a machine.";
    NODE_IDLE: Gauge "castile_node_idle_connections" "Of these, those that wait for a request.";
    NODE_CONVERSATIONS: Gauge "castile_node_conversations" "Conversations pinned to a machine.";
    NODE_FATES: Counter "castile_node_conversation_events_total" "What became of a machine's conversations: expired, evicted, moved here, moved away.";
    NODE_HEALTH: Gauge "castile_node_health" "1 for the present health of a machine: unknown, up or down.";
    NODE_STATE: Gauge "castile_node_state" "1 for the present administrative state of a machine: ready, drain or maint.";
    NODE_EJECTED: Gauge "castile_node_ejected" "1 while a machine gets no new conversation because it failed in a row.";
}

/// Upper bounds of durations, in seconds. From what a cache answers to what a report takes; taste.
pub const BOUNDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 900.0];

/// What one worker counts. It alone writes, so that a count costs no more than a plain one.
#[derive(Debug)]
pub struct Tally {
    decisions: [AtomicU64; Code::ALL.len()],
    /// By status; 0 stands for every number that is none.
    statuses: [AtomicU64; 600],
    durations: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            decisions: [const { AtomicU64::new(0) }; Code::ALL.len()],
            statuses: [const { AtomicU64::new(0) }; 600],
            durations: [const { AtomicU64::new(0) }; BOUNDS.len() + 1],
            micros: AtomicU64::new(0),
        }
    }
}

impl Tally {
    /// Counts one request.
    pub fn count(&self, code: Code, status: u16, duration: Duration) {
        let add = |count: &AtomicU64, more: u64| count.store(count.load(Relaxed).wrapping_add(more), Relaxed);
        add(&self.decisions[code as usize], 1);
        add(self.statuses.get(usize::from(status)).unwrap_or(&self.statuses[0]), 1);
        let seconds = duration.as_secs_f64();
        add(&self.durations[BOUNDS.partition_point(|bound| *bound < seconds)], 1);
        add(&self.micros, u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }
}

/// Text in the exposition format of Prometheus, version 0.0.4.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// The text.
    pub fn finish(self) -> String {
        self.0
    }

    /// A metric of one value.
    pub fn one(&mut self, metric: Metric, value: f64) {
        self.many(metric, [(&[] as &[_], value)]);
    }

    /// A metric with its samples. All samples of a metric stand together, as the format asks.
    pub fn many<'a>(&mut self, metric: Metric, samples: impl IntoIterator<Item = (&'a [(&'a str, &'a str)], f64)>) {
        self.head(metric);
        for (labels, value) in samples {
            self.sample(metric.name, "", labels, value);
        }
    }

    /// What all workers counted of requests.
    pub fn tallies(&mut self, tallies: &[impl AsRef<Tally>]) {
        let sum = |of: &dyn Fn(&Tally) -> u64| tallies.iter().map(|tally| of(tally.as_ref())).sum::<u64>();
        self.head(DECISIONS);
        for code in Code::ALL {
            let count = sum(&|tally| tally.decisions[*code as usize].load(Relaxed));
            self.sample(DECISIONS.name, "", &[("code", code.text())], count as f64);
        }
        self.head(RESPONSES);
        for status in 0..600 {
            let count = sum(&|tally| tally.statuses[status].load(Relaxed));
            if count > 0 {
                self.sample(RESPONSES.name, "", &[("status", &status.to_string())], count as f64);
            }
        }
        self.head(DURATION);
        let mut below = 0;
        for (index, bound) in BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]).enumerate() {
            below += sum(&|tally| tally.durations[index].load(Relaxed));
            self.sample(DURATION.name, "_bucket", &[("le", &bound)], below as f64);
        }
        self.sample(DURATION.name, "_sum", &[], sum(&|tally| tally.micros.load(Relaxed)) as f64 / 1e6);
        self.sample(DURATION.name, "_count", &[], below as f64);
    }

    /// A metric of histograms.
    pub fn histograms<'a>(
        &mut self,
        metric: Metric,
        samples: impl IntoIterator<Item = (&'a [(&'a str, &'a str)], Histogram)>,
    ) {
        self.head(metric);
        for (labels, histogram) in samples {
            let mut below = 0;
            let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
            for (bound, count) in bounds.zip(histogram.buckets) {
                below += count;
                self.sample(metric.name, "_bucket", &[labels, &[("le", bound.as_str())]].concat(), below as f64);
            }
            self.sample(metric.name, "_sum", labels, histogram.micros as f64 / 1e6);
            self.sample(metric.name, "_count", labels, below as f64);
        }
    }

    fn head(&mut self, metric: Metric) {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {} {}\n# TYPE {} {kind}", metric.name, metric.help, metric.name);
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        self.0.push_str(suffix);
        for (index, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if index == 0 { '{' } else { ',' });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn names_say_what_they_are() {
        let mut names: Vec<_> = ALL.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        for metric in ALL {
            assert!(metric.name.starts_with("castile_") && metric.help.ends_with('.'), "{metric:?}");
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{metric:?}");
        }
    }

    #[test]
    fn codes_are_counted_under_their_own_text() {
        assert!(Code::ALL.iter().enumerate().all(|(index, code)| *code as usize == index));
    }

    #[test]
    fn the_counts_of_all_workers_are_summed_up() {
        let tallies = [Arc::<Tally>::default(), Arc::default()];
        tallies[0].count(Code::Pinned, 200, Duration::from_millis(2));
        tallies[1].count(Code::Pinned, 200, Duration::from_millis(500));
        tallies[1].count(Code::Lost, 999, Duration::from_secs(10_000));
        let mut text = Text::default();
        text.tallies(&tallies);
        let text = text.finish();
        for line in [
            "castile_decisions_total{code=\"pin\"} 2",
            "castile_decisions_total{code=\"new\"} 0",
            "castile_responses_total{status=\"200\"} 2",
            "castile_responses_total{status=\"0\"} 1",
            "castile_request_duration_seconds_bucket{le=\"0.001\"} 0",
            "castile_request_duration_seconds_bucket{le=\"0.0025\"} 1",
            "castile_request_duration_seconds_bucket{le=\"0.5\"} 2",
            "castile_request_duration_seconds_bucket{le=\"900\"} 2",
            "castile_request_duration_seconds_bucket{le=\"+Inf\"} 3",
            "castile_request_duration_seconds_sum 10000.502",
            "castile_request_duration_seconds_count 3",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.many(NODE_EJECTED, [(&[("node", "a\"b\\c\nd")][..], 1.0)]);
        assert!(text.finish().ends_with("castile_node_ejected{node=\"a\\\"b\\\\c\\nd\"} 1\n"));
    }
}
