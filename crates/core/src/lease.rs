//! The lease: how long this node may vouch without hearing from its store. A value and a comparison;
//! who renews it and when is decided elsewhere.

use crate::time::BootInstant;
use std::sync::atomic::{AtomicU64, Ordering};

/// The end of the current lease on the node's own boot clock, in nanoseconds.
#[derive(Debug)]
pub struct Lease {
    until: AtomicU64,
}

/// A lease that never ends: for a store that can have one holder only (SQLite behind a file lock).
const FOR_EVER: u64 = u64::MAX;

impl Lease {
    /// No lease: the replica cannot vouch yet.
    #[must_use]
    pub fn none() -> Self {
        Self {
            until: AtomicU64::new(0),
        }
    }

    /// Extends the lease to `until`; it is never shortened this way, so a late answer to an early
    /// renewal does no harm.
    pub fn extend(&self, until: BootInstant) {
        self.until.fetch_max(until.0, Ordering::AcqRel);
    }

    /// Grants a lease without end.
    pub fn grant_for_ever(&self) {
        self.until.store(FOR_EVER, Ordering::Release);
    }

    /// Ends the lease at once: the node knows that it may no longer vouch.
    pub fn end(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Nanoseconds left of it at `now`, 0 when it is over; none when it has no end.
    #[must_use]
    pub fn left(&self, now: BootInstant) -> Option<u64> {
        let until = self.until.load(Ordering::Acquire);
        (until != FOR_EVER).then(|| until.saturating_sub(now.0))
    }

    /// The value a check reads first, before any slot.
    #[must_use]
    #[inline]
    pub fn read(&self) -> LeaseValue {
        LeaseValue(self.until.load(Ordering::Acquire))
    }
}

/// A lease as read before the slot; compared with the clock after it.
#[derive(Clone, Copy, Debug)]
pub struct LeaseValue(u64);

impl LeaseValue {
    /// Whether the lease covers `now`. `now` must have been read after the slot was; it is asked for
    /// only when the lease ends at all.
    #[must_use]
    #[inline]
    pub fn covers(self, now: impl FnOnce() -> BootInstant) -> bool {
        self.0 == FOR_EVER || (self.0 != 0 && now().0 < self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_and_only_grows() {
        let lease = Lease::none();
        assert!(!lease.read().covers(|| BootInstant(0)));
        lease.extend(BootInstant(10));
        lease.extend(BootInstant(5));
        assert!(lease.read().covers(|| BootInstant(9)));
        assert!(!lease.read().covers(|| BootInstant(10)));
        assert_eq!(lease.left(BootInstant(4)), Some(6));
        assert_eq!(lease.left(BootInstant(11)), Some(0));
        lease.grant_for_ever();
        assert_eq!(lease.left(BootInstant(11)), None);
        assert!(lease.read().covers(|| BootInstant(u64::MAX)));
        lease.end();
        assert!(!lease.read().covers(|| BootInstant(0)));
    }
}
