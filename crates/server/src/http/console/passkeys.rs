//! Passkeys at the browser: the questions put to it, and its answers as forms. The only pages that need a script; a
//! code does the same without one.

use super::clients::base;
use super::prelude::*;
use super::resume::Way;
use super::session::Open;
use super::sign_in;
use crate::auth::passkeys::{self, NoPasskey};
use crate::verbs::account;
use crate::verbs::sign_in as verb;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, header};
use serde::Serialize;
use serde_json::json;

/// Every address about passkeys.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/console/account/passkeys/options", post(ask_for_new))
        .route("/console/account/passkeys", post(add))
        .route(
            "/console/account/passkeys/{id}/remove",
            get(ask_remove).post(remove),
        )
        .route("/console/sign-in/passkey/options", post(ask_stranger))
        .route("/console/sign-in/passkey", post(second))
        .route("/console/step-up/passkey/options", post(ask_again))
        .route("/console/step-up/passkey", post(again))
}

fn json_answer(status: StatusCode, body: &serde_json::Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, body.to_string()).into_response()
}

/// A question as the script takes it.
fn question<T: Serialize>(asked: Result<(Uuid, T), NoPasskey>) -> Reply {
    Ok(match asked {
        Ok((handle, question)) => json_answer(
            StatusCode::OK,
            &json!({ "handle": handle, "question": question }),
        ),
        Err(NoPasskey::Failed(failure)) => return Err(PageError::from(failure)),
        Err(NoPasskey::Because(why)) => json_answer(
            StatusCode::UNPROCESSABLE_ENTITY,
            &json!({ "why": sentence(why) }),
        ),
    })
}

async fn ask_for_new(headers: HeaderMap, sent: PostedForm) -> Reply {
    let (member, site) = (&sent.person.member, base(&sent.app, &headers));
    question(passkeys::ask_for_new(&sent.app.data, member, &site).await)
}

async fn add(headers: HeaderMap, sent: PostedForm) -> Reply {
    let form = &sent.form;
    let answer = (form.text("handle"), form.text("credential"));
    let site = base(&sent.app, &headers);
    let name = form.text("name");
    let codes = account::add_passkey(&sent.app.people, &sent.person, &site, answer, name).await?;
    if codes.is_empty() {
        return Ok(see("/console/account?done=passkey"));
    }
    super::account::recovery_page(&sent.person, "Passkey added", codes)
}

async fn ask_remove(Path(text): Path<String>, SteppedUp(_, person): SteppedUp) -> Reply {
    let id = Uuid::try_parse(&text).map_err(|_| PageError::NotFound("passkey"))?;
    let all = &person.member.proofs.passkeys;
    let found = all.iter().find(|passkey| passkey.id == id);
    let name = &found.ok_or(PageError::NotFound("passkey"))?.name;
    let says = [
        "You can't sign in with this passkey any more. Your other sessions are signed out.",
        "Without another passkey or an authenticator app, your password alone protects your account.",
    ];
    let title = format!("Remove passkey “{name}”");
    let path = format!("passkeys/{id}/remove");
    super::account::ask(&person, &says, title, "Remove passkey", &path)
}

async fn remove(Path(text): Path<String>, sent: PostedForm) -> Reply {
    let id = Uuid::try_parse(&text).map_err(|_| PageError::NotFound("passkey"))?;
    account::remove_passkey(&sent.app.people, &sent.person, id).await?;
    Ok(see("/console/account?done=passkey-removed"))
}

async fn ask_stranger(State(app): State<Arc<App>>, headers: HeaderMap, open: Open) -> Reply {
    let member = verb::between_member(&app.people, open.form.text("between")).await;
    let asked = match &member {
        Ok(member) => passkeys::ask(&app.data, member, &base(&app, &headers)).await,
        Err(_) => Err(NoPasskey::Because("that took too long; begin again")),
    };
    question(asked)
}

async fn second(State(app): State<Arc<App>>, headers: HeaderMap, open: Open) -> Reply {
    let (form, way) = (&open.form, Way::of_form(&open.form));
    let answer = (form.text("handle"), form.text("credential"));
    let (sealed, site) = (form.text("between"), base(&app, &headers));
    match verb::second_by_passkey(&app.people, sealed, &site, answer, &open.origin).await {
        Ok(opaque_token) => sign_in::finish(&app, &opaque_token, &way, &open).await,
        Err(not) => sign_in::second_again(&app, sealed, &not, way).await,
    }
}

async fn ask_again(headers: HeaderMap, sent: PostedForm) -> Reply {
    let (member, site) = (&sent.person.member, base(&sent.app, &headers));
    question(passkeys::ask(&sent.app.data, member, &site).await)
}

async fn again(headers: HeaderMap, sent: PostedForm) -> Reply {
    let form = &sent.form;
    let answer = (form.text("handle"), form.text("credential"));
    let site = base(&sent.app, &headers);
    match verb::prove_again_by_passkey(&sent.app.people, &sent.person, &site, answer).await {
        Ok(()) => super::step_up::proved(&sent).await,
        Err(not) => super::step_up::refused(&sent, &not).await,
    }
}
