//! What a workspace's API clients need: how many are in each state, and which need somebody's attention.

use super::clients::{self, Read};
use super::prelude::*;
use tokenward_core::client::{Role, Workspace};
use tokenward_core::time::{MICROS_PER_SECOND, SECONDS_PER_DAY};
use tokenward_store::{ClientFilter, ClientTotals, StateFilter};

/// Days before its end from which a long-lived token counts as expiring.
pub(crate) const EXPIRING_DAYS: i64 = 7;
/// Percent of the daily quota from which a client is listed.
const QUOTA_PERCENT: u32 = 80;
/// Clients listed for each reason.
pub(crate) const LISTED_MAX: usize = 5;

const DAY: i64 = SECONDS_PER_DAY * MICROS_PER_SECOND;
/// A token that lives shorter does not count as expiring: its holder requests another one all the time.
pub(crate) const LONG_LIVED_MICROS: i64 = 2 * EXPIRING_DAYS * DAY;

/// The end of the time in which a long-lived token counts as expiring.
pub(crate) fn expiring_before(now: Timestamp) -> Timestamp {
    Timestamp(now.0 + EXPIRING_DAYS * DAY)
}

/// Why a client needs attention.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reason {
    /// Tokens that no longer work are still presented.
    Misuse,
    /// Most of a secret's daily quota is used.
    Quota,
    /// A long-lived token expires soon.
    Expiring,
}

/// How many clients of one workspace, or of all of them, are in each state; `None` for those who do not see all of them.
pub(crate) async fn totals(
    data: &Data,
    admin: &Admin,
    workspace: Option<&Workspace>,
) -> Result<Option<Vec<ClientTotals>>, Refused> {
    match workspace {
        Some(workspace) => admin.must_see_workspace(workspace.id)?,
        None => admin.must_operate().or(admin.must_see_settings())?,
    }
    if !admin.sees_all_clients() {
        return Ok(None);
    }
    let (now, no) = (data.clock().wall(), workspace.map(|workspace| workspace.no));
    let reader = data.reader();
    let read = reader.client_totals(no, now, expiring_before(now), LONG_LIVED_MICROS);
    Ok(Some(read.await?))
}

/// The clients of a workspace that need attention, a few for each reason; and whether there are more.
pub(crate) async fn attention(
    data: &Data,
    admin: &Admin,
    workspace: &Workspace,
) -> Result<Vec<(Reason, Vec<Read>, bool)>, Refused> {
    let now = data.clock().wall();
    let quota = data.config.quota_per_day;
    let least = (u64::from(quota) * u64::from(QUOTA_PERCENT)).div_ceil(100);
    let least = u32::try_from(least).unwrap_or(u32::MAX).max(1);
    let day = now.utc_day();
    let reasons = [
        (
            Reason::Misuse,
            StateFilter::StaleSince(day.saturating_sub(1)),
        ),
        (Reason::Quota, StateFilter::QuotaUsed { day, least }),
        (
            Reason::Expiring,
            StateFilter::Expiring {
                now,
                before: expiring_before(now),
                lived_micros: LONG_LIVED_MICROS,
            },
        ),
    ];
    let mut found = Vec::new();
    for (reason, state) in reasons {
        let filter = ClientFilter {
            state: Some(state),
            newest_first: true,
            limit: match admin.role {
                // What a product admin does not see is left out behind the database.
                Role::ProductAdmin { .. } => tokenward_store::PAGE_MAX,
                _ => LISTED_MAX as u32 + 1,
            },
            ..ClientFilter::default()
        };
        let (mut some, _) = clients::list(data, admin, workspace.id, filter).await?;
        let more = some.len() > LISTED_MAX;
        some.truncate(LISTED_MAX);
        if !some.is_empty() {
            found.push((reason, some, more));
        }
    }
    Ok(found)
}
