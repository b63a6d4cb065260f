//! Counts added up and waiting to be written. It knows no clock and no store, and never grows without end.

use super::{Note, Stale, Taken};
use crate::net::addresses;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::ops::Bound::{Excluded, Unbounded};
use tokenward_core::attach::Permitted;
use tokenward_core::ids::{ClientNo, ProductNo};
use tokenward_core::sources::{FirstSources, Source};
use tokenward_core::time::Timestamp;
use tokenward_store::counts::{CheckCount, HOURS, Outcome, SourceUse};

/// The source under which those beyond the first of a client and day are counted.
pub const OTHERS: &str = "others";
/// Rows waiting, some 20 MiB: two outcomes each of 100,000 clients. More are lost.
const ROWS_MAX: usize = 1 << 18;
/// The same for sources. More are not told of; their calls are counted all the same.
const SOURCE_ROWS_MAX: usize = 1 << 18;

/// Client, hour since 1970, product and outcome.
type Row = (u32, u32, Option<u32>, u8);
/// Client, day, source and outcome.
type SourceRow = (u32, u32, Source, Outcome);

#[derive(Default, Debug)]
pub(super) struct Tally {
    /// Memory for the next heap's thread; empty but while it is added up.
    pub(super) notes: Vec<Note>,
    pub(super) stale_notes: Vec<Stale>,
    pub(super) source_notes: HashMap<(u32, Option<IpAddr>), (u64, Timestamp)>,
    /// Counts there was no room for.
    pub(super) lost: u64,
    rows: BTreeMap<Row, u64>,
    sources: BTreeMap<SourceRow, (u64, Timestamp)>,
    /// The row taken last: the next ones behind it are taken next, so that each has its turn.
    last: Option<Row>,
    last_source: Option<SourceRow>,
    taken: Vec<(Row, u64)>,
    taken_sources: Vec<(SourceRow, (u64, Timestamp))>,
    /// The sources told apart on a day, by client, and apart whether what they presented was permitted.
    known: FirstSources<(u32, bool)>,
}

impl Tally {
    /// Adds up what was swapped in, and empties it.
    pub(super) fn add_up(&mut self, hour: u32, lost: u64) {
        let today = hour / HOURS;
        self.lost += lost;
        let mut notes = std::mem::take(&mut self.notes);
        notes.sort_unstable();
        for run in notes.chunk_by(|a, b| a == b) {
            let row = (run[0].client(), hour, run[0].product(), run[0].outcome());
            self.add(row, run.len() as u64);
        }
        notes.clear();
        self.notes = notes;
        let mut stale = std::mem::take(&mut self.stale_notes);
        for one in stale.drain(..) {
            let source = self.known.place(today, (one.client, false), one.source);
            let row = (one.client, today, source, one.outcome);
            self.add_source(row, 1, one.at);
        }
        self.stale_notes = stale;
        let mut sources = std::mem::take(&mut self.source_notes);
        for ((client, source), (n, at)) in sources.drain() {
            let source = self.known.place(today, (client, true), source);
            self.add_source((client, today, source, Outcome::Permitted), n, at);
        }
        self.source_notes = sources;
    }

    fn add(&mut self, row: Row, n: u64) {
        if let Some(count) = self.rows.get_mut(&row) {
            *count += n;
        } else if self.rows.len() < ROWS_MAX {
            self.rows.insert(row, n);
        } else {
            self.lost += n;
        }
    }

    fn add_source(&mut self, row: SourceRow, n: u64, at: Timestamp) {
        if let Some((count, last)) = self.sources.get_mut(&row) {
            *count += n;
            *last = at.max(*last);
        } else if self.sources.len() < SOURCE_ROWS_MAX {
            self.sources.insert(row, (n, at));
        } else if row.3.is_stale() {
            self.lost += n;
        }
    }

    /// Adds what an attached replica reports. It has told its own first sources apart; those of all replicas and the node
    /// together are as few.
    pub(super) fn permitted(&mut self, hour: u32, one: &Permitted) {
        let today = hour / HOURS;
        let row = (
            one.client.0,
            hour,
            Some(one.product.0),
            Outcome::Permitted.number(),
        );
        self.add(row, one.n.into());
        let source = match one.others {
            true => Source::Others,
            false => self.known.place(today, (one.client.0, true), one.address),
        };
        let row = (one.client.0, today, source, Outcome::Permitted);
        self.add_source(row, one.n.into(), one.last_at);
    }

    /// Takes up to `most` rows of each kind, those that have waited longest for their turn first.
    pub(super) fn take(&mut self, most: usize) -> Taken {
        self.taken = turn(&mut self.rows, &mut self.last, most);
        self.taken_sources = turn(&mut self.sources, &mut self.last_source, most);
        Taken {
            counts: self.taken.iter().copied().filter_map(count).collect(),
            sources: self.taken_sources.iter().copied().map(source_use).collect(),
        }
    }

    pub(super) fn forget_taken(&mut self) {
        self.taken.clear();
        self.taken_sources.clear();
    }

    pub(super) fn put_back(&mut self) {
        for (row, n) in std::mem::take(&mut self.taken) {
            self.add(row, n);
        }
        for (row, (n, at)) in std::mem::take(&mut self.taken_sources) {
            self.add_source(row, n, at);
        }
    }

    pub(super) fn counts_of(&self, client: ClientNo) -> Vec<CheckCount> {
        let from = (client.0, 0, None, 0);
        let rows = self.rows.range(from..).map(|(row, n)| (*row, *n));
        let rows = rows.take_while(|(row, _)| row.0 == client.0);
        let taken = self.taken.iter().filter(|(row, _)| row.0 == client.0);
        rows.chain(taken.copied()).filter_map(count).collect()
    }

    pub(super) fn sources_of(&self, client: ClientNo) -> Vec<SourceUse> {
        let from = (client.0, 0, Source::One(None), Outcome::Permitted);
        let rows = self.sources.range(from..).map(|(row, n)| (*row, *n));
        let rows = rows.take_while(|(row, _)| row.0 == client.0);
        let taken = self
            .taken_sources
            .iter()
            .filter(|(row, _)| row.0 == client.0);
        rows.chain(taken.copied()).map(source_use).collect()
    }
}

/// Takes up to `most` entries out of a map, from behind the one taken last and round.
fn turn<K: Ord + Copy, V: Copy>(
    map: &mut BTreeMap<K, V>,
    last: &mut Option<K>,
    most: usize,
) -> Vec<(K, V)> {
    let entries: Vec<(K, V)> = {
        let entry = |(key, value): (&K, &V)| (*key, *value);
        match last {
            None => map.iter().map(entry).take(most).collect(),
            Some(last) => {
                let behind = map.range((Excluded(*last), Unbounded));
                behind
                    .chain(map.range(..=*last))
                    .map(entry)
                    .take(most)
                    .collect()
            }
        }
    };
    for (key, _) in &entries {
        map.remove(key);
    }
    *last = entries.last().map(|(key, _)| *key);
    entries
}

fn count(((client, hour, product, outcome), n): (Row, u64)) -> Option<CheckCount> {
    Some(CheckCount {
        client: ClientNo(client),
        day: hour / HOURS,
        hour: hour % HOURS,
        product: product.map(ProductNo),
        outcome: Outcome::from_number(outcome)?,
        n,
    })
}

fn source_use(
    ((client, day, source, outcome), (n, last_at)): (SourceRow, (u64, Timestamp)),
) -> SourceUse {
    SourceUse {
        client: ClientNo(client),
        day,
        source: match source {
            Source::One(address) => addresses::text(address),
            Source::Others => OTHERS.to_owned(),
        },
        outcome,
        n,
        last_at,
    }
}
