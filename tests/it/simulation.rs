//! A random life of the whole gateway, with the promises checked at every step.
//!
//! *Simulated*: clients that lead conversations by an id of the node's or of their own, several requests of one at a time, and use
//! an id as soon as the piece of the answer that holds it has come; nodes that refuse, die in a request, come back without
//! memory; health, ejection, administrative states, reloads, sweeps; a clock that is told. *Real*: configuration, snapshot,
//! routes, the readers of messages, rules, table, placement, what answers teach (`Lesson`), node states. *Not simulated*:
//! sockets, HTTP's framing and timeouts, and the loop of `proxy::reach`, whose steps [`Life::connect`] takes in its place;
//! `tests/faults/run` has those.
//!
//! `SIMULATION_SEED=N` replays one life, `SIMULATION_SEEDS=N` leads that many.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use castile::affinity::{Ask, Code, End, Outcome, Refusal, Visit};
use castile::config::Config;
use castile::gateway::{Gateway, Lesson, RouteMatch, Snapshot, Upstream, reading};
use castile::head::{Request, Response, Version};
use castile::session::{Keyer, RequestKeys, RequestView};
use castile::soap::Reader;
use castile::upstream::{Admin, Health, NodeId};

const NODES: [&str; 3] = ["a", "b", "c"];
const IDLE_MS: u64 = 60_000;
/// Connects that an existing conversation's node is granted.
const ATTEMPTS: u32 = 3;

/// xorshift64*: a seed means the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

#[derive(Default)]
struct Node {
    is_dead: bool,
    /// Session → requests it has executed.
    sessions: HashMap<String, u32>,
    issued: u32,
}

struct Client {
    /// The id it sends, and whether it made it up.
    id: Option<String>,
    is_own: bool,
    /// The node that executed its first request.
    home: Option<NodeId>,
    /// An answer without a Fault has come, and a later request was placed by the pin.
    is_proved: bool,
    is_confirmed: bool,
    /// What it sends is known to nobody.
    is_adrift: bool,
    last_used: u64,
    requests: u32,
}

/// One request on its way.
struct Exchange {
    client: u64,
    head: Request,
    reader: Box<Reader>,
    keys: RequestKeys,
    upstream: &'static Upstream,
    tried: Vec<NodeId>,
    attempts: u32,
}

enum Phase {
    Placed(Box<Visit>),
    Answering { lesson: Box<Lesson<'static>>, head: Response, body: Vec<u8>, passed: usize },
}

fn view<'a>(head: &'a Request, reader: &'a Reader) -> RequestView<'a> {
    let client_ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    RequestView { head, facts: Some(reader.facts()), http_action: None, client_ip, connection: 1 }
}

struct Life {
    seed: u64,
    step: u32,
    random: Random,
    /// As long as the process: exchanges hold references into them.
    gateway: &'static Gateway,
    snapshot: &'static Snapshot,
    nodes: HashMap<NodeId, Node>,
    clients: BTreeMap<u64, Client>,
    exchanges: Vec<(Exchange, Phase)>,
    next: u64,
    shares: bool,
    room: usize,
    /// What happened, for who has to find out why.
    diary: Vec<String>,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (shares, room) = (random.one_in(3), if random.one_in(3) { 10 } else { 10_000 });
        let gateway: &'static Arc<Gateway> =
            Box::leak(Box::new(Gateway::new(config(0, shares, room)).expect("it compiles")));
        let snapshot: &'static Arc<Snapshot> = Box::leak(Box::new(gateway.snapshot()));
        let ids = snapshot.routes.get(0).upstream.nodes.nodes().iter().map(|node| (node.id, Node::default()));
        let nodes = ids.collect();
        let (clients, exchanges) = (BTreeMap::new(), Vec::new());
        Self {
            seed,
            step: 0,
            random,
            gateway,
            snapshot,
            nodes,
            clients,
            exchanges,
            next: 0,
            shares,
            room,
            diary: Vec::new(),
        }
    }

    fn note(&mut self, what: String) {
        self.diary.push(format!("{} at {}: {what}\n", self.step, self.gateway.now().0));
    }

    fn fail(&self, what: &str) -> ! {
        if std::env::var_os("SIMULATION_SEED").is_some() {
            eprintln!("{}", self.diary.concat());
        }
        panic!("SIMULATION_SEED={} fails at step {}: {what}", self.seed, self.step);
    }

    async fn lead(&mut self, steps: u32) {
        for step in 0..steps {
            self.step = step;
            let is_long = self.random.one_in(200);
            let time = self.random.below(if is_long { 2 * IDLE_MS as usize } else { 300 });
            tokio::time::advance(Duration::from_millis(time as u64)).await;
            match self.random.below(20) {
                0..3 => self.begin_conversation(),
                3..8 => self.request_again(),
                8..17 => self.get_on(),
                17 => self.trouble(),
                18 => self.reload(),
                _ => drop(self.gateway.affinity.sweep(self.gateway.now(), 5)),
            }
            self.check();
        }
        while !self.exchanges.is_empty() {
            self.get_on();
            self.check();
        }
        tokio::time::advance(Duration::from_millis(10 * IDLE_MS)).await;
        while self.gateway.affinity.sweep(self.gateway.now(), 10) == 10 {}
        let left = self.gateway.affinity.gauges();
        if (left.conversations, left.keys) != (0, 0) {
            self.fail(&format!("something stayed behind: {left:?}"));
        }
    }

    fn begin_conversation(&mut self) {
        let number = self.next;
        self.next += 1;
        let is_own = self.random.one_in(2);
        let id = is_own.then(|| format!("own.{number}"));
        let last_used = self.gateway.now().0;
        let client = Client {
            id,
            is_own,
            home: None,
            is_proved: false,
            is_confirmed: false,
            is_adrift: false,
            last_used,
            requests: 0,
        };
        self.clients.insert(number, client);
        self.request(number);
    }

    fn request_again(&mut self) {
        let numbers: Vec<u64> = self.clients.keys().copied().collect();
        if !numbers.is_empty() {
            let number = numbers[self.random.below(numbers.len())];
            self.request(number);
        }
    }

    /// The steps of the handler as far as placement.
    fn request(&mut self, number: u64) {
        let client = &self.clients[&number];
        if client.id.is_none() && client.requests > 0 {
            return;
        }
        let header = match (&client.id, client.is_own) {
            (None, _) => String::new(),
            (Some(id), false) => format!("<t:Session>{id}</t:Session>"),
            (Some(id), true) => format!("<t:Id>{id}</t:Id>"),
        };
        let says_bye = client.home.is_some() && self.random.one_in(15);
        let body = envelope(&header, if says_bye { "<t:Bye/>" } else { "<t:Do/>" });
        let mut head = Request::new();
        head.start(Version::Http11, b"POST", b"/app");
        head.fields_mut().push(b"Host", b"h");
        head.fields_mut().push(b"Content-Type", b"text/xml");
        let RouteMatch::Found(route) = self.snapshot.routes.find(&head, None, None, false) else {
            self.fail("no route");
        };
        let upstream: &'static Upstream = &self.snapshot.routes.get(route).upstream;
        let mut reader = reading::reader(upstream.rules.request_wanted(), head.fields(), self.snapshot.inspect);
        let cut = self.random.below(body.len());
        reader.push(&body.as_bytes()[..cut]);
        reader.push(&body.as_bytes()[cut..]);
        reader.end();
        let mut keys = RequestKeys::default();
        upstream.keys(&view(&head, &reader), false, self.keyer(upstream), 0, &mut keys);
        let home_serves = self.serves(self.clients[&number].home);
        let is_guarded = self.is_guarded(number);
        let placed = self.gateway.affinity.place(&self.ask(&keys, upstream, &[]));
        match placed {
            Ok(visit) => {
                let is_kept = matches!(visit.code(), Code::Pinned | Code::Joined | Code::Moved);
                let is_home = !home_serves || self.clients[&number].home == Some(visit.node());
                if is_guarded && !(is_kept && is_home) {
                    self.fail(&format!("client {number} was placed at {}, code {}", visit.node(), visit.code()));
                }
                self.note_placement(number, &visit);
                let client = self.clients.get_mut(&number).expect("it is there");
                client.requests += 1;
                client.last_used = self.gateway.now().0;
                let (tried, attempts) = (Vec::new(), 0);
                let exchange = Exchange { client: number, head, reader, keys, upstream, tried, attempts };
                self.exchanges.push((exchange, Phase::Placed(Box::new(visit))));
            }
            Err(refusal) => {
                let is_lost = matches!(refusal, Refusal::SessionLost { .. });
                if is_lost && is_guarded && home_serves {
                    self.fail(&format!("client {number} was told that its session is lost, and its node serves"));
                }
                self.refused(number, refusal);
            }
        }
    }

    fn refused(&mut self, number: u64, refusal: Refusal) {
        self.note(format!("client {number} hears {refusal}"));
        match refusal {
            Refusal::SessionLost { .. } => drop(self.clients.remove(&number)),
            Refusal::TryLater { .. } | Refusal::Busy { .. } | Refusal::NoNode => {}
            refusal => self.fail(&format!("unexpected: {refusal}")),
        }
    }

    /// What the client may rely on from now on, and where it has been moved.
    fn note_placement(&mut self, number: u64, visit: &Visit) {
        self.note(format!("client {number} goes to {} by {}", visit.node(), visit.code()));
        let Some(client) = self.clients.get_mut(&number) else { return };
        client.is_confirmed |= client.is_proved && visit.code() == Code::Pinned;
        match visit.code() {
            // Its time was over, or a table too small has pushed it out: what it was is nobody's any more.
            Code::First => (client.home, client.is_proved, client.is_confirmed) = (None, false, false),
            Code::Unknown | Code::Unpinned => client.is_adrift = true,
            _ => {}
        }
        if visit.code() == Code::Moved {
            if !self.shares {
                self.fail(&format!("client {number} was moved, and nodes share nothing"));
            }
            client.home = Some(visit.node());
        }
    }

    /// Whether the promise covers it: its session exists, and neither is its time over nor could a table that is too small
    /// have pushed it out.
    fn is_guarded(&self, number: u64) -> bool {
        let Some(client) = self.clients.get(&number) else { return false };
        let is_used = self.exchanges.iter().any(|(exchange, _)| exchange.client == number);
        client.home.is_some()
            && client.id.is_some()
            && !client.is_adrift
            && (self.room > 1_000 || client.is_confirmed)
            && (is_used || self.gateway.now().0 < client.last_used + IDLE_MS)
    }

    fn serves(&self, node: Option<NodeId>) -> bool {
        let Some(id) = node else { return false };
        let upstream = &self.snapshot.routes.get(0).upstream;
        !self.nodes[&id].is_dead && upstream.nodes.get(id).is_some_and(|node| node.live.serves())
    }

    fn keyer(&self, upstream: &'static Upstream) -> Keyer<'static> {
        Keyer { fingerprinter: &self.gateway.fingerprinter, group: &upstream.config.affinity_group }
    }

    fn ask<'a>(&self, keys: &'a RequestKeys, upstream: &'a Upstream, tried: &'a [NodeId]) -> Ask<'a> {
        let random = u64::from(self.step).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.seed;
        Ask {
            keys,
            nodes: &upstream.nodes,
            policy: &upstream.policy,
            tried,
            proposal: None,
            held: None,
            now: self.gateway.now(),
            random,
        }
    }

    /// One of the requests under way gets a step further.
    fn get_on(&mut self) {
        if self.exchanges.is_empty() {
            return;
        }
        let chosen = self.random.below(self.exchanges.len());
        let (mut exchange, phase) = self.exchanges.swap_remove(chosen);
        let next = match phase {
            Phase::Placed(visit) => self.connect(&mut exchange, *visit),
            Phase::Answering { lesson, head, body, passed } => self.answer(&exchange, lesson, head, body, passed),
        };
        if let Some(phase) = next {
            self.exchanges.push((exchange, phase));
        }
    }

    /// What `proxy::reach` does, one connect a step. `None`: the client has its answer.
    fn connect(&mut self, exchange: &mut Exchange, mut visit: Visit) -> Option<Phase> {
        let (node, upstream, number) = (visit.node(), exchange.upstream, exchange.client);
        if !self.nodes[&node].is_dead {
            return match visit.commit(self.gateway.now()) {
                // A parallel request has moved it: this one goes there.
                Err(_) => Some(Phase::Placed(Box::new(visit))),
                Ok(()) => self.execute(exchange, visit),
            };
        }
        let observe = &upstream.config.health.observe;
        let live = &upstream.nodes.get(node)?.live;
        live.failed(self.gateway.now().0, observe.connect_failures, observe.eject);
        exchange.attempts += 1;
        let exists = visit.is_pinned();
        if exists && exchange.attempts < ATTEMPTS {
            return Some(Phase::Placed(Box::new(visit)));
        }
        exchange.attempts = 0;
        exchange.tried.push(node);
        if exchange.tried.len() as u32 >= ATTEMPTS && !exists {
            return None;
        }
        match visit.replace(&self.ask(&exchange.keys, upstream, &exchange.tried)) {
            Ok(_) => {
                self.note_placement(number, &visit);
                Some(Phase::Placed(Box::new(visit)))
            }
            Err(refusal) => {
                self.refused(number, refusal);
                None
            }
        }
    }

    /// The node has the request.
    fn execute(&mut self, exchange: &Exchange, visit: Visit) -> Option<Phase> {
        let (id, upstream, number) = (visit.node(), exchange.upstream, exchange.client);
        let is_guarded = self.is_guarded_in_flight(number);
        let client = self.clients.get_mut(&number);
        let sent = client.as_ref().and_then(|client| client.id.clone());
        if let Some(client) = client {
            let home = *client.home.get_or_insert(id);
            if is_guarded && home != id {
                self.fail(&format!("client {number} was executed at {id}, and lives at {home}"));
            }
            if !is_guarded {
                client.home = Some(id);
            }
        }
        let node = self.nodes.get_mut(&id)?;
        let carried = if exchange.keys.pins.is_empty() { None } else { sent };
        let is_own = carried.as_ref().is_some_and(|id| id.starts_with("own"));
        let (header, body) = match carried {
            Some(own) if is_own || node.sessions.contains_key(&own) => {
                *node.sessions.entry(own).or_default() += 1;
                (String::new(), "<t:Done/>")
            }
            Some(_) => (
                String::new(),
                "<s:Fault><faultcode>s:Client</faultcode><faultstring>unknown session</faultstring></s:Fault>",
            ),
            None => {
                node.issued += 1;
                let new = format!("{id}.{number}.{}", node.issued);
                node.sessions.insert(new.clone(), 1);
                (format!("<t:Session>{new}</t:Session>"), "<t:Done/>")
            }
        };
        if self.shares {
            let all = self.nodes[&id].sessions.clone();
            self.nodes.values_mut().for_each(|node| node.sessions.extend(all.clone()));
        }
        self.note(format!("client {number} is executed at {id}"));
        if self.random.one_in(40) {
            self.die(id);
            visit.finish(End::of(Outcome::NoAnswer), &upstream.policy, self.gateway.now());
            self.hear_nothing(number);
            return None;
        }
        let body = envelope(&header, body).into_bytes();
        let mut head = Response::new();
        head.start(Version::Http11, if body.windows(7).any(|text| text == b"s:Fault") { 500 } else { 200 }, b"");
        head.fields_mut().push(b"Content-Type", b"text/xml");
        let keyer = self.keyer(upstream);
        let mut lesson = Box::new(Lesson::new(self.gateway, self.snapshot, upstream, keyer, visit, 0));
        lesson.head(view(&exchange.head, &exchange.reader), &head, true);
        Some(Phase::Answering { lesson, head, body, passed: 0 })
    }

    /// A piece of the answer passes, and with the last one the exchange ends.
    fn answer(
        &mut self,
        exchange: &Exchange,
        mut lesson: Box<Lesson<'static>>,
        head: Response,
        body: Vec<u8>,
        passed: usize,
    ) -> Option<Phase> {
        let number = exchange.client;
        let end = (passed + 1 + self.random.below(body.len())).min(body.len());
        let request = view(&exchange.head, &exchange.reader);
        lesson.message(request, &head, &body[passed..end], end == body.len());
        // The client has it from here on, and may use what it says.
        let seen = String::from_utf8_lossy(&body[..end]).into_owned();
        let id = seen.split("<t:Session>").nth(1).and_then(|rest| rest.split_once("</t:Session>")).map(|(id, _)| id);
        if let (Some(client), Some(id)) = (self.clients.get_mut(&number), id) {
            client.id = Some(id.to_owned());
        }
        if end < body.len() {
            return Some(Phase::Answering { lesson, head, body, passed: end });
        }
        let told = lesson.end(request, &exchange.keys, &head);
        let is_over = told.ended || head.status == 500;
        self.note(format!("client {number} is answered {} {told:?}", head.status));
        lesson.visit.finish(told, &exchange.upstream.policy, self.gateway.now());
        if is_over {
            self.clients.remove(&number);
        } else if let Some(client) = self.clients.get_mut(&number) {
            client.is_proved = true;
            client.last_used = self.gateway.now().0;
        }
        None
    }

    /// As [`Life::is_guarded`], for one that has a request under way.
    fn is_guarded_in_flight(&self, number: u64) -> bool {
        let known = self.clients.get(&number);
        known.is_some_and(|client| {
            client.home.is_some()
                && client.id.is_some()
                && !client.is_adrift
                && (self.room > 1_000 || client.is_confirmed)
        })
    }

    /// No answer: without an id there is nothing to come back to.
    fn hear_nothing(&mut self, number: u64) {
        if self.clients.get(&number).is_some_and(|client| client.id.is_none()) {
            self.clients.remove(&number);
        }
    }

    fn die(&mut self, id: NodeId) {
        self.note(format!("node {id} dies"));
        if let Some(node) = self.nodes.get_mut(&id) {
            node.is_dead = true;
            node.sessions.clear();
        }
    }

    fn trouble(&mut self) {
        let upstream = &self.snapshot.routes.get(0).upstream;
        let node = &upstream.nodes.nodes()[self.random.below(NODES.len())];
        let (id, live) = (node.id, &node.live);
        match self.random.below(10) {
            0 => self.die(id),
            1 => drop(live.set_admin(Admin::Drain)),
            2 => drop(live.set_admin(Admin::Maint)),
            3 | 4 => drop(live.set_admin(Admin::Ready)),
            // A check, which tells the truth of this moment.
            5 | 6 => {
                live.set_health(if self.nodes[&id].is_dead { Health::Down } else { Health::Up });
            }
            7 => live.eject_until(self.gateway.now().0 + 10_000),
            _ => {
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.is_dead = false;
                }
                live.set_health(Health::Up);
            }
        }
    }

    fn reload(&mut self) {
        let variant = self.random.below(4);
        let snapshot = self.gateway.reload(config(variant, self.shares, self.room)).expect("it compiles");
        let snapshot: &'static Arc<Snapshot> = Box::leak(Box::new(snapshot));
        self.snapshot = snapshot;
    }

    /// What must hold whatever happens.
    fn check(&self) {
        let gauges = self.gateway.affinity.gauges();
        if gauges.conversations > self.room {
            self.fail(&format!("a limit is exceeded: {gauges:?}"));
        }
        let requests: u32 = self.gateway.registry.machines().iter().map(|live| live.requests()).sum();
        if requests as usize != self.exchanges.len() {
            self.fail(&format!("nodes count {requests} requests, and {} are under way", self.exchanges.len()));
        }
    }
}

fn envelope(header: &str, body: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:t=\"urn:test\"><s:Header>{header}\
         </s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
}

/// The configuration; variants say the same of nodes and conversations in other ways.
fn config(variant: usize, shares: bool, room: usize) -> castile::config::model::Config {
    let mut nodes = NODES.map(|name| format!("{{name: {name}, url: 'http://{name}:1'}}"));
    nodes.rotate_left(variant % NODES.len());
    let balance = ["round_robin", "least_requests", "random", "least_conversations"][variant];
    let shared = if shares { "all" } else { "none" };
    let text = format!(
        "listeners: [{{name: l, address: '127.0.0.1:0'}}]\nroutes: [{{upstream: app}}]\naccess_log: none\n\
         affinity: {{max_conversations: {room}}}\nupstreams:\n  app:\n    nodes: [{}]\n    balance: {balance}\n    \
         nodes_share_sessions: {shared}\n    sticky:\n      namespaces: {{t: urn:test}}\n      ttl: {{idle: 60s}}\n      \
         keys:\n        - {{key: session, learn: header t:Session, match: header t:Session}}\n        \
         - {{key: id, match: header t:Id, client_issued: true}}\n      lost: [{{fault: unknown session}}]\n      \
         end: [{{request: body t:Bye}}]\n",
        nodes.join(", ")
    );
    Config::parse(&text, "simulation.yaml").expect("it is valid").config
}

#[tokio::test(start_paused = true)]
async fn the_promises_hold_at_every_step_of_a_random_life_of_a_gateway() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("SIMULATION_SEEDS").unwrap_or(40),
    };
    for seed in seeds {
        Life::new(seed).lead(600).await;
    }
}
