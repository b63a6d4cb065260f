//! The memory's interpreter of changes: the counterpart of the store's SQL. The law
//! `load(database) == fold(apply, changes)` is a property test of the store.

use super::packed_slot::{self, LabelCell, Words};
use super::{Replica, WorkspaceEntry, Writer, index, table};
use crate::change::{Change, EPOCH_GENERATIONS};
use crate::client::{ApiClient, Product, Settings, Workspace};
use crate::ids::{ClientId, ClientNo, Environment, WorkspaceNo};
use crate::label::Label;
use crate::restrictions::Restrictions;
use crate::slot::{Previous, Slot};
use parking_lot::MutexGuard;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// A replica being filled before anybody reads it.
pub struct Loading<'a> {
    pub(super) replica: &'a Replica,
    pub(super) writer: MutexGuard<'a, Writer>,
}

/// A client as loaded: what a replica keeps of it besides its slot.
pub struct LoadedClient {
    /// Its number.
    pub no: ClientNo,
    /// Its public name.
    pub id: ClientId,
    /// Its workspace.
    pub workspace: WorkspaceNo,
    /// Its environment.
    pub environment: Environment,
    /// Its label.
    pub label: Label,
    /// Its restrictions.
    pub restrictions: Restrictions,
    /// Whether it is disabled.
    pub disabled: bool,
    /// Whether it is deleted.
    pub deleted: bool,
}

impl From<&ApiClient> for LoadedClient {
    fn from(client: &ApiClient) -> Self {
        Self {
            no: client.no,
            id: client.id,
            workspace: client.workspace,
            environment: client.environment,
            label: client.settings.label.clone(),
            restrictions: client.settings.restrictions(),
            disabled: client.disabled_at.is_some(),
            deleted: client.deleted_at.is_some(),
        }
    }
}

/// A change the replica can't hold, or that makes no sense: the node must stop vouching.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the replica can't apply a change: {0}")]
pub struct CannotApply(pub &'static str);

const FULL: CannotApply = CannotApply("its tables are full");
const NO_CLIENT: CannotApply = CannotApply("it names a client that does not exist");

impl Replica {
    /// Starts filling this replica. Not for one that others read already.
    pub fn loading(&self) -> Loading<'_> {
        Loading {
            replica: self,
            writer: self.writer.lock(),
        }
    }

    /// Applies the changes with the numbers up to `number`, each as one step that readers see whole or not
    /// at all. After an error the replica must no longer vouch: its lease is ended here.
    pub fn apply(&self, changes: &[Change], number: u64) -> Result<(), CannotApply> {
        let mut writer = self.writer.lock();
        for change in changes {
            self.step(|| self.interpret(&mut writer, change))
                .inspect_err(|_| self.lease.end())?;
        }
        self.applied.fetch_max(number, Ordering::AcqRel);
        Ok(())
    }

    /// One step of the sequence lock; the caller holds the writer's lock.
    fn step<T>(&self, write: impl FnOnce() -> T) -> T {
        let version = self.version.0.load(Ordering::Relaxed);
        self.version.0.store(version + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        let out = write();
        self.version.0.store(version + 2, Ordering::Release);
        out
    }

    fn interpret(&self, writer: &mut Writer, change: &Change) -> Result<(), CannotApply> {
        match change {
            Change::WorkspacePut { workspace } => self.put_workspace(workspace),
            Change::ProductPut { product } => {
                self.put_product(product);
                Ok(())
            }
            Change::ProductDeleted { product } => {
                let mut products = self.products.load().as_ref().clone();
                if let Some(slug) = products.by_no.remove(product) {
                    products.by_slug.remove(&slug);
                }
                self.products.store(Arc::new(products));
                Ok(())
            }
            Change::ClientCreated { client } => self.add(writer, &client.as_ref().into()),
            Change::ClientSettingsChanged { client, settings } => {
                self.change_settings(writer, *client, settings)
            }
            Change::ClientDisabled { client, at } => {
                self.flag(*client, packed_slot::DISABLED, at.is_some())
            }
            Change::ClientDeleted { client, .. } => self.flag(*client, packed_slot::DELETED, true),
            Change::TokenIssued { client, slot } | Change::TokenEnded { client, slot } => {
                self.put_slot(*client, slot)
            }
            Change::EpochStarted { at, .. } => {
                for no in 0..writer.clients {
                    self.alter(ClientNo(no), |words| {
                        words.start_epoch(*at, EPOCH_GENERATIONS)
                    })?;
                }
                self.previous.write().clear();
                Ok(())
            }
            // A check asks neither secrets nor admin keys.
            Change::SecretsChanged { .. } | Change::AdminKeyPut { .. } => Ok(()),
        }
    }

    fn put_workspace(&self, workspace: &Workspace) -> Result<(), CannotApply> {
        let entry = WorkspaceEntry {
            id: workspace.id,
            disabled: AtomicBool::new(false),
        };
        let entry = self.workspaces.set(workspace.no.0, entry).ok_or(FULL)?;
        entry
            .disabled
            .store(workspace.disabled_at.is_some(), Ordering::Relaxed);
        Ok(())
    }

    fn put_product(&self, product: &Product) {
        let mut products = self.products.load().as_ref().clone();
        let slug = product.slug.as_str().to_owned();
        products.by_slug.insert(slug.clone(), product.no);
        products.by_no.insert(product.no, slug);
        self.products.store(Arc::new(products));
    }

    fn add(&self, writer: &mut Writer, client: &LoadedClient) -> Result<(), CannotApply> {
        let restrictions = self.restrictions_number(writer, &client.restrictions)?;
        let label = self.label_cell(writer, &client.label)?;
        let direct = self.keyring.client_no(client.id) == client.no;
        let mut flags = packed_slot::EXISTS;
        let mut set = |flag, on| flags |= if on { flag } else { 0 };
        set(
            packed_slot::PRODUCTION,
            client.environment == Environment::Production,
        );
        set(packed_slot::DISABLED, client.disabled);
        set(packed_slot::DELETED, client.deleted);
        set(packed_slot::DIRECT, direct);
        let words = Words::new(flags, client.workspace.0, restrictions);
        let hot = self.hot.make(client.no.index()).ok_or(FULL)?;
        let known =
            hot[packed_slot::FLAGS_USED].load(Ordering::Relaxed) as u32 & packed_slot::EXISTS != 0;
        table::store(self.cold.make(client.no.index()).ok_or(FULL)?, &words.cold);
        table::store(self.labels.make(client.no.index()).ok_or(FULL)?, &label.0);
        table::store(hot, &words.hot);
        writer.clients = writer.clients.max(client.no.0 + 1);
        if !known && !direct {
            self.index_client(index::fingerprint(client.id), client.no);
        }
        Ok(())
    }

    fn put_slot(&self, no: ClientNo, slot: &Slot) -> Result<(), CannotApply> {
        self.alter(no, |words| words.put_slot(slot))?;
        self.put_previous(no, slot.previous);
        Ok(())
    }

    /// Lets the client be found by its id's fingerprint.
    pub(super) fn index_client(&self, fingerprint: u32, no: ClientNo) {
        let index = self.index.load();
        let indexed = self.indexed.fetch_add(1, Ordering::AcqRel) + 1;
        if indexed as usize >= index.room() {
            // By half again: a doubled index would stand half empty.
            let larger = index.grown(index.room() + index.room() / 2);
            self.index.store(Arc::new(larger));
        }
        self.index.load().insert(fingerprint, no);
    }

    fn change_settings(
        &self,
        writer: &mut Writer,
        no: ClientNo,
        settings: &Settings,
    ) -> Result<(), CannotApply> {
        let restrictions = self.restrictions_number(writer, &settings.restrictions())?;
        self.alter(no, |words| words.set_restrictions(restrictions))?;
        let cell = self.labels.get(no.index()).ok_or(NO_CLIENT)?;
        if self.label(LabelCell(table::copy(cell))).as_str() != settings.label.header_value() {
            table::store(cell, &self.label_cell(writer, &settings.label)?.0);
        }
        Ok(())
    }

    fn flag(&self, no: ClientNo, flag: u32, on: bool) -> Result<(), CannotApply> {
        self.alter(no, |words| {
            let flags = words.flags();
            words.set_flags(if on { flags | flag } else { flags & !flag });
        })
    }

    /// Changes a slot's words. The time of last use is kept even if a reader notes one meanwhile.
    fn alter(&self, no: ClientNo, change: impl Fn(&mut Words)) -> Result<(), CannotApply> {
        let hot = self.hot.get(no.index()).ok_or(NO_CLIENT)?;
        let cold = self.cold.get(no.index()).ok_or(NO_CLIENT)?;
        let mut words = self.copy_words(no).ok_or(NO_CLIENT)?;
        if !words.has(packed_slot::EXISTS) {
            return Err(NO_CLIENT);
        }
        change(&mut words);
        table::store(cold, &words.cold);
        for (cell, word) in hot[..packed_slot::FLAGS_USED].iter().zip(words.hot) {
            cell.store(word, Ordering::Relaxed);
        }
        let flags = u64::from(words.flags());
        let merge = |seen: u64| Some(seen & 0xFFFF_FFFF_0000_0000 | flags);
        let _ =
            hot[packed_slot::FLAGS_USED].fetch_update(Ordering::Relaxed, Ordering::Relaxed, merge);
        Ok(())
    }

    fn put_previous(&self, no: ClientNo, previous: Option<Previous>) {
        let had = self.previous.read().contains_key(&no.0);
        match previous {
            Some(previous) => drop(self.previous.write().insert(no.0, previous)),
            None if had => drop(self.previous.write().remove(&no.0)),
            None => {}
        }
    }

    pub(super) fn restrictions_number(
        &self,
        writer: &mut Writer,
        wanted: &Restrictions,
    ) -> Result<u32, CannotApply> {
        if let Some(number) = writer.restriction_numbers.get(wanted) {
            return Ok(*number);
        }
        let number = u32::try_from(writer.restriction_numbers.len()).map_err(|_| FULL)?;
        let kept = Arc::new(wanted.clone());
        self.restrictions
            .set(number, Arc::clone(&kept))
            .ok_or(FULL)?;
        writer.restriction_numbers.insert(kept, number);
        Ok(number)
    }

    fn label_cell(&self, writer: &mut Writer, label: &Label) -> Result<LabelCell, CannotApply> {
        self.text_cell(writer, &label.header_value())
    }

    /// The cell of a label that is a header value already.
    pub(super) fn text_cell(
        &self,
        writer: &mut Writer,
        text: &str,
    ) -> Result<LabelCell, CannotApply> {
        if let Some(cell) = LabelCell::short(text) {
            return Ok(cell);
        }
        let (place, end) = self
            .long_labels
            .push(writer.labels_end, text.as_bytes())
            .ok_or(FULL)?;
        writer.labels_end = end;
        Ok(LabelCell::long(place))
    }
}

impl Loading<'_> {
    /// Adds a workspace.
    pub fn workspace(&mut self, workspace: &Workspace) -> Result<(), CannotApply> {
        self.replica.put_workspace(workspace)
    }

    /// Adds a product.
    pub fn product(&mut self, product: &Product) {
        self.replica.put_product(product);
    }

    /// Adds a client, without a token.
    pub fn client(&mut self, client: &LoadedClient) -> Result<(), CannotApply> {
        self.replica.add(&mut self.writer, client)
    }

    /// Sets the slot of a client added before.
    pub fn slot(&mut self, client: ClientNo, slot: &Slot) -> Result<(), CannotApply> {
        self.replica.put_slot(client, slot)
    }

    /// Ends the loading: the replica holds every change up to `number`.
    pub fn finish(self, number: u64) {
        self.replica.applied.store(number, Ordering::Release);
    }
}
