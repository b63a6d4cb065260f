//! The replica: everything a check needs, in memory, in 120 bytes a client. A client's id tells its
//! number, so a check goes straight to the slot; ids made elsewhere are found by an index. One writer applies changes; any number of readers check without a lock and without waiting.
//!
//! Readers see one prefix of the changes, never a mix: a sequence lock around every change makes a
//! reader that overlapped with one read again. A replica is never emptied or reloaded in place; a
//! node that must reload makes a new one, and running checks finish on the old.

mod apply;
mod copy;
/// The check reads this module's private state, and is what readers look for first: hence the place of its file.
#[path = "../check/decide.rs"]
mod decide;
mod index;
mod packed_slot;
mod table;
#[cfg(test)]
mod tests;

pub use apply::{CannotApply, LoadedClient, Loading};
pub use copy::{Copying, Part};

use crate::check::LabelText;
use crate::client::ApiClient;
use crate::digest::Keyring;
use crate::ids::{ClientId, ClientNo, ProductNo, WorkspaceId};
use crate::lease::Lease;
use crate::restrictions::Restrictions;
use crate::slot::Previous;
use crate::time::BootInstant;
use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

/// A workspace as a check sees it.
#[derive(Debug)]
struct WorkspaceEntry {
    id: WorkspaceId,
    disabled: AtomicBool,
}

/// What only the writer touches.
#[derive(Debug, Default)]
struct Writer {
    /// Clients held: one more than the highest number.
    clients: u32,
    /// Where the next long label goes.
    labels_end: u64,
    /// The number of every set of restrictions in use, so that equal ones are kept once.
    restriction_numbers: HashMap<Arc<Restrictions>, u32, RandomState>,
}

/// The products by slug, and their slugs by number.
#[derive(Debug, Default, Clone)]
struct Products {
    by_slug: HashMap<String, ProductNo, RandomState>,
    by_no: BTreeMap<ProductNo, String>,
}

/// The sequence lock's version on a cache line of its own: readers read it, the writer counts it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Version(AtomicU64);

/// All slots of a store, in memory.
#[derive(Debug)]
pub struct Replica {
    keyring: Arc<Keyring>,
    lease: Lease,
    version: Version,
    hot: table::Cells<{ table::HOT_WORDS }>,
    cold: table::Cells<{ table::COLD_WORDS }>,
    labels: table::Cells<{ table::LABEL_WORDS }>,
    long_labels: table::LongLabels,
    /// Clients whose id does not tell their number, and how many.
    index: ArcSwap<index::Index>,
    indexed: AtomicU32,
    restrictions: table::Entries<Arc<Restrictions>>,
    workspaces: table::Entries<WorkspaceEntry>,
    products: ArcSwap<Products>,
    previous: RwLock<HashMap<u32, Previous, RandomState>>,
    writer: Mutex<Writer>,
    /// The number of the last change applied.
    applied: AtomicU64,
}

/// Bits of the time in the word of the last use, in seconds: half a year, after which it begins anew. The other eight
/// hold the generation's last ones.
const USE_SECONDS_BITS: u32 = 24;
const USE_SECONDS: u32 = (1 << USE_SECONDS_BITS) - 1;

/// Whether a use is to be noted, `last` being the word of the one noted before.
fn is_due(last: u32, now: u32, every_seconds: u32) -> bool {
    let newer = (now >> USE_SECONDS_BITS) as u8;
    let newer = newer
        .wrapping_sub((last >> USE_SECONDS_BITS) as u8)
        .cast_signed()
        > 0;
    // Either way round: threads' clocks differ by a moment.
    let apart = now.wrapping_sub(last) & USE_SECONDS;
    newer || apart.min(USE_SECONDS + 1 - apart) >= every_seconds
}

impl Replica {
    /// An empty replica with room for `clients`, without a lease: it cannot vouch yet.
    #[must_use]
    pub fn new(keyring: Arc<Keyring>, clients: usize) -> Self {
        Self {
            keyring,
            lease: Lease::none(),
            version: Version::default(),
            hot: table::Cells::new(),
            cold: table::Cells::new(),
            labels: table::Cells::new(),
            long_labels: table::LongLabels::new(),
            // Memory nobody touches costs nothing, and the index is touched only by ids made elsewhere. A
            // twentieth more than asked, so that the first new client does not double it.
            index: ArcSwap::from_pointee(index::Index::with_room(clients + clients / 20)),
            indexed: AtomicU32::new(0),
            restrictions: table::Entries::new(),
            workspaces: table::Entries::new(),
            products: ArcSwap::default(),
            previous: RwLock::default(),
            writer: Mutex::default(),
            applied: AtomicU64::new(0),
        }
    }

    /// The lease that lets this replica vouch.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The keys it verifies with.
    #[must_use]
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// The number of the last change applied.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// How many clients it holds, deleted ones included.
    #[must_use]
    pub fn client_count(&self) -> usize {
        self.writer.lock().clients as usize
    }

    /// Whether a client with this id may exist. False is certain; true is nearly so.
    #[must_use]
    pub fn may_know(&self, id: ClientId) -> bool {
        self.direct(id).is_some() || !self.others(id).is_empty()
    }

    /// Whether a client with this id may exist; none when its absence can't be vouched for. In the order of a check, lease, state,
    /// clock: a client created and answered elsewhere must not be unknown here while the lease of a moment later is good.
    #[must_use]
    pub fn knows(&self, id: ClientId, now: impl FnOnce() -> BootInstant) -> Option<bool> {
        let lease = self.lease.read();
        if self.may_know(id) {
            return Some(true);
        }
        lease.covers(now).then_some(false)
    }

    /// The client whose number the id tells, if there is one that may be reached so. Whether it has
    /// this very id is for the reader of its row to see.
    #[must_use]
    pub fn direct(&self, id: ClientId) -> Option<ClientNo> {
        let no = self.keyring.client_no(id);
        self.is_direct(no).then_some(no)
    }

    /// Whether client `no` exists and its id tells its number.
    #[inline]
    fn is_direct(&self, no: ClientNo) -> bool {
        let flags = self.hot.get(no.index()).map_or(0, |words| {
            words[packed_slot::FLAGS_USED].load(Ordering::Acquire)
        });
        flags as u32 & packed_slot::DIRECT != 0
    }

    /// The clients that the index knows under this id's fingerprint: nearly always one or none.
    fn others(&self, id: ClientId) -> Vec<ClientNo> {
        if self.indexed.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let fingerprint = index::fingerprint(id);
        self.consistent(|| self.index.load().candidates(fingerprint).collect())
    }

    /// Notes that a client's token of `generation` was just used, at `now_seconds` (Unix). Returns true when neither
    /// this token nor a newer one was noted in the last `every_seconds`: then the caller should remember the use. One in
    /// a race wins.
    #[must_use]
    pub fn note_use(
        &self,
        client_no: u32,
        generation: u32,
        now_seconds: u32,
        every_seconds: u32,
    ) -> bool {
        let Some(words) = self.hot.get(client_no as usize) else {
            return false;
        };
        let cell = &words[packed_slot::FLAGS_USED];
        let seen = cell.load(Ordering::Relaxed);
        let last = (seen >> 32) as u32;
        let now = generation << USE_SECONDS_BITS | now_seconds & USE_SECONDS;
        if last != 0 && !is_due(last, now, every_seconds) {
            return false;
        }
        let noted = seen & 0xFFFF_FFFF | u64::from(now) << 32;
        cell.compare_exchange(seen, noted, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Runs `read` until no change overlapped with it. `read` must be free of side effects.
    #[inline]
    fn consistent<T>(&self, mut read: impl FnMut() -> T) -> T {
        loop {
            let before = self.version.0.load(Ordering::Acquire);
            if before & 1 == 0 {
                let out = read();
                fence(Ordering::Acquire);
                if self.version.0.load(Ordering::Relaxed) == before {
                    return out;
                }
            }
            std::hint::spin_loop();
        }
    }

    /// A copy of a slot's words; only within [`Replica::consistent`].
    fn copy_words(&self, no: ClientNo) -> Option<packed_slot::Words> {
        let hot = table::copy(self.hot.get(no.index())?);
        let cold = table::copy(self.cold.get(no.index())?);
        Some(packed_slot::Words { hot, cold })
    }

    /// A client's label; the cell must have been copied within [`Replica::consistent`].
    fn label(&self, cell: packed_slot::LabelCell) -> LabelText {
        cell.text(|place| self.long_labels.text(place))
    }

    /// Everything held of client `no`, for comparing two replicas. None when there is no such client.
    #[must_use]
    pub fn view(&self, client: &ApiClient) -> Option<ClientView> {
        self.view_of(client.no, client.id)
    }

    /// The same, by the client's number and id.
    #[must_use]
    pub fn view_of(&self, no: ClientNo, id: ClientId) -> Option<ClientView> {
        let known = self.direct(id) == Some(no) || self.others(id).contains(&no);
        let found = self.consistent(|| {
            let words = self
                .copy_words(no)
                .filter(|words| known && words.has(packed_slot::EXISTS))?;
            let label = packed_slot::LabelCell(table::copy(self.labels.get(no.index())?));
            let previous = self
                .previous
                .read()
                .get(&no.0)
                .copied()
                .filter(|_| words.has(packed_slot::HAS_PREVIOUS));
            Some((words, label, previous))
        });
        let (words, label, previous) = found?;
        let workspace = self.workspaces.get(words.workspace())?;
        Some(ClientView {
            words: words.comparable(),
            label: self.label(label).as_str().to_owned(),
            restrictions: self.restrictions.get(words.restrictions()).cloned()?,
            workspace: (workspace.id, workspace.disabled.load(Ordering::Relaxed)),
            previous,
        })
    }

    /// Whether a product has this number.
    #[must_use]
    pub fn has_product(&self, no: ProductNo) -> bool {
        self.products.load().by_no.contains_key(&no)
    }

    /// Every product held, by slug.
    #[must_use]
    pub fn product_numbers(&self) -> BTreeMap<String, ProductNo> {
        self.products
            .load()
            .by_slug
            .iter()
            .map(|(slug, no)| (slug.clone(), *no))
            .collect()
    }
}

/// What a replica holds of one client; two replicas agree when their views are equal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientView {
    words: packed_slot::Words,
    label: String,
    restrictions: Arc<Restrictions>,
    workspace: (WorkspaceId, bool),
    previous: Option<Previous>,
}
