//! A client's page: whether it is healthy, who uses it and from where, what it may do, what was changed, its figures, and
//! what can be done to it.

use super::super::prelude::*;
use super::super::reply::attached;
use super::super::search::DeniedLine;
use super::super::shown;
use super::downloads::{self, Sample};
use super::figures::{self, Chart, Source, Span, Stale};
use super::{Standing, moment, product_words, standing};
use crate::http::console::activity::{Line, Names, lines};
use crate::http::console::credentials::Recognised;
use crate::verbs::addresses::{Address, State as Confirmation};
use crate::verbs::{self, clients::Read, usage_figures};
use http::HeaderMap;
use std::collections::HashMap;
use tokenward_core::client::{OnRepeat, SECRETS, SecretRecord};
use tokenward_store::{AuditFilter, CredentialNote};

/// Denied requests on the page.
const DENIED: usize = 10;
/// Entries of the history on the page.
const HISTORY: u32 = 15;

struct SecretLine {
    n: u32,
    created: Moment,
    known: Recognised,
    /// The day of the last token that it generated.
    requested: String,
    used: u32,
    most: u32,
    percent: u32,
}

struct TokenFacts {
    generation: u32,
    issued: Option<Moment>,
    ends: Option<Moment>,
    ended: Option<Moment>,
    previous: Option<Moment>,
}

/// What is wrong with a client, or worth knowing, and what to do about it.
struct Issue {
    tone: &'static str,
    word: &'static str,
    text: String,
    /// A page that helps, and what its link says; empty when there is none.
    address: String,
    link: &'static str,
}

#[derive(Template)]
#[template(path = "console/client.html")]
struct ClientPage {
    frame: Frame,
    id: String,
    label: String,
    standing: Standing,
    issues: Vec<Issue>,
    /// Who created the client, as far as the person may know it.
    created_by: String,
    live: bool,
    deleted: bool,
    disabled: bool,
    /// Whether a token can be generated.
    generates: bool,
    token: TokenFacts,
    token_use: Option<String>,
    last_use: Option<String>,
    secrets: Vec<SecretLine>,
    settings: Vec<(&'static str, String)>,
    created: Moment,
    manages: bool,
    history: Vec<Line>,
    audits: bool,
    charts: [Chart; 3],
    /// The spans of time to choose from.
    ranges: &'static [Span],
    /// The one that is drawn.
    range: &'static Span,
    denied: Vec<DeniedLine>,
    samples: Vec<Sample>,
    alive: bool,
    sources: Vec<Source>,
    stale: Vec<Stale>,
    /// Whether two jobs seem to end each other's token.
    war: bool,
    returns: bool,
    /// Whether an address has not been confirmed.
    unconfirmed: bool,
    /// Why no confirmation mail can be sent; empty when it can.
    unavailable: String,
}

fn none(texts: &[String], words: &str) -> String {
    match texts.is_empty() {
        true => words.to_owned(),
        false => texts.join(", "),
    }
}

/// The notification addresses, with what keeps those from being told that are not confirmed.
fn addresses(read: &Read) -> Vec<String> {
    let one = |address: &Address| match address.state {
        Confirmation::Confirmed => address.email.clone(),
        Confirmation::Stopped => format!("{} (stopped by its owner)", address.email),
        _ => format!("{} (not confirmed)", address.email),
    };
    read.addresses.iter().map(one).collect()
}

fn settings(read: &Read) -> Vec<(&'static str, String)> {
    let settings = &read.state.client.settings;
    let mut out = vec![
        ("Product access", product_words(read)),
        (
            "Token lifetime",
            shown::lifetime(settings.token_lifetime_seconds),
        ),
        (
            "When a new token is requested",
            match settings.on_repeat {
                OnRepeat::Replace => "Replace the current token".to_owned(),
                OnRepeat::Return => format!(
                    "Return the active token while it has more than {} left",
                    shown::span(settings.renew_before_seconds.into())
                ),
            },
        ),
        (
            "Allowed IP ranges for the client secret",
            none(&settings.secret_networks.texts(), "Any"),
        ),
        (
            "Allowed IP ranges for access tokens",
            none(&settings.token_networks.texts(), "Any"),
        ),
        ("Email notifications", none(&addresses(read), "None")),
    ];
    if settings.handover_max_seconds > 0 {
        let most = shown::span(settings.handover_max_seconds.into());
        out.push(("Maximum grace period", most));
    }
    if !read.tags.is_empty() {
        out.push(("Tags", read.tags.join(", ")));
    }
    out
}

/// The day on which a secret last generated a token, in words; empty when it is not known to have done so.
fn requested(read: &Read, secret: &SecretRecord, now: Timestamp) -> String {
    let places = read.state.client.secrets.iter();
    let place = places
        .zip(&read.state.slot.quota)
        .find(|(known, _)| known.as_ref().is_some_and(|known| known.n == secret.n));
    let Some((_, count)) = place.filter(|(_, count)| count.used > 0) else {
        return String::new();
    };
    // A place keeps its count of the day when its secret is replaced; the first two secrets were the first in theirs.
    let (made, today) = (secret.created_at.utc_day(), now.utc_day());
    let first = secret.n <= SECRETS as u32;
    match count.day {
        day if day < made || (day == made && !first) => String::new(),
        day if day == today => "today".to_owned(),
        day if day + 1 == today => "yesterday".to_owned(),
        day => figures::date(day),
    }
}

fn secrets(
    app: &App,
    read: &Read,
    (notes, names): (&HashMap<u32, CredentialNote>, Option<&Names>),
    now: Timestamp,
) -> Vec<SecretLine> {
    let most = app.data.config.quota_per_day;
    let line = |(secret, used): (&SecretRecord, u32)| SecretLine {
        n: secret.n,
        created: Moment::new(secret.created_at, now),
        known: Recognised::secret(&read.state.client, secret).with(notes.get(&secret.n), names),
        requested: requested(read, secret, now),
        used,
        most,
        percent: (u64::from(used) * 100 / u64::from(most.max(1))).min(100) as u32,
    };
    read.state.quotas(now).map(line).collect()
}

/// Percent of a secret's daily quota from which the page warns.
const QUOTA_PERCENT: u32 = 80;

/// What is wrong with a client, the worst first.
fn issues(
    read: &Read,
    secrets: &[SecretLine],
    standing: Standing,
    now: Timestamp,
    manages: bool,
) -> Vec<Issue> {
    let id = read.state.client.id;
    let mut issues = Vec::new();
    let mut add = |tone, word, text: String, (page, link): (&str, &'static str)| {
        let links = manages && !page.is_empty();
        issues.push(Issue {
            tone,
            word,
            text,
            address: match links {
                true => format!("/console/clients/{id}/{page}"),
                false => String::new(),
            },
            link,
        });
    };
    let nowhere = ("", "");
    let client = &read.state.client;
    if client.deleted_at.is_some() {
        add(
            "bad",
            "Deleted",
            "Its secrets and tokens no longer work.".into(),
            nowhere,
        );
        return issues;
    }
    if client.disabled_at.is_some() {
        let text = "Its secrets and token are denied.".to_owned();
        add("bad", "Disabled", text, ("enable", "Enable API client"));
    }
    if read.state.workspace.disabled_at.is_some() {
        let text = "All API clients of this workspace are denied.".to_owned();
        add("bad", "Workspace disabled", text, nowhere);
    }
    match secrets {
        [] => add(
            "bad",
            "No client secret",
            "No token can be requested.".into(),
            ("rotate", "Create secret"),
        ),
        [old, _] => {
            let text =
                "Two client secrets work. Delete the old one when all systems use the new one."
                    .to_owned();
            let page = format!("delete-secret-{}", old.n);
            add(
                "idle",
                "Rotation in progress",
                text,
                (&page, "Delete old secret"),
            );
        }
        _ => {}
    }
    for secret in secrets
        .iter()
        .filter(|secret| secret.percent >= QUOTA_PERCENT)
    {
        let text = format!(
            "Secret {} used {} of {} tokens today. At the limit, requests get 429 until midnight UTC.",
            secret.n, secret.used, secret.most
        );
        add("warn", "Daily quota", text, nowhere);
    }
    let token = read.state.slot.live(now);
    let till = token.and_then(|token| token.valid_till);
    if let (Some(till), "warn") = (till, standing.tone) {
        let text = format!(
            "The access token expires in {}. Request a new one before.",
            shown::span(till.seconds_since(now))
        );
        add(
            "warn",
            "Expiring soon",
            text,
            ("generate", "Generate access token"),
        );
    }
    if read.state.slot.generation > 0 && token.is_none() {
        let text =
            "There is no active access token. The next request with the client secret creates one.";
        add("idle", "No active token", text.into(), nowhere);
    }
    let pending = read
        .addresses
        .iter()
        .filter(|one| one.state == Confirmation::Pending);
    if pending.count() > 0 {
        let text = "A notification email is not confirmed, so it gets no notifications.".to_owned();
        add(
            "warn",
            "Unconfirmed email",
            text,
            ("resend-confirmation", "Resend confirmation email"),
        );
    }
    issues
}

/// Who created a client, by name.
async fn created_by(app: &App, person: &Person, read: &Read) -> Result<String, PageError> {
    if person.admin().must_audit().is_err() {
        return Ok(String::new());
    }
    let filter = AuditFilter {
        client: Some(read.state.client.id),
        action: Some("client.create".to_owned()),
        acts_only: true,
        limit: 1,
        ..AuditFilter::default()
    };
    let found = verbs::audit::list(&app.data, &person.admin(), filter).await?;
    let made = lines(app, &found, app.data.clock().wall()).await?;
    Ok(made
        .into_iter()
        .next()
        .map_or_else(String::new, |line| line.who))
}

/// `GET /console/clients/{id}`
pub(in super::super) async fn show(
    Path(id): Path<String>,
    Member(app, person): Member,
    headers: HeaderMap,
    uri: http::Uri,
) -> Reply {
    let read = super::read(&app, &person, &id).await?;
    let query = Form::query(&uri);
    let (now, admin) = (app.data.clock().wall(), person.admin());
    let (client, slot) = (&read.state.client, &read.state.slot);
    let audits = admin.must_audit().is_ok();
    let history = if audits {
        let filter = AuditFilter {
            newest_before: Some(0),
            client: Some(client.id),
            acts_only: true,
            limit: HISTORY,
            ..AuditFilter::default()
        };
        let entries = verbs::audit::list(&app.data, &admin, filter).await?;
        lines(&app, &entries, now).await?
    } else {
        Vec::new()
    };
    let span = Span::named(query.text("range"));
    let figures = usage_figures::of_client(&app.data, &admin, client.id, span.days).await?;
    let (stale, war) = figures::stale(&figures, now);
    let token = slot.token.as_ref();
    let live = slot.live(now);
    let alive = client.deleted_at.is_none();
    let names = match audits {
        true => Some(Names::of_actors(&app).await?),
        false => None,
    };
    let known = (&read.notes, names.as_ref());
    let (standing, secrets) = (standing(&read, now), secrets(&app, &read, known, now));
    page(&ClientPage {
        issues: issues(&read, &secrets, standing, now, admin.writes()),
        created_by: created_by(&app, &person, &read).await?,
        frame: Frame::new(&person, client.settings.label.to_string(), "clients")
            .at(super::place(&read))
            .done(query.text("done")),
        id: client.id.to_string(),
        label: client.settings.label.to_string(),
        standing,
        live: live.is_some() && alive,
        deleted: !alive,
        disabled: client.disabled_at.is_some(),
        generates: admin.writes()
            && alive
            && client.disabled_at.is_none()
            && read.state.workspace.disabled_at.is_none(),
        token: TokenFacts {
            generation: slot.generation,
            issued: moment(token.map(|token| token.issued_at), now),
            ends: moment(token.and_then(|token| token.valid_till), now),
            ended: moment(read.token_ended_at(), now),
            previous: moment(
                slot.previous
                    .map(|previous| previous.valid_till)
                    .filter(|till| now < *till),
                now,
            ),
        },
        token_use: super::last_use(&read, read.token_use(), now),
        last_use: super::last_use(&read, read.last_use.as_ref(), now),
        sources: figures::sources(&figures, now),
        secrets,
        settings: settings(&read),
        created: Moment::plain(client.created_at),
        manages: admin.writes() && alive,
        history,
        audits,
        ranges: &figures::SPANS,
        range: span,
        charts: [
            figures::checks(&figures, span),
            figures::products(&figures, span),
            figures::generations(&figures, span),
        ],
        denied: app
            .data
            .denials
            .of_client(client.id, DENIED)
            .into_iter()
            .map(|denied| DeniedLine::new(denied, client.settings.label.as_str(), now))
            .collect(),
        samples: downloads::samples(client, &super::base(&app, &headers)),
        alive,
        stale,
        war,
        returns: client.settings.on_repeat == OnRepeat::Return,
        unconfirmed: read
            .addresses
            .iter()
            .any(|one| one.state == Confirmation::Pending),
        unavailable: verbs::addresses::unavailable(&app.data).map_or_else(String::new, sentence),
    })
}

/// `GET /console/clients/{id}/usage.csv`
pub(in super::super) async fn csv(
    Path(id): Path<String>,
    Member(app, person): Member,
    uri: http::Uri,
) -> Reply {
    let query = Form::query(&uri);
    let span = Span::named(query.text("range"));
    let client = super::id(&id)?;
    let figures = usage_figures::of_client(&app.data, &person.admin(), client, span.days).await?;
    let body = axum::body::Body::from(figures::csv(&figures, span));
    Ok(attached(body, "text/csv; charset=utf-8", "usage.csv"))
}
