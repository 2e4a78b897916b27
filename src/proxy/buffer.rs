//! Read buffers: bytes received and not yet used.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A new buffer: enough for a head and a small body in one read.
pub const SMALL: usize = 8 * 1024;
/// A buffer of a message that streams: one read moves up to this much.
pub const LARGE: usize = 64 * 1024;
/// Small buffers that a worker keeps for the next one who needs one: half a MiB.
const KEPT_SMALL: usize = 64;
/// Large ones: 1 MiB.
const KEPT_LARGE: usize = 16;

/// The buffers that a worker has at hand, so that connections without traffic hold none.
#[derive(Debug, Default)]
pub struct Buffers {
    meter: Rc<Meter>,
    small: RefCell<Vec<Vec<u8>>>,
    large: RefCell<Vec<Vec<u8>>>,
}

/// Bytes that all buffers of a worker hold. It alone writes, so that counting costs no more than a plain number.
#[derive(Debug, Default)]
struct Meter(Arc<AtomicU64>);

impl Meter {
    fn change(&self, from: usize, to: usize) {
        self.0.store(self.0.load(Relaxed).wrapping_add(to as u64).wrapping_sub(from as u64), Relaxed);
    }
}

impl Buffers {
    /// Buffers that say here how many bytes are in use.
    pub fn new(told: Arc<AtomicU64>) -> Self {
        Self { meter: Rc::new(Meter(told)), ..Self::default() }
    }

    fn take(&self, size: usize) -> Vec<u8> {
        let kept = match size {
            SMALL => self.small.borrow_mut().pop(),
            LARGE => self.large.borrow_mut().pop(),
            _ => None,
        };
        kept.unwrap_or_else(|| vec![0; size])
    }

    fn give(&self, bytes: Vec<u8>) {
        let (kept, most) = match bytes.len() {
            SMALL => (&self.small, KEPT_SMALL),
            LARGE => (&self.large, KEPT_LARGE),
            _ => return,
        };
        let mut kept = kept.borrow_mut();
        if kept.len() < most {
            kept.push(bytes);
        }
    }
}

/// Bytes received and not yet used, in one piece. Holds no memory while it is empty and [`Buffer::release`]d.
#[derive(Debug, Default)]
pub struct Buffer {
    /// Where its bytes are counted, once it has had some.
    meter: Option<Rc<Meter>>,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// The bytes at hand.
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The same, to be changed in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// Number of bytes at hand.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether no byte is at hand.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Uses up the first `count` bytes.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "consumed bytes are at hand");
        self.start += count;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Forgets what comes after the first `count` bytes.
    pub fn truncate(&mut self, count: usize) {
        self.end = self.end.min(self.start + count);
    }

    /// Room for the next read, never empty: the buffer grows where it is full, first to [`LARGE`], then twofold. Who calls
    /// this bounds how often.
    pub fn room(&mut self, buffers: &Buffers) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.replace(buffers, buffers.take(SMALL));
        }
        if self.end == self.bytes.len() {
            if self.start > 0 && self.start >= self.bytes.len() / 2 {
                self.bytes.copy_within(self.start..self.end, 0);
            } else {
                let size = if self.bytes.len() < LARGE { LARGE } else { self.bytes.len() * 2 };
                let mut larger = buffers.take(size);
                larger[..self.len()].copy_from_slice(self.filled());
                self.replace(buffers, larger);
            }
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.bytes[self.end..]
    }

    fn replace(&mut self, buffers: &Buffers, bytes: Vec<u8>) {
        self.meter.get_or_insert_with(|| Rc::clone(&buffers.meter)).change(self.bytes.len(), bytes.len());
        buffers.give(std::mem::replace(&mut self.bytes, bytes));
    }

    /// `count` bytes were read into the room.
    pub fn filled_by(&mut self, count: usize) {
        self.end += count;
        debug_assert!(self.end <= self.bytes.len());
    }

    /// Puts bytes behind those at hand.
    #[cfg(test)]
    pub fn extend(&mut self, bytes: &[u8], buffers: &Buffers) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = self.room(buffers);
            let count = room.len().min(rest.len());
            room[..count].copy_from_slice(&rest[..count]);
            self.filled_by(count);
            rest = &rest[count..];
        }
    }

    /// Gives the buffer the size for a message that streams, if it is empty: larger than for a small one, and no larger
    /// than that where much had to be held before.
    pub fn widen(&mut self, buffers: &Buffers) {
        if self.is_empty() && self.bytes.len() != LARGE {
            self.replace(buffers, buffers.take(LARGE));
        }
    }

    /// Gives the memory back, if the buffer is empty.
    pub fn release(&mut self, buffers: &Buffers) {
        if self.is_empty() && !self.bytes.is_empty() {
            self.replace(buffers, Vec::new());
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(meter) = &self.meter {
            meter.change(self.bytes.len(), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let buffers = Buffers::default();
        let mut buffer = Buffer::default();
        let (mut written, mut read) = (0u32, 0u32);
        for step in 0..2000 {
            let count = (step * 37) % 301;
            for _ in 0..count {
                buffer.extend(&[(written % 251) as u8], &buffers);
                written += 1;
            }
            let take = buffer.len().min((step * 53) % 307);
            for byte in &buffer.filled()[..take] {
                assert_eq!(*byte, (read % 251) as u8);
                read += 1;
            }
            buffer.consume(take);
        }
        assert_eq!(buffer.len(), (written - read) as usize);
    }

    #[test]
    fn an_empty_buffer_can_hold_nothing() {
        let buffers = Buffers::default();
        let mut buffer = Buffer::default();
        buffer.extend(b"abc", &buffers);
        buffer.release(&buffers);
        assert_eq!(buffer.filled(), b"abc");
        buffer.consume(3);
        buffer.release(&buffers);
        assert_eq!(buffer.bytes.capacity(), 0);
        assert_eq!(buffers.small.borrow().len(), 1);
    }

    #[test]
    fn what_buffers_hold_is_counted() {
        let told = Arc::<AtomicU64>::default();
        let buffers = Buffers::new(Arc::clone(&told));
        let held = || told.load(Relaxed) as usize;
        let (mut one, mut other) = (Buffer::default(), Buffer::default());
        one.extend(b"a", &buffers);
        other.widen(&buffers);
        assert_eq!(held(), SMALL + LARGE);
        one.extend(&[b'a'; SMALL], &buffers);
        assert_eq!(held(), LARGE + LARGE);
        other.release(&buffers);
        assert_eq!(held(), LARGE);
        drop(one);
        assert_eq!(held(), 0);
    }
}
