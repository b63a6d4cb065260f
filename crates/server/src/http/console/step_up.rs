//! The page that asks once more who one is, before an act that needs it. It names the act, and leads to the page
//! that asks for its confirmation.

use super::acts;
use super::prelude::*;
use super::reply;
use super::resume::{self, Way};
use super::sign_in::fault;
use crate::verbs::sign_in::{NotSignedIn, prove_again};
use axum::response::Response;

#[derive(Template)]
#[template(path = "console/step_up.html")]
struct StepUpPage {
    frame: Frame,
    field: Field,
    fault: Fault,
    way: Way,
    has_passkeys: bool,
}

fn shown(person: &Person, fault: Fault, way: Way) -> StepUpPage {
    let label = match person.member.proofs.totp {
        Some(_) => "Password, or a code from your authenticator app",
        None => "Password",
    };
    let field = Field::new("password", "proof", label, &Form::default(), &fault)
        .auto("current-password")
        .first();
    StepUpPage {
        frame: Frame::new(person, "Confirm it's you", ""),
        field,
        fault,
        way,
        has_passkeys: !person.member.proofs.passkeys.is_empty(),
    }
}

/// In the place of an answer to a form that needs a fresh proof.
pub(super) async fn ask(
    app: &App,
    person: &Person,
    path: &str,
    form: &Form,
) -> Result<Response, PageError> {
    let mut way = Way::back(app, path, form, &resume::session(person));
    if let Some(found) = acts::at(path) {
        way.act = found.described(app, person, form).await;
    }
    with_status(StatusCode::FORBIDDEN, &shown(person, Fault::default(), way))
}

/// A page that will ask for a destructive act asks for the proof first.
pub(super) fn first(app: &App, person: &Person, path: &str) -> Result<(), PageError> {
    if person.is_proved(app.data.clock().wall()) {
        return Ok(());
    }
    let next: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
    let address = format!("/console/step-up?next={next}");
    Err(PageError::Answered(Box::new(see(&address))))
}

/// The way of a page of ours, with the act and its target in words.
async fn way(app: &App, person: &Person, form: &Form) -> Way {
    let mut way = Way::of_form(form);
    if let Some(found) = way.next.split('?').next().and_then(acts::at) {
        way.act = found.described(app, person, &Form::default()).await;
    }
    way
}

/// `GET /console/step-up`
pub(super) async fn show(Member(app, person): Member, uri: http::Uri) -> Reply {
    let mut way = way(&app, &person, &Form::query(&uri)).await;
    way.kept = String::new();
    page(&shown(&person, Fault::default(), way))
}

/// `POST /console/step-up`
pub(super) async fn send(sent: PostedForm) -> Reply {
    match prove_again(&sent.app.people, &sent.person, sent.form.secret("proof")).await {
        Ok(()) => proved(&sent).await,
        Err(not) => refused(&sent, &not).await,
    }
}

/// Goes on where the way leads.
pub(super) async fn proved(sent: &PostedForm) -> Reply {
    let owner = resume::session(&sent.person);
    let way = Way::of_form(&sent.form);
    way.go(&sent.app, &sent.person, &owner).await
}

/// Asks once more.
pub(super) async fn refused(sent: &PostedForm, not: &NotSignedIn) -> Reply {
    let way = way(&sent.app, &sent.person, &sent.form).await;
    let fault = fault(not)?;
    let wait = fault.retry_after_seconds;
    let shown = shown(&sent.person, fault, way);
    reply::refused(StatusCode::UNPROCESSABLE_ENTITY, wait, &shown)
}
