//! The check for gateways: `ANY /check/{environment}/{product}[/anything]`, and the denial said again
//! at `/deny` for gateways that lose bodies. The path after the product is never looked at: what is
//! decided comes from the gateway's configuration, not from its caller. Other dialects of the check
//! wrap [`decide`]: no answer is made twice.

use super::credentials;
use super::envelope::{Problem, Told};
use crate::app::App;
use crate::logs::Limit;
use crate::net::addresses::Peer;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderName, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use std::sync::LazyLock;
use tokenward_core::check::denial::{self, Fault, Figure};
use tokenward_core::check::{Denial, Facts, Permit, Verdict};
use tokenward_core::time::Clock;
use tokenward_core::{AccessToken, Environment};
use uuid::Uuid;

static WORKSPACE: HeaderName = HeaderName::from_static("x-tokenward-workspace");
static CLIENT: HeaderName = HeaderName::from_static("x-tokenward-client");
static CLIENT_LABEL: HeaderName = HeaderName::from_static("x-tokenward-client-label");
static ENVIRONMENT: HeaderName = HeaderName::from_static("x-tokenward-environment");
static PRODUCT: HeaderName = HeaderName::from_static("x-tokenward-product");
static GENERATION: HeaderName = HeaderName::from_static("x-tokenward-generation");
static VALID_TILL: HeaderName = HeaderName::from_static("x-tokenward-valid-till");
/// All identity headers of a permit, in the order in which a permit fills them.
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

/// Decides as `judge` does; what is not permitted leaves a line in the log.
pub fn decide(
    app: &App,
    environment: &str,
    product: &str,
    headers: &HeaderMap,
    peer: Peer,
) -> Response<Bytes> {
    let response = judge(app, environment, product, headers, peer);
    if !response.status().is_success() {
        log_denial(app, (environment, product), headers, peer, &response);
    }
    response
}

/// Decides about a request with these headers, for the environment and the product that the gateway's
/// configuration names: a permit is a 200 with [`IDENTITY`], everything else the caller's answer.
fn judge(
    app: &App,
    environment: &str,
    product: &str,
    headers: &HeaderMap,
    peer: Peer,
) -> Response<Bytes> {
    let Some(environment) = Environment::parse(environment) else {
        return deny(app, Denial::ProductUnknown);
    };
    let began = app
        .data
        .metrics
        .times_check()
        .then(|| app.data.clock().boot());
    let response = decide_for(app, environment, product, headers, peer);
    if let Some(began) = began {
        let nanoseconds = app.data.clock().boot().0.saturating_sub(began.0);
        app.data.metrics.check_took(nanoseconds as f64 / 1e9);
    }
    response
}

fn decide_for(
    app: &App,
    environment: Environment,
    product: &str,
    headers: &HeaderMap,
    peer: Peer,
) -> Response<Bytes> {
    let address = app.caller_address(peer, headers);
    let facts = Facts {
        environment,
        product,
        address,
    };
    let presented =
        credentials::access_token_in(headers, app.data.config.check_token_header.into());
    let examined = app
        .data
        .replica()
        .examine(presented, &facts, &app.data.clock());
    match examined.verdict {
        Verdict::Permit(permit) => {
            app.data.metrics.permitted();
            app.data.counts.permitted(&permit, address);
            app.data.usage.note(app.data.replica(), &permit, address);
            permitted(&permit, product)
        }
        Verdict::Deny(denial) => {
            if let Some(holder) = examined.holder {
                let now = app.data.clock().wall();
                app.data
                    .counts
                    .denied(holder, examined.product, &denial, address, now);
            }
            deny(app, denial)
        }
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
    put(3, permit.environment().as_str().as_bytes());
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

fn cannot_vouch(app: &App) -> Response<Bytes> {
    app.data.metrics.checked("CANNOT_VOUCH");
    cannot_vouch_problem()
        .header(DENIAL.clone(), "CANNOT_VOUCH")
        .answer(&app.data.config.error_source)
}

fn cannot_vouch_problem() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        denial::CANNOT_VOUCH,
        denial::CANNOT_VOUCH_SENTENCE,
    )
    .retry_after(1)
}

/// Lines about denials in a second; callers decide how many there are.
static DENIAL_LINES: Limit = Limit::new(100, 1);

/// One line a denial, with the id in its body. The client is the one the token names, proved or not.
fn log_denial(
    app: &App,
    (environment, product): (&str, &str),
    headers: &HeaderMap,
    peer: Peer,
    response: &Response<Bytes>,
) {
    let Some(left_out) = DENIAL_LINES.admit(app.data.clock().boot()) else {
        return;
    };
    let left_out = (left_out > 0).then_some(left_out);
    let own = headers.get(credentials::TOKEN_HEADER);
    let text = own
        .or(headers.get(http::header::AUTHORIZATION))
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let text = credentials::scheme(text, "bearer").unwrap_or(text);
    let client = AccessToken::parse(text).ok().map(|token| token.client());
    let client = client.map(tracing::field::display);
    let source = crate::net::addresses::text(app.caller_address(peer, headers));
    let told = response.extensions().get::<Told>();
    let code = told.map(|told| told.code);
    let error_id = told.and_then(|told| told.error_id.map(tracing::field::display));
    let (environment, product) = (crate::logs::safe(environment), crate::logs::safe(product));
    tracing::info!(
        environment,
        product,
        client,
        source,
        code,
        error_id,
        left_out,
        "check denied"
    );
}

fn deny(app: &App, denial: Denial) -> Response<Bytes> {
    let problem = problem(denial);
    app.data.metrics.checked(problem.code);
    problem
        .header(DENIAL.clone(), denial.line())
        .answer(&app.data.config.error_source)
}

/// `ANY /deny`: the denial named in the header, with its body. Whatever is named, never a 2xx.
pub fn deny_again(app: &App, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let named = headers.get(&DENIAL).and_then(|value| value.to_str().ok());
    let denial = named.and_then(Denial::parse);
    let problem = denial.map_or_else(cannot_vouch_problem, problem);
    problem.response(&app.data.config.error_source)
}

fn problem(denial: Denial) -> Problem {
    let status = match denial.fault() {
        Fault::Unauthenticated => StatusCode::UNAUTHORIZED,
        Fault::Forbidden => StatusCode::FORBIDDEN,
        Fault::Misconfigured => StatusCode::NOT_FOUND,
    };
    let mut problem = Problem::new(status, denial.code(), denial.sentence());
    if status == StatusCode::UNAUTHORIZED {
        problem = problem.header(WWW_AUTHENTICATE, denial.challenge());
    }
    for (name, figure) in denial.figures() {
        problem = match figure {
            Figure::Number(number) => problem.with(name, number),
            Figure::Time(text) => problem.with(name, text),
        };
    }
    problem
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
