//! Pages behind the links in mails: confirming an address, and stopping notices to it. For people without a session,
//! who learn the workspace and the API client and nothing else. Opening a link changes nothing: mail programs do that.

use super::prelude::*;
use super::session::origin;
use crate::auth::opaque_token::OpaqueToken;
use crate::verbs::addresses::{self, Question};
use axum::extract::State;
use http::request::Parts;

/// What tries of links are charged to, beside their source: links that work are given back.
const LINKS: Uuid = Uuid::from_u128(0x7c0e_5d8e_9a41_4f6b_8d27_6e61_6d61_696c);

#[derive(Template)]
#[template(path = "console/email.html")]
struct EmailPage {
    frame: Frame,
    heading: &'static str,
    says: Vec<String>,
    /// Where the form is sent, and what its button says; none when it is done.
    form: Option<(String, &'static str)>,
}

/// Charges a try of a link to its source; a link that works is no guess.
async fn tried<T>(
    app: &App,
    parts: &Parts,
    act: impl Future<Output = Result<T, Refused>>,
) -> Result<T, PageError> {
    let source = origin(parts, app).source;
    let clock = app.data.clock();
    app.people
        .throttle
        .charge(source, LINKS, &clock)
        .map_err(PageError::Throttled)?;
    let done = act.await;
    if !matches!(done, Err(Refused::NotFound(_))) {
        app.people.throttle.forgive(source, LINKS, &clock);
        return Ok(done?);
    }
    let heading = "This link doesn't work";
    let says = "It was already used, it expired, a newer one was sent, or it is incomplete. Ask the person who added your address to resend the confirmation email.";
    let shown = EmailPage {
        frame: Frame::stranger(heading),
        heading,
        says: vec![says.to_owned()],
        form: None,
    };
    let page = with_status(StatusCode::NOT_FOUND, &shown)?;
    Err(PageError::Answered(Box::new(page)))
}

fn opaque_token(text: &str) -> Result<OpaqueToken, Refused> {
    OpaqueToken::parse(text).ok_or(Refused::NotFound("link: it is incomplete"))
}

fn about(question: &Question) -> String {
    match &question.label {
        Some(label) => format!(
            "Workspace “{}”, API client “{label}” and others of the workspace that name your address.",
            question.workspace
        ),
        None => format!("Workspace “{}”.", question.workspace),
    }
}

fn shown(heading: &'static str, says: Vec<String>, form: Option<(String, &'static str)>) -> Reply {
    page(&EmailPage {
        frame: Frame::stranger(heading),
        heading,
        says,
        form,
    })
}

/// `GET /console/email/confirm/{opaque_token}`
pub(super) async fn ask_confirm(
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    parts: Parts,
) -> Reply {
    let asked = async { addresses::to_confirm(&app.data, &opaque_token(&text)?).await };
    let question = tried(&app, &parts, asked).await?;
    let says = vec![
        about(&question),
        "After you confirm, notifications about its API clients are sent to your address. Each one has a link to stop them.".to_owned(),
    ];
    let form = (format!("/console/email/confirm/{text}"), "Confirm address");
    shown("Confirm notifications", says, Some(form))
}

/// `POST /console/email/confirm/{opaque_token}`
pub(super) async fn confirm(
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    parts: Parts,
) -> Reply {
    let source = origin(&parts, &app).source;
    let done = async { addresses::confirm(&app.data, &opaque_token(&text)?, source).await };
    tried(&app, &parts, done).await?;
    let says = "Notifications are sent to your address from now on.";
    shown("Address confirmed", vec![says.to_owned()], None)
}

/// `GET /console/email/stop/{link}`
pub(super) async fn ask_stop(
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    parts: Parts,
) -> Reply {
    let question = tried(&app, &parts, addresses::to_stop(&app.data, &text)).await?;
    let says = vec![
        about(&question),
        "After you stop them, this workspace sends no notifications to your address, and you are not asked to confirm it for 30 days."
            .to_owned(),
    ];
    let form = (format!("/console/email/stop/{text}"), "Stop notifications");
    shown("Stop notifications", says, Some(form))
}

/// `POST /console/email/stop/{link}`: from the page, or from a mail program (RFC 8058).
pub(super) async fn stop(
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    parts: Parts,
) -> Reply {
    let source = origin(&parts, &app).source;
    tried(&app, &parts, addresses::stop(&app.data, &text, source)).await?;
    let says = "This workspace no longer sends notifications to your address.";
    shown("Notifications stopped", vec![says.to_owned()], None)
}
