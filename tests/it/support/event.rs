//! Something that happens once, for which threads may wait.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// Something that happens once. Clones are the same event.
#[derive(Debug, Clone, Default)]
pub struct Event(Arc<(Mutex<bool>, Condvar)>);

impl Event {
    /// It has not happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// It happens.
    pub fn happen(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits until it has happened.
    pub fn wait(&self) {
        let happened = self.0.0.lock().unwrap();
        let (happened, _) = self.0.1.wait_timeout_while(happened, PATIENCE, |happened| !*happened).unwrap();
        assert!(*happened, "the event did not happen in time");
    }
}

/// Waits until this holds. For what tells nobody when it happens; what does is an [`Event`].
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
