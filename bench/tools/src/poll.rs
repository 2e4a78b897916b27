//! Waiting for many sockets: level-triggered epoll.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// An epoll instance and what it last said.
pub struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
}

/// One socket that has something.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    /// As registered.
    pub token: usize,
    /// Something to read, or an end.
    pub read: bool,
    /// Room to write.
    pub write: bool,
}

impl Poll {
    /// Watches nothing yet.
    ///
    /// # Errors
    ///
    /// When the process may have no more descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(256) })
    }

    /// Watches a socket for reading. It is forgotten when it is closed.
    ///
    /// # Errors
    ///
    /// Those of `epoll_ctl`.
    pub fn add(&self, socket: impl AsFd, token: usize) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(token as u64), EventFlags::IN | EventFlags::RDHUP)?)
    }

    /// Watches it for writing, too, or no longer.
    ///
    /// # Errors
    ///
    /// Those of `epoll_ctl`.
    pub fn watch_writing(&self, socket: impl AsFd, token: usize, writing: bool) -> io::Result<()> {
        let more = if writing { EventFlags::OUT } else { EventFlags::empty() };
        let flags = EventFlags::IN | EventFlags::RDHUP | more;
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(token as u64), flags)?)
    }

    /// Waits until something is ready or `limit` is over (none: for ever), and tells what.
    pub fn wait(&mut self, limit: Option<Duration>) -> impl Iterator<Item = Ready> + use<> {
        self.events.clear();
        let limit =
            limit.map(|limit| Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) });
        // An interruption is as good as nothing ready.
        let _ = epoll::wait(&self.epoll, spare_capacity(&mut self.events), limit.as_ref());
        let ready: Vec<Ready> = self
            .events
            .iter()
            .map(|event| {
                let flags = event.flags;
                Ready {
                    token: event.data.u64() as usize,
                    read: flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR | EventFlags::RDHUP),
                    write: flags.contains(EventFlags::OUT),
                }
            })
            .collect();
        ready.into_iter()
    }
}
