//! Becoming a member by the link of an invitation; the very first one makes the first operator.

use super::frame::a_role;
use super::prelude::*;
use super::reply::refused;
use super::resume::Way;
use super::session::Open;
use super::sign_in::finish;
use crate::auth::opaque_token::OpaqueToken;
use crate::verbs::members;
use crate::verbs::sign_in::{Step, first, note_familiar};
use axum::extract::State;
use tokenward_store::people::Invitation;

#[derive(Template)]
#[template(path = "console/join.html")]
struct JoinPage {
    frame: Frame,
    fields: Vec<Field>,
    fault: Fault,
    role: &'static str,
    email: String,
    address: String,
}

async fn invited(app: &App, text: &str) -> Result<(OpaqueToken, Invitation), PageError> {
    let gone = || PageError::DeadLink;
    let opaque_token = OpaqueToken::parse(text).ok_or_else(gone)?;
    let found = members::invitation(&app.data, &opaque_token).await?;
    Ok((opaque_token, found.ok_or_else(gone)?))
}

fn shown(text: &str, invitation: &Invitation, form: &Form, fault: Fault) -> JoinPage {
    let field = |kind, name, label| Field::new(kind, name, label, form, &fault);
    let password = |name, label| field("password", name, label).auto("new-password");
    let email = field("email", "email", "Email")
        .auto("username")
        .hint("You sign in with this address.")
        .first();
    let mut fields = Vec::from_iter(invitation.email.is_empty().then_some(email));
    fields.extend([
        field("text", "name", "Name").auto("name"),
        password("password", "Password").hint("Use 10 or more characters; avoid common passwords."),
        password("password_again", "Confirm password"),
    ]);
    JoinPage {
        frame: Frame::stranger("Create your account"),
        fields,
        fault,
        role: a_role(&invitation.role),
        email: invitation.email.clone(),
        address: format!("/console/join/{text}"),
    }
}

/// `GET /console/join/{opaque_token}`
pub(super) async fn show(State(app): State<Arc<App>>, Path(text): Path<String>) -> Reply {
    let (_, invitation) = invited(&app, &text).await?;
    page(&shown(
        &text,
        &invitation,
        &Form::default(),
        Fault::default(),
    ))
}

/// `POST /console/join/{opaque_token}`
pub(super) async fn send(
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    open: Open,
) -> Reply {
    let (opaque_token, invitation) = invited(&app, &text).await?;
    let again = |fault: Fault| {
        let wait = fault.retry_after_seconds;
        let shown = shown(&text, &invitation, &open.form, fault);
        refused(StatusCode::UNPROCESSABLE_ENTITY, wait, &shown)
    };
    let joining = members::Joining {
        email: open.form.text("email").to_owned(),
        name: open.form.text("name").to_owned(),
        password: open.form.secret("password"),
        source: open.origin.source,
    };
    let mut faults = Faults::default();
    for refused in joining.judge(&invitation) {
        faults.take(Err::<(), _>(refused))?;
    }
    if *open.form.secret("password") != *open.form.secret("password_again") {
        faults.add("password_again", "The passwords don't match.");
    }
    if let Some(fault) = faults.all() {
        return again(fault);
    }
    let joined = members::join(&app.people, &opaque_token, joining).await;
    let member = match joined {
        Ok(member) => member,
        Err(refused) => return again(Fault::of(refused)?),
    };
    note_familiar(&app.people, open.origin.source, &member.email);
    let way = Way {
        next: "/console?done=joined".to_owned(),
        ..Way::default()
    };
    match first(
        &app.people,
        &member.email,
        open.form.secret("password"),
        &open.origin,
    )
    .await
    {
        Ok(Step::Done(opaque_token)) => finish(&app, &opaque_token, &way, &open).await,
        // A disabled member who came back by a link stays disabled.
        _ => Ok(super::reply::see("/console/sign-in")),
    }
}
