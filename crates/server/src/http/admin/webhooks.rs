//! `/workspaces/{id}/webhooks`, `/webhooks` and `/workspaces/{id}/notices`

use super::prelude::*;
use crate::verbs::notice_preferences::{self, Choices};
use crate::verbs::{addresses, credential_notes, notices, webhooks};
use tokenward_api::{
    AddressChange, Notice, NoticeCursor, NoticeDelivery, NoticeEvent, NoticeMade, NoticePage,
    NoticePreference, PreferenceChange, ShownWebhookSecret, Webhook, WebhookChange, WebhookCreate,
    WebhookWithSecret, WorkspaceAddress,
};
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
        state: addresses::state(Some(row)),
        preferences: preferences(&row.preferences, &Target::Mail),
    }
}

/// A webhook after an act on it. The act is done: a note that can't be read now is left out.
async fn one(data: &Data, made: &notices_store::Webhook) -> Webhook {
    let notes = data.reader().credential_notes(made.id).await;
    webhook(made, notes.unwrap_or_default().first())
}

async fn with_secret(
    data: &Data,
    (made, secret): &webhooks::WithSecret,
) -> Answer<Created<WebhookWithSecret>> {
    Ok(Created(WebhookWithSecret {
        webhook: one(data, made).await,
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
        state: notices::state(notice),
        created_at: views::time(made.at),
        attempts: notice.attempts.into(),
        next_attempt_at: notice.due_at.map(views::time),
        delivered_at: notice.done_at.map(views::time),
        last_error: (!notice.last_error.is_empty()).then(|| notice.last_error.clone()),
    }
}

pub(super) async fn list(call: Call<String>) -> Answer<Json<Page<Webhook>>> {
    let workspace = workspace_id(&call.at)?;
    let all = webhooks::list(&call.data, &call.admin, workspace).await?;
    let notes = credential_notes::of_webhooks(&call.data, &call.admin, workspace).await?;
    let line = |one: &notices_store::Webhook| webhook(one, notes.get(&one.id));
    let items = all.iter().map(line).collect();
    Ok(Json(views::page(items, None)))
}

pub(super) async fn create(
    call: Call<String>,
    Body(body): Body<WebhookCreate>,
) -> Answer<Created<WebhookWithSecret>> {
    let workspace = workspace_id(&call.at)?;
    let choices = Choices::of_webhook(given(&body.preferences.unwrap_or_default()))?;
    let chosen = (body.note.as_deref().unwrap_or(""), choices);
    let made = webhooks::create(&call.data, call.admin, workspace, &body.url, chosen).await?;
    with_secret(&call.data, &made).await
}

pub(super) async fn change(
    call: Call<String>,
    Body(body): Body<WebhookChange>,
) -> Answer<Json<Webhook>> {
    let id = id(&call.at, "webhook")?;
    let choices = Choices::of_webhook(given(&body.preferences.unwrap_or_default()))?;
    let chosen = (body.note.as_deref(), choices);
    let changed = webhooks::change(&call.data, call.admin, id, body.disabled, chosen).await?;
    Ok(Json(one(&call.data, &changed).await))
}

pub(super) async fn addresses(call: Call<String>) -> Answer<Json<Page<WorkspaceAddress>>> {
    let workspace = workspace_id(&call.at)?;
    let all = notice_preferences::addresses(&call.data, &call.admin, workspace).await?;
    let items = all.iter().map(address).collect();
    Ok(Json(views::page(items, None)))
}

pub(super) async fn change_address(
    call: Call<String>,
    Body(body): Body<AddressChange>,
) -> Answer<Json<WorkspaceAddress>> {
    let workspace = workspace_id(&call.at)?;
    let choices = Choices::of_address(given(&body.preferences))?;
    let set =
        notice_preferences::set_address(&call.data, call.admin, workspace, &body.email, choices)
            .await?;
    Ok(Json(address(&set)))
}

pub(super) async fn delete(call: Call<String>) -> Answer<NoContent> {
    webhooks::delete(&call.data, call.admin, id(&call.at, "webhook")?).await?;
    Ok(NoContent)
}

pub(super) async fn rotate(call: Call<String>) -> Answer<Created<WebhookWithSecret>> {
    let rotated = webhooks::rotate(&call.data, call.admin, id(&call.at, "webhook")?).await?;
    with_secret(&call.data, &rotated).await
}

pub(super) async fn test(call: Call<String>) -> Answer<Accepted<NoticeMade>> {
    let notice_id = webhooks::test(&call.data, call.admin, id(&call.at, "webhook")?).await?;
    Ok(Accepted(NoticeMade { notice_id }))
}

pub(super) async fn notices(call: Call<String>, parts: Parts) -> Answer<Json<NoticePage>> {
    let query = Query::read(&parts, &["limit", "cursor"])?;
    let workspace = workspace_id(&call.at)?;
    let after = query.text("cursor").map(cursor).transpose()?;
    let (page, next) =
        notices::list(&call.data, &call.admin, workspace, after, query.limit()?).await?;
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
