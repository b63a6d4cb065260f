//! Signing in and out. Whoever had typed something when their session ended finds it again afterwards.

use super::prelude::*;
use super::reply::refused;
use super::resume::{self, Way};
use super::session::{Open, Visitor, clear_cookie, home, set_cookie};
use crate::auth::opaque_token::OpaqueToken;
use crate::verbs::sign_in::{self, Between, NotSignedIn, Step};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, header};

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
    let mut shown = sign_in_page(
        &app,
        &Form::default(),
        Fault::default(),
        Way::of_link(&query),
    );
    let members = app.data.reader().members().await?;
    shown.first_run = !members.iter().any(crate::verbs::members::operates);
    shown.clear = came_clear(&app, &headers);
    page(&shown)
}

/// Whether the page goes in the clear to another machine, as far as can be told: no TLS of ours, none that a proxy
/// tells of, and a host that is not this one.
fn came_clear(app: &App, headers: &HeaderMap) -> bool {
    !super::clients::is_encrypted(app, headers) && !super::clients::is_here(headers)
}

fn sign_in_page(app: &App, form: &Form, fault: Fault, way: Way) -> SignInPage {
    let fields = vec![
        Field::new("email", "email", "Email", form, &fault)
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
pub(super) fn again(
    app: &App,
    headers: &HeaderMap,
    path: &str,
    form: &Form,
) -> Result<Response, PageError> {
    let (browser, cookie) = resume::named_browser(headers);
    let way = Way::back(app, path, form, &browser);
    let keeps = way.keeps();
    let shown = sign_in_page(app, &Form::default(), Fault::default(), way);
    let mut response = with_status(StatusCode::UNAUTHORIZED, &shown)?;
    if keeps {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// What went wrong, in words.
pub(super) fn fault(not: &NotSignedIn) -> Result<Fault, PageError> {
    let text = match not {
        NotSignedIn::Wrong => "The email or password is wrong.".to_owned(),
        NotSignedIn::WrongCode => {
            "The code is wrong or was already used. Wait for the next code.".to_owned()
        }
        NotSignedIn::TooLate => "The sign-in expired. Start over.".to_owned(),
        NotSignedIn::Throttled(retry_after_seconds) => {
            let text = format!(
                "Too many wrong attempts. Wait {}, then try again.",
                super::shown::wait(*retry_after_seconds)
            );
            return Ok(Fault::new("", text).retry_after(*retry_after_seconds));
        }
        NotSignedIn::Busy(retry_after_seconds) => {
            let text = "The server is busy. Try again in a few seconds.";
            return Ok(Fault::new("", text).retry_after(*retry_after_seconds));
        }
        NotSignedIn::Ended => return Err(PageError::SignedOut),
        NotSignedIn::Failed(failure) => return Err(PageError::Failed(*failure)),
    };
    Ok(Fault::new("", text))
}

/// `POST /console/sign-in`
pub(super) async fn send(State(app): State<Arc<App>>, open: Open) -> Reply {
    let way = Way::of_form(&open.form);
    let (email, password) = (open.form.text("email"), open.form.secret("password"));
    match sign_in::first(&app.people, email, password, &open.origin).await {
        Ok(Step::Done(opaque_token)) => finish(&app, &opaque_token, &way, &open).await,
        Ok(Step::Second(between)) => second_page(between, Fault::default(), way, StatusCode::OK),
        Err(not) => {
            let fault = fault(&not)?;
            let wait = fault.retry_after_seconds;
            let shown = sign_in_page(&app, &open.form, fault, way);
            refused(StatusCode::UNAUTHORIZED, wait, &shown)
        }
    }
}

fn second_page(between: Between, fault: Fault, way: Way, status: StatusCode) -> Reply {
    let wait = fault.retry_after_seconds;
    let label = match between.has_app {
        true => "Code from your authenticator app",
        false => "Recovery code",
    };
    let field = Field::new("text", "code", label, &Form::default(), &fault)
        .auto("one-time-code")
        .first();
    let shown = SecondPage {
        frame: Frame::stranger("Two-factor authentication"),
        field,
        fault,
        way,
        between,
    };
    refused(status, wait, &shown)
}

/// `POST /console/sign-in/second`
pub(super) async fn second(State(app): State<Arc<App>>, open: Open) -> Reply {
    let way = Way::of_form(&open.form);
    let (sealed, code) = (open.form.text("between"), open.form.secret("code"));
    match sign_in::second(&app.people, sealed, code, &open.origin).await {
        Ok(opaque_token) => finish(&app, &opaque_token, &way, &open).await,
        Err(not) => second_again(&app, sealed, &not, way).await,
    }
}

/// Asks for the second proof once more, or for both when the first has grown old.
pub(super) async fn second_again(app: &App, sealed: &str, not: &NotSignedIn, way: Way) -> Reply {
    match sign_in::again(&app.people, sealed).await {
        Ok(between) => second_page(between, fault(not)?, way, StatusCode::UNAUTHORIZED),
        Err(gone) => {
            let shown = sign_in_page(app, &Form::default(), fault(&gone)?, way);
            with_status(StatusCode::UNAUTHORIZED, &shown)
        }
    }
}

/// Hands out the cookie and goes on where the way leads.
pub(super) async fn finish(app: &App, opaque_token: &OpaqueToken, way: &Way, open: &Open) -> Reply {
    let person = sign_in::person(&app.people, opaque_token, &open.origin).await?;
    let mut response = match person {
        Some(person) => way.go(app, &person, &open.browser).await?,
        None => see("/console/sign-in"),
    };
    let cookie = set_cookie(opaque_token);
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// `POST /console/sign-out`
pub(super) async fn out(sent: PostedForm) -> Reply {
    sign_in::sign_out(&sent.app.people, &sent.person).await?;
    let mut response = see("/console/sign-in");
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(header::SET_COOKIE, clear_cookie());
    // The browser forgets what it kept of these pages.
    let cache = http::HeaderValue::from_static("\"cache\"");
    headers.insert("clear-site-data", cache);
    Ok(response)
}
