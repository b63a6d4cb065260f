//! `/members` and `/invitations`: who may sign in to the console. Nothing that proves a member is ever in an
//! answer; the secret of an invitation's link is in the one that makes it.

use super::body::Body;
use super::extract::{Path, Signed, id};
use super::problem::{Answer, Problem};
use super::{role, views};
use crate::app::App;
use crate::auth::opaque_token::OpaqueToken;
use crate::verbs::members;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokenward_core::time::Timestamp;
use tokenward_store::people::{Invitation, Member};
use uuid::Uuid;

/// Body of an invitation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Invite {
    email: String,
    role: String,
    workspace_id: Option<Uuid>,
    products: Option<Vec<String>>,
}

/// Body of a change. A role is written whole.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    role: Option<String>,
    workspace_id: Option<Uuid>,
    products: Option<Vec<String>>,
    disabled: Option<bool>,
}

impl Change {
    fn read(&self) -> Result<members::Change, Problem> {
        let sent = self.role.as_deref().map(|role| role::Sent {
            role,
            workspace_id: self.workspace_id,
            products: self.products.as_deref(),
        });
        if sent.is_none() && (self.workspace_id.is_some() || self.products.is_some()) {
            let detail = "A role is written whole: name it with its workspace_id and products.";
            return Err(Problem::invalid(Some("role"), detail));
        }
        Ok(members::Change {
            seen: None,
            role: sent.map(|sent| sent.read()).transpose()?,
            disabled: self.disabled,
        })
    }
}

fn member(member: &Member) -> Value {
    let proofs = &member.proofs;
    let about = json!({
        "id": member.id,
        "email": member.email,
        "name": member.name,
        "has_password": proofs.password.is_some(),
        "has_authenticator_app": proofs.totp.is_some(),
        "passkeys": proofs.passkeys.len(),
        "single_sign_on": proofs.sso.is_some(),
        "disabled": member.disabled_at.is_some(),
        "disabled_at": member.disabled_at.map(Timestamp::iso),
        "created_at": member.created_at.iso(),
    });
    role::told(&member.role, about)
}

fn invitation(invitation: &Invitation) -> Value {
    let about = json!({
        "id": invitation.id,
        // Whoever holds the first operator's link says who they are.
        "email": (!invitation.email.is_empty()).then_some(&invitation.email),
        "invited_by": invitation.invited_by,
        "created_at": invitation.created_at.iso(),
        "expires_at": invitation.expires_at.iso(),
    });
    role::told(&invitation.role, about)
}

/// The path of the link of an invitation.
fn join_path(opaque_token: &OpaqueToken) -> String {
    format!("/console/join/{}", opaque_token.expose().as_str())
}

pub(super) async fn list(State(app): State<Arc<App>>, Signed(admin): Signed) -> Answer {
    let (found, _) = members::list(&app.data, &admin).await?;
    let items = found.iter().map(member).collect();
    Ok(views::answer(StatusCode::OK, &views::page(items, None)))
}

pub(super) async fn invited(State(app): State<Arc<App>>, Signed(admin): Signed) -> Answer {
    let (_, found) = members::list(&app.data, &admin).await?;
    let items = found.iter().map(invitation).collect();
    Ok(views::answer(StatusCode::OK, &views::page(items, None)))
}

pub(super) async fn invite(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Body(body): Body<Invite>,
) -> Answer {
    let sent = role::Sent {
        role: &body.role,
        workspace_id: body.workspace_id,
        products: body.products.as_deref(),
    };
    let (made, opaque_token) = members::invite(&app.data, admin, &body.email, sent.read()?).await?;
    let body = json!({ "invitation": invitation(&made), "join_path": join_path(&opaque_token) });
    Ok(views::answer(StatusCode::CREATED, &body))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer {
    let found = members::show(&app.data, &admin, id(&text, "member")?).await?;
    Ok(views::answer(StatusCode::OK, &member(&found)))
}

pub(super) async fn change(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
    Body(body): Body<Change>,
) -> Answer {
    let id = id(&text, "member")?;
    let (changed, opaque_token) = members::change(&app.data, admin, id, body.read()?).await?;
    let mut body = member(&changed);
    body["join_path"] = json!(opaque_token.as_ref().map(join_path));
    Ok(views::answer(StatusCode::OK, &body))
}

pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer {
    members::remove(&app.data, admin, id(&text, "member")?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn withdraw(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer {
    members::withdraw(&app.data, admin, id(&text, "invitation")?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
