//! One's own account: password, authenticator app, recovery codes, passkeys, sessions.

use super::once::Download;
use super::prelude::*;
use super::reply;
use crate::verbs::account;
use axum::Router;
use axum::routing::{get, post};
use zeroize::Zeroizing;

/// Every page below `/console/account`.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/console/account", get(show))
        .route("/console/account/password", post(password))
        .route("/console/account/app", get(offer).post(set_app))
        .route(
            "/console/account/app/remove",
            get(ask_remove_app).post(remove_app),
        )
        .route(
            "/console/account/recovery",
            get(ask_recovery).post(recovery),
        )
        .route("/console/account/sessions/end", post(end_others))
        .route("/console/account/sessions/{id}/end", post(end_one))
}

struct SessionLine {
    id: String,
    agent: String,
    source: String,
    began: Moment,
    seen: Moment,
    own: bool,
}

struct PasskeyLine {
    id: String,
    name: String,
    added: Moment,
    used: Option<Moment>,
}

#[derive(Template)]
#[template(path = "console/account.html")]
struct AccountPage {
    frame: Frame,
    email: String,
    fields: Vec<Field>,
    fault: Fault,
    has_password: bool,
    has_app: bool,
    recovery: usize,
    has_second: bool,
    passkeys: Vec<PasskeyLine>,
    sessions: Vec<SessionLine>,
    word: Word,
}

#[derive(Template)]
#[template(path = "console/app.html")]
struct AppPage {
    frame: Frame,
    sealed: String,
    typed: Zeroizing<String>,
    scanned: Zeroizing<String>,
    field: Field,
    fault: Fault,
    replaces: bool,
}

async fn shown(
    app: &App,
    person: &Person,
    fault: Fault,
    done: &str,
) -> Result<AccountPage, PageError> {
    let now = app.data.clock().wall();
    let sessions = account::sessions(&app.people, person).await?;
    let empty = Form::default();
    let field = |name, label| Field::new("password", name, label, &empty, &fault);
    let fields = vec![
        field("old_password", "Current password").auto("current-password"),
        field("new_password", "New password")
            .auto("new-password")
            .hint("Use 10 or more characters; avoid common passwords."),
    ];
    let proofs = &person.member.proofs;
    let frame = Frame::new(person, "Account", "account").done(done);
    Ok(AccountPage {
        word: frame.hidden_word(),
        frame,
        email: person.member.email.clone(),
        fields,
        fault,
        has_password: proofs.password.is_some(),
        has_app: proofs.totp.is_some(),
        recovery: proofs.recovery.len(),
        has_second: proofs.has_second(),
        passkeys: proofs
            .passkeys
            .iter()
            .map(|passkey| PasskeyLine {
                id: passkey.id.to_string(),
                name: passkey.name.clone(),
                added: Moment::plain(passkey.created_at),
                used: passkey.last_used_at.map(|at| Moment::new(at, now)),
            })
            .collect(),
        sessions: sessions
            .into_iter()
            .map(|session| SessionLine {
                id: session.id.to_string(),
                own: session.id == person.session.id,
                began: Moment::plain(session.created_at),
                seen: Moment::new(session.seen_at, now),
                agent: session.agent,
                source: session.source,
            })
            .collect(),
    })
}

/// `GET /console/account`
async fn show(Member(app, person): Member, uri: http::Uri) -> Reply {
    let query = Form::query(&uri);
    page(&shown(&app, &person, Fault::default(), query.text("done")).await?)
}

/// `POST /console/account/password`
async fn password(sent: PostedForm) -> Reply {
    let (old, new) = (
        sent.form.secret("old_password"),
        sent.form.secret("new_password"),
    );
    match account::set_password(&sent.app.people, &sent.person, old, new).await {
        Ok(()) => Ok(see("/console/account?done=password")),
        Err(refused) => {
            let fault = Fault::of(refused)?;
            let wait = fault.retry_after_seconds;
            let shown = shown(&sent.app, &sent.person, fault, "").await?;
            reply::refused(StatusCode::UNPROCESSABLE_ENTITY, wait, &shown)
        }
    }
}

fn app_page(app: &App, person: &Person, before: Option<&str>, fault: Fault) -> AppPage {
    let offer = account::offer_app(&app.people, person, before);
    let field = Field::new(
        "text",
        "code",
        "Verification code",
        &Form::default(),
        &fault,
    );
    AppPage {
        frame: Frame::new(person, "Add authenticator app", "account"),
        sealed: offer.sealed,
        typed: offer.typed,
        scanned: offer.scanned,
        field: field.auto("one-time-code").digits().first(),
        fault,
        replaces: person.member.proofs.totp.is_some(),
    }
}

/// `GET /console/account/app`
async fn offer(SteppedUp(app, person): SteppedUp) -> Reply {
    page(&app_page(&app, &person, None, Fault::default()))
}

/// `POST /console/account/app`
async fn set_app(sent: PostedForm) -> Reply {
    let (sealed, code) = (sent.form.text("sealed"), sent.form.text("code"));
    match account::set_app(&sent.app.people, &sent.person, sealed, code).await {
        Ok(codes) => recovery_page(&sent.person, "Authenticator app added", codes),
        Err(refused) => {
            let fault = Fault::of(refused)?;
            unprocessable(&app_page(&sent.app, &sent.person, Some(sealed), fault))
        }
    }
}

pub(super) fn recovery_page(
    person: &Person,
    heading: &str,
    codes: Vec<Zeroizing<String>>,
) -> Reply {
    let mut text = Zeroizing::new(String::from("Tokenward recovery codes. Each works once:\n"));
    for code in &codes {
        text.push_str(code);
        text.push('\n');
    }
    page(&OncePage {
        frame: Frame::new(person, "Save your recovery codes", "account"),
        heading: heading.to_owned(),
        explanation: "Save these codes now; you won't be able to see them again. Use one to sign in if you lose your authenticator app or passkey. Each works once. Earlier recovery codes no longer work.",
        what: "Recovery codes",
        secrets: codes,
        downloads: vec![Download {
            label: "Download (.txt)",
            file: "tokenward-recovery-codes.txt".to_owned(),
            text,
        }],
        next: "/console/account".to_owned(),
        ..OncePage::default()
    })
}

/// A page that asks for the confirmation of an act on one's own account.
pub(super) fn ask(
    person: &Person,
    says: &[&str],
    title: String,
    button: &'static str,
    path: &str,
) -> Reply {
    page(&ConfirmPage::of(
        Frame::new(person, title, "account"),
        (says, button),
        format!("/console/account/{path}"),
        "/console/account".to_owned(),
    ))
}

/// `GET /console/account/app/remove`
async fn ask_remove_app(SteppedUp(_, person): SteppedUp) -> Reply {
    let says = [
        "You sign in without a code from the app. Without a passkey, your password alone protects your account.",
        "Your other sessions are signed out.",
    ];
    let title = "Remove authenticator app".to_owned();
    ask(
        &person,
        &says,
        title,
        "Remove authenticator app",
        "app/remove",
    )
}

/// `POST /console/account/app/remove`
async fn remove_app(sent: PostedForm) -> Reply {
    account::remove_app(&sent.app.people, &sent.person).await?;
    Ok(see("/console/account?done=app-removed"))
}

/// `GET /console/account/recovery`
async fn ask_recovery(SteppedUp(_, person): SteppedUp) -> Reply {
    let says =
        ["The new codes are shown once, on the next page. The codes you have now stop working."];
    let title = "Generate new recovery codes".to_owned();
    ask(&person, &says, title, "Generate recovery codes", "recovery")
}

/// `POST /console/account/recovery`
async fn recovery(sent: PostedForm) -> Reply {
    let codes = account::renew_recovery(&sent.app.people, &sent.person).await?;
    recovery_page(&sent.person, "New recovery codes", codes)
}

/// `POST /console/account/sessions/{id}/end`
async fn end_one(Path(text): Path<String>, sent: PostedForm) -> Reply {
    let id = Uuid::try_parse(&text).map_err(|_| PageError::NotFound("session"))?;
    account::end_sessions(&sent.app.people, &sent.person, Some(id)).await?;
    Ok(see("/console/account?done=sessions"))
}

/// `POST /console/account/sessions/end`
async fn end_others(sent: PostedForm) -> Reply {
    account::end_sessions(&sent.app.people, &sent.person, None).await?;
    Ok(see("/console/account?done=sessions"))
}
