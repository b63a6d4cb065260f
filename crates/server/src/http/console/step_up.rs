//! The page that asks once more who one is, before a destructive act; the act's form waits in it.

use super::form::{Fault, Field, Form};
use super::frame::Frame;
use super::reply::{Reply, Trouble, page, see, with_status};
use super::session::{Member, Sent, inside};
use super::sign_in::{Way, fault};
use crate::app::App;
use crate::verbs::sign_in::{Person, prove_again};
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

#[derive(Template)]
#[template(path = "console/resume.html")]
struct ResumePage {
    frame: Frame,
    way: Way,
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
    let query = Form::read(uri.query().unwrap_or("").as_bytes()).unwrap_or_default();
    let way = Way {
        next: inside(query.text("next")).to_owned(),
        ..Way::default()
    };
    page(&shown(&person, Fault::default(), way))
}

/// `POST /console/step-up`
pub(super) async fn send(State(app): State<Arc<App>>, sent: Sent) -> Reply {
    let way = Way {
        next: inside(sent.form.text("next")).to_owned(),
        resume_path: sent.form.text("resume_path").to_owned(),
        resume: sent.form.text("resume").to_owned(),
    };
    match prove_again(&app, &sent.person, sent.form.secret("proof")).await {
        Ok(()) if way.is_resuming() && inside(&way.resume_path) == way.resume_path => {
            let frame = Frame::new(&sent.person, "Go on", "");
            page(&ResumePage { frame, way })
        }
        Ok(()) => Ok(see(inside(&way.next))),
        Err(not) => {
            let shown = shown(&sent.person, fault(&not)?, way);
            with_status(StatusCode::UNPROCESSABLE_ENTITY, &shown)
        }
    }
}
