//! `affinity:`.

use super::names::{NAME, secret};
use std::time::Duration;

use crate::config::forms::{AnyText, Count, Time, Word, WritableFile};
use crate::config::model::{Affinity, Durability, OnStoreDown, Store, WhenFull};
use crate::config::read::{Section, Slot};
use crate::config::show::Shown;

const WHEN_FULL: Word<WhenFull> = Word(&[("serve_unpinned", WhenFull::ServeUnpinned), ("reject", WhenFull::Reject)]);
const ON_STORE_DOWN: Word<OnStoreDown> = Word(&[("local", OnStoreDown::Local), ("reject", OnStoreDown::Reject)]);
const DURABILITY: Word<Durability> =
    Word(&[("relaxed", Durability::Relaxed), ("before_reply", Durability::BeforeReply)]);

/// A conversation of two keys takes 650 bytes, so this is more than machines have.
const ENTRIES: Count = Count::to(1_000_000_000);
/// A shorter key could be guessed, and with it the ids behind fingerprints.
const KEY_BYTES_MIN: usize = 16;

/// The table and its store.
pub fn affinity(s: &mut Section) -> Affinity {
    let usual = Affinity::default();
    let max_conversations =
        s.value("max_conversations", "Live conversations at most.", ENTRIES, usual.max_conversations);
    let max_keys = s.value("max_keys", "Keys of all conversations at most.", ENTRIES, usual.max_keys);
    let max_hints = s.value("max_hints", "Hints (weak keys, learnt routes) at most.", ENTRIES, usual.max_hints);
    let when_full =
        s.value("when_full", "What becomes of a new conversation when the table is full.", WHEN_FULL, usual.when_full);
    let store = s.value_with(
        "store",
        "Where pins live beyond this process. A change needs a restart.",
        Shown::Plain("memory".to_owned()),
        store,
    );
    let on_store_down = s.value(
        "on_store_down",
        "What becomes of requests while the store is away.",
        ON_STORE_DOWN,
        usual.on_store_down,
    );
    let fingerprint_key = s.optional_with(
        "fingerprint_key",
        "Key of the fingerprints; gateways that share a store share it. Default: made at the first start.",
        secret,
    );
    if max_keys < max_conversations {
        let key = if s.place_of("max_keys").is_some() { "max_keys" } else { "max_conversations" };
        s.problem(key, format!("{max_keys} keys cannot serve {max_conversations} conversations of at least one key each; raise max_keys"));
    }
    if fingerprint_key.as_ref().is_some_and(|key| key.reveal().len() < KEY_BYTES_MIN) {
        s.problem(
            "fingerprint_key",
            format!("is shorter than {KEY_BYTES_MIN} bytes; make one with: openssl rand -hex 32"),
        );
    }
    let store = store.unwrap_or_default();
    if matches!(store, Store::Redis { .. }) && fingerprint_key.is_none() && !s.cx().describing() {
        s.problem(
            "store",
            "gateways that share a store share the key of the fingerprints; set affinity.fingerprint_key to the same on each of \
             them (openssl rand -hex 32)",
        );
    }
    Affinity { max_conversations, max_keys, max_hints, when_full, store, on_store_down, fingerprint_key }
}

fn store(slot: &mut Slot) -> Option<Store> {
    slot.scalar_or_map(
        |slot| slot.scalar(Word(&[("memory", ())])).map(|()| Store::Memory),
        |slot| slot.map(outside).flatten(),
    )
}

fn outside(s: &mut Section) -> Option<Store> {
    let at = s.at;
    let disk = s.optional("disk", "A file; made if absent.", WritableFile);
    let durability = s.field("durability", "With disk: whether an answer waits until its keys are on disk.", |slot| {
        slot.scalar(DURABILITY)
    });
    let redis = s.optional_with("redis", "Redis, Valkey or the like.", |slot| slot.map(redis).flatten());
    let postgres = s.optional_with("postgres", "A table of PostgreSQL.", |slot| {
        slot.map(|s| url(s, &["postgres", "postgresql"])).flatten()
    });
    let hazelcast = s.optional_with("hazelcast", "A map of a Hazelcast cluster.", |slot| slot.map(hazelcast).flatten());
    if s.cx().describing() {
        return None;
    }
    let written: Vec<_> =
        ["disk", "redis", "postgres", "hazelcast"].into_iter().filter(|key| s.place_of(key).is_some()).collect();
    match written.as_slice() {
        [] => s.cx().problem(at, "names no store; write memory, or one of disk, redis, postgres, hazelcast"),
        [_] => {}
        [first, second, ..] => s.problem(second, format!("{first} is a store too; keep one of them")),
    }
    if s.place_of("disk").is_none() && durability.is_some() {
        s.problem("durability", "belongs to a disk store; remove it");
    }
    let disk = disk.map(|path| Store::Disk { path, durability: durability.unwrap_or_default() });
    disk.or(redis).or(postgres.map(|url| Store::Postgres { url })).or(hazelcast)
}

fn url(s: &mut Section, schemes: &[&str]) -> Option<crate::config::model::Secret> {
    let url = s.required_with("url", "Where it is, with its credentials; it is never shown.", secret)?;
    let scheme = url.reveal().split_once("://").map_or("", |(scheme, _)| scheme);
    if !schemes.contains(&scheme) {
        s.problem(
            "url",
            format!("does not begin with {}://; write {}://USER:PASSWORD@HOST", schemes.join(":// or "), schemes[0]),
        );
    }
    Some(url)
}

fn redis(s: &mut Section) -> Option<Store> {
    let url = url(s, &["redis", "rediss"]);
    let hosts = s.optional_with(
        "hosts",
        "host:port of further servers of a cluster or a group of replicas, or of further sentinels.",
        |slot| slot.one_or_list(|slot| slot.scalar(AnyText)),
    );
    let sentinel = s.optional("sentinel", "The name of the master, where url and hosts are those of sentinels.", NAME);
    let prefix = s.value("prefix", "What all its keys begin with: one for each fleet.", NAME, "castile".to_owned());
    let timeout = s.value("timeout", "The longest that a call may take.", Time, Duration::from_millis(250));
    let tls = s.section("tls", "With rediss: how the server is checked.", super::upstream::tls).unwrap_or_default();
    if timeout.is_zero() {
        s.problem("timeout", "would let no call end; write at least 1ms");
    }
    let (hosts, tls) = (hosts.unwrap_or_default(), Box::new(tls));
    Some(Store::Redis { url: url?, hosts, sentinel, prefix, timeout, tls })
}

fn hazelcast(s: &mut Section) -> Option<Store> {
    let cluster = s.required("cluster", "Name of the cluster.", NAME);
    let members = s.required_with("members", "host:port of some members.", |slot| {
        slot.not_empty();
        slot.one_or_list(|slot| slot.scalar(AnyText))
    });
    Some(Store::Hazelcast { cluster: cluster?, members: members? })
}
