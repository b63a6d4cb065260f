//! A client's page: how it stands, who uses it, what was done to it, and what can be done.

use super::super::form::{Form, sentence};
use super::super::frame::Frame;
use super::super::reply::{Reply, page};
use super::super::session::Member;
use super::super::shown::{self, Moment};
use super::figures::{self, Chart, Source, Stale};
use super::{Standing, moment, product_words, standing};
use crate::app::App;
use crate::http::console::audit::{AuditLine, lines};
use crate::verbs::addresses::{Address, State as Confirmation};
use crate::verbs::{self, clients::Read, usage_figures};
use askama::Template;
use axum::extract::{Path, State};
use std::sync::Arc;
use tokenward_core::client::{OnRepeat, SecretRecord};
use tokenward_core::time::{Clock, Timestamp};
use tokenward_store::AuditFilter;

/// Entries of the history on the page.
const HISTORY: u32 = 15;

struct SecretLine {
    n: u32,
    created: Moment,
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

#[derive(Template)]
#[template(path = "console/client.html")]
struct ClientPage {
    frame: Frame,
    id: String,
    label: String,
    standing: Standing,
    live: bool,
    disabled: bool,
    token: TokenFacts,
    token_use: Option<String>,
    last_use: Option<String>,
    secrets: Vec<SecretLine>,
    settings: Vec<(&'static str, String)>,
    created: Moment,
    manages: bool,
    history: Vec<AuditLine>,
    audits: bool,
    charts: [Chart; 3],
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
        Confirmation::Pending => format!("{} (not confirmed)", address.email),
        Confirmation::Stopped => format!("{} (stopped by its owner)", address.email),
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
    out
}

fn secrets(app: &App, read: &Read, now: Timestamp) -> Vec<SecretLine> {
    let most = app.data.config.quota_per_day;
    let line = |(secret, used): (&SecretRecord, u32)| SecretLine {
        n: secret.n,
        created: Moment::new(secret.created_at, now),
        used,
        most,
        percent: (u64::from(used) * 100 / u64::from(most.max(1))).min(100) as u32,
    };
    read.state.quotas(now).map(line).collect()
}

/// `GET /console/clients/{id}`
pub(in super::super) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Member(person): Member,
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
    let figures = usage_figures::of_client(&app.data, &admin, client.id, figures::DAYS).await?;
    let (stale, war) = figures::stale(&figures, now);
    let token = slot.token.as_ref();
    let live = slot.live(now);
    let alive = client.deleted_at.is_none();
    page(&ClientPage {
        frame: Frame::new(&person, client.settings.label.to_string(), "clients")
            .at(super::place(&read))
            .done(query.text("done")),
        id: client.id.to_string(),
        label: client.settings.label.to_string(),
        standing: standing(&read, now),
        live: live.is_some() && alive,
        disabled: client.disabled_at.is_some(),
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
        secrets: secrets(&app, &read, now),
        settings: settings(&read),
        created: Moment::plain(client.created_at),
        manages: admin.writes() && alive,
        history,
        audits,
        charts: [
            figures::checks(&figures),
            figures::products(&figures),
            figures::generations(&figures),
        ],
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
