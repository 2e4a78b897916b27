//! The least pace of a client while it is waited for.
//!
//! A limit between two pieces is met by who sends, or takes, a byte now and then, and holds a connection, a buffer and a
//! node's thread for as long as it likes.

use std::time::Duration;

/// So long a client may be waited for in all before its pace counts: a moment without network is nobody's fault.
pub const GRACE: Duration = Duration::from_secs(30);

/// How long a client has been waited for in one direction, against what came of it.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Bytes a second; 0 = any pace.
    pub least: u32,
    waited: Duration,
}

impl Pace {
    /// A client of which so much is asked.
    pub fn new(least: u32) -> Self {
        Self { least, waited: Duration::ZERO }
    }

    /// It was waited for so long.
    pub fn waited(&mut self, time: Duration) {
        self.waited += time;
    }

    /// How long it may be waited for now, given that so many bytes have passed; never more than `stall`.
    pub fn patience(&self, bytes: u64, stall: Duration) -> Duration {
        if self.least == 0 {
            return stall;
        }
        let earned = Duration::from_millis(bytes.saturating_mul(1000) / u64::from(self.least));
        stall.min(GRACE.saturating_add(earned).saturating_sub(self.waited))
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
            pace.patience(*tick, seconds(60)).is_zero()
        });
        assert_eq!(given_up, Some(4));
        // 300 bytes a second, for an hour.
        let mut pace = Pace::new(256);
        for second in 1..3600 {
            pace.waited(seconds(1));
            assert!(pace.patience(second * 300, seconds(60)) >= seconds(30), "{second}");
        }
        assert_eq!(pace.patience(u64::MAX, seconds(60)), seconds(60));
        let mut any = Pace::new(0);
        any.waited(seconds(100_000));
        assert_eq!(any.patience(0, seconds(60)), seconds(60));
    }
}
