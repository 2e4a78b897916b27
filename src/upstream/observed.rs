//! What traffic tells of a machine, and when that keeps new conversations away from it.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Live;

/// A node is ejected for no longer than this at a time, unless the file says so: one that came back long ago should not
/// stand idle for an hour. Taste.
pub const EJECT_MAX: Duration = Duration::from_secs(300);

impl Live {
    /// Takes note that a connect failed, or that it broke off, hung or answered garbage: what no caller can bring about.
    /// If that ejects it, for how long: `eject` the first time, twice as long each further time in which nothing went
    /// well between, up to [`EJECT_MAX`].
    pub fn failed(&self, now_ms: u64, allowed: u32, eject: Duration) -> Option<Duration> {
        self.failures.fetch_add(1, Relaxed);
        let in_row = self.failed_in_row.fetch_add(1, Relaxed).saturating_add(1);
        if in_row < allowed { None } else { self.eject(now_ms, eject) }
    }

    /// Takes note that its answer puts the blame on itself: a Receiver (Server) Fault, or a 5xx that is no Fault. Where so
    /// many in a row are `allowed`, more of them eject it as failures do; `None` = they are only counted, because a caller
    /// may be able to bring them about.
    pub fn blamed_itself(&self, now_ms: u64, allowed: Option<u32>, eject: Duration) -> Option<Duration> {
        self.receiver_faults.fetch_add(1, Relaxed);
        let Some(allowed) = allowed else {
            self.went_well();
            return None;
        };
        // It is there and speaks HTTP.
        self.failed_in_row.store(0, Relaxed);
        let in_row = self.faults_in_row.fetch_add(1, Relaxed).saturating_add(1);
        if in_row < allowed { None } else { self.eject(now_ms, eject) }
    }

    /// Takes note that it answered a request. A present ejection runs out by itself.
    pub fn went_well(&self) {
        // Nearly always there is nothing to write, and the line stays shared between workers.
        for count in [&self.failed_in_row, &self.faults_in_row, &self.ejections] {
            if count.load(Relaxed) != 0 {
                count.store(0, Relaxed);
            }
        }
    }

    fn eject(&self, now_ms: u64, eject: Duration) -> Option<Duration> {
        if self.is_ejected(now_ms) {
            return None;
        }
        let before = self.ejections.fetch_add(1, Relaxed);
        let longest = EJECT_MAX.max(eject);
        let time = eject.saturating_mul(1u32.checked_shl(before).unwrap_or(u32::MAX)).min(longest);
        let until = now_ms.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        // Of workers that see it fail at once, one ejects it.
        let is_first = self
            .ejected_until_ms
            .fetch_update(Relaxed, Relaxed, |present| (present <= now_ms).then_some(until))
            .is_ok();
        if !is_first {
            self.ejections.fetch_sub(1, Relaxed);
            return None;
        }
        self.ejected.fetch_add(1, Relaxed);
        Some(time)
    }
}

#[cfg(test)]
mod tests {
    use super::super::NodeId;
    use super::*;

    /// What a row of events comes to, one second apart: `-` a failure, `+` a success, `r` an answer that blames the node
    /// itself; the seconds it is ejected for, or `.`.
    fn observe(faults: Option<u32>, events: &str) -> String {
        let live = Live::new(NodeId(0), "g".into(), "n".into());
        let told = events.chars().enumerate().map(|(second, event)| {
            let now = 1 + second as u64 * 1000;
            let ejected = match event {
                '-' => live.failed(now, 3, Duration::from_secs(2)),
                'r' => live.blamed_itself(now, faults, Duration::from_secs(2)),
                _ => {
                    live.went_well();
                    None
                }
            };
            ejected.map_or(".".to_owned(), |time| time.as_secs().to_string())
        });
        told.collect()
    }

    #[test]
    fn failures_in_a_row_eject_for_longer_and_longer_until_something_goes_well() {
        for (events, expected, why) in [
            ("--+--+", "......", ""),
            ("---", "..2", ""),
            ("-----", "..2.4", "when it is over, one more failure is enough"),
            ("---------", "..2.4...8", ""),
            ("-----+--", "..2.4...", "still ejected"),
            ("-----+..---", "..2.4.....2", "after a success it begins anew"),
            ("--r---", ".....2", "whoever answers, however badly, has not failed"),
        ] {
            assert_eq!(observe(None, events), expected, "{events} {why}");
        }
    }

    #[test]
    fn answers_that_blame_the_node_eject_it_only_where_the_file_says_so() {
        for (allowed, events, expected) in [
            (None, "rrrrrrrr", "........"),
            (Some(3), "rr+rr", "....."),
            (Some(3), "rrr", "..2"),
            (Some(3), "rrrrr", "..2.4"),
            (Some(3), "rr-r", "...2"),
        ] {
            assert_eq!(observe(allowed, events), expected, "{allowed:?} {events}");
        }
    }

    #[test]
    fn an_ejection_has_an_end() {
        let live = Live::new(NodeId(0), "g".into(), "n".into());
        let mut now = 1;
        for _ in 0..100 {
            let time = live.failed(now, 1, Duration::from_secs(10)).expect("it is ejected");
            assert!(time <= EJECT_MAX);
            now += time.as_millis() as u64;
        }
        assert_eq!(live.failed(now, 1, Duration::from_secs(10)), Some(EJECT_MAX));
        let far = live.failed(now + 400_000, 1, Duration::from_secs(900));
        assert_eq!(far, Some(Duration::from_secs(900)), "where the file says more, it holds");
    }
}
