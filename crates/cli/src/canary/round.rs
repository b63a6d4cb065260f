//! One round: a new token, the old one shown until it is refused, the new one shown once. Time is
//! taken from the moment the answer with the new token is here: from then on the old one is dead.

use super::super::api::{Answer, Api};
use super::super::error::CliError;
use super::super::progress::rest;
use reqwest::header::HeaderValue;
use reqwest::{Client, Method, Url};
use std::time::Duration;
use tokenward_api::TokenByAdmin;
use tokenward_core::time::{BootInstant, Clock};
use tokenward_system::SystemClock;
use uuid::Uuid;
use zeroize::Zeroizing;

/// How long an old token is shown before the round ends without a refusal.
const ROUND_TIMEOUT: Duration = Duration::from_secs(30);
/// Rest between two showings of an accepted token.
const PAUSE: Duration = Duration::from_millis(50);

/// What a round found.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Verdict {
    /// The old token was shown.
    Shown {
        /// Its generation.
        generation: u64,
        /// How often it was accepted. If never, the new one passed.
        accepted: u32,
        /// From the new token's arrival until the refusal's; none if it was not refused.
        refused_after: Option<Duration>,
    },
    /// Nothing was proved; a sentence why.
    Unclear(String),
}

impl Verdict {
    /// Whether a revoked token was accepted.
    pub(super) fn is_alarm(&self) -> bool {
        matches!(self, Self::Shown { accepted: 1.., .. })
    }
}

/// A token and its public name.
struct Held {
    token: Zeroizing<String>,
    generation: u64,
}

/// What a gateway does with a token.
enum Shown {
    Passes,
    Refused,
}

/// A client's tokens, rotated and shown.
pub(super) struct Canary<'a> {
    api: &'a Api,
    client: Uuid,
    http: Client,
    through: Url,
    held: Option<Held>,
}

impl<'a> Canary<'a> {
    /// Nothing is sent yet.
    pub(super) fn new(api: &'a Api, client: Uuid, http: Client, through: Url) -> Self {
        Self {
            api,
            client,
            http,
            through,
            held: None,
        }
    }

    /// Runs one round.
    pub(super) async fn round(&mut self) -> Verdict {
        match self.try_round().await {
            Ok(verdict) => verdict,
            Err(why) => {
                // Which token is live is unknown now: the next round begins anew.
                self.held = None;
                Verdict::Unclear(why)
            }
        }
    }

    async fn try_round(&mut self) -> Result<Verdict, String> {
        let old = match self.held.take() {
            Some(held) => held,
            None => {
                let first = self.generate().await?;
                self.must_pass(&first).await?;
                first
            }
        };
        let new = self.generate().await?;
        let since = SystemClock.boot();
        let mut accepted = 0;
        let refused_after = loop {
            match self.show(&old).await? {
                Shown::Refused => break Some(elapsed(since)),
                Shown::Passes => accepted += 1,
            }
            if elapsed(since) > ROUND_TIMEOUT {
                break None;
            }
            // An accepted token is shown again and again: there is nothing to wait for.
            rest(PAUSE).await;
        };
        if accepted == 0 {
            self.must_pass(&new).await?;
        }
        self.held = Some(new);
        Ok(Verdict::Shown {
            generation: old.generation,
            accepted,
            refused_after,
        })
    }

    async fn generate(&self) -> Result<Held, String> {
        let path = format!("/clients/{}/token", self.client);
        let made = self.api.send(Method::POST, &path, ()).await;
        let made: Answer<TokenByAdmin> = made.map_err(|error| match error {
            CliError::Failed(why) => why,
            other => other.report(false).unwrap_or_default(),
        })?;
        Ok(Held {
            token: made.access_token.0.clone(),
            generation: made.generation.into(),
        })
    }

    async fn must_pass(&self, held: &Held) -> Result<(), String> {
        match self.show(held).await? {
            Shown::Passes => Ok(()),
            Shown::Refused => Err(format!(
                "{} refused the live token: the client must be allowed the product and the environment it serves, \
                 and nobody else may generate for it",
                self.through
            )),
        }
    }

    /// Shows a token to the product. Only a 2xx proves that it passed, only a 401 that it did not.
    async fn show(&self, held: &Held) -> Result<Shown, String> {
        let mut token = HeaderValue::from_str(&held.token)
            .map_err(|_| "the server's token fits no header".to_owned())?;
        token.set_sensitive(true);
        let request = self.http.get(self.through.clone());
        let answer = request
            .header(tokenward_core::token_header::TOKEN_HEADER, token)
            .send()
            .await
            .map_err(|error| format!("{} did not answer: {}", self.through, error.without_url()))?;
        match answer.status() {
            status if status.is_success() => Ok(Shown::Passes),
            status if status.as_u16() == 401 => Ok(Shown::Refused),
            status => Err(format!(
                "{} answered {status}, which says nothing about the token",
                self.through
            )),
        }
    }
}

fn elapsed(since: BootInstant) -> Duration {
    Duration::from_nanos(SystemClock.boot().0.saturating_sub(since.0))
}
