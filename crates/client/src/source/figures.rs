//! Counts of what a source has done, for metrics. Only counts: nothing here names a token.

use std::sync::{Mutex, PoisonError};

/// What has happened since the process began.
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

/// The counters of a source.
#[derive(Debug, Default)]
pub(super) struct Figures(Mutex<Counts>);

impl Figures {
    /// The counters now.
    pub(super) fn counts(&self) -> Counts {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts something.
    pub(super) fn add(&self, what: impl FnOnce(&mut Counts)) {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
