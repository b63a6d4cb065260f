//! Slowing down those who guess. A failure is charged to the source address and the client or key it
//! was aimed at together, so that a stranger elsewhere can't lock the true owner out.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use tokenward_core::time::{BootInstant, Clock};
use uuid::Uuid;

/// Failures allowed in a burst, and forgiven a second, where what is guessed is a whole secret or a password.
const SECRETS: (f64, f64) = (20.0, 0.5);
/// The same where it is a code of six digits, counted whoever guesses: 1,440 guesses a day among a million codes,
/// three of which are good at a time.
const CODES: (f64, f64) = (6.0, 1.0 / 60.0);
/// Failed sign-ins from one network, whatever address they name: a password tried on many accounts is slowed like
/// many passwords tried on one. An office behind one address has room for its typing errors; right ones don't count.
const NETWORKS: (f64, f64) = (40.0, 0.2);
/// Pairs remembered; beyond it all are forgotten, which favours the guesser for a moment but bounds
/// the memory.
const PAIRS_MAX: usize = 100_000;

/// Failed attempts by source and target.
#[derive(Debug)]
pub struct Throttle {
    burst: f64,
    per_second: f64,
    buckets: Mutex<HashMap<(IpAddr, Uuid), Bucket>>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::with(SECRETS)
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    failures: f64,
    at: BootInstant,
}

impl Throttle {
    /// For codes of six digits.
    #[must_use]
    pub fn for_codes() -> Self {
        Self::with(CODES)
    }

    /// For failed sign-ins by network.
    #[must_use]
    pub fn for_networks() -> Self {
        Self::with(NETWORKS)
    }

    fn with((burst, per_second): (f64, f64)) -> Self {
        Self {
            burst,
            per_second,
            buckets: Mutex::default(),
        }
    }

    /// Seconds this source must wait before it may try this target again; 0 means go on.
    #[must_use]
    pub fn wait_seconds(&self, source: IpAddr, target: Uuid, clock: &impl Clock) -> u64 {
        let buckets = self.buckets.lock();
        let bucket = buckets.get(&(source.to_canonical(), target));
        bucket.map_or(0, |bucket| self.wait(*bucket, clock.boot()))
    }

    fn wait(&self, bucket: Bucket, now: BootInstant) -> u64 {
        let over = bucket.now(now, self.per_second).failures - self.burst;
        if over <= -1.0 {
            0
        } else {
            ((over + 1.0) / self.per_second).ceil().max(1.0) as u64
        }
    }

    /// Charges a failure.
    pub fn failed(&self, source: IpAddr, target: Uuid, clock: &impl Clock) {
        let now = clock.boot();
        self.with_bucket(source, target, now, |bucket| bucket.failures += 1.0);
    }

    /// Charges a failure before the attempt, so that attempts side by side are counted one by one; or tells the seconds
    /// to wait. What was no failure is given back: [`Throttle::forgive`].
    pub fn charge(&self, source: IpAddr, target: Uuid, clock: &impl Clock) -> Result<(), u64> {
        let now = clock.boot();
        self.with_bucket(source, target, now, |bucket| {
            let wait = self.wait(*bucket, now);
            if wait > 0 {
                return Err(wait);
            }
            bucket.failures += 1.0;
            Ok(())
        })
    }

    /// Gives a charge back.
    pub fn forgive(&self, source: IpAddr, target: Uuid, clock: &impl Clock) {
        self.with_bucket(source, target, clock.boot(), |bucket| {
            bucket.failures = (bucket.failures - 1.0).max(0.0);
        });
    }

    fn with_bucket<T>(
        &self,
        source: IpAddr,
        target: Uuid,
        now: BootInstant,
        act: impl FnOnce(&mut Bucket) -> T,
    ) -> T {
        let per_second = self.per_second;
        let mut buckets = self.buckets.lock();
        if buckets.len() >= PAIRS_MAX {
            buckets.retain(|_, bucket| bucket.now(now, per_second).failures > 0.0);
            if buckets.len() >= PAIRS_MAX {
                buckets.clear();
            }
        }
        let blank = Bucket {
            failures: 0.0,
            at: now,
        };
        let bucket = buckets
            .entry((source.to_canonical(), target))
            .or_insert(blank);
        *bucket = bucket.now(now, per_second);
        act(bucket)
    }
}

impl Bucket {
    fn now(self, now: BootInstant, per_second: f64) -> Self {
        let seconds = now.0.saturating_sub(self.at.0) as f64 / 1e9;
        Self {
            failures: (self.failures - seconds * per_second).max(0.0),
            at: now,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokenward_core::time::Timestamp;

    /// A clock that stands until it is moved, in nanoseconds.
    #[derive(Default)]
    pub(crate) struct Hand(pub(crate) AtomicU64);
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

    #[test]
    fn attempts_side_by_side_are_counted_and_successes_given_back() {
        let (throttle, clock) = (Throttle::for_codes(), Hand::default());
        let (here, target) = ("192.0.2.1".parse().unwrap(), Uuid::from_u128(1));
        // All of them begin before any has ended.
        let begun = (0..100).filter(|_| throttle.charge(here, target, &clock).is_ok());
        assert_eq!(begun.count(), 6);
        assert_eq!(throttle.charge(here, target, &clock), Err(60));
        throttle.forgive(here, target, &clock);
        assert_eq!(throttle.charge(here, target, &clock), Ok(()));
        assert!(throttle.charge(here, target, &clock).is_err());
    }
}
