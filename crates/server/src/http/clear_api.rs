//! The Generate Access Token API, in the form of Clear's public reference, and its additions.

use super::credentials::{self, SecretPresented};
use super::envelope::Problem;
use super::{json_reply, request_host};
use crate::app::App;
use crate::auth::refused_credentials;
use crate::logs::Limit;
use crate::metering::denials::Denied;
use crate::verbs::issuance::{self, Refused};
use crate::{random, request_id};
use axum::extract::{ConnectInfo, State};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokenward_core::generate::{Answer, Caller, IssueOptions, Rejection};
use tokenward_core::time::{Clock, Timestamp};
use tokenward_core::{AccessToken, ClientSecret};
use tokenward_store::Failure;

/// The path of the API (Clear's).
pub const PATH: &str = "/integration/v1/authz/token";
/// The status of the caller's token.
pub const STATUS_PATH: &str = "/integration/v1/authz/token/status";
/// The previous token of a hand-over.
pub const PREVIOUS_PATH: &str = "/integration/v1/authz/token/previous";

/// `GET` or `POST` on [`PATH`].
pub async fn generate(app: &Arc<App>, parts: &Parts, peer: IpAddr) -> Response<Full<Bytes>> {
    if !matches!(parts.method, Method::GET | Method::POST) {
        return method_not_allowed("GET, POST").response(&app.data.config.error_source);
    }
    let begun = app.data.clock().boot();
    let answered = async {
        let (caller, options) = (caller(app, &parts.headers, peer)?, options(parts)?);
        let generated = issuance::generate(&app.issuance, caller, options, Vec::new());
        Ok::<_, Problem>(generated.await?)
    };
    match answered.await {
        Ok(answer) => {
            let seconds = app.data.clock().boot().0.saturating_sub(begun.0) as f64 / 1e9;
            app.data.metrics.generate_seconds.observe(seconds);
            app.data
                .metrics
                .generated(if answer.made { "GENERATED" } else { "RETURNED" });
            generated(app, &answer)
        }
        Err(problem) => {
            app.data.metrics.generated(problem.code);
            respond(app, parts, peer, problem)
        }
    }
}

/// `GET` on [`STATUS_PATH`].
pub(crate) async fn status(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    parts: Parts,
) -> Response<Full<Bytes>> {
    if parts.method != Method::GET {
        return method_not_allowed("GET").response(&app.data.config.error_source);
    }
    let answered = async {
        let caller = caller(&app, &parts.headers, peer.ip())?;
        let status = issuance::status(&app.issuance, caller).await?;
        let live = status.live.as_ref();
        let body = json!({
            "generation": status.generation,
            "issued_at": live.map(|token| token.issued_at.iso()),
            "valid_till": live.and_then(|token| token.valid_till).map(Timestamp::iso),
            "live": live.is_some(),
            "previous_valid_till": status.previous_valid_till.map(Timestamp::iso),
            "quota": app.data.config.quota_per_day,
            "quota_left": status.quota_left,
        });
        let mut response = json_reply(StatusCode::OK, &body);
        rate_limit(&app, &mut response, status.quota_left);
        Ok::<_, Problem>(response)
    };
    let answered = answered.await;
    answered.unwrap_or_else(|problem| respond(&app, &parts, peer.ip(), problem))
}

/// `DELETE` on [`PREVIOUS_PATH`].
pub(crate) async fn end_previous(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    parts: Parts,
) -> Response<Full<Bytes>> {
    if parts.method != Method::DELETE {
        return method_not_allowed("DELETE").response(&app.data.config.error_source);
    }
    let answered = async {
        let caller = caller(&app, &parts.headers, peer.ip())?;
        let ended = issuance::end_previous(&app.issuance, caller).await?;
        let body = json!({ "ended": ended });
        Ok::<_, Problem>(json_reply(StatusCode::OK, &body))
    };
    let answered = answered.await;
    answered.unwrap_or_else(|problem| respond(&app, &parts, peer.ip(), problem))
}

fn respond(app: &App, parts: &Parts, peer: IpAddr, problem: Problem) -> Response<Full<Bytes>> {
    let refused = matches!(
        problem.status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    ) || problem.code == "TOO_MANY_ATTEMPTS";
    if refused && problem.code != "CLIENT_SECRET_MISSING" {
        let source = app.caller_address(peer, &parts.headers);
        refused_credentials::note(&app.people, "client_secret", source, None, problem.code);
    }
    if problem.status.is_server_error() {
        app.data.metrics.failed();
    }
    let problem = noted(app, parts, peer, problem);
    problem.response(&app.data.config.error_source)
}

/// Refusals noted in a second; callers decide how many there are.
static NOTED: Limit = Limit::new(1_000, 1);

/// Keeps a refusal for those who look for it. The client is the one the secret names, not proved.
fn noted(app: &App, parts: &Parts, peer: IpAddr, problem: Problem) -> Problem {
    if NOTED.admit(app.data.clock().boot()).is_none() {
        return problem;
    }
    let error_id = random::uuid();
    let source = app.caller_address(peer, &parts.headers);
    let secret = match credentials::client_secret(&parts.headers) {
        SecretPresented::One { secret, .. } => ClientSecret::parse(&secret).ok(),
        _ => None,
    };
    let why = (problem.code, problem.message.clone());
    let denied = Denied::new(app.data.clock().wall(), error_id, why, source);
    let mut denied = denied.of(secret.map(|secret| secret.client()), false);
    denied.request_id = request_id::current();
    app.data.denials.note(denied);
    problem.id(error_id)
}

fn generated(app: &App, answer: &Answer) -> Response<Full<Bytes>> {
    let now = app.data.clock().wall();
    let token = answer.token.expose();
    let mut body = json!({
        "access_token": token.as_str(),
        "valid_till": answer.valid_till.map(Timestamp::iso),
        "expires_in": answer.valid_till.map(|till| lifetime_left(till, answer, now)),
        "generation": answer.generation,
    });
    if let Some(till) = answer.previous_valid_till {
        body["previous_valid_till"] = Value::from(till.iso());
    }
    let mut response = json_reply(StatusCode::OK, &body);
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", answer.generation)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    rate_limit(app, &mut response, answer.quota_left);
    response
}

/// Seconds left; for a token just made its whole lifetime, though a moment of it has passed.
fn lifetime_left(till: Timestamp, answer: &Answer, now: Timestamp) -> u64 {
    if answer.made {
        till.seconds_since(answer.issued_at)
    } else {
        till.seconds_since(now)
    }
}

/// draft-ietf-httpapi-ratelimit-headers-10: still a draft, so it can be turned off.
fn rate_limit(app: &App, response: &mut Response<Full<Bytes>>, left: u32) {
    if !app.data.config.ratelimit_headers {
        return;
    }
    let quota = app.data.config.quota_per_day;
    let reset = app.data.clock().wall().seconds_to_midnight();
    let mut put = |name: &'static str, text: String| {
        if let Ok(value) = HeaderValue::try_from(text) {
            response.headers_mut().insert(name, value);
        }
    };
    put(
        "ratelimit-policy",
        format!("\"generate\";q={quota};w=86400"),
    );
    put("ratelimit", format!("\"generate\";r={left};t={reset}"));
}

/// Who calls: the secret in Clear's header or HTTP Basic, the address, the host's environment.
pub(super) fn caller(app: &App, headers: &HeaderMap, peer: IpAddr) -> Result<Caller, Problem> {
    let invalid = || unauthorized("CLIENT_SECRET_INVALID", INVALID);
    let (text, client_id) = match credentials::client_secret(headers) {
        SecretPresented::Missing => {
            let message = "No client secret was sent. Send it in the header x-clear-client-secret.";
            return Err(unauthorized("CLIENT_SECRET_MISSING", message));
        }
        SecretPresented::Repeated => {
            let message = "More than one client secret was sent. Send exactly one.";
            return Err(unauthorized("CLIENT_SECRET_INVALID", message));
        }
        SecretPresented::Unreadable => return Err(invalid()),
        SecretPresented::One { secret, client_id } => (secret, client_id),
    };
    if AccessToken::parse(&text).is_ok() {
        let message = "An access token was sent where a client secret belongs. Only a client secret generates tokens.";
        return Err(unauthorized("ACCESS_TOKEN_USED_AS_SECRET", message));
    }
    let secret = ClientSecret::parse(&text).map_err(|_| invalid())?;
    refused_credentials::claims("client", secret.client());
    if client_id.is_some_and(|id| id != secret.client().to_string()) {
        return Err(invalid());
    }
    Ok(Caller {
        secret,
        source: app.caller_address(peer, headers),
        host_environment: app
            .data
            .config
            .host_environment(request_host::of(headers).as_ref()),
    })
}

const INVALID: &str = "The client secret is not valid. Check that it was copied whole; if it is lost, create another.";

fn options(parts: &Parts) -> Result<IssueOptions, Problem> {
    let bad = |message: &str| Problem::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST", message);
    let mut options = IssueOptions::default();
    let mut matches = parts.headers.get_all(header::IF_MATCH).iter();
    if let Some(value) = matches.next() {
        let text = value
            .to_str()
            .ok()
            .map(str::trim)
            // A proxy that compresses answers weakens their tags, and the client sends back what it got.
            .map(|text| text.strip_prefix("W/").unwrap_or(text))
            .and_then(|text| text.strip_prefix('"')?.strip_suffix('"'));
        let generation = text.and_then(number).filter(|_| matches.next().is_none());
        options.if_match =
            Some(generation.ok_or_else(|| {
                bad("If-Match must name one generation in quotes, such as \"7\".")
            })?);
    }
    let mut forced = None;
    for pair in parts
        .uri
        .query()
        .unwrap_or("")
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("force", text) => {
                let force = match text {
                    "true" | "1" | "" => true,
                    "false" | "0" => false,
                    _ => return Err(bad("force must be true or false.")),
                };
                if forced.replace(force).is_some() {
                    return Err(bad("force was given twice."));
                }
            }
            ("handover", text) => {
                let seconds =
                    number(text).ok_or_else(|| bad("handover must be a number of seconds."))?;
                if options.handover_seconds.replace(seconds).is_some() {
                    return Err(bad("handover was given twice."));
                }
            }
            // Callers add parameters of their own to bust caches; they change nothing.
            _ => {}
        }
    }
    options.force = forced.unwrap_or(false);
    Ok(options)
}

/// A number as one writes it: digits, no sign, no zero in front.
fn number(text: &str) -> Option<u32> {
    let plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

pub(super) fn method_not_allowed(allow: &'static str) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_NOT_ALLOWED",
        format!("This address takes {allow} only."),
    )
    .header(header::ALLOW, allow)
}

fn unauthorized(code: &'static str, message: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, message)
        .header(header::WWW_AUTHENTICATE, "Basic realm=\"tokenward\"")
}

/// The error of a verb in Clear's form.
impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Rejected(Rejection::SecretInvalid) => unauthorized("CLIENT_SECRET_INVALID", INVALID),
            Refused::Rejected(Rejection::EnvironmentMismatch) => unauthorized(
                "ENVIRONMENT_MISMATCH",
                "The client secret belongs to another environment than this host.",
            ),
            Refused::Rejected(Rejection::ClientDeleted) => {
                unauthorized("CLIENT_DELETED", "The API client was deleted for good. Create another.")
            }
            Refused::Rejected(Rejection::ClientDisabled) => unauthorized(
                "CLIENT_DISABLED",
                "The API client, or its workspace, is disabled. An administrator can enable it again.",
            ),
            Refused::Rejected(Rejection::AddressNotAllowed) => Problem::new(
                StatusCode::FORBIDDEN,
                "ADDRESS_NOT_ALLOWED",
                "The client secret may not be used from this address. An administrator can allow it.",
            ),
            Refused::Rejected(Rejection::GenerationMismatch { generation, valid_till }) => Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "GENERATION_MISMATCH",
                "Another token was generated meanwhile; nothing was changed. Use that one, or name its generation.",
            )
            .with("generation", generation)
            .with("valid_till", valid_till.map(Timestamp::iso))
            .header(header::ETAG, format!("\"{generation}\"")),
            Refused::Rejected(Rejection::HandoverTooLong { max_seconds }) => Problem::new(
                StatusCode::BAD_REQUEST,
                "HANDOVER_TOO_LONG",
                "The hand-over is longer than this API client allows (handover_max_seconds).",
            )
            .with("handover_max_seconds", max_seconds),
            // This API names no products.
            Refused::Rejected(Rejection::ProductNotAllowed) => Problem::new(
                StatusCode::BAD_REQUEST,
                "INVALID_REQUEST",
                "The API client may not open the product.",
            ),
            Refused::Rejected(Rejection::QuotaExceeded { retry_after_seconds, limit }) => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "QUOTA_EXCEEDED",
                "This client secret has made all its tokens of the day. Keep and use a token until it expires.",
            )
            .with("quota", limit)
            .retry_after(retry_after_seconds),
            Refused::Throttled(retry_after_seconds) => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "TOO_MANY_ATTEMPTS",
                "Too many wrong client secrets came from this address. Wait, and check the secret.",
            )
            .retry_after(retry_after_seconds),
            Refused::TooManyCalls(retry_after_seconds) => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "TOO_MANY_REQUESTS",
                "This client secret calls too often. Keep and use a token until it expires.",
            )
            .retry_after(retry_after_seconds),
            Refused::Failed(failure) => unavailable(failure),
        }
    }
}

/// A fault of ours: a constant text; what really happened is in the log.
pub(super) fn unavailable(failure: Failure) -> Problem {
    let message = match failure {
        Failure::OutcomeUnknown => {
            "The service could not confirm the outcome. Ask for the status, or generate again."
        }
        Failure::Unavailable | Failure::TooLate | Failure::Overloaded => {
            "The service is not available at the moment; nothing was changed. Try again."
        }
    };
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "TEMPORARILY_UNAVAILABLE",
        message,
    )
    .retry_after(1)
}
