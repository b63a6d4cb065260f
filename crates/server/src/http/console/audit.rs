//! The audit log for people: the newest first, filtered, exported, and its chain verified.

use super::activity::{self, Line};
use super::prelude::*;
use super::reply::attached;
use super::session::Member as SignedIn;
use crate::auth::authority::Admin;
use crate::http::admin::audit_line;
use crate::verbs::audit::{self, Verified};
use crate::verbs::{admin_keys, members, workspaces};
use axum::body::Body;
use futures_util::stream;
use std::collections::BTreeSet;
use tokenward_api::audit_csv;
use tokenward_core::audit::AuditRecord;
use tokenward_core::hex;
use tokenward_core::ids::{ClientId, WorkspaceId};
use tokenward_core::time::{MICROS_PER_SECOND, SECONDS_PER_DAY};
use tokenward_store::people::Member;
use tokenward_store::{AuditFilter, ClientFilter, PAGE_MAX};

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
    from: String,
    to: String,
    generations: bool,
    /// What of the filter can't be understood: fields and sentences.
    faults: Vec<(&'static str, String)>,
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
async fn known_actors(app: &App, admin: &Admin) -> Result<Vec<(String, String)>, PageError> {
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
async fn actor(app: &App, admin: &Admin, text: &str) -> Understood<String> {
    let as_written = text.contains(':') || text == "system" || text == "unverified";
    if text.is_empty() || as_written {
        return Ok(Ok((!text.is_empty()).then(|| text.to_owned())));
    }
    let known = known_actors(app, admin).await?;
    let named = known
        .into_iter()
        .filter(|(_, name)| name.eq_ignore_ascii_case(text));
    let found: BTreeSet<String> = named.map(|(actor, _)| actor).collect();
    let mut found = found.into_iter();
    Ok(match (found.next(), found.next()) {
        (Some(one), None) => Ok(Some(one)),
        (None, _) => Err(format!("No member or admin key is called “{text}”.")),
        _ => Err(format!(
            "Several members or admin keys are called “{text}”. Enter an email address."
        )),
    })
}

/// The client that a filter names: by its id or its name.
async fn client(app: &App, admin: &Admin, text: &str) -> Understood<ClientId> {
    if text.is_empty() {
        return Ok(Ok(None));
    }
    if let Ok(id) = Uuid::try_parse(text) {
        return Ok(Ok(Some(ClientId(id))));
    }
    let reader = app.data.reader();
    let workspace = admin.own_workspace();
    let named = ClientFilter {
        workspace,
        label: Some(text.to_owned()),
        deleted: true,
        limit: 2,
        ..ClientFilter::default()
    };
    let found = reader.clients(&named).await?;
    Ok(match found.as_slice() {
        [(one, _)] => Ok(Some(one.client.id)),
        [] => Err(format!("No API client is called “{text}”.")),
        _ => Err(format!(
            "Several API clients are called “{text}”. Enter a client ID."
        )),
    })
}

/// A value of a filter, or why it cannot be understood.
type Understood<T> = Result<Result<Option<T>, String>, PageError>;

/// Microseconds of a day.
const DAY_MICROS: i64 = SECONDS_PER_DAY * MICROS_PER_SECOND;

/// The beginning of a day in UTC, as browsers send dates.
fn day(text: &str) -> Result<Option<Timestamp>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let day: Option<jiff::civil::Date> = text.parse().ok();
    let midnight = day.map(|day| day.at(0, 0, 0, 0));
    let start = midnight.and_then(|start| jiff::tz::TimeZone::UTC.to_timestamp(start).ok());
    match start {
        Some(start) => Ok(Some(Timestamp(start.as_microsecond()))),
        None => Err("Enter a date such as 2026-11-29.".to_owned()),
    }
}

/// The value of a field of the filter; why it can't be understood is kept.
fn read<T>(
    field: &'static str,
    value: Result<Option<T>, String>,
    faults: &mut Vec<(&'static str, String)>,
) -> Option<T> {
    let value = value.map_err(|why| faults.push((field, why)));
    value.ok().flatten()
}

/// What a query asks for; or everything that can't be understood of it, each with its field.
async fn filter(
    app: &App,
    admin: &Admin,
    query: &Form,
) -> Result<Result<AuditFilter, Vec<(&'static str, String)>>, PageError> {
    let text = |name: &str| query.text(name).trim();
    let workspace = match text("workspace") {
        "" => Ok(None),
        id => match Uuid::try_parse(id) {
            Ok(id) => Ok(Some(WorkspaceId(id))),
            Err(_) => Err("Select a workspace, or enter its ID.".to_owned()),
        },
    };
    let client = client(app, admin, text("client")).await?;
    let actor = actor(app, admin, text("actor")).await?;
    let mut faults = Vec::new();
    let client = read("client", client, &mut faults);
    let workspace = read("workspace", workspace, &mut faults);
    let actor = read("actor", actor, &mut faults);
    let from = read("from", day(text("from")), &mut faults);
    let to = read("to", day(text("to")), &mut faults);
    if !faults.is_empty() {
        return Ok(Err(faults));
    }
    let after = match from {
        Some(from) => audit::first_at(&app.data, admin, from).await? - 1,
        None => 0,
    };
    // The last day is in it.
    let through = match to {
        Some(to) => {
            let end = Timestamp(to.0 + DAY_MICROS);
            Some(audit::first_at(&app.data, admin, end).await? - 1)
        }
        None => None,
    };
    let action = Some(text("action").to_owned()).filter(|action| !action.is_empty());
    Ok(Ok(AuditFilter {
        after,
        through,
        client,
        workspace,
        acts_only: !query.is_ticked("generations") && action.as_deref() != Some("token.generate"),
        action,
        actor,
        ..AuditFilter::default()
    }))
}

async fn shown(
    app: &App,
    admin: &Admin,
    frame: Frame,
    query: &Form,
) -> Result<AuditPage, PageError> {
    admin.must_audit()?;
    let (asked, faults) = match filter(app, admin, query).await? {
        Ok(asked) => (Some(asked), Vec::new()),
        Err(faults) => (None, faults),
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
        from: text("from"),
        to: text("to"),
        generations: query.is_ticked("generations"),
        faults,
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
    let names = "action client workspace actor from to generations";
    query.only(names.split(' ')).encoded()
}

/// `GET /console/audit`
pub(super) async fn show(SignedIn(app, person): SignedIn, uri: http::Uri) -> Reply {
    let query = Form::query(&uri);
    let frame = Frame::new(&person, "Audit log", "audit");
    page(&shown(&app, &person.admin(), frame, &query).await?)
}

/// `POST /console/audit/verify`
pub(super) async fn verify(sent: PostedForm) -> Reply {
    let (person, admin) = (&sent.person, sent.person.admin());
    let verified = audit::verify((&sent.app.data, &sent.app.verifications), &admin, None).await?;
    let frame = Frame::new(person, "Audit log", "audit");
    let mut shown = shown(&sent.app, &admin, frame, &Form::default()).await?;
    shown.broken = matches!(verified, Verified::Broken { .. });
    shown.verified = Some(match verified {
        Verified::Whole { entries, hash } => format!(
            "{} entries verified. Head hash: {}. Save it outside this server to prove later that no earlier entry was changed.",
            count(entries),
            *hex::encode(&hash)
        ),
        Verified::Broken { at, why } => format!(
            "Verification failed at entry {at}: {why}. Keep the database as it is and compare it with your exports."
        ),
    });
    page(&shown)
}

/// `GET /console/audit/export.csv`
pub(super) async fn csv(SignedIn(app, person): SignedIn, uri: http::Uri) -> Reply {
    let heading = audit_csv::heading();
    let body = export(app, person.admin(), &uri, heading, audit_csv::row).await?;
    Ok(attached(body, "text/csv; charset=utf-8", "audit.csv"))
}

/// `GET /console/audit/export.jsonl`
pub(super) async fn json_lines(SignedIn(app, person): SignedIn, uri: http::Uri) -> Reply {
    let body = export(app, person.admin(), &uri, String::new(), audit_line).await?;
    Ok(attached(body, "application/jsonl", "audit.jsonl"))
}

/// The entries a query asks for, oldest first, a page at a time: an export of any length takes little memory.
async fn export(
    app: Arc<App>,
    admin: Admin,
    uri: &http::Uri,
    head: String,
    line: fn(&AuditRecord) -> String,
) -> Result<Body, PageError> {
    admin.must_audit()?;
    let query = Form::query(uri);
    let asked = filter(&app, &admin, &query).await?;
    let filter = asked.map_err(|faults| {
        let whys: Vec<String> = faults.into_iter().map(|(_, why)| why).collect();
        PageError::Conflict(whys.join(" "))
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
