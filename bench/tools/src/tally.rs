//! What a run of the generator counts.

use std::time::Duration;

use crate::answer::{Answer, Wrong};

/// Counts since the last `restart`; errors count from the start, for none is ever right.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answers.
    pub done: u64,
    /// Answers since the start.
    pub total: u64,
    /// 500: a node got another node's session.
    pub wrong_session: u64,
    /// From another node than the session's.
    pub wrong_node: u64,
    /// Not the whole and right content.
    pub wrong_content: u64,
    /// Other statuses.
    pub status_other: u64,
    /// Connections that broke in a request, or could not be made.
    pub broken: u64,
    /// Connections that ended between requests.
    pub reconnects: u64,
    /// The first thing that went wrong.
    pub first_error: String,
    tenths: Vec<u32>,
}

impl Tally {
    /// Counts an answer. `measured`: its latency, too.
    pub fn answer(&mut self, answer: &Answer, wrong: Option<Wrong>, latency: Option<Duration>) {
        self.done += 1;
        self.total += 1;
        if let Some(latency) = latency {
            self.tenths.push(u32::try_from(latency.as_nanos() / 100).unwrap_or(u32::MAX));
        }
        let Some(wrong) = wrong else { return };
        match wrong {
            Wrong::Session => self.wrong_session += 1,
            Wrong::Node => self.wrong_node += 1,
            Wrong::Content => self.wrong_content += 1,
            Wrong::Status => self.status_other += 1,
        }
        self.note(|| format!("{wrong:?}: status {}, node {}", answer.status, answer.node));
    }

    /// Counts a connection that broke.
    pub fn broke(&mut self, error: &std::io::Error) {
        self.broken += 1;
        self.note(|| format!("connection: {error}"));
    }

    /// Keeps the first thing that went wrong.
    pub fn note(&mut self, text: impl FnOnce() -> String) {
        if self.first_error.is_empty() {
            self.first_error = text().replace(['"', '\\', '\n'], " ");
        }
    }

    /// The window that is measured begins.
    pub fn restart(&mut self) {
        self.done = 0;
        self.tenths.clear();
    }

    /// The latency that this share of the answers kept to, in microseconds; 0 where there was none.
    pub fn micros(&mut self, share: f64) -> f64 {
        self.tenths.sort_unstable();
        let at = (self.tenths.len() as f64 * share) as usize;
        self.tenths.get(at.min(self.tenths.len().saturating_sub(1))).map_or(0.0, |tenths| f64::from(*tenths) / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_told_by_share() {
        let mut tally = Tally::default();
        for micros in (1..=100).rev() {
            tally.answer(&Answer::default(), None, Some(Duration::from_micros(micros)));
        }
        assert_eq!((tally.micros(0.5), tally.micros(0.99), tally.micros(1.0)), (51.0, 100.0, 100.0));
        tally.restart();
        assert_eq!((tally.done, tally.total, tally.micros(0.5)), (0, 100, 0.0));
    }

    #[test]
    fn errors_outlive_the_warm_up() {
        let mut tally = Tally::default();
        tally.answer(&Answer::default(), Some(Wrong::Node), None);
        tally.restart();
        assert_eq!(tally.wrong_node, 1);
        assert!(tally.first_error.contains("Node"));
    }
}
