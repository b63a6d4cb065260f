//! `/workspaces`

use super::body::Body;
use super::extract::{Path, Query, Signed, id};
use super::problem::Answer;
use super::views;
use crate::app::App;
use crate::verbs::workspaces;
use axum::extract::State;
use http::StatusCode;
use http::request::Parts;
use serde::Deserialize;
use std::sync::Arc;
use tokenward_core::ids::{WorkspaceId, WorkspaceNo};

/// Body of a creation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    name: String,
}

/// Body of a change.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    name: Option<String>,
    disabled: Option<bool>,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    parts: Parts,
) -> Answer {
    let query = Query::read(&parts, &["limit", "cursor"])?;
    let after = query.cursor()?.map(WorkspaceNo);
    let (page, next) = workspaces::list(&app.data, &admin, after, query.limit()?).await?;
    let items = page.iter().map(views::workspace).collect();
    Ok(views::answer(StatusCode::OK, &views::page(items, next)))
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Body(body): Body<Create>,
) -> Answer {
    let made = workspaces::create(&app.data, admin, &body.name).await?;
    Ok(views::answer(StatusCode::CREATED, &views::workspace(&made)))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer {
    let workspace =
        workspaces::show(&app.data, &admin, WorkspaceId(id(&text, "workspace")?)).await?;
    Ok(views::answer(StatusCode::OK, &views::workspace(&workspace)))
}

pub(super) async fn change(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    Body(body): Body<Change>,
) -> Answer {
    let id = WorkspaceId(id(&text, "workspace")?);
    let workspace = workspaces::change(&app.data, admin, id, body.name, body.disabled).await?;
    Ok(views::answer(StatusCode::OK, &views::workspace(&workspace)))
}
