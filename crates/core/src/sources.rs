//! The first sources of each client in a day. Their number is bounded, so that a caller with many addresses fills neither
//! memory nor the store. It knows no clock: the day is an argument.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Sources that are told apart of one client in a day: enough to find the machines that hold a token.
pub const SOURCES_MAX: usize = 16;
/// Clients whose sources are told apart in a day, some 30 MiB at most. The others' are counted together.
const CLIENTS_MAX: usize = 1 << 16;

/// A source as it is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    /// One address; none stands for callers whose address is not known.
    One(Option<IpAddr>),
    /// All beyond [`SOURCES_MAX`].
    Others,
}

/// The sources told apart on one day, by `K`.
#[derive(Debug)]
pub struct FirstSources<K> {
    day: u32,
    known: BTreeMap<K, Vec<Option<IpAddr>>>,
}

impl<K> Default for FirstSources<K> {
    fn default() -> Self {
        Self {
            day: 0,
            known: BTreeMap::new(),
        }
    }
}

impl<K: Ord> FirstSources<K> {
    /// Returns `source` as it is counted on `day`: as itself if it is among the first [`SOURCES_MAX`] of `whose`, else as one of
    /// the others. Another day than that of the last call forgets all sources.
    pub fn place(&mut self, day: u32, whose: K, source: Option<IpAddr>) -> Source {
        if self.day != day {
            self.day = day;
            self.known.clear();
        }
        if !self.known.contains_key(&whose) && self.known.len() >= CLIENTS_MAX {
            return Source::Others;
        }
        let known = self.known.entry(whose).or_default();
        if !known.contains(&source) {
            if known.len() >= SOURCES_MAX {
                return Source::Others;
            }
            known.push(source);
        }
        Source::One(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sources_of_a_client_and_day_are_told_apart() {
        let mut first = FirstSources::default();
        let address = |n: usize| Some(IpAddr::from([192, 0, 2, n as u8]));
        for n in 0..SOURCES_MAX {
            assert_eq!(first.place(7, 1, address(n)), Source::One(address(n)));
        }
        assert_eq!(first.place(7, 1, address(200)), Source::Others);
        assert_eq!(first.place(7, 1, address(3)), Source::One(address(3)));
        assert_eq!(first.place(7, 2, address(200)), Source::One(address(200)));
        assert_eq!(first.place(8, 1, address(200)), Source::One(address(200)));
    }

    #[test]
    fn more_clients_than_there_is_room_for_are_counted_together() {
        let mut first = FirstSources::default();
        for client in 0..CLIENTS_MAX {
            assert_eq!(first.place(7, client, None), Source::One(None));
        }
        assert_eq!(first.place(7, CLIENTS_MAX, None), Source::Others);
        assert_eq!(first.place(7, 5, None), Source::One(None));
    }
}
