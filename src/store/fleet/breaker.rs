//! The circuit breaker: whether the store is asked at all.
//!
//! One call that runs out of time or finds nobody opens it, so that at most a handful of requests ever wait for a store that
//! is away. While it is open no request asks; somebody else looks now and then whether the store is back, and closes it once
//! everything that happened meanwhile is written.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether calls are made.
#[derive(Debug, Default)]
pub struct Breaker {
    open: AtomicBool,
}

impl Breaker {
    /// Whether calls are not made.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// A call failed. True for the one that opened it.
    pub fn open(&self) -> bool {
        !self.open.swap(true, Ordering::AcqRel)
    }

    /// The store is back, and knows everything.
    pub fn close(&self) {
        self.open.store(false, Ordering::Release);
    }
}
