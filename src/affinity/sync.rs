//! The locks and counters of the table.
//!
//! One place, so that `tests/shuttle` can put its own in: there every use of them is a point at which another thread may go
//! on, and the threads are led through thousands of orders. That build alone sets `cfg(shuttle)`.

#[cfg(not(shuttle))]
pub(super) use parking_lot::{Mutex, MutexGuard, RwLock, RwLockWriteGuard};
#[cfg(not(shuttle))]
pub(super) use std::hint::spin_loop;
#[cfg(not(shuttle))]
pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

#[cfg(shuttle)]
pub(super) use shuttle::hint::spin_loop;
#[cfg(shuttle)]
pub(super) use shuttle::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
#[cfg(shuttle)]
pub(super) use shuttle::sync::{MutexGuard, RwLockWriteGuard};
#[cfg(shuttle)]
pub(super) use shuttled::{Mutex, RwLock};

/// shuttle's locks, which are those of `std`, with the manners of `parking_lot`: no poison.
#[cfg(shuttle)]
mod shuttled {
    use shuttle::sync::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};

    const UNPOISONED: &str = "a thread that panics ends the whole run";

    #[derive(Debug, Default)]
    pub(in super::super) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect(UNPOISONED)
        }

        pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }
    }

    #[derive(Debug, Default)]
    pub(in super::super) struct RwLock<T>(shuttle::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().expect(UNPOISONED)
        }

        pub fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().expect(UNPOISONED)
        }
    }
}
