//! Asking the server whether what was found still lives. Nothing asked here changes anything: no
//! token is made, no quota used.

use super::super::api::{base, body, http_client, no_answer};
use super::super::error::{CliError, Problem};
use super::super::place::Address;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, RequestBuilder, Url};
use serde_json::Value;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use tokenward_core::scan::Kind;
use zeroize::Zeroizing;

/// Whether a credential opens anything now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Life {
    /// It does.
    Live,
    /// It does not.
    Dead,
    /// The server could not be asked, or did not say; a sentence why.
    Unknown(String),
}

impl Life {
    /// In a word.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Dead => "dead",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// The two listeners to ask, and what they have said.
pub(crate) struct Online {
    public: Listener,
    internal: Listener,
    /// What introspection demands, if it demands something.
    internal_auth: Option<HeaderValue>,
    /// By two hashes under random keys: the credential itself is not kept.
    known: HashMap<[u64; 2], Life>,
    hashers: [RandomState; 2],
}

impl Online {
    /// Finds out where to ask; sends nothing yet.
    pub(crate) fn new(
        at: &Address,
        internal_url: Option<&str>,
        internal_auth: Option<&Path>,
    ) -> Result<Online, CliError> {
        Ok(Online {
            public: Listener::new(at, &at.public()?)?,
            internal: Listener::new(at, &at.internal(internal_url)?)?,
            internal_auth: internal_auth.map(bearer).transpose()?,
            known: HashMap::new(),
            hashers: [RandomState::new(), RandomState::new()],
        })
    }

    /// Whether a credential lives; a second find of the same one is not asked about again.
    pub(crate) async fn life(&mut self, kind: Kind, text: &str) -> Life {
        let name = self.hashers.each_ref().map(|hasher| hasher.hash_one(text));
        if let Some(life) = self.known.get(&name) {
            return life.clone();
        }
        let life = match kind {
            Kind::AccessToken => self.token(text).await,
            Kind::ClientSecret => self.secret(text).await.unwrap_or(Life::Dead),
            Kind::AdminKey => self.admin_key(text).await.unwrap_or(Life::Dead),
        };
        self.known.insert(name, life.clone());
        life
    }

    async fn token(&mut self, token: &str) -> Life {
        let url = format!("{}/oauth2/introspect", self.internal.base);
        let mut request = self.internal.http.post(url).form(&[("token", token)]);
        if let Some(auth) = &self.internal_auth {
            request = request.header(AUTHORIZATION, auth.clone());
        }
        self.internal.ask(request, token_life).await
    }

    /// None when it fits no header.
    async fn secret(&mut self, secret: &str) -> Option<Life> {
        let url = format!("{}/integration/v1/authz/token/status", self.public.base);
        let request = self.public.http.get(url);
        let request = request.header("x-clear-client-secret", sensitive(secret)?);
        Some(self.public.ask(request, secret_life).await)
    }

    /// None when it fits no header.
    async fn admin_key(&mut self, key: &str) -> Option<Life> {
        let url = format!("{}/admin/v1/status", self.public.base);
        let bearer = Zeroizing::new(format!("Bearer {key}"));
        let request = self.public.http.get(url);
        let request = request.header(AUTHORIZATION, sensitive(&bearer)?);
        Some(self.public.ask(request, admin_life).await)
    }
}

/// A listener.
struct Listener {
    http: Client,
    base: String,
    /// Why it does not answer: asked once, not for every find.
    silent: Option<String>,
}

impl Listener {
    fn new(at: &Address, url: &Url) -> Result<Self, CliError> {
        Ok(Self {
            http: http_client(at, url)?,
            base: base(url),
            silent: None,
        })
    }

    async fn ask(&mut self, request: RequestBuilder, read: fn(u16, &[u8]) -> Option<bool>) -> Life {
        if let Some(why) = &self.silent {
            return Life::Unknown(why.clone());
        }
        match self.answer(request).await {
            Ok((status, bytes)) => match read(status, &bytes) {
                Some(true) => Life::Live,
                Some(false) => Life::Dead,
                None => Life::Unknown(format!("{} answered with status {status}", self.base)),
            },
            Err(error) => {
                let why = error.report(false).unwrap_or_default();
                let why = why.trim_start_matches("error: ").to_owned();
                self.silent = Some(why.clone());
                Life::Unknown(why)
            }
        }
    }

    async fn answer(&self, request: RequestBuilder) -> Result<(u16, Vec<u8>), CliError> {
        let response = request.send().await;
        let response = response.map_err(|error| no_answer(&self.base, &error))?;
        let status = response.status().as_u16();
        let bytes = body(response, &self.base).await?;
        Ok((status, bytes))
    }
}

/// A bearer token from a file.
fn bearer(path: &Path) -> Result<HeaderValue, CliError> {
    let failed = |why: String| CliError::Failed(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| failed(error.to_string()))?;
    let bearer = Zeroizing::new(format!("Bearer {}", text.trim()));
    sensitive(&bearer).ok_or_else(|| failed("it holds no token that fits a header".to_owned()))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// RFC 7662, section 2.2.
fn token_life(status: u16, body: &[u8]) -> Option<bool> {
    let answer: Value = serde_json::from_slice(body)
        .ok()
        .filter(|_| status == 200)?;
    answer["active"].as_bool()
}

/// A secret that is refused only for where it was presented still opens elsewhere.
fn secret_life(status: u16, body: &[u8]) -> Option<bool> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = answer
        .pointer("/errors/0/error_code")
        .and_then(Value::as_str);
    match (status, code) {
        (200, _) | (401, Some("ENVIRONMENT_MISMATCH")) | (403, Some("ADDRESS_NOT_ALLOWED")) => {
            Some(true)
        }
        (401, Some("CLIENT_SECRET_INVALID" | "CLIENT_DELETED" | "CLIENT_DISABLED")) => Some(false),
        _ => None,
    }
}

/// A key that may not see the status is still a key.
fn admin_life(status: u16, body: &[u8]) -> Option<bool> {
    match (status, Problem::read(status, body).code()) {
        (200 | 403, _) => Some(true),
        (401, Some(_)) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_refused_for_the_place_alone_lives() {
        let check = |status: u16, code: &str, expect: Option<bool>| {
            let body = format!(r#"{{"errors":[{{"error_code":"{code}"}}]}}"#);
            assert_eq!(secret_life(status, body.as_bytes()), expect, "{code}");
        };
        check(200, "", Some(true));
        check(401, "ENVIRONMENT_MISMATCH", Some(true));
        check(403, "ADDRESS_NOT_ALLOWED", Some(true));
        check(401, "CLIENT_SECRET_INVALID", Some(false));
        check(401, "CLIENT_DELETED", Some(false));
        check(401, "CLIENT_DISABLED", Some(false));
        check(503, "TEMPORARILY_UNAVAILABLE", None);
        assert_eq!(
            secret_life(401, b"<html>"),
            None,
            "another program's 401 says nothing"
        );
    }

    #[test]
    fn introspection_is_believed_only_in_its_own_form() {
        assert_eq!(token_life(200, br#"{"active":true}"#), Some(true));
        assert_eq!(token_life(200, br#"{"active":false}"#), Some(false));
        assert_eq!(token_life(200, b"{}"), None);
        assert_eq!(token_life(404, br#"{"active":false}"#), None);
        assert_eq!(admin_life(401, b""), None);
        assert_eq!(
            admin_life(401, br#"{"code":"ADMIN_KEY_INVALID"}"#),
            Some(false)
        );
        assert_eq!(admin_life(403, b""), Some(true));
    }
}
