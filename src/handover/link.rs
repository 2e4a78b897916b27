//! Two tables kept in step: what either process binds, the other one knows before a client can use it.
//!
//! A link stands on a stream between two processes. What changes in this process's table goes out (it is a
//! [`Sink`] of the journal); what comes in is applied by a [`Follower`] and acknowledged. Nothing echoes: what a link itself
//! applies it does not tell back. But other sinks hear it, and are waited for before it is acknowledged: so three processes
//! in a row agree, and what one binds is in the store that another one owns.
//!
//! **Learnt before used.** While [`Link::wait`] holds, a change is settled once the other process has acknowledged that it is in
//! its table, and in its store where that matters; answers that bind wait for it. It takes the time of two context switches.
//! Whoever does not acknowledge for [`PATIENCE`] is no longer waited for until they do: a store first, a process that hangs as well.
//! One that is gone ends the link.
//!
//! Reading and writing have a thread each: requests wait for what they do, so they share no runtime with anything slow.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::found::FoundState;
use super::message::{self, Message, NodeState};
use crate::affinity::{Change, Follower, Rule, Sink};
use crate::gateway::{Gateway, REGISTER, Registration};
use crate::store::change::Names;
use crate::upstream::Live;

/// How long answers wait for an acknowledgement. A process that needs longer hangs; its pins are then late, not lost.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the writer looks whether that time is over.
const TICK: Duration = Duration::from_millis(100);
/// Bytes that wait to be sent before the walk through the table pauses.
const PAUSE_BYTES: usize = 4 << 20;
/// Bytes that wait to be sent before the other process is given up.
const BYTES_MAX: usize = 256 << 20;
/// Changes applied between two acknowledgements, at most.
const ACK_EVERY: u32 = 256;

thread_local! {
    /// The number of the link for which this thread applies changes at present.
    static APPLYING: Cell<u64> = const { Cell::new(0) };
}

/// Numbers links, from 1.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// This end of a link. Dropping it leaves the link as it is; [`Link::end`] ends it.
#[derive(Debug, Clone)]
pub struct Link(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    number: u64,
    gateway: Arc<Gateway>,
    /// This process is the successor.
    succeeds: bool,
    stream: UnixStream,
    outgoing: Mutex<Outgoing>,
    /// Something is to be sent, was sent, or the link has ended.
    changed: Condvar,
    /// Answers wait for acknowledgements.
    waits: AtomicBool,
    /// Nobody waits for these although they should.
    late_table: AtomicBool,
    late_store: AtomicBool,
    /// Conversations told by the other process.
    heard: AtomicU64,
}

#[derive(Debug, Default)]
struct Outgoing {
    bytes: Vec<u8>,
    /// Bytes in the hands of the thread that writes.
    on_its_way: usize,
    /// The last position told at all, and the last one that was sent.
    told: u64,
    sent: u64,
    /// What the other process has in its table, and wherever it has to be.
    applied: Reached,
    settled: Reached,
    /// Up to where the other process's changes are applied here.
    known: u64,
    /// Changes of the other process that others must have before they are acknowledged: their position there, ours here.
    pending: VecDeque<(u64, u64)>,
    /// What was acknowledged last.
    acknowledged: u64,
    is_over: bool,
}

/// How far the other process has come.
#[derive(Debug, Default)]
struct Reached {
    position: u64,
    /// Since when something that was sent has been waiting for its acknowledgement.
    since: Option<Instant>,
}

impl Reached {
    fn reach(&mut self, position: u64, sent: u64) {
        self.position = self.position.max(position);
        self.since = (self.position < sent).then(Instant::now);
    }

    fn is_late(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() > PATIENCE)
    }
}

/// What a link makes of a message that is not its own.
pub type Told<'a> = &'a mut dyn FnMut(&Link, Message) -> io::Result<()>;

impl Link {
    /// Begins to send what changes. The journal tells from now on. Where both processes bound the same at once, what the one
    /// that `succeeds` bound holds.
    pub fn begin(gateway: Arc<Gateway>, stream: UnixStream, succeeds: bool) -> io::Result<Self> {
        let link = Self(Arc::new(Shared {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            gateway,
            succeeds,
            stream,
            outgoing: Mutex::default(),
            changed: Condvar::new(),
            waits: AtomicBool::new(false),
            late_table: AtomicBool::new(false),
            late_store: AtomicBool::new(false),
            heard: AtomicU64::new(0),
        }));
        let journal = link.0.gateway.affinity.journal();
        journal.attach(link.sink());
        link.0.gateway.affinity.agree(true);
        // What was told before came to nobody's ears here, and the walk makes up for it.
        let position = journal.position();
        {
            let mut outgoing = link.0.outgoing.lock();
            outgoing.told = outgoing.told.max(position);
        }
        let writer = link.clone();
        let spawned = std::thread::Builder::new().name("handover-out".into()).spawn(move || {
            if let Err(error) = writer.write() {
                tracing::debug!(%error, "the other process of the hand-over takes nothing any more");
            }
            writer.end();
        });
        match spawned {
            Ok(_) => Ok(link),
            Err(error) => {
                link.end();
                Err(error)
            }
        }
    }

    fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.0) as Arc<dyn Sink>
    }

    /// Sends a message behind all that was told so far.
    pub fn send(&self, message: &Message) {
        message.write(&mut self.0.outgoing.lock().bytes);
        self.0.changed.notify_all();
    }

    /// Tells the state of a node.
    pub fn send_state(&self, live: &Live) {
        let (group, name) = (live.group().to_string(), live.full_name().to_string());
        self.send(&Message::Node(NodeState { group, name, admin: live.admin(), health: live.health() }));
    }

    /// Tells all nodes that sources of this process told of.
    pub fn send_found(&self, gateway: &Gateway) {
        let registered = gateway.registered();
        for upstream in &gateway.snapshot().upstreams {
            for node in &upstream.config.nodes {
                let Some((source, found)) = node.as_found() else { continue };
                let name = &upstream.config.name;
                let is_this = |one: &&(String, Registration)| {
                    **source == *REGISTER && one.0 == *name && one.1.node.name == found.name
                };
                let until = registered.iter().find(is_this).map_or(0, |(_, registration)| registration.until.0);
                let (upstream, source) = (name.clone(), source.to_string());
                self.send(&Message::Found(FoundState { upstream, source, until, node: found }));
            }
        }
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.0.outgoing.lock().is_over
    }

    /// From now on answers that bind wait until the other process knows.
    pub fn wait(&self) {
        self.0.waits.store(true, Ordering::Release);
        self.0.gateway.affinity.journal().progressed();
    }

    /// Tells of every conversation there is, no faster than the other process takes it. False if the link has ended.
    pub fn walk(&self) -> bool {
        let mut next = Some(0);
        while let Some(from) = next {
            {
                let mut outgoing = self.0.outgoing.lock();
                while outgoing.bytes.len() > PAUSE_BYTES && !outgoing.is_over {
                    self.0.changed.wait_for(&mut outgoing, TICK);
                }
                if outgoing.is_over {
                    return false;
                }
            }
            next = self.0.gateway.affinity.walk(from, 256, &*self.0);
        }
        true
    }

    /// Applies what comes until the other process has gone or said goodbye, which is `Ok`.
    ///
    /// # Errors
    /// The stream fails, nothing comes within its time limit, or `told` refuses a message.
    pub fn read(&self, follower: &mut Follower, told: Told<'_>) -> io::Result<()> {
        let mut names = Names::default();
        let mut body = Vec::new();
        let mut from = BufReader::with_capacity(64 * 1024, &self.0.stream);
        let (mut unacknowledged, mut last) = (0, 0);
        loop {
            match message::read(&mut from, &mut body, &mut names)? {
                Message::Change { position, known, change } => {
                    let rule = if self.0.succeeds { Rule::UnlessLater(known) } else { Rule::Theirs(known) };
                    APPLYING.set(self.0.number);
                    follower.apply_by(&change, rule, self.0.gateway.now());
                    APPLYING.set(0);
                    self.0.outgoing.lock().known = position;
                    self.0.heard.store(follower.sum.conversations as u64, Ordering::Relaxed);
                    unacknowledged += 1;
                    last = position;
                }
                Message::Ack { applied, settled } => self.acknowledged(applied, settled),
                Message::Bye => return Ok(()),
                other => told(self, other)?,
            }
            // Whatever came last: nothing more may come for long, and somebody waits.
            if unacknowledged >= ACK_EVERY || unacknowledged > 0 && from.buffer().is_empty() {
                unacknowledged = 0;
                self.applied(last);
            }
        }
    }

    /// Closes the store, so that the other process can open it, and tells it so. On a thread of its own, because that writes.
    pub fn release_store(&self) {
        let link = self.clone();
        let spawned = std::thread::Builder::new().name("handover-store".into()).spawn(move || {
            if let Some(store) = link.0.gateway.store() {
                store.close();
            }
            link.send(&Message::Released);
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "the successor gets the store when this process ends");
        }
    }

    /// Conversations that the other process has told of.
    pub fn heard(&self) -> u64 {
        self.0.heard.load(Ordering::Relaxed)
    }

    /// The other process may say nothing for so long before [`Link::read`] fails; `None` = for ever.
    pub fn allow_silence(&self, time: Option<Duration>) -> io::Result<()> {
        self.0.stream.set_read_timeout(time)
    }

    /// Ends the link: nobody waits for the other process any more, and nothing is sent.
    pub fn end(&self) {
        {
            let mut outgoing = self.0.outgoing.lock();
            if std::mem::replace(&mut outgoing.is_over, true) {
                return;
            }
        }
        self.0.changed.notify_all();
        // It may be gone already.
        let _ = self.0.stream.shutdown(Shutdown::Both);
        self.0.gateway.affinity.agree(false);
        self.0.gateway.affinity.journal().detach(&self.sink());
    }

    /// Says goodbye behind all that was told, and ends once it is sent or `limit` is over.
    pub fn leave(&self, limit: Duration) {
        self.send(&Message::Bye);
        let until = Instant::now() + limit;
        let mut outgoing = self.0.outgoing.lock();
        while outgoing.bytes.len() + outgoing.on_its_way > 0 && !outgoing.is_over && Instant::now() < until {
            self.0.changed.wait_for(&mut outgoing, TICK);
        }
        drop(outgoing);
        self.end();
    }

    /// Sends until the link ends.
    fn write(&self) -> io::Result<()> {
        self.0.stream.set_write_timeout(Some(TICK))?;
        let mut bytes = Vec::new();
        let mut sent = 0;
        loop {
            {
                let mut outgoing = self.0.outgoing.lock();
                if outgoing.is_over {
                    return Ok(());
                }
                if sent == bytes.len() {
                    bytes.clear();
                    sent = 0;
                    if outgoing.bytes.is_empty() {
                        self.0.changed.wait_for(&mut outgoing, TICK);
                    }
                    std::mem::swap(&mut bytes, &mut outgoing.bytes);
                    self.0.changed.notify_all();
                }
                outgoing.on_its_way = bytes.len() - sent;
            }
            self.look_at_time();
            if sent == bytes.len() {
                continue;
            }
            match (&self.0.stream).write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            self.0.outgoing.lock().on_its_way = bytes.len() - sent;
            self.0.changed.notify_all();
        }
    }

    /// Nobody waits for a process that hangs, or for its store.
    fn look_at_time(&self) {
        let (table, store) = {
            let outgoing = self.0.outgoing.lock();
            (outgoing.applied.is_late(), outgoing.settled.is_late())
        };
        if !self.0.waits.load(Ordering::Acquire) {
            return;
        }
        let mut is_news = false;
        if table && !self.0.late_table.swap(true, Ordering::AcqRel) {
            tracing::warn!("the other process of the hand-over does not answer; nobody waits for it until it does");
            is_news = true;
        }
        if store && !self.0.late_store.swap(true, Ordering::AcqRel) {
            tracing::warn!("the store of the other process takes long; nobody waits for it until it is there");
            is_news = true;
        }
        if is_news {
            self.0.gateway.affinity.journal().progressed();
        }
    }

    /// A change of the other process, at that position there, was applied.
    fn applied(&self, theirs: u64) {
        let journal = self.0.gateway.affinity.journal();
        let ours = journal.position();
        self.0.outgoing.lock().pending.push_back((theirs, ours));
        // Says to every sink, and so to this one, how far the others have come.
        journal.progressed();
        let mut outgoing = self.0.outgoing.lock();
        if !outgoing.pending.is_empty() {
            outgoing.acknowledge();
            self.0.changed.notify_all();
        }
    }

    fn acknowledged(&self, applied: u64, settled: u64) {
        {
            let mut outgoing = self.0.outgoing.lock();
            let sent = outgoing.sent;
            outgoing.applied.reach(applied, sent);
            outgoing.settled.reach(settled, sent);
            if outgoing.settled.since.is_none() {
                self.0.late_store.store(false, Ordering::Release);
            }
        }
        self.0.late_table.store(false, Ordering::Release);
        self.0.gateway.affinity.journal().progressed();
    }
}

impl Outgoing {
    /// Says how far this process has come.
    fn acknowledge(&mut self) {
        Message::Ack { applied: self.known, settled: self.acknowledged }.write(&mut self.bytes);
    }
}

impl Sink for Shared {
    fn tell(&self, position: u64, change: &Change) {
        let mut outgoing = self.outgoing.lock();
        outgoing.told = outgoing.told.max(position);
        if APPLYING.get() == self.number || outgoing.is_over {
            return;
        }
        if outgoing.bytes.len() > BYTES_MAX {
            // It takes nothing. The thread that writes is stuck in the stream until that ends.
            let _ = self.stream.shutdown(Shutdown::Both);
            return;
        }
        let known = outgoing.known;
        message::write_change(&mut outgoing.bytes, position, known, change);
        outgoing.sent = position;
        outgoing.applied.since.get_or_insert_with(Instant::now);
        outgoing.settled.since.get_or_insert_with(Instant::now);
        self.changed.notify_all();
    }

    fn settled(&self) -> u64 {
        if !self.waits.load(Ordering::Acquire) || self.late_table.load(Ordering::Acquire) {
            return u64::MAX;
        }
        let outgoing = self.outgoing.lock();
        let reached = match self.late_store.load(Ordering::Acquire) {
            true => outgoing.applied.position,
            false => outgoing.applied.position.min(outgoing.settled.position),
        };
        if reached >= outgoing.sent { outgoing.told } else { reached }
    }

    fn others_settled(&self, position: u64) {
        let mut outgoing = self.outgoing.lock();
        let mut reached = None;
        while let Some((theirs, ours)) = outgoing.pending.front().copied() {
            if ours > position {
                break;
            }
            outgoing.pending.pop_front();
            reached = Some(theirs);
        }
        if let Some(theirs) = reached {
            outgoing.acknowledged = outgoing.acknowledged.max(theirs);
            outgoing.acknowledge();
            self.changed.notify_all();
        }
    }
}
