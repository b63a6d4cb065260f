//! OAuth's own form of answers and errors (RFC 6749, section 5): what each refusal of a verb becomes.

use super::Reply;
use crate::app::App;
use crate::auth::refused_credentials;
use crate::http::envelope::Told;
use crate::http::json_reply;
use crate::verbs::issuance::Refused;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;
use std::net::IpAddr;
use tokenward_core::generate::Rejection;

/// An error in OAuth's form.
pub(super) struct OAuthError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    description: &'static str,
    /// A header beside those of every error.
    header: Option<(HeaderName, HeaderValue)>,
}

impl OAuthError {
    pub(super) fn new(status: StatusCode, code: &'static str, description: &'static str) -> Self {
        Self {
            status,
            code,
            description,
            header: None,
        }
    }

    fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self {
            header: Some((name, value)),
            ..self
        }
    }

    pub(super) fn invalid_request(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    /// The address takes other methods: these.
    pub(super) fn method_not_allowed(methods: &'static str) -> Self {
        let description = "this address takes other methods; see the header Allow";
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "invalid_request",
            description,
        )
        .with(header::ALLOW, HeaderValue::from_static(methods))
    }

    /// Ours, and soon over.
    pub(super) fn unavailable(description: &'static str) -> Self {
        Self::waiting(StatusCode::SERVICE_UNAVAILABLE, 1, description)
    }

    fn waiting(status: StatusCode, seconds: u64, description: &'static str) -> Self {
        Self::new(status, "temporarily_unavailable", description)
            .with(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Another resource than the client's products (RFC 8707, section 2).
    pub(super) fn invalid_target() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_target",
            "resource is not a product that this API client may open; leave it out, or name one as urn:tokenward:product:SLUG",
        )
    }

    pub(super) fn invalid_client(description: &'static str) -> Self {
        let challenge = HeaderValue::from_static("Basic realm=\"tokenward\"");
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", description)
            .with(header::WWW_AUTHENTICATE, challenge)
    }

    /// The answer to a caller of the public listener; a refused secret is noted.
    pub(super) fn reply_to(self, app: &App, peer: IpAddr, headers: &HeaderMap) -> Reply {
        if matches!(
            self.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        ) {
            let source = app.caller_address(peer, headers);
            refused_credentials::note(&app.people, "client_secret", source, None, self.code);
        }
        self.reply(app)
    }

    pub(super) fn reply(self, app: &App) -> Reply {
        if self.status.is_server_error() {
            app.data.metrics.failed();
        }
        let mut reply = json_reply(
            self.status,
            &json!({ "error": self.code, "error_description": self.description }),
        );
        reply.extensions_mut().insert(Told {
            code: self.code,
            error_id: None,
        });
        if let Some((name, value)) = self.header {
            reply.headers_mut().insert(name, value);
        }
        reply
    }
}

impl From<Refused> for OAuthError {
    fn from(refused: Refused) -> Self {
        let waiting = |seconds, description| {
            Self::waiting(StatusCode::TOO_MANY_REQUESTS, seconds, description)
        };
        match refused {
            Refused::Rejected(Rejection::SecretInvalid) => {
                Self::invalid_client("the client secret is not valid")
            }
            Refused::Rejected(Rejection::EnvironmentMismatch) => {
                Self::invalid_client("the client belongs to another environment than this host")
            }
            Refused::Rejected(Rejection::ClientDeleted) => {
                Self::invalid_client("the API client was deleted")
            }
            Refused::Rejected(Rejection::ClientDisabled) => {
                Self::invalid_client("the API client is disabled")
            }
            Refused::Rejected(Rejection::AddressNotAllowed) => Self::new(
                StatusCode::FORBIDDEN,
                "unauthorized_client",
                "the secret may not be used from this address",
            ),
            Refused::Rejected(
                Rejection::GenerationMismatch { .. } | Rejection::HandoverTooLong { .. },
            ) => Self::invalid_request("the request cannot be met"),
            Refused::Rejected(Rejection::ProductNotAllowed) => Self::new(
                StatusCode::BAD_REQUEST,
                "invalid_scope",
                "scope or resource names a product that this API client may not open; leave both out, or name its products",
            ),
            Refused::Rejected(Rejection::QuotaExceeded {
                retry_after_seconds,
                ..
            }) => waiting(
                retry_after_seconds,
                "the secret has made all its tokens of the day",
            ),
            Refused::Throttled(retry_after_seconds) => {
                waiting(retry_after_seconds, "too many wrong client secrets")
            }
            Refused::TooManyCalls(retry_after_seconds) => {
                waiting(retry_after_seconds, "this client secret calls too often")
            }
            Refused::Failed(_) => Self::unavailable("try again"),
        }
    }
}
