//! Introspection (RFC 7662): by a client about its own tokens, and on the internal listener by gateways
//! about any. Whatever is wrong with a token, the answer is the same two words.

use super::Reply;
use super::form::{Form, caller, must_post};
use super::reply::{OAuthError, json_reply};
use crate::addresses::Peer;
use crate::app::App;
use crate::http::credentials;
use crate::verbs::issuance;
use axum::extract::{ConnectInfo, Request, State};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tokenward_core::AccessToken;
use tokenward_core::check::Introspection;

/// `POST /oauth2/introspect` on the public listener: a client is told of its own tokens only.
pub(super) async fn on_public(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Reply {
    let (parts, body) = request.into_parts();
    let told = async {
        let form = Form::read(&parts, body).await?;
        let caller = caller(&app, &parts, &form, peer.ip())?;
        let client = issuance::authenticate(&app, caller).await?;
        let token = form
            .get("token")
            .ok_or_else(|| OAuthError::invalid_request("token is missing"))?;
        let own = AccessToken::parse(token).is_ok_and(|token| token.client() == client);
        if own {
            tell(&app, token)
        } else {
            Ok(json_reply(StatusCode::OK, &inactive()))
        }
    };
    told.await
        .unwrap_or_else(|error: OAuthError| error.reply_to(&app, peer.ip(), &parts.headers))
}

/// `POST /oauth2/introspect` on the internal listener: for whoever reaches it, unless `internal_auth`
/// is configured.
pub async fn on_internal(
    app: &App,
    peer: Peer,
    request: http::Request<hyper::body::Incoming>,
) -> Reply {
    let (parts, body) = request.into_parts();
    let told = async {
        must_post(&parts)?;
        if !internal_auth(app, &parts.headers) {
            return Err(OAuthError::new(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "the internal bearer token is missing or wrong",
            ));
        }
        let form = Form::read(&parts, body).await?;
        let token = form
            .get("token")
            .ok_or_else(|| OAuthError::invalid_request("token is missing"))?;
        tell(app, token)
    };
    told.await.unwrap_or_else(|error: OAuthError| {
        let unauthorized = error.status == StatusCode::UNAUTHORIZED;
        if unauthorized {
            let source = app.caller_address(peer, &parts.headers);
            crate::refusals::note(app, "internal_bearer", source, None, error.code);
        }
        let mut reply = error.reply(app);
        if unauthorized {
            let challenge = HeaderValue::from_static("Bearer realm=\"tokenward-internal\"");
            reply
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        reply
    })
}

fn internal_auth(app: &App, headers: &HeaderMap) -> bool {
    let Some(expected) = &app.config.internal_auth else {
        return true;
    };
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let given = value
        .to_str()
        .ok()
        .and_then(|text| credentials::scheme(text, "bearer"));
    given.is_some_and(|given| given.as_bytes().ct_eq(expected.as_bytes()).into())
}

fn inactive() -> Value {
    json!({ "active": false })
}

fn tell(app: &App, token: &str) -> Result<Reply, OAuthError> {
    match app.replica().introspect(token, &app.clock()) {
        Ok(live) => Ok(json_reply(StatusCode::OK, &described(app, &live))),
        Err(None) => Err(OAuthError::unavailable(
            "this node cannot vouch at the moment",
        )),
        // Whatever the reason, the answer is the same (RFC 7662, section 2.2).
        Err(Some(_)) => Ok(json_reply(StatusCode::OK, &inactive())),
    }
}

fn described(app: &App, live: &Introspection) -> Value {
    let mut body = json!({
        "active": true,
        "token_type": "Bearer",
        "client_id": live.client.to_string(),
        "sub": live.client.to_string(),
        "workspace": live.workspace.to_string(),
        "environment": live.environment.as_str(),
        "client_label": live.label,
        "generation": live.generation,
    });
    if let Some(products) = &live.products {
        body["scope"] = Value::from(products.join(" "));
        body["aud"] = Value::from(products.clone());
    }
    if let Some(at) = live.issued_at {
        body["iat"] = Value::from(at.unix_seconds());
    }
    if let Some(till) = live.valid_till {
        body["exp"] = Value::from(till.unix_seconds());
    }
    if let Some(issuer) = &app.config.issuer {
        body["iss"] = Value::from(issuer.as_str());
    }
    body
}
