//! The token server, as a client meets it: the Generate Access Token API of Tokenward, or of Clear's own server,
//! which knows neither generations nor `If-Match`. This room sends the client secret, to this server alone: no
//! redirect is followed and nothing is sent again behind our back.

mod refusal;
mod wire;

pub use refusal::Refusal;
pub(crate) use wire::{broken, transport};

use crate::clock::ServerClock;
use crate::credential::{AccessToken, ClientSecret};
use crate::protocol::{Entry, Origin};
use crate::secret::SecretSource;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::time::Timestamp;
use zeroize::Zeroizing;

/// The path of the API (Clear's).
const PATH: &str = "/integration/v1/authz/token";
/// Header of the client secret (Clear's).
const SECRET_HEADER: &str = "x-clear-client-secret";
/// Longest answer read, in bytes; a token's is a few hundred.
const MOST_ANSWER_BYTES: usize = 64 * 1024;
/// How long to wait for a connection: a server that is down should be known before callers lose patience.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Whose token server it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Tokenward: generations, `If-Match`, status, hand-over.
    #[default]
    Tokenward,
    /// Clear's own, and others that only know "a new token ends the old".
    Clear,
}

/// How a server may be reached is not safe, or not possible.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// Not a URL of a server.
    #[error("the server's address is not an http(s) URL with a host")]
    NotAUrl,
    /// The client secret would travel in the clear.
    #[error(
        "http:// would send the client secret in the clear; use https:// (http is for this machine only)"
    )]
    NotEncrypted,
    /// A certificate of the extra authority cannot be read.
    #[error("the certificate authority's file holds no certificate in PEM form")]
    NoCertificate,
    /// The HTTP client cannot be made.
    #[error("no HTTP client can be made: {0}")]
    NoClient(String),
}

/// A token server and the secret for it.
#[derive(Debug)]
pub struct Issuer {
    http: Client,
    base: Url,
    kind: Kind,
    secret: Arc<dyn SecretSource>,
    clock: Arc<ServerClock>,
}

impl Issuer {
    /// A server by its base address; `authority` is a further certificate authority in PEM form.
    ///
    /// # Errors
    /// When the address is no `https://` URL (`http://` is for this machine only), or the authority is no PEM certificate.
    pub fn new(
        base: &str,
        kind: Kind,
        secret: Arc<dyn SecretSource>,
        authority: Option<&[u8]>,
        answer_limit: Duration,
    ) -> Result<Self, IssuerError> {
        let base = safe_url(base)?;
        let http = http_client(&base, authority, answer_limit)?;
        let clock = Arc::new(ServerClock::default());
        Ok(Self {
            http,
            base,
            kind,
            secret,
            clock,
        })
    }

    /// The server's clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<ServerClock> {
        &self.clock
    }

    /// Whose server it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The server's address, for people.
    #[must_use]
    pub fn address(&self) -> &str {
        self.base.as_str()
    }

    /// Where the client secret comes from.
    #[must_use]
    pub fn secret(&self) -> &Arc<dyn SecretSource> {
        &self.secret
    }

    /// Generates a token; `if_match` and `handover` only where the server knows them.
    ///
    /// # Errors
    /// When the server refuses or gives no usable answer, or there is no client secret.
    pub async fn generate(
        &self,
        if_match: Option<u32>,
        handover: Duration,
    ) -> Result<Entry, Refusal> {
        // Clear's reference documents GET; ours takes POST too, which no proxy sends twice.
        let method = match self.kind {
            Kind::Tokenward => Method::POST,
            Kind::Clear => Method::GET,
        };
        let mut suffix = String::new();
        if self.kind == Kind::Tokenward && !handover.is_zero() {
            suffix = format!("?handover={}", handover.as_secs());
        }
        let secret = self.secret.secret().await.map_err(Refusal::Secret)?;
        let origin = self.origin(&secret);
        let mut request = self.request_with(&secret, method, &suffix)?;
        if let Some(generation) = if_match.filter(|_| self.kind == Kind::Tokenward) {
            request = request.header(header::IF_MATCH, format!("\"{generation}\""));
        }
        let asked_at = self.clock.now().max(Timestamp(0));
        let body = self.answer(request, true).await?;
        wire::generated(&body, asked_at, origin)
    }

    /// The newest token's generation, 0 if there has never been one, and the server's clock. Of Clear's own only the
    /// clock, by a request without the secret.
    ///
    /// # Errors
    /// When the server refuses or gives no usable answer, or there is no client secret.
    pub async fn status(&self) -> Result<Option<u32>, Refusal> {
        match self.kind {
            Kind::Clear => {
                self.send(self.http.head(self.base.clone())).await?;
                Ok(None)
            }
            Kind::Tokenward => Ok(Some(self.account().await?.generation)),
        }
    }

    /// Everything the server says of the newest token. Tokenward only.
    ///
    /// # Errors
    /// When the server refuses or gives no usable answer, or there is no client secret.
    pub async fn account(&self) -> Result<Account, Refusal> {
        let request = self.request(Method::GET, "/status").await?;
        wire::account(&self.answer(request, false).await?)
    }

    /// Ends the previous token of a hand-over; none being there is success.
    ///
    /// # Errors
    /// When the server refuses or gives no usable answer, or there is no client secret.
    pub async fn end_previous(&self) -> Result<(), Refusal> {
        let request = self.request(Method::DELETE, "/previous").await?;
        self.done(request).await
    }

    /// Revokes a token (RFC 7009) without making a new one. Tokenward only.
    ///
    /// # Errors
    /// When the server refuses or gives no usable answer, or there is no client secret.
    pub async fn revoke(&self, token: &AccessToken) -> Result<(), Refusal> {
        let secret = self.secret.secret().await.map_err(Refusal::Secret)?;
        let client = tokenward_core::ClientSecret::parse(secret.expose())
            .map_err(|_| Refusal::unreadable("the client secret is not one of Tokenward's"))?
            .client();
        let url = self.url("/oauth2/revoke");
        // The characters of our tokens need no escaping; others are not revoked here.
        let body = format!("token={}", token.expose());
        let request = self
            .http
            .post(url)
            .basic_auth(client, Some(secret.expose()))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        self.done(request).await
    }

    /// Succeeds by the status alone: a body that breaks off undoes nothing (RFC 7009, section 2.2: clients ignore it).
    async fn done(&self, request: RequestBuilder) -> Result<(), Refusal> {
        let response = self.send(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_success() {
            return Ok(());
        }
        let body = read(response, false).await?;
        Err(wire::refusal(status, &headers, &body))
    }

    /// The body of an answer that is no refusal; `made` says that it may be a token's.
    async fn answer(
        &self,
        request: RequestBuilder,
        made: bool,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let response = self.send(request).await?;
        let status = response.status();
        let headers = response.headers().clone();
        let body = read(response, made).await?;
        if status == StatusCode::OK {
            Ok(body)
        } else {
            Err(wire::refusal(status, &headers, &body))
        }
    }

    /// Whether a token is one that this server made for this client secret. After a change of configuration, what is kept
    /// may be another client's, or another server's. What nothing is known of is believed to be ours.
    pub async fn made(&self, entry: &Entry) -> bool {
        let kept = entry.origin();
        let here = Origin {
            server: Some(self.server().to_owned()),
            ..Origin::default()
        };
        let is_from_here = here.agrees_with(&kept);
        // Another address may still be the same server; that is worth fetching a secret from another machine.
        if is_from_here && !self.secret.is_near() {
            return true;
        }
        match self.secret.secret().await {
            Ok(secret) => self.origin(&secret).agrees_with(&kept),
            Err(_) => is_from_here,
        }
    }

    /// The origin of tokens made with a secret.
    fn origin(&self, secret: &ClientSecret) -> Origin {
        let known = tokenward_core::ClientSecret::parse(secret.expose()).ok();
        let of = |part: fn(&tokenward_core::ClientSecret) -> String| known.as_ref().map(part);
        Origin {
            server: Some(self.server().to_owned()),
            environment: of(|secret| secret.environment().as_str().to_owned()),
            client: of(|secret| secret.client().to_string()),
        }
    }

    /// The server's address in one spelling.
    fn server(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    async fn request(&self, method: Method, suffix: &str) -> Result<RequestBuilder, Refusal> {
        let secret = self.secret.secret().await.map_err(Refusal::Secret)?;
        self.request_with(&secret, method, suffix)
    }

    fn request_with(
        &self,
        secret: &ClientSecret,
        method: Method,
        suffix: &str,
    ) -> Result<RequestBuilder, Refusal> {
        let mut value = header::HeaderValue::from_str(secret.expose())
            .map_err(|_| Refusal::unreadable("the client secret fits no header"))?;
        value.set_sensitive(true);
        let url = self.url(&format!("{PATH}{suffix}"));
        Ok(self.http.request(method, url).header(SECRET_HEADER, value))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server())
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Refusal> {
        let response = request.send().await.map_err(|error| Refusal::Later {
            // A connection that was never made has carried nothing.
            outcome_unknown: !error.is_connect(),
            retry_after: None,
            what: wire::transport(&error),
        })?;
        self.clock.heard_in(&response);
        Ok(response)
    }
}

/// What Tokenward's status call tells.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Account {
    /// The newest token's generation, 0 if there has never been one.
    pub generation: u32,
    /// Whether it is live.
    pub live: bool,
    /// When it ends.
    pub valid_till: Option<Timestamp>,
    /// Tokens the secret may still make today, and a day.
    pub quota_left: Option<u32>,
    /// Tokens the secret may make a day.
    pub quota: Option<u32>,
}

/// An address to which a secret may be sent: https, or http to this very machine.
pub(crate) fn safe_url(text: &str) -> Result<Url, IssuerError> {
    let url = Url::parse(text).map_err(|_| IssuerError::NotAUrl)?;
    match (url.scheme(), url.host_str()) {
        (_, None | Some("")) => Err(IssuerError::NotAUrl),
        ("https", _) => Ok(url),
        ("http", Some(host)) if is_this_machine(host) => Ok(url),
        ("http", _) => Err(IssuerError::NotEncrypted),
        _ => Err(IssuerError::NotAUrl),
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// An HTTP client that sends a secret to one server and nowhere else.
pub(crate) fn http_client(
    base: &Url,
    authority: Option<&[u8]>,
    answer_limit: Duration,
) -> Result<Client, IssuerError> {
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_LIMIT.min(answer_limit))
        .timeout(answer_limit)
        .pool_max_idle_per_host(1)
        .user_agent(concat!("tokenward-client/", env!("CARGO_PKG_VERSION")));
    if base.host_str().is_some_and(is_this_machine) {
        builder = builder.no_proxy();
    }
    if let Some(pem) = authority {
        let found = reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default();
        if found.is_empty() {
            return Err(IssuerError::NoCertificate);
        }
        builder = builder.tls_certs_merge(found);
    }
    builder
        .build()
        .map_err(|error| IssuerError::NoClient(error.to_string()))
}

/// Reads an answer up to the limit. `made` says that a token may have been made when it breaks off.
pub(crate) async fn read(
    mut response: Response,
    made: bool,
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let mut body = Zeroizing::new(Vec::with_capacity(4096));
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MOST_ANSWER_BYTES => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => return Err(Refusal::unreadable("the answer is too long")),
            Ok(None) => return Ok(body),
            Err(error) => {
                return Err(Refusal::Later {
                    retry_after: None,
                    outcome_unknown: made,
                    what: wire::transport(&error),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_travels_encrypted_or_not_at_all() {
        let check = |url: &str, good: bool| assert_eq!(safe_url(url).is_ok(), good, "{url}");
        check("https://api.example.com", true);
        check("http://127.0.0.1:8080", true);
        check("http://[::1]:8080", true);
        check("http://localhost:8080", true);
        check("http://api.example.com", false);
        check("http://127.0.0.1.example.com", false);
        check("http://localhost.example.com", false);
        check("file:///etc/passwd", false);
        check("api.example.com", false);
    }
}
