//! Single sign-on by OpenID Connect (authorization code with PKCE): a member whom the provider vouches for is signed
//! in. The provider makes no members; it is believed only about addresses that it has verified, and only for the
//! first time: afterwards a member is known by the provider's own name for them.

use super::sign_in::{NotSignedIn, Origin, begin as begin_session, folded};
use crate::app::App;
use crate::config::Sso;
use crate::people::ticket::Ticket;
use openidconnect::core::{CoreClient, CoreProviderMetadata, CoreResponseType};
use openidconnect::{
    AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest,
    HttpResponse, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    TokenResponse,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokenward_core::time::{Clock, Timestamp};

/// The provider must answer in this time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Seconds between going to the provider and coming back.
const BETWEEN_SECONDS: u64 = 600;

/// Why nobody was signed in.
#[derive(Debug)]
pub enum NoSso {
    /// No provider is set up.
    NotSetUp,
    /// The provider did not answer as it must; for the log.
    Provider(String),
    /// The provider vouches for somebody who is no member.
    Unknown,
    /// The member may not sign in, or ours.
    NotSignedIn(NotSignedIn),
}

/// What a browser carries, sealed, to the provider and back.
#[derive(Serialize, Deserialize)]
pub struct Between {
    state: String,
    nonce: String,
    verifier: String,
    next: String,
    at: Timestamp,
}

impl Between {
    /// Where the person wanted to go.
    #[must_use]
    pub fn next(&self) -> &str {
        &self.next
    }
}

fn provider(why: impl std::fmt::Display) -> NoSso {
    NoSso::Provider(why.to_string())
}

fn http() -> Result<reqwest::Client, NoSso> {
    // A provider that redirects its own endpoints would lead secrets elsewhere.
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    builder.timeout(ANSWER_TIMEOUT).build().map_err(provider)
}

async fn send(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let response = http.execute(reqwest::Request::try_from(request)?).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut answer = HttpResponse::new(response.bytes().await?.to_vec());
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(answer)
}

async fn metadata(sso: &Sso, http: &reqwest::Client) -> Result<CoreProviderMetadata, NoSso> {
    let issuer = IssuerUrl::new(sso.issuer.clone()).map_err(provider)?;
    let ask = |request: HttpRequest| send(http.clone(), request);
    CoreProviderMetadata::discover_async(issuer, &ask)
        .await
        .map_err(provider)
}

macro_rules! client {
    ($sso:expr, $metadata:expr, $returning:expr) => {{
        let secret = $sso.client_secret.as_ref();
        let secret = secret.map(|secret| ClientSecret::new(secret.as_str().to_owned()));
        let id = ClientId::new($sso.client_id.clone());
        let returning = RedirectUrl::new($returning.to_owned()).map_err(provider)?;
        CoreClient::from_provider_metadata($metadata, id, secret).set_redirect_uri(returning)
    }};
}

/// A random text of 256 bits.
fn drawn() -> String {
    Ticket::new().expose().to_string()
}

/// Where to send the browser, and what it carries meanwhile.
pub async fn begin(app: &App, returning: &str, next: String) -> Result<(String, Between), NoSso> {
    let sso = app.config.sso.as_ref().ok_or(NoSso::NotSetUp)?;
    let metadata = metadata(sso, &http()?).await?;
    let client = client!(sso, metadata, returning);
    let between = Between {
        state: drawn(),
        nonce: drawn(),
        verifier: drawn(),
        next,
        at: app.clock().wall(),
    };
    let verifier = PkceCodeVerifier::new(between.verifier.clone());
    let (state, nonce) = (between.state.clone(), between.nonce.clone());
    let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
    let (address, ..) = client
        .authorize_url(flow, || CsrfToken::new(state), || Nonce::new(nonce))
        .add_scope(Scope::new("email".into()))
        .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
        .url();
    Ok((address.to_string(), between))
}

/// The provider's word for somebody.
struct Vouched {
    /// Issuer, a blank, subject.
    subject: String,
    /// In lower case; none unless the provider has verified it.
    email: Option<String>,
}

async fn vouched(
    app: &App,
    returning: &str,
    between: Between,
    (code, state): (&str, &str),
) -> Result<Vouched, NoSso> {
    let sso = app.config.sso.as_ref().ok_or(NoSso::NotSetUp)?;
    let same: bool = between.state.as_bytes().ct_eq(state.as_bytes()).into();
    let late = app.clock().wall().seconds_since(between.at) >= BETWEEN_SECONDS;
    if !same || late || code.is_empty() {
        return Err(provider("the answer does not belong to the question"));
    }
    let http = http()?;
    let ask = |request: HttpRequest| send(http.clone(), request);
    let client = client!(sso, metadata(sso, &http).await?, returning);
    let exchange = client
        .exchange_code(AuthorizationCode::new(code.to_owned()))
        .map_err(provider)?
        .set_pkce_verifier(PkceCodeVerifier::new(between.verifier));
    let tokens = exchange.request_async(&ask).await.map_err(provider)?;
    let token = tokens.id_token().ok_or_else(|| provider("no ID token"))?;
    let nonce = Nonce::new(between.nonce);
    let claims = token.claims(&client.id_token_verifier(), &nonce);
    let claims = claims.map_err(provider)?;
    let verified = claims.email_verified() == Some(true);
    Ok(Vouched {
        subject: format!("{} {}", sso.issuer, claims.subject().as_str()),
        email: claims
            .email()
            .filter(|_| verified)
            .map(|email| folded(email.as_str())),
    })
}

/// Signs in whom the provider vouches for.
pub async fn end(
    app: &App,
    returning: &str,
    between: Between,
    answer: (&str, &str),
    origin: &Origin,
) -> Result<Ticket, NoSso> {
    let vouched = vouched(app, returning, between, answer).await?;
    let members = app.store.reader().members().await;
    let members = members.map_err(|error| NoSso::NotSignedIn(error.into()))?;
    let known = |member: &&tokenward_store::people::Member| {
        member.proofs.sso.as_ref() == Some(&vouched.subject)
    };
    // By the provider's own name first: an address may have passed to somebody else.
    let by_name = members.iter().find(known);
    let by_address = members.iter().find(|member| {
        member.proofs.sso.is_none() && Some(&member.email) == vouched.email.as_ref()
    });
    let member = by_name.or(by_address).ok_or(NoSso::Unknown)?;
    let subject = vouched.subject;
    let begun = begin_session(
        app,
        member.id,
        origin,
        "single sign-on",
        move |member, _| match &member.proofs.sso {
            Some(known) if *known != subject => Err(NotSignedIn::Wrong),
            Some(_) => Ok(()),
            None => {
                member.proofs.sso = Some(subject);
                Ok(())
            }
        },
    );
    begun.await.map_err(NoSso::NotSignedIn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_a_verifier_of_the_length_the_standard_asks() {
        let drawn = drawn();
        // RFC 7636, section 4.1: 43 to 128 characters.
        assert_eq!(drawn.len(), 43);
        assert_ne!(drawn, super::drawn());
    }
}
