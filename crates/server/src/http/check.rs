//! The check for gateways: `ANY /check/{environment}/{product}[/anything]`, and the denial said again
//! at `/deny` for gateways that lose bodies. The path after the product is never looked at: what is
//! decided comes from the gateway's configuration, not from its caller.

use super::envelope::Problem;
use crate::app::App;
use crate::net::addresses::Peer;
use crate::net::caller::Asked;
use crate::net::caller::Caller;
use crate::trace_context::Traced;
use crate::verbs::counted_check::{CheckAnswer, check, refuse};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderName, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use std::sync::LazyLock;
use tokenward_core::check::denial::{Figure, Refusal};
use tokenward_core::check::{Denial, Permit};
use tokenward_core::token_header::access_token_in;
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
static DENIAL: HeaderName = HeaderName::from_static("x-tokenward-denial");
/// On a denial of a HEAD, which can have no body: the body, for a gateway that asks so.
static DENIAL_BODY: HeaderName = HeaderName::from_static("x-tokenward-denial-body");

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const EMPTY: HeaderValue = HeaderValue::from_static("");

/// Answers a check. `path` is what follows `/check/`.
pub(crate) fn answer(
    app: &App,
    path: &str,
    method: &Method,
    headers: &HeaderMap,
    (peer, from): (Peer, &Caller),
) -> Response<Full<Bytes>> {
    let mut parts = path.splitn(3, '/');
    let environment = parts.next().unwrap_or("");
    let product = parts.next().unwrap_or("");
    let traced = Traced::Headers(headers);
    let asked = ask(app, (environment, product), headers, (peer, from), traced);
    let (refusal, error_id) = match asked {
        CheckAnswer::Permit(permit) => return permitted(&permit, product),
        CheckAnswer::Refused { refusal, error_id } => (refusal, error_id),
    };
    let _lines = traced.lines().entered();
    let mut problem = refused(refusal).id(error_id);
    problem = match refusal {
        Refusal::Denied(denial) => problem.header(DENIAL.clone(), denial.line()),
        Refusal::CannotVouch | Refusal::CallerNotAllowed => {
            problem.header(DENIAL.clone(), refusal.code())
        }
    };
    let mut response = problem.answer(&app.data.config.error_source);
    if method == Method::HEAD {
        // Visible characters and spaces: JSON on one line.
        if let Ok(body) = HeaderValue::from_maybe_shared(response.body().clone()) {
            response.headers_mut().insert(&DENIAL_BODY, body);
        }
    }
    response.map(Full::new)
}

/// Decides about a request with these headers.
pub(crate) fn ask(
    app: &App,
    (environment, product): (&str, &str),
    headers: &HeaderMap,
    (peer, from): (Peer, &Caller),
    traced: Traced<'_>,
) -> CheckAnswer {
    let asked = Asked::Check {
        environment,
        product,
    };
    let allowed = from.may(app, peer, &asked, traced);
    let address = app.caller_address(peer, headers);
    let presented = access_token_in(headers, app.data.config.check_token_header.into());
    if !allowed {
        // Nothing is said of the token, which is not looked at.
        let (stated, refusal) = ((environment, product), Refusal::CallerNotAllowed);
        return refuse(&app.data, stated, presented, (address, traced), refusal);
    }
    let stated = (environment, product);
    check(&app.data, stated, presented, address, traced)
}

/// A 200 with every identity header, always: a gateway copies what is there and forges nothing else.
fn permitted(permit: &Permit, product: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let headers = response.headers_mut();
    *headers = PERMIT.clone();
    for ((name, value), (own, filled)) in headers.iter_mut().zip(identity(permit, product)) {
        debug_assert_eq!(name, own);
        *value = filled;
    }
    response
}

/// The values of [`IDENTITY`], all in one piece of memory.
pub(crate) fn identity(
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

/// `ANY /deny`: the denial named in the header, with its body. Whatever is named, never a 2xx.
pub fn deny_again(app: &App, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let named = headers.get(&DENIAL).and_then(|value| value.to_str().ok());
    let denial = named.and_then(Denial::parse);
    let refusal = denial.map_or(Refusal::CannotVouch, Refusal::Denied);
    refused(refusal).response(&app.data.config.error_source)
}

/// What a refused caller is answered.
pub(crate) fn refused(refusal: Refusal) -> Problem {
    let status =
        StatusCode::from_u16(refusal.http_status()).expect("a refusal has a status of HTTP");
    let mut problem = Problem::new(status, refusal.code(), refusal.sentence());
    if let Some(challenge) = refusal.challenge() {
        problem = problem.header(WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = refusal.retry_after_seconds() {
        problem = problem.retry_after(seconds.into());
    }
    for (name, figure) in refusal.figures() {
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
