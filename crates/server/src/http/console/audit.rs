//! The audit log for people: the newest first, filtered, exported, and its chain verified.

use super::activity::{self, Line};
use super::form::{Form, Word};
use super::frame::Frame;
use super::reply::{Reply, Trouble, page};
use super::session::{Member, Sent};
use super::shown::count;
use crate::app::App;
use crate::auth::authority::Admin;
use crate::http::admin::audit_line;
use crate::verbs::audit::{self, Verified};
use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderValue, header};
use std::sync::Arc;
use tokenward_api::audit_csv;
use tokenward_core::audit::Written;
use tokenward_core::ids::{ClientId, WorkspaceId};
use tokenward_core::time::Clock;
use tokenward_store::{AuditFilter, PAGE_MAX};
use uuid::Uuid;

/// Entries on a page.
const PAGE: u32 = 50;

#[derive(Template)]
#[template(path = "console/audit.html")]
struct AuditPage {
    frame: Frame,
    lines: Vec<Line>,
    older: Option<String>,
    action: String,
    client: String,
    workspace: String,
    actor: String,
    generations: bool,
    fault: String,
    word: Word,
    verified: Option<String>,
    broken: bool,
    verifies: bool,
    export: String,
}

/// What a query asks for; a sentence when it cannot be understood.
fn filter(query: &Form) -> Result<AuditFilter, String> {
    let id = |name: &str, what: &str| match query.text(name).trim() {
        "" => Ok(None),
        text => Uuid::try_parse(text).map(Some).map_err(|_| {
            format!("{what} must be an id such as 0198c0de-0000-7000-8000-00000000000a.")
        }),
    };
    let text = |name: &str| match query.text(name).trim() {
        "" => None,
        text => Some(text.to_owned()),
    };
    let action = text("action");
    Ok(AuditFilter {
        client: id("client", "The API client")?.map(ClientId),
        workspace: id("workspace", "The workspace")?.map(WorkspaceId),
        acts_only: !query.is_ticked("generations") && action.as_deref() != Some("token.generate"),
        action,
        actor: text("actor"),
        ..AuditFilter::default()
    })
}

async fn shown(app: &App, admin: &Admin, frame: Frame, query: &Form) -> Result<AuditPage, Trouble> {
    admin.must_audit()?;
    let (asked, fault) = match filter(query) {
        Ok(asked) => (Some(asked), String::new()),
        Err(fault) => (None, fault),
    };
    let before = query.text("before").parse().unwrap_or(0);
    let entries = match asked {
        None => Vec::new(),
        Some(asked) => {
            let filter = AuditFilter {
                newest_before: Some(before),
                limit: PAGE,
                ..asked
            };
            audit::list(&app.data, admin, filter).await?
        }
    };
    let export = asked_again(query);
    let last = entries.last().filter(|_| entries.len() == PAGE as usize);
    let older = last.map(|last| format!("/console/audit?{export}&before={}", last.seq));
    let text = |name: &str| query.text(name).to_owned();
    Ok(AuditPage {
        word: frame.hidden_word(),
        frame,
        lines: activity::lines(app, &entries, app.data.clock().wall()).await?,
        older,
        action: text("action"),
        client: text("client"),
        workspace: text("workspace"),
        actor: text("actor"),
        generations: query.is_ticked("generations"),
        fault,
        verified: None,
        broken: false,
        verifies: admin.own_workspace().is_none(),
        export,
    })
}

/// The query again, without the place in it.
fn asked_again(query: &Form) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    for name in ["action", "client", "workspace", "actor", "generations"] {
        if !query.text(name).is_empty() {
            pairs.append_pair(name, query.text(name));
        }
    }
    pairs.finish()
}

/// `GET /console/audit`
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Member(person): Member,
    uri: http::Uri,
) -> Reply {
    let query = Form::query(&uri);
    let frame = Frame::new(&person, "Audit log", "audit");
    page(&shown(&app, &person.admin(), frame, &query).await?)
}

/// `POST /console/audit/verify`
pub(super) async fn verify(State(app): State<Arc<App>>, sent: Sent) -> Reply {
    let (person, admin) = (&sent.person, sent.person.admin());
    let verified = audit::verify((&app.data, &app.verifications), &admin, None).await?;
    let frame = Frame::new(person, "Audit log", "audit");
    let mut shown = shown(&app, &admin, frame, &Form::default()).await?;
    shown.broken = matches!(verified, Verified::Broken { .. });
    shown.verified = Some(match verified {
        Verified::Whole { entries, hash } => format!(
            "{} entries verified. Head hash: {}. Save it outside this server to prove later that no earlier entry was changed.",
            count(entries),
            *crate::config::data_dir::hex(&hash)
        ),
        Verified::Broken { at, why } => format!(
            "Verification failed at entry {at}: {why}. Keep the database as it is and compare it with your exports."
        ),
    });
    page(&shown)
}

/// `GET /console/audit/export.csv`
pub(super) async fn csv(
    State(app): State<Arc<App>>,
    Member(person): Member,
    uri: http::Uri,
) -> Reply {
    let body = export(
        app,
        person.admin(),
        &uri,
        audit_csv::heading(),
        audit_csv::row,
    )?;
    Ok(attached(body, "text/csv; charset=utf-8", "audit.csv"))
}

/// `GET /console/audit/export.jsonl`
pub(super) async fn json_lines(
    State(app): State<Arc<App>>,
    Member(person): Member,
    uri: http::Uri,
) -> Reply {
    let body = export(app, person.admin(), &uri, String::new(), audit_line)?;
    Ok(attached(body, "application/jsonl", "audit.jsonl"))
}

fn attached(body: Body, kind: &'static str, file: &'static str) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let name = format!("attachment; filename=\"{file}\"");
    if let Ok(name) = HeaderValue::try_from(name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

/// The entries a query asks for, oldest first, a page at a time: an export of any length takes little memory.
fn export(
    app: Arc<App>,
    admin: Admin,
    uri: &http::Uri,
    head: String,
    line: fn(&Written) -> String,
) -> Result<Body, Trouble> {
    admin.must_audit()?;
    let query = Form::query(uri);
    let filter = filter(&query).map_err(Trouble::Conflict)?;
    let filter = AuditFilter {
        limit: PAGE_MAX,
        ..filter
    };
    let pages = stream::unfold(Some((filter, head)), move |state| {
        let (app, admin) = (Arc::clone(&app), admin.clone());
        async move {
            let (filter, mut text) = state?;
            let entries = match audit::list(&app.data, &admin, filter.clone()).await {
                Ok(entries) => entries,
                Err(refused) => {
                    // The rest is missing, so the download must not end as if it were whole.
                    let error = std::io::Error::other(format!("{refused:?}"));
                    return Some((Err(error), None));
                }
            };
            entries.iter().for_each(|entry| text.push_str(&line(entry)));
            let last = entries
                .last()
                .filter(|_| entries.len() == PAGE_MAX as usize);
            let next = last.map(|last| {
                let after = last.seq;
                (AuditFilter { after, ..filter }, String::new())
            });
            Some((Ok(text), next))
        }
    });
    Ok(Body::from_stream(pages))
}
