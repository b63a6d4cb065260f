//! Workspaces: create, read, rename, disable, enable.

use super::prelude::*;
use crate::audit::detail;
use tokenward_core::client::Workspace;
use tokenward_core::ids::WorkspaceNo;

const NO_WORKSPACE: Refused = Refused::NotFound("workspace");

/// One workspace.
pub async fn show(data: &Data, admin: &Admin, id: WorkspaceId) -> Result<Workspace, Refused> {
    admin.must_see_workspace(id)?;
    data.reader().workspace(id).await?.ok_or(NO_WORKSPACE)
}

/// Workspaces in the order of their creation, as far as the administrator sees them; and where the
/// next page begins.
pub async fn list(
    data: &Data,
    admin: &Admin,
    after: Option<WorkspaceNo>,
    limit: u32,
) -> Result<(Vec<Workspace>, Option<u32>), Refused> {
    if let Some(own) = admin.own_workspace() {
        let own = if after.is_none() {
            data.reader().workspace(own).await?
        } else {
            None
        };
        return Ok((own.into_iter().collect(), None));
    }
    let limit = limit.clamp(1, tokenward_store::PAGE_MAX);
    let page = data.reader().workspaces(after, limit).await?;
    let next = (page.len() as u32 == limit)
        .then(|| page.last().map(|workspace| workspace.no.0))
        .flatten();
    Ok((page, next))
}

/// Creates a workspace.
pub async fn create(data: &Data, admin: Admin, text: &str) -> Result<Workspace, Refused> {
    admin.must_operate()?;
    let name = super::name(text)?;
    let decided = acting::decide(data, admin, ReadSet::default(), move |acting, view| {
        let id = WorkspaceId(random::uuid());
        let workspace = Workspace {
            no: view.next.workspace,
            id,
            name,
            created_at: view.now,
            disabled_at: None,
        };
        let detail = json!({ "name": workspace.name });
        let entry = acting.entry("workspace.create", Some(id), None, &detail);
        let changes = vec![Change::WorkspacePut {
            workspace: workspace.clone(),
        }];
        Ok((Decided::changes(changes, entry), workspace))
    });
    decided.await
}

/// Renames, disables or enables a workspace; all its clients sleep and wake with it.
pub async fn change(
    data: &Data,
    admin: Admin,
    id: WorkspaceId,
    new_name: Option<String>,
    disabled: Option<bool>,
) -> Result<Workspace, Refused> {
    admin.must_see_workspace(id)?;
    admin.must_operate()?;
    let wants = ReadSet {
        workspace: Some(id),
        ..ReadSet::default()
    };
    let decided = acting::decide(data, admin, wants, move |acting, view| {
        let old = view.workspace.clone().ok_or(NO_WORKSPACE)?;
        let mut workspace = old.clone();
        // A name that stays is not judged anew: an older version may have accepted it.
        if let Some(text) = new_name.filter(|text| text != old.name.as_str()) {
            workspace.name = super::name(&text)?;
        }
        if let Some(disabled) = disabled
            && disabled != old.disabled_at.is_some()
        {
            workspace.disabled_at = disabled.then_some(view.now);
        }
        if workspace == old {
            return Ok((Decided::nothing(), workspace));
        }
        let told = |workspace: &Workspace| json!({ "name": workspace.name, "disabled": workspace.disabled_at.is_some() });
        let detail = detail::with_changes(told(&workspace), &told(&old), &told(&workspace));
        let entry = acting.entry("workspace.change", Some(id), None, &detail);
        let changes = vec![Change::WorkspacePut {
            workspace: workspace.clone(),
        }];
        Ok((Decided::changes(changes, entry), workspace))
    });
    decided.await
}
