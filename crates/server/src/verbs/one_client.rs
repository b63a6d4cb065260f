//! What every administrator's decision about one client shares: the read before it, the permission,
//! and the picture of the client after it.

use super::addresses::{self, Address};
use super::prelude::*;
use super::{credential_notes, tags};
use serde_json::Value;
use std::collections::HashMap;
use tokenward_core::client::{ClientState, Product};
use tokenward_store::{CredentialNote, Use};

/// A client as read: its state, its last use, all products for naming them, and what people wrote about it.
#[derive(Clone, Debug)]
pub struct Read {
    /// The state.
    pub state: ClientState,
    /// The last use, if there was one.
    pub last_use: Option<Use>,
    /// All products.
    pub products: Arc<Vec<Product>>,
    /// Its notification addresses.
    pub addresses: Vec<Address>,
    /// Its tags, in alphabetical order.
    pub tags: Vec<String>,
    /// The notes of its secrets, by their numbers.
    pub notes: HashMap<u32, CredentialNote>,
}

impl Read {
    /// A client of which the state is known, and nothing that is read beside it.
    pub(super) fn of(state: ClientState, products: Arc<Vec<Product>>) -> Self {
        Self {
            addresses: addresses::shown(&state.client.settings.notification_emails, &[]),
            state,
            last_use: None,
            products,
            tags: Vec::new(),
            notes: HashMap::new(),
        }
    }

    /// Reads its tags and the notes of its secrets.
    pub(super) async fn describe(&mut self, data: &Data) -> Result<(), StoreError> {
        let tags = tags::of(data, &[self.state.client.no]).await?;
        self.tags = tags.into_values().next().unwrap_or_default();
        self.notes = credential_notes::of_client(data, self.state.client.id).await?;
        Ok(())
    }
}

/// There is no such client, or not for this administrator.
pub(super) const NO_CLIENT: Refused = Refused::NotFound("client");

/// The client is gone for good.
pub(super) fn deleted() -> Refused {
    Refused::Conflict(
        Conflict::ClientDeleted,
        "the API client was deleted for good".into(),
    )
}

/// What a decision does, the client as it is then, and what the verb answers besides.
pub(super) type Outcome<T> = (Decided, ClientState, T);

/// What most decisions want to see.
pub(super) fn wants(id: ClientId) -> ReadSet {
    ReadSet {
        client: Some(id),
        products: true,
        ..ReadSet::default()
    }
}

/// The audit entry of an act on this client.
pub(super) fn entry(
    acting: &Acting,
    action: &'static str,
    state: &ClientState,
    detail: &Value,
) -> Entry {
    let (workspace, client) = (Some(state.workspace.id), Some(state.client.id));
    acting.entry(action, workspace, client, detail)
}

/// Takes a decision about one client that the administrator may change and that is not deleted.
pub(super) async fn decide<T, F>(
    data: &Data,
    admin: Admin,
    wants: ReadSet,
    decision: F,
) -> Result<(Read, T), Refused>
where
    T: Send + 'static,
    F: FnOnce(&Acting, &View, &ClientState) -> Result<Outcome<T>, Refused> + Send + 'static,
{
    let decided = acting::decide(data, admin, wants, move |acting, view| {
        let state = view.client.as_ref().ok_or(NO_CLIENT)?;
        acting.must_change(state, &view.products)?;
        if state.client.deleted_at.is_some() {
            return Err(deleted());
        }
        let (decided, after, answer) = decision(acting, view, state)?;
        let read = Read::of(after, Arc::new(view.products.clone()));
        Ok((decided, (read, answer)))
    });
    let (mut read, answer) = decided.await?;
    // The act is done: what can't be read of the client now must not look as if it were not.
    let stored = data.reader().client(read.state.client.id).await;
    let stored = stored.ok().flatten().and_then(|(_, last_use)| last_use);
    read.last_use = data.usage.pending(read.state.client.no).or(stored);
    if let Ok(known) = addresses::of(data, &read.state).await {
        read.addresses = known;
    }
    let _ = read.describe(data).await;
    Ok((read, answer))
}
