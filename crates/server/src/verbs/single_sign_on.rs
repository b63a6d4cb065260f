//! Single sign-on by OpenID Connect (authorization code with PKCE): a member whom the provider vouches for is signed
//! in. The provider makes no members; it is believed only about addresses that it has verified, and only for the
//! first time: afterwards a member is known by the provider's own name for them.

use super::sign_in::{NotSignedIn, Origin, begin as begin_session, charge};
use crate::app::App;
use crate::auth::opaque_token::OpaqueToken;
use crate::auth::refusals;
use crate::auth::throttle::network;
use crate::config::{Sso, is_private};
use openidconnect::core::{CoreClient, CoreProviderMetadata, CoreResponseType};
use openidconnect::{
    AuthenticationFlow, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret,
    CsrfToken, DiscoveryError, HttpRequest, HttpResponse, IssuerUrl, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, TokenResponse,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokenward_core::label;
use tokenward_core::time::{BootInstant, Clock, Timestamp};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// The provider must answer in this time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Seconds between going to the provider and coming back.
const BETWEEN_SECONDS: u64 = 600;
/// Seconds for which the provider's metadata and keys are kept.
const KEPT_SECONDS: u64 = 300;
/// Seconds after which they are asked for again early, when a token is signed by a key that is not among them.
const REFRESH_SECONDS: u64 = 30;
/// Seconds for which the provider is not asked again after it failed.
const FAILED_SECONDS: u64 = 5;
/// Callers that may wait for the provider's metadata; beyond it they are refused.
const WAITING_MAX: usize = 32;
/// What sign-ins by the provider are counted as, beside passwords.
const COUNTED: Uuid = Uuid::from_u128(1);

/// The kind and the audit action of a refused sign-in by the provider.
const SSO: (&str, &str) = ("single_sign_on", "member.sign_in_failed");

/// Why nobody was signed in.
#[derive(Debug)]
pub enum NoSso {
    /// No provider is set up.
    NotSetUp,
    /// The provider did not answer as it must; for the log.
    Provider(String),
    /// The provider vouches for somebody who is no member.
    Unknown,
    /// It names nobody by an address that it says it has verified.
    Unverified,
    /// Too many sign-ins at once.
    Busy,
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

/// The provider as it describes itself, kept for some minutes and asked for by one caller at a time.
#[derive(Debug)]
pub struct Provider {
    kept: parking_lot::Mutex<Option<Kept>>,
    asking: tokio::sync::Mutex<()>,
    waiting: Semaphore,
}

impl Default for Provider {
    fn default() -> Self {
        Self {
            kept: parking_lot::Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            waiting: Semaphore::new(WAITING_MAX),
        }
    }
}

#[derive(Clone, Debug)]
struct Kept {
    at: BootInstant,
    metadata: Result<Box<CoreProviderMetadata>, String>,
}

impl Provider {
    /// What is kept, if it is not older than it may be.
    fn kept(&self, now: BootInstant, longest: u64) -> Option<Result<CoreProviderMetadata, NoSso>> {
        let kept = self.kept.lock().clone()?;
        let age = now.0.saturating_sub(kept.at.0) / 1_000_000_000;
        match kept.metadata {
            Ok(metadata) if age < longest => Some(Ok(*metadata)),
            Err(why) if age < FAILED_SECONDS => Some(Err(NoSso::Provider(why))),
            _ => None,
        }
    }

    /// The provider's metadata, not older than `longest` seconds.
    async fn metadata(
        &self,
        sso: &Sso,
        clock: &impl Clock,
        longest: u64,
    ) -> Result<CoreProviderMetadata, NoSso> {
        if let Some(kept) = self.kept(clock.boot(), longest) {
            return kept;
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| NoSso::Busy)?;
        let _asking = self.asking.lock().await;
        if let Some(kept) = self.kept(clock.boot(), longest) {
            return kept;
        }
        let metadata = discover(sso).await;
        *self.kept.lock() = Some(Kept {
            at: clock.boot(),
            metadata: metadata.clone().map(Box::new),
        });
        metadata.map_err(NoSso::Provider)
    }
}

/// Asks the provider how it describes itself.
///
/// # Errors
///
/// A sentence for the log or the terminal: what is wrong, and what to set.
pub async fn discover(sso: &Sso) -> Result<CoreProviderMetadata, String> {
    let name = &sso.issuer;
    let issuer = IssuerUrl::new(name.clone()).map_err(|error| error.to_string())?;
    let http = http().map_err(|error| format!("{error:?}"))?;
    let ask = |request: HttpRequest| send(http.clone(), request);
    let asked = CoreProviderMetadata::discover_async(issuer, &ask).await;
    let metadata = asked.map_err(|error| match error {
        DiscoveryError::Validation(why) => format!(
            "the provider calls itself otherwise: {why}. Set sso_issuer to exactly what the provider calls itself, with or without the final slash."
        ),
        other => format!(
            "the provider's metadata can't be read at {name}: {}",
            causes(&other)
        ),
    })?;
    let token = metadata.token_endpoint().map(|endpoint| endpoint.url());
    let endpoints = [
        Some(metadata.authorization_endpoint().url()),
        Some(metadata.jwks_uri().url()),
        token,
    ];
    let clear = endpoints.iter().flatten().find(|url| !is_private(url));
    if let Some(clear) = clear {
        return Err(format!(
            "the provider names an endpoint without TLS: {clear}"
        ));
    }
    Ok(metadata)
}

/// An error and what caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
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
    OpaqueToken::new().expose().to_string()
}

/// Where to send the browser, and what it carries meanwhile.
pub async fn begin(app: &App, returning: &str, next: String) -> Result<(String, Between), NoSso> {
    let sso = app.config.sso.as_ref().ok_or(NoSso::NotSetUp)?;
    let metadata = app
        .provider
        .metadata(sso, &app.clock(), KEPT_SECONDS)
        .await?;
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
    /// With A to Z in lower case; none unless the provider has verified it.
    email: Option<String>,
}

/// An address of a provider, as members' addresses are kept. What is no plain ASCII address is none: letters that look
/// or fold alike would make somebody else's of it.
fn plain_email(text: &str) -> Option<String> {
    let email = label::email(text).ok().filter(|email| email.is_ascii())?;
    Some(email.to_ascii_lowercase())
}

async fn vouched(
    app: &App,
    returning: &str,
    between: Between,
    code: &str,
) -> Result<Vouched, NoSso> {
    let sso = app.config.sso.as_ref().ok_or(NoSso::NotSetUp)?;
    let clock = app.clock();
    let http = http()?;
    let ask = |request: HttpRequest| send(http.clone(), request);
    let metadata = app.provider.metadata(sso, &clock, KEPT_SECONDS).await?;
    let client = client!(sso, metadata, returning);
    let exchange = client
        .exchange_code(AuthorizationCode::new(code.to_owned()))
        .map_err(provider)?
        .set_pkce_verifier(PkceCodeVerifier::new(between.verifier));
    let tokens = exchange.request_async(&ask).await;
    let tokens = tokens.map_err(|error| provider(causes(&error)))?;
    let token = tokens.id_token().ok_or_else(|| provider("no ID token"))?;
    let nonce = Nonce::new(between.nonce);
    let claims = match token.claims(&client.id_token_verifier(), &nonce) {
        // The provider may have another key since.
        Err(ClaimsVerificationError::SignatureVerification(_)) => {
            let metadata = app.provider.metadata(sso, &clock, REFRESH_SECONDS).await?;
            let client = client!(sso, metadata, returning);
            token.claims(&client.id_token_verifier(), &nonce).cloned()
        }
        claims => claims.cloned(),
    };
    let claims = claims.map_err(provider)?;
    let verified = match claims.email_verified() {
        Some(verified) => verified,
        None => sso.assume_email_verified,
    };
    Ok(Vouched {
        subject: format!("{} {}", sso.issuer, claims.subject().as_str()),
        email: claims
            .email()
            .filter(|_| verified)
            .and_then(|email| plain_email(email.as_str())),
    })
}

/// Signs in whom the provider vouches for.
pub async fn end(
    app: &App,
    returning: &str,
    between: Between,
    answer: (&str, &str),
    origin: &Origin,
) -> Result<OpaqueToken, NoSso> {
    let (code, state) = answer;
    let same: bool = between.state.as_bytes().ct_eq(state.as_bytes()).into();
    let late = app.clock().wall().seconds_since(between.at) >= BETWEEN_SECONDS;
    if !same || late || code.is_empty() {
        refusals::note(app, SSO.0, origin.source, None, "foreign_answer");
        return Err(provider("the answer does not belong to the question"));
    }
    // Each answer is a call of the provider, which has limits of its own.
    let network = network(origin.source);
    charge(app, &app.networks_throttle, network, COUNTED).map_err(NoSso::NotSignedIn)?;
    let vouched = vouched(app, returning, between, code).await?;
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
    let Some(member) = by_name.or(by_address) else {
        let (no, code) = match vouched.email {
            Some(_) => (NoSso::Unknown, "not_a_member"),
            None => (NoSso::Unverified, "email_not_verified"),
        };
        refusals::note(app, SSO.0, origin.source, vouched.email.as_deref(), code);
        return Err(no);
    };
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
    let begun = begun.await;
    if !matches!(begun, Err(NotSignedIn::Wrong)) {
        app.networks_throttle
            .forgive(network, COUNTED, &app.clock());
    }
    begun.map_err(|not| {
        if not == NotSignedIn::Wrong {
            let reason = match member.disabled_at {
                Some(_) => "member disabled",
                None => "another account of the provider",
            };
            let why = ("invalid_credentials", reason);
            refusals::member(app, SSO, origin.source, member, why);
        }
        NoSso::NotSignedIn(not)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_address_is_taken_from_a_provider() {
        let same = |text: &str| assert_eq!(plain_email(text).as_deref(), Some("kate@corp.example"));
        same("kate@corp.example");
        same("Kate@Corp.Example");
        for other in [
            "\u{212a}ate@corp.example",
            "k\u{430}te@corp.example",
            " kate@corp.example ",
            "kate@corp.example\n",
            "kate@corp.example,x@y.example",
            "kate",
            "",
        ] {
            assert_eq!(plain_email(other), None, "{other:?}");
        }
    }

    #[test]
    fn what_the_provider_says_is_kept_for_minutes_and_its_failure_for_seconds() {
        let at = |seconds: u64| BootInstant(seconds * 1_000_000_000);
        let keep = |metadata| {
            let provider = Provider::default();
            *provider.kept.lock() = Some(Kept {
                at: at(1_000),
                metadata,
            });
            provider
        };
        let described = serde_json::json!({
            "issuer": "https://a.example", "authorization_endpoint": "https://a.example/a",
            "token_endpoint": "https://a.example/t", "jwks_uri": "https://a.example/j",
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        let good = keep(Ok(Box::new(serde_json::from_value(described).unwrap())));
        assert!(
            good.kept(at(1_299), KEPT_SECONDS)
                .is_some_and(|kept| kept.is_ok())
        );
        assert!(good.kept(at(1_300), KEPT_SECONDS).is_none());
        // After a signature by an unknown key, sooner.
        assert!(good.kept(at(1_029), REFRESH_SECONDS).is_some());
        assert!(good.kept(at(1_030), REFRESH_SECONDS).is_none());
        let failed = keep(Err("no answer".to_owned()));
        assert!(
            failed
                .kept(at(1_004), KEPT_SECONDS)
                .is_some_and(|kept| kept.is_err())
        );
        assert!(failed.kept(at(1_005), KEPT_SECONDS).is_none());
    }

    #[test]
    fn what_is_drawn_is_a_verifier_of_the_length_the_standard_asks() {
        let drawn = drawn();
        // RFC 7636, section 4.1: 43 to 128 characters.
        assert_eq!(drawn.len(), 43);
        assert_ne!(drawn, super::drawn());
    }
}
