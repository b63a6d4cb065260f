//! `/admin-keys`

use super::body::Body;
use super::extract::{Path, Signed, id};
use super::problem::Problem;
use super::reply::{Answer, Created, Json};
use super::{role, views};
use crate::app::App;
use crate::verbs::{admin_keys, credential_notes};
use axum::extract::State;
use std::sync::Arc;
use tokenward_api::{
    AdminKeyChange, AdminKeyCreate, AdminKeyCreated, AdminKeyInfo, Page, ShownAdminKey,
};
use tokenward_core::client::{AdminKeyRecord, LIFETIME_SECONDS_MAX};

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
) -> Answer<Json<Page<AdminKeyInfo>>> {
    let keys = admin_keys::list(&app.data, &admin).await?;
    let uses = admin_keys::last_uses(&app.data).await?;
    let notes = credential_notes::of_admin_keys(&app.data, &admin).await?;
    let view = |key: &AdminKeyRecord| views::admin_key(key, notes.get(&key.id), uses.get(&key.id));
    let items = keys.iter().map(view).collect();
    Ok(Json(views::page(items, None)))
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
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
    let sent = role::RoleRequest {
        role: &body.role,
        workspace_id: body.workspace_id,
        products: body.products.as_deref(),
    };
    let (record, key) = admin_keys::create(
        &app.data,
        admin,
        &body.name,
        sent.read()?,
        body.expires_in_seconds,
        body.note.as_deref().unwrap_or(""),
    )
    .await?;
    Ok(Created(AdminKeyCreated {
        admin_key: one(&app, &record).await,
        key: ShownAdminKey(key.expose()),
    }))
}

pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer<Json<AdminKeyInfo>> {
    let record = admin_keys::revoke(&app.data, admin, id(&text, "admin key")?).await?;
    Ok(Json(one(&app, &record).await))
}

pub(super) async fn change(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    Body(body): Body<AdminKeyChange>,
) -> Answer<Json<AdminKeyInfo>> {
    let id = id(&text, "admin key")?;
    let record = credential_notes::of_admin_key(&app.data, admin, id, &body.note).await?;
    Ok(Json(one(&app, &record).await))
}

/// A key after an act on it. The act is done: what can't be read of the key now is left out.
async fn one(app: &App, record: &AdminKeyRecord) -> AdminKeyInfo {
    let uses = admin_keys::last_uses(&app.data).await.unwrap_or_default();
    let notes = app.data.store.reader().credential_notes(record.id).await;
    let notes = notes.unwrap_or_default();
    views::admin_key(record, notes.first(), uses.get(&record.id))
}
