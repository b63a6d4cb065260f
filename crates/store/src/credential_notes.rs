//! What people recognise credentials by: a note, and who made each. Rows that no check asks for, written with the audit entry
//! of the act. Nothing secret is here, nor what is derived of a secret.

use crate::error::StoreError;
use crate::reader::Reader;
use crate::value::{self, Row, Statement};
use tokenward_core::ids::WorkspaceId;
use uuid::Uuid;

/// The note of a credential.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CredentialNote {
    /// The API client, admin key or webhook that the credential belongs to.
    pub owner: Uuid,
    /// The number of a client's secret; 0 for an admin key and a webhook.
    pub n: u32,
    /// What people wrote; empty when nothing.
    pub note: String,
    /// Who made the credential, as the audit log names actors; empty when not known.
    pub made_by: String,
}

/// A write of these rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CredentialNoteWrite {
    /// A credential was made, or its note changed; who made it stays.
    Put(CredentialNote),
    /// A credential is gone.
    Removed {
        /// What it belonged to.
        owner: Uuid,
        /// Its number.
        n: u32,
    },
}

const PUT: &str = "INSERT INTO credential_note (owner, n, note, made_by) VALUES ($1, $2, $3, $4)
    ON CONFLICT (owner, n) DO UPDATE SET note = excluded.note";
const REMOVE: &str = "DELETE FROM credential_note WHERE owner = $1 AND n = $2";
const OF_OWNER: &str =
    "SELECT owner, n, note, made_by FROM credential_note WHERE owner = $1 ORDER BY n";
const OF_OWNERS: &str = "SELECT owner, n, note, made_by FROM credential_note WHERE owner IN";
const OF_ADMIN_KEYS: &str = "SELECT c.owner, c.n, c.note, c.made_by
    FROM admin_key k JOIN credential_note c ON c.owner = k.id AND c.n = 0";
const OF_WEBHOOKS: &str = "SELECT c.owner, c.n, c.note, c.made_by
    FROM webhook h JOIN credential_note c ON c.owner = h.id AND c.n = 0 WHERE h.workspace = $1";

/// What a write does to the tables.
pub(crate) fn statements(write: &CredentialNoteWrite) -> Vec<Statement> {
    match write {
        CredentialNoteWrite::Put(note) => vec![Statement::one(
            PUT,
            vec![
                note.owner.into(),
                note.n.into(),
                note.note.as_str().into(),
                note.made_by.as_str().into(),
            ],
        )],
        CredentialNoteWrite::Removed { owner, n } => {
            vec![Statement::new(REMOVE, vec![(*owner).into(), (*n).into()])]
        }
    }
}

fn decode(row: &Row<'_>) -> Result<CredentialNote, StoreError> {
    Ok(CredentialNote {
        owner: Uuid::from_bytes(row.bytes(0)?),
        n: row.count(1)?,
        note: row.text(2)?.to_owned(),
        made_by: row.text(3)?.to_owned(),
    })
}

impl Reader {
    /// The notes of the secrets of an API client, or of one admin key or webhook.
    pub async fn credential_notes(&self, owner: Uuid) -> Result<Vec<CredentialNote>, StoreError> {
        self.rows(OF_OWNER, vec![owner.into()], decode).await
    }

    /// The notes of the secrets of some API clients.
    pub async fn credential_notes_of(
        &self,
        owners: &[Uuid],
    ) -> Result<Vec<CredentialNote>, StoreError> {
        if owners.is_empty() {
            return Ok(Vec::new());
        }
        let (places, owners) = value::list(owners.iter().map(|owner| (*owner).into()).collect());
        self.rows(format!("{OF_OWNERS} ({places})"), owners, decode)
            .await
    }

    /// The notes of all admin keys.
    pub async fn admin_key_notes(&self) -> Result<Vec<CredentialNote>, StoreError> {
        self.rows(OF_ADMIN_KEYS, vec![], decode).await
    }

    /// The notes of the webhooks of a workspace.
    pub async fn webhook_notes(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Vec<CredentialNote>, StoreError> {
        let params = vec![workspace.0.into()];
        self.rows(OF_WEBHOOKS, params, decode).await
    }
}
