//! RFC 9457 problem documents: a code, a sentence, an id; never inner detail.

use crate::http::denied::FORBIDDEN;
use crate::http::envelope::Told;
use crate::random;
use crate::verbs::admin_keys::NotAdmitted;
use crate::verbs::{Conflict, Refused};
use axum::Extension;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

/// A problem as sent.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    field: Option<String>,
    retry_after_seconds: Option<u64>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            title,
            detail: detail.into(),
            field: None,
            retry_after_seconds: None,
        }
    }

    fn too_many(code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, title, detail)
    }

    fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    pub(super) fn invalid(field: Option<&str>, detail: impl Into<String>) -> Self {
        let field = field.map(str::to_owned);
        Self {
            field,
            ..Self::new(
                StatusCode::BAD_REQUEST,
                "INVALID_REQUEST",
                "The request can't be taken",
                detail,
            )
        }
    }

    pub(super) fn unsupported_media(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            "The body is not JSON",
            detail,
        )
    }

    pub(super) fn too_slow() -> Self {
        let detail = "The body did not arrive in time.";
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "BODY_TOO_SLOW",
            "The body is too slow",
            detail,
        )
    }

    pub(super) fn too_large() -> Self {
        let detail = "The body may have at most 64 KiB.";
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "BODY_TOO_LARGE",
            "The body is too large",
            detail,
        )
    }
}

/// The code of a conflict.
fn code(conflict: Conflict) -> &'static str {
    match conflict {
        Conflict::AddressConfirmed => "ADDRESS_CONFIRMED",
        Conflict::AddressStopped => "ADDRESS_STOPPED",
        Conflict::ChangedMeanwhile => "CHANGED_MEANWHILE",
        Conflict::ClientDeleted => "CLIENT_DELETED",
        Conflict::ClientDisabled => "CLIENT_DISABLED",
        Conflict::ConfirmationUnavailable => "CONFIRMATION_UNAVAILABLE",
        Conflict::GenerationMismatch => "GENERATION_MISMATCH",
        Conflict::LabelMismatch => "LABEL_MISMATCH",
        Conflict::LabelTaken => "LABEL_TAKEN",
        Conflict::LastOperator => "LAST_OPERATOR",
        Conflict::MemberExists => "MEMBER_EXISTS",
        Conflict::NoSecondProof => "NO_SECOND_PROOF",
        Conflict::OwnMembership => "OWN_MEMBERSHIP",
        Conflict::ProductInUse => "PRODUCT_IN_USE",
        Conflict::TooManyMembers => "TOO_MANY_MEMBERS",
        Conflict::TooManyPasskeys => "TOO_MANY_PASSKEYS",
        Conflict::TooManySecrets => "TOO_MANY_SECRETS",
        Conflict::TooManyWebhooks => "TOO_MANY_WEBHOOKS",
        Conflict::WebhookDisabled => "WEBHOOK_DISABLED",
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotFound(what) => Self::new(
                StatusCode::NOT_FOUND,
                "NOT_FOUND",
                "Not found",
                format!("There is no such {what}."),
            ),
            Refused::Forbidden(why) => Self::new(
                StatusCode::FORBIDDEN,
                FORBIDDEN,
                "Not allowed",
                format!("Not allowed: {why}."),
            ),
            Refused::Invalid(field, why) => {
                let end = if why.ends_with('?') { "" } else { "." };
                Self::invalid(Some(field), format!("{field}: {why}{end}"))
            }
            Refused::NotAdmitted => NotAdmitted::Unknown.into(),
            Refused::Conflict(conflict, why) => Self::new(
                StatusCode::CONFLICT,
                code(conflict),
                "The state does not allow this",
                format!("Not done: {why}."),
            ),
            Refused::Changed(what) => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "VERSION_MISMATCH",
                "Changed in the meantime",
                format!(
                    "The {what} was changed after you read it. Read it again, then send your change with the new ETag."
                ),
            ),
            Refused::Busy(seconds, why) => {
                Self::too_many("BUSY", "The server is busy with this", why).retry_after(seconds)
            }
            Refused::Throttled(retry_after_seconds) => {
                let detail = "Wait, then try again.";
                Self::too_many("TOO_MANY_ATTEMPTS", "Too many attempts", detail)
                    .retry_after(retry_after_seconds)
            }
            Refused::Failed(failure) => {
                let clear = super::super::clear_api::unavailable(failure);
                Self::new(clear.status, clear.code, "Not available", clear.message).retry_after(1)
            }
        }
    }
}

impl From<NotAdmitted> for Problem {
    fn from(not: NotAdmitted) -> Self {
        match not {
            NotAdmitted::Unknown => {
                let detail = "Send an admin key that is neither revoked nor expired as Authorization: Bearer.";
                Self::new(
                    StatusCode::UNAUTHORIZED,
                    "ADMIN_KEY_INVALID",
                    "The admin key is missing or not valid",
                    detail,
                )
            }
            NotAdmitted::Throttled(retry_after_seconds) => {
                let detail =
                    "Too many wrong admin keys came from this address. Wait, and check the key.";
                Self::too_many("TOO_MANY_ATTEMPTS", "Too many wrong admin keys", detail)
                    .retry_after(retry_after_seconds)
            }
            NotAdmitted::Unavailable => {
                Refused::Failed(tokenward_store::Failure::Unavailable).into()
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let id = random::uuid();
        if self.status.is_server_error() {
            tracing::warn!(error_id = %id, code = self.code, "answered {}", self.status.as_u16());
        }
        let body = tokenward_api::Problem {
            kind: format!(
                "urn:tokenward:problem:{}",
                self.code.to_lowercase().replace('_', "-")
            ),
            title: self.title.to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code.to_owned(),
            field: self.field,
            error_id: id,
        };
        let body = serde_json::to_value(body).expect("a problem document is JSON");
        let told = Told {
            code: self.code,
            error_id: Some(id),
        };
        let headers = [
            (header::CONTENT_TYPE, "application/problem+json"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        let told = (self.status, Extension(told), headers, body.to_string());
        let mut response = told.into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"tokenward-admin\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Below `/admin/v1`, but nowhere.
pub(super) async fn nothing_here() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "NOT_FOUND",
        "Not found",
        "There is nothing at this address.",
    )
}

/// A known address with another method; the router adds `Allow`.
pub(super) async fn method_not_allowed() -> Problem {
    let detail = "This address takes other methods; see the header Allow.";
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_NOT_ALLOWED",
        "Method not allowed",
        detail,
    )
}
