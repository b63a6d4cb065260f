//! Single sign-on at the browser: there and back again, the state between carried by a sealed cookie.

use super::clients::base;
use super::prelude::*;
use super::session::{cookie, inside, origin, set_cookie};
use crate::random;
use crate::verbs::sign_in::NotSignedIn;
use crate::verbs::single_sign_on::{self, Between, NoSso};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use tokenward_core::hex;
use tokenward_core::seal::NONCE_BYTES;

/// The cookie between going there and coming back: sent along when the provider leads back, and never after.
const COOKIE: &str = "__Host-tokenward-sso";
const CONTEXT: &str = "single sign-on under way";

#[derive(Template)]
#[template(path = "console/sso_done.html")]
struct DonePage {
    frame: Frame,
    next: String,
}

/// What the provider is called on the button, if there is one.
pub(super) fn name(app: &App) -> Option<String> {
    app.data.config.sso.as_ref().map(|sso| sso.name.clone())
}

fn returning(app: &App, headers: &HeaderMap) -> String {
    format!("{}/console/sso/return", base(app, headers))
}

fn trouble(no: NoSso) -> PageError {
    match no {
        NoSso::NotSetUp => PageError::NotFound("page"),
        NoSso::Provider(why) => {
            tracing::warn!("single sign-on failed: {why}");
            PageError::Conflict(
                "the single sign-on provider returned an unexpected response; try again, or sign in with your password"
                    .into(),
            )
        }
        NoSso::Unknown => {
            PageError::Forbidden("you have no account here; ask an administrator to invite you")
        }
        NoSso::Unverified => PageError::Forbidden(
            "the provider did not confirm a verified email address; ask an administrator to check the claims email and email_verified",
        ),
        NoSso::Busy => PageError::Throttled(1),
        NoSso::NotSignedIn(NotSignedIn::Throttled(retry_after_seconds)) => {
            PageError::Throttled(retry_after_seconds)
        }
        NoSso::NotSignedIn(NotSignedIn::Failed(failure)) => PageError::Failed(failure),
        NoSso::NotSignedIn(_) => {
            PageError::Forbidden("your account can't sign in; ask an administrator")
        }
    }
}

/// `GET /console/sso/start`
pub(super) async fn start(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    uri: http::Uri,
) -> Reply {
    let query = Form::query(&uri);
    let next = inside(query.text("next")).to_owned();
    let begun = single_sign_on::begin(&app.people, &returning(&app, &headers), next).await;
    let (address, between) = begun.map_err(trouble)?;
    let plain = serde_json::to_vec(&between).unwrap_or_default();
    let nonce: [u8; NONCE_BYTES] = random::bytes();
    let sealed = app.data.keyring.seal_at_rest(CONTEXT, &plain, nonce);
    let cookie = format!(
        "{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600",
        hex::encode(&sealed).as_str()
    );
    let mut response = see(&address);
    put_cookie(&mut response, &cookie);
    Ok(response)
}

fn put_cookie(response: &mut Response, cookie: &str) {
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

fn between(app: &App, headers: &HeaderMap) -> Option<Between> {
    let sealed = cookie(headers, COOKIE)?;
    let plain = app
        .data
        .keyring
        .open_at_rest(CONTEXT, &hex::read_any(sealed)?)?;
    serde_json::from_slice(&plain).ok()
}

/// `GET /console/sso/return`
pub(super) async fn back(State(app): State<Arc<App>>, request: Request) -> Reply {
    let (parts, _) = request.into_parts();
    let query = Form::query(&parts.uri);
    let Some(between) = between(&app, &parts.headers) else {
        return Err(PageError::Foreign);
    };
    let next = inside(between.next()).to_owned();
    let (code, state) = (query.text("code"), query.text("state"));
    let returning = returning(&app, &parts.headers);
    let origin = origin(&parts, &app);
    let ended = single_sign_on::end(&app.people, &returning, between, (code, state), &origin).await;
    let opaque_token = ended.map_err(trouble)?;
    // A page and no redirect: one that another site began would not carry the new cookie.
    let mut response = page(&DonePage {
        frame: Frame::stranger("You are signed in"),
        next,
    })?;
    response
        .headers_mut()
        .append(header::SET_COOKIE, set_cookie(&opaque_token));
    let over = format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
    put_cookie(&mut response, &over);
    Ok(response)
}
