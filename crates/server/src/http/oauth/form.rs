//! Reading a form, and who sent it, strictly: whatever could be read in two ways is refused.

use super::reply::OAuthError;
use crate::app::App;
use crate::auth::refused_credentials;
use crate::http::body::{self, BodyError};
use crate::http::{credentials, request_host};
use bytes::Bytes;
use http::{Method, StatusCode, request::Parts};
use std::net::IpAddr;
use tokenward_core::generate::Caller;
use tokenward_core::{AccessToken, ClientSecret};
use zeroize::Zeroizing;

/// The three that take forms take them by POST only.
pub(super) fn must_post(parts: &Parts) -> Result<(), OAuthError> {
    if parts.method == Method::POST {
        return Ok(());
    }
    Err(OAuthError::method_not_allowed("POST"))
}

/// Whether a form is UTF-8 once its percent signs are decoded; decoding it leniently would make two
/// different parameters one.
fn is_utf8(form: &[u8]) -> bool {
    let mut decoded = Zeroizing::new(Vec::with_capacity(form.len()));
    decoded.extend(percent_encoding::percent_decode(form));
    std::str::from_utf8(&decoded).is_ok()
}

/// A form's parameters, each at most once (RFC 6749, section 3.1).
pub(super) struct Form(Vec<(String, Zeroizing<String>)>);

impl Form {
    pub(super) async fn read<B>(parts: &Parts, body: B) -> Result<Self, OAuthError>
    where
        B: http_body::Body<Data = Bytes>,
    {
        must_post(parts)?;
        if !body::is_form(&parts.headers) {
            return Err(OAuthError::invalid_request(
                "the body must be application/x-www-form-urlencoded",
            ));
        }
        let body = body::read(&parts.headers, body).await;
        let body = body.map_err(|error| {
            let (status, why) = match error {
                BodyError::TooLarge => (
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "the body may have at most 64 KiB",
                ),
                BodyError::TooSlow => (
                    StatusCode::REQUEST_TIMEOUT,
                    "the body did not arrive in time",
                ),
                BodyError::CutOff => (StatusCode::BAD_REQUEST, "the body was cut off"),
            };
            OAuthError::new(status, "invalid_request", why)
        })?;
        if !is_utf8(&body) {
            return Err(OAuthError::invalid_request("the body is not UTF-8"));
        }
        let mut pairs: Vec<(String, Zeroizing<String>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(&body) {
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(OAuthError::invalid_request("a parameter was given twice"));
            }
            pairs.push((name.into_owned(), Zeroizing::new(value.into_owned())));
        }
        Ok(Self(pairs))
    }

    /// A parameter's value, also when it is empty.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A parameter's value; an empty one counts as missing.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.given(name).filter(|value| !value.is_empty())
    }
}

/// The client's credentials by `client_secret_basic` or `client_secret_post`, never both.
pub(super) fn caller(
    app: &App,
    parts: &Parts,
    form: &Form,
    peer: IpAddr,
) -> Result<Caller, OAuthError> {
    let unreadable = |_: credentials::Unreadable| {
        OAuthError::invalid_client("the Authorization header cannot be read")
    };
    let basic = credentials::basic(&parts.headers).map_err(unreadable)?;
    let posted = form.get("client_secret");
    let (id, secret) = match (basic, posted) {
        (Some(_), Some(_)) => {
            return Err(OAuthError::invalid_request(
                "client credentials were sent in two ways",
            ));
        }
        (Some((id, secret)), None) => {
            let id = decoded(&id);
            if form.get("client_id").is_some_and(|posted| posted != *id) {
                return Err(OAuthError::invalid_request(
                    "client_id is not the one in the Authorization header",
                ));
            }
            (Some(id), decoded(&secret))
        }
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
    refused_credentials::claims("client", secret.client());
    if id.is_some_and(|id| *id != secret.client().to_string()) {
        return Err(invalid());
    }
    Ok(Caller {
        secret,
        source: app.caller_address(peer, &parts.headers),
        host_environment: app
            .data
            .config
            .host_environment(request_host::of(&parts.headers).as_ref()),
    })
}

/// User name and password of HTTP Basic are form-encoded first (RFC 6749, section 2.3.1). Ours have no
/// character that this changes, so plain ones work too.
fn decoded(text: &str) -> Zeroizing<String> {
    // These would end the first name of a form, and what follows would be ignored.
    if text.contains(['&', '=']) {
        return Zeroizing::new(text.to_owned());
    }
    let pair = form_urlencoded::parse(text.as_bytes()).next();
    Zeroizing::new(pair.map(|(name, _)| name.into_owned()).unwrap_or_default())
}
