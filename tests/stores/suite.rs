//! The suite, for any store.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use castile::session::Fingerprint;
use castile::store::shared::{Claim, Position, Read, Shared, StoreError, Value, Write};

/// A store of one's own, empty.
pub trait World {
    /// Another gateway's connection.
    fn connect(&self) -> Arc<dyn Shared>;
    /// Everything in it is lost.
    async fn lose(&self);
    /// It goes away, and [`World::back`] comes back with all it had.
    async fn away(&self);
    /// See [`World::away`].
    async fn back(&self);
}

/// Entries that the log keeps in these tests, about.
pub const LOG_MAX: u32 = 300;

/// One test each, of the world that this expression makes in a task; `None` = it cannot be had.
#[macro_export]
macro_rules! suite {
    ($world:expr) => {
        $crate::suite!($world;
            of_gateways_that_claim_at_once_one_wins,
            a_claim_gets_all_keys_or_none,
            only_its_owner_removes_and_renews,
            the_order_of_the_log_is_that_of_the_values,
            a_log_that_was_shortened_says_so,
            a_reader_waits_and_delays_nobody,
            a_scan_tells_what_is_there_all_the_time,
            a_value_goes_when_its_time_is_over_and_not_before,
            members_are_there_as_long_as_they_say,
            state_is_kept_by_name,
            bytes_are_kept_as_they_are,
            a_store_that_lost_everything_has_another_epoch,
            a_future_that_is_dropped_leaves_all_or_nothing,
            a_store_that_went_away_is_found_again
        );
    };
    ($world:expr; $($name:ident),*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let Some(world) = $world else { return };
                $crate::suite::$name(&world).await;
            }
        )*
    };
}

fn key(number: u128) -> Fingerprint {
    // Spread as hashes are.
    Fingerprint(number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

fn value(owner: u64) -> Value {
    Value { owner, bytes: owner.to_be_bytes().to_vec() }
}

const MINUTE: Option<Duration> = Some(Duration::from_secs(60));
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer that must come, and in time.
async fn sure<T>(job: impl Future<Output = Result<T, StoreError>>) -> T {
    tokio::time::timeout(PATIENCE, job).await.expect("an answer in time").expect("an answer")
}

/// Asks until it is so.
async fn until<T: Debug>(what: &str, ask: impl AsyncFn() -> Result<T, StoreError>, so: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = tokio::time::timeout(PATIENCE, ask()).await.expect("an answer in time");
        match answer {
            Ok(answer) if so(&answer) => return answer,
            _ => assert!(Instant::now() < deadline, "in vain: {what}: {answer:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The log from a position on, until an entry that says `end`.
async fn follow(store: &dyn Shared, mut after: Position, end: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        match sure(store.read(after, Duration::from_secs(5))).await {
            Read::Gap(_) => panic!("a gap after {after:?}"),
            Read::Entries(entries) => {
                after.0 += entries.len() as u64;
                all.extend(entries);
            }
        }
        if all.last().is_some_and(|last| last == end) {
            return all;
        }
    }
}

async fn scanned(store: &dyn Shared) -> HashMap<Fingerprint, Value> {
    let (mut all, mut from) = (HashMap::new(), None);
    loop {
        let scan = sure(store.scan(from)).await;
        all.extend(scan.values);
        from = scan.next;
        if from.is_none() {
            return all;
        }
    }
}

pub async fn of_gateways_that_claim_at_once_one_wins(world: &impl World) {
    let mut tasks = Vec::new();
    for gateway in 0..8u64 {
        let store = world.connect();
        tasks.push(tokio::spawn(async move {
            let mut won = HashMap::new();
            for number in 0..30u64 {
                let value = value(number * 8 + gateway);
                match sure(store.claim(&[key(number.into())], &value, MINUTE, &value.bytes)).await {
                    Claim::Won(at) => assert!(won.insert(number, (at, value)).is_none()),
                    Claim::Taken(at, other) => {
                        assert_eq!(at, 0);
                        assert_ne!(other, value);
                        assert_eq!(other.owner / 8, number);
                    }
                }
            }
            won
        }));
    }
    let mut winners = HashMap::new();
    for task in tasks {
        for (number, won) in task.await.expect("it ends") {
            assert!(winners.insert(number, won).is_none(), "two won {number}");
        }
    }
    assert_eq!(winners.len(), 30);
    let store = world.connect();
    let keys: Vec<_> = (0..30).map(key).collect();
    let held = sure(store.get(&keys)).await;
    assert_eq!(sure(store.last()).await, Position(30));
    let Read::Entries(log) = sure(store.read(Position(0), Duration::ZERO)).await else { panic!("a gap") };
    for (number, (at, value)) in winners {
        assert_eq!(held[number as usize].as_ref(), Some(&value));
        assert_eq!(log[at.0 as usize - 1], value.bytes, "the log tells of the winner where it said");
    }
}

pub async fn a_claim_gets_all_keys_or_none(world: &impl World) {
    let mut tasks = Vec::new();
    // Each wants three neighbours of a ring of 24.
    for gateway in 0..24u64 {
        let store = world.connect();
        tasks.push(tokio::spawn(async move {
            let keys: Vec<_> = (0..3).map(|more| key(u128::from((gateway + more) % 24))).collect();
            (keys.clone(), gateway, sure(store.claim(&keys, &value(gateway), MINUTE, b"won")).await)
        }));
    }
    let store = world.connect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.expect("it ends"));
    }
    let mut won = 0;
    for (keys, gateway, claim) in all {
        let held = sure(store.get(&keys)).await;
        match claim {
            Claim::Won(_) => {
                won += 1;
                assert!(held.iter().all(|held| held.as_ref() == Some(&value(gateway))), "{gateway}: {held:?}");
            }
            Claim::Taken(at, other) => {
                assert_eq!(held[at].as_ref(), Some(&other));
                assert!(held.iter().flatten().all(|held| held.owner != gateway), "{gateway} has some: {held:?}");
            }
        }
    }
    assert!((6..=8).contains(&won), "{won}");
    assert_eq!(sure(store.last()).await, Position(won));
    // The first that is taken is told, not any.
    let told = sure(store.claim(&[key(100), key(5), key(6)], &value(99), MINUTE, b"")).await;
    let second = sure(store.get(&[key(5)])).await.remove(0).map_or(2, |_| 1);
    assert!(matches!(told, Claim::Taken(at, _) if at == second), "{told:?}");
    assert_eq!(sure(store.get(&[key(100)])).await, [None]);
}

pub async fn only_its_owner_removes_and_renews(world: &impl World) {
    let store = world.connect();
    let keys = [key(1), key(2), key(3)];
    sure(store.write(&[
        Write::Put(keys[..2].to_vec(), value(7), MINUTE),
        Write::Put(vec![keys[1]], value(8), MINUTE),
        Write::Remove(keys.to_vec(), 7),
    ]))
    .await;
    assert_eq!(sure(store.get(&keys)).await, [None, Some(value(8)), None]);
    let renewed = Value { owner: 7, bytes: b"later".to_vec() };
    sure(
        store.write(&[Write::Put(vec![keys[2]], value(7), MINUTE), Write::Renew(keys.to_vec(), renewed.clone(), None)]),
    )
    .await;
    let expected = [None, Some(value(8)), Some(renewed)];
    assert_eq!(sure(store.get(&keys)).await, expected);
    sure(store.write(&[Write::Remove(keys.to_vec(), 7), Write::Remove(keys.to_vec(), 8)])).await;
    assert_eq!(sure(store.get(&keys)).await, [None, None, None]);
    assert_eq!(sure(store.get(&[])).await, []);
    assert_eq!(sure(store.write(&[])).await, Position(0));
}

pub async fn the_order_of_the_log_is_that_of_the_values(world: &impl World) {
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let store = world.connect();
            tokio::spawn(async move { follow(&*store, Position(0), b"end").await })
        })
        .collect();
    let mut writers = Vec::new();
    for gateway in 0..6u8 {
        let store = world.connect();
        writers.push(tokio::spawn(async move {
            let mut last = Position(0);
            for turn in 0..20u8 {
                let (at, value) = (turn % 3, Value { owner: gateway.into(), bytes: vec![turn % 3, gateway, turn] });
                let changes = [Write::Put(vec![key(at.into())], value.clone(), MINUTE), Write::Log(value.bytes)];
                let now = sure(store.write(&changes)).await;
                assert!(now > last, "{now:?} after {last:?}");
                last = now;
            }
        }));
    }
    for writer in writers {
        writer.await.expect("it ends");
    }
    let store = world.connect();
    let end = sure(store.write(&[Write::Log(b"end".to_vec())])).await;
    assert_eq!(end, Position(121));
    let mut logs = Vec::new();
    for reader in readers {
        logs.push(reader.await.expect("it ends"));
    }
    assert_eq!(logs[0], logs[1]);
    assert_eq!(logs[0].len(), 121);
    for at in 0..3 {
        let told = logs[0].iter().rfind(|entry| entry.len() == 3 && entry[0] == at && entry != &b"end").cloned();
        let held = sure(store.get(&[key(at.into())])).await.remove(0).map(|value| value.bytes);
        assert_eq!(held, told, "who replays the log ends with what is held");
    }
    // Each writer's own entries are in its order.
    for gateway in 0..6 {
        let turns: Vec<_> = logs[0].iter().filter(|entry| entry[1] == gateway).map(|entry| entry[2]).collect();
        assert_eq!(turns, (0..20).collect::<Vec<_>>());
    }
}

pub async fn a_log_that_was_shortened_says_so(world: &impl World) {
    let store = world.connect();
    for batch in 0..20u32 {
        let entries: Vec<_> = (0..100u32).map(|at| Write::Log((batch * 100 + at + 1).to_be_bytes().to_vec())).collect();
        sure(store.write(&entries)).await;
    }
    let other = world.connect();
    let late = until(
        "old entries are gone",
        async || other.read(Position(1), Duration::ZERO).await,
        |read| matches!(read, Read::Gap(_)),
    )
    .await;
    assert_eq!(late, Read::Gap(Position(2000)));
    // What is not old is there, and numbered.
    let recent = Position(2000 - 50);
    let Read::Entries(entries) = sure(other.read(recent, Duration::ZERO)).await else { panic!("a gap") };
    assert_eq!(entries[0], 1951u32.to_be_bytes());
    // A log that ends before that position is not the one that was read.
    assert_eq!(sure(other.read(Position(3000), Duration::ZERO)).await, Read::Gap(Position(2000)));
}

pub async fn a_reader_waits_and_delays_nobody(world: &impl World) {
    let store = world.connect();
    sure(store.write(&[Write::Log(b"1".to_vec())])).await;
    assert_eq!(sure(store.read(Position(1), Duration::from_millis(100))).await, Read::Entries(Vec::new()));
    let reader = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { (sure(store.read(Position(1), Duration::from_secs(15))).await, Instant::now()) })
    };
    let begun = Instant::now();
    for _ in 0..50 {
        sure(store.last()).await;
        tokio::task::yield_now().await;
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "others wait for the reader");
    let other = world.connect();
    sure(other.write(&[Write::Log(b"2".to_vec()), Write::Log(b"3".to_vec())])).await;
    let written = Instant::now();
    let (read, heard) = reader.await.expect("it ends");
    let Read::Entries(entries) = read else { panic!("a gap") };
    assert_eq!(entries[0], b"2");
    assert!(heard.saturating_duration_since(written) < Duration::from_secs(2), "it heard late");
}

pub async fn a_scan_tells_what_is_there_all_the_time(world: &impl World) {
    let store = world.connect();
    for batch in 0..20u64 {
        let puts: Vec<_> = (0..100)
            .map(|at| Write::Put(vec![key((batch * 100 + at).into())], value(batch * 100 + at), MINUTE))
            .collect();
        sure(store.write(&puts)).await;
    }
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let churning = {
        let store = world.connect();
        tokio::spawn(async move {
            let mut number = 1_000_000;
            while stopped.try_recv().is_err() {
                let keys: Vec<_> = (number..number + 50).map(key).collect();
                sure(store.write(&[Write::Put(keys, value(1), MINUTE)])).await;
                let keys: Vec<_> = (number..number + 50).map(key).collect();
                sure(store.write(&[Write::Remove(keys, 1)])).await;
                number += 50;
            }
        })
    };
    for _ in 0..3 {
        let all = scanned(&*store).await;
        for number in 0..2000u64 {
            assert_eq!(all.get(&key(number.into())), Some(&value(number)), "{number} is missing");
        }
    }
    let _ = stop.send(());
    churning.await.expect("it ends");
    let all: HashSet<_> = scanned(&*store).await.into_keys().collect();
    assert_eq!(all.len(), 2000);
}

pub async fn a_value_goes_when_its_time_is_over_and_not_before(world: &impl World) {
    let store = world.connect();
    let time = Duration::from_millis(1300);
    let put = Instant::now();
    let short = Some(time);
    sure(store.write(&[
        Write::Put(vec![key(1)], value(1), short),
        Write::Put(vec![key(2)], value(2), None),
        Write::Put(vec![key(3)], value(3), short),
        Write::Put(vec![key(5)], value(5), short),
        Write::Put(vec![key(3)], value(3), MINUTE),
        Write::Renew(vec![key(5)], value(5), MINUTE),
    ]))
    .await;
    sure(store.claim(&[key(4)], &value(4), short, b"")).await;
    let gone = async |number| {
        until("it goes", async || store.get(&[key(number)]).await, |held| held[0].is_none()).await;
        put.elapsed()
    };
    for number in [1, 4] {
        let lived = gone(number).await;
        assert!(lived + Duration::from_millis(5) >= time, "{number} lived only {lived:?}");
        assert!(lived < time + Duration::from_secs(5), "{number} lived {lived:?}");
    }
    assert_eq!(sure(store.get(&[key(2), key(3), key(5)])).await, [Some(value(2)), Some(value(3)), Some(value(5))]);
    let there: HashSet<_> = scanned(&*store).await.into_keys().collect();
    assert_eq!(there, HashSet::from([key(2), key(3), key(5)]));
    // Whoever comes next begins anew.
    let next = sure(store.claim(&[key(1), key(4)], &value(9), MINUTE, b"")).await;
    assert!(matches!(next, Claim::Won(_)), "{next:?}");
    sure(store.write(&[Write::Renew(vec![key(1)], value(1), MINUTE)])).await;
    assert_eq!(sure(store.get(&[key(1)])).await, [Some(value(9))]);
}

pub async fn members_are_there_as_long_as_they_say(world: &impl World) {
    let (one, other) = (world.connect(), world.connect());
    let long = Duration::from_secs(30);
    sure(one.beat("castile-1 [eu]", b"\0 says 1", long)).await;
    let since = Instant::now();
    sure(other.beat("b", b"", long)).await;
    let short = Duration::from_millis(700);
    let said = Instant::now();
    sure(other.beat("short", b"", short)).await;
    let all = sure(one.members()).await;
    let mut names: Vec<_> = all.iter().map(|beat| (&*beat.member, &*beat.bytes)).collect();
    names.sort_unstable();
    assert_eq!(names, [("b", &b""[..]), ("castile-1 [eu]", b"\0 says 1"), ("short", b"")]);
    // Ages grow as the clock goes.
    let age = async |name: &str| {
        sure(other.members()).await.into_iter().find(|beat| beat.member == name).map(|beat| beat.age)
    };
    let names = |beats: &Vec<castile::store::shared::Beat>| beats.iter().any(|beat| beat.member == "short");
    until("the short one goes", async || one.members().await, |beats| !names(beats)).await;
    // Stores count in whole milliseconds of their own clock.
    assert!(said.elapsed() + Duration::from_millis(5) >= short, "it went after {:?}", said.elapsed());
    assert!(said.elapsed() < short + Duration::from_secs(5), "it went after {:?}", said.elapsed());
    let (before, told, after) = (since.elapsed(), age("castile-1 [eu]").await.expect("it is there"), since.elapsed());
    let slack = Duration::from_millis(1500);
    assert!(told + slack >= before && told <= after + slack, "{told:?} is not in {before:?} to {after:?}");
    sure(one.beat("castile-1 [eu]", b"new", long)).await;
    assert!(age("castile-1 [eu]").await.is_some_and(|age| age < slack));
    sure(one.beat("castile-1 [eu]", b"", Duration::ZERO)).await;
    assert_eq!(age("castile-1 [eu]").await, None);
    sure(one.beat("never there", b"", Duration::ZERO)).await;
    assert_eq!(sure(one.members()).await.len(), 1);
}

pub async fn state_is_kept_by_name(world: &impl World) {
    let (one, other) = (world.connect(), world.connect());
    assert_eq!(sure(one.states()).await, []);
    let set = |name: &str, bytes: Option<&[u8]>| Write::State(name.to_owned(), bytes.map(<[u8]>::to_vec));
    sure(one.write(&[set("node orders/a", Some(b"drain")), set("ü", Some(b"")), set("x", Some(b"1"))])).await;
    sure(other.write(&[set("x", None), set("node orders/a", Some(b"\0\xff")), set("y", None)])).await;
    let mut all = sure(one.states()).await;
    all.sort();
    assert_eq!(all, [("node orders/a".to_owned(), b"\0\xff".to_vec()), ("ü".to_owned(), Vec::new())]);
    assert_eq!(sure(one.last()).await, Position(0));
}

pub async fn bytes_are_kept_as_they_are(world: &impl World) {
    let store = world.connect();
    let every: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    for (number, bytes) in [Vec::new(), vec![0], b"\r\n$-1\r\n".to_vec(), every].into_iter().enumerate() {
        for owner in [0, 1, u64::MAX, 1 << 63, 0x2020_2020_0d0a_0d0a] {
            let (key, value) = (key(number as u128), Value { owner, bytes: bytes.clone() });
            let at = sure(store.write(&[Write::Put(vec![key], value.clone(), None), Write::Log(bytes.clone())])).await;
            assert_eq!(sure(store.get(&[key])).await, [Some(value.clone())]);
            let read = sure(store.read(Position(at.0 - 1), Duration::ZERO)).await;
            assert_eq!(read, Read::Entries(vec![bytes.clone()]));
            let again = Value { owner, bytes: b"again".to_vec() };
            sure(store.write(&[Write::Renew(vec![key], again.clone(), None)])).await;
            assert_eq!(sure(store.claim(&[key], &value, None, b"")).await, Claim::Taken(0, again));
            sure(store.write(&[Write::Remove(vec![key], owner)])).await;
            assert_eq!(sure(store.get(&[key])).await, [None]);
        }
    }
    for edge in [Fingerprint(0), Fingerprint(1), Fingerprint(u128::MAX), Fingerprint(1 << 127)] {
        sure(store.write(&[Write::Put(vec![edge], value(5), None)])).await;
        assert_eq!(scanned(&*store).await, HashMap::from([(edge, value(5))]));
        sure(store.write(&[Write::Remove(vec![edge], 5)])).await;
    }
}

pub async fn a_store_that_lost_everything_has_another_epoch(world: &impl World) {
    let (one, other) = (world.connect(), world.connect());
    let (a, b) = tokio::join!(sure(one.epoch()), sure(other.epoch()));
    assert_eq!(a, b);
    let state = Write::State("x".to_owned(), Some(Vec::new()));
    sure(one.write(&[Write::Put(vec![key(1)], value(1), None), Write::Log(Vec::new()), state])).await;
    sure(one.beat("one", b"", Duration::from_secs(60))).await;
    assert_eq!(sure(other.epoch()).await, a);
    world.lose().await;
    let new = until("it is there again", async || one.epoch().await, |epoch| *epoch != a).await;
    assert_eq!(until("for all", async || other.epoch().await, |_| true).await, new);
    assert_eq!(sure(other.get(&[key(1)])).await, [None]);
    assert_eq!(sure(other.last()).await, Position(0));
    assert_eq!(sure(other.states()).await, []);
    assert_eq!(sure(other.members()).await, []);
    let read = until(
        "a reader learns of it",
        async || other.read(Position(1), Duration::ZERO).await,
        |read| matches!(read, Read::Gap(_)),
    );
    assert_eq!(read.await, Read::Gap(Position(0)));
    assert!(matches!(sure(one.claim(&[key(1)], &value(2), None, b"")).await, Claim::Won(Position(1))));
}

pub async fn a_future_that_is_dropped_leaves_all_or_nothing(world: &impl World) {
    let store = world.connect();
    sure(store.last()).await;
    for number in 0..60u64 {
        let keys = [key(u128::from(number) * 2), key(u128::from(number) * 2 + 1)];
        let value = value(number);
        let entry = number.to_be_bytes();
        // From not at all to nearly done.
        let budget = Duration::from_micros(20 * number);
        let _ = match number % 3 {
            0 => tokio::time::timeout(budget, store.claim(&keys, &value, MINUTE, &entry)).await.map(|_| ()),
            1 => {
                let changes = [Write::Put(keys.to_vec(), value.clone(), MINUTE), Write::Log(entry.to_vec())];
                tokio::time::timeout(budget, store.write(&changes)).await.map(|_| ())
            }
            _ => tokio::time::timeout(budget, store.read(Position(0), Duration::from_secs(30))).await.map(|_| ()),
        };
    }
    sure(store.write(&[Write::Log(b"end".to_vec())])).await;
    // What was dropped may be done late, but not in parts.
    let log = loop {
        let mut log = Vec::new();
        let mut gap = false;
        while log.last().is_none_or(|last| last != b"end") {
            match sure(store.read(Position(log.len() as u64), Duration::from_secs(1))).await {
                Read::Entries(entries) => log.extend(entries),
                // Of a reader that was dropped a store may not know what it has told.
                Read::Gap(_) if !gap => gap = true,
                Read::Gap(_) => panic!("a gap again"),
            }
        }
        if sure(store.last()).await.0 == log.len() as u64 {
            break log;
        }
    };
    for number in (0..60u64).filter(|number| number % 3 != 2) {
        let held = sure(store.get(&[key(u128::from(number) * 2), key(u128::from(number) * 2 + 1)])).await;
        let times = log.iter().filter(|entry| **entry == number.to_be_bytes()).count();
        let expected = if times == 1 { Some(value(number)) } else { None };
        assert!(times < 2, "{number} was done {times} times");
        assert_eq!(held, [expected.clone(), expected], "{number}");
    }
}

pub async fn a_store_that_went_away_is_found_again(world: &impl World) {
    let store = world.connect();
    sure(store.write(&[Write::Put(vec![key(1)], value(1), None), Write::Log(b"1".to_vec())])).await;
    let epoch = sure(store.epoch()).await;
    let reading = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.read(Position(1), Duration::from_secs(15)).await })
    };
    world.away().await;
    for _ in 0..3 {
        let begun = Instant::now();
        let answer = tokio::time::timeout(PATIENCE, store.get(&[key(1)])).await.expect("an answer in time");
        assert!(matches!(answer, Err(StoreError::Away(_))), "{answer:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
    }
    // A reader that waits need not know yet; it must not wait for ever.
    let _ = tokio::time::timeout(PATIENCE, reading).await.expect("a reader ends").expect("without a panic");
    world.back().await;
    let held = until("it is found again", async || store.get(&[key(1)]).await, |_| true).await;
    assert_eq!(held, [Some(value(1))]);
    assert_eq!(sure(store.epoch()).await, epoch);
    sure(store.write(&[Write::Log(b"2".to_vec())])).await;
    let read = until("the log goes on", async || store.read(Position(1), Duration::from_secs(5)).await, |_| true).await;
    assert!(read == Read::Entries(vec![b"2".to_vec()]) || read == Read::Gap(Position(2)), "{read:?}");
    sure(store.write(&[Write::Log(b"3".to_vec())])).await;
    let read = sure(store.read(Position(2), Duration::from_secs(5))).await;
    assert_eq!(read, Read::Entries(vec![b"3".to_vec()]));
}
