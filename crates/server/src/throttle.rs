//! Slowing down those who guess. A failure is charged to the source address and the client or key it
//! was aimed at together, so that a stranger elsewhere can't lock the true owner out.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use tokenward_core::time::{BootInstant, Clock};
use uuid::Uuid;

/// Failures allowed in a burst.
const BURST: f64 = 20.0;
/// Failures forgiven a second.
const PER_SECOND: f64 = 0.5;
/// Pairs remembered; beyond it all are forgotten, which favours the guesser for a moment but bounds
/// the memory.
const PAIRS_MAX: usize = 100_000;

/// Failed attempts by source and target.
#[derive(Debug, Default)]
pub struct Throttle {
    buckets: Mutex<HashMap<(IpAddr, Uuid), Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    failures: f64,
    at: BootInstant,
}

impl Throttle {
    /// Seconds this source must wait before it may try this target again; 0 means go on.
    #[must_use]
    pub fn wait_seconds(&self, source: IpAddr, target: Uuid, clock: &impl Clock) -> u64 {
        let buckets = self.buckets.lock();
        let Some(bucket) = buckets.get(&(source.to_canonical(), target)) else {
            return 0;
        };
        let over = bucket.now(clock.boot()).failures - BURST;
        if over <= -1.0 {
            0
        } else {
            ((over + 1.0) / PER_SECOND).ceil().max(1.0) as u64
        }
    }

    /// Charges a failure.
    pub fn failed(&self, source: IpAddr, target: Uuid, clock: &impl Clock) {
        let now = clock.boot();
        let mut buckets = self.buckets.lock();
        if buckets.len() >= PAIRS_MAX {
            buckets.retain(|_, bucket| bucket.now(now).failures > 0.0);
            if buckets.len() >= PAIRS_MAX {
                buckets.clear();
            }
        }
        let bucket = buckets
            .entry((source.to_canonical(), target))
            .or_insert(Bucket {
                failures: 0.0,
                at: now,
            });
        *bucket = bucket.now(now);
        bucket.failures += 1.0;
    }
}

impl Bucket {
    fn now(self, now: BootInstant) -> Self {
        let seconds = now.0.saturating_sub(self.at.0) as f64 / 1e9;
        Self {
            failures: (self.failures - seconds * PER_SECOND).max(0.0),
            at: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokenward_core::time::Timestamp;

    #[derive(Default)]
    struct Hand(AtomicU64);
    impl Clock for Hand {
        fn wall(&self) -> Timestamp {
            Timestamp(0)
        }
        fn boot(&self) -> BootInstant {
            BootInstant(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn guessing_is_slowed_only_for_the_guesser() {
        let (throttle, clock) = (Throttle::default(), Hand::default());
        let (here, there) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let target = Uuid::from_u128(1);
        for _ in 0..20 {
            assert_eq!(throttle.wait_seconds(here, target, &clock), 0);
            throttle.failed(here, target, &clock);
        }
        assert!(throttle.wait_seconds(here, target, &clock) > 0);
        assert!(throttle.wait_seconds("::ffff:192.0.2.1".parse().unwrap(), target, &clock) > 0);
        assert_eq!(throttle.wait_seconds(there, target, &clock), 0);
        assert_eq!(throttle.wait_seconds(here, Uuid::from_u128(2), &clock), 0);
        clock.0.store(10_000_000_000, Ordering::Relaxed);
        assert_eq!(throttle.wait_seconds(here, target, &clock), 0);
    }
}
