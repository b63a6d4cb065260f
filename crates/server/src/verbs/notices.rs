//! What was told of a workspace's clients, to whom, and what became of it.

use super::prelude::*;
use super::webhooks;
use tokenward_api::NoticeState;
use tokenward_store::PAGE_MAX;
use tokenward_store::notices::Notice;

/// Where this notice stands.
#[must_use]
pub fn state(notice: &Notice) -> NoticeState {
    match (notice.done_at, notice.due_at) {
        (Some(_), _) => NoticeState::Delivered,
        (None, Some(_)) => NoticeState::Waiting,
        (None, None) => NoticeState::GivenUp,
    }
}

/// Notices of a workspace, the newest first, from behind the place of one on the page before; and where the
/// next page begins.
pub async fn list(
    data: &Data,
    admin: &Admin,
    workspace: WorkspaceId,
    after: Option<u64>,
    limit: u32,
) -> Result<(Vec<Notice>, Option<u64>), Refused> {
    webhooks::must_see(admin, workspace)?;
    let reader = data.reader();
    let known = reader.workspace(workspace).await?;
    known.ok_or(Refused::NotFound("workspace"))?;
    let limit = limit.clamp(1, PAGE_MAX);
    let page = reader.notices(workspace, after, limit).await?;
    let full = page.len() as u32 == limit;
    let next = page.last().filter(|_| full).map(|notice| notice.no);
    Ok((page, next))
}
