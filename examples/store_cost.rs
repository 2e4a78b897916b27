//! What the disk store costs: bytes of file and microseconds of processor for each conversation, and how long a start takes.
//!
//! ```text
//! cargo run --profile fast --example store_cost -- [CONVERSATIONS] [FOLDER]
//! ```
//!
//! Conversations of two keys are bound as fast as one thread can, with `relaxed` durability, and confirmed by a second request;
//! then the store is opened again: once as a clean stop leaves it, once as a kill does (a copy made while it was open). Linux
//! only: the processor time is that of `/proc`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use castile::affinity::{Affinity, Ask, End, Limits, Now, Outcome, Policy};
use castile::session::{Fingerprint, Learnt, LearntKey, NameTag, PinKey, RequestKeys};
use castile::store::Opened;
use castile::upstream::{Balance, NodeSet, NodeSpec, Registry};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let temporary = tempfile::tempdir().expect("a folder can be made");
    let folder = arguments.next().map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let (file, copy) = (folder.join("cost.redb"), folder.join("cost-killed.redb"));
    if file.exists() {
        eprintln!("{} is there already", file.display());
        return ExitCode::FAILURE;
    }

    let began = processor();
    let gate = Gate::new();
    (0..count).for_each(|key| gate.converse(key));
    let without = processor() - began;

    let gate = Gate::new();
    let opened = Opened::open(&file, None).expect("a new store");
    let (disk, _) = opened.serve(&gate.affinity, false, gate.now).expect("it is empty");
    let (began, clock) = (processor(), Instant::now());
    (0..count).for_each(|key| gate.converse(key));
    while disk.pending() > 0 || disk.counts().written.load(Relaxed) == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let (with, elapsed) = (processor() - began, clock.elapsed());
    let counts = disk.counts();
    let commits = counts.commits.load(Relaxed);
    let each = |total: f64| total / count as f64;
    println!("{count} conversations of two keys, two requests each, in {elapsed:.2?}");
    println!("  commits: {commits}, {:.1} ms each", counts.commit_micros.load(Relaxed) as f64 / 1e3 / commits as f64);
    println!("  processor: {:.2} µs a conversation, {:.2} without a store", each(with * 1e6), each(without * 1e6));
    std::fs::copy(&file, &copy).expect("it can be copied");
    let key = |path: &Path| path.with_extension("redb.key");
    std::fs::copy(key(&file), key(&copy)).expect("it can be copied");
    disk.close();
    let size = std::fs::metadata(&file).expect("it is there").len();
    println!("  file: {:.1} MiB, {:.0} bytes a conversation", size as f64 / 1048576.0, each(size as f64));
    for (how, path) in [("stopped", &file), ("killed", &copy)] {
        let gate = Gate::new();
        let began = Instant::now();
        let opened = Opened::open(path, None).expect("it is a store");
        let open = began.elapsed();
        let (disk, restored) = opened.serve(&gate.affinity, false, gate.now).expect("it can be read");
        println!(
            "  {how}: open and checked in {open:.2?}, {} served again in {:.2?}",
            restored.conversations,
            began.elapsed()
        );
        disk.close();
    }
    for path in [&file, &copy] {
        let _ = std::fs::remove_file(path);
        let _ = std::fs::remove_file(key(path));
    }
    ExitCode::SUCCESS
}

/// A table before three nodes.
struct Gate {
    affinity: Arc<Affinity>,
    nodes: NodeSet,
    policy: Policy,
    now: Now,
}

impl Gate {
    fn new() -> Self {
        let registry = Registry::new();
        let specs = ["a", "b", "c"].map(|name| NodeSpec::new(registry.machine("g", name)));
        let nodes = NodeSet::new(Balance::RoundRobin, specs.to_vec());
        let limits = Limits { max_conversations: 10_000_000, max_keys: 40_000_000, ..Limits::default() };
        Self {
            affinity: Affinity::new(limits, registry),
            nodes,
            policy: Policy::default(),
            now: Now(1_795_460_000_000),
        }
    }

    /// Two requests of one conversation; the first answer teaches a second key.
    fn converse(&self, number: u64) {
        let print = |which: u64| {
            let mixed = (number * 2 + which).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            Fingerprint(u128::from(mixed ^ mixed >> 29) << 64 | u128::from(mixed.rotate_left(32)))
        };
        let mut keys = RequestKeys::default();
        keys.pins.push(PinKey { rule: 0, fingerprint: print(0), client_issued: true, name: NameTag::default() });
        for round in 0..2 {
            let ask = Ask {
                keys: &keys,
                nodes: &self.nodes,
                policy: &self.policy,
                tried: &[],
                proposal: None,
                held: None,
                now: self.now,
                random: number,
            };
            let Ok(mut visit) = self.affinity.place(&ask) else { continue };
            if visit.commit(self.now).is_ok() && round == 0 {
                let learnt = LearntKey { rule: 1, fingerprint: print(1), kind: Learnt::Pin, name: NameTag::default() };
                visit.learn(&[learnt], &self.policy, self.now);
            }
            visit.finish(End::of(Outcome::Success), &self.policy, self.now);
        }
    }
}

/// Seconds of processor that this process has used.
fn processor() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks: u64 =
        text.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2).flat_map(str::parse::<u64>).sum();
    // Linux tells them in hundredths.
    ticks as f64 / 100.0
}
