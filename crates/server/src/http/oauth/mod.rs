//! The OAuth dialect: client credentials (RFC 6749), introspection (RFC 7662), revocation (RFC 7009)
//! and metadata (RFC 8414), with their own error form. Off-the-shelf clients work unchanged.

mod form;
mod introspection;
mod metadata;
mod reply;

pub use introspection::on_internal as introspect_internal;

use crate::app::App;
use crate::verbs::issuance;
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::routing::any;
use bytes::Bytes;
use form::{Form, caller};
use http::{Response, StatusCode, request::Parts};
use http_body_util::Full;
use reply::{OAuthError, json_reply};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokenward_core::generate::Wishes;
use tokenward_core::time::Clock;

type Reply = Response<Full<Bytes>>;

/// The token endpoint.
pub const TOKEN: &str = "/oauth2/token";
/// Introspection, on both listeners.
pub const INTROSPECT: &str = "/oauth2/introspect";
/// Revocation.
pub const REVOKE: &str = "/oauth2/revoke";
/// The metadata (RFC 8414, section 3).
pub const METADATA: &str = "/.well-known/oauth-authorization-server";

/// The OAuth addresses of the public listener.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route(TOKEN, any(token))
        .route(INTROSPECT, any(introspection::on_public))
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
    if form.get("scope").is_some() {
        let description = "products are chosen at the API client, not by scope";
        return Err(OAuthError::new(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            description,
        ));
    }
    let caller = caller(app, parts, &form, peer)?;
    let answer = issuance::generate(app, caller, Wishes::default()).await?;
    app.metrics
        .generated(if answer.made { "GENERATED" } else { "RETURNED" });
    let now = app.clock().wall();
    let mut body = json!({
        "access_token": answer.token.expose().as_str(),
        "token_type": "Bearer",
        "generation": answer.generation,
    });
    if let Some(till) = answer.valid_till {
        let from = if answer.made { answer.issued_at } else { now };
        body["expires_in"] = Value::from(till.seconds_since(from));
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
        issuance::revoke_own(&app, caller, token).await?;
        Ok::<_, OAuthError>(())
    };
    match revoked.await {
        Ok(()) => json_reply(StatusCode::OK, &json!({})),
        Err(error) => error.reply_to(&app, peer.ip(), &parts.headers),
    }
}
