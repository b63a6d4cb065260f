//! The answers of requests that may not pass: Clear's error body, as the node gives it, or a gRPC status
//! for those who speak that. A code, a fixed sentence, an id; never inner detail.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::json;
use tokenward_core::check::Denial;
use tokenward_core::check::denial::{CANNOT_VOUCH, CANNOT_VOUCH_SENTENCE, Fault, Figure};
use uuid::Uuid;

/// What may not pass, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refused {
    Denied(Denial),
    CannotVouch,
}

impl Refused {
    fn code(self) -> &'static str {
        match self {
            Self::Denied(denial) => denial.code(),
            Self::CannotVouch => CANNOT_VOUCH,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Denied(denial) => denial.sentence(),
            Self::CannotVouch => CANNOT_VOUCH_SENTENCE,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Denied(denial) => match denial.fault() {
                Fault::Unauthenticated => StatusCode::UNAUTHORIZED,
                Fault::Forbidden => StatusCode::FORBIDDEN,
                Fault::Misconfigured => StatusCode::NOT_FOUND,
            },
            Self::CannotVouch => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The gRPC status: UNAUTHENTICATED, PERMISSION_DENIED, NOT_FOUND, UNAVAILABLE.
    fn grpc(self) -> &'static str {
        match self {
            Self::Denied(denial) => match denial.fault() {
                Fault::Unauthenticated => "16",
                Fault::Forbidden => "7",
                Fault::Misconfigured => "5",
            },
            Self::CannotVouch => "14",
        }
    }

    /// The answer to a request with these headers.
    pub(crate) fn answer(self, request: &HeaderMap, source: &str) -> Response<Full<Bytes>> {
        let kind = request.get(header::CONTENT_TYPE);
        let grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        if grpc {
            self.in_grpc()
        } else {
            self.in_json(source)
        }
    }

    fn in_json(self, source: &str) -> Response<Full<Bytes>> {
        // Without randomness there is no id, and the answer stays what it is.
        let id = tokenward_system::random_bytes()
            .map(|bytes| uuid::Builder::from_random_bytes(bytes).into_uuid());
        let id = id.unwrap_or(Uuid::nil());
        let mut error = json!({
            "error_code": self.code(),
            "error_message": self.sentence(),
            "error_source": source,
            "error_id": id,
        });
        if let Self::Denied(denial) = self {
            for (name, figure) in denial.figures() {
                error[name] = match figure {
                    Figure::Number(number) => number.into(),
                    Figure::Time(text) => text.into(),
                };
            }
        }
        tracing::debug!(error_id = %id, code = self.code(), "refused");
        let mut response = Response::new(Full::from(json!({ "errors": [error] }).to_string()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        let mut put = |name, value| headers.insert(name, HeaderValue::from_static(value));
        put(header::CONTENT_TYPE, "application/json");
        put(header::CACHE_CONTROL, "no-store");
        match self {
            Self::Denied(denial) if denial.fault() == Fault::Unauthenticated => {
                put(header::WWW_AUTHENTICATE, denial.challenge());
            }
            Self::CannotVouch => drop(put(header::RETRY_AFTER, "1")),
            Self::Denied(_) => {}
        }
        response
    }

    fn in_grpc(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        );
        headers.insert("grpc-status", HeaderValue::from_static(self.grpc()));
        // Fixed sentences of printable ASCII without a percent sign need no encoding.
        headers.insert("grpc-message", HeaderValue::from_static(self.sentence()));
        headers.insert("tokenward-code", HeaderValue::from_static(self.code()));
        response
    }
}
