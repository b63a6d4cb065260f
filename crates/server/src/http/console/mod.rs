//! The console: pages for people, made on the server, of plain forms. They call `verbs`, like every other
//! interface. Nothing here needs a script; what scripts there are only save a step.

mod account;
mod activity;
mod acts;
mod assets;
mod audit;
mod clients;
mod confirm;
mod credentials;
mod email;
mod form;
mod frame;
mod inspect;
mod join;
mod keys;
mod members;
mod once;
mod overview;
mod passkeys;
mod preferences;
mod products;
mod reply;
mod resume;
mod role_form;
mod search;
mod session;
mod shown;
mod sign_in;
mod sso;
mod status;
mod step_up;
mod webhooks;
mod workspaces;

/// What pages are made of.
mod prelude {
    pub(super) use super::confirm::ConfirmPage;
    pub(super) use super::form::{Fault, Faults, Field, Form, Word, sentence};
    pub(super) use super::frame::{Frame, Place};
    pub(super) use super::once::OncePage;
    pub(super) use super::reply::{PageError, Reply, page, see, unprocessable, with_status};
    pub(super) use super::session::{Member, PostedForm, SteppedUp};
    pub(super) use super::shown::{Moment, count};
    pub(super) use crate::app::App;
    pub(super) use crate::verbs::Refused;
    pub(super) use crate::verbs::sign_in::Person;
    pub(super) use askama::Template;
    pub(super) use axum::extract::Path;
    pub(super) use http::StatusCode;
    pub(super) use std::sync::Arc;
    pub(super) use tokenward_core::time::{Clock, Timestamp};
    pub(super) use uuid::Uuid;
}

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue, header};
use prelude::*;
use tower_http::csrf::CsrfLayer;

/// What every page is sent with: nothing from elsewhere, no inline script or style, in nobody's frame, in nobody's
/// cache, and no address of ours told to others.
const HEADERS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), geolocation=(), microphone=(), payment=()",
    ),
];

/// Every page.
pub(crate) fn router() -> Router<Arc<App>> {
    let both = |show, send| axum::routing::MethodRouter::merge(show, send);
    let client = "/console/clients/{id}";
    let list = "/console/w/{workspace}/{environment}";
    Router::new()
        .route("/console", get(workspaces::home))
        .route("/console/", get(workspaces::home))
        .route("/console/assets/{name}", get(assets::show))
        .route("/console/sign-in", get(sign_in::show).post(sign_in::send))
        .route("/console/sign-in/second", post(sign_in::second))
        .route("/console/sign-out", post(sign_in::out))
        .route("/console/sso/start", get(sso::start))
        .route("/console/sso/return", get(sso::back))
        .route("/console/step-up", get(step_up::show).post(step_up::send))
        .route(
            "/console/join/{opaque_token}",
            get(join::show).post(join::send),
        )
        .route(
            "/console/email/confirm/{opaque_token}",
            get(email::ask_confirm).post(email::confirm),
        )
        .route(
            "/console/email/stop/{link}",
            get(email::ask_stop).post(email::stop),
        )
        .merge(account::router())
        .merge(passkeys::router())
        .route("/console/workspaces", get(workspaces::list))
        .route(
            "/console/workspaces/new",
            get(workspaces::new).post(workspaces::create),
        )
        .route(
            "/console/workspaces/{id}",
            get(workspaces::edit).post(workspaces::change),
        )
        .route(
            "/console/workspaces/{id}/{act}",
            get(workspaces::ask).post(workspaces::act),
        )
        .route("/console/w/{workspace}/overview", get(overview::show))
        .route(list, get(clients::list::show))
        .route(
            &format!("{list}/new"),
            both(get(clients::new::show), post(clients::new::send)),
        )
        .route(
            &format!("{list}/bulk"),
            both(get(clients::bulk::ask), post(clients::bulk::send)),
        )
        .route(client, get(clients::one::show))
        .route(&format!("{client}/usage.csv"), get(clients::one::csv))
        .route(
            &format!("{client}/edit"),
            get(clients::edit::show).post(clients::edit::send),
        )
        .route(
            &format!("{client}/{{act}}"),
            get(clients::acts::show).post(clients::acts::send),
        )
        .route(
            "/console/w/{workspace}/notices",
            get(webhooks::show).post(webhooks::create),
        )
        .route(
            "/console/w/{workspace}/webhooks/{id}/preferences",
            get(preferences::ask_webhook).post(preferences::set_webhook),
        )
        .route(
            "/console/w/{workspace}/addresses",
            get(preferences::ask_address).post(preferences::set_address),
        )
        .route(
            "/console/w/{workspace}/webhooks/{id}/{act}",
            get(webhooks::ask).post(webhooks::act),
        )
        .route(
            "/console/credentials/{kind}/{id}/{n}",
            get(credentials::ask).post(credentials::change),
        )
        .route("/console/inspect", get(inspect::show).post(inspect::send))
        .route("/console/search", get(search::show).post(search::send))
        .route("/console/products", get(products::list).post(products::put))
        .route(
            "/console/products/{slug}/delete",
            get(products::ask).post(products::delete),
        )
        .route("/console/members", get(members::list))
        .route(
            "/console/members/invite",
            get(members::ask).post(members::invite),
        )
        .route(
            "/console/members/{id}",
            get(members::one).post(members::change),
        )
        .route(
            "/console/members/{id}/{act}",
            get(members::ask_act).post(members::act),
        )
        .route(
            "/console/invitations/{id}/withdraw",
            get(members::ask_withdraw).post(members::withdraw),
        )
        .route("/console/admin-keys", get(keys::list))
        .route("/console/admin-keys/new", get(keys::ask).post(keys::create))
        .route(
            "/console/admin-keys/{id}/revoke",
            get(keys::ask_revoke).post(keys::revoke),
        )
        .route("/console/audit", get(audit::show))
        .route("/console/audit/export.csv", get(audit::csv))
        .route("/console/audit/export.jsonl", get(audit::json_lines))
        .route("/console/audit/verify", post(audit::verify))
        .route("/console/status", get(status::show))
        .route("/console/settings", get(status::settings))
        .route("/console/{*rest}", get(nothing_here))
        .layer(middleware::from_fn(crate::http::denied::note))
        .layer(middleware::from_fn(session::ask_to_sign_in))
        .layer(CsrfLayer::new().with_rejection_response(|_| PageError::Foreign.into_response()))
        .layer(middleware::from_fn(with_headers))
}

async fn nothing_here() -> PageError {
    PageError::NotFound("page")
}

async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        let name = HeaderName::from_static(name);
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
