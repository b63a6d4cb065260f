//! OAuth: client credentials (RFC 6749), introspection (RFC 7662), revocation (RFC 7009)
//! and metadata (RFC 8414), with their own error form. Off-the-shelf clients work unchanged.

mod form;
mod introspection;
mod metadata;
mod reply;

pub(crate) use introspection::on_internal as introspect_internal;

use crate::app::App;
use crate::http::json_reply;
use crate::verbs::issuance::{self, Refused};
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::routing::any;
use bytes::Bytes;
use form::{Form, caller};
use http::{Response, StatusCode, request::Parts};
use http_body_util::Full;
use reply::OAuthError;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokenward_core::generate::{IssueOptions, Rejection};
use tokenward_core::time::{Clock, Timestamp};

type Reply = Response<Full<Bytes>>;

/// The token endpoint.
pub const TOKEN: &str = "/oauth2/token";
/// Introspection, on both listeners.
pub const INTROSPECT: &str = "/oauth2/introspect";
/// Revocation.
pub const REVOKE: &str = "/oauth2/revoke";
/// Largest `expires_in`, some 24 days: 2^31 ms, the longest timer of JavaScript and others, is a little more. `valid_till`
/// is exact.
const EXPIRES_IN_MAX_SECONDS: u64 = 2_147_483;
/// A product as a resource (RFC 8707 wants an absolute URI); the slug alone is taken too.
const RESOURCE: &str = "urn:tokenward:product:";
/// The metadata (RFC 8414, section 3).
pub const METADATA: &str = "/.well-known/oauth-authorization-server";

/// The OAuth addresses of the public listener.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route(TOKEN, any(token))
        .route(INTROSPECT, any(introspection::on_public))
        .route(
            "/oauth2/introspect/{environment}/{product}",
            any(introspection::on_public),
        )
        .route(REVOKE, any(revoke))
        .route(METADATA, any(metadata::metadata))
}

async fn token(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Reply {
    let (parts, body) = request.into_parts();
    match grant(&app, &parts, body, peer.ip()).await {
        Ok(reply) => reply,
        Err(error) => error.reply_to(&app, peer.ip(), &parts.headers),
    }
}

async fn grant(
    app: &Arc<App>,
    parts: &Parts,
    body: axum::body::Body,
    peer: IpAddr,
) -> Result<Reply, OAuthError> {
    let form = Form::read(parts, body).await?;
    match form.get("grant_type") {
        Some("client_credentials") => {}
        Some(_) => {
            let description = "only client_credentials is supported";
            return Err(OAuthError::new(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                description,
            ));
        }
        None => return Err(OAuthError::invalid_request("grant_type is missing")),
    }
    let (scope, resource) = (form.get("scope"), form.get("resource"));
    let asked = scope
        .into_iter()
        .flat_map(|scope| scope.split(' ').filter(|slug| !slug.is_empty()))
        .chain(resource.map(|resource| resource.strip_prefix(RESOURCE).unwrap_or(resource)));
    let products = asked
        .map(|slug| app.data.replica().product_no(slug))
        .collect();
    let caller = caller(app, parts, &form, peer)?;
    let generated =
        issuance::generate(&app.issuance, caller, IssueOptions::default(), products).await;
    let answer = generated.map_err(|refused| match (refused, scope) {
        (Refused::Rejected(Rejection::ProductNotAllowed), None) => OAuthError::invalid_target(),
        (refused, _) => refused.into(),
    })?;
    app.data
        .metrics
        .generated(if answer.made { "GENERATED" } else { "RETURNED" });
    let now = app.data.clock().wall();
    let mut body = json!({
        "access_token": answer.token.expose().as_str(),
        "token_type": "Bearer",
        "generation": answer.generation,
    });
    // Without it libraries ask for a token at each call, and a longer one overflows the timers of some.
    let from = if answer.made { answer.issued_at } else { now };
    let left = answer.valid_till.map(|till| till.seconds_since(from));
    body["expires_in"] = Value::from(left.unwrap_or(u64::MAX).min(EXPIRES_IN_MAX_SECONDS));
    body["valid_till"] = Value::from(answer.valid_till.map(Timestamp::iso));
    for (name, value) in [("scope", scope), ("resource", resource)] {
        if let Some(value) = value {
            body[name] = Value::from(value);
        }
    }
    Ok(json_reply(StatusCode::OK, &body))
}

async fn revoke(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Reply {
    let (parts, body) = request.into_parts();
    let revoked = async {
        let form = Form::read(&parts, body).await?;
        let token = form
            .get("token")
            .ok_or_else(|| OAuthError::invalid_request("token is missing"))?
            .to_owned();
        let caller = caller(&app, &parts, &form, peer.ip())?;
        // A token that is not this client's is no longer valid as far as it may know (RFC 7009, 2.2).
        issuance::revoke_own(&app.issuance, caller, token).await?;
        Ok::<_, OAuthError>(())
    };
    match revoked.await {
        Ok(()) => json_reply(StatusCode::OK, &json!({})),
        Err(error) => error.reply_to(&app, peer.ip(), &parts.headers),
    }
}
