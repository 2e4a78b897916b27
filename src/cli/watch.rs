//! `reload.watch`: tells when the files of the configuration have changed and come to rest.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc::Sender;

use crate::config::{Sources, Stamps};
use crate::gateway::Gateway;

/// Between two looks. A change is taken over when two looks in a row see the same: whoever writes several files is done by then.
const PERIOD: Duration = Duration::from_secs(1);

/// What is watched, and how it looked when it was last read.
#[derive(Debug)]
pub struct Watched(Mutex<(Sources, Stamps)>);

impl Watched {
    /// Watches these files, which were just read.
    pub fn new(sources: Sources) -> Self {
        let stamps = sources.stamps();
        Self(Mutex::new((sources, stamps)))
    }

    /// What is watched and how it looks now: to be asked before it is read anew.
    pub fn look(&self) -> (Sources, Stamps) {
        let sources = self.sources();
        let stamps = sources.stamps();
        (sources, stamps)
    }

    /// It was read, and these are the files from now on. What has changed since `before` will be read again.
    pub fn was_read(&self, before: &(Sources, Stamps), sources: Sources) {
        let is_unchanged = before.0.stamps() == before.1;
        let stamps = if is_unchanged { sources.stamps() } else { Stamps::default() };
        *self.0.lock() = (sources, stamps);
    }

    fn sources(&self) -> Sources {
        self.0.lock().0.clone()
    }

    fn read(&self) -> Stamps {
        self.0.lock().1.clone()
    }
}

/// Looks until nobody listens any more. The file system may be slow, so it is asked on a thread of its own.
pub async fn run(gateway: Arc<Gateway>, watched: Arc<Watched>, changed: Sender<()>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut seen = None;
    loop {
        ticks.tick().await;
        if !gateway.snapshot().config.reload.watch {
            continue;
        }
        let sources = watched.sources();
        let Ok(now) = tokio::task::spawn_blocking(move || sources.stamps()).await else { return };
        if now == watched.read() {
            seen = None;
        } else if seen.replace(now.clone()) == Some(now) {
            seen = None;
            if changed.send(()).await.is_err() {
                return;
            }
        }
    }
}
