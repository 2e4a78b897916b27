//! load --target HOST:PORT ...: SOAP requests over many connections, every answer checked; prints one line of JSON.
//!
//! | option | |
//! |---|---|
//! | `--workload` | A plain, B cookie, CH id made here, CL id issued by the node |
//! | `--bytes`, `--answer-bytes` | of the bodies (1024) |
//! | `--connections` | 64 |
//! | `--streams` | HTTP/2, so many requests at once on a connection; 0: HTTP/1.1 |
//! | `--certificate` | TLS, to whoever shows this one |
//! | `--seconds`, `--warm` | measured, and before that |
//! | `--count` | instead: so many requests, measured from the first |
//! | `--rate` | requests a second, latency counted from when one was due; 0: as fast as answers come |
//! | `--make N --sessions FILE` | begins N sessions and writes them, no more; CPU and memory are told of that |
//! | `--sessions FILE` | goes on with those |
//! | `--processes 1,2` | whose CPU time and memory is read, over exactly the measured window |

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use castile_bench_tools::answer::{Answer, Request};
use castile_bench_tools::connection::{Connection, Target};
use castile_bench_tools::cost::{Cpu, machine_ticks, memory_kib, reset_peaks};
use castile_bench_tools::link::tls_config;
use castile_bench_tools::options::Options;
use castile_bench_tools::poll::Poll;
use castile_bench_tools::session::{Session, Workload};
use castile_bench_tools::soap::Filler;
use castile_bench_tools::tally::Tally;

/// A run that takes longer than planned by this has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// While nobody answers, a request of a connection that broke is not repeated at once.
const BROKEN_PAUSE: Duration = Duration::from_millis(5);

/// What is to be done.
struct Plan {
    workload: Workload,
    bytes: usize,
    answer_bytes: usize,
    streams: usize,
    rate: f64,
    warm: Duration,
    measured: Duration,
    /// None: for as long as `measured` says.
    count: Option<u64>,
    /// Sessions are begun, one a request.
    makes: bool,
    processes: Vec<u32>,
}

struct Generator {
    plan: Plan,
    target: Target,
    filler: Filler,
    poll: Poll,
    connections: Vec<Connection>,
    /// The session and the start of what is in flight, by slot.
    flights: Vec<Option<(usize, Instant)>>,
    /// Slots with nothing in flight, the one that rested longest first.
    idle: VecDeque<usize>,
    sessions: Vec<Session>,
    issued: u64,
    tally: Tally,
}

/// The books when the measured window began.
struct Opening {
    at: Instant,
    cpu: Cpu,
    ticks: (u64, u64),
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The kernel would round the waits of a fixed rate to 50 us.
    let _ = std::fs::write("/proc/self/timerslack_ns", "1");
    let options = Options::of_process();
    let workload = Workload::named(options.text("workload", "A"));
    let path = options.text("sessions", "");
    let made: usize = options.number("make", 0);
    let sessions = match path {
        _ if made > 0 => Session::fresh(workload, made),
        "" => vec![Session::default()],
        path => Session::load(path)?,
    };
    let streams: usize = options.number("streams", 0);
    let protocol: &[u8] = if streams > 0 { b"h2" } else { b"http/1.1" };
    let tls =
        if options.has("certificate") { Some(tls_config(options.text("certificate", ""), protocol)?) } else { None };
    let target = Target {
        address: options.text("target", "127.0.0.1:8000").to_string(),
        tls,
        streams: (streams > 0).then_some(streams),
    };
    let count: u64 = options.number("count", made as u64);
    let plan = Plan {
        workload,
        bytes: options.number("bytes", 1024),
        answer_bytes: options.number("answer-bytes", 1024),
        streams: streams.max(1),
        rate: options.number("rate", 0.0),
        warm: Duration::from_secs_f64(options.number("warm", 0.4)),
        measured: Duration::from_secs_f64(options.number("seconds", 2.0)),
        count: (count > 0).then_some(count),
        makes: made > 0,
        processes: options.text("processes", "").split(',').filter_map(|id| id.parse().ok()).collect(),
    };
    let mut generator = Generator::new(plan, target, options.number("connections", 64), sessions)?;
    println!("{}", generator.run()?);
    if made > 0 && !path.is_empty() {
        Session::save(&generator.sessions, path)?;
    }
    Ok(())
}

impl Generator {
    fn new(plan: Plan, target: Target, connections: usize, sessions: Vec<Session>) -> io::Result<Self> {
        let slots = connections * plan.streams;
        Ok(Self {
            filler: Filler::of_requests(plan.bytes),
            poll: Poll::new()?,
            connections: (0..connections).map(Connection::new).collect(),
            flights: vec![None; slots],
            idle: (0..slots).collect(),
            sessions,
            issued: 0,
            tally: Tally::default(),
            plan,
            target,
        })
    }

    fn run(&mut self) -> io::Result<String> {
        reset_peaks(&self.plan.processes);
        let before_kib = memory_kib(&self.plan.processes, "VmRSS:");
        let begun = Instant::now();
        let mut opening = self.plan.count.map(|_| self.open());
        let mut buffer = vec![0; 256 * 1024];
        let mut finished = Vec::new();
        let patience =
            self.plan.warm + self.plan.measured + PATIENCE + Duration::from_micros(self.plan.count.unwrap_or(0) * 200);
        loop {
            let now = Instant::now();
            if opening.is_none() && now - begun >= self.plan.warm {
                self.tally.restart();
                opening = Some(self.open());
            }
            let is_over = match (&opening, self.plan.count) {
                (_, Some(count)) => self.tally.total + self.tally.broken >= count,
                (Some(opening), None) => now - opening.at >= self.plan.measured,
                (None, None) => false,
            };
            if is_over {
                break;
            }
            if now - begun > patience {
                self.tally.note(|| "the run took too long".to_string());
                self.tally.broken += 1;
                break;
            }
            let limit = self.issue(begun);
            for ready in self.poll.wait(Some(limit)) {
                let connection = &mut self.connections[ready.token];
                let went = connection.ready(ready, &self.poll, &self.filler, &mut buffer, &mut finished);
                for (slot, answer) in finished.drain(..) {
                    self.finish(ready.token, slot, &answer, opening.is_some());
                }
                if let Err(error) = went {
                    self.lose(ready.token, &error);
                }
            }
        }
        let opening = opening.unwrap_or_else(|| self.open());
        Ok(self.report(&opening, before_kib))
    }

    fn open(&self) -> Opening {
        Opening { at: Instant::now(), cpu: Cpu::of(&self.plan.processes), ticks: machine_ticks() }
    }

    /// Sends what is due; how long nothing more is.
    fn issue(&mut self, begun: Instant) -> Duration {
        let mut limit = Duration::from_millis(20);
        while let Some(&slot) = self.idle.front() {
            if self.plan.count.is_some_and(|count| self.issued >= count) {
                break;
            }
            let now = Instant::now();
            let mut due = now;
            if self.plan.rate > 0.0 {
                due = begun + Duration::from_secs_f64(self.issued as f64 / self.plan.rate);
                if due > now {
                    limit = limit.min(due - now);
                    break;
                }
            }
            self.idle.pop_front();
            let session = (self.issued % self.sessions.len() as u64) as usize;
            self.issued += 1;
            let request = Request {
                serial: self.issued,
                session: &self.sessions[session],
                bytes: self.plan.bytes,
                answer_bytes: self.plan.answer_bytes,
                cookies_wanted: self.plan.makes && self.plan.workload == Workload::Cookie,
            };
            self.flights[slot] = Some((session, due));
            let (at, stream) = (slot / self.plan.streams, slot % self.plan.streams);
            if let Err(error) = self.connections[at].start(&self.target, &self.poll, &self.filler, stream, &request) {
                self.lose(at, &error);
                limit = BROKEN_PAUSE;
                break;
            }
        }
        limit
    }

    fn finish(&mut self, at: usize, stream: usize, answer: &Answer, is_measured: bool) {
        let slot = at * self.plan.streams + stream;
        let Some((index, begun)) = self.flights[slot].take() else { return };
        let session = &mut self.sessions[index];
        self.tally.answer(answer, answer.wrong(session), is_measured.then(|| begun.elapsed()));
        if self.plan.makes {
            session.node = answer.node;
            match self.plan.workload {
                Workload::Cookie => session.cookies = answer.cookies.clone(),
                Workload::Learnt => session.id = answer.id().unwrap_or_default().to_vec(),
                Workload::Plain | Workload::ClientMade => {}
            }
        }
        self.idle.push_back(slot);
        if answer.closes {
            self.tally.reconnects += 1;
            self.connections[at].close();
        }
    }

    /// A connection has ended: what was in flight on it is lost.
    fn lose(&mut self, at: usize, error: &io::Error) {
        self.connections[at].close();
        let slots = at * self.plan.streams..(at + 1) * self.plan.streams;
        let mut was_busy = false;
        for slot in slots {
            if self.flights[slot].take().is_some() {
                was_busy = true;
                self.tally.broke(error);
                self.idle.push_back(slot);
            }
        }
        if !was_busy {
            self.tally.reconnects += 1;
        }
    }

    fn report(&mut self, opening: &Opening, before_kib: u64) -> String {
        let seconds = opening.at.elapsed().as_secs_f64();
        let cpu = Cpu::of(&self.plan.processes);
        let ticks = machine_ticks();
        let peak_kib = memory_kib(&self.plan.processes, "VmHWM:");
        let after_kib = memory_kib(&self.plan.processes, "VmRSS:");
        let tally = &mut self.tally;
        let done = tally.done.max(1) as f64;
        let micros = |nanos: u64| nanos as f64 / 1e3 / done;
        let ticked = |ticks: u64| ticks as f64 * 1e4 / done;
        let nanos = cpu.nanos - opening.cpu.nanos;
        let fields = [
            ("done", tally.done.to_string()),
            ("total", tally.total.to_string()),
            ("seconds", format!("{seconds:.3}")),
            ("rps", format!("{:.1}", tally.done as f64 / seconds)),
            ("cpu_us", format!("{:.3}", micros(nanos))),
            ("cpu_share", format!("{:.3}", nanos as f64 / 1e9 / seconds)),
            ("user_us", format!("{:.2}", ticked(cpu.user_ticks - opening.cpu.user_ticks))),
            ("system_us", format!("{:.2}", ticked(cpu.system_ticks - opening.cpu.system_ticks))),
            (
                "machine_busy",
                format!("{:.3}", (ticks.0 - opening.ticks.0) as f64 / (ticks.1 - opening.ticks.1).max(1) as f64),
            ),
            ("p50_us", format!("{:.1}", tally.micros(0.5))),
            ("p99_us", format!("{:.1}", tally.micros(0.99))),
            ("max_us", format!("{:.1}", tally.micros(1.0))),
            ("wrong_session", tally.wrong_session.to_string()),
            ("wrong_node", tally.wrong_node.to_string()),
            ("wrong_content", tally.wrong_content.to_string()),
            ("status_other", tally.status_other.to_string()),
            ("broken", tally.broken.to_string()),
            ("reconnects", tally.reconnects.to_string()),
            ("before_kib", before_kib.to_string()),
            ("after_kib", after_kib.to_string()),
            ("peak_kib", peak_kib.to_string()),
            ("first_error", format!("\"{}\"", tally.first_error)),
        ];
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    }
}
