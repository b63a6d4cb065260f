//! A workspace at a glance: its API clients by state, those that need attention, and what was done lately.

use super::activity::{self, Line};
use super::prelude::*;
use super::shown::environment;
use crate::verbs;
use crate::verbs::clients::Read;
use crate::verbs::overview::{self, Reason};
use tokenward_core::client::Workspace;
use tokenward_core::ids::{Environment, WorkspaceId};
use tokenward_store::{AuditFilter, ClientTotals};

/// Entries of the history on the page.
const HISTORY: u32 = 10;

/// How many clients are in a state, and where they are listed.
pub(super) struct Count {
    pub(super) words: &'static str,
    pub(super) tone: &'static str,
    pub(super) n: u32,
    pub(super) address: String,
}

/// An environment of a workspace.
struct Side {
    name: &'static str,
    address: String,
    total: String,
    counts: Vec<Count>,
}

/// A client that needs attention.
struct Attention {
    label: String,
    address: String,
    environment: &'static str,
    reason: &'static str,
    tone: &'static str,
    fact: String,
}

#[derive(Template)]
#[template(path = "console/overview.html")]
struct OverviewPage {
    frame: Frame,
    workspace: String,
    disabled: bool,
    sides: Vec<Side>,
    /// Whether there is no client in either environment; none where that is not known.
    empty: bool,
    manages: bool,
    attention: Vec<Attention>,
    /// Whether not all of them are listed.
    more: bool,
    audits: bool,
    history: Vec<Line>,
}

/// The states of a side that has clients, with links to their lists.
pub(super) fn counts(base: &str, totals: &ClientTotals) -> Vec<Count> {
    let all = [
        ("Active", "good", totals.live, "live"),
        ("Expiring soon", "warn", totals.expiring, "expiring"),
        ("Expired", "idle", totals.expired, "expired"),
        ("Revoked", "idle", totals.revoked, "revoked"),
        ("No token yet", "idle", totals.no_token, "no-token"),
        ("Disabled", "bad", totals.disabled, "disabled"),
    ];
    let shown = all.into_iter().filter(|(_, _, n, _)| *n > 0);
    let shown = shown.map(|(words, tone, n, state)| Count {
        words,
        tone,
        n,
        address: format!("{base}?state={state}"),
    });
    shown.collect()
}

fn side(workspace: &Workspace, at: Environment, totals: &[ClientTotals]) -> Side {
    let found = totals.iter().find(|one| one.environment == at);
    let address = format!("/console/w/{}/{}", workspace.id, at.as_str());
    Side {
        name: environment(at),
        total: count(found.map_or(0, |one| one.total().into())),
        counts: found.map_or_else(Vec::new, |one| counts(&address, one)),
        address,
    }
}

fn attention(reason: Reason, read: &Read, most: u32, now: Timestamp) -> Attention {
    let client = &read.state.client;
    let (words, tone, fact) = match reason {
        Reason::Misuse => (
            "Denied tokens in use",
            "warn",
            "Tokens that no longer work are still sent.".to_owned(),
        ),
        Reason::Quota => {
            let used = read.state.quotas(now).map(|(_, used)| used).max();
            let (used, most) = (count(used.unwrap_or(0).into()), count(most.into()));
            let fact = format!("{used} of {most} tokens requested today.");
            ("Daily quota", "warn", fact)
        }
        Reason::Expiring => {
            let till = read.state.slot.live(now).and_then(|token| token.valid_till);
            let left = till.map_or(0, |till| till.seconds_since(now));
            let fact = format!("The access token expires in {}.", super::shown::span(left));
            ("Expiring soon", "warn", fact)
        }
    };
    Attention {
        label: client.settings.label.to_string(),
        address: format!("/console/clients/{}", client.id),
        environment: environment(client.environment),
        reason: words,
        tone,
        fact,
    }
}

/// What was done lately in a workspace, or anywhere; nothing for those who may not read the audit log.
pub(super) async fn history(
    app: &App,
    person: &Person,
    workspace: Option<WorkspaceId>,
) -> Result<Vec<Line>, PageError> {
    let admin = person.admin();
    if admin.must_audit().is_err() {
        return Ok(Vec::new());
    }
    let filter = AuditFilter {
        newest_before: Some(0),
        workspace,
        acts_only: true,
        limit: HISTORY,
        ..AuditFilter::default()
    };
    let entries = verbs::audit::list(&app.data, &admin, filter).await?;
    activity::lines(app, &entries, app.data.clock().wall()).await
}

/// `GET /console/w/{workspace}/overview`
pub(super) async fn show(
    Path(text): Path<String>,
    Member(app, person): Member,
    uri: http::Uri,
) -> Reply {
    let (admin, now) = (person.admin(), app.data.clock().wall());
    let workspace = super::workspaces::one(&app, &person, &text).await?;
    let totals = overview::totals(&app.data, &admin, Some(&workspace)).await?;
    let found = overview::attention(&app.data, &admin, &workspace).await?;
    let most = app.data.config.quota_per_day;
    let more = found.iter().any(|(_, _, more)| *more);
    let listed = found
        .iter()
        .flat_map(|(reason, some, _)| some.iter().map(|read| attention(*reason, read, most, now)));
    let query = Form::query(&uri);
    let environments = [Environment::Production, Environment::Sandbox];
    page(&OverviewPage {
        frame: Frame::new(&person, "Overview", "overview")
            .at(Place::new(&workspace, None))
            .done(query.text("done")),
        workspace: workspace.id.to_string(),
        disabled: workspace.disabled_at.is_some(),
        sides: totals.as_ref().map_or_else(Vec::new, |totals| {
            environments.map(|at| side(&workspace, at, totals)).into()
        }),
        empty: totals.is_some_and(|totals| totals.is_empty()),
        manages: admin.writes(),
        attention: listed.collect(),
        more,
        audits: admin.must_audit().is_ok(),
        history: history(&app, &person, Some(workspace.id)).await?,
    })
}
