//! Who decides: one server, the master that sentinels name, or that of our slot in a cluster.
//!
//! All our keys are in one slot, so in a cluster as well one server at a time is asked, and another one when it says so. A
//! server is the one if it takes a write that changes nothing: a replica says `READONLY`, another master of a cluster
//! `MOVED` and to whom.

use parking_lot::Mutex;

use super::line::{Dial, Line};
use super::settings::{Place, Settings};
use super::trouble::{self, Verdict};
use crate::store::shared::StoreError;

/// The version of what is stored: see [`super`].
pub(super) const VERSION: &str = "1";

/// Servers of a cluster that send us on, one to the next, at most.
const HOPS: usize = 5;

/// Finds who decides.
#[derive(Debug)]
pub(super) struct Master {
    server: Dial,
    sentinel: Option<(Dial, String)>,
    places: Vec<Place>,
    prefix: String,
    /// Who decided last, or who is said to.
    likely: Mutex<Option<Place>>,
    /// The sentinel that answered last.
    first: Mutex<usize>,
}

impl Master {
    pub fn new(settings: &Settings) -> Self {
        let server = Dial {
            tls: settings.tls.clone(),
            credentials: settings.credentials.clone(),
            database: settings.database,
            timeout: settings.timeout,
        };
        let sentinel = settings.sentinel.as_ref().map(|sentinel| {
            let dial = Dial { credentials: sentinel.credentials.clone(), database: 0, ..server.clone() };
            (dial, sentinel.name.clone())
        });
        Self {
            server,
            sentinel,
            places: settings.places.clone(),
            prefix: settings.prefix.clone(),
            likely: Mutex::default(),
            first: Mutex::default(),
        }
    }

    /// For people.
    pub fn describe(&self) -> String {
        let places: Vec<_> = self.places.iter().map(Place::to_string).collect();
        let likely = self.likely.lock().clone();
        match (&self.sentinel, likely) {
            (Some((_, name)), Some(at)) => format!("Redis {name} at {at}, of sentinels {}", places.join(", ")),
            (Some((_, name)), None) => format!("Redis {name} of sentinels {}", places.join(", ")),
            (None, Some(at)) if places.len() > 1 => format!("Redis at {at}, of {}", places.join(", ")),
            (None, _) => format!("Redis at {}", places.join(", ")),
        }
    }

    /// A server said who decides, or (`None`) that it does not.
    pub fn hint(&self, place: Option<Place>) {
        *self.likely.lock() = place;
    }

    /// A connection to who decides.
    pub async fn connect(&self) -> Result<Line, StoreError> {
        let found = match &self.sentinel {
            Some((dial, name)) => self.ask_sentinels(dial, name).await,
            None => self.ask_servers().await,
        };
        if let Ok(line) = &found {
            *self.likely.lock() = Some(line.place.clone());
        }
        found
    }

    async fn ask_servers(&self) -> Result<Line, StoreError> {
        let likely = self.likely.lock().clone();
        let others = self.places.iter().filter(|place| Some(*place) != likely.as_ref()).cloned();
        let mut failed = None;
        for place in likely.iter().cloned().chain(others) {
            match self.follow(place).await {
                Ok(line) => return Ok(line),
                // What one refuses is worth more than that another cannot be reached.
                Err(error) => {
                    if !matches!(failed, Some(StoreError::Refused(_))) {
                        failed = Some(error);
                    }
                }
            }
        }
        Err(failed.unwrap_or_else(|| StoreError::Refused("Redis: no server is named; write its url".to_owned())))
    }

    /// From a server to whom it sends us.
    async fn follow(&self, mut place: Place) -> Result<Line, StoreError> {
        for _ in 0..HOPS {
            match self.greet(&place).await? {
                Ok(line) => return Ok(line),
                Err(next) => place = next,
            }
        }
        Err(StoreError::Away(format!("Redis at {place}: the servers of the cluster do not agree on who has our keys")))
    }

    /// A server that decides, or whom it sends us to.
    async fn greet(&self, place: &Place) -> Result<Result<Line, Place>, StoreError> {
        let line = self.server.connect(place).await?;
        let meta = format!("{{{}}}:meta", self.prefix);
        let met = async {
            // Needs no memory, so that a full server still can be read.
            line.ask::<u64>(redis::cmd("DEL").arg(format!("{{{}}}:none", self.prefix))).await?;
            let version: Option<String> = line.ask(redis::cmd("HGET").arg(&meta).arg("version")).await?;
            if let Some(version) = version {
                return Ok(version);
            }
            line.ask::<u64>(redis::cmd("HSETNX").arg(&meta).arg("version").arg(VERSION)).await?;
            line.ask(redis::cmd("HGET").arg(&meta).arg("version")).await
        };
        match met.await {
            Ok(version) if version == VERSION => Ok(Ok(line)),
            Ok(version) => Err(StoreError::Refused(format!(
                "Redis at {place}: what another version of Castile keeps there has form {version}, this one writes {VERSION}; \
                 choose another prefix, or end all gateways and delete the keys of this one"
            ))),
            Err(error) => match trouble::judge(&error, place) {
                Verdict::Elsewhere(Some(next)) => Ok(Err(next)),
                _ => Err(trouble::told(&error, place)),
            },
        }
    }

    async fn ask_sentinels(&self, dial: &Dial, name: &str) -> Result<Line, StoreError> {
        let first = *self.first.lock();
        let mut failed = None;
        for at in 0..self.places.len() {
            let at = (first + at) % self.places.len();
            let sentinel = &self.places[at];
            let master = match named(dial, sentinel, name).await {
                Ok(master) => master,
                Err(error) => {
                    failed = Some(error);
                    continue;
                }
            };
            // A sentinel may not have heard yet that another one is the master now; the next one may have.
            match self.greet(&master).await {
                Ok(Ok(line)) => {
                    *self.first.lock() = at;
                    return Ok(line);
                }
                Ok(Err(_)) => {
                    failed = Some(StoreError::Refused(format!(
                        "Redis at {master}: is part of a cluster; clusters have no sentinels: name its servers instead"
                    )));
                }
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| StoreError::Refused("Redis: no sentinel is named; write its url".to_owned())))
    }
}

/// The master of this name as a sentinel knows it.
async fn named(dial: &Dial, sentinel: &Place, name: &str) -> Result<Place, StoreError> {
    let line = dial.connect(sentinel).await?;
    let mut question = redis::cmd("SENTINEL");
    question.arg("get-master-addr-by-name").arg(name);
    match line.ask::<Option<(String, u16)>>(&question).await {
        Ok(Some((host, port))) => Ok(Place { host, port }),
        Ok(None) => Err(StoreError::Refused(format!(
            "Redis: the sentinel at {sentinel} knows no master {name}; correct sentinel.name"
        ))),
        Err(error) => Err(trouble::told(&error, sentinel)),
    }
}
