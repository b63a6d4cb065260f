//! Who used a token last: noted in memory by the checks, written in batches, never a write per check.
//! A crash loses at most what is held here, and nothing else.

use crate::net::addresses;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use tokenward_core::attach::{Permitted, Used};
use tokenward_core::ids::{ClientNo, ProductNo};
use tokenward_core::{Permit, Replica, Timestamp};
use tokenward_store::Use;

/// A token's use is noted at most once in this time.
const EVERY_SECONDS: u32 = 60;
/// Uses held before they are written; more are not noted until there is room again. At the pace of
/// [`crate::process::serve`] that is half a minute of writing.
const HELD_MAX: usize = 65_536;

/// A use as a check notes it: as little work as can be.
type Noted = (u32, Timestamp, Option<IpAddr>, ProductNo, u32);

/// Uses not yet written, or written so lately that who has just read the store may not have seen them.
#[derive(Debug, Default)]
pub struct Usage {
    held: Mutex<Held>,
    /// Whether there is no room: known without the lock.
    full: AtomicBool,
}

#[derive(Debug, Default)]
struct Held {
    /// In the order they were noted.
    noted: VecDeque<Noted>,
    /// How many of them, the oldest, were taken for writing. They stay until the next are taken: else they
    /// would be told of neither here nor by the store while they are written.
    taken: usize,
}

impl Usage {
    /// Notes a permitted use.
    pub fn note(&self, replica: &Replica, permit: &Permit, address: Option<IpAddr>) {
        let (client, at) = (permit.client_no(), permit.checked_at());
        let noted = (client, at, address, permit.product(), permit.generation());
        self.note_one(replica, noted);
    }

    /// Notes a use unless one of the same token was noted lately.
    #[inline]
    fn note_one(&self, replica: &Replica, noted: Noted) {
        let (client, at, _, _, generation) = noted;
        let seconds = u32::try_from(at.unix_seconds()).unwrap_or(0);
        if replica.note_use(client, generation, seconds, EVERY_SECONDS)
            && !self.full.load(Ordering::Relaxed)
        {
            let mut held = self.held.lock();
            held.noted.push_back(noted);
            self.full
                .store(held.noted.len() >= HELD_MAX, Ordering::Relaxed);
        }
    }

    /// Notes the permitted checks that an attached replica reports, like the node's own.
    pub fn permitted_elsewhere(&self, replica: &Replica, all: &[Permitted]) {
        for one in all {
            let (client, at) = (one.client.0, one.last_at);
            let noted = (client, at, one.address, one.product, one.generation);
            self.note_one(replica, noted);
        }
    }

    /// Takes over uses that an attached replica of an older version noted.
    pub fn take_over(&self, replica: &Replica, uses: &[Used]) {
        let clients = replica.client_count();
        let mut held = self.held.lock();
        let room = HELD_MAX.saturating_sub(held.noted.len());
        let known = uses.iter().filter(|used| used.client.index() < clients);
        // The replica does not say which generation it was.
        let noted = known.map(|used| (used.client.0, used.at, used.address, used.product, 0));
        held.noted.extend(noted.take(room));
        self.full
            .store(held.noted.len() >= HELD_MAX, Ordering::Relaxed);
    }

    /// The last use of a client that the store may not tell of yet.
    #[must_use]
    pub fn pending(&self, client: ClientNo) -> Option<Use> {
        let held = self.held.lock();
        held.noted
            .iter()
            .rev()
            .find(|noted| noted.0 == client.0)
            .copied()
            .map(described)
    }

    /// Takes up to `most` uses for writing, the oldest first, and of each client the last among them. Those
    /// taken before are written by now, or lost.
    #[must_use]
    pub fn take(&self, most: usize) -> Vec<Use> {
        let mut taken: Vec<Noted> = {
            let mut held = self.held.lock();
            let before = std::mem::take(&mut held.taken);
            held.noted.drain(..before);
            held.taken = held.noted.len().min(most);
            let taken = held.noted.range(..held.taken).copied().collect();
            self.full
                .store(held.noted.len() >= HELD_MAX, Ordering::Relaxed);
            taken
        };
        // Stable, so the later of two uses of one client stays behind the earlier.
        taken.sort_by_key(|noted| noted.0);
        let last_of_each = taken.chunk_by(|a, b| a.0 == b.0).filter_map(<[_]>::last);
        last_of_each.copied().map(described).collect()
    }
}

fn described((client, at, address, product, generation): Noted) -> Use {
    Use {
        client: ClientNo(client),
        at,
        source: addresses::text(address),
        product,
        generation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_told_of_while_it_is_written() {
        let usage = Usage::default();
        let noted = |client, micros| {
            let address = Some(IpAddr::from([10, 0, 0, 7]));
            (client, Timestamp(micros), address, ProductNo(0), 1)
        };
        let told = |client| usage.pending(ClientNo(client)).map(|told| told.at.0);
        let taken = |most| -> Vec<_> {
            let taken = usage.take(most);
            taken.iter().map(|one| (one.client.0, one.at.0)).collect()
        };
        usage.held.lock().noted.extend([noted(1, 5), noted(2, 6)]);
        usage.held.lock().noted.push_back(noted(1, 7));
        assert_eq!(taken(3), [(1, 7), (2, 6)]);
        assert_eq!((told(1), told(2)), (Some(7), Some(6)));

        usage.held.lock().noted.push_back(noted(2, 8));
        assert_eq!((told(1), told(2)), (Some(7), Some(8)));
        assert_eq!(taken(3), [(2, 8)]);
        assert_eq!((told(1), told(2)), (None, Some(8)));
        assert_eq!(taken(3), []);
        assert_eq!(told(2), None);
    }
}
