//! What was told of a workspace's clients, to whom, and what became of it.

use super::{Refused, webhooks};
use crate::auth::authority::Admin;
use crate::data::Data;
use tokenward_core::ids::WorkspaceId;
use tokenward_store::PAGE_MAX;
use tokenward_store::notices::Notice;

/// Where a notice stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The next attempt will be made.
    Waiting,
    /// Its receiver took it.
    Delivered,
    /// No further attempt will be made.
    GivenUp,
}

/// Where this notice stands.
#[must_use]
pub fn state(notice: &Notice) -> State {
    match (notice.done_at, notice.due_at) {
        (Some(_), _) => State::Delivered,
        (None, Some(_)) => State::Waiting,
        (None, None) => State::GivenUp,
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
    let reader = data.store.reader();
    let known = reader.workspace(workspace).await?;
    known.ok_or(Refused::NotFound("workspace"))?;
    let limit = limit.clamp(1, PAGE_MAX);
    let page = reader.notices(workspace, after, limit).await?;
    let full = page.len() as u32 == limit;
    let next = page.last().filter(|_| full).map(|notice| notice.no);
    Ok((page, next))
}
