//! `/admin-keys`

use super::prelude::*;
use crate::verbs::roles::RoleFields;
use crate::verbs::{admin_keys, credential_notes};
use tokenward_api::{AdminKeyChange, AdminKeyCreate, AdminKeyCreated, AdminKeyInfo, ShownAdminKey};
use tokenward_core::client::{AdminKeyRecord, LIFETIME_SECONDS_MAX};

pub(super) async fn list(call: Call) -> Answer<Json<Page<AdminKeyInfo>>> {
    let keys = admin_keys::list(&call.data, &call.admin).await?;
    let uses = admin_keys::last_uses(&call.data).await?;
    let notes = credential_notes::of_admin_keys(&call.data, &call.admin).await?;
    let view = |key: &AdminKeyRecord| views::admin_key(key, notes.get(&key.id), uses.get(&key.id));
    let items = keys.iter().map(view).collect();
    Ok(Json(views::page(items, None)))
}

pub(super) async fn create(
    call: Call,
    Body(body): Body<AdminKeyCreate>,
) -> Answer<Created<AdminKeyCreated>> {
    let most = u64::from(LIFETIME_SECONDS_MAX);
    if body
        .expires_in_seconds
        .is_some_and(|seconds| !(1..=most).contains(&seconds))
    {
        return Err(Problem::invalid(
            Some("expires_in_seconds"),
            format!("This must be 1 to {most} seconds."),
        ));
    }
    let role = RoleFields {
        role: &body.role,
        workspace: body.workspace_id.map(WorkspaceId),
        products: body.products.as_deref(),
    };
    let (record, key) = admin_keys::create(
        &call.data,
        call.admin,
        &body.name,
        role.read()?,
        body.expires_in_seconds,
        body.note.as_deref().unwrap_or(""),
    )
    .await?;
    Ok(Created(AdminKeyCreated {
        admin_key: one(&call.data, &record).await,
        key: ShownAdminKey(key.expose()),
    }))
}

pub(super) async fn revoke(call: Call<String>) -> Answer<Json<AdminKeyInfo>> {
    let record = admin_keys::revoke(&call.data, call.admin, id(&call.at, "admin key")?).await?;
    Ok(Json(one(&call.data, &record).await))
}

pub(super) async fn change(
    call: Call<String>,
    Body(body): Body<AdminKeyChange>,
) -> Answer<Json<AdminKeyInfo>> {
    let id = id(&call.at, "admin key")?;
    let record = credential_notes::of_admin_key(&call.data, call.admin, id, &body.note).await?;
    Ok(Json(one(&call.data, &record).await))
}

/// A key after an act on it. The act is done: what can't be read of the key now is left out.
async fn one(data: &Data, record: &AdminKeyRecord) -> AdminKeyInfo {
    let uses = admin_keys::last_uses(data).await.unwrap_or_default();
    let notes = data.reader().credential_notes(record.id).await;
    let notes = notes.unwrap_or_default();
    views::admin_key(record, notes.first(), uses.get(&record.id))
}
