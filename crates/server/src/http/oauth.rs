//! The OAuth dialect: client credentials (RFC 6749), introspection (RFC 7662), revocation (RFC 7009)
//! and metadata (RFC 8414), with their own error form. Off-the-shelf clients work unchanged.

use super::{BODY_MAX, credentials};
use crate::addresses;
use crate::app::App;
use crate::verbs::issuance::{self, Refused};
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::IntoResponse;
use axum::routing::{any, get};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Full, Limited};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tokenward_core::check::Introspection;
use tokenward_core::generate::{Caller, Rejection, Wishes};
use tokenward_core::time::Clock;
use tokenward_core::{AccessToken, ClientSecret};
use zeroize::Zeroizing;

type Reply = Response<Full<Bytes>>;

/// The OAuth addresses of the public listener.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/oauth2/token", any(token))
        .route("/oauth2/introspect", any(introspect_public))
        .route("/oauth2/revoke", any(revoke))
        .route("/.well-known/oauth-authorization-server", get(metadata))
}

/// An error in OAuth's form.
struct OAuthError {
    status: StatusCode,
    code: &'static str,
    description: &'static str,
    retry_after_seconds: Option<u64>,
    basic: bool,
}

impl OAuthError {
    fn new(status: StatusCode, code: &'static str, description: &'static str) -> Self {
        Self {
            status,
            code,
            description,
            retry_after_seconds: None,
            basic: false,
        }
    }

    fn invalid_request(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    fn invalid_client(description: &'static str) -> Self {
        Self {
            basic: true,
            ..Self::new(StatusCode::UNAUTHORIZED, "invalid_client", description)
        }
    }

    fn reply(self, app: &App) -> Reply {
        if self.status.is_server_error() {
            app.metrics.failed();
        }
        let mut reply = json_reply(
            self.status,
            &json!({ "error": self.code, "error_description": self.description }),
        );
        let headers = reply.headers_mut();
        if self.basic {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"tokenward\""),
            );
        }
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        reply
    }
}

impl From<Refused> for OAuthError {
    fn from(refused: Refused) -> Self {
        let waiting = |seconds, description| Self {
            retry_after_seconds: Some(seconds),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "temporarily_unavailable",
                description,
            )
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
            Refused::Rejected(Rejection::QuotaExceeded {
                retry_after_seconds,
                ..
            }) => waiting(
                retry_after_seconds,
                "the secret has made all its tokens of the day",
            ),
            Refused::Throttled {
                retry_after_seconds,
            } => waiting(retry_after_seconds, "too many wrong client secrets"),
            Refused::Failed(_) => Self {
                retry_after_seconds: Some(1),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "temporarily_unavailable",
                    "try again",
                )
            },
        }
    }
}

fn json_reply(status: StatusCode, body: &Value) -> Reply {
    let mut reply = Response::new(Full::from(body.to_string()));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    reply
}

/// A form's parameters, each at most once (RFC 6749, section 3.1).
struct Form(Vec<(String, Zeroizing<String>)>);

impl Form {
    async fn read<B>(parts: &Parts, body: B) -> Result<Self, OAuthError>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if parts.method != Method::POST {
            return Err(OAuthError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "invalid_request",
                "this address takes POST only",
            ));
        }
        let kind = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        let kind = kind.split(';').next().unwrap_or("").trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(OAuthError::invalid_request(
                "the body must be application/x-www-form-urlencoded",
            ));
        }
        let body = Limited::new(body, BODY_MAX).collect().await;
        let body = body
            .map_err(|_| OAuthError::invalid_request("the body is too long or was cut off"))?
            .to_bytes();
        let mut pairs: Vec<(String, Zeroizing<String>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(&body) {
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(OAuthError::invalid_request("a parameter was given twice"));
            }
            pairs.push((name.into_owned(), Zeroizing::new(value.into_owned())));
        }
        Ok(Self(pairs))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }
}

/// The client's credentials by `client_secret_basic` or `client_secret_post`, never both.
fn caller(app: &App, parts: &Parts, form: &Form, peer: IpAddr) -> Result<Caller, OAuthError> {
    let unreadable = |()| OAuthError::invalid_client("the Authorization header cannot be read");
    let basic = credentials::basic(&parts.headers).map_err(unreadable)?;
    let posted = form.get("client_secret");
    let (id, secret) = match (basic, posted) {
        (Some(_), Some(_)) => {
            return Err(OAuthError::invalid_request(
                "client credentials were sent in two ways",
            ));
        }
        (Some((id, secret)), None) => (Some(decoded(&id)), decoded(&secret)),
        (None, Some(secret)) => (
            form.get("client_id")
                .map(|id| Zeroizing::new(id.to_owned())),
            Zeroizing::new(secret.to_owned()),
        ),
        (None, None) => {
            return Err(OAuthError::invalid_client(
                "no client credentials were sent",
            ));
        }
    };
    if AccessToken::parse(&secret).is_ok() {
        return Err(OAuthError::invalid_client(
            "an access token was sent where the client secret belongs",
        ));
    }
    let invalid = || OAuthError::invalid_client("the client secret is not valid");
    let secret = ClientSecret::parse(&secret).map_err(|_| invalid())?;
    if id.is_some_and(|id| *id != secret.client().to_string()) {
        return Err(invalid());
    }
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok());
    let host = host.or(parts.uri.authority().map(http::uri::Authority::as_str));
    Ok(Caller {
        secret,
        source: addresses::caller(peer, &parts.headers, &app.config.trusted_proxies),
        host_environment: app.config.host_environment(host),
    })
}

/// User name and password of HTTP Basic are form-encoded first (RFC 6749, section 2.3.1). Ours have no
/// character that this changes, so plain ones work too.
fn decoded(text: &str) -> Zeroizing<String> {
    let pair = form_urlencoded::parse(text.as_bytes()).next();
    Zeroizing::new(pair.map(|(name, _)| name.into_owned()).unwrap_or_default())
}

async fn token(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Reply {
    let (parts, body) = request.into_parts();
    match grant(&app, &parts, body, peer.ip()).await {
        Ok(reply) => reply,
        Err(error) => error.reply(&app),
    }
}

async fn grant(
    app: &App,
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
        Err(error) => error.reply(&app),
    }
}

async fn introspect_public(
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
        .unwrap_or_else(|error: OAuthError| error.reply(&app))
}

/// `POST /oauth2/introspect` on the internal listener: for whoever reaches it, unless `internal_auth`
/// is configured.
pub async fn introspect_internal(
    app: &App,
    request: http::Request<hyper::body::Incoming>,
) -> Reply {
    let (parts, body) = request.into_parts();
    let told = async {
        let form = Form::read(&parts, body).await?;
        if !internal_auth(app, &parts.headers) {
            return Err(OAuthError::new(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "the internal bearer token is missing or wrong",
            ));
        }
        let token = form
            .get("token")
            .ok_or_else(|| OAuthError::invalid_request("token is missing"))?;
        tell(app, token)
    };
    told.await.unwrap_or_else(|error: OAuthError| {
        let unauthorized = error.status == StatusCode::UNAUTHORIZED;
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
        Err(None) => Err(OAuthError {
            retry_after_seconds: Some(1),
            ..OAuthError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "this node cannot vouch at the moment",
            )
        }),
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

async fn metadata(State(app): State<Arc<App>>, request: Request) -> axum::response::Response {
    let issuer = app.config.issuer.clone().unwrap_or_else(|| {
        let host = request
            .headers()
            .get(header::HOST)
            .and_then(|value| value.to_str().ok());
        let host = host
            .or(request.uri().authority().map(http::uri::Authority::as_str))
            .unwrap_or("localhost");
        let scheme = if app.config.public_tls.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{host}")
    });
    let methods = json!(["client_secret_basic", "client_secret_post"]);
    let body = json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}/oauth2/token"),
        "token_endpoint_auth_methods_supported": methods,
        "introspection_endpoint": format!("{issuer}/oauth2/introspect"),
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint": format!("{issuer}/oauth2/revoke"),
        "revocation_endpoint_auth_methods_supported": methods,
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
    });
    json_reply(StatusCode::OK, &body).into_response()
}
