//! Which returns of a live token are audited. A client with the policy `return` may ask often, and nothing changes: so the
//! audit log holds the first return of a token for each secret and source network in a UTC day, and the usage figures
//! hold how many there were. It is kept in memory: after a restart the first one is audited again.

use crate::net::addresses::network;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use tokenward_core::ids::ClientNo;

/// Audited returns of one client in a day: a caller with many addresses cannot fill the log. Further ones are counted
/// only.
const AUDITED_MAX: usize = 16;

/// What makes a return one that is not audited yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reveal {
    /// The UTC day, counted from 1970-01-01.
    pub day: u32,
    /// Whose token.
    pub client: ClientNo,
    /// The token's generation.
    pub generation: u32,
    /// The number of the secret presented.
    pub secret: u32,
    /// The IP address of the caller.
    pub source: Option<IpAddr>,
}

/// The returns audited today.
#[derive(Debug, Default)]
pub struct Reveals(Mutex<(u32, HashMap<ClientNo, Vec<Reveal>>)>);

impl Reveals {
    /// Returns whether this one is to be audited.
    #[must_use]
    pub fn is_new(&self, reveal: Reveal) -> bool {
        let reveal = counted(reveal);
        let (day, audited) = &*self.0.lock();
        let known = audited.get(&reveal.client).filter(|_| *day == reveal.day);
        known.is_none_or(|known| known.len() < AUDITED_MAX && !known.contains(&reveal))
    }

    /// Remembers one whose audit entry is durable.
    pub fn audited(&self, reveal: Reveal) {
        let reveal = counted(reveal);
        let (day, audited) = &mut *self.0.lock();
        if *day != reveal.day {
            audited.clear();
            *day = reveal.day;
        }
        let known = audited.entry(reveal.client).or_default();
        if !known.contains(&reveal) {
            known.push(reveal);
        }
    }
}

fn counted(reveal: Reveal) -> Reveal {
    Reveal {
        source: network(reveal.source),
        ..reveal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reveal() -> Reveal {
        Reveal {
            day: 7,
            client: ClientNo(1),
            generation: 3,
            secret: 1,
            source: "192.0.2.1".parse().ok(),
        }
    }

    #[test]
    fn the_first_return_of_a_token_secret_and_network_in_a_day_is_audited() {
        let reveals = Reveals::default();
        let first = reveal();
        assert!(reveals.is_new(first));
        assert!(reveals.is_new(first), "its entry is not durable yet");
        reveals.audited(first);
        assert!(!reveals.is_new(first));
        let others = [
            Reveal {
                client: ClientNo(2),
                ..first
            },
            Reveal {
                generation: 4,
                ..first
            },
            Reveal { secret: 2, ..first },
            Reveal {
                source: None,
                ..first
            },
            Reveal { day: 8, ..first },
        ];
        for other in others {
            assert!(reveals.is_new(other), "{other:?}");
        }
    }

    #[test]
    fn a_caller_with_many_addresses_does_not_fill_the_log() {
        let reveals = Reveals::default();
        let entries = (0..1000u32).filter(|n| {
            let source = Some(IpAddr::from(n.to_be_bytes()));
            let one = Reveal { source, ..reveal() };
            let new = reveals.is_new(one);
            if new {
                reveals.audited(one);
            }
            new
        });
        assert_eq!(entries.count(), AUDITED_MAX);
    }
}
