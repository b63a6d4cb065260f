//! `/workspaces/{id}/webhooks`, `/webhooks` and `/workspaces/{id}/notices`

use super::body::Body;
use super::extract::{Path, Query, Signed, id};
use super::problem::Problem;
use super::reply::{Accepted, Answer, Created, Json, NoContent};
use super::views;
use crate::app::App;
use crate::verbs::notice_preferences::{self, Choices};
use crate::verbs::{addresses, credential_notes, notices, webhooks};
use axum::extract::State;
use http::request::Parts;
use std::sync::Arc;
use tokenward_api::{
    AddressChange, Notice, NoticeCursor, NoticeDelivery, NoticeEvent, NoticeMade, NoticePage,
    NoticePreference, NoticeState, NotificationState, Page, PreferenceChange, ShownWebhookSecret,
    Webhook, WebhookChange, WebhookCreate, WebhookWithSecret, WorkspaceAddress,
};
use tokenward_core::ids::WorkspaceId;
use tokenward_store::CredentialNote;
use tokenward_store::notices::{self as notices_store, EVENTS, NoticeAddress, Preferences, Target};

fn webhook(webhook: &notices_store::Webhook, noted: Option<&CredentialNote>) -> Webhook {
    Webhook {
        id: webhook.id,
        workspace_id: webhook.workspace.0,
        url: webhook.url.clone(),
        former_secret_until: webhook.former.as_ref().map(|(_, till)| views::time(*till)),
        disabled: webhook.disabled_at.is_some(),
        disabled_at: webhook.disabled_at.map(views::time),
        created_at: views::time(webhook.created_at),
        created_by: views::created_by(noted),
        note: views::note(noted),
        preferences: preferences(&webhook.preferences, &Target::Webhook(webhook.id)),
    }
}

fn preferences(chosen: &Preferences, target: &Target) -> Vec<NoticePreference> {
    let one = |event| NoticePreference {
        event: NoticeEvent::of(event),
        delivery: NoticeDelivery::of(chosen.delivery(event, target).as_str()),
    };
    EVENTS.into_iter().map(one).collect()
}

fn given(all: &[PreferenceChange]) -> impl Iterator<Item = (&str, &str)> {
    all.iter()
        .map(|one| (one.event.as_str(), one.delivery.as_str()))
}

fn address(row: &NoticeAddress) -> WorkspaceAddress {
    WorkspaceAddress {
        email: row.address.clone(),
        state: NotificationState::of(addresses::state(Some(row)).as_str()),
        preferences: preferences(&row.preferences, &Target::Mail),
    }
}

/// A webhook after an act on it. The act is done: a note that can't be read now is left out.
async fn one(app: &App, made: &notices_store::Webhook) -> Webhook {
    let notes = app.data.store.reader().credential_notes(made.id).await;
    webhook(made, notes.unwrap_or_default().first())
}

async fn with_secret(
    app: &App,
    (made, secret): &webhooks::WithSecret,
) -> Answer<Created<WebhookWithSecret>> {
    Ok(Created(WebhookWithSecret {
        webhook: one(app, made).await,
        secret: ShownWebhookSecret::of(secret),
    }))
}

fn notice(notice: &notices_store::Notice) -> Notice {
    let made = &notice.made;
    let target = match made.target {
        Target::Webhook(id) => Some(id),
        Target::Mail => None,
    };
    Notice {
        id: made.id,
        kind: made.kind.clone(),
        client_id: made.client.map(|id| id.0),
        webhook_id: target,
        email: target.is_none().then(|| made.recipient.clone()),
        state: match notices::state(notice) {
            notices::State::Waiting => NoticeState::Waiting,
            notices::State::Delivered => NoticeState::Delivered,
            notices::State::GivenUp => NoticeState::GivenUp,
        },
        created_at: views::time(made.at),
        attempts: notice.attempts.into(),
        next_attempt_at: notice.due_at.map(views::time),
        delivered_at: notice.done_at.map(views::time),
        last_error: (!notice.last_error.is_empty()).then(|| notice.last_error.clone()),
    }
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer<Json<Page<Webhook>>> {
    let workspace = WorkspaceId(id(&text, "workspace")?);
    let all = webhooks::list(&app.data, &admin, workspace).await?;
    let notes = credential_notes::of_webhooks(&app.data, &admin, workspace).await?;
    let line = |one: &notices_store::Webhook| webhook(one, notes.get(&one.id));
    let items = all.iter().map(line).collect();
    Ok(Json(views::page(items, None)))
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    Body(body): Body<WebhookCreate>,
) -> Answer<Created<WebhookWithSecret>> {
    let workspace = WorkspaceId(id(&text, "workspace")?);
    let choices = Choices::of_webhook(given(&body.preferences.unwrap_or_default()))?;
    let chosen = (body.note.as_deref().unwrap_or(""), choices);
    let made = webhooks::create(&app.data, admin, workspace, &body.url, chosen).await?;
    with_secret(&app, &made).await
}

pub(super) async fn change(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    Body(body): Body<WebhookChange>,
) -> Answer<Json<Webhook>> {
    let id = id(&text, "webhook")?;
    let choices = Choices::of_webhook(given(&body.preferences.unwrap_or_default()))?;
    let chosen = (body.note.as_deref(), choices);
    let changed = webhooks::change(&app.data, admin, id, body.disabled, chosen).await?;
    Ok(Json(one(&app, &changed).await))
}

pub(super) async fn addresses(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer<Json<Page<WorkspaceAddress>>> {
    let workspace = WorkspaceId(id(&text, "workspace")?);
    let all = notice_preferences::addresses(&app.data, &admin, workspace).await?;
    let items = all.iter().map(address).collect();
    Ok(Json(views::page(items, None)))
}

pub(super) async fn change_address(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    Body(body): Body<AddressChange>,
) -> Answer<Json<WorkspaceAddress>> {
    let workspace = WorkspaceId(id(&text, "workspace")?);
    let choices = Choices::of_address(given(&body.preferences))?;
    let set =
        notice_preferences::set_address(&app.data, admin, workspace, &body.email, choices).await?;
    Ok(Json(address(&set)))
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer<NoContent> {
    webhooks::delete(&app.data, admin, id(&text, "webhook")?).await?;
    Ok(NoContent)
}

pub(super) async fn rotate(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer<Created<WebhookWithSecret>> {
    let rotated = webhooks::rotate(&app.data, admin, id(&text, "webhook")?).await?;
    with_secret(&app, &rotated).await
}

pub(super) async fn test(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer<Accepted<NoticeMade>> {
    let notice_id = webhooks::test(&app.data, admin, id(&text, "webhook")?).await?;
    Ok(Accepted(NoticeMade { notice_id }))
}

pub(super) async fn notices(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    parts: Parts,
) -> Answer<Json<NoticePage>> {
    let query = Query::read(&parts, &["limit", "cursor"])?;
    let workspace = WorkspaceId(id(&text, "workspace")?);
    let after = query.text("cursor").map(cursor).transpose()?;
    let (page, next) = notices::list(&app.data, &admin, workspace, after, query.limit()?).await?;
    Ok(Json(NoticePage {
        items: page.iter().map(notice).collect(),
        next_cursor: next.map(|no| NoticeCursor(format!("n{no}"))),
    }))
}

/// Places are beyond the numbers of other lists.
fn cursor(text: &str) -> Result<u64, Problem> {
    let place = text.strip_prefix('n').and_then(|text| text.parse().ok());
    place
        .filter(|no| i64::try_from(*no).is_ok())
        .ok_or_else(|| {
            let detail = "cursor must be the next_cursor of a page before.";
            Problem::invalid(Some("cursor"), detail)
        })
}
