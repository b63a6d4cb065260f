//! Answers: pages, redirects, and the pages for what went wrong, each of which says what to do next.

use super::prelude::*;
use super::session::SignedOut;
use crate::http::denied::FORBIDDEN;
use crate::http::envelope::Told;
use crate::random;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use tokenward_store::Failure;

/// What a handler answers.
pub(super) type Reply = Result<Response, PageError>;

/// A page.
pub(super) fn page(template: &impl Template) -> Reply {
    with_status(StatusCode::OK, template)
}

/// A page with a form that was not taken.
pub(super) fn unprocessable(template: &impl Template) -> Reply {
    with_status(StatusCode::UNPROCESSABLE_ENTITY, template)
}

/// A page with a form that was not taken, or not yet: with the seconds to wait when there are any.
pub(super) fn refused(
    status: StatusCode,
    retry_after_seconds: u64,
    template: &impl Template,
) -> Reply {
    if retry_after_seconds == 0 {
        return with_status(status, template);
    }
    let mut response = with_status(StatusCode::TOO_MANY_REQUESTS, template)?;
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, retry_after_seconds.into());
    Ok(response)
}

pub(super) fn with_status(status: StatusCode, template: &impl Template) -> Reply {
    let body = template.render().map_err(|error| {
        tracing::error!("a page could not be made: {error}");
        PageError::Failed(Failure::Unavailable)
    })?;
    Ok((status, axum::response::Html(body)).into_response())
}

/// See another page: after a form was taken, so that reloading sends nothing twice.
pub(super) fn see(address: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let address = HeaderValue::try_from(address);
    let address = address.unwrap_or(HeaderValue::from_static("/console"));
    response.headers_mut().insert(header::LOCATION, address);
    response
}

/// A file to keep.
pub(super) fn attached(body: Body, kind: &'static str, file: &'static str) -> Response {
    let name = format!("attachment; filename=\"{file}\"");
    let kind = [(header::CONTENT_TYPE, kind)];
    (kind, [(header::CONTENT_DISPOSITION, name)], body).into_response()
}

/// What is answered with a page of its own.
#[derive(Debug)]
pub(super) enum PageError {
    /// There is no such thing, or not for this person.
    NotFound(&'static str),
    /// The link of an invitation that was used, has expired or is incomplete.
    DeadLink,
    /// The role does not allow it.
    Forbidden(&'static str),
    /// The form came from somewhere else, or not from this session.
    Foreign,
    /// Not a form of ours.
    Malformed(&'static str),
    /// The session ended after it was looked up.
    SignedOut,
    /// The state does not allow it.
    Conflict(String),
    /// Tried too often, or too many at once: the seconds to wait.
    Throttled(u64),
    /// The server could not do it.
    Failed(Failure),
    /// Something else was answered already.
    Answered(Box<Response>),
}

impl From<Refused> for PageError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotFound(what) => Self::NotFound(what),
            Refused::Forbidden(why) => Self::Forbidden(why),
            Refused::Invalid(field, why) => Self::Conflict(format!("{field}: {why}")),
            Refused::NotAdmitted => Self::SignedOut,
            Refused::Changed(what) => {
                Self::Conflict(format!("the {what} was changed in the meantime"))
            }
            Refused::Conflict(_, why) | Refused::Busy(_, why) => Self::Conflict(why),
            Refused::Throttled(retry_after_seconds) => Self::Throttled(retry_after_seconds),
            Refused::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl From<Failure> for PageError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<tokenward_store::StoreError> for PageError {
    fn from(error: tokenward_store::StoreError) -> Self {
        Refused::from(error).into()
    }
}

/// A page that says what went wrong.
#[derive(Template)]
#[template(path = "console/error.html")]
pub(super) struct ErrorPage {
    pub(super) frame: Frame,
    pub(super) heading: &'static str,
    pub(super) text: String,
    pub(super) next: &'static str,
    /// An id that finds the line in the log; empty when there is nothing in it.
    pub(super) error_id: String,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let mut wait = 0;
        let by_role = matches!(self, Self::Forbidden(_));
        let (status, heading, text, next) = match self {
            Self::Answered(response) => return *response,
            Self::SignedOut => {
                let mut response = see("/console/sign-in");
                response.extensions_mut().insert(SignedOut);
                return response;
            }
            Self::NotFound(what) => (
                StatusCode::NOT_FOUND,
                "Not found",
                format!("There is no such {what}, or you don't have access."),
                "Check the address, or go to the home page.",
            ),
            Self::DeadLink => (
                StatusCode::NOT_FOUND,
                "This invitation link doesn't work",
                "It was already used, it expired, or it is incomplete.".to_owned(),
                "Ask an administrator for a new invitation.",
            ),
            Self::Forbidden(why) => (
                StatusCode::FORBIDDEN,
                "Not allowed",
                super::form::sentence(why),
                "Ask an administrator for access.",
            ),
            Self::Foreign => (
                StatusCode::FORBIDDEN,
                "Action not completed",
                "This form wasn't sent from a page of your session.".to_owned(),
                "Open the page again and submit the form there. If another site sent you here, leave that site.",
            ),
            Self::Malformed(why) => (
                StatusCode::BAD_REQUEST,
                "Action not completed",
                super::form::sentence(why),
                "Go back, reload the page and submit the form again.",
            ),
            Self::Conflict(why) => (
                StatusCode::CONFLICT,
                "Action not completed",
                super::form::sentence(&why),
                "Go back and reload the page to see the current state.",
            ),
            Self::Throttled(seconds) => {
                wait = seconds;
                (
                    StatusCode::TOO_MANY_REQUESTS,
                    "Too many attempts",
                    format!("Wait {}, then try again.", super::shown::wait(seconds)),
                    "No changes were made.",
                )
            }
            Self::Failed(Failure::OutcomeUnknown) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Outcome unknown",
                "The database didn't confirm whether the change was saved.".to_owned(),
                "Reload the page and check before you repeat the action.",
            ),
            Self::Failed(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Temporarily unavailable",
                "No changes were made. Token checks continue.".to_owned(),
                "Try again in a few seconds.",
            ),
        };
        let error_id = match status.is_server_error() {
            true => random::uuid().to_string(),
            false => String::new(),
        };
        if status.is_server_error() {
            tracing::warn!(%error_id, "answered a page with {}", status.as_u16());
        }
        let shown = ErrorPage {
            frame: Frame::stranger(heading),
            heading,
            text,
            next,
            error_id,
        };
        let mut response = refused(status, wait, &shown).unwrap_or_else(|_| status.into_response());
        if by_role {
            response.extensions_mut().insert(Told {
                code: FORBIDDEN,
                error_id: None,
            });
        }
        response
    }
}
