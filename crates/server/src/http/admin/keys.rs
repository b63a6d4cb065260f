//! `/admin-keys`

use super::body::Body;
use super::extract::{Path, Signed, id};
use super::problem::Problem;
use super::reply::{Answer, Created, Json};
use super::{role, views};
use crate::app::App;
use crate::verbs::admin_keys;
use axum::extract::State;
use std::sync::Arc;
use tokenward_api::{AdminKeyCreate, AdminKeyCreated, AdminKeyInfo, Page, ShownAdminKey};
use tokenward_core::client::{AdminKeyRecord, LIFETIME_SECONDS_MAX};

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
) -> Answer<Json<Page<AdminKeyInfo>>> {
    let keys = admin_keys::list(&app.data, &admin).await?;
    let uses = admin_keys::last_uses(&app.data).await?;
    let view = |key: &AdminKeyRecord| views::admin_key(key, uses.get(&key.id));
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
    let sent = role::Sent {
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
        "",
    )
    .await?;
    Ok(Created(AdminKeyCreated {
        admin_key: views::admin_key(&record, None),
        key: ShownAdminKey(key.expose()),
    }))
}

pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer<Json<AdminKeyInfo>> {
    let record = admin_keys::revoke(&app.data, admin, id(&text, "admin key")?).await?;
    let uses = admin_keys::last_uses(&app.data).await?;
    let key = views::admin_key(&record, uses.get(&record.id));
    Ok(Json(key))
}
