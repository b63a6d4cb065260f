//! Slows down guessing, and limits how often one credential may call. A failed attempt is charged to the caller's
//! network and the client, key or account it was aimed at, together: a caller elsewhere is not affected. What is charged
//! is forgiven at a constant pace, so an entry is one instant: when all of it will be forgiven.
//!
//! Several nodes share a limit by division: each allows the whole burst and forgives its part of the pace, so a caller who asks
//! all of them in turn gets the limit of one in the long run.

use crate::net::addresses::network;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
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
/// Entries remembered; some 20 MB. When it is full the entry that is forgiven soonest goes first: to end somebody's
/// entry early, a caller needs this many others that are charged at least as much at the same time.
const ENTRIES_MAX: usize = 100_000;

/// Failed attempts by source network and target.
#[derive(Debug)]
pub struct Throttle(Meter<(Option<IpAddr>, Uuid)>);

impl Default for Throttle {
    fn default() -> Self {
        Self(Meter::new(SECRETS.0, SECRETS.1))
    }
}

impl Throttle {
    /// For codes of six digits.
    #[must_use]
    pub fn for_codes() -> Self {
        Self(Meter::new(CODES.0, CODES.1))
    }

    /// For failed sign-ins by network.
    #[must_use]
    pub fn for_networks() -> Self {
        Self(Meter::new(NETWORKS.0, NETWORKS.1))
    }

    /// Seconds this source must wait before it may try this target again; 0 means go on.
    #[must_use]
    pub fn wait_seconds(&self, source: Option<IpAddr>, target: Uuid, clock: &impl Clock) -> u64 {
        self.0.wait_seconds(&(network(source), target), clock)
    }

    /// Charges a failure before the attempt, so that attempts side by side are counted one by one; or answers the seconds
    /// to wait, and charges nothing. What was no failure is given back: [`Throttle::forgive`].
    pub fn charge(
        &self,
        source: Option<IpAddr>,
        target: Uuid,
        clock: &impl Clock,
    ) -> Result<(), u64> {
        self.0.charge((network(source), target), clock)
    }

    /// Gives a charge back.
    pub fn forgive(&self, source: Option<IpAddr>, target: Uuid, clock: &impl Clock) {
        self.0.forgive(&(network(source), target), clock);
    }

    /// From now on so many nodes share the limit.
    pub fn share(&self, nodes: u32, clock: &impl Clock) {
        self.0.share(nodes, clock);
    }
}

/// Counts what is charged to each key, and says when the key has to wait.
#[derive(Debug)]
pub struct Meter<K> {
    /// Nanoseconds in which one charge is forgiven.
    each: u64,
    /// Nanoseconds in which a whole burst is forgiven.
    burst: u64,
    entries: Mutex<Entries<K>>,
}

/// The time by which charges are forgiven: that of the boot clock, slower by the number of nodes.
#[derive(Debug)]
struct Pace {
    /// The boot clock's time up to which it has run.
    at: BootInstant,
    /// Its own time then, in nanoseconds.
    time: u64,
    nodes: u64,
}

impl Pace {
    /// Its own time now.
    fn now(&mut self, boot: BootInstant) -> u64 {
        let passed = boot.0.saturating_sub(self.at.0) / self.nodes;
        self.time = self.time.saturating_add(passed);
        self.at = BootInstant(self.at.0 + passed * self.nodes);
        self.time
    }
}

#[derive(Debug)]
struct Entries<K> {
    pace: Pace,
    /// When each key's charges are all forgiven, in nanoseconds of the pace.
    ends: HashMap<K, u64>,
    /// The same, those that end soonest first.
    order: BTreeSet<(u64, K)>,
}

impl<K: Copy + Ord + Hash> Meter<K> {
    /// Allows `burst` charges at once, and `per_second` for ever.
    #[must_use]
    pub fn new(burst: f64, per_second: f64) -> Self {
        let each = (1e9 / per_second).ceil().max(1.0);
        Self {
            each: each as u64,
            burst: (each * burst.max(1.0)) as u64,
            entries: Mutex::new(Entries {
                pace: Pace {
                    at: BootInstant(0),
                    time: 0,
                    nodes: 1,
                },
                ends: HashMap::new(),
                order: BTreeSet::new(),
            }),
        }
    }

    /// From now on so many nodes forgive together what one did alone. What was charged stays.
    pub fn share(&self, nodes: u32, clock: &impl Clock) {
        let pace = &mut self.entries.lock().pace;
        pace.now(clock.boot());
        pace.nodes = nodes.max(1).into();
    }

    /// Seconds until `key` may be charged again; 0 means now.
    #[must_use]
    pub fn wait_seconds(&self, key: &K, clock: &impl Clock) -> u64 {
        let mut entries = self.entries.lock();
        let now = entries.pace.now(clock.boot());
        let end = entries.ends.get(key).copied();
        end.map_or(0, |end| self.wait(end, now, &entries.pace))
    }

    fn wait(&self, end: u64, now: u64, pace: &Pace) -> u64 {
        let charged = end.saturating_sub(now);
        (charged + self.each)
            .saturating_sub(self.burst)
            .saturating_mul(pace.nodes)
            .div_ceil(1_000_000_000)
    }

    /// Charges `key` once; or answers the seconds to wait, and charges nothing.
    pub fn charge(&self, key: K, clock: &impl Clock) -> Result<(), u64> {
        let mut entries = self.entries.lock();
        let now = entries.pace.now(clock.boot());
        let end = entries.ends.get(&key).copied().unwrap_or(0).max(now);
        match self.wait(end, now, &entries.pace) {
            0 => entries.put(key, end + self.each, now),
            wait => return Err(wait),
        }
        Ok(())
    }

    /// Charges `key` once, whatever was charged before is forgiven.
    pub fn renew(&self, key: K, clock: &impl Clock) {
        let mut entries = self.entries.lock();
        let now = entries.pace.now(clock.boot());
        entries.put(key, now + self.each, now);
    }

    /// Gives a charge back.
    pub fn forgive(&self, key: &K, clock: &impl Clock) {
        let mut entries = self.entries.lock();
        let now = entries.pace.now(clock.boot());
        if let Some(end) = entries.ends.get(key).copied() {
            entries.put(*key, end.saturating_sub(self.each), now);
        }
    }
}

impl<K: Copy + Ord + Hash> Entries<K> {
    /// Sets when a key's charges are forgiven, and forgets what is forgiven by now.
    fn put(&mut self, key: K, end: u64, now: u64) {
        if let Some(before) = self.ends.insert(key, end) {
            self.order.remove(&(before, key));
        }
        self.order.insert((end, key));
        while let Some(&(end, soonest)) = self.order.first()
            && (end <= now || self.order.len() > ENTRIES_MAX)
        {
            self.order.pop_first();
            self.ends.remove(&soonest);
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

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn guessing_is_slowed_only_for_the_guesser() {
        let (throttle, clock) = (Throttle::default(), Hand::default());
        let (here, there) = (address("192.0.2.1"), address("192.0.2.2"));
        let target = Uuid::from_u128(1);
        for _ in 0..20 {
            assert_eq!(throttle.wait_seconds(here, target, &clock), 0);
            assert_eq!(throttle.charge(here, target, &clock), Ok(()));
        }
        assert!(throttle.wait_seconds(here, target, &clock) > 0);
        assert!(throttle.wait_seconds(address("::ffff:192.0.2.1"), target, &clock) > 0);
        assert_eq!(throttle.wait_seconds(there, target, &clock), 0);
        assert_eq!(throttle.wait_seconds(None, target, &clock), 0);
        assert_eq!(throttle.wait_seconds(here, Uuid::from_u128(2), &clock), 0);
        clock.0.store(10_000_000_000, Ordering::Relaxed);
        assert_eq!(throttle.wait_seconds(here, target, &clock), 0);
    }

    #[test]
    fn ipv6_addresses_of_one_64_are_one_source() {
        let (throttle, clock) = (Throttle::default(), Hand::default());
        let target = Uuid::from_u128(1);
        let charged = (0..100).filter(|n| {
            let source = address(&format!("2001:db8:1:2::{n:x}"));
            throttle.charge(source, target, &clock).is_ok()
        });
        assert_eq!(charged.count(), 20);
        let next = address("2001:db8:1:3::1");
        assert_eq!(throttle.charge(next, target, &clock), Ok(()));
    }

    #[test]
    fn attempts_side_by_side_are_counted_and_successes_given_back() {
        let (throttle, clock) = (Throttle::for_codes(), Hand::default());
        let (here, target) = (address("192.0.2.1"), Uuid::from_u128(1));
        // All of them begin before any has ended.
        let begun = (0..100).filter(|_| throttle.charge(here, target, &clock).is_ok());
        assert_eq!(begun.count(), 6);
        assert_eq!(throttle.charge(here, target, &clock), Err(60));
        throttle.forgive(here, target, &clock);
        assert_eq!(throttle.charge(here, target, &clock), Ok(()));
        assert!(throttle.charge(here, target, &clock).is_err());
    }

    #[test]
    fn a_flood_of_other_targets_resets_no_ones_entry() {
        let (throttle, clock) = (Throttle::default(), Hand::default());
        let (here, target) = (address("192.0.2.1"), Uuid::from_u128(u128::MAX));
        while throttle.charge(here, target, &clock).is_ok() {}
        let wait = throttle.wait_seconds(here, target, &clock);
        assert!(wait > 0);
        // Each twice, at one instant: nothing is forgiven meanwhile.
        for n in 0..ENTRIES_MAX as u128 * 2 {
            let _ = throttle.charge(here, Uuid::from_u128(n / 2 + 1), &clock);
        }
        for n in 0..ENTRIES_MAX as u128 {
            let _ = throttle.charge(here, Uuid::from_u128(n + 1_000_000), &clock);
        }
        assert_eq!(throttle.wait_seconds(here, target, &clock), wait);
        let entries = throttle.0.entries.lock();
        assert_eq!(entries.ends.len(), ENTRIES_MAX);
        assert_eq!(entries.order.len(), ENTRIES_MAX);
    }

    #[test]
    fn nodes_forgive_together_what_one_forgives_alone() {
        const SECOND: u64 = 1_000_000_000;
        let target = Uuid::from_u128(1);
        for nodes in [1, 3, 10] {
            let (clock, shared) = (
                Hand::default(),
                Vec::from_iter((0..nodes).map(|_| Throttle::default())),
            );
            for throttle in &shared {
                throttle.share(nodes, &clock);
                while throttle.charge(None, target, &clock).is_ok() {}
            }
            // After the bursts: a guess every two seconds, whichever nodes are asked.
            let mut guesses = 0;
            for second in 1..=600 {
                clock.0.store(second * SECOND, Ordering::Relaxed);
                let taken = shared
                    .iter()
                    .filter(|one| one.charge(None, target, &clock).is_ok());
                guesses += taken.count();
            }
            assert_eq!(guesses, 300, "{nodes} nodes");
        }
    }

    #[test]
    fn what_was_charged_stays_when_the_number_of_nodes_changes() {
        let (throttle, clock) = (Throttle::for_codes(), Hand::default());
        let target = Uuid::from_u128(1);
        while throttle.charge(None, target, &clock).is_ok() {}
        assert_eq!(throttle.wait_seconds(None, target, &clock), 60);
        throttle.share(2, &clock);
        assert_eq!(throttle.wait_seconds(None, target, &clock), 120);
        clock.0.store(60_000_000_000, Ordering::Relaxed);
        assert_eq!(throttle.wait_seconds(None, target, &clock), 60);
        throttle.share(1, &clock);
        assert_eq!(throttle.wait_seconds(None, target, &clock), 30);
        throttle.share(0, &clock);
        clock.0.store(90_000_000_000, Ordering::Relaxed);
        assert_eq!(throttle.charge(None, target, &clock), Ok(()));
    }

    #[test]
    fn forgiven_entries_are_forgotten() {
        let (throttle, clock) = (Throttle::default(), Hand::default());
        for n in 0..1000 {
            let _ = throttle.charge(None, Uuid::from_u128(n), &clock);
        }
        clock.0.store(3_000_000_000, Ordering::Relaxed);
        let _ = throttle.charge(None, Uuid::from_u128(5), &clock);
        let entries = throttle.0.entries.lock();
        assert_eq!((entries.ends.len(), entries.order.len()), (1, 1));
    }
}
