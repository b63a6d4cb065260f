//! What clients' tokens are used for: counted in memory by the checks, written in batches, never a write
//! per check. A crash loses the counts of the last seconds and nothing else; a clean stop loses none.
//!
//! A check does as little as can be: it puts eight bytes behind those of its own thread. Adding up is
//! done by who writes or reads (`tally`).

mod tally;

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use tally::Tally;
use tokenward_core::attach::Permitted;
use tokenward_core::check::{Denial, Permit};
use tokenward_core::ids::{ClientNo, ProductNo};
use tokenward_core::time::Timestamp;
use tokenward_store::counts::{CheckCount, Outcome, SourceUse};
use tokenward_system::PerThread;

pub use tally::OTHERS;

/// Notes of one thread, 8 MiB: what the fastest thread does in three seconds, when it is emptied in each.
const NOTES_MAX: usize = 1 << 20;
/// Clients' sources of permitted calls of one thread, some 4 MiB. The calls of more are counted without their source.
const SOURCES_MAX: usize = 1 << 16;
/// Uses of former and ended tokens of one thread: such callers are few, or a storm of one.
const STALE_MAX: usize = 16_384;

/// A count as a thread notes it: client, product and outcome in one word. The hour is told by when it is
/// added up, so that what is counted in an hour's last second may be counted into the next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Note(u64);

impl Note {
    /// The number that stands for no product, nor one beyond the 24 bits there are.
    const NO_PRODUCT: u64 = (1 << 24) - 1;

    fn new(client: ClientNo, product: Option<ProductNo>, outcome: Outcome) -> Self {
        let product = product.map_or(Self::NO_PRODUCT, |no| u64::from(no.0));
        let product = product.min(Self::NO_PRODUCT);
        Self(u64::from(client.0) << 32 | product << 8 | u64::from(outcome.number()))
    }

    fn client(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn product(self) -> Option<u32> {
        let product = self.0 >> 8 & Self::NO_PRODUCT;
        (product != Self::NO_PRODUCT).then_some(product as u32)
    }

    fn outcome(self) -> u8 {
        self.0 as u8
    }
}

/// Somebody who presented a former or ended token.
#[derive(Clone, Copy, Debug)]
struct Stale {
    client: u32,
    outcome: Outcome,
    source: Option<IpAddr>,
    at: Timestamp,
}

/// What one thread noted since it was last added up.
#[derive(Default, Debug)]
struct Notes {
    all: Vec<Note>,
    stale: Vec<Stale>,
    /// Permitted calls by client and source: how often, and the last time. Added up where it is noted, for a caller calls
    /// many times from one address.
    sources: HashMap<(u32, Option<IpAddr>), (u64, Timestamp)>,
    /// Notes there was no room for.
    lost: u64,
}

impl Notes {
    #[inline]
    fn push(&mut self, note: Note) {
        if self.all.len() < NOTES_MAX {
            self.all.push(note);
        } else {
            self.lost += 1;
        }
    }
}

/// Counts not yet written.
#[derive(Default, Debug)]
pub struct Counts {
    notes: PerThread<Notes>,
    tally: Mutex<Tally>,
}

/// Counts on their way to the store.
#[derive(Debug, Default)]
pub struct Taken {
    /// By client and hour.
    pub counts: Vec<CheckCount>,
    /// Sources of permitted calls, and of former and ended tokens.
    pub sources: Vec<SourceUse>,
}

impl Counts {
    /// Counts a permit and its source.
    #[inline]
    pub fn permitted(&self, permit: &Permit, source: Option<IpAddr>) {
        let (client, product) = (ClientNo(permit.client_no()), permit.product());
        self.permitted_from(client, product, source, permit.checked_at());
    }

    #[inline]
    fn permitted_from(
        &self,
        client: ClientNo,
        product: ProductNo,
        source: Option<IpAddr>,
        at: Timestamp,
    ) {
        let mut notes = self.notes.lock();
        notes.push(Note::new(client, Some(product), Outcome::Permitted));
        let key = (client.0, source);
        if let Some((n, last)) = notes.sources.get_mut(&key) {
            *n += 1;
            *last = at.max(*last);
        } else if notes.sources.len() < SOURCES_MAX {
            notes.sources.insert(key, (1, at));
        }
    }

    /// Counts the permitted checks that an attached replica reports.
    pub fn permitted_elsewhere<'a>(&self, all: impl Iterator<Item = &'a Permitted>, hour: u32) {
        let mut tally = self.tally.lock();
        all.for_each(|one| tally.permitted(hour, one));
    }

    /// Counts a denial of the client whose real token was presented.
    pub fn denied(
        &self,
        holder: ClientNo,
        product: Option<ProductNo>,
        denial: &Denial,
        source: Option<IpAddr>,
        at: Timestamp,
    ) {
        let Some(outcome) = Outcome::of(denial) else {
            return;
        };
        self.note(Note::new(holder, product, outcome));
        if outcome.is_stale() {
            let mut notes = self.notes.lock();
            if notes.stale.len() < STALE_MAX {
                notes.stale.push(Stale {
                    client: holder.0,
                    outcome,
                    source,
                    at,
                });
            } else {
                notes.lost += 1;
            }
        }
    }

    /// Counts a token generated.
    pub fn generated(&self, client: ClientNo) {
        self.note(Note::new(client, None, Outcome::Generated));
    }

    /// Counts the live token returned to the holder of its secret.
    pub fn returned(&self, client: ClientNo) {
        self.note(Note::new(client, None, Outcome::Returned));
    }

    #[inline]
    fn note(&self, note: Note) {
        self.notes.lock().push(note);
    }

    /// Adds up what all threads noted; answers how many counts were lost for want of room.
    fn gather(&self, tally: &mut Tally, hour: u32) {
        for mut notes in self.notes.each() {
            // A thread goes on with the emptied memory of another: none is allocated while it notes.
            std::mem::swap(&mut notes.all, &mut tally.notes);
            std::mem::swap(&mut notes.stale, &mut tally.stale_notes);
            std::mem::swap(&mut notes.sources, &mut tally.source_notes);
            let lost = std::mem::take(&mut notes.lost);
            drop(notes);
            tally.add_up(hour, lost);
        }
    }

    /// Takes up to `most` rows of each kind for writing; they stay to be seen until it is told how that
    /// ended. Answers how many counts were lost since the last call, too.
    #[must_use]
    pub fn take(&self, hour: u32, most: usize) -> (Taken, u64) {
        let mut tally = self.tally.lock();
        self.gather(&mut tally, hour);
        (tally.take(most), std::mem::take(&mut tally.lost))
    }

    /// What was taken last is written.
    pub fn written(&self) {
        self.tally.lock().forget_taken();
    }

    /// What was taken last is certainly not written.
    pub fn not_written(&self) {
        self.tally.lock().put_back();
    }

    /// A client's counts not known to be written.
    #[must_use]
    pub fn pending(&self, client: ClientNo, hour: u32) -> Vec<CheckCount> {
        let mut tally = self.tally.lock();
        self.gather(&mut tally, hour);
        tally.counts_of(client)
    }

    /// The same for sources of permitted calls, and of former and ended tokens.
    #[must_use]
    pub fn pending_sources(&self, client: ClientNo, hour: u32) -> Vec<SourceUse> {
        let mut tally = self.tally.lock();
        self.gather(&mut tally, hour);
        tally.sources_of(client)
    }
}

#[cfg(test)]
mod tests;
