//! Leaving: tells the connections of a worker that it is time to go.
//!
//! *Retiring*, a worker serves what is connected, and every connection ends with its next answer: a request may be under way
//! to any that is idle. *Stopping*, idle connections end at once.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

/// Whether a worker is stopping, and who waits to hear it.
#[derive(Debug, Default)]
pub struct Stop {
    stopping: Cell<bool>,
    retiring: Cell<bool>,
    waiting: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
}

/// A place among those who wait. Empty until first used.
#[derive(Debug, Default)]
pub struct Place(Option<usize>);

impl Stop {
    /// Whether connections end with their next answer.
    pub fn is_leaving(&self) -> bool {
        self.retiring.get() || self.stopping.get()
    }

    /// Begins to retire: everybody who waits is woken, to look at [`Stop::is_leaving`].
    pub fn retire(&self) {
        self.retiring.set(true);
        self.waiting.borrow().iter().flatten().for_each(Waker::wake_by_ref);
    }

    /// Begins to stop: everybody who waits hears it.
    pub fn begin(&self) {
        self.stopping.set(true);
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        self.free.borrow_mut().clear();
        waiting.into_iter().flatten().for_each(Waker::wake);
    }

    /// Ready once the worker is stopping. Call [`Stop::leave`] when it is no longer awaited.
    pub fn poll(&self, cx: &mut Context<'_>, place: &mut Place) -> Poll<()> {
        if self.stopping.get() {
            place.0 = None;
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.borrow_mut();
        let slot = *place.0.get_or_insert_with(|| {
            self.free.borrow_mut().pop().unwrap_or_else(|| {
                waiting.push(None);
                waiting.len() - 1
            })
        });
        match &mut waiting[slot] {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            other => *other = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Gives up the place.
    pub fn leave(&self, place: &mut Place) {
        if let Some(slot) = place.0.take()
            && let Some(waker) = self.waiting.borrow_mut().get_mut(slot)
        {
            *waker = None;
            self.free.borrow_mut().push(slot);
        }
    }
}
