//! Redis, Valkey and what speaks like them as a store that gateways share.
//!
//! What is kept, below `{PREFIX}` (the braces put all of it into one slot of a cluster, so that one script may change it in
//! one step); form 1:
//!
//! | key | type | holds |
//! |---|---|---|
//! | `{PREFIX}:meta` | hash | `version` of this form, `epoch`, `last` = number of the last entry of the log |
//! | `{PREFIX}:k:<32 hex digits>` | string, with its time | a value: 8 bytes of its owner (big endian), then its bytes |
//! | `{PREFIX}:log` | stream, trimmed | entry *n* has the id `n-0` and one field, `e` |
//! | `{PREFIX}:state` | hash | the state of the fleet |
//! | `{PREFIX}:members` | hash | of each member: said at (ms, the server's clock), counts so long (ms), what it said |
//!
//! Changes are scripts (`scripts/`), each one atomic step. Questions share one connection; the reader of the log has one of its own. Both are
//! made anew when they break, with the master of the moment: see `master`.
//!
//! Replication is asynchronous, so a replica that becomes the master may lack the last moments; whoever reads the log from
//! another server than before is told of a gap, and so reads everything anew.

mod line;
mod lines;
mod master;
mod script;
mod settings;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, FromRedisValue, RedisError};
use tokio::time::Instant;

pub use settings::{Credentials, LOG_MAX, Place, Sentinel, Settings, Url};

use self::line::Line;
use self::lines::{Lines, Reading};
use self::script::Step;
use self::trouble::Verdict;
use super::shared::{Beat, Claim, Job, Position, Read, Scan, Shared, StoreError, Value, Write};
use crate::session::Fingerprint;

/// Entries of the log that are read at once.
const PIECE: usize = 500;
/// Keys that one step of a scan looks at; the server serves nobody else meanwhile, some 0.1 ms.
const SCANNED: usize = 500;
/// The server is asked to wait for an entry so long at most, so that a log that was lost is noticed.
const SLICE: Duration = Duration::from_secs(1);

/// A store in Redis. Its connections are made when first needed, on the tokio runtime of who calls.
#[derive(Debug)]
pub struct Redis {
    lines: Lines,
    names: Names,
    timeout: Duration,
    log_max: String,
}

/// The names of our keys.
#[derive(Debug)]
struct Names {
    meta: String,
    log: String,
    state: String,
    members: String,
    values: String,
}

impl Names {
    fn value(&self, key: Fingerprint) -> String {
        format!("{}{key}", self.values)
    }

    fn fingerprint(&self, name: &[u8]) -> Option<Fingerprint> {
        let hex = std::str::from_utf8(name).ok()?.strip_prefix(&self.values)?;
        u128::from_str_radix(hex, 16).ok().map(Fingerprint)
    }
}

impl Redis {
    /// A store there. Nothing is connected yet.
    pub fn new(settings: &Settings) -> Self {
        let name = |what: &str| format!("{{{}}}:{what}", settings.prefix);
        let names = Names {
            meta: name("meta"),
            log: name("log"),
            state: name("state"),
            members: name("members"),
            values: name("k:"),
        };
        let lines = Lines::new(settings);
        Self { lines, names, timeout: settings.timeout, log_max: settings.log_max.to_string() }
    }

    /// Does a step, with whoever decides.
    async fn step<T: FromRedisValue>(&self, step: &Step) -> Result<T, StoreError> {
        self.asked(&step.command(false), Some(step)).await
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.asked(command, None).await
    }

    /// Asks, and once more where the server says that it has done nothing and another one will.
    async fn asked<T: FromRedisValue>(&self, command: &Cmd, step: Option<&Step>) -> Result<T, StoreError> {
        let mut line = self.lines.main().await?;
        for _ in 0..2 {
            let mut answer = line.ask(command).await;
            if let (Err(error), Some(step)) = (&answer, step)
                && trouble::judge(error, &line.place) == Verdict::Unknown
            {
                answer = line.ask(&step.command(true)).await;
            }
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => match trouble::judge(&error, &line.place) {
                    Verdict::Elsewhere(to) => {
                        self.lines.moved(to);
                        self.lines.leave(&line);
                        line = self.lines.main().await?;
                    }
                    _ => return Err(self.failed(&error, &line)),
                },
            }
        }
        Err(StoreError::Away(format!("{}: the servers do not agree on who is the master", self.describe())))
    }

    fn failed(&self, error: &RedisError, line: &Arc<Line>) -> StoreError {
        if trouble::judge(error, &line.place) == Verdict::Broken {
            self.lines.leave(line);
        }
        trouble::told(error, &line.place)
    }

    async fn read_on(&self, reading: &Reading, after: Position, until: Instant) -> Result<Read, RedisError> {
        loop {
            let wait = until.saturating_duration_since(Instant::now()).min(SLICE);
            let mut command = redis::cmd("XREAD");
            command.arg("COUNT").arg(PIECE);
            // 0 would be for ever.
            if wait >= Duration::from_millis(1) {
                command.arg("BLOCK").arg(wait.as_millis() as u64);
            }
            command.arg("STREAMS").arg(&self.names.log).arg(format!("{}-0", after.0));
            let read: Option<Vec<(Vec<u8>, Vec<Entry>)>> = reading.line.ask_for(&command, wait + self.timeout).await?;
            let entries = read.into_iter().flatten().next().map(|(_, entries)| entries).unwrap_or_default();
            match entries.first() {
                Some((id, _)) if number(id) == Some(after.0 + 1) => {
                    return Ok(Read::Entries(entries.into_iter().filter_map(|(_, mut fields)| fields.pop()).collect()));
                }
                Some(_) => return self.last_on(&reading.line).await.map(Read::Gap),
                None => {}
            }
            // An entry may have come just now; it is read by the next turn.
            let last = self.last_on(&reading.line).await?;
            if last < after {
                return Ok(Read::Gap(last));
            }
            if last == after && Instant::now() >= until || !self.lines.is_current(reading) {
                return Ok(Read::Entries(Vec::new()));
            }
            if last > after && Instant::now() >= until + self.timeout {
                // Its stream is gone, its number is not.
                return Ok(Read::Gap(last));
            }
        }
    }

    async fn last_on(&self, line: &Line) -> Result<Position, RedisError> {
        let last: Option<u64> = line.ask(redis::cmd("HGET").arg(&self.names.meta).arg("last")).await?;
        Ok(Position(last.unwrap_or(0)))
    }
}

/// Of a stream: its id, its fields and their values.
type Entry = (String, Vec<Vec<u8>>);

fn number(id: &str) -> Option<u64> {
    id.split_once('-')?.0.parse().ok()
}

fn packed(value: &Value) -> Vec<u8> {
    [&value.owner.to_be_bytes()[..], &value.bytes].concat()
}

fn unpacked(bytes: &[u8]) -> Option<Value> {
    let (owner, bytes) = bytes.split_first_chunk()?;
    Some(Value { owner: u64::from_be_bytes(*owner), bytes: bytes.to_vec() })
}

/// In milliseconds, not less than it is; empty = for ever.
fn time(time: Option<Duration>) -> String {
    time.map_or_else(String::new, |time| time.as_micros().div_ceil(1000).clamp(1, 1 << 50).to_string())
}

fn not_ours(what: &str) -> StoreError {
    StoreError::Refused(format!("Redis: {what} is not of Castile's making; choose another prefix"))
}

/// What claim.lua answers.
enum Claimed {
    Won(u64),
    Taken(usize, Vec<u8>),
}

impl FromRedisValue for Claimed {
    fn from_redis_value(value: redis::Value) -> Result<Self, redis::ParsingError> {
        match value {
            redis::Value::Array(_) => {
                let (at, value) = FromRedisValue::from_redis_value(value)?;
                Ok(Self::Taken(at, value))
            }
            other => FromRedisValue::from_redis_value(other).map(Self::Won),
        }
    }
}

impl Shared for Redis {
    fn describe(&self) -> String {
        self.lines.master.describe()
    }

    fn epoch(&self) -> Job<'_, u64> {
        Box::pin(async move {
            let mut number = [0; 8];
            getrandom::fill(&mut number).map_err(|error| StoreError::Away(format!("no random number: {error}")))?;
            let number = u64::from_be_bytes(number);
            let known: Option<u64> = self.ask(redis::cmd("HGET").arg(&self.names.meta).arg("epoch")).await?;
            if let Some(known) = known {
                return Ok(known);
            }
            let set = |field: &str, value: &str| {
                let mut command = redis::cmd("HSETNX");
                command.arg(&self.names.meta).arg(field).arg(value);
                command
            };
            self.ask::<u64>(&set("version", master::VERSION)).await?;
            self.ask::<u64>(&set("epoch", &number.to_string())).await?;
            self.ask(redis::cmd("HGET").arg(&self.names.meta).arg("epoch")).await
        })
    }

    fn claim(&self, keys: &[Fingerprint], value: &Value, alive: Option<Duration>, log: &[u8]) -> Job<'_, Claim> {
        let mut step = Step::new(&script::CLAIM);
        step.key(&*self.names.meta).key(&*self.names.log);
        for key in keys {
            step.key(self.names.value(*key));
        }
        step.argument(packed(value)).argument(time(alive)).argument(log).argument(&*self.log_max);
        Box::pin(async move {
            match self.step(&step).await? {
                Claimed::Won(last) => Ok(Claim::Won(Position(last))),
                Claimed::Taken(at, value) => {
                    unpacked(&value).map(|value| Claim::Taken(at, value)).ok_or_else(|| not_ours("a value"))
                }
            }
        })
    }

    fn get(&self, keys: &[Fingerprint]) -> Job<'_, Vec<Option<Value>>> {
        let mut command = redis::cmd("MGET");
        for key in keys {
            command.arg(self.names.value(*key));
        }
        let none = keys.is_empty();
        Box::pin(async move {
            if none {
                return Ok(Vec::new());
            }
            let values: Vec<Option<Vec<u8>>> = self.ask(&command).await?;
            Ok(values.into_iter().map(|value| unpacked(&value?)).collect())
        })
    }

    fn write(&self, changes: &[Write]) -> Job<'_, Position> {
        let mut step = Step::new(&script::WRITE);
        step.key(&*self.names.meta).key(&*self.names.log).key(&*self.names.state);
        step.argument(&*self.log_max);
        for change in changes {
            match change {
                Write::Put(keys, ..) | Write::Renew(keys, ..) | Write::Remove(keys, _) => {
                    for key in keys {
                        step.key(self.names.value(*key));
                    }
                }
                Write::Log(_) | Write::State(..) => {}
            }
            match change {
                Write::Put(keys, value, alive) => {
                    step.argument("P").argument(keys.len().to_string()).argument(packed(value)).argument(time(*alive));
                }
                Write::Renew(keys, value, alive) => {
                    step.argument("N").argument(keys.len().to_string()).argument(packed(value)).argument(time(*alive));
                }
                Write::Remove(keys, owner) => {
                    step.argument("R").argument(keys.len().to_string()).argument(owner.to_be_bytes());
                }
                Write::Log(entry) => {
                    step.argument("L").argument(&entry[..]);
                }
                Write::State(name, Some(bytes)) => {
                    step.argument("S").argument(&name[..]).argument(&bytes[..]);
                }
                Write::State(name, None) => {
                    step.argument("D").argument(&name[..]);
                }
            }
        }
        Box::pin(async move { self.step(&step).await.map(Position) })
    }

    fn read(&self, after: Position, wait: Duration) -> Job<'_, Read> {
        Box::pin(async move {
            let until = Instant::now() + wait;
            let (reading, differs) = self.lines.reading().await?;
            let read = if differs {
                self.last_on(&reading.line).await.map(Read::Gap)
            } else {
                self.read_on(&reading, after, until).await
            };
            // What fails, or is dropped before this, leaves an answer under way: that connection is used no more.
            match read {
                Ok(read) => {
                    self.lines.keep(reading);
                    Ok(read)
                }
                Err(error) => Err(trouble::told(&error, &reading.line.place)),
            }
        })
    }

    fn last(&self) -> Job<'_, Position> {
        Box::pin(async move {
            let last: Option<u64> = self.ask(redis::cmd("HGET").arg(&self.names.meta).arg("last")).await?;
            Ok(Position(last.unwrap_or(0)))
        })
    }

    fn scan(&self, from: Option<Vec<u8>>) -> Job<'_, Scan> {
        let mut step = Step::new(&script::SCAN);
        step.key(&*self.names.meta).argument(from.unwrap_or_else(|| b"0".to_vec()));
        step.argument(format!("{}*", self.names.values)).argument(SCANNED.to_string());
        Box::pin(async move {
            let mut found = self.step::<Vec<Vec<u8>>>(&step).await?.into_iter();
            let cursor = found.next().ok_or_else(|| not_ours("the answer to a scan"))?;
            let mut values = Vec::new();
            while let (Some(name), Some(value)) = (found.next(), found.next()) {
                values.extend(self.names.fingerprint(&name).zip(unpacked(&value)));
            }
            Ok(Scan { values, next: (cursor != b"0").then_some(cursor) })
        })
    }

    fn states(&self) -> Job<'_, Vec<(String, Vec<u8>)>> {
        Box::pin(async move { self.ask(redis::cmd("HGETALL").arg(&self.names.state)).await })
    }

    fn beat(&self, member: &str, bytes: &[u8], alive: Duration) -> Job<'_, ()> {
        let mut step = Step::new(&script::BEAT);
        let alive = if alive.is_zero() { "0".to_owned() } else { time(Some(alive)) };
        step.key(&*self.names.members).argument(member).argument(bytes).argument(alive);
        Box::pin(async move { self.step::<u64>(&step).await.map(|_| ()) })
    }

    fn members(&self) -> Job<'_, Vec<Beat>> {
        let mut step = Step::new(&script::MEMBERS);
        step.key(&*self.names.members);
        Box::pin(async move {
            let mut told = self.step::<Vec<redis::Value>>(&step).await?.into_iter();
            let parsed = || -> Result<Vec<Beat>, redis::ParsingError> {
                let now: u64 = FromRedisValue::from_redis_value(told.next().unwrap_or(redis::Value::Nil))?;
                let mut beats = Vec::new();
                while let (Some(name), Some(kept)) = (told.next(), told.next()) {
                    let (name, kept): (String, Vec<u8>) =
                        (FromRedisValue::from_redis_value(name)?, FromRedisValue::from_redis_value(kept)?);
                    beats.extend(beat(name, &kept, now));
                }
                Ok(beats)
            }();
            parsed.map_err(|_| not_ours("the list of members"))
        })
    }
}

/// A member, unless what it said counts no more.
fn beat(member: String, kept: &[u8], now: u64) -> Option<Beat> {
    let mut parts = kept.splitn(3, |byte| *byte == b' ');
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse::<u64>().ok();
    let (said, long) = (number()?, number()?);
    let bytes = parts.next()?.to_vec();
    // The clock may be another server's, after a failover.
    let age = now.saturating_sub(said);
    (age < long).then(|| Beat { member, bytes, age: Duration::from_millis(age) })
}
