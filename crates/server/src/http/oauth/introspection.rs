//! Introspection (RFC 7662): by a client about its own tokens, and on the internal listener by gateways
//! about any. Whatever is wrong with a token, the answer is the same two words. A resource server that says which
//! environment and product it serves, in the path or as parameters, learns whether the token is good for exactly that.

use super::Reply;
use super::form::{Form, caller, must_post};
use super::reply::OAuthError;
use crate::app::App;
use crate::auth::refused_credentials;
use crate::http::json_reply;
use crate::net::addresses::Peer;
use crate::net::caller::Asked;
use crate::net::caller::Caller;
use crate::trace_context::Traced;
use crate::verbs::counted_check::{Counted, examine};
use crate::verbs::issuance;
use axum::extract::{ConnectInfo, Request, State};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tokenward_core::check::denial::Refusal;
use tokenward_core::check::{Denial, Facts, Introspection, Presented};
use tokenward_core::time::Clock;
use tokenward_core::token_header::scheme;
use tokenward_core::{AccessToken, Environment};

/// Lines about products that do not exist in a minute: a resource server that is set up wrongly asks at each request.
static UNKNOWN_PRODUCTS: crate::logs::Limit = crate::logs::Limit::new(5, 60);

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
        let client = issuance::authenticate(&app.issuance, caller).await?;
        let token = form
            .get("token")
            .ok_or_else(|| OAuthError::invalid_request("token is missing"))?;
        let own = AccessToken::parse(token).is_ok_and(|token| token.client() == client);
        let stated = Stated::read(parts.uri.path(), &form)?;
        if own {
            tell(&app, token, &stated, Counted::No)
        } else {
            Ok(json_reply(StatusCode::OK, &inactive()))
        }
    };
    told.await
        .unwrap_or_else(|error: OAuthError| error.reply_to(&app, peer.ip(), &parts.headers))
}

/// `POST /oauth2/introspect` on the internal listener: for whoever reaches it, unless `internal_auth`
/// is configured.
pub(crate) async fn on_internal(
    app: &App,
    (peer, from): (Peer, &Caller),
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
        let stated = Stated::read(parts.uri.path(), &form)?;
        // This request's lines have its trace id already.
        if !from.may(app, peer, &stated.asked(), Traced::Known(None)) {
            return Err(OAuthError::new(
                StatusCode::FORBIDDEN,
                "access_denied",
                "this caller may not introspect access tokens for this environment and product; Tokenward's log has the reason",
            ));
        }
        tell(app, token, &stated, Counted::Yes)
    };
    told.await.unwrap_or_else(|error: OAuthError| {
        let unauthorized = error.status == StatusCode::UNAUTHORIZED;
        if unauthorized {
            let source = app.caller_address(peer, &parts.headers);
            refused_credentials::note(&app.people, "internal_bearer", source, None, error.code);
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
    let Some(expected) = &app.data.config.internal_auth else {
        return true;
    };
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let given = value.to_str().ok().and_then(|text| scheme(text, "bearer"));
    given.is_some_and(|given| given.as_bytes().ct_eq(expected.as_bytes()).into())
}

fn inactive() -> Value {
    json!({ "active": false })
}

/// What the resource server says of itself and its caller.
struct Stated<'a> {
    environment: Option<&'a str>,
    product: Option<&'a str>,
    /// The address of the token's bearer, as the resource server sees it.
    client_ip: Option<IpAddr>,
}

impl<'a> Stated<'a> {
    /// What the caller must be allowed.
    fn asked(&self) -> Asked<'a> {
        match (self.environment, self.product) {
            (Some(environment), Some(product)) => Asked::Check {
                environment,
                product,
            },
            _ => Asked::Introspect,
        }
    }

    /// Reads the path after `/oauth2/introspect` and the parameters. An empty parameter is a slip of a configuration: it is
    /// refused, for without it the answer would say yes to more.
    fn read(path: &'a str, form: &'a Form) -> Result<Self, OAuthError> {
        let rest = path.strip_prefix(super::INTROSPECT).unwrap_or("");
        let mut of_path = rest.splitn(3, '/').skip(1);
        let mut one = |name: &str| match (of_path.next(), form.given(name)) {
            (Some(said), Some(again)) if said != again => Err(OAuthError::invalid_request(
                "the path and a parameter name different environments or products",
            )),
            (Some(""), _) | (None, Some("")) => Err(OAuthError::invalid_request(
                "environment and product must not be empty; leave the parameter out instead",
            )),
            (said, again) => Ok(said.or(again)),
        };
        let (environment, product) = (one("environment")?, one("product")?);
        let client_ip = form.given("client_ip").map(|text| text.parse::<IpAddr>());
        let client_ip = client_ip
            .transpose()
            .map_err(|_| OAuthError::invalid_request("client_ip must be one IP address"))?;
        Ok(Self {
            environment,
            product,
            client_ip,
        })
    }
}

fn tell(
    app: &App,
    token: &str,
    stated: &Stated<'_>,
    counted: Counted,
) -> Result<Reply, OAuthError> {
    let good = match stated.product {
        Some(product) => is_good_for(app, token, product, stated, counted)?,
        None => true,
    };
    match app.data.replica().introspect(token, &app.data.clock()) {
        Ok(live) if good && fits(&live, stated) => {
            Ok(json_reply(StatusCode::OK, &described(app, &live)))
        }
        Err(Refusal::CannotVouch | Refusal::CallerNotAllowed) => Err(cannot_vouch()),
        // Whatever the reason, the answer is the same (RFC 7662, section 2.2).
        Ok(_) | Err(Refusal::Denied(_)) => Ok(json_reply(StatusCode::OK, &inactive())),
    }
}

fn cannot_vouch() -> OAuthError {
    OAuthError::unavailable("this node cannot vouch at the moment")
}

/// What does not need a product: the environment, and the caller's address where it is given.
fn fits(live: &Introspection, stated: &Stated<'_>) -> bool {
    let environment = stated.environment;
    environment.is_none_or(|stated| stated == live.environment.as_str())
        && stated
            .client_ip
            .is_none_or(|address| live.token_networks.hold(address))
}

/// The check of a token for the product, the same as a gateway's: a token bound to networks is not good for a caller
/// whose address is not given.
fn is_good_for(
    app: &App,
    text: &str,
    product: &str,
    stated: &Stated<'_>,
    counted: Counted,
) -> Result<bool, OAuthError> {
    let environment = match stated.environment {
        Some(name) => Environment::parse(name),
        None => AccessToken::parse(text)
            .ok()
            .map(|token| token.environment()),
    };
    let Some(environment) = environment else {
        return Ok(false);
    };
    let facts = Facts {
        environment,
        product,
        address: stated.client_ip,
    };
    match examine(&app.data, Presented::One(text), &facts, counted) {
        Ok(_) => Ok(true),
        Err(Refusal::Denied(denial)) => {
            if denial == Denial::ProductUnknown
                && counted == Counted::Yes
                && let Some(left_out) = UNKNOWN_PRODUCTS.admit(app.data.clock().boot())
            {
                let left_out = (left_out > 0).then_some(left_out);
                tracing::warn!(
                    product = crate::logs::safe(product),
                    left_out,
                    "an introspection names a product that does not exist; check the resource server's configuration"
                );
            }
            Ok(false)
        }
        Err(Refusal::CannotVouch | Refusal::CallerNotAllowed) => Err(cannot_vouch()),
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
    // For a client of all products too: one rule of a resource server fits every token.
    let products = live.products.clone();
    let products = products.unwrap_or_else(|| app.data.replica().product_slugs());
    body["scope"] = Value::from(products.join(" "));
    body["aud"] = Value::from(products);
    if !live.token_networks.is_empty() {
        body["token_networks"] = Value::from(live.token_networks.texts());
    }
    if let Some(at) = live.issued_at {
        body["iat"] = Value::from(at.unix_seconds());
    }
    if let Some(till) = live.valid_till {
        body["exp"] = Value::from(till.unix_seconds());
    }
    if let Some(issuer) = &app.data.config.issuer {
        body["iss"] = Value::from(issuer.as_str());
    }
    body
}
