//! What became of the conversations of one machine, counted since the process began.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What became of a conversation, besides what its requests tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It outlived its time.
    Expired,
    /// A full table pushed it out.
    Evicted,
    /// It moved to this machine from another one.
    MovedHere,
    /// It moved from this machine to another one.
    MovedAway,
}

impl Fate {
    /// All fates, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Expired, Self::Evicted, Self::MovedHere, Self::MovedAway];

    /// The label.
    pub fn text(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Evicted => "evicted",
            Self::MovedHere => "moved_here",
            Self::MovedAway => "moved_away",
        }
    }
}

/// A count for each fate.
#[derive(Debug, Default)]
pub struct Fates([AtomicU64; Fate::ALL.len()]);

impl Fates {
    /// Counts one more.
    pub fn count(&self, fate: Fate) {
        self.0[fate as usize].fetch_add(1, Relaxed);
    }

    /// How many there were.
    pub fn of(&self, fate: Fate) -> u64 {
        self.0[fate as usize].load(Relaxed)
    }
}
