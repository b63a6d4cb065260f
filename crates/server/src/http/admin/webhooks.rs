//! `/workspaces/{id}/webhooks`, `/webhooks` and `/workspaces/{id}/notices`

use super::body::Body;
use super::extract::{Path, Query, Signed, id};
use super::problem::{Answer, Problem};
use super::views;
use crate::app::App;
use crate::verbs::{notices, webhooks};
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokenward_core::ids::WorkspaceId;
use tokenward_core::time::Timestamp;
use tokenward_store::notices::{Notice, Target, Webhook};

/// Body of a creation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    url: String,
}

/// Body of a change.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    disabled: bool,
}

fn webhook(webhook: &Webhook) -> Value {
    json!({
        "id": webhook.id,
        "workspace_id": webhook.workspace,
        "url": webhook.url,
        "former_secret_until": webhook.former.as_ref().map(|(_, till)| till.iso()),
        "disabled": webhook.disabled_at.is_some(),
        "disabled_at": webhook.disabled_at.map(Timestamp::iso),
        "created_at": webhook.created_at.iso(),
    })
}

fn with_secret(status: StatusCode, (made, secret): &webhooks::WithSecret) -> Answer {
    let body = json!({ "webhook": webhook(made), "secret": secret.as_str() });
    Ok(views::answer(status, &body))
}

fn notice(notice: &Notice) -> Value {
    let (made, state) = (&notice.made, notices::state(notice));
    let target = match made.target {
        Target::Webhook(id) => Some(id),
        Target::Mail => None,
    };
    json!({
        "id": made.id,
        "type": made.kind,
        "client_id": made.client,
        "webhook_id": target,
        "email": target.is_none().then_some(&made.recipient),
        "state": match state {
            notices::State::Waiting => "waiting",
            notices::State::Delivered => "delivered",
            notices::State::GivenUp => "given_up",
        },
        "created_at": made.at.iso(),
        "attempts": notice.attempts,
        "next_attempt_at": notice.due_at.map(Timestamp::iso),
        "delivered_at": notice.done_at.map(Timestamp::iso),
        "last_error": (!notice.last_error.is_empty()).then_some(&notice.last_error),
    })
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer {
    let workspace = WorkspaceId(id(&text, "workspace")?);
    let all = webhooks::list(&app.data, &admin, workspace).await?;
    let items = all.iter().map(webhook).collect();
    Ok(views::answer(StatusCode::OK, &views::page(items, None)))
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    Body(body): Body<Create>,
) -> Answer {
    let workspace = WorkspaceId(id(&text, "workspace")?);
    let made = webhooks::create(&app.data, admin, workspace, &body.url).await?;
    with_secret(StatusCode::CREATED, &made)
}

pub(super) async fn change(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    Body(body): Body<Change>,
) -> Answer {
    let id = id(&text, "webhook")?;
    let changed = webhooks::set_disabled(&app.data, admin, id, body.disabled).await?;
    Ok(views::answer(StatusCode::OK, &webhook(&changed)))
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer {
    webhooks::delete(&app.data, admin, id(&text, "webhook")?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn rotate(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer {
    let rotated = webhooks::rotate(&app.data, admin, id(&text, "webhook")?).await?;
    with_secret(StatusCode::CREATED, &rotated)
}

pub(super) async fn test(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer {
    let notice = webhooks::test(&app.data, admin, id(&text, "webhook")?).await?;
    let body = json!({ "notice_id": notice });
    Ok(views::answer(StatusCode::ACCEPTED, &body))
}

pub(super) async fn notices(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    parts: Parts,
) -> Answer {
    let query = Query::read(&parts, &["limit", "cursor"])?;
    let workspace = WorkspaceId(id(&text, "workspace")?);
    let after = query.text("cursor").map(cursor).transpose()?;
    let (page, next) = notices::list(&app.data, &admin, workspace, after, query.limit()?).await?;
    let items: Vec<_> = page.iter().map(notice).collect();
    let next = next.map(|no| format!("n{no}"));
    let body = json!({ "items": items, "next_cursor": next });
    Ok(views::answer(StatusCode::OK, &body))
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
