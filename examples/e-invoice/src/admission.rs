//! The door: asks Tokenward's internal check whether a request may pass, and believes nothing else.
//!
//! * Only the token headers go to the check, every occurrence of them, so that Tokenward sees (and refuses)
//!   a doubled one. `X-Forwarded-For` is written here from the connection; what the caller wrote is dropped.
//! * A refusal is handed to the caller as Tokenward gave it, status and body.
//! * No answer within [`CHECK_TIMEOUT`], or one that cannot be Tokenward's, is a 503: the door stays shut.
//!
//! It must never remember a permission: the next request may come after a revocation.

use std::{net::SocketAddr, time::Duration};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::errors::refuse;

/// Longest wait for a verdict. A check takes well under a millisecond; whoever needs a second is not well.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// Largest refusal body handed on; Tokenward's are below one kilobyte.
const DENIAL_BODY_MAX_BYTES: usize = 16 * 1024;
/// Idle connections kept to Tokenward, so that a check does not pay for a handshake.
const KEPT_CONNECTIONS_MAX: usize = 64;

const TOKEN_HEADERS: [HeaderName; 2] = [
    HeaderName::from_static("x-cleartax-auth-token"),
    header::AUTHORIZATION,
];
/// What a caller needs of a refusal besides status and body.
const DENIAL_HEADERS: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::WWW_AUTHENTICATE,
    header::RETRY_AFTER,
    header::CACHE_CONTROL,
];

/// Who calls, as Tokenward told it. It cannot be made outside this room, so a handler that takes one
/// cannot run for a request that was not admitted.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Caller {
    /// Id of the workspace.
    workspace: String,
    /// Id of the API client.
    client: String,
    /// Label of the API client.
    client_label: String,
    /// `sandbox` or `production`.
    environment: String,
    /// The product the token was admitted to.
    product: String,
    /// Which of the client's tokens this is; with the client id it names the token in logs.
    generation: String,
    /// When the token ends; `null` if it does not.
    valid_till: Option<String>,
}

/// Why a request may not pass.
#[derive(Debug)]
pub enum Refusal {
    /// Tokenward refused it, in these words.
    Denied(Box<Denial>),
    /// Nobody vouched for it. The reason is for the operator's log and never goes out.
    Unavailable {
        /// What went wrong.
        reason: String,
    },
}

/// A refusal in Tokenward's words.
#[derive(Debug)]
pub struct Denial {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// The door of one product in one environment.
#[derive(Clone, Debug)]
pub struct Gate {
    http: reqwest::Client,
    check_url: String,
    environment: String,
    product: String,
}

impl Gate {
    /// A gate that asks the Tokenward whose internal listener is at `tokenward` (such as
    /// `http://127.0.0.1:8081`).
    pub fn new(tokenward: &str, environment: &str, product: &str) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(CHECK_TIMEOUT)
            .pool_max_idle_per_host(KEPT_CONNECTIONS_MAX)
            // A redirect would carry the token elsewhere, a proxy from the environment likewise.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            check_url: format!(
                "{}/check/{environment}/{product}",
                tokenward.trim_end_matches('/')
            ),
            environment: environment.to_owned(),
            product: product.to_owned(),
        })
    }

    /// Asks Tokenward about a request with these headers from this address.
    pub async fn admit(&self, headers: &HeaderMap, peer: SocketAddr) -> Result<Caller, Refusal> {
        let unavailable = |error: reqwest::Error| Refusal::Unavailable {
            reason: with_sources(&error),
        };
        let response = self
            .http
            .get(&self.check_url)
            .headers(question(headers, peer))
            .send()
            .await
            .map_err(unavailable)?;
        match response.status() {
            StatusCode::OK => self.caller(response.headers()),
            // The caller's own fault, or Tokenward saying that it cannot vouch just now.
            status @ (StatusCode::BAD_REQUEST
            | StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            | StatusCode::SERVICE_UNAVAILABLE) => {
                let mut kept = HeaderMap::new();
                for name in DENIAL_HEADERS {
                    for value in response.headers().get_all(&name) {
                        kept.append(name.clone(), value.clone());
                    }
                }
                let body = bounded_body(response).await?;
                Err(Refusal::Denied(Box::new(Denial {
                    status,
                    headers: kept,
                    body,
                })))
            }
            // A 404 is PRODUCT_UNKNOWN: this product is misconfigured, which no caller can mend.
            other => Err(Refusal::Unavailable {
                reason: format!("the check answered {other} at {}", self.check_url),
            }),
        }
    }

    /// Reads the identity from a permit. A 200 without it, or for another environment or product, did
    /// not come from the check that was asked.
    fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let fact = |name: &str| {
            headers
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .ok_or_else(|| Refusal::Unavailable {
                    reason: format!("the check answered 200 without {name}"),
                })
        };
        let caller = Caller {
            workspace: fact("x-tokenward-workspace")?,
            client: fact("x-tokenward-client")?,
            client_label: fact("x-tokenward-client-label")?,
            environment: fact("x-tokenward-environment")?,
            product: fact("x-tokenward-product")?,
            generation: fact("x-tokenward-generation")?,
            valid_till: Some(fact("x-tokenward-valid-till")?).filter(|text| !text.is_empty()),
        };
        if caller.environment != self.environment || caller.product != self.product {
            return Err(Refusal::Unavailable {
                reason: format!(
                    "the check vouched for {}/{}, not for {}/{}",
                    caller.environment, caller.product, self.environment, self.product
                ),
            });
        }
        Ok(caller)
    }
}

/// The headers of the question: the tokens as they came, and where the caller sits.
fn question(headers: &HeaderMap, peer: SocketAddr) -> HeaderMap {
    let mut question = HeaderMap::new();
    for name in TOKEN_HEADERS {
        for value in headers.get_all(&name) {
            let mut value = value.clone();
            value.set_sensitive(true);
            question.append(name.clone(), value);
        }
    }
    let address = HeaderValue::from_str(&peer.ip().to_canonical().to_string())
        .expect("an IP address is a legal header value");
    question.insert(HeaderName::from_static("x-forwarded-for"), address);
    question
}

async fn bounded_body(mut response: reqwest::Response) -> Result<Bytes, Refusal> {
    let mut body = Vec::new();
    loop {
        let chunk = response
            .chunk()
            .await
            .map_err(|error| Refusal::Unavailable {
                reason: with_sources(&error),
            })?;
        let Some(chunk) = chunk else {
            return Ok(body.into());
        };
        if body.len() + chunk.len() > DENIAL_BODY_MAX_BYTES {
            return Err(Refusal::Unavailable {
                reason: "the check's refusal is longer than any of Tokenward's".to_owned(),
            });
        }
        body.extend_from_slice(&chunk);
    }
}

/// An error with its causes in one line: reqwest's own text names only the outermost.
fn with_sources(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Denied(denial) => {
                let (status, headers, body) = (denial.status, denial.headers, denial.body);
                let is_json = headers
                    .get(header::CONTENT_TYPE)
                    .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
                if is_json {
                    return (status, headers, body).into_response();
                }
                // Refused below Tokenward's own code (a header beyond its server's limits, say).
                let message = "the access check refused this request without giving a reason";
                let mut response = refuse(status, "REQUEST_REFUSED", message, None);
                for name in [header::WWW_AUTHENTICATE, header::RETRY_AFTER] {
                    if let Some(value) = headers.get(&name) {
                        response.headers_mut().insert(name, value.clone());
                    }
                }
                response
            }
            Self::Unavailable { reason } => {
                eprintln!("e-invoice: request not served, no verdict: {reason}");
                let message =
                    "access tokens cannot be checked at the moment; nothing was done, try again";
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let mut response = refuse(status, "ADMISSION_UNAVAILABLE", message, None);
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                response
            }
        }
    }
}
