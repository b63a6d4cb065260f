//! What this replica's checks permitted, until the node is told: by client, product and source, for the record only.
//!
//! A check adds to a map of its own thread's; whoever tells the node empties the maps. Everything is bounded: what there is no
//! room for is left out and counted.

use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use tokenward_core::attach::Permitted;
use tokenward_core::ids::{ClientNo, ProductNo};
use tokenward_core::sources::{FirstSources, Source};
use tokenward_core::time::Timestamp;
use tokenward_system::PerThread;

/// Clients, products and sources in one map, some 1 MiB.
const NOTED_MAX: usize = 1 << 14;
/// The same in all that waits to be told, some 20 MiB.
const WAITING_MAX: usize = 1 << 17;

/// Client, product and source as a check notes them.
type Noted = HashMap<(u32, u32, Option<IpAddr>), Sum>;

#[derive(Clone, Copy, Debug)]
struct Sum {
    n: u32,
    last_at: Timestamp,
    /// Of the last check.
    generation: u32,
    address: Option<IpAddr>,
}

impl Sum {
    fn add(&mut self, other: Self) {
        let n = self.n.saturating_add(other.n);
        if other.last_at >= self.last_at {
            *self = other;
        }
        self.n = n;
    }
}

/// What one thread noted.
#[derive(Default, Debug)]
struct Notes {
    noted: Noted,
    lost: u64,
}

#[derive(Default, Debug)]
struct Waiting {
    first: FirstSources<u32>,
    sums: BTreeMap<(u32, u32, Source), Sum>,
    /// Memory for the next map to be emptied.
    spare: Noted,
}

/// Permitted checks that have not been reported to the node yet.
#[derive(Default, Debug)]
pub(crate) struct Uses {
    notes: PerThread<Notes>,
    waiting: Mutex<Waiting>,
}

impl Uses {
    /// Notes a permitted check of a client for a product: no more than adding to a map.
    #[inline]
    pub(crate) fn note(
        &self,
        (client, generation): (u32, u32),
        product: ProductNo,
        address: Option<IpAddr>,
        at: Timestamp,
    ) {
        let sum = Sum {
            n: 1,
            last_at: at,
            generation,
            address,
        };
        let key = (client, product.0, address);
        let mut notes = self.notes.lock();
        if let Some(known) = notes.noted.get_mut(&key) {
            known.add(sum);
        } else if notes.noted.len() < NOTED_MAX {
            notes.noted.insert(key, sum);
        } else {
            notes.lost += 1;
        }
    }

    /// Takes up to `most` entries to be told on the UTC day `today`, and how many checks were left out for want of room since the last
    /// call. What was noted earlier is taken before anything noted later.
    #[must_use]
    pub(crate) fn take(&self, today: u32, most: usize) -> (Vec<Permitted>, u64) {
        let mut waiting = self.waiting.lock();
        let mut lost = 0;
        if waiting.sums.is_empty() {
            for mut notes in self.notes.each() {
                let mut spare = std::mem::take(&mut waiting.spare);
                std::mem::swap(&mut notes.noted, &mut spare);
                lost += std::mem::take(&mut notes.lost);
                drop(notes);
                for ((client, product, address), sum) in spare.drain() {
                    let source = waiting.first.place(today, client, address);
                    let key = (client, product, source);
                    if let Some(known) = waiting.sums.get_mut(&key) {
                        known.add(sum);
                    } else if waiting.sums.len() < WAITING_MAX {
                        waiting.sums.insert(key, sum);
                    } else {
                        lost += u64::from(sum.n);
                    }
                }
                waiting.spare = spare;
            }
        }
        let next = std::iter::from_fn(|| waiting.sums.pop_first()).take(most);
        let told = next.map(|((client, product, source), sum)| Permitted {
            client: ClientNo(client),
            generation: sum.generation,
            product: ProductNo(product),
            address: sum.address,
            others: source == Source::Others,
            n: sum.n,
            last_at: sum.last_at,
        });
        (told.collect(), lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(uses: &Uses, client: u32, last: u8, at: i64) {
        let address = Some(IpAddr::from([192, 0, 2, last]));
        uses.note((client, 4), ProductNo(0), address, Timestamp(at));
    }

    #[test]
    fn sources_are_added_up_and_those_beyond_the_first_together() {
        let uses = Uses::default();
        for last in 0..20 {
            note(&uses, 1, last, i64::from(last));
        }
        note(&uses, 1, 3, 99);
        let (told, lost) = uses.take(7, 100);
        assert_eq!((told.len(), lost), (17, 0));
        assert_eq!(told.iter().map(|one| one.n).sum::<u32>(), 21);
        let others: Vec<_> = told.iter().filter(|one| one.others).collect();
        // Five if the one that came twice is among them.
        assert!(
            others.len() == 1 && matches!(others[0].n, 4 | 5),
            "{told:?}"
        );
        // Sources already told apart stay so for the rest of the day, whichever came first.
        let (again, _) = {
            (0..20).for_each(|last| note(&uses, 1, last, 100));
            uses.take(7, 100)
        };
        let apart = |told: &[Permitted]| -> Vec<_> {
            let apart = told.iter().filter(|one| !one.others);
            apart.map(|one| one.address).collect()
        };
        assert_eq!(apart(&again), apart(&told));
        assert_eq!(uses.take(7, 100), (Vec::new(), 0));
    }

    #[test]
    fn every_entry_has_its_turn_and_the_last_use_is_the_latest() {
        let uses = Uses::default();
        (0..5).for_each(|client| note(&uses, client, 1, 10));
        let clients = |most| -> Vec<u32> {
            let (told, _) = uses.take(7, most);
            told.iter().map(|one| one.client.0).collect()
        };
        assert_eq!(clients(2), [0, 1]);
        // Noted later, told later.
        (0..2).for_each(|client| note(&uses, client, 1, 11));
        assert_eq!(clients(2), [2, 3]);
        assert_eq!(clients(2), [4]);
        assert_eq!(clients(2), [0, 1]);
        uses.note((1, 5), ProductNo(0), None, Timestamp(30));
        uses.note((1, 4), ProductNo(0), None, Timestamp(20));
        let (told, _) = uses.take(7, 9);
        assert_eq!((told[0].n, told[0].generation), (2, 5));
        assert_eq!(told[0].last_at, Timestamp(30));
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let uses = Uses::default();
        let most = u32::try_from(NOTED_MAX).unwrap();
        (0..most + 3).for_each(|client| note(&uses, client, 1, 10));
        note(&uses, 0, 1, 11);
        let (told, lost) = uses.take(7, usize::MAX);
        assert_eq!((told.len(), lost), (NOTED_MAX, 3));
        assert_eq!(told[0].n, 2);
    }
}
