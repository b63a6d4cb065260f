//! From rows back to the domain: the inverse of `statements`. Column order is that of the constants.

use crate::error::StoreError;
use crate::value::Row;
use tokenward_core::audit::AuditRecord;
use tokenward_core::client::{
    AdminKeyRecord, ApiClient, ClientState, OnRepeat, Product, SecretRecord, Settings, Workspace,
};
use tokenward_core::digest::{Digest, KeyId};
use tokenward_core::ids::{ClientId, ClientNo, Environment, ProductNo, WorkspaceId, WorkspaceNo};
use tokenward_core::label::{Label, Name, Slug, TextRefused};
use tokenward_core::restrictions::Networks;
use tokenward_core::slot::{
    EndReason, Ended, FORMERS, Former, Previous, QuotaCount, Slot, TokenRecord,
};
use tokenward_core::time::Timestamp;
use uuid::Uuid;

/// Everything about a client, its slot and its workspace, and with `and_use` its last use; a WHERE
/// clause follows.
macro_rules! select_client {
    (and_use, $rest:literal) => {
        select_client!(@ ", u.at, u.source, u.product, u.generation", "LEFT JOIN client_use u ON u.client = c.no ", $rest)
    };
    ($rest:literal) => {
        select_client!(@ "", "", $rest)
    };
    (@ $columns:literal, $join:literal, $rest:literal) => {
        concat!(
            "SELECT c.no, c.id, c.workspace, c.environment, c.label, c.products, c.lifetime, c.secret_networks,
            c.token_networks, c.emails, c.on_repeat, c.renew_before, c.handover_max, c.created_at, c.disabled_at,
            c.deleted_at, c.secret1_n, c.secret1_digest, c.secret1_key, c.secret1_at, c.secret2_n, c.secret2_digest,
            c.secret2_key, c.secret2_at, c.next_secret, s.generation, s.digest, s.digest_key, s.issued_at, s.valid_till,
            s.ended, s.ended_at, s.former1, s.former2, s.former3, s.former_reasons, s.previous_digest, s.previous_key,
            s.previous_till, s.seal, s.quota1_day, s.quota1_used, s.quota2_day, s.quota2_used, w.no, w.id, w.name,
            w.created_at, w.disabled_at",
            $columns,
            " FROM client c JOIN slot s ON s.client = c.no JOIN workspace w ON w.no = c.workspace ",
            $join,
            $rest
        )
    };
}
pub(crate) use select_client;

/// What a replica needs of the clients with numbers in a range. Their slots are read by themselves, for
/// joining millions of rows costs an engine more than reading them.
pub(crate) const LOAD_CLIENTS: &str =
    "SELECT no, id, workspace, environment, label, products, token_networks, disabled_at,
    deleted_at FROM client WHERE no >= $1 AND no < $2";
/// The client's number, then what [`slot`] reads.
pub(crate) const LOAD_SLOTS: &str =
    "SELECT client, generation, digest, digest_key, issued_at, valid_till, ended, ended_at,
    former1, former2, former3, former_reasons, previous_digest, previous_key, previous_till
    FROM slot WHERE client >= $1 AND client < $2";
const SLOT: usize = 25;
const WORKSPACE: usize = 44;
/// Where [`Use`](crate::Use)'s columns begin.
pub(crate) const USE: usize = 49;

pub(crate) const SELECT_WORKSPACES: &str =
    "SELECT no, id, name, created_at, disabled_at FROM workspace";
pub(crate) const SELECT_PRODUCTS: &str = "SELECT no, slug, name, created_at FROM product";

fn refused(error: TextRefused) -> StoreError {
    StoreError::Damaged(error.0)
}

fn at(micros: i64) -> Timestamp {
    Timestamp(micros)
}

fn key(number: i64) -> Result<KeyId, StoreError> {
    u8::try_from(number)
        .map(KeyId)
        .map_err(|_| StoreError::Damaged(format!("digest key {number}")))
}

pub(crate) fn client_state(row: &Row<'_>) -> Result<ClientState, StoreError> {
    Ok(ClientState {
        client: client(row)?,
        slot: Slot {
            seal: row.bytes_or_null(SLOT + 14)?.map(<[u8]>::to_vec),
            quota: [quota(row, SLOT + 15)?, quota(row, SLOT + 17)?],
            ..slot(row, SLOT)?
        },
        workspace: workspace(row, WORKSPACE)?,
    })
}

fn client(row: &Row<'_>) -> Result<ApiClient, StoreError> {
    let emails = row.text(9)?;
    Ok(ApiClient {
        no: ClientNo(row.count(0)?),
        id: ClientId(Uuid::from_bytes(row.bytes(1)?)),
        workspace: WorkspaceNo(row.count(2)?),
        environment: environment(row.int(3)?)?,
        settings: Settings {
            label: Label::stored(row.text(4)?).map_err(refused)?,
            products: row.text_or_null(5)?.map(products).transpose()?,
            token_lifetime_seconds: row
                .int_or_null(6)?
                .map(|seconds| {
                    u32::try_from(seconds).map_err(|_| StoreError::Damaged("a lifetime".into()))
                })
                .transpose()?,
            secret_networks: networks(row.text(7)?)?,
            token_networks: networks(row.text(8)?)?,
            notification_emails: emails
                .split(',')
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
                .collect(),
            on_repeat: if row.int(10)? == 1 {
                OnRepeat::Return
            } else {
                OnRepeat::Replace
            },
            renew_before_seconds: row.count(11)?,
            handover_max_seconds: row.count(12)?,
        },
        created_at: at(row.int(13)?),
        disabled_at: row.int_or_null(14)?.map(at),
        deleted_at: row.int_or_null(15)?.map(at),
        secrets: [secret(row, 16)?, secret(row, 20)?],
        next_secret: row.count(24)?,
    })
}

pub(crate) fn secret(row: &Row<'_>, start: usize) -> Result<Option<SecretRecord>, StoreError> {
    if row.int_or_null(start)?.is_none() {
        return Ok(None);
    }
    Ok(Some(SecretRecord {
        n: row.count(start)?,
        digest: Digest(row.bytes(start + 1)?),
        key: key(row.int(start + 2)?)?,
        created_at: at(row.int(start + 3)?),
    }))
}

/// The slot's columns but the seal and the quota.
pub(crate) fn slot(row: &Row<'_>, start: usize) -> Result<Slot, StoreError> {
    let token = match row.bytes_or_null(start + 1)? {
        None => None,
        Some(_) => Some(TokenRecord {
            digest: Digest(row.bytes(start + 1)?),
            key: key(row.int(start + 2)?)?,
            issued_at: at(row.int(start + 3)?),
            valid_till: row.int_or_null(start + 4)?.map(at),
        }),
    };
    let ended = match row.int_or_null(start + 5)? {
        None => None,
        Some(number) => Some(Ended {
            reason: reason(number)?,
            at: at(row.int(start + 6)?),
        }),
    };
    let reasons = row.int(start + 10)?;
    let mut formers = [None; FORMERS];
    for (position, former) in formers.iter_mut().enumerate() {
        if let Some(prefix) = row.int_or_null(start + 7 + position)? {
            let reason = reason(reasons >> (2 * position) & 3)?;
            *former = Some(Former {
                prefix: prefix.cast_unsigned(),
                reason,
            });
        }
    }
    let previous = match row.bytes_or_null(start + 11)? {
        None => None,
        Some(_) => Some(Previous {
            digest: Digest(row.bytes(start + 11)?),
            key: key(row.int(start + 12)?)?,
            valid_till: at(row.int(start + 13)?),
        }),
    };
    Ok(Slot {
        generation: row.count(start)?,
        token,
        ended,
        formers,
        previous,
        ..Slot::default()
    })
}

fn quota(row: &Row<'_>, start: usize) -> Result<QuotaCount, StoreError> {
    Ok(QuotaCount {
        day: row.count(start)?,
        used: row.count(start + 1)?,
    })
}

fn reason(number: i64) -> Result<EndReason, StoreError> {
    let known = u8::try_from(number).ok().and_then(EndReason::from_number);
    known.ok_or_else(|| StoreError::Damaged(format!("end reason {number}")))
}

pub(crate) fn environment(number: i64) -> Result<Environment, StoreError> {
    let known = u8::try_from(number).ok().and_then(Environment::from_number);
    known.ok_or_else(|| StoreError::Damaged(format!("environment {number}")))
}

pub(crate) fn networks(text: &str) -> Result<Networks, StoreError> {
    if text.is_empty() {
        return Ok(Networks::default());
    }
    Networks::parse(&text.split(',').collect::<Vec<_>>()).map_err(refused)
}

pub(crate) fn products(text: &str) -> Result<Vec<ProductNo>, StoreError> {
    let number = |part: &str| part.parse().map(ProductNo);
    let parts = text.split(',').filter(|part| !part.is_empty());
    parts
        .map(number)
        .collect::<Result<_, _>>()
        .map_err(|_| StoreError::Damaged("a product list".into()))
}

pub(crate) fn workspace(row: &Row<'_>, start: usize) -> Result<Workspace, StoreError> {
    Ok(Workspace {
        no: WorkspaceNo(row.count(start)?),
        id: WorkspaceId(Uuid::from_bytes(row.bytes(start + 1)?)),
        name: Name::stored(row.text(start + 2)?).map_err(refused)?,
        created_at: at(row.int(start + 3)?),
        disabled_at: row.int_or_null(start + 4)?.map(at),
    })
}

pub(crate) fn product(row: &Row<'_>) -> Result<Product, StoreError> {
    Ok(Product {
        no: ProductNo(row.count(0)?),
        slug: Slug::parse(row.text(1)?).map_err(refused)?,
        name: Name::stored(row.text(2)?).map_err(refused)?,
        created_at: at(row.int(3)?),
    })
}

pub(crate) const SELECT_ADMIN_KEYS: &str =
    "SELECT id, name, role, digest, digest_key, created_at, expires_at, revoked_at FROM admin_key";
pub(crate) const ADMIN_KEY_BY_ID: &str =
    "SELECT id, name, role, digest, digest_key, created_at, expires_at, revoked_at
    FROM admin_key WHERE id = $1";

pub(crate) fn admin_key(row: &Row<'_>) -> Result<AdminKeyRecord, StoreError> {
    Ok(AdminKeyRecord {
        id: Uuid::from_bytes(row.bytes(0)?),
        name: Name::stored(row.text(1)?).map_err(refused)?,
        role: serde_json::from_str(row.text(2)?)
            .map_err(|error| StoreError::Damaged(error.to_string()))?,
        digest: Digest(row.bytes(3)?),
        key: key(row.int(4)?)?,
        created_at: at(row.int(5)?),
        expires_at: row.int_or_null(6)?.map(at),
        revoked_at: row.int_or_null(7)?.map(at),
    })
}

pub(crate) fn audit(row: &Row<'_>) -> Result<AuditRecord, StoreError> {
    let id = |column: usize| -> Result<Option<Uuid>, StoreError> {
        Ok(row
            .bytes_or_null(column)?
            .and_then(|bytes| Uuid::from_slice(bytes).ok()))
    };
    Ok(AuditRecord {
        seq: row.int(0)?.cast_unsigned(),
        at: at(row.int(1)?),
        actor: row.text(2)?.to_owned(),
        source: row.text(3)?.to_owned(),
        action: row.text(4)?.to_owned(),
        workspace: id(5)?.map(WorkspaceId),
        client: id(6)?.map(ClientId),
        detail: row.text(7)?.to_owned(),
        hash: row.bytes(8)?,
    })
}
