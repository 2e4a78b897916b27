//! The store goes from one process to the other.
//!
//! One process owns the file at a time. The predecessor closes it when the successor accepts; the successor opens it and
//! writes its whole table, which has everything. In between nothing is written, and what must be durable before the reply
//! waits: here for the [`Gate`], there for acknowledgements, which wait for it as well.

use std::sync::Arc;
use std::time::Duration;

use crate::affinity::{Change, Sink};
use crate::gateway::Gateway;

/// Between two tries to open the store. A process that is gone has closed it; one that hangs may need a moment.
const RETRY: Duration = Duration::from_millis(200);
/// How often that is tried.
const TRIES: usize = 50;

/// Nothing that is bound after it was made is settled as long as it stands.
#[derive(Debug)]
struct Gate(u64);

impl Sink for Gate {
    fn tell(&self, _position: u64, _change: &Change) {}

    fn settled(&self) -> u64 {
        self.0
    }
}

/// The store that the predecessor still owns.
#[derive(Debug)]
pub struct Awaited {
    gateway: Arc<Gateway>,
    gate: Option<Arc<dyn Sink>>,
}

impl Awaited {
    /// From now on what must be durable waits for [`Awaited::take`].
    pub fn begin(gateway: &Arc<Gateway>) -> Self {
        let journal = gateway.affinity.journal();
        let gate = gateway.is_durable().then(|| Arc::new(Gate(journal.position())) as Arc<dyn Sink>);
        if let Some(gate) = &gate {
            journal.attach(Arc::clone(gate));
        }
        Self { gateway: Arc::clone(gateway), gate }
    }

    /// Opens the store, which the predecessor has closed or left, on a thread of its own.
    pub fn take(self) {
        let spawned = std::thread::Builder::new().name("handover-store".into()).spawn(move || {
            for attempt in 1..=TRIES {
                match self.gateway.take_store() {
                    Ok(()) => return,
                    Err(crate::store::OpenError::InUse { .. }) if attempt < TRIES => std::thread::sleep(RETRY),
                    Err(error) => {
                        tracing::error!("{error}; serving goes on, and pins are kept in memory only");
                        return;
                    }
                }
            }
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "the store cannot be opened; pins are kept in memory only");
        }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if let Some(gate) = &self.gate {
            self.gateway.affinity.journal().detach(gate);
        }
    }
}
