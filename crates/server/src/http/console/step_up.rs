//! The page that asks once more who one is, before a destructive act; the act's form waits in it.

use super::form::{Fault, Field, Form};
use super::frame::Frame;
use super::reply::{Reply, Trouble, page, see, with_status};
use super::session::{Member, Sent, inside};
use super::sign_in::{ResumePage, Way, fault};
use crate::app::App;
use crate::verbs::sign_in::{NotSignedIn, Person, prove_again};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use std::sync::Arc;
use tokenward_core::time::Clock;

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
        frame: Frame::new(person, "Prove that it is you", ""),
        field,
        fault,
        way,
        has_passkeys: !person.member.proofs.passkeys.is_empty(),
    }
}

/// In the place of an answer to a form that needs a fresh proof.
pub(super) fn ask(person: &Person, path: &str, form: &Form) -> Result<Response, Trouble> {
    let way = Way::back(path, form);
    with_status(StatusCode::FORBIDDEN, &shown(person, Fault::default(), way))
}

/// A page that will ask for a destructive act asks for the proof first.
pub(super) fn first(app: &App, person: &Person, path: &str) -> Result<(), Trouble> {
    if person.is_proved(app.clock().wall()) {
        return Ok(());
    }
    let next: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
    let address = format!("/console/step-up?next={next}");
    Err(Trouble::Answered(Box::new(see(&address))))
}

/// `GET /console/step-up`
pub(super) async fn show(Member(person): Member, uri: http::Uri) -> Reply {
    let query = Form::query(&uri);
    let way = Way {
        next: inside(query.text("next")).to_owned(),
        ..Way::default()
    };
    page(&shown(&person, Fault::default(), way))
}

/// `POST /console/step-up`
pub(super) async fn send(State(app): State<Arc<App>>, sent: Sent) -> Reply {
    let way = Way::of(&sent.form);
    match prove_again(&app, &sent.person, sent.form.secret("proof")).await {
        Ok(()) => proved(&sent.person, way),
        Err(not) => refused(&sent.person, &not, way),
    }
}

/// Goes on where the way leads.
pub(super) fn proved(person: &Person, way: Way) -> Reply {
    if !way.is_resuming() {
        return Ok(see(inside(&way.next)));
    }
    let frame = Frame::new(person, "Go on", "");
    page(&ResumePage { frame, way })
}

/// Asks once more.
pub(super) fn refused(person: &Person, not: &NotSignedIn, way: Way) -> Reply {
    let shown = shown(person, fault(not)?, way);
    with_status(StatusCode::UNPROCESSABLE_ENTITY, &shown)
}
