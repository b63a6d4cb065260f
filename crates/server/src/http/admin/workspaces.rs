//! `/workspaces`

use super::body::Body;
use super::extract::{Path, Query, Signed, id};
use super::reply::{Answer, Created, Json};
use super::views;
use crate::app::App;
use crate::verbs::workspaces;
use axum::extract::State;
use http::request::Parts;
use std::sync::Arc;
use tokenward_api::{Page, Workspace, WorkspaceChange, WorkspaceCreate};
use tokenward_core::ids::{WorkspaceId, WorkspaceNo};

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    parts: Parts,
) -> Answer<Json<Page<Workspace>>> {
    let query = Query::read(&parts, &["limit", "cursor"])?;
    let after = query.cursor()?.map(WorkspaceNo);
    let (page, next) = workspaces::list(&app.data, &admin, after, query.limit()?).await?;
    let items = page.iter().map(views::workspace).collect();
    Ok(Json(views::page(items, next)))
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Body(body): Body<WorkspaceCreate>,
) -> Answer<Created<Workspace>> {
    let made = workspaces::create(&app.data, admin, &body.name).await?;
    Ok(Created(views::workspace(&made)))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer<Json<Workspace>> {
    let workspace =
        workspaces::show(&app.data, &admin, WorkspaceId(id(&text, "workspace")?)).await?;
    Ok(Json(views::workspace(&workspace)))
}

pub(super) async fn change(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    Body(body): Body<WorkspaceChange>,
) -> Answer<Json<Workspace>> {
    let id = WorkspaceId(id(&text, "workspace")?);
    let workspace = workspaces::change(
        &app.data,
        admin,
        id,
        body.name.map(|name| name.0),
        body.disabled,
    )
    .await?;
    Ok(Json(views::workspace(&workspace)))
}
