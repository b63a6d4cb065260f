//! The single sign-on provider: what it says about itself, and how it is reached.

use crate::config::{Sso, is_private};
use openidconnect::core::CoreProviderMetadata;
use openidconnect::{DiscoveryError, HttpRequest, HttpResponse, IssuerUrl};
use std::time::Duration;
use tokenward_core::time::{BootInstant, Clock};
use tokio::sync::Semaphore;

/// The provider must answer in this time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Seconds for which the provider's metadata and keys are kept.
pub(crate) const KEPT_SECONDS: u64 = 300;
/// Seconds after which they are asked for again early, when a token is signed by a key that is not among them.
pub(crate) const REFRESH_SECONDS: u64 = 30;
/// Seconds for which the provider is not asked again after it failed.
const FAILED_SECONDS: u64 = 5;
/// Callers that may wait for the provider's metadata; beyond it they are refused.
const WAITING_MAX: usize = 32;

/// Why the provider's metadata could not be had.
#[derive(Debug)]
pub(crate) enum ProviderError {
    /// It did not answer as it must; for the log.
    Failed(String),
    /// Too many callers wait for it.
    Busy,
}

pub(crate) fn http() -> Result<reqwest::Client, reqwest::Error> {
    // A provider that redirects its own endpoints would lead secrets elsewhere.
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    builder.timeout(ANSWER_TIMEOUT).build()
}

pub(crate) async fn send(
    http: reqwest::Client,
    request: HttpRequest,
) -> Result<HttpResponse, reqwest::Error> {
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
    fn kept(
        &self,
        now: BootInstant,
        longest: u64,
    ) -> Option<Result<CoreProviderMetadata, ProviderError>> {
        let kept = self.kept.lock().clone()?;
        let age = now.0.saturating_sub(kept.at.0) / 1_000_000_000;
        match kept.metadata {
            Ok(metadata) if age < longest => Some(Ok(*metadata)),
            Err(why) if age < FAILED_SECONDS => Some(Err(ProviderError::Failed(why))),
            _ => None,
        }
    }

    /// The provider's metadata, not older than `longest` seconds.
    pub(crate) async fn metadata(
        &self,
        sso: &Sso,
        clock: &impl Clock,
        longest: u64,
    ) -> Result<CoreProviderMetadata, ProviderError> {
        if let Some(kept) = self.kept(clock.boot(), longest) {
            return kept;
        }
        let _waiting = self
            .waiting
            .try_acquire()
            .map_err(|_| ProviderError::Busy)?;
        let _asking = self.asking.lock().await;
        if let Some(kept) = self.kept(clock.boot(), longest) {
            return kept;
        }
        let metadata = discover(sso).await;
        *self.kept.lock() = Some(Kept {
            at: clock.boot(),
            metadata: metadata.clone().map(Box::new),
        });
        metadata.map_err(ProviderError::Failed)
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
    let http = http().map_err(|error| causes(&error))?;
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
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
