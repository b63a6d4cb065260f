//! A copy of a replica for another process: parts that hold what a check asks, taken while checks and
//! changes go on, and put together in a new replica there.
//!
//! Each slot is copied in one moment, all of them in many. Changes are absolute, so a copy begun after
//! change n is right once every change after n is applied to it, in order; before, it must not vouch.

use super::packed_slot::{self, LabelCell, Words};
use super::{CannotApply, Loading, Replica, WorkspaceEntry, table};
use crate::attach::{Cut, Reader};
use crate::digest::{Digest, KeyId};
use crate::ids::{ClientNo, ProductNo, WorkspaceId};
use crate::label::LABEL_BYTES_MAX;
use crate::restrictions::{Networks, Restrictions};
use crate::slot::Previous;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

/// Clients in one part: some tens of kilobytes, and some tens of microseconds of a thread that also
/// answers checks.
const CLIENTS_IN_A_PART: u32 = 256;
/// Words of the index in one part.
const INDEX_IN_A_PART: usize = 4_096;
/// Entries of the other tables in one part.
const ENTRIES_IN_A_PART: u32 = 256;
/// The longest label as a header value: each byte may become three.
const LABEL_TEXT_MAX: usize = 3 * LABEL_BYTES_MAX;

const SLOTS: u8 = 1;
const INDEX: u8 = 2;
const RESTRICTIONS: u8 = 3;
const WORKSPACES: u8 = 4;
const PRODUCTS: u8 = 5;

/// A part of a copy, as bytes.
pub type Part = Vec<u8>;

/// Where a copy has got to. The tables that slots point into come after the slots, so that whatever a
/// slot points to is in the copy.
enum Stage {
    Slots(u32),
    Index(usize),
    Restrictions(u32),
    Workspaces(u32),
    Products,
    Done,
}

/// A copy under way: its parts, one at a time.
pub struct Copying<'a> {
    replica: &'a Replica,
    clients: u32,
    stage: Stage,
}

impl Replica {
    /// Begins a copy. It will hold every change applied so far, and perhaps some of those to come.
    #[must_use]
    pub fn copying(&self) -> Copying<'_> {
        Copying {
            replica: self,
            clients: self.writer.lock().clients,
            stage: Stage::Slots(0),
        }
    }

    /// One slot with its label, as bytes.
    fn copy_slot(&self, no: ClientNo, part: &mut Part) {
        let found = self.consistent(|| {
            let words = self.copy_words(no)?;
            let label = LabelCell(table::copy(self.labels.get(no.index())?));
            let previous = words.has(packed_slot::HAS_PREVIOUS);
            let previous = previous.then(|| self.previous.read().get(&no.0).copied());
            Some((words, label, previous.flatten()))
        });
        let none = || {
            (
                Words::new(0, 0, 0),
                LabelCell([0; table::LABEL_WORDS]),
                None,
            )
        };
        let (words, label, previous) = found.unwrap_or_else(none);
        for word in words.without_use().iter().chain(&words.cold) {
            part.extend(word.to_le_bytes());
        }
        let label = self.label(label);
        let text = label.as_str().as_bytes();
        part.push(u8::try_from(text.len()).expect("a label is at most 64 bytes"));
        part.extend_from_slice(text);
        part.push(u8::from(previous.is_some()));
        if let Some(previous) = previous {
            part.extend(previous.digest.0);
            part.push(previous.key.0);
            part.extend(previous.valid_till.0.to_le_bytes());
        }
    }
}

impl Copying<'_> {
    /// How many clients the copy will hold.
    #[must_use]
    pub fn clients(&self) -> u32 {
        self.clients
    }

    fn slots(&self, from: u32) -> Part {
        let until = self.clients.min(from + CLIENTS_IN_A_PART);
        let mut part = vec![SLOTS];
        part.extend(from.to_le_bytes());
        (from..until).for_each(|no| self.replica.copy_slot(ClientNo(no), &mut part));
        part
    }

    fn restrictions(&self, from: u32) -> Option<Part> {
        let all = (from..from.saturating_add(ENTRIES_IN_A_PART))
            .map_while(|no| self.replica.restrictions.get(no));
        let all: Vec<_> = all
            .map(|one| (&one.products, &one.token_networks))
            .collect();
        json(RESTRICTIONS, (!all.is_empty()).then_some(&all))
    }

    fn workspaces(&self, from: u32) -> Option<Part> {
        let all = (from..from.saturating_add(ENTRIES_IN_A_PART))
            .map_while(|no| self.replica.workspaces.get(no));
        let all: Vec<_> = all
            .map(|one| (one.id.0, one.disabled.load(Ordering::Relaxed)))
            .collect();
        json(WORKSPACES, (!all.is_empty()).then_some(&(from, all)))
    }
}

fn json<T: serde::Serialize>(kind: u8, value: Option<&T>) -> Option<Part> {
    let mut part = vec![kind];
    // Plain data with string keys: serialising cannot fail.
    serde_json::to_writer(&mut part, value?).ok()?;
    Some(part)
}

impl Iterator for Copying<'_> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        loop {
            match self.stage {
                Stage::Slots(from) if from < self.clients => {
                    self.stage = Stage::Slots(from + CLIENTS_IN_A_PART);
                    return Some(self.slots(from));
                }
                Stage::Slots(_) => self.stage = Stage::Index(0),
                Stage::Index(from) => {
                    let index = self.replica.index.load();
                    match index.words_from(from, INDEX_IN_A_PART) {
                        // One that grew meanwhile has every word in another place: from the start, then;
                        // a word told twice does no harm.
                        Some((words, next)) => {
                            self.stage = Stage::Index(next);
                            let mut part = vec![INDEX];
                            part.extend(words.iter().flat_map(|word| word.to_le_bytes()));
                            return Some(part);
                        }
                        None => self.stage = Stage::Restrictions(0),
                    }
                }
                Stage::Restrictions(from) => match self.restrictions(from) {
                    Some(part) => {
                        self.stage = Stage::Restrictions(from.saturating_add(ENTRIES_IN_A_PART));
                        return Some(part);
                    }
                    None => self.stage = Stage::Workspaces(0),
                },
                Stage::Workspaces(from) => match self.workspaces(from) {
                    Some(part) => {
                        self.stage = Stage::Workspaces(from.saturating_add(ENTRIES_IN_A_PART));
                        return Some(part);
                    }
                    None => self.stage = Stage::Products,
                },
                Stage::Products => {
                    self.stage = Stage::Done;
                    return json(PRODUCTS, Some(&self.replica.product_numbers()));
                }
                Stage::Done => return None,
            }
        }
    }
}

const DAMAGED: CannotApply = CannotApply("a part of the snapshot is damaged");
const FULL: CannotApply = CannotApply("its tables are full");

impl From<Cut> for CannotApply {
    fn from(_: Cut) -> Self {
        DAMAGED
    }
}

impl Loading<'_> {
    /// Takes one part of a copy of another replica with the same keys.
    pub fn part(&mut self, part: &[u8]) -> Result<(), CannotApply> {
        let (kind, rest) = part.split_first().ok_or(DAMAGED)?;
        match *kind {
            SLOTS => self.slots(Reader(rest)),
            INDEX => self.index(Reader(rest)),
            RESTRICTIONS => self.restrictions(rest),
            WORKSPACES => self.workspaces(rest),
            PRODUCTS => self.products(rest),
            _ => Err(DAMAGED),
        }
    }

    fn slots(&mut self, mut reader: Reader<'_>) -> Result<(), CannotApply> {
        let replica = self.replica;
        let mut no = reader.u32()?;
        while !reader.is_empty() {
            let mut words = Words::new(0, 0, 0);
            for word in words.hot.iter_mut().chain(&mut words.cold) {
                *word = reader.u64()?;
            }
            let length = reader.byte()?.into();
            let text = std::str::from_utf8(reader.take(length)?).map_err(|_| DAMAGED)?;
            if length > LABEL_TEXT_MAX || !text.is_ascii() {
                return Err(DAMAGED);
            }
            let label = replica.text_cell(&mut self.writer, text)?;
            let previous = match reader.byte()? {
                0 => None,
                1 => Some(Previous {
                    digest: Digest(reader.array()?),
                    key: KeyId(reader.byte()?),
                    valid_till: Timestamp(reader.u64()?.cast_signed()),
                }),
                _ => return Err(DAMAGED),
            };
            let at = ClientNo(no);
            table::store(replica.hot.make(at.index()).ok_or(FULL)?, &words.hot);
            table::store(replica.cold.make(at.index()).ok_or(FULL)?, &words.cold);
            table::store(replica.labels.make(at.index()).ok_or(FULL)?, &label.0);
            if let Some(previous) = previous {
                replica.previous.write().insert(no, previous);
            }
            no = no.checked_add(1).ok_or(FULL)?;
            self.writer.clients = self.writer.clients.max(no);
        }
        Ok(())
    }

    fn index(&mut self, mut reader: Reader<'_>) -> Result<(), CannotApply> {
        while !reader.is_empty() {
            let word = reader.u64()?;
            let no = (word as u32).checked_sub(1).ok_or(DAMAGED)?;
            self.replica.index_client((word >> 32) as u32, ClientNo(no));
        }
        Ok(())
    }

    fn restrictions(&mut self, bytes: &[u8]) -> Result<(), CannotApply> {
        let all: Vec<(Option<Box<[ProductNo]>>, Networks)> =
            serde_json::from_slice(bytes).map_err(|_| DAMAGED)?;
        for (products, token_networks) in all {
            let wanted = Restrictions {
                products,
                token_networks,
            };
            // Each is there once, so each gets the number it has at its home.
            self.replica
                .restrictions_number(&mut self.writer, &wanted)?;
        }
        Ok(())
    }

    fn workspaces(&mut self, bytes: &[u8]) -> Result<(), CannotApply> {
        let (first, all): (u32, Vec<(Uuid, bool)>) =
            serde_json::from_slice(bytes).map_err(|_| DAMAGED)?;
        for (no, (id, disabled)) in (first..).zip(all) {
            let entry = WorkspaceEntry {
                id: WorkspaceId(id),
                disabled: AtomicBool::new(disabled),
            };
            self.replica.workspaces.set(no, entry).ok_or(FULL)?;
        }
        Ok(())
    }

    fn products(&mut self, bytes: &[u8]) -> Result<(), CannotApply> {
        let all: BTreeMap<String, ProductNo> =
            serde_json::from_slice(bytes).map_err(|_| DAMAGED)?;
        let mut products = super::Products::default();
        for (slug, no) in all {
            products.by_slug.insert(slug.clone(), no);
            products.by_no.insert(no, slug);
        }
        self.replica.products.store(Arc::new(products));
        Ok(())
    }
}
