//! Calls of Vault's HTTP API: logging in, and again when the login has run out. Its answers may hold secrets, so
//! nothing of a body but known sentences is looked at outside, and none is repeated.

use super::super::Trouble;
use crate::clock::ServerClock;
use crate::credential::ClientSecret;
use crate::issuer::{BadServer, Refusal, http_client, read, safe_url};
use crate::secret::{SecretSource, SecretTrouble, parse, private_file};
use async_trait::async_trait;
use reqwest::{Client, Method, Url};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::time::BootInstant;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// How to log in.
#[derive(Clone, Debug)]
pub enum Login {
    /// A token in a file, such as the sink of `bao agent`.
    TokenFile(PathBuf),
    /// AppRole: the role's id, and its secret id in a file.
    AppRole {
        /// Where the method is mounted, usually `approle`.
        mount: String,
        /// The role's id; no secret.
        role_id: String,
        /// The file with the secret id.
        secret_id_file: PathBuf,
    },
    /// A Kubernetes service account's JWT.
    Kubernetes {
        /// Where the method is mounted, usually `kubernetes`.
        mount: String,
        /// The role.
        role: String,
        /// The file with the JWT.
        jwt_file: PathBuf,
    },
}

/// A server and a login, shared by all that use it.
#[derive(Debug)]
pub struct Connection {
    http: Client,
    address: Url,
    namespace: Option<String>,
    login: Login,
    session: Mutex<Option<Session>>,
    clock: ServerClock,
}

struct Session {
    token: Zeroizing<String>,
    /// When to log in again; none for a token that does not run out.
    until: Option<BootInstant>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session(redacted)")
    }
}

#[derive(Deserialize)]
struct LoginAnswer {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: Zeroizing<String>,
    lease_duration: u64,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// Whether the body has a sentence of Vault's own.
    pub(super) fn says(&self, sentence: &str) -> bool {
        String::from_utf8_lossy(&self.body).contains(sentence)
    }

    /// What the status means.
    pub(super) fn trouble(&self, place: &str) -> Trouble {
        match self.status {
            403 => Trouble::misconfigured(
                place,
                "permission denied (403): give this login the policy for agents, see the guide's page on Vault",
            ),
            404 => {
                Trouble::misconfigured(place, "no KV version 2 engine there (404): check the mount")
            }
            400 => Trouble::misconfigured(
                place,
                "bad request (400): is the engine KV version 2, and the login's role and secret id right?",
            ),
            503 => Trouble::unreachable(place, "sealed or down (503): unseal it"),
            status => Trouble::unreachable(place, format!("status {status}")),
        }
    }
}

impl Connection {
    /// A server by its address; `authority` is a further certificate authority in PEM form.
    ///
    /// # Errors
    /// When the address is none to which secrets may be sent.
    pub fn new(
        address: &str,
        namespace: Option<String>,
        login: Login,
        authority: Option<&[u8]>,
        answer_limit: Duration,
    ) -> Result<Self, BadServer> {
        let address = safe_url(address)?;
        Ok(Self {
            http: http_client(&address, authority, answer_limit)?,
            address,
            namespace,
            login,
            session: Mutex::new(None),
            clock: ServerClock::default(),
        })
    }

    pub(super) fn address(&self) -> &str {
        self.address.as_str().trim_end_matches('/')
    }

    pub(super) fn clock(&self) -> &ServerClock {
        &self.clock
    }

    /// One call with a valid login; one that was refused is tried once more with a new login.
    pub(super) async fn call(
        &self,
        place: &str,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<Answer, Trouble> {
        let mut session = self.session.lock().await;
        let now = self.clock.boot();
        let fresh = session
            .as_ref()
            .is_none_or(|session| session.until.is_some_and(|until| until <= now));
        if fresh {
            *session = Some(self.log_in(place).await?);
        }
        let token = session.as_ref().map(|session| session.token.as_str());
        let answer = self.send(place, method.clone(), path, body, token).await?;
        if answer.status != 403 || fresh {
            return Ok(answer);
        }
        let renewed = self.log_in(place).await?;
        let answer = self
            .send(place, method, path, body, Some(&renewed.token))
            .await;
        *session = Some(renewed);
        answer
    }

    async fn log_in(&self, place: &str) -> Result<Session, Trouble> {
        let file = |path: &PathBuf| {
            private_file(path).map_err(|what| {
                Trouble::misconfigured(place, format!("login file {}: {what}", path.display()))
            })
        };
        let (mount, body) = match &self.login {
            Login::TokenFile(path) => {
                return Ok(Session {
                    token: file(path)?,
                    until: None,
                });
            }
            Login::AppRole {
                mount,
                role_id,
                secret_id_file,
            } => {
                let secret = file(secret_id_file)?;
                (mount, json(&[("role_id", role_id), ("secret_id", &secret)]))
            }
            Login::Kubernetes {
                mount,
                role,
                jwt_file,
            } => {
                // Kubernetes projects it with a mode of its own choosing.
                let jwt = crate::destination::read_file(jwt_file, 16 * 1024)
                    .ok()
                    .flatten()
                    .and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
                    .map(Zeroizing::new)
                    .ok_or_else(|| {
                        Trouble::misconfigured(place, "the service account's JWT cannot be read")
                    })?;
                (mount, json(&[("role", role), ("jwt", jwt.trim())]))
            }
        };
        let path = format!("/v1/auth/{}/login", mount.trim_matches('/'));
        let answer = self
            .send(place, Method::POST, &path, Some(&body), None)
            .await?;
        if answer.status != 200 {
            let mut trouble = answer.trouble(place);
            trouble.what = format!("logging in: {}", trouble.what);
            return Err(trouble);
        }
        let login: LoginAnswer = serde_json::from_slice(&answer.body)
            .map_err(|_| Trouble::unreachable(place, "the answer to the login is no Vault's"))?;
        // Logging in again is cheaper than renewing, and needs no permission to.
        let good_for = login.auth.lease_duration.saturating_mul(1_000_000_000) / 10 * 8;
        let until =
            (good_for > 0).then(|| BootInstant(self.clock.boot().0.saturating_add(good_for)));
        Ok(Session {
            token: login.auth.client_token,
            until,
        })
    }

    async fn send(
        &self,
        place: &str,
        method: Method,
        path: &str,
        body: Option<&str>,
        token: Option<&str>,
    ) -> Result<Answer, Trouble> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.address()))
            .header("x-vault-request", "true");
        if let Some(token) = token {
            let mut value = reqwest::header::HeaderValue::from_str(token.trim())
                .map_err(|_| Trouble::misconfigured(place, "the login's token fits no header"))?;
            value.set_sensitive(true);
            request = request.header("x-vault-token", value);
        }
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_owned());
        }
        let broken = |what: String| Trouble::unreachable(place, what);
        let response = request
            .send()
            .await
            .map_err(|error| broken(crate::issuer::transport(&error)))?;
        let date = response.headers().get("date");
        self.clock.heard(date.and_then(|date| date.to_str().ok()));
        let status = response.status().as_u16();
        let body = read(response, false)
            .await
            .map_err(|refusal| match refusal {
                Refusal::Later { what, .. } | Refusal::Unreadable { what } => broken(what),
                other => broken(other.to_string()),
            })?;
        Ok(Answer { status, body })
    }
}

/// A flat object of texts.
fn json(fields: &[(&str, &str)]) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(4096));
    for (nth, (name, value)) in fields.iter().enumerate() {
        out.push(if nth == 0 { '{' } else { ',' });
        let value = Zeroizing::new(serde_json::to_string(value).unwrap_or_default());
        out.push_str(&format!("\"{name}\":"));
        out.push_str(&value);
    }
    out.push('}');
    out
}

/// A client secret kept in Vault: the field `client_secret` of a KV v2 document.
#[derive(Clone, Debug)]
pub struct VaultSecret {
    /// The server.
    pub connection: Arc<Connection>,
    /// The engine's mount.
    pub mount: String,
    /// The document, such as `tokenward/sandbox/erp/client`.
    pub path: String,
}

#[derive(Deserialize)]
struct SecretAnswer {
    data: SecretData,
}

#[derive(Deserialize)]
struct SecretData {
    data: Option<SecretFields>,
}

#[derive(Deserialize)]
struct SecretFields {
    client_secret: Option<Zeroizing<String>>,
}

#[async_trait]
impl SecretSource for VaultSecret {
    fn name(&self) -> String {
        format!("Vault {}/{}", self.mount, self.path)
    }

    async fn secret(&self) -> Result<ClientSecret, SecretTrouble> {
        let from = self.name();
        let url = format!(
            "/v1/{}/data/{}",
            self.mount.trim_matches('/'),
            self.path.trim_matches('/')
        );
        let trouble = |trouble: Trouble| SecretTrouble {
            passing: trouble.kind == crate::destination::Kind::Unreachable,
            ..SecretTrouble::new(&from, trouble.what)
        };
        let answer = self
            .connection
            .call(&from, Method::GET, &url, None)
            .await
            .map_err(trouble)?;
        if answer.status == 404 {
            return Err(SecretTrouble::new(
                &from,
                "there is no such document; put the secret into its field client_secret",
            ));
        }
        if answer.status != 200 {
            return Err(trouble(answer.trouble(&from)));
        }
        let text = serde_json::from_slice::<SecretAnswer>(&answer.body)
            .ok()
            .and_then(|answer| answer.data.data?.client_secret)
            .ok_or_else(|| SecretTrouble::new(&from, "it has no field client_secret"))?;
        parse(&from, &text)
    }
}
