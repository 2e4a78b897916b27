//! The disk store: what comes back, what it refuses, and what it does when the disk fails.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use redb::{BackendError, DatabaseError, StorageBackend};

use super::*;
use crate::affinity::{Ask, End, Limits, Outcome, Policy};
use crate::session::{Fingerprint, Learnt, LearntKey, NameTag, PinKey, RequestKeys};
use crate::upstream::{Balance, NodeSet, NodeSpec, Registry};

/// A table with nodes, and a store in a folder of its own.
struct Gate {
    folder: Arc<tempfile::TempDir>,
    registry: Arc<Registry>,
    affinity: Arc<Affinity>,
    nodes: NodeSet,
    now: u64,
}

impl Gate {
    fn new() -> Self {
        Self::in_folder(Arc::new(tempfile::tempdir().expect("a folder")))
    }

    /// Another one with the same store.
    fn again(&self) -> Self {
        Self { now: self.now + 1, ..Self::in_folder(Arc::clone(&self.folder)) }
    }

    fn in_folder(folder: Arc<tempfile::TempDir>) -> Self {
        let registry = Registry::new();
        let specs = ["a", "b", "c"].map(|name| NodeSpec::new(registry.machine("g", name)));
        let nodes = NodeSet::new(Balance::RoundRobin, specs.to_vec());
        let affinity = Affinity::new(Limits::default(), Arc::clone(&registry));
        Self { folder, registry, affinity, nodes, now: 1_795_460_000_000 }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("pins.redb")
    }

    fn open(&self, before_reply: bool) -> (Disk, Restored) {
        let opened = Opened::open(&self.file(), None).expect("it can be opened");
        opened.serve(&self.affinity, before_reply, Now(self.now)).expect("it can be read")
    }

    /// A request with the client's own key: the node it goes to. Two of them confirm.
    fn request(&self, key: u64) -> String {
        let fingerprint = Fingerprint(u128::from(key) << 64 | u128::from(key));
        let mut keys = RequestKeys::default();
        keys.pins.push(PinKey { rule: 0, fingerprint, client_issued: true, name: NameTag::of("c") });
        let policy = Policy::default();
        let now = Now(self.now);
        let ask = Ask {
            keys: &keys,
            nodes: &self.nodes,
            policy: &policy,
            tried: &[],
            proposal: None,
            held: None,
            now,
            random: key,
        };
        let mut visit = self.affinity.place(&ask).expect("there are nodes");
        visit.commit(now).expect("nobody moves it");
        let second = LearntKey {
            rule: 1,
            fingerprint: Fingerprint(u128::from(key) | 1 << 127),
            kind: Learnt::Pin,
            name: NameTag::of("s"),
        };
        visit.learn(&[second], &policy, now);
        let node = self.registry.name(visit.node()).expect("it has a name").to_string();
        visit.finish(End::of(Outcome::Success), &policy, now);
        node
    }

    fn find(&self, key: u64) -> Option<String> {
        let conversation = self.affinity.find(Fingerprint(u128::from(key) << 64 | u128::from(key)))?;
        Some(self.registry.name(conversation.node()).expect("it has a name").to_string())
    }

    /// The names of a conversation's keys.
    fn names(&self, key: u64) -> Vec<NameTag> {
        let conversation =
            self.affinity.find(Fingerprint(u128::from(key) << 64 | u128::from(key))).expect("it is known");
        let seen = conversation.seen(Now(self.now)).expect("it lives");
        seen.keys.iter().map(|(_, name)| *name).collect()
    }

    /// Says that this schema wrote the file.
    fn set_schema(&self, schema: u8) {
        let table = redb::TableDefinition::<&str, &[u8]>::new("castile");
        let redb = redb::Database::open(self.file()).expect("it is there");
        let write = redb.begin_write().expect("it is ours");
        write.open_table(table).expect("a table").insert("schema", [schema, 0, 0, 0].as_slice()).expect("it fits");
        write.commit().expect("it can be written");
    }

    /// Waits until all that was bound is on disk.
    fn settle(&self, disk: &Disk) {
        let position = self.affinity.journal().position();
        wait_for("a commit", || disk.settled() >= position);
    }
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < until, "{what} did not come");
        std::thread::yield_now();
    }
}

fn refusal(result: Result<Opened, OpenError>) -> String {
    result.expect_err("it is refused").to_string()
}

#[test]
fn conversations_come_back_as_they_were() {
    for before_reply in [true, false] {
        let gate = Gate::new();
        let (disk, restored) = gate.open(before_reply);
        assert_eq!(restored, Restored::default());
        let nodes: Vec<String> = (0..300).map(|key| gate.request(key)).collect();
        (0..300).step_by(2).for_each(|key| assert_eq!(gate.request(key), nodes[key as usize]));
        disk.close();
        assert_eq!(disk.trouble(), None);

        let again = gate.again();
        let (disk, restored) = again.open(before_reply);
        assert_eq!((restored.conversations, restored.keys, restored.stale.len()), (300, 600, 0), "{restored:?}");
        for key in 0..300 {
            assert_eq!(again.names(key), [NameTag::of("c"), NameTag::of("s")]);
            assert_eq!(again.request(key), nodes[key as usize], "{key}");
        }
        let gauges = again.affinity.gauges();
        assert_eq!((gauges.conversations, gauges.spare), (300, 0), "a second request confirms, also after a restart");
        disk.close();
    }
}

#[test]
fn a_place_that_changed_hands_holds_its_last_owner_only() {
    let gate = Gate::new();
    let (disk, _) = gate.open(true);
    (0..50).for_each(|key| drop(gate.request(key)));
    gate.settle(&disk);
    let later = Now(gate.now + 31 * 60_000);
    while gate.affinity.sweep(later, 100) == 100 {}
    assert_eq!(gate.affinity.gauges().conversations, 0);
    let gate = Gate { now: later.0, affinity: Arc::clone(&gate.affinity), ..gate };
    (100..120).for_each(|key| drop(gate.request(key)));
    disk.close();
    let again = gate.again();
    let (_disk, restored) = again.open(true);
    assert_eq!((restored.conversations, restored.expired), (20, 0), "{restored:?}");
    assert!((100..120).all(|key| again.find(key).is_some()));
}

#[test]
fn what_expired_meanwhile_leaves_the_file_too() {
    let gate = Gate::new();
    let (disk, _) = gate.open(true);
    (0..50).for_each(|key| drop(gate.request(key)));
    disk.close();
    let again = Gate { now: gate.now + 40 * 60_000, ..gate.again() };
    let (disk, restored) = again.open(true);
    assert_eq!((restored.conversations, restored.expired), (0, 50), "{restored:?}");
    wait_for("the file is swept", || disk.counts().commits.load(SeqCst) > 0);
    disk.close();
    let (_disk, restored) = again.again().open(true);
    assert_eq!(restored, Restored::default());
}

#[test]
fn one_process_at_a_time_owns_the_file() {
    let gate = Gate::new();
    let (disk, _) = gate.open(true);
    let why = refusal(Opened::open(&gate.file(), None));
    assert!(why.contains("pins.redb: another process has it open"), "{why}");
    disk.close();
    gate.again().open(true);
}

#[test]
fn the_key_is_made_once_for_its_owner_only_and_needed_as_long_as_the_store_is() {
    let gate = Gate::new();
    let first = Opened::open(&gate.file(), None).expect("a new store").secret;
    let key = key::path(&gate.file());
    for file in [&key, &gate.file()] {
        let mode = std::fs::metadata(file).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    assert_eq!(Opened::open(&gate.file(), None).expect("the same").secret, first);

    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    assert!(refusal(Opened::open(&gate.file(), None)).contains("others may read it (mode 644); chmod 600 it"));
    std::fs::remove_file(&key).expect("it is there");
    let why = refusal(Opened::open(&gate.file(), None));
    assert!(why.contains("another fingerprint key") && why.contains("pins.redb.key"), "{why}");
    assert!(!key.exists(), "no other key is made in its place");
    let why = refusal(Opened::open(&gate.file(), Some([1; 16])));
    assert!(why.contains("restore affinity.fingerprint_key"), "{why}");
    assert_eq!(Opened::open(&gate.file(), Some(first)).expect("it fits").secret, first);
    std::fs::write(&key, "nonsense").expect("it can be written");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    assert!(refusal(Opened::open(&gate.file(), None)).contains("32 hexadecimal digits"));
}

#[test]
fn what_is_no_store_or_damaged_is_refused_and_left_alone() {
    let gate = Gate::new();
    let (disk, _) = gate.open(true);
    (0..2_000).for_each(|key| drop(gate.request(key)));
    disk.close();
    let whole = std::fs::read(gate.file()).expect("it can be read");
    let check = |name: &str, bytes: &[u8]| {
        std::fs::write(gate.file(), bytes).expect("it can be written");
        let opened = Opened::open(&gate.file(), None).and_then(|opened| {
            let other = gate.again();
            opened.serve(&other.affinity, true, Now(other.now)).map(|(_, restored)| restored)
        });
        match opened {
            Err(OpenError::Damaged { why, .. }) => {
                assert!(!why.is_empty());
                assert_eq!(std::fs::read(gate.file()).expect("it can be read"), bytes, "{name}: it was changed");
            }
            // A page that nothing uses any more may hold anything.
            Ok(restored) if name.starts_with("byte") => assert_eq!(restored.conversations, 2_000, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    };
    check("text", &b"listeners: []\n".repeat(1000));
    check("short text", b"hello");
    check("cut", &whole[..whole.len() / 2]);
    check("zeros", &vec![0; whole.len()]);
    for at in (0..whole.len()).step_by(whole.len() / 60) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        check(&format!("byte {at}"), &bytes);
    }

    let redb = redb::Database::create(gate.folder.path().join("other.redb")).expect("it can be made");
    let write = redb.begin_write().expect("it is ours");
    write.open_table(redb::TableDefinition::<u32, u32>::new("others")).expect("a table");
    write.commit().expect("it can be written");
    drop(redb);
    let why = refusal(Opened::open(&gate.folder.path().join("other.redb"), None));
    assert!(why.contains("no store of Castile") && why.contains("move it away"), "{why}");
}

#[test]
fn an_earlier_schema_is_read_and_becomes_this_one_with_the_first_commit() {
    let gate = Gate::new();
    let (disk, _) = gate.open(true);
    let node = gate.request(1);
    disk.close();
    gate.set_schema(1);
    let schema = || {
        let table = redb::TableDefinition::<&str, &[u8]>::new("castile");
        let redb = redb::Database::open(gate.file()).expect("it is there");
        let meta = redb::ReadableDatabase::begin_read(&redb).expect("a state").open_table(table).expect("a table");
        meta.get("schema").expect("it can be read").expect("it is there").value()[0]
    };
    let again = gate.again();
    let (disk, restored) = again.open(true);
    assert_eq!((restored.conversations, again.find(1)), (1, Some(node)));
    again.request(2);
    disk.close();
    assert_eq!(schema(), 2);
}

#[test]
fn a_later_schema_is_left_alone() {
    let gate = Gate::new();
    gate.open(true).0.close();
    gate.set_schema(3);
    let why = refusal(Opened::open(&gate.file(), None));
    assert!(why.contains("its schema is 3, and this version reads 2"), "{why}");
}

/// A disk that is full as long as it is told so.
#[derive(Debug)]
struct Failing {
    inner: redb::backends::FileBackend,
    full: Arc<AtomicBool>,
}

impl Failing {
    fn room(&self) -> std::io::Result<()> {
        match self.full.load(SeqCst) {
            true => Err(std::io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl StorageBackend for Failing {
    fn len(&self) -> std::io::Result<u64> {
        self.inner.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.inner.read(offset, out)
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.room().and_then(|()| self.inner.set_len(len))
    }
    fn sync_data(&self) -> std::io::Result<()> {
        self.room().and_then(|()| self.inner.sync_data())
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.room().and_then(|()| self.inner.write(offset, data))
    }
    fn close(&self) -> std::io::Result<()> {
        self.inner.close()
    }
    fn try_lock_range(&self, start: std::ops::Bound<u64>, end: std::ops::Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }
    fn unlock_range(&self, start: std::ops::Bound<u64>, end: std::ops::Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }
}

fn failing(full: &Arc<AtomicBool>) -> Medium {
    let full = Arc::clone(full);
    Box::new(move |path| {
        let file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| DatabaseError::Storage(error.into()))?;
        let inner = redb::backends::FileBackend::new(file)?;
        Ok(Box::new(Failing { inner, full: Arc::clone(&full) }))
    })
}

#[test]
fn a_full_disk_stops_nobody_and_all_is_written_once_there_is_room() {
    let gate = Gate::new();
    let full = Arc::new(AtomicBool::new(false));
    let file = StoreFile::open(&gate.file(), &failing(&full)).expect("a new store");
    key::secret(&file, None).expect("a key");
    let disk = Disk::start(file, failing(&full), &gate.affinity, true, false).expect("a thread");
    let early: Vec<String> = (0..100).map(|key| gate.request(key)).collect();
    gate.settle(&disk);

    full.store(true, SeqCst);
    let late: Vec<String> = (100..200).map(|key| gate.request(key)).collect();
    wait_for("trouble", || disk.trouble().is_some());
    assert!(disk.settled() == u64::MAX, "nobody waits");
    let why = disk.trouble().expect("it was there");
    assert!(why.contains("pins.redb"), "{why}");
    // Moved and ended while nobody could note it.
    while gate.affinity.sweep(Now(gate.now), 100) == 100 {}

    full.store(false, SeqCst);
    wait_for("the end of it", || disk.trouble().is_none());
    gate.request(200);
    gate.settle(&disk);
    disk.close();

    let again = gate.again();
    let (_disk, restored) = again.open(true);
    assert_eq!(restored.conversations, 201, "{restored:?}");
    for (key, node) in early.iter().chain(&late).enumerate() {
        assert_eq!(again.find(key as u64).as_ref(), Some(node), "{key}");
    }
}

#[test]
fn a_disk_that_fails_for_good_leaves_what_was_there_before() {
    let gate = Gate::new();
    let full = Arc::new(AtomicBool::new(false));
    let file = StoreFile::open(&gate.file(), &failing(&full)).expect("a new store");
    key::secret(&file, None).expect("a key");
    let disk = Disk::start(file, failing(&full), &gate.affinity, true, false).expect("a thread");
    let early: Vec<String> = (0..100).map(|key| gate.request(key)).collect();
    gate.settle(&disk);
    full.store(true, SeqCst);
    (100..200).for_each(|key| drop(gate.request(key)));
    wait_for("trouble", || disk.trouble().is_some());
    disk.close();
    let again = gate.again();
    let (_disk, restored) = again.open(true);
    assert_eq!(restored.conversations, 100, "{restored:?}");
    for (key, node) in early.iter().enumerate() {
        assert_eq!(again.find(key as u64).as_ref(), Some(node), "{key}");
    }
}

#[test]
fn who_waits_too_long_spares_the_others() {
    let gate = Gate::new();
    let (disk, _) = gate.open(true);
    gate.request(1);
    gate.settle(&disk);
    // The commit that is settled may still be ending, and then it ends this, too.
    wait_for("that nobody waits", || {
        disk.is_late();
        disk.settled() == u64::MAX && disk.trouble().is_some()
    });
    assert!(disk.counts().late.load(SeqCst) > 0);
    gate.request(2);
    wait_for("the next commit", || disk.trouble().is_none() && disk.settled() != u64::MAX);
    disk.close();
}

#[test]
fn a_store_taken_over_follows_the_table() {
    let gate = Gate::new();
    let (disk, _) = gate.open(true);
    (0..100).for_each(|key| drop(gate.request(key)));
    disk.close();
    // The next process was told of the table otherwise, under other numbers.
    let next = gate.again();
    (50..100).rev().for_each(|key| drop(next.request(key)));
    let opened = Opened::open(&next.file(), None).expect("it is free");
    let disk = opened.follow(&next.affinity, true).expect("a thread");
    wait_for("the whole table", || disk.counts().written.load(SeqCst) >= 50);
    next.request(1_000);
    disk.close();
    let last = next.again();
    let (_disk, restored) = last.open(true);
    assert_eq!((restored.conversations, restored.keys), (51, 102), "{restored:?}");
}
