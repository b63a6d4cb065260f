//! What people recognise credentials by: notes are read by those who may see the credential, and changed by those who may
//! change it. Nothing here sees a credential.

use super::notice_preferences::Choices;
use super::one_client::{self, Read};
use super::prelude::*;
use super::{admin_keys, webhooks};
use std::collections::HashMap;
use tokenward_core::client::AdminKeyRecord;
use tokenward_core::label::Name;
use tokenward_store::notices::Webhook;
use tokenward_store::{CredentialNote, CredentialNoteWrite};

/// A credential that has a note.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Noted {
    /// A secret of a client, by its number.
    Secret(ClientId, u32),
    /// An admin key.
    AdminKey(Uuid),
    /// A webhook, for its signing secret.
    Webhook(Uuid),
}

/// A note as written: at most as long as a name, or empty.
pub fn parse(text: &str) -> Result<String, Refused> {
    match text.trim() {
        "" => Ok(String::new()),
        text => {
            let parsed = Name::parse(text);
            let parsed = parsed.map_err(|why| Refused::Invalid("note", why.0))?;
            Ok(parsed.to_string())
        }
    }
}

fn put(owner: Uuid, n: u32, note: &str, made_by: String) -> Record {
    Record::CredentialNote(CredentialNoteWrite::Put(CredentialNote {
        owner,
        n,
        note: note.to_owned(),
        made_by,
    }))
}

/// The row of a credential that was just made.
pub(super) fn made(acting: &Acting, owner: Uuid, n: u32, note: &str) -> Record {
    put(owner, n, note, acting.who().text())
}

/// The row of a secret that is gone.
pub(super) fn removed(owner: Uuid, n: u32) -> Record {
    Record::CredentialNote(CredentialNoteWrite::Removed { owner, n })
}

/// A note that was changed; who made the credential stays unknown where it is.
fn changed(owner: Uuid, n: u32, note: &str) -> Record {
    put(owner, n, note, String::new())
}

/// Changes the note of a credential.
///
/// # Errors
/// [`Refused::NotFound`] where there is no such credential, or not for this administrator.
pub async fn change(data: &Data, admin: Admin, of: Noted, text: &str) -> Result<(), Refused> {
    match of {
        Noted::Secret(client, n) => of_secret(data, admin, client, n, text).await.map(drop),
        Noted::AdminKey(id) => of_admin_key(data, admin, id, text).await.map(drop),
        Noted::Webhook(id) => {
            let changed = (Some(text), Choices::default());
            webhooks::change(data, admin, id, None, changed)
                .await
                .map(drop)
        }
    }
}

/// Changes the note of a secret.
pub async fn of_secret(
    data: &Data,
    admin: Admin,
    client: ClientId,
    n: u32,
    text: &str,
) -> Result<Read, Refused> {
    let note = parse(text)?;
    let wants = one_client::wants(client);
    let decided = one_client::decide(data, admin, wants, move |acting, _, state| {
        let mut secrets = state.client.secrets.iter().flatten();
        if !secrets.any(|secret| secret.n == n) {
            return Err(Refused::NotFound("secret"));
        }
        let detail = json!({ "n": n, "note": note });
        let entry = one_client::entry(acting, "secret.note", state, &detail);
        let decided = Decided::records(vec![changed(client.0, n, &note)], entry);
        Ok((decided, state.clone(), ()))
    });
    decided.await.map(|(read, ())| read)
}

/// Changes the note of an admin key.
pub async fn of_admin_key(
    data: &Data,
    admin: Admin,
    id: Uuid,
    text: &str,
) -> Result<AdminKeyRecord, Refused> {
    let note = parse(text)?;
    admin.must_operate()?;
    let wants = ReadSet {
        admin_keys: true,
        ..ReadSet::default()
    };
    let decided = acting::decide(data, admin, wants, move |acting, view| {
        let mut keys = view.admin_keys.iter();
        let key = keys.find(|key| key.id == id);
        let key = key.ok_or(Refused::NotFound("admin key"))?;
        let detail = json!({ "admin_key": id, "name": key.name, "note": note });
        let entry = acting.entry("admin_key.note", None, None, &detail);
        let changed = vec![changed(id, 0, &note)];
        Ok((Decided::records(changed, entry), key.clone()))
    });
    decided.await
}

/// The audit entry and the row of a webhook's new note.
pub(super) fn webhook(acting: &Acting, webhook: &Webhook, note: &str) -> (Entry, Record) {
    let detail = json!({ "webhook": webhook.id, "url": webhook.url, "note": note });
    let place = Some(webhook.workspace);
    let entry = acting.entry("webhook.note", place, None, &detail);
    (entry, changed(webhook.id, 0, note))
}

/// The notes of the secrets of a client that its reader may see, by their numbers.
pub(super) async fn of_client(
    data: &Data,
    client: ClientId,
) -> Result<HashMap<u32, CredentialNote>, StoreError> {
    let notes = data.reader().credential_notes(client.0).await?;
    Ok(notes.into_iter().map(|note| (note.n, note)).collect())
}

/// The notes of the secrets of clients that their reader may see.
pub async fn of_clients(
    data: &Data,
    clients: &[ClientId],
) -> Result<HashMap<ClientId, HashMap<u32, CredentialNote>>, StoreError> {
    let owners: Vec<Uuid> = clients.iter().map(|id| id.0).collect();
    let mut notes: HashMap<ClientId, HashMap<u32, CredentialNote>> = HashMap::new();
    for note in data.reader().credential_notes_of(&owners).await? {
        let of_client = notes.entry(ClientId(note.owner)).or_default();
        of_client.insert(note.n, note);
    }
    Ok(notes)
}

fn by_owner(notes: Vec<CredentialNote>) -> HashMap<Uuid, CredentialNote> {
    notes.into_iter().map(|note| (note.owner, note)).collect()
}

/// The notes of all admin keys, by their ids.
pub async fn of_admin_keys(
    data: &Data,
    admin: &Admin,
) -> Result<HashMap<Uuid, CredentialNote>, Refused> {
    admin.must_operate()?;
    Ok(by_owner(data.reader().admin_key_notes().await?))
}

/// The notes of the webhooks of a workspace, by their ids.
pub async fn of_webhooks(
    data: &Data,
    admin: &Admin,
    workspace: WorkspaceId,
) -> Result<HashMap<Uuid, CredentialNote>, Refused> {
    webhooks::must_see(admin, workspace)?;
    Ok(by_owner(data.reader().webhook_notes(workspace).await?))
}

/// The workspace of a webhook that the administrator may see.
///
/// # Errors
/// [`Refused::NotFound`] where there is none.
pub async fn webhook_place(data: &Data, admin: &Admin, id: Uuid) -> Result<WorkspaceId, Refused> {
    let found = data.reader().webhook(id).await?;
    let place = found.ok_or(Refused::NotFound("webhook"))?.workspace;
    // What belongs to another workspace looks like what is not there.
    match webhooks::must_see(admin, place) {
        Err(Refused::NotFound(_)) => Err(Refused::NotFound("webhook")),
        seen => seen.map(|()| place),
    }
}

/// The note of a credential, for the form that changes it.
///
/// # Errors
/// As [`change`].
pub async fn read(data: &Data, admin: &Admin, noted: Noted) -> Result<String, Refused> {
    let (owner, n) = match noted {
        Noted::Secret(client, n) => {
            let found = super::clients::show(data, admin, client).await?;
            let mut secrets = found.state.client.secrets.iter().flatten();
            let known = secrets.any(|secret| secret.n == n);
            known.then_some((client.0, n))
        }
        Noted::AdminKey(id) => {
            let all = admin_keys::list(data, admin).await?;
            all.iter().any(|key| key.id == id).then_some((id, 0))
        }
        Noted::Webhook(id) => {
            webhook_place(data, admin, id).await?;
            Some((id, 0))
        }
    }
    .ok_or(Refused::NotFound("credential"))?;
    let notes = data.reader().credential_notes(owner).await?;
    let found = notes.into_iter().find(|note| note.n == n);
    Ok(found.map_or_else(String::new, |note| note.note))
}
