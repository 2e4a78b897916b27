//! Clients in parallel, for as long as a scenario needs them.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::verdict::Told;

/// How long a scenario waits for clients to get on.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a node is to do wrong with the request of this number, of this client; `ok` for nothing.
pub type How = fn(client: u64, number: u64) -> &'static str;

/// What clients do.
#[derive(Clone, Copy)]
pub struct Load {
    pub clients: u64,
    /// Requests of one conversation.
    pub length: u32,
    /// Between an answer and the next request.
    pub think: Duration,
    pub how: How,
    /// Number of the first client, so that several loads of one scenario stay apart.
    pub first: u64,
}

impl Default for Load {
    fn default() -> Self {
        Self { clients: 8, length: 12, think: Duration::ZERO, how: |_, _| "ok", first: 0 }
    }
}

/// Clients at work.
pub struct Running {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Vec<Told>>>,
}

#[derive(Default)]
struct Shared {
    progress: Mutex<Progress>,
    moved: Condvar,
}

#[derive(Default, Clone, Copy)]
struct Progress {
    /// Requests that ended, however.
    ended: usize,
    /// Those that went well.
    well: usize,
    stop: bool,
}

impl Load {
    pub fn start(self, gateway: SocketAddr) -> Running {
        let shared: Arc<Shared> = Arc::default();
        let threads = (self.first..self.first + self.clients)
            .map(|number| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || self.live(number, gateway, &shared))
            })
            .collect();
        Running { shared, threads }
    }

    fn live(self, number: u64, gateway: SocketAddr, shared: &Shared) -> Vec<Told> {
        let mut client = Client::new(number, gateway);
        for count in 0.. {
            if shared.progress.lock().expect("nobody panics holding it").stop {
                break;
            }
            let before = client.told.len();
            let well = client.step((self.how)(number, count));
            {
                let mut progress = shared.progress.lock().expect("nobody panics holding it");
                progress.ended += client.told.len() - before;
                progress.well += usize::from(well);
            }
            shared.moved.notify_all();
            if client.length() >= self.length {
                client.begin();
            }
            if !self.think.is_zero() {
                std::thread::sleep(self.think);
            }
        }
        client.told
    }
}

impl Running {
    /// Waits for so many more requests to end, however.
    pub fn pass(&self, requests: usize) -> Result<(), String> {
        self.wait(requests, |progress| progress.ended, "ended")
    }

    /// Waits for so many more requests to go well.
    pub fn well(&self, requests: usize) -> Result<(), String> {
        self.wait(requests, |progress| progress.well, "went well")
    }

    fn wait(&self, more: usize, of: fn(&Progress) -> usize, what: &str) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        let mut progress = self.shared.progress.lock().expect("nobody panics holding it");
        let (begin, goal) = (of(&progress), of(&progress) + more);
        while of(&progress) < goal {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let count = of(&progress) - begin;
                return Err(format!("in {PATIENCE:?} only {count} of {more} requests {what}"));
            }
            progress = self.shared.moved.wait_timeout(progress, left).expect("nobody panics holding it").0;
        }
        Ok(())
    }

    /// Ends all clients after the requests under way.
    pub fn stop(self) -> Vec<Told> {
        self.shared.progress.lock().expect("nobody panics holding it").stop = true;
        self.threads.into_iter().flat_map(|thread| thread.join().expect("clients do not panic")).collect()
    }
}
