//! One value for each thread behind a lock that is hardly ever contended: threads add to their own, one thread collects
//! them all now and then.

use parking_lot::{Mutex, MutexGuard};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More values than there are check threads on any machine of today, so that hardly two threads share one. One that is
/// not used costs nothing.
const VALUES: usize = 64;

/// A value with cache lines to itself, so that its neighbour's lock does not slow it down.
#[derive(Default, Debug)]
#[repr(align(128))]
struct Padded<T>(Mutex<T>);

/// A value for each thread; with more than 64 threads, some share one.
#[derive(Debug)]
pub struct PerThread<T>([Padded<T>; VALUES]);

impl<T: Default> Default for PerThread<T> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Padded::default()))
    }
}

impl<T> PerThread<T> {
    /// Locks the value of the calling thread.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0[index()].0.lock()
    }

    /// Locks the values one after another, whoever they belong to.
    pub fn each(&self) -> impl Iterator<Item = MutexGuard<'_, T>> {
        self.0.iter().map(|value| value.0.lock())
    }
}

/// The place of this thread's values.
#[inline]
fn index() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static INDEX: Cell<usize> = const { Cell::new(usize::MAX) });
    INDEX.with(|index| {
        if index.get() == usize::MAX {
            index.set(THREADS.fetch_add(1, Ordering::Relaxed) % VALUES);
        }
        index.get()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collecting_sees_what_every_thread_added() {
        let sums = PerThread::<u64>::default();
        std::thread::scope(|scope| {
            for n in 1..=100 {
                let sums = &sums;
                scope.spawn(move || *sums.lock() += n);
            }
        });
        assert_eq!(sums.each().map(|sum| *sum).sum::<u64>(), 5_050);
    }
}
