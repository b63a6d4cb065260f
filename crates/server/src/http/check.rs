//! The check for gateways: `ANY /check/{environment}/{product}[/anything]`, and the denial said again
//! at `/deny` for gateways that lose bodies. The path after the product is never looked at: what is
//! decided comes from the gateway's configuration, not from its caller. Other dialects of the check
//! wrap [`decide`]: no answer is made twice.

use super::credentials;
use super::envelope::Problem;
use crate::addresses::{self, Peer};
use crate::app::App;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderName, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use std::sync::LazyLock;
use tokenward_core::check::{Denial, Facts, Permit, Verdict};
use tokenward_core::{Environment, Timestamp};
use uuid::Uuid;

static WORKSPACE: HeaderName = HeaderName::from_static("x-tokenward-workspace");
static CLIENT: HeaderName = HeaderName::from_static("x-tokenward-client");
static CLIENT_LABEL: HeaderName = HeaderName::from_static("x-tokenward-client-label");
static ENVIRONMENT: HeaderName = HeaderName::from_static("x-tokenward-environment");
static PRODUCT: HeaderName = HeaderName::from_static("x-tokenward-product");
static GENERATION: HeaderName = HeaderName::from_static("x-tokenward-generation");
static VALID_TILL: HeaderName = HeaderName::from_static("x-tokenward-valid-till");
/// All identity headers of a permit, in the order in which [`permitted`] fills them.
pub static IDENTITY: [&HeaderName; 7] = [
    &WORKSPACE,
    &CLIENT,
    &CLIENT_LABEL,
    &ENVIRONMENT,
    &PRODUCT,
    &GENERATION,
    &VALID_TILL,
];
/// A permit's headers, all empty but the last: copying them is cheaper than putting them together.
static PERMIT: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut headers = HeaderMap::with_capacity(2 * IDENTITY.len());
    for name in IDENTITY {
        headers.insert(name, EMPTY);
    }
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers
});
/// On a denial: its code and figures, from which `/deny` says it again.
pub static DENIAL: HeaderName = HeaderName::from_static("x-tokenward-denial");
/// On a denial of a HEAD, which can have no body: the body, for a gateway that asks so.
static DENIAL_BODY: HeaderName = HeaderName::from_static("x-tokenward-denial-body");

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const EMPTY: HeaderValue = HeaderValue::from_static("");

/// Answers a check. `path` is what follows `/check/`.
pub fn answer(
    app: &App,
    path: &str,
    method: &Method,
    headers: &HeaderMap,
    peer: Peer,
) -> Response<Full<Bytes>> {
    let mut parts = path.splitn(3, '/');
    let environment = parts.next().unwrap_or("");
    let product = parts.next().unwrap_or("");
    let mut response = decide(app, environment, product, headers, peer);
    if method == Method::HEAD && !response.body().is_empty() {
        // Visible characters and spaces: JSON on one line.
        if let Ok(body) = HeaderValue::from_maybe_shared(response.body().clone()) {
            response.headers_mut().insert(&DENIAL_BODY, body);
        }
    }
    response.map(Full::new)
}

/// Decides about a request with these headers, for the environment and the product that the gateway's
/// configuration names: a permit is a 200 with [`IDENTITY`], everything else the caller's answer.
pub fn decide(
    app: &App,
    environment: &str,
    product: &str,
    headers: &HeaderMap,
    peer: Peer,
) -> Response<Bytes> {
    let Some(environment) = Environment::parse(environment) else {
        return deny(app, Denial::ProductUnknown);
    };
    let address = addresses::caller(peer, headers, &app.config.trusted_proxies);
    let facts = Facts {
        environment,
        product,
        address,
    };
    match app
        .replica()
        .check(credentials::access_token(headers), &facts, &app.clock())
    {
        Verdict::Permit(permit) => {
            app.metrics.permitted();
            app.usage.note(app.replica(), &permit, address);
            permitted(&permit, product)
        }
        Verdict::Deny(denial) => deny(app, denial),
        Verdict::CannotVouch => cannot_vouch(app),
    }
}

/// A 200 with every identity header, always: a gateway copies what is there and forges nothing else.
fn permitted(permit: &Permit, product: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    *headers = PERMIT.clone();
    for ((name, value), (own, filled)) in headers.iter_mut().zip(identity(permit, product)) {
        debug_assert_eq!(name, own);
        *value = filled;
    }
    response
}

/// The values of [`IDENTITY`], all in one piece of memory.
fn identity(
    permit: &Permit,
    product: &str,
) -> impl Iterator<Item = (&'static HeaderName, HeaderValue)> {
    let mut id = Uuid::encode_buffer();
    let mut text = Vec::with_capacity(192);
    let mut ends = [0; IDENTITY.len()];
    let mut put = |at: usize, bytes: &[u8]| {
        text.extend_from_slice(bytes);
        ends[at] = text.len();
    };
    let workspace = permit.workspace().0.as_hyphenated().encode_lower(&mut id);
    put(0, workspace.as_bytes());
    let client = permit.client().0.as_hyphenated().encode_lower(&mut id);
    put(1, client.as_bytes());
    put(2, permit.label().as_bytes());
    put(3, environment_name(permit.environment()).as_bytes());
    put(4, product.as_bytes());
    put(
        5,
        itoa::Buffer::new().format(permit.generation()).as_bytes(),
    );
    match permit.valid_till() {
        Some(till) => put(6, &till.iso_bytes()),
        None => put(6, b""),
    }
    let text = Bytes::from(text);
    let mut start = 0;
    IDENTITY.into_iter().zip(ends).map(move |(name, end)| {
        let value = text.slice(start..end);
        start = end;
        // Labels, slugs and what we write ourselves are all visible ASCII and blanks.
        (name, HeaderValue::from_maybe_shared(value).unwrap_or(EMPTY))
    })
}

fn environment_name(environment: Environment) -> &'static str {
    match environment {
        Environment::Sandbox => "sandbox",
        Environment::Production => "production",
    }
}

fn cannot_vouch(app: &App) -> Response<Bytes> {
    app.metrics.checked("CANNOT_VOUCH");
    cannot_vouch_problem()
        .header(DENIAL.clone(), "CANNOT_VOUCH")
        .answer(&app.config.error_source)
}

fn cannot_vouch_problem() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "CANNOT_VOUCH",
        "This node cannot vouch for tokens at the moment. Try again; your token may well be good.",
    )
    .retry_after(1)
}

fn deny(app: &App, denial: Denial) -> Response<Bytes> {
    let problem = problem(denial);
    app.metrics.checked(problem.code);
    let again = said_again(denial, problem.code);
    problem
        .header(DENIAL.clone(), again)
        .answer(&app.config.error_source)
}

/// The denial on one line, for [`deny_again`].
fn said_again(denial: Denial, code: &str) -> String {
    match denial {
        Denial::TokenSuperseded { generation, at } => format!("{code};{generation};{}", at.0),
        Denial::TokenExpired { at } | Denial::TokenRevoked { at: Some(at) } => {
            format!("{code};0;{}", at.0)
        }
        Denial::TokenRepeated => "ACCESS_TOKEN_REPEATED".to_owned(),
        _ => code.to_owned(),
    }
}

/// `ANY /deny`: the denial named in the header, with its body. Whatever is named, never a 2xx.
pub fn deny_again(app: &App, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let named = headers
        .get(&DENIAL)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let mut parts = named.split(';');
    let code = parts.next().unwrap_or("");
    let generation = parts.next().and_then(|text| text.parse().ok());
    let at = parts
        .next()
        .and_then(|text| text.parse().ok())
        .map(Timestamp);
    let denial = match (code, generation, at) {
        ("ACCESS_TOKEN_MISSING", ..) => Denial::TokenMissing,
        ("ACCESS_TOKEN_REPEATED", ..) => Denial::TokenRepeated,
        ("ACCESS_TOKEN_MALFORMED", ..) => Denial::TokenMalformed,
        ("ACCESS_TOKEN_UNKNOWN", ..) => Denial::TokenUnknown,
        ("CLIENT_SECRET_USED_AS_TOKEN", ..) => Denial::SecretUsedAsToken,
        ("ENVIRONMENT_MISMATCH", ..) => Denial::EnvironmentMismatch,
        ("TOKEN_SUPERSEDED", Some(generation), Some(at)) => {
            Denial::TokenSuperseded { generation, at }
        }
        ("TOKEN_EXPIRED", _, Some(at)) => Denial::TokenExpired { at },
        ("TOKEN_REVOKED", _, at) => Denial::TokenRevoked { at },
        ("CLIENT_DISABLED", ..) => Denial::ClientDisabled,
        ("CLIENT_DELETED", ..) => Denial::ClientDeleted,
        ("PRODUCT_NOT_ALLOWED", ..) => Denial::ProductNotAllowed,
        ("ADDRESS_NOT_ALLOWED", ..) => Denial::AddressNotAllowed,
        ("PRODUCT_UNKNOWN", ..) => Denial::ProductUnknown,
        _ => return cannot_vouch_problem().response(&app.config.error_source),
    };
    problem(denial).response(&app.config.error_source)
}

fn unauthorized(code: &'static str, message: &str) -> Problem {
    // RFC 6750, section 3: no error attribute when no credentials were presented.
    let challenge = match code {
        "ACCESS_TOKEN_MISSING" => "Bearer realm=\"tokenward\"",
        _ => "Bearer realm=\"tokenward\", error=\"invalid_token\"",
    };
    Problem::new(StatusCode::UNAUTHORIZED, code, message).header(WWW_AUTHENTICATE, challenge)
}

fn problem(denial: Denial) -> Problem {
    match denial {
        Denial::TokenMissing => unauthorized(
            "ACCESS_TOKEN_MISSING",
            "No access token was sent. Send it in the header x-cleartax-auth-token.",
        ),
        Denial::TokenRepeated => unauthorized(
            "ACCESS_TOKEN_MALFORMED",
            "More than one access token was sent. Send exactly one, in the header x-cleartax-auth-token.",
        ),
        Denial::TokenMalformed => unauthorized(
            "ACCESS_TOKEN_MALFORMED",
            "What was sent is not an access token: its shape or checksum is wrong. Was it cut when it was copied?",
        ),
        Denial::SecretUsedAsToken => unauthorized(
            "CLIENT_SECRET_USED_AS_TOKEN",
            "A client secret was sent where an access token belongs. Use the secret to generate a token, and send that.",
        ),
        Denial::EnvironmentMismatch => unauthorized(
            "ENVIRONMENT_MISMATCH",
            "The access token belongs to another environment. Sandbox tokens open the sandbox only, production tokens production only.",
        ),
        Denial::TokenUnknown => unauthorized(
            "ACCESS_TOKEN_UNKNOWN",
            "The access token is not known, or no longer. Generate a new one.",
        ),
        Denial::TokenSuperseded { generation, at } => unauthorized(
            "TOKEN_SUPERSEDED",
            "A newer access token was generated with the same client, which revoked this one. If that was not you, another system uses the same client secret.",
        )
        .with("superseded_by_generation", generation)
        .with("superseded_at", at.iso()),
        Denial::TokenExpired { at } => {
            unauthorized("TOKEN_EXPIRED", "The access token has expired. Generate a new one.").with("expired_at", at.iso())
        }
        Denial::TokenRevoked { at } => {
            let problem = unauthorized("TOKEN_REVOKED", "The access token was revoked. Generate a new one.");
            match at {
                Some(at) => problem.with("revoked_at", at.iso()),
                None => problem,
            }
        }
        Denial::ClientDisabled => unauthorized(
            "CLIENT_DISABLED",
            "The API client, or its workspace, is disabled. An administrator can enable it again.",
        ),
        Denial::ClientDeleted => {
            unauthorized("CLIENT_DELETED", "The API client was deleted for good, and its secret and tokens with it.")
        }
        Denial::ProductNotAllowed => Problem::new(
            StatusCode::FORBIDDEN,
            "PRODUCT_NOT_ALLOWED",
            "The API client may not use this product. An administrator can allow it.",
        ),
        Denial::AddressNotAllowed => Problem::new(
            StatusCode::FORBIDDEN,
            "ADDRESS_NOT_ALLOWED",
            "The API client's tokens may not be used from this address. An administrator can allow it.",
        ),
        Denial::ProductUnknown => Problem::new(
            StatusCode::NOT_FOUND,
            "PRODUCT_UNKNOWN",
            "The gateway asked for an environment or product that does not exist. Its check address must be /check/{environment}/{product}.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permits_headers_come_in_the_order_they_are_filled() {
        let names: Vec<HeaderName> = PERMIT
            .clone()
            .iter_mut()
            .map(|(name, _)| name.clone())
            .collect();
        assert!(names[..IDENTITY.len()].iter().eq(IDENTITY));
        assert_eq!(names[IDENTITY.len()..], [CACHE_CONTROL]);
    }
}
