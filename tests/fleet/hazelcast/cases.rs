//! The cases. Each says what it measured, or what is wrong.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use castile::hazelcast::{CallError, Client, Data, EntryKind, Heard, Map, Members, Options, State};
use tokio::time::{sleep, timeout};

use super::member::{Member, free_ports};

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(90);

type Case = for<'a> fn(&'a mut Cluster) -> Pin<Box<dyn Future<Output = Result<String, String>> + 'a>>;

/// In this order; the later ones hurt the members.
pub const ALL: &[(&str, Case)] = &[
    ("members", |cluster| Box::pin(members(cluster))),
    ("wrong-name", |cluster| Box::pin(wrong_name(cluster))),
    ("values", |cluster| Box::pin(values(cluster))),
    ("first-contact", |cluster| Box::pin(first_contact(cluster))),
    ("ttl", |cluster| Box::pin(ttl(cluster))),
    ("listener", |cluster| Box::pin(listener(cluster))),
    ("member-killed", |cluster| Box::pin(member_killed(cluster))),
    ("member-hangs", |cluster| Box::pin(member_hangs(cluster))),
];

/// Two members.
#[derive(Debug)]
pub struct Cluster {
    classes: String,
    name: String,
    ports: [u16; 2],
    members: Vec<Member>,
}

impl Cluster {
    pub fn start(classes: &str) -> Result<Self, String> {
        let ports = free_ports()?;
        let name = format!("fleet-{}", std::process::id());
        let mut cluster = Self { classes: classes.to_owned(), name, ports, members: Vec::new() };
        cluster.join(0)?;
        cluster.join(1)?;
        Ok(cluster)
    }

    /// Starts the member that has this one of the two ports.
    fn join(&mut self, at: usize) -> Result<(), String> {
        let (port, peer) = (self.ports[at], self.ports[1 - at]);
        self.members.push(Member::start(&self.classes, &self.name, port, peer, 8081 + at as u16)?);
        Ok(())
    }

    /// A client that begins with this member.
    fn client(&self, at: usize) -> Client {
        Client::start(self.options(at))
    }

    fn options(&self, at: usize) -> Options {
        Options::new(self.name.clone(), vec![self.members[at].address()])
    }
}

/// Fails with a sentence where something is not as it should be.
fn check(is_so: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(otherwise()) }
}

fn said(error: CallError) -> String {
    format!("{error}: {error:?}")
}

/// The members, once there are so many.
async fn so_many(client: &Client, count: usize) -> Result<Arc<Members>, String> {
    let mut members = client.members();
    let seen = timeout(PATIENCE, members.wait_for(|members| members.list.len() == count)).await;
    let seen = seen.map_err(|_| format!("there are not {count} members after {PATIENCE:?}"))?;
    let seen = seen.map_err(|error| error.to_string())?;
    Ok(Arc::clone(&seen))
}

/// The client is connected to the member it began with.
async fn connected(client: &Client) -> Result<(), String> {
    let mut state = client.state();
    let there = timeout(PATIENCE, state.wait_for(|state| matches!(state, State::Connected { .. }))).await;
    there.map(|_| ()).map_err(|_| format!("no connection: {:?}", client.state().borrow()))
}

async fn members(cluster: &mut Cluster) -> Result<String, String> {
    let client = cluster.client(0);
    let members = so_many(&client, 2).await?;
    let mut ports: Vec<&str> = members.list.iter().map(|member| member.attributes["httpPort"].as_str()).collect();
    ports.sort();
    check(ports == ["8081", "8082"], || format!("attributes of {members:?}"))?;
    Ok(format!("{} and {}, with their HTTP ports", members.list[0].address, members.list[1].address))
}

async fn wrong_name(cluster: &mut Cluster) -> Result<String, String> {
    let mut options = cluster.options(0);
    options.cluster = "dev".to_owned();
    let client = Client::start(options);
    let error = client.map("m").get(&Data::text("k")).await.err().ok_or("a wrong cluster name is accepted")?;
    let CallError::Away { why: Some(why), .. } = &error else { return Err(said(error)) };
    Ok(why.to_string())
}

async fn values(cluster: &mut Cluster) -> Result<String, String> {
    let (first, second) = (cluster.client(0).map("values"), cluster.client(1).map("values"));
    for n in 0..500 {
        let (key, value) = (Data::text(&format!("ключ-{n}")), Data::bytes(&[0, n as u8, 255]));
        first.put(&key, &value, None, None).await.map_err(said)?;
        let got = second.get(&key).await.map_err(said)?;
        check(got.as_ref() == Some(&value), || format!("{key:?} is {got:?} by the other member"))?;
    }
    let key = Data::text("ключ-1");
    let (old, new) = (Data::bytes(&[0, 1, 255]), Data::text("новый"));
    check(first.replace_if_same(&key, &old, &new).await.map_err(said)?, || "not replaced".to_owned())?;
    check(!second.replace_if_same(&key, &old, &new).await.map_err(said)?, || "replaced twice".to_owned())?;
    check(second.remove(&key).await.map_err(said)? == Some(new), || "another one removed".to_owned())?;
    let left = first.entries().await.map_err(said)?.len();
    check(left == 499, || format!("{left} entries"))?;
    Ok("500 keys put by one member are read by the other".to_owned())
}

/// Many clients put their own value under one key at once.
async fn first_contact(cluster: &mut Cluster) -> Result<String, String> {
    const KEYS: usize = 200;
    const OFFERS: usize = 16;
    let clients = [cluster.client(0), cluster.client(1)];
    for n in 0..KEYS {
        let key = Data::text(&format!("urn:uuid:{n}"));
        let offers: Vec<_> = (0..OFFERS)
            .map(|offer| {
                let (map, key) = (clients[offer % 2].map("first"), key.clone());
                let value = Data::text(&format!("node{offer}"));
                tokio::spawn(async move {
                    let present = map.put_if_absent(&key, &value, Some(Duration::from_secs(60)), None).await?;
                    Ok::<_, CallError>((present.is_none(), present.unwrap_or(value)))
                })
            })
            .collect();
        let (mut winners, mut values) = (0, Vec::new());
        for offer in offers {
            let (won, value) = offer.await.map_err(|error| error.to_string())?.map_err(said)?;
            winners += usize::from(won);
            values.push(value);
        }
        check(winners == 1 && values.iter().all(|value| *value == values[0]), || {
            format!("{winners} winners of {key:?}: {values:?}")
        })?;
    }
    Ok(format!("{KEYS} keys, {OFFERS} offers each over both members: one winner each, known to all"))
}

/// When an entry is gone.
async fn lifetime(map: Map, n: u32, ttl: Option<Duration>, idle: Option<Duration>) -> Result<Duration, CallError> {
    // Members count from the beginning of a second: start at different places of it.
    sleep(Duration::from_millis(u64::from(n) * 50)).await;
    let key = Data::text(&format!("short-{n}"));
    map.put(&key, &Data::text("x"), ttl, idle).await?;
    let begun = Instant::now();
    if idle.is_some() {
        // A look begins the idle time anew, so there is only one.
        sleep(Duration::from_millis(950)).await;
        let is_there = map.get(&key).await?.is_some();
        return Ok(if is_there { begun.elapsed() } else { Duration::ZERO });
    }
    while map.get(&key).await?.is_some() {
        sleep(Duration::from_millis(10)).await;
    }
    Ok(begun.elapsed())
}

async fn ttl(cluster: &mut Cluster) -> Result<String, String> {
    let map = cluster.client(0).map("short");
    let second = Some(Duration::from_secs(1));
    let lives: Vec<_> = (0..20).map(|n| tokio::spawn(lifetime(map.clone(), n, second, None))).collect();
    let idles: Vec<_> = (20..40).map(|n| tokio::spawn(lifetime(map.clone(), n, None, second))).collect();
    let mut found = Vec::new();
    for life in lives {
        found.push(life.await.map_err(|error| error.to_string())?.map_err(said)?);
    }
    let (least, most) =
        (found.iter().min().copied().unwrap_or_default(), found.iter().max().copied().unwrap_or_default());
    check(least >= Duration::from_secs(1) && most < Duration::from_millis(3500), || format!("{least:?} to {most:?}"))?;
    for idle in idles {
        let lived = idle.await.map_err(|error| error.to_string())?.map_err(said)?;
        check(lived > Duration::ZERO, || "an entry with a second of idle time is gone before".to_owned())?;
    }
    let key = Data::text("kept");
    map.put(&key, &Data::text("x"), second, None).await.map_err(said)?;
    check(map.set_ttl(&key, Some(PATIENCE)).await.map_err(said)?, || "no entry for setTtl".to_owned())?;
    sleep(Duration::from_millis(3500)).await;
    check(map.get(&key).await.map_err(said)?.is_some(), || "setTtl has not kept it".to_owned())?;
    Ok(format!(
        "of 1 s: entries lived {:.2} to {:.2} s; idle time 1 s: none gone within it",
        least.as_secs_f32(),
        most.as_secs_f32()
    ))
}

async fn listener(cluster: &mut Cluster) -> Result<String, String> {
    let (tells, hears) = (cluster.client(0).map("heard"), cluster.client(1).map("heard"));
    let mut events = hears.listen(64);
    let soon = timeout(PATIENCE, events.recv()).await.map_err(|_| "no listener")?;
    check(soon == Some(Heard::Anew), || format!("{soon:?} first"))?;
    let mut took = Vec::new();
    for n in 0..300 {
        let (key, begun) = (Data::text(&format!("k{n}")), Instant::now());
        tells.put(&key, &Data::text("v"), None, None).await.map_err(said)?;
        let heard = timeout(PATIENCE, events.recv()).await.map_err(|_| format!("put {n} is not heard"))?;
        let Some(Heard::Entry(entry)) = heard else { return Err(format!("{heard:?}")) };
        check(entry.key.as_ref() == Some(&key) && entry.kind == EntryKind::Added, || format!("{entry:?}"))?;
        took.push(begun.elapsed());
    }
    took.sort();
    let millis = |at: usize| took[at].as_secs_f64() * 1000.0;
    check(took[150] < Duration::from_millis(100), || format!("half of the events take {:?}", took[150]))?;
    Ok(format!(
        "put to heard, by the other member: {:.1} ms (p50), {:.1} ms (p99), {:.1} ms (most)",
        millis(150),
        millis(296),
        millis(299)
    ))
}

/// What calls had to endure.
#[derive(Debug, Default)]
struct Endured {
    calls: usize,
    errors: Vec<String>,
    longest: Duration,
    wrong: usize,
}

/// Reads what was put, one call after the other, until it is told to end.
async fn beat(map: Map, until: tokio::sync::oneshot::Receiver<()>) -> Endured {
    let mut endured = Endured::default();
    let work = async {
        for n in (0..1000).cycle() {
            let begun = Instant::now();
            let (key, expected) = (Data::text(&format!("k{n}")), Data::text(&format!("v{n}")));
            match map.get(&key).await {
                Ok(got) => endured.wrong += usize::from(got != Some(expected)),
                Err(error) => endured.errors.push(error.to_string()),
            }
            endured.calls += 1;
            endured.longest = endured.longest.max(begun.elapsed());
            sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        () = work => {}
        _ = until => {}
    }
    endured
}

/// Puts 1,000 entries. A cluster that a member has just joined moves its partitions, and answers no call for those on their
/// way: such a call is made again.
async fn fill(map: &Map) -> Result<(), String> {
    let begun = Instant::now();
    for n in 0..1000 {
        let (key, value) = (Data::text(&format!("k{n}")), Data::text(&format!("v{n}")));
        while let Err(error) = map.put(&key, &value, None, None).await {
            check(begun.elapsed() < PATIENCE, || said(error))?;
        }
    }
    Ok(())
}

async fn member_killed(cluster: &mut Cluster) -> Result<String, String> {
    let client = cluster.client(1);
    so_many(&client, 2).await?;
    let map = client.map("kept");
    fill(&map).await?;
    let (end, until) = tokio::sync::oneshot::channel();
    let beating = tokio::spawn(beat(map.clone(), until));
    cluster.members[1].signal("KILL");
    let killed = Instant::now();
    so_many(&client, 1).await?;
    let left = killed.elapsed();
    drop(cluster.members.pop());
    // The one that comes takes a few seconds to start: what is measured is from its word that it is up.
    let classes = cluster.classes.clone();
    let (name, [peer, port]) = (cluster.name.clone(), cluster.ports);
    let starting = tokio::task::spawn_blocking(move || {
        Member::start(&classes, &name, port, peer, 8082).map(|member| (member, Instant::now()))
    });
    let members = so_many(&client, 2).await?;
    let seen = Instant::now();
    let (member, up) = starting.await.map_err(|error| error.to_string())??;
    cluster.members.push(member);
    let _ = end.send(());
    let endured = beating.await.map_err(|error| error.to_string())?;
    check(endured.wrong == 0 && endured.errors.is_empty(), || format!("{endured:?}"))?;
    check(members.list.iter().any(|member| member.address.port == port), || format!("{members:?}"))?;
    Ok(format!(
        "{} calls, 0 errors, all 1000 entries kept, longest call {:.2} s; leave seen after {:.2} s, join {:.2} s {} the member is up",
        endured.calls,
        endured.longest.as_secs_f32(),
        left.as_secs_f32(),
        if seen > up { seen - up } else { up - seen }.as_secs_f32(),
        if seen > up { "after" } else { "before" },
    ))
}

async fn member_hangs(cluster: &mut Cluster) -> Result<String, String> {
    let client = cluster.client(1);
    so_many(&client, 2).await?;
    connected(&client).await?;
    let map = client.map("hung");
    fill(&map).await?;
    let stopped = cluster.members[1].address();
    cluster.members[1].signal("STOP");
    let begun = Instant::now();
    let (end, until) = tokio::sync::oneshot::channel();
    let beating = tokio::spawn(beat(map.clone(), until));
    // It is silent, and the other one is connected.
    let mut state = client.state();
    let elsewhere = |state: &State| matches!(state, State::Connected { member, .. } if *member != stopped);
    let changed = timeout(PATIENCE, state.wait_for(elsewhere)).await.map(|_| ());
    let after = begun.elapsed();
    cluster.members[1].signal("CONT");
    let _ = end.send(());
    let endured = beating.await.map_err(|error| error.to_string())?;
    changed.map_err(|_| format!("still connected to a member that hangs: {:?}", client.state().borrow()))?;
    let budget = Duration::from_secs(1);
    check(endured.longest < budget + Duration::from_millis(500), || format!("{endured:?}"))?;
    check(endured.wrong == 0, || format!("{endured:?}"))?;
    // It goes on where it was.
    let begun = Instant::now();
    while let Err(error) = map.get(&Data::text("k1")).await {
        check(begun.elapsed() < PATIENCE, || said(error))?;
    }
    Ok(format!(
        "another member after {:.1} s; {} of {} calls failed meanwhile, none took longer than {:.2} s of a budget of 1 s",
        after.as_secs_f32(),
        endured.errors.len(),
        endured.calls,
        endured.longest.as_secs_f32(),
    ))
}
