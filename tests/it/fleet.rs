//! Several gateways in front of the same nodes, sharing a store: one truth.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use castile::store::testing::{Condition, Engine, Link};

use crate::support::soap::{AXIS2, CLIENT_ISSUED, client_id, envelope, group_id, login_node, post, served_by};
use crate::support::{Castile, Message, Node, config, eventually, parallel};

/// Gateways that share a store, and their ways to it.
struct Fleet {
    engine: Arc<Engine>,
    links: Vec<Arc<Link>>,
    gateways: Vec<Castile>,
    nodes: Vec<Node>,
}

impl Fleet {
    fn start(count: usize, sticky: &str, affinity: &str) -> Self {
        let nodes: Vec<Node> = (0..3).map(login_node).collect();
        let engine = Engine::new(100_000);
        let links: Vec<_> = (0..count).map(|_| engine.link()).collect();
        let mut fleet = Self { engine, links: Vec::new(), gateways: Vec::new(), nodes };
        for link in links {
            fleet.join(link, sticky, affinity);
        }
        fleet
    }

    fn join(&mut self, link: Arc<Link>, sticky: &str, affinity: &str) {
        let nodes: Vec<&Node> = self.nodes.iter().collect();
        let key = "fingerprint_key: 0123456789abcdef0123456789abcdef";
        let yaml =
            format!("affinity: {{{key}{affinity}}}\nadmin: {{address: '127.0.0.1:0'}}\n{}", config(&nodes, sticky));
        self.gateways.push(Castile::join(&yaml, Arc::clone(&link)));
        self.links.push(link);
        let all = self.gateways.len();
        eventually("all know each other", || {
            self.gateways.iter().all(|one| one.gateway.fleet().is_some_and(|fleet| fleet.members().len() == all))
        });
    }

    fn ask(&self, gateway: usize, request: impl AsRef<[u8]>) -> Message {
        self.gateways[gateway].ask(request)
    }

    /// Begins a conversation by one gateway: its id and node.
    fn login(&self, gateway: usize) -> (String, usize) {
        crate::support::soap::login(&self.gateways[gateway])
    }

    fn everywhere(&self, what: &str, holds: impl Fn(&Castile) -> bool) {
        eventually(what, || self.gateways.iter().all(&holds));
    }

    fn conflicts(&self) -> u64 {
        let count = |one: &Castile| one.gateway.fleet().map_or(0, |fleet| fleet.counts().conflicts.load(Relaxed));
        self.gateways.iter().map(count).sum()
    }
}

fn carry(id: &str) -> Vec<u8> {
    post("", envelope(&client_id(id), "<x/>"))
}

#[test]
fn ids_offered_to_all_gateways_at_once_come_to_one_node_each() {
    let fleet = Fleet::start(3, CLIENT_ISSUED, "");
    const IDS: usize = 300;
    let served = parallel(12, |thread| {
        let gateway = &fleet.gateways[thread % 3];
        let mut client = gateway.client();
        (0..IDS).map(|id| served_by(&client.ask(carry(&format!("urn:id:{id}"))))).collect::<Vec<_>>()
    });
    for id in 0..IDS {
        let nodes: Vec<usize> = served.iter().map(|one| one[id]).collect();
        assert!(nodes.iter().all(|node| *node == nodes[0]), "id {id}: {nodes:?}");
    }
    let used: std::collections::BTreeSet<_> = served[0].iter().collect();
    assert_eq!(used.len(), 3, "they are spread");
    fleet.everywhere("every table knows all", |one| one.gateway.affinity.gauges().conversations == IDS);
}

#[test]
fn what_one_gateway_learns_the_next_request_on_another_finds() {
    let fleet = Fleet::start(2, AXIS2, "");
    for round in 0..60 {
        let (id, node) = fleet.login(round % 2);
        let other = (round + 1) % 2;
        assert_eq!(served_by(&fleet.ask(other, post("", envelope(&group_id(&id), "<next/>")))), node, "round {round}");
    }
}

#[test]
fn a_gateway_that_hears_nothing_of_the_log_asks_the_store() {
    let mut fleet = Fleet::start(1, AXIS2, "");
    let known: Vec<_> = (0..5).map(|_| fleet.login(0)).collect();
    let link = fleet.engine.link();
    fleet.join(link, AXIS2, "");
    for (id, node) in &known {
        assert_eq!(served_by(&fleet.ask(1, post("", envelope(&group_id(id), "<next/>")))), *node);
    }
    fleet.everywhere("every table knows all", |one| one.gateway.affinity.gauges().conversations == 5);
}

#[test]
fn a_move_and_an_end_reach_every_gateway() {
    let fleet = Fleet::start(2, AXIS2, "");
    let (id, node) = fleet.login(0);
    let next = post("", envelope(&group_id(&id), "<next/>"));
    assert_eq!(served_by(&fleet.ask(1, &next)), node);
    let one = &fleet.gateways[0].gateway;
    let now = one.now();
    let mut found = None;
    one.affinity.look_through(0, 100, now, |conversation, _| {
        found = Some(Arc::clone(conversation));
        std::ops::ControlFlow::Continue(())
    });
    let conversation = found.expect("there is one");
    let to = (node + 1) % 3;
    let machine = one.registry.machine("app", &format!("n{to}"));
    one.affinity.relocate(&conversation, machine.id(), now).expect("it lives");
    eventually("the other gateway follows", || served_by(&fleet.ask(1, &next)) == to);
    one.affinity.unbind(&conversation).expect("it lives");
    fleet.everywhere("nobody knows it", |one| one.gateway.affinity.gauges().conversations == 0);
}

#[test]
fn a_store_that_is_away_costs_no_request_and_what_was_bound_is_told_when_it_is_back() {
    for condition in [Condition::Away, Condition::Silent] {
        let fleet = Fleet::start(2, CLIENT_ISSUED, "");
        let before: Vec<usize> =
            (0..20).map(|id| served_by(&fleet.ask(id % 2, carry(&format!("urn:old:{id}"))))).collect();
        fleet.everywhere("every table knows all", |one| one.gateway.affinity.gauges().conversations == 20);
        fleet.links.iter().for_each(|link| link.set(condition));
        let first = fleet.ask(0, carry("urn:new:0"));
        assert_eq!(first.status(), 200);
        fleet.everywhere("both notice", |one| one.gateway.fleet().is_some_and(|fleet| fleet.is_away()));
        let began = Instant::now();
        for (id, node) in before.iter().enumerate() {
            assert_eq!(served_by(&fleet.ask((id + 1) % 2, carry(&format!("urn:old:{id}")))), *node, "bound before");
        }
        let new: Vec<_> =
            (0..20).map(|id| [0, 1].map(|one| served_by(&fleet.ask(one, carry(&format!("urn:new:{id}")))))).collect();
        assert!(new.iter().all(|[one, other]| one == other), "they agree: {new:?}");
        assert!(began.elapsed() < Duration::from_secs(20), "nobody waits for the store");
        fleet.links.iter().for_each(|link| link.set(Condition::Fine));
        fleet.everywhere("the store is back", |one| one.gateway.fleet().is_some_and(|fleet| !fleet.is_away()));
        assert_eq!(fleet.conflicts(), 0);
        for (id, [node, _]) in new.iter().enumerate() {
            assert_eq!(served_by(&fleet.ask(id % 2, carry(&format!("urn:new:{id}")))), *node);
        }
    }
}

#[test]
fn where_the_store_decides_what_needs_it_is_refused_while_it_is_away() {
    let fleet = Fleet::start(2, CLIENT_ISSUED, ", on_store_down: reject");
    let node = served_by(&fleet.ask(0, carry("urn:old")));
    fleet.everywhere("both know it", |one| one.gateway.affinity.gauges().conversations == 1);
    fleet.links.iter().for_each(|link| link.set(Condition::Away));
    fleet.everywhere("both notice", |one| one.gateway.fleet().is_some_and(|fleet| fleet.is_away()));
    assert_eq!(served_by(&fleet.ask(1, carry("urn:old"))), node, "what is known goes on");
    for request in [carry("urn:new"), post("", envelope("", "<login/>"))] {
        let refused = fleet.ask(1, request);
        assert_eq!((refused.status(), refused.field("retry-after").is_some()), (503, true), "{}", refused.text());
    }
    fleet.links.iter().for_each(|link| link.set(Condition::Fine));
    eventually("it serves again", || fleet.ask(1, carry("urn:new")).status() == 200);
}

#[test]
fn a_store_that_lost_everything_is_told_again() {
    let mut fleet = Fleet::start(1, AXIS2, "");
    let (id, node) = fleet.login(0);
    fleet.engine.lose();
    eventually("the store knows it again", || {
        fleet.gateways[0]
            .gateway
            .fleet()
            .is_some_and(|fleet| !fleet.is_away() && fleet.counts().opened.load(Relaxed) > 0)
    });
    let link = fleet.engine.link();
    fleet.join(link, AXIS2, "");
    assert_eq!(served_by(&fleet.ask(1, post("", envelope(&group_id(&id), "<next/>")))), node);
}

#[test]
fn an_order_reaches_every_gateway_and_who_has_not_heard_it_is_named() {
    let fleet = Fleet::start(2, AXIS2, "");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let name = castile::gateway::Gateway::state_name("app", "n1");
    let own = fleet.gateways[0].gateway.fleet().expect("it joined");
    runtime.block_on(async {
        let position = own.order(&name, Some(b"drain".to_vec())).await.expect("the store answers");
        assert_eq!(own.await_applied(position, Duration::from_secs(20)).await, []);
        let admin = |one: &Castile| one.gateway.registry.machine("app", "n1").admin();
        assert_eq!(admin(&fleet.gateways[1]), castile::upstream::Admin::Drain);
        fleet.links[1].set(Condition::Silent);
        let position = own.order(&name, Some(b"ready".to_vec())).await.expect("the store answers");
        let late = own.await_applied(position, Duration::from_millis(500)).await;
        let other = fleet.gateways[1].gateway.fleet().expect("it joined").id();
        assert_eq!(late.iter().map(|member| member.id).collect::<Vec<_>>(), [other]);
        fleet.links[1].set(Condition::Fine);
        eventually("it hears of it later", || admin(&fleet.gateways[1]) == castile::upstream::Admin::Ready);
    });
}

/// Sends a change to the admin API of a gateway: the answer.
fn order(gateway: &Castile, method: &str, path: &str, body: &str) -> serde_json::Value {
    let length = body.len();
    let answer = gateway
        .ask_admin(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"));
    assert_eq!(answer.status(), 200, "{method} {path}: {}", answer.text());
    serde_json::from_str(&answer.text()).expect("JSON")
}

fn state(gateway: &Castile, node: &str) -> castile::upstream::Admin {
    gateway.gateway.registry.machine("app", node).admin()
}

#[test]
fn what_an_operator_says_to_one_gateway_holds_on_all_when_the_answer_comes() {
    use castile::upstream::Admin;
    let fleet = Fleet::start(3, AXIS2, "");
    let (id, node) = fleet.login(0);
    fleet.everywhere("every table knows it", |one| one.gateway.affinity.gauges().conversations == 1);
    let shown = order(&fleet.gateways[1], "POST", &format!("/v1/nodes/app/n{node}/drain"), "");
    assert_eq!((&shown["fleet"]["applied"], &shown["fleet"]["members"]), (&true.into(), &3.into()), "{shown}");
    for gateway in &fleet.gateways {
        assert_eq!(state(gateway, &format!("n{node}")), Admin::Drain);
    }
    let next = post("", envelope(&group_id(&id), "<next/>"));
    assert_eq!(served_by(&fleet.ask(2, &next)), node, "its conversations stay");
    assert!((0..6).all(|_| fleet.login(2).1 != node), "it gets no new ones");
    let to = (node + 1) % 3;
    let print = order(&fleet.gateways[2], "GET", &format!("/v1/conversations?node=app/n{node}"), "");
    let print = print["conversations"][0]["id"].as_str().expect("it is there").to_owned();
    let moved = order(&fleet.gateways[2], "POST", &format!("/v1/conversations/{print}/move?to=n{to}"), "");
    assert_eq!(moved["fleet"]["applied"], true, "{moved}");
    assert!((0..3).all(|gateway| served_by(&fleet.ask(gateway, &next)) == to), "all know where it is now");
    let gone = order(&fleet.gateways[0], "POST", &format!("/v1/conversations/{print}/unbind"), "");
    assert_eq!(gone["fleet"]["applied"], true, "{gone}");
    let known = |one: &Castile| order(one, "GET", &format!("/v1/conversations?id={print}"), "");
    assert!(fleet.gateways.iter().all(|one| known(one)["conversations"] == serde_json::json!([])), "nobody knows it");
    let outlook = order(&fleet.gateways[1], "GET", &format!("/v1/nodes/app/n{node}"), "");
    assert_eq!(outlook["uncounted"], serde_json::Value::Null);
}

#[test]
fn a_gateway_that_has_not_heard_an_order_is_named() {
    use castile::upstream::Admin;
    let fleet = Fleet::start(2, AXIS2, "");
    fleet.links[1].set(Condition::Deaf);
    let shown = order(&fleet.gateways[0], "POST", "/v1/nodes/app/n0/drain", "");
    assert_eq!(
        (&shown["fleet"]["applied"], &shown["fleet"]["missing"]),
        (&false.into(), &serde_json::json!(["test"])),
        "{shown}"
    );
    fleet.links[1].set(Condition::Fine);
    eventually("it hears of it", || state(&fleet.gateways[1], "n0") == Admin::Drain);
}

#[test]
fn of_orders_given_while_the_store_is_away_the_latest_holds_everywhere() {
    use castile::upstream::Admin;
    let fleet = Fleet::start(2, AXIS2, "");
    fleet.links.iter().for_each(|link| link.set(Condition::Away));
    let shown = order(&fleet.gateways[0], "POST", "/v1/nodes/app/n0/maint", "");
    assert_eq!(shown["fleet"]["applied"], false, "{shown}");
    assert!(shown["fleet"]["why"].as_str().is_some_and(|why| why.contains("when it is back")), "{shown}");
    assert_eq!(state(&fleet.gateways[0], "n0"), Admin::Maint, "it holds here");
    let before = fleet.gateways[1].gateway.now();
    eventually("a millisecond later", || fleet.gateways[1].gateway.now().0 > before.0 + 1);
    order(&fleet.gateways[1], "POST", "/v1/nodes/app/n0/drain", "");
    let outlook = order(&fleet.gateways[1], "GET", "/v1/nodes/app/n0", "");
    assert!(outlook["uncounted"].is_string(), "{outlook}");
    // Whoever returns last has the older word.
    fleet.links[1].set(Condition::Fine);
    eventually("the first is back", || fleet.gateways[1].gateway.fleet().is_some_and(|fleet| !fleet.is_away()));
    fleet.links[0].set(Condition::Fine);
    fleet.everywhere("both are back", |one| one.gateway.fleet().is_some_and(|fleet| !fleet.is_away()));
    fleet.everywhere("both are told the latest", |one| state(one, "n0") == Admin::Drain);
    let seen = order(&fleet.gateways[0], "POST", "/v1/nodes/app/n1/drain", "");
    assert_eq!(seen["fleet"]["applied"], true, "{seen}");
    assert!(fleet.gateways.iter().all(|one| state(one, "n0") == Admin::Drain), "and it stays so");
}

#[test]
fn a_node_that_registers_with_one_gateway_is_there_on_all_and_peers_are_listed() {
    let mut fleet = Fleet::start(1, AXIS2, "");
    let node = login_node(7);
    let key = |digit: char| format!("affinity: {{fingerprint_key: {}}}\n", digit.to_string().repeat(32));
    let yaml = |key: &str| {
        let all: Vec<&Node> = fleet.nodes.iter().collect();
        let open = config(&all, AXIS2).replace("app:", "app:\n    discovery: [{register: {}}]");
        format!("{key}admin: {{address: '127.0.0.1:0'}}\n{open}")
    };
    let (same, other) = (yaml(&key('a')), yaml(&key('b')));
    fleet.gateways.clear();
    let gateways = [&same, &same].map(|yaml| Castile::join(yaml, fleet.engine.link()));
    let names = |one: &Castile| order(one, "GET", "/v1/nodes", "").to_string();
    let body = format!(r#"{{"url": "http://{}", "ttl": "60s"}}"#, node.address);
    order(&gateways[0], "PUT", "/v1/upstreams/app/nodes/late", &body);
    eventually("the other has it", || names(&gateways[1]).contains("\"late\""));
    let left = order(&gateways[1], "DELETE", "/v1/upstreams/app/nodes/late", "");
    assert_eq!(left["fleet"]["applied"], true, "{left}");
    let goes_on = |one: &Castile| {
        let all = order(one, "GET", "/v1/nodes", "");
        all.as_array().into_iter().flatten().any(|node| node["node"] == "late" && node["state"] == "ready")
    };
    assert!(!gateways.iter().any(goes_on), "{}", names(&gateways[0]));
    let stranger = Castile::join(&other, fleet.engine.link());
    let peers = |one: &Castile| order(one, "GET", "/v1/peers", "");
    eventually("all see three", || peers(&gateways[0])["peers"].as_array().map(Vec::len) == Some(3));
    let shown = peers(&gateways[0]);
    let strange = shown["peers"].as_array().into_iter().flatten().filter(|one| one["same_fingerprint_key"] == false);
    assert_eq!(strange.count(), 1, "{shown}");
    let ready = gateways[0].ask_admin("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n").text();
    assert!(ready.contains("another affinity.fingerprint_key"), "{ready}");
    drop(stranger);
    eventually("it has left", || peers(&gateways[0])["peers"].as_array().map(Vec::len) == Some(2));
}
