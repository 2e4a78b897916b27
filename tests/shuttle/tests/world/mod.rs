//! Nodes, a table, a copy of the table that follows its journal, and a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use castile_shuttle::affinity::{
    Affinity, Ask, Change, Code, End, Follower, Gauges, Limits, Now, Outcome, Policy, Refusal, Sink, Visit,
};
use castile_shuttle::session::{Fingerprint, Fingerprinter, Learnt, LearntKey, NameTag, PinKey, RequestKeys};
use castile_shuttle::upstream::{Balance, NodeId, NodeSet, NodeSpec, Registry};
use shuttle::rand::{Rng, thread_rng};

/// How long conversations outlive their last use, milliseconds.
pub const IDLE: u64 = 1_000;

/// Shared by all threads of a test.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    affinity: Arc<Affinity>,
    registry: Arc<Registry>,
    nodes: NodeSet,
    policy: Policy,
    now: AtomicU64,
    tape: Arc<Tape>,
    /// What threads did, for who has to find out why.
    diary: std::sync::Mutex<Vec<String>>,
}

/// What a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Code(Code),
    Refused,
}

/// What the journal told.
#[derive(Debug, Default)]
struct Tape(std::sync::Mutex<Vec<Change>>);

impl Sink for Tape {
    fn tell(&self, _position: u64, change: &Change) {
        self.0.lock().expect("no poison").push(change.clone());
    }
}

const NODES: [&str; 3] = ["a", "b", "c"];
const IDS: [&str; 6] = ["c:1", "c:2", "s:1", "s:2", "s:3", "s:4"];

fn print(id: &str) -> Fingerprint {
    Fingerprinter::new(&[7; 16]).fingerprint("g", "key", b"", id.as_bytes())
}

fn nodes(registry: &Registry) -> NodeSet {
    NodeSet::new(Balance::RoundRobin, NODES.map(|name| NodeSpec::new(registry.machine("g", name))).into())
}

/// `c:ID` is a client's own id, `s:ID` one that a node issued, `-` none.
fn keys(request: &str) -> RequestKeys {
    let mut keys = RequestKeys::default();
    for (rule, word) in request.split(' ').filter(|word| *word != "-").enumerate() {
        let pin = PinKey {
            rule: rule as u16,
            fingerprint: print(word),
            client_issued: word.starts_with('c'),
            name: NameTag::default(),
        };
        keys.pins.push(pin);
    }
    keys
}

/// The answer has ended.
pub fn finish(world: &World, visit: Visit, outcome: Outcome, ended: bool) {
    visit.finish(End { ended, ..End::of(outcome) }, &world.0.policy, world.now());
}

impl World {
    pub fn new(limits: Limits) -> Self {
        let registry = Registry::new();
        let nodes = nodes(&registry);
        let affinity = Affinity::new(limits, Arc::clone(&registry));
        let tape: Arc<Tape> = Arc::default();
        affinity.journal().attach(Arc::clone(&tape) as Arc<dyn Sink>);
        let policy = Policy { idle: Duration::from_millis(IDLE), linger: Duration::ZERO, ..Policy::default() };
        Self(Arc::new(Inner {
            affinity,
            registry,
            nodes,
            policy,
            now: AtomicU64::new(1_000_000),
            tape,
            diary: std::sync::Mutex::default(),
        }))
    }

    pub fn now(&self) -> Now {
        Now(self.0.now.load(Ordering::SeqCst))
    }

    pub fn wait(&self, ms: u64) {
        self.0.now.fetch_add(ms, Ordering::SeqCst);
    }

    fn ask<'a>(&'a self, keys: &'a RequestKeys, tried: &'a [NodeId]) -> Ask<'a> {
        Ask { keys, nodes: &self.0.nodes, policy: &self.0.policy, tried, proposal: None, held: None, now: self.now(), random: 7 }
    }

    pub fn place(&self, request: &str) -> Result<Visit, Refusal> {
        self.0.affinity.place(&self.ask(&keys(request), &[]))
    }

    pub fn replace(&self, visit: &mut Visit, request: &str, tried: &[NodeId]) -> Result<NodeId, Refusal> {
        visit.replace(&self.ask(&keys(request), tried))
    }

    /// A request whose connection stands.
    pub fn sent(&self, request: &str) -> Visit {
        let mut visit = self.place(request).expect("nodes are there");
        while visit.commit(self.now()).is_err() {}
        visit
    }

    pub fn learn(&self, visit: &mut Visit, id: &str) {
        let key = LearntKey { rule: 0, fingerprint: print(id), kind: Learnt::Pin, name: NameTag::default() };
        self.note(format!("node {} answers {id}", visit.node()));
        let learning = visit.learn(&[key], &self.0.policy, self.now());
        self.note(format!("{id}: {learning:?}"));
    }

    fn diary(&self) -> String {
        self.0.diary.lock().expect("no poison").concat()
    }

    fn note(&self, what: String) {
        let thread = shuttle::thread::current().id();
        self.0.diary.lock().expect("no poison").push(format!("\n{thread:?} {what}"));
    }

    /// A whole exchange, whose answer may teach an id.
    pub fn exchange(&self, request: &str, learnt: &str, outcome: Outcome) -> Told {
        let Ok(mut visit) = self.place(request) else { return Told::Refused };
        while visit.commit(self.now()).is_err() {}
        let code = visit.code();
        if !learnt.is_empty() {
            self.learn(&mut visit, learnt);
        }
        finish(self, visit, outcome, false);
        Told::Code(code)
    }

    /// Anything that may happen to a table; with `passes` time goes on as well.
    pub fn something(&self, passes: bool) {
        let mut random = thread_rng();
        let mut one = |ids: &[&str]| ids[random.gen_range(0..ids.len())].to_owned();
        let (id, other, node_issued) = (one(&IDS), one(&IDS), one(&IDS[2..]));
        let outcome = [Outcome::Success, Outcome::Failure, Outcome::NoAnswer][random.gen_range(0..3)];
        let what = random.gen_range(0..8);
        self.note(format!("does {what} with {id}, {other}, {node_issued}, {outcome:?}"));
        match what {
            0 => self.sweep(),
            1 if passes => self.wait(IDLE / 2),
            2 => drop(self.place(&id)),
            3 => {
                let Ok(mut visit) = self.place(&id) else { return };
                let tried = [visit.node()];
                if self.replace(&mut visit, &id, &tried).is_ok() {
                    while visit.commit(self.now()).is_err() {}
                    finish(self, visit, outcome, false);
                }
            }
            4 => {
                let Ok(mut visit) = self.place(&id) else { return };
                while visit.commit(self.now()).is_err() {}
                self.learn(&mut visit, &node_issued);
                let end = End { lost: random.gen_range(0..2) == 0, ended: true, ..End::of(outcome) };
                self.note(format!("{end:?}"));
                visit.finish(end, &self.0.policy, self.now());
            }
            5 => {
                self.exchange(&format!("{id} {other}"), "", outcome);
            }
            _ => {
                self.exchange(&id, &node_issued, outcome);
            }
        }
    }

    pub fn sweep(&self) {
        self.0.affinity.sweep(self.now(), 4);
    }

    /// Whether the key leads to a conversation that lives and has it.
    pub fn is_known(&self, id: &str) -> bool {
        self.0.affinity.is_known(print(id), self.now())
    }

    /// What must hold when nobody uses the table: what is found by a key has it, nodes count what is there, and in
    /// the end nothing stays behind.
    pub fn check_at_rest(&self) {
        let Inner { affinity, registry, tape, .. } = &*self.0;
        let Gauges { keys, .. } = affinity.gauges();
        let mut seen = 0;
        for id in IDS.into_iter().chain(["c:a", "c:b", "c:c", "c:own", "c:x", "c:y", "c:0", "s:same", "s:c:x", "s:c:y"])
        {
            if let Some(conversation) = affinity.find(print(id)) {
                seen += 1;
                assert!(conversation.keys().contains(&print(id)), "{id} leads to a conversation that does not have it");
                assert_eq!(conversation.in_flight(), 0, "{id} is in use by nobody");
            }
        }
        assert_eq!(seen, keys, "keys are counted that lead nowhere");
        self.wait(100 * IDLE);
        while affinity.sweep(self.now(), 10) == 10 {}
        let Gauges { conversations, spare, keys, .. } = affinity.gauges();
        assert_eq!((conversations, spare, keys), (0, 0, 0), "something stayed behind");
        for live in registry.machines() {
            assert_eq!((live.conversations(), live.requests()), (0, 0), "{}", live.name());
        }
        tape.0.lock().expect("no poison").clear();
    }

    /// A table that heard only the journal leads the same keys to the same nodes. Not for a life in which time passes: a thread
    /// that was stopped for long tells of an earlier time than the one before it, and who follows goes by the times.
    pub fn check_copy(&self) {
        let registry = Registry::new();
        let _nodes = nodes(&registry);
        let copy = Affinity::new(Limits::default(), registry.clone());
        let mut follower = Follower::new(Arc::clone(&copy));
        for change in self.0.tape.0.lock().expect("no poison").iter() {
            follower.apply(change, self.now());
        }
        let tape = self.0.tape.0.lock().expect("no poison");
        for id in IDS {
            let own = self.0.affinity.find(print(id));
            let own = own.map(|found| (self.0.registry.name(found.node()), self.is_known(id)));
            let copied = copy.is_known(print(id), self.now()).then(|| copy.find(print(id))).flatten();
            let copied = copied.and_then(|found| registry.name(found.node()));
            let agrees = match &own {
                Some((node, true)) => copied == *node,
                // Whose time is over here may live a little longer there.
                Some((node, false)) => copied.is_none() || copied == *node,
                None => copied.is_none(),
            };
            let told = || tape.iter().map(|change| format!("\n{change:?}")).collect::<String>();
            let (key, now) = (print(id), self.now());
            assert!(
                agrees,
                "{id} ({key:?}) at {now:?} leads to {own:?}; who followed knows {copied:?}:{}{}",
                told(),
                self.diary()
            );
        }
    }
}
