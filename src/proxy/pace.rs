//! The least pace of a client while it is waited for.
//!
//! A limit between two pieces is met by who sends, or takes, a byte now and then, and holds a connection, a buffer and a
//! node's thread for as long as it likes.

use std::time::Duration;

/// So long a client may be waited for before its pace counts, and so much patience it can earn at most: a moment without
/// network is nobody's fault, but what the system takes for it at first must not excuse it for hours.
pub const GRACE: Duration = Duration::from_secs(30);

/// How long a client may still be waited for in one direction: what passes earns time, waiting spends it.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Bytes a second; 0 = any pace.
    least: u32,
    left: Duration,
    /// Bytes that have earned.
    counted: u64,
}

impl Pace {
    /// A client of which so much is asked.
    pub fn new(least: u32) -> Self {
        Self { least, left: GRACE, counted: 0 }
    }

    /// It was waited for so long.
    pub fn waited(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }

    /// How long it may be waited for now, given that so many bytes have passed in all; never more than `stall`.
    pub fn patience(&mut self, bytes: u64, stall: Duration) -> Duration {
        if self.least == 0 {
            return stall;
        }
        let more = bytes.saturating_sub(self.counted);
        self.counted = bytes;
        let earned = Duration::from_micros(more.saturating_mul(1_000_000) / u64::from(self.least));
        self.left = self.left.saturating_add(earned).min(GRACE);
        stall.min(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_drips_is_given_up_and_a_slow_one_is_not() {
        let seconds = Duration::from_secs;
        // A byte every ten seconds.
        let mut pace = Pace::new(256);
        let given_up = (1..).find(|tick| {
            pace.waited(seconds(10));
            pace.patience(*tick, seconds(60)) < seconds(1)
        });
        assert_eq!(given_up, Some(3));
        // 300 bytes a second, for an hour.
        let mut pace = Pace::new(256);
        for second in 1..3600 {
            pace.waited(seconds(1));
            assert!(pace.patience(second * 300, seconds(60)) >= seconds(29), "{second}");
        }
        // What was taken at once excuses nobody for long.
        assert_eq!(pace.patience(u64::MAX, seconds(60)), GRACE);
        pace.waited(GRACE);
        assert_eq!(pace.patience(u64::MAX, seconds(60)), Duration::ZERO);
        let mut any = Pace::new(0);
        any.waited(seconds(100_000));
        assert_eq!(any.patience(0, seconds(60)), seconds(60));
    }
}
