//! `/workspaces`

use super::prelude::*;
use crate::verbs::workspaces;
use tokenward_api::{Workspace, WorkspaceChange, WorkspaceCreate};
use tokenward_core::ids::WorkspaceNo;

pub(super) async fn list(call: Call, parts: Parts) -> Answer<Json<Page<Workspace>>> {
    let query = Query::read(&parts, &["limit", "cursor"])?;
    let after = query.cursor()?.map(WorkspaceNo);
    let (page, next) = workspaces::list(&call.data, &call.admin, after, query.limit()?).await?;
    let items = page.iter().map(views::workspace).collect();
    Ok(Json(views::page(items, next)))
}

pub(super) async fn create(
    call: Call,
    Body(body): Body<WorkspaceCreate>,
) -> Answer<Created<Workspace>> {
    let made = workspaces::create(&call.data, call.admin, &body.name).await?;
    Ok(Created(views::workspace(&made)))
}

pub(super) async fn show(call: Call<String>) -> Answer<Json<Workspace>> {
    let workspace = workspaces::show(&call.data, &call.admin, workspace_id(&call.at)?).await?;
    Ok(Json(views::workspace(&workspace)))
}

pub(super) async fn change(
    call: Call<String>,
    Body(body): Body<WorkspaceChange>,
) -> Answer<Json<Workspace>> {
    let id = workspace_id(&call.at)?;
    let workspace = workspaces::change(
        &call.data,
        call.admin,
        id,
        body.name.map(|name| name.0),
        body.disabled,
    )
    .await?;
    Ok(Json(views::workspace(&workspace)))
}
