//! Single sign-on by OpenID Connect (authorization code with PKCE): a member whom the provider vouches for is signed
//! in. The provider makes no members; it is believed only about addresses that it has verified, and only for the
//! first time: afterwards a member is known by the provider's own name for them.

use super::prelude::*;
use super::sign_in::{NotSignedIn, Origin, begin as begin_session, charge};
use crate::auth::opaque_token::OpaqueToken;
use crate::auth::provider::{KEPT_SECONDS, ProviderError, REFRESH_SECONDS, causes, http, send};
use crate::auth::refused_credentials;
use crate::net::addresses::network;
use openidconnect::core::{CoreClient, CoreResponseType};
use openidconnect::{
    AuthenticationFlow, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret,
    CsrfToken, HttpRequest, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    TokenResponse,
};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tokenward_core::label;

/// Seconds between going to the provider and coming back.
const BETWEEN_SECONDS: u64 = 600;
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

impl From<ProviderError> for NoSso {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Failed(why) => Self::Provider(why),
            ProviderError::Busy => Self::Busy,
        }
    }
}

fn provider(why: impl std::fmt::Display) -> NoSso {
    NoSso::Provider(why.to_string())
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
pub async fn begin(
    people: &People,
    returning: &str,
    next: String,
) -> Result<(String, Between), NoSso> {
    let sso = people.data.config.sso.as_ref().ok_or(NoSso::NotSetUp)?;
    let metadata = people
        .provider
        .metadata(sso, &people.data.clock(), KEPT_SECONDS)
        .await?;
    let client = client!(sso, metadata, returning);
    let between = Between {
        state: drawn(),
        nonce: drawn(),
        verifier: drawn(),
        next,
        at: people.data.clock().wall(),
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
    people: &People,
    returning: &str,
    between: Between,
    code: &str,
) -> Result<Vouched, NoSso> {
    let sso = people.data.config.sso.as_ref().ok_or(NoSso::NotSetUp)?;
    let clock = people.data.clock();
    let http = http().map_err(provider)?;
    let ask = |request: HttpRequest| send(http.clone(), request);
    let metadata = people.provider.metadata(sso, &clock, KEPT_SECONDS).await?;
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
            let metadata = people
                .provider
                .metadata(sso, &clock, REFRESH_SECONDS)
                .await?;
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
    people: &People,
    returning: &str,
    between: Between,
    answer: (&str, &str),
    origin: &Origin,
) -> Result<OpaqueToken, NoSso> {
    let (code, state) = answer;
    let same: bool = between.state.as_bytes().ct_eq(state.as_bytes()).into();
    let late = people.data.clock().wall().seconds_since(between.at) >= BETWEEN_SECONDS;
    if !same || late || code.is_empty() {
        refused_credentials::note(people, SSO.0, origin.source, None, "foreign_answer");
        return Err(provider("the answer does not belong to the question"));
    }
    // Each answer is a call of the provider, which has limits of its own.
    let network = network(origin.source);
    charge(people, &people.networks_throttle, network, COUNTED).map_err(NoSso::NotSignedIn)?;
    let vouched = vouched(people, returning, between, code).await?;
    let members = people.data.reader().members().await;
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
        refused_credentials::note(people, SSO.0, origin.source, vouched.email.as_deref(), code);
        return Err(no);
    };
    let subject = vouched.subject;
    let begun = begin_session(
        people,
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
        people
            .networks_throttle
            .forgive(network, COUNTED, &people.data.clock());
    }
    begun.map_err(|not| {
        if not == NotSignedIn::Wrong {
            let reason = match member.disabled_at {
                Some(_) => "member disabled",
                None => "another account of the provider",
            };
            let why = ("invalid_credentials", reason);
            refused_credentials::member(people, SSO, origin.source, member, why);
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
    fn what_is_drawn_is_a_verifier_of_the_length_the_standard_asks() {
        let drawn = drawn();
        // RFC 7636, section 4.1: 43 to 128 characters.
        assert_eq!(drawn.len(), 43);
        assert_ne!(drawn, super::drawn());
    }
}
