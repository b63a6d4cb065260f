//! The audit log for people: the newest first, filtered, exported, and its chain verified.

use super::activity::{self, Line};
use super::form::{Form, Word};
use super::frame::Frame;
use super::reply::{Reply, Trouble, page};
use super::session::{Member as SignedIn, Sent};
use super::shown::count;
use crate::app::App;
use crate::auth::authority::Admin;
use crate::http::admin::audit_line;
use crate::verbs::audit::{self, Verified};
use crate::verbs::{admin_keys, members, workspaces};
use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderValue, header};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokenward_api::audit_csv;
use tokenward_core::audit::Written;
use tokenward_core::ids::{ClientId, WorkspaceId};
use tokenward_core::time::Clock;
use tokenward_store::people::Member;
use tokenward_store::{AuditFilter, ClientFilter, PAGE_MAX};
use uuid::Uuid;

/// Entries on a page.
const PAGE: u32 = 50;
/// Workspaces, and names of actors, offered in a list.
const OFFERED: u32 = 200;

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
    /// Workspaces to choose from: id and name.
    places: Vec<(String, String)>,
    /// Names to complete what is typed as the actor.
    names: Vec<String>,
    deeds: &'static [activity::Deed],
}

/// Members and admin keys that the person may list, as actors: what entries call them, and their names.
async fn known_actors(app: &App, admin: &Admin) -> Result<Vec<(String, String)>, Trouble> {
    let mut known = Vec::new();
    if admin.must_see_members().is_ok() {
        let (members, _) = members::list(&app.data, admin).await?;
        let member = |one: &Member| {
            let actor = format!("member:{}", one.id);
            [
                (actor.clone(), one.name.to_string()),
                (actor, one.email.clone()),
            ]
        };
        known.extend(members.iter().flat_map(member));
    }
    if admin.is_operator() {
        let keys = admin_keys::list(&app.data, admin).await?;
        known.extend(
            keys.iter()
                .map(|key| (format!("admin-key:{}", key.id), key.name.to_string())),
        );
    }
    Ok(known)
}

/// The actor that a filter names: by the name or email of a member, the name of an admin key, or as entries have it.
async fn actor(app: &App, admin: &Admin, text: &str) -> Result<Option<String>, NoFilter> {
    let as_written = text.contains(':') || text == "system" || text == "unverified";
    if text.is_empty() || as_written {
        return Ok((!text.is_empty()).then(|| text.to_owned()));
    }
    let known = known_actors(app, admin).await?;
    let named = known
        .into_iter()
        .filter(|(_, name)| name.eq_ignore_ascii_case(text));
    let found: BTreeSet<String> = named.map(|(actor, _)| actor).collect();
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(Some(one)),
        (None, _) => Err(NoFilter::Because(format!(
            "No member or admin key is called “{text}”."
        ))),
        _ => Err(NoFilter::Because(format!(
            "Several members or admin keys are called “{text}”. Enter an email address."
        ))),
    }
}

/// The client that a filter names: by its id or its name.
async fn client(app: &App, admin: &Admin, text: &str) -> Result<Option<ClientId>, NoFilter> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(id) = Uuid::try_parse(text) {
        return Ok(Some(ClientId(id)));
    }
    let reader = app.data.store.reader();
    let workspace = admin.own_workspace();
    let named = ClientFilter {
        workspace,
        label: Some(text.to_owned()),
        deleted: true,
        limit: 2,
        ..ClientFilter::default()
    };
    let found = reader.clients(&named).await.map_err(Trouble::from)?;
    match found.as_slice() {
        [(one, _)] => Ok(Some(one.client.id)),
        [] => Err(NoFilter::Because(format!(
            "No API client is called “{text}”."
        ))),
        _ => Err(NoFilter::Because(format!(
            "Several API clients are called “{text}”. Enter a client ID."
        ))),
    }
}

/// Why a query asks for nothing.
enum NoFilter {
    /// It cannot be understood: a sentence.
    Because(String),
    Failed(Trouble),
}

impl From<Trouble> for NoFilter {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(trouble)
    }
}

/// What a query asks for.
async fn filter(app: &App, admin: &Admin, query: &Form) -> Result<AuditFilter, NoFilter> {
    let text = |name: &str| query.text(name).trim();
    let workspace = match text("workspace") {
        "" => None,
        id => {
            let why = || NoFilter::Because("Select a workspace, or enter its ID.".to_owned());
            Some(Uuid::try_parse(id).map_err(|_| why())?)
        }
    };
    let action = Some(text("action").to_owned()).filter(|action| !action.is_empty());
    Ok(AuditFilter {
        client: client(app, admin, text("client")).await?,
        workspace: workspace.map(WorkspaceId),
        acts_only: !query.is_ticked("generations") && action.as_deref() != Some("token.generate"),
        action,
        actor: actor(app, admin, text("actor")).await?,
        ..AuditFilter::default()
    })
}

async fn shown(app: &App, admin: &Admin, frame: Frame, query: &Form) -> Result<AuditPage, Trouble> {
    admin.must_audit()?;
    let (asked, fault) = match filter(app, admin, query).await {
        Ok(asked) => (Some(asked), String::new()),
        Err(NoFilter::Because(fault)) => (None, fault),
        Err(NoFilter::Failed(trouble)) => return Err(trouble),
    };
    let (places, _) = workspaces::list(&app.data, admin, None, OFFERED).await?;
    let mut names: Vec<String> = known_actors(app, admin)
        .await?
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    names.sort();
    names.dedup();
    names.truncate(OFFERED as usize);
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
        places: places
            .iter()
            .map(|place| (place.id.to_string(), place.name.to_string()))
            .collect(),
        names,
        deeds: activity::DEEDS,
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
    SignedIn(person): SignedIn,
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
    SignedIn(person): SignedIn,
    uri: http::Uri,
) -> Reply {
    let heading = audit_csv::heading();
    let body = export(app, person.admin(), &uri, heading, audit_csv::row).await?;
    Ok(attached(body, "text/csv; charset=utf-8", "audit.csv"))
}

/// `GET /console/audit/export.jsonl`
pub(super) async fn json_lines(
    State(app): State<Arc<App>>,
    SignedIn(person): SignedIn,
    uri: http::Uri,
) -> Reply {
    let body = export(app, person.admin(), &uri, String::new(), audit_line).await?;
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
async fn export(
    app: Arc<App>,
    admin: Admin,
    uri: &http::Uri,
    head: String,
    line: fn(&Written) -> String,
) -> Result<Body, Trouble> {
    admin.must_audit()?;
    let query = Form::query(uri);
    let asked = filter(&app, &admin, &query).await;
    let filter = asked.map_err(|no| match no {
        NoFilter::Because(why) => Trouble::Conflict(why),
        NoFilter::Failed(trouble) => trouble,
    })?;
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
