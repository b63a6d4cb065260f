//! Counts of what a source has done, for metrics. Only counts: nothing here names a token.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the process began.
#[derive(Debug, Default)]
pub struct Figures {
    generated: AtomicU64,
    not_generated: AtomicU64,
    not_stored: AtomicU64,
    refused: AtomicU64,
    waited: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Tokens generated.
    pub generated: u64,
    /// Attempts to generate that gave none.
    pub not_generated: u64,
    /// Attempts to store that failed.
    pub not_stored: u64,
    /// Tokens that a product refused.
    pub refused: u64,
    /// Times a lease was busy.
    pub waited: u64,
}

impl Figures {
    /// The counters now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            generated: read(&self.generated),
            not_generated: read(&self.not_generated),
            not_stored: read(&self.not_stored),
            refused: read(&self.refused),
            waited: read(&self.waited),
        }
    }

    pub(super) fn generated(&self) {
        self.generated.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn not_generated(&self) {
        self.not_generated.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn not_stored(&self) {
        self.not_stored.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn waited(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }
}
