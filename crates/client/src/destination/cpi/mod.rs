//! SAP Cloud Integration (CPI) as a further destination: the token is the password of a User Credentials artifact in the
//! tenant's Security Material, written through the tenant's public OData API. Its passwords are write-only, so this
//! is never a home; what the artifact says of its token stands in its description. A write is accepted first and
//! deployed later: `put` returns when the tenant says that it is deployed. Nothing a tenant sent stands in an error.

mod call;

use super::{Destination, DestinationError, Place};
use crate::credential::AccessToken;
use crate::protocol::Entry;
use crate::timer::rest;
use async_trait::async_trait;
use call::{Answer, Tenant};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use zeroize::Zeroizing;

pub use call::Login;

/// The only kind with a user and a password; the API wants it in exactly these letters.
const KIND: &str = "default";
/// Begins the description of an artifact that is ours; what follows is the token's public name.
const MARK: &str = "Tokenward: ";
/// The user of a token whose text names no API client.
const UNNAMED_USER: &str = "tokenward";
/// Longest name of an artifact, in characters (the tenant's).
const MOST_NAME_CHARS: usize = 150;
/// Pause between two looks at a deployment.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// Looks at a deployment: two minutes. It takes seconds, and minutes while a tenant is being updated.
const MOST_LOOKS: u32 = 240;

/// A User Credentials artifact of a tenant.
#[derive(Debug)]
pub struct CpiCredential {
    tenant: Tenant,
    name: String,
}

#[derive(Deserialize)]
struct Envelope {
    d: Artifact,
}

/// What a tenant tells of an artifact; never its password.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Artifact {
    user: Option<String>,
    description: Option<String>,
    security_artifact_descriptor: Option<Descriptor>,
}

#[derive(Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
struct Descriptor {
    deployed_on: Option<String>,
    status: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UserCredential<'a> {
    name: &'a str,
    kind: &'a str,
    description: &'a str,
    user: &'a str,
    password: &'a str,
}

impl CpiCredential {
    /// The artifact `name` of the tenant whose OData API is at `api` (`https://.../api/v1`); `authority` is a
    /// further certificate authority in PEM form.
    ///
    /// # Errors
    /// When the name or an address cannot be right.
    pub fn new(
        api: &str,
        name: &str,
        login: Login,
        authority: Option<&[u8]>,
        answer_limit: Duration,
    ) -> Result<Self, String> {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        if name.is_empty() || name.len() > MOST_NAME_CHARS || !name.chars().all(plain) {
            let rule = "an artifact's name has letters, digits, '.', '-' and '_', 150 at most";
            return Err(format!("name: {rule}"));
        }
        Ok(Self {
            tenant: Tenant::new(api, login, authority, answer_limit)?,
            name: name.to_owned(),
        })
    }

    /// The artifact's path in the API. Its name needs no quoting.
    fn path(&self) -> String {
        format!("UserCredentials('{}')", self.name)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<Answer, DestinationError> {
        self.tenant.call(&self.place(), method, path, body).await
    }

    async fn look(&self) -> Result<Option<Artifact>, DestinationError> {
        let answer = self.call(Method::GET, &self.path(), None).await?;
        match answer.status {
            200 => serde_json::from_slice(&answer.body)
                .map(|envelope: Envelope| Some(envelope.d))
                .map_err(|_| {
                    DestinationError::misconfigured(
                        &self.place(),
                        "its answer is not that of a tenant's OData API: check the address",
                    )
                }),
            404 => Ok(None),
            _ => Err(self.trouble(&answer)),
        }
    }

    fn trouble(&self, answer: &Answer) -> DestinationError {
        answer.trouble(&self.place())
    }

    /// Looks until the tenant tells what is waited for.
    async fn wait(&self, done: impl Fn(Option<&Artifact>) -> bool) -> Result<(), DestinationError> {
        for _ in 0..MOST_LOOKS {
            if done(self.look().await?.as_ref()) {
                return Ok(());
            }
            rest(LOOK_PAUSE).await;
        }
        Err(DestinationError::unreachable(
            &self.place(),
            "the tenant accepted the credential and has not deployed it in time: see its monitor, Manage Security Material",
        ))
    }
}

impl Artifact {
    fn deployed_on(&self) -> Option<&str> {
        self.security_artifact_descriptor
            .as_ref()?
            .deployed_on
            .as_deref()
    }

    fn is_deployed(&self) -> bool {
        let descriptor = self.security_artifact_descriptor.as_ref();
        let status = descriptor.and_then(|descriptor| descriptor.status.as_deref());
        // Some tenants leave the status out once all is well.
        self.deployed_on().is_some() && status.is_none_or(|status| status == "DEPLOYED")
    }

    /// The generation its description tells, of a token of this user.
    fn generation(&self, user: &str) -> Option<u32> {
        if self.user.as_deref() != Some(user) {
            return None;
        }
        let rest = self.description.as_deref()?.strip_prefix(MARK)?;
        let number = rest.strip_prefix("generation ")?.split(',').next()?;
        number.parse().ok()
    }
}

/// Whom the token belongs to: the API client's id where the token names it. No secret.
fn user_of(token: &AccessToken) -> String {
    tokenward_core::AccessToken::parse(token.expose()).map_or_else(
        |_| UNNAMED_USER.to_owned(),
        |token| token.client().to_string(),
    )
}

impl Place for CpiCredential {
    fn place(&self) -> String {
        format!("SAP CPI credential {} at {}", self.name, self.tenant.host())
    }
}

#[async_trait]
impl Destination for CpiCredential {
    async fn put(&self, entry: &Entry) -> Result<(), DestinationError> {
        let before = self.look().await?;
        let user = user_of(&entry.token);
        let there = before.as_ref().and_then(|one| one.generation(&user));
        if there > entry.generation && entry.generation.is_some() {
            return Ok(());
        }
        let description = format!("{MARK}{}", entry.name());
        let body = Zeroizing::new(
            serde_json::to_vec(&UserCredential {
                name: &self.name,
                kind: KIND,
                description: &description,
                user: &user,
                password: entry.token.expose(),
            })
            .unwrap_or_default(),
        );
        let (method, path) = match before {
            Some(_) => (Method::PUT, self.path()),
            None => (Method::POST, "UserCredentials".to_owned()),
        };
        let answer = self.call(method, &path, Some(&body)).await?;
        if !matches!(answer.status, 200..=202 | 204) {
            return Err(self.trouble(&answer));
        }
        let old = before.as_ref().and_then(Artifact::deployed_on);
        self.wait(|artifact| {
            artifact.is_some_and(|one| {
                one.is_deployed()
                    && one.deployed_on() != old
                    && one.description.as_deref() == Some(&description)
            })
        })
        .await
    }

    async fn forget(&self) -> Result<(), DestinationError> {
        if self.look().await?.is_none() {
            return Ok(());
        }
        let answer = self.call(Method::DELETE, &self.path(), None).await?;
        if !matches!(answer.status, 200..=202 | 204 | 404) {
            return Err(self.trouble(&answer));
        }
        self.wait(|artifact| artifact.is_none()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_description_only() {
        let check = |user: &str, description: &str, expect| {
            let artifact = Artifact {
                user: Some(user.to_owned()),
                description: Some(description.to_owned()),
                security_artifact_descriptor: None,
            };
            assert_eq!(artifact.generation("me"), expect, "{description}");
        };
        check(
            "me",
            "Tokenward: generation 7, which never expires",
            Some(7),
        );
        check("you", "Tokenward: generation 7, which never expires", None);
        check("me", "Tokenward: token that never expires", None);
        check("me", "generation 7, by hand", None);
        check("me", "", None);
    }

    #[test]
    fn takes_names_that_need_no_quoting() {
        let login = || Login {
            token_url: "https://tenant.example.com/oauth/token".to_owned(),
            client_id: "agent".to_owned(),
            secret_file: "secret".into(),
        };
        let check = |name: &str, good: bool| {
            let (api, limit) = ("https://tenant.example.com/api/v1", Duration::from_secs(1));
            let made = CpiCredential::new(api, name, login(), None, limit);
            assert_eq!(made.is_ok(), good, "{name}");
        };
        check("CLEARTAX_EINVOICE", true);
        check("a.b-c", true);
        check("", false);
        check("a'b", false);
        check("a b", false);
        check(&"x".repeat(151), false);
    }
}
