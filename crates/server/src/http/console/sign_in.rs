//! Signing in and out. Whoever had typed something when their session ended finds it again afterwards.

use super::form::{Fault, Field, Form};
use super::frame::Frame;
use super::reply::{Reply, Trouble, page, see, with_status};
use super::session::{Open, Sent, Visitor, clear_cookie, home, inside, set_cookie};
use crate::app::App;
use crate::people::ticket::Ticket;
use crate::verbs::sign_in::{self, Between, NotSignedIn, Step};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use std::sync::Arc;

/// What a sign-in leads back to.
#[derive(Clone, Default)]
pub(super) struct Way {
    /// An address inside the console.
    pub(super) next: String,
    /// Where a form that was on its way belongs; empty when there is none.
    pub(super) resume_path: String,
    /// That form, URL-encoded.
    pub(super) resume: String,
}

impl Way {
    pub(super) fn of(form: &Form) -> Self {
        let path = form.text("resume_path");
        let resumes = !path.is_empty() && inside(path) == path;
        Self {
            next: inside(form.text("next")).to_owned(),
            resume_path: if resumes {
                path.to_owned()
            } else {
                String::new()
            },
            resume: if resumes {
                form.text("resume").to_owned()
            } else {
                String::new()
            },
        }
    }

    pub(super) fn back(path: &str, form: &Form) -> Self {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        pairs.extend_pairs(form.kept());
        Self {
            next: String::new(),
            resume_path: path.to_owned(),
            resume: pairs.finish(),
        }
    }

    pub(super) fn is_resuming(&self) -> bool {
        !self.resume_path.is_empty()
    }

    /// The entries of the form that was on its way.
    pub(super) fn entries(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.resume.as_bytes())
            .into_owned()
            .collect()
    }
}

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct SignInPage {
    frame: Frame,
    fields: Vec<Field>,
    fault: Fault,
    way: Way,
    /// No operator can sign in yet: where the link to begin is.
    first_run: bool,
    /// The page came in the clear from another machine: the browser will keep no session.
    clear: bool,
    sso: Option<String>,
}

#[derive(Template)]
#[template(path = "console/second.html")]
struct SecondPage {
    frame: Frame,
    field: Field,
    fault: Fault,
    way: Way,
    between: Between,
}

/// What was typed before a proof was asked for, to be sent now or left.
#[derive(Template)]
#[template(path = "console/resume.html")]
pub(super) struct ResumePage {
    pub(super) frame: Frame,
    pub(super) way: Way,
}

/// `GET /console/sign-in`
pub(super) async fn show(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    headers: HeaderMap,
    uri: http::Uri,
) -> Reply {
    let query = Form::query(&uri);
    if visitor.person.is_some() {
        return home();
    }
    let mut shown = sign_in_page(&app, &Form::default(), Fault::default(), Way::of(&query));
    let members = app.store.reader().members().await?;
    shown.first_run = !members.iter().any(crate::verbs::members::operates);
    shown.clear = came_clear(&app, &headers);
    page(&shown)
}

/// Whether the page goes in the clear to another machine, as far as can be told: no TLS of ours, none that a proxy
/// tells of, and a host that is not this one.
fn came_clear(app: &App, headers: &HeaderMap) -> bool {
    let proxied = headers.get("x-forwarded-proto");
    let proxied = proxied.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"https"));
    app.config.public_tls.is_none() && !proxied && !super::clients::is_here(headers)
}

fn sign_in_page(app: &App, form: &Form, fault: Fault, way: Way) -> SignInPage {
    let fields = vec![
        Field::new("email", "email", "E-mail", form, &fault)
            .auto("username")
            .first(),
        Field::new("password", "password", "Password", form, &fault).auto("current-password"),
    ];
    SignInPage {
        frame: Frame::stranger("Sign in"),
        fields,
        fault,
        way,
        first_run: false,
        clear: false,
        sso: super::sso::name(app),
    }
}

/// The sign-in page in the place of an answer to a form whose session is over.
pub(super) fn again(app: &App, path: &str, form: &Form) -> Result<Response, Trouble> {
    let way = Way::back(path, form);
    let shown = sign_in_page(app, &Form::default(), Fault::default(), way);
    with_status(StatusCode::UNAUTHORIZED, &shown)
}

/// What went wrong, in words.
pub(super) fn fault(not: &NotSignedIn) -> Result<Fault, Trouble> {
    let text = match not {
        NotSignedIn::Wrong => "The e-mail address or the password is wrong.".to_owned(),
        NotSignedIn::WrongCode => {
            "This is not the code, or it was used already. Wait for the next one.".to_owned()
        }
        NotSignedIn::TooLate => "That took too long. Begin again.".to_owned(),
        NotSignedIn::Throttled {
            retry_after_seconds,
        } => format!(
            "Too many wrong attempts. Wait {}, and try again.",
            super::shown::span(*retry_after_seconds)
        ),
        NotSignedIn::Ended => return Err(Trouble::SignedOut),
        NotSignedIn::Failed(failure) => return Err(Trouble::Failed(*failure)),
    };
    Ok(Fault::new("", text))
}

fn status(not: &NotSignedIn) -> StatusCode {
    match not {
        NotSignedIn::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::UNAUTHORIZED,
    }
}

/// `POST /console/sign-in`
pub(super) async fn send(State(app): State<Arc<App>>, open: Open) -> Reply {
    let way = Way::of(&open.form);
    let (email, password) = (open.form.text("email"), open.form.secret("password"));
    match sign_in::first(&app, email, password, &open.origin).await {
        Ok(Step::Done(ticket)) => finish(&ticket, &way),
        Ok(Step::Second(between)) => second_page(between, Fault::default(), way, StatusCode::OK),
        Err(not) => {
            let shown = sign_in_page(&app, &open.form, fault(&not)?, way);
            with_status(status(&not), &shown)
        }
    }
}

fn second_page(between: Between, fault: Fault, way: Way, status: StatusCode) -> Reply {
    let label = match between.has_app {
        true => "Code from your authenticator app",
        false => "Recovery code",
    };
    let field = Field::new("text", "code", label, &Form::default(), &fault)
        .auto("one-time-code")
        .first();
    let shown = SecondPage {
        frame: Frame::stranger("One more proof"),
        field,
        fault,
        way,
        between,
    };
    with_status(status, &shown)
}

/// `POST /console/sign-in/second`
pub(super) async fn second(State(app): State<Arc<App>>, open: Open) -> Reply {
    let way = Way::of(&open.form);
    let (sealed, code) = (open.form.text("between"), open.form.secret("code"));
    match sign_in::second(&app, sealed, code, &open.origin).await {
        Ok(ticket) => finish(&ticket, &way),
        Err(not) => second_again(&app, sealed, &not, way).await,
    }
}

/// Asks for the second proof once more, or for both when the first has grown old.
pub(super) async fn second_again(app: &App, sealed: &str, not: &NotSignedIn, way: Way) -> Reply {
    match sign_in::again(app, sealed).await {
        Ok(between) => second_page(between, fault(not)?, way, status(not)),
        Err(gone) => {
            let shown = sign_in_page(app, &Form::default(), fault(&gone)?, way);
            with_status(status(&gone), &shown)
        }
    }
}

/// Hands out the cookie and goes on where the way leads.
pub(super) fn finish(ticket: &Ticket, way: &Way) -> Reply {
    let mut response = if way.is_resuming() {
        let frame = Frame {
            word: ticket.form_word(),
            ..Frame::stranger("You are signed in again")
        };
        page(&ResumePage {
            frame,
            way: way.clone(),
        })?
    } else {
        see(inside(&way.next))
    };
    let cookie = set_cookie(ticket);
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// `POST /console/sign-out`
pub(super) async fn out(State(app): State<Arc<App>>, sent: Sent) -> Reply {
    sign_in::sign_out(&app, &sent.person).await?;
    let mut response = see("/console/sign-in");
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(header::SET_COOKIE, clear_cookie());
    // The browser forgets what it kept of these pages.
    headers.insert(
        "clear-site-data",
        http::HeaderValue::from_static("\"cache\""),
    );
    Ok(response)
}
