//! Where members signed in lately: a place that is known for an address is let past the limits that are meant for
//! strangers. In memory only; sessions say the same after a restart.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use tokenward_core::time::{BootInstant, Clock};
use uuid::Uuid;

/// Seconds for which a place stays known after a sign-in.
const KNOWN_SECONDS: u64 = 30 * 86_400;
/// Places remembered. Only a right password adds one; beyond it the oldest is forgotten.
const PLACES_MAX: usize = 10_000;

/// Networks and the addresses that people signed in with from there.
#[derive(Debug, Default)]
pub struct Familiar(Mutex<HashMap<(Option<IpAddr>, Uuid), BootInstant>>);

impl Familiar {
    /// Remembers that `target` was proved from `network`.
    pub fn note(&self, network: Option<IpAddr>, target: Uuid, clock: &impl Clock) {
        let mut places = self.0.lock();
        if places.len() >= PLACES_MAX && !places.contains_key(&(network, target)) {
            let oldest = places.iter().min_by_key(|(_, at)| at.0);
            if let Some(oldest) = oldest.map(|(place, _)| *place) {
                places.remove(&oldest);
            }
        }
        places.insert((network, target), clock.boot());
    }

    /// Whether `target` was proved from `network` lately.
    pub fn knows(&self, network: Option<IpAddr>, target: Uuid, clock: &impl Clock) -> bool {
        let places = self.0.lock();
        let at = places.get(&(network, target));
        let age = at.map(|at| clock.boot().0.saturating_sub(at.0) / 1_000_000_000);
        age.is_some_and(|seconds| seconds < KNOWN_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::throttle::tests::Hand;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_place_is_known_for_one_address_and_for_a_time() {
        let (familiar, clock) = (Familiar::default(), Hand::default());
        let (here, there) = ("192.0.2.1".parse().ok(), "192.0.2.2".parse().ok());
        let (asha, ravi) = (Uuid::from_u128(1), Uuid::from_u128(2));
        familiar.note(here, asha, &clock);
        assert!(familiar.knows(here, asha, &clock));
        assert!(!familiar.knows(there, asha, &clock));
        assert!(!familiar.knows(here, ravi, &clock));
        clock
            .0
            .store(KNOWN_SECONDS * 1_000_000_000, Ordering::Relaxed);
        assert!(!familiar.knows(here, asha, &clock));
    }

    #[test]
    fn the_oldest_place_is_forgotten_first() {
        let (familiar, clock) = (Familiar::default(), Hand::default());
        let here = "192.0.2.1".parse().ok();
        for n in 0..=PLACES_MAX {
            clock.0.store(n as u64, Ordering::Relaxed);
            familiar.note(here, Uuid::from_u128(n as u128), &clock);
        }
        assert_eq!(familiar.0.lock().len(), PLACES_MAX);
        assert!(!familiar.knows(here, Uuid::from_u128(0), &clock));
        assert!(familiar.knows(here, Uuid::from_u128(1), &clock));
    }
}
