//! Calls of Vault's HTTP API: logging in, renewing the login, logging in again when it has run out, and ending it. Its
//! answers may hold secrets, so nothing of a body but known sentences is looked at outside, and none is repeated. A token
//! is sent to the address configured, and to the hosts listed beside it, and nowhere else.

use super::super::{DestinationError, body_of};
use crate::clock::ServerClock;
use crate::credential::ClientSecret;
use crate::issuer::{IssuerError, http_client, safe_url, transport};
use crate::secret::{SecretError, SecretSource, parse, private_file};
use crate::timer;
use async_trait::async_trait;
use reqwest::{Client, Method, Url};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::time::BootInstant;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// How to log in.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Login {
    /// A token in a file, such as the sink of `bao agent`.
    TokenFile(PathBuf),
    /// AppRole: the role's id, and its secret id in a file.
    #[serde(rename = "approle")]
    AppRole {
        /// Where the method is mounted, usually `approle`.
        #[serde(default = "approle")]
        mount: String,
        /// The role's id; no secret.
        role_id: String,
        /// The file with the secret id.
        secret_id_file: PathBuf,
    },
    /// A Kubernetes service account's JWT.
    Kubernetes {
        /// Where the method is mounted, usually `kubernetes`.
        #[serde(default = "kubernetes")]
        mount: String,
        /// The role.
        role: String,
        /// The file with the JWT.
        #[serde(default = "service_account")]
        jwt_file: PathBuf,
    },
}

fn approle() -> String {
    "approle".to_owned()
}

fn kubernetes() -> String {
    "kubernetes".to_owned()
}

/// Where Kubernetes puts a service account's JWT.
fn service_account() -> PathBuf {
    "/var/run/secrets/kubernetes.io/serviceaccount/token".into()
}

impl Login {
    /// The same with its file beside others in this folder, unless its path is absolute.
    #[must_use]
    pub fn beside(mut self, folder: &Path) -> Self {
        let (Self::TokenFile(file)
        | Self::AppRole {
            secret_id_file: file,
            ..
        }
        | Self::Kubernetes { jwt_file: file, .. }) = &mut self;
        *file = folder.join(&*file);
        self
    }
}

/// A server and a login, shared by all that use it. A session that was begun here is kept alive by renewing it, so that a
/// secret id that is good for one use serves as long as the role allows, and is given back by [`Connection::close`].
#[derive(Debug)]
pub struct Connection {
    http: Client,
    address: Url,
    redirect_hosts: Vec<String>,
    namespace: Option<String>,
    login: Login,
    session: Mutex<Option<Session>>,
    clock: ServerClock,
}

struct Session {
    token: Zeroizing<String>,
    /// When to log in again; none for a token that does not run out.
    until: Option<BootInstant>,
    /// Whether it was begun here, and so is renewed and ended here. A token from a file is somebody else's.
    is_ours: bool,
    /// Renews it in the background.
    keeper: Option<tokio::task::AbortHandle>,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session(redacted)")
    }
}

/// Redirects followed in one call: a standby names the active node, which may have changed a moment ago.
const MOST_REDIRECTS: u32 = 2;
/// Times a call is made again that a node could not answer because it lags behind the others (412), and the rest between.
const MOST_LAGS: u32 = 10;
const LAG_REST: Duration = Duration::from_millis(200);
/// How long giving a session back may delay the end of a program; it runs out by itself otherwise.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);
/// Shortest rest before a renewal is tried again, and a session shorter than this is left to run out.
const SHORTEST_RENEWAL: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct LoginAnswer {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: Zeroizing<String>,
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Zeroizing<Vec<u8>>,
    /// Where a standby sends the caller.
    location: Option<String>,
}

impl Answer {
    /// Whether the body has a sentence of Vault's own.
    pub(super) fn says(&self, sentence: &str) -> bool {
        String::from_utf8_lossy(&self.body).contains(sentence)
    }

    /// What the status means.
    pub(super) fn trouble(&self, place: &str) -> DestinationError {
        let misconfigured = |what| DestinationError::misconfigured(place, what);
        let unreachable = |what| DestinationError::unreachable(place, what);
        match self.status {
            403 => misconfigured(
                "permission denied (403): give this login the policy for agents, see the guide's page on Vault",
            ),
            404 => misconfigured("no KV version 2 engine there (404): check the mount"),
            400 => misconfigured(
                "bad request (400): is the engine KV version 2, and the login's role and secret id right?",
            ),
            412 => unreachable("this node lags behind the others (412)"),
            429 => unreachable("too many requests (429): a rate limit of the server"),
            472 => unreachable(
                "a disaster recovery secondary answers there (472), which serves nothing: give the primary's address",
            ),
            473 => unreachable(
                "a performance standby answers there (473), which cannot serve this: give the active node's address",
            ),
            501 => unreachable("not initialised (501): initialise and unseal it"),
            503 => unreachable("sealed or down (503): unseal it"),
            status => DestinationError::unreachable(place, format!("status {status}")),
        }
    }
}

impl Connection {
    /// A server by its address. A standby node may send calls on to `redirect_hosts` (`host` or `host:port`), by the same
    /// scheme; without them calls go to the address alone. `authority` is a further certificate authority in PEM form.
    ///
    /// # Errors
    /// When the address is none to which secrets may be sent.
    pub fn new(
        address: &str,
        redirect_hosts: Vec<String>,
        namespace: Option<String>,
        login: Login,
        authority: Option<&[u8]>,
        answer_limit: Duration,
    ) -> Result<Self, IssuerError> {
        let address = safe_url(address)?;
        Ok(Self {
            http: http_client(&address, authority, answer_limit)?,
            address,
            redirect_hosts,
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

    /// One call with a valid login; one that was refused is tried once more with a new login, unless the login is still
    /// good and so lacks the permission.
    pub(super) async fn call(
        self: &Arc<Self>,
        place: &str,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<Answer, DestinationError> {
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
        let itself = "/v1/auth/token/lookup-self";
        let lookup = self.send(place, Method::GET, itself, None, token).await?;
        if lookup.status == 200 {
            return Ok(answer);
        }
        let renewed = self.log_in(place).await?;
        let token = Some(renewed.token.as_str());
        let answer = self.send(place, method, path, body, token).await;
        *session = Some(renewed);
        answer
    }

    /// Ends a session that was begun here; the next call begins another. One that cannot be ended runs out by itself.
    pub async fn close(&self) {
        let session = self.session.lock().await.take();
        let Some(session) = session.filter(|session| session.is_ours) else {
            return;
        };
        let (place, path) = (self.address(), "/v1/auth/token/revoke-self");
        let token = Some(session.token.as_str());
        let ended = self.send(place, Method::POST, path, Some("{}"), token);
        match tokio::time::timeout(CLOSE_LIMIT, ended).await {
            Ok(Ok(answer)) if answer.status < 300 => {}
            Ok(Ok(answer)) => tracing::debug!(status = answer.status, "a session was not ended"),
            Ok(Err(trouble)) => tracing::debug!(%trouble, "a session was not ended"),
            Err(_) => tracing::debug!("a session was not ended in time"),
        }
    }

    async fn log_in(self: &Arc<Self>, place: &str) -> Result<Session, DestinationError> {
        let file = |path: &PathBuf| {
            let wrong = |what| format!("login file {}: {what}", path.display());
            private_file(path).map_err(|what| DestinationError::misconfigured(place, wrong(what)))
        };
        let (mount, body) = match &self.login {
            Login::TokenFile(path) => {
                return Ok(Session {
                    token: file(path)?,
                    until: None,
                    is_ours: false,
                    keeper: None,
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
                let jwt = crate::destination::read_file(jwt_file, 16 * 1024);
                let jwt = jwt.ok().flatten().unwrap_or_default();
                let what = "the service account's JWT cannot be read or is empty";
                let jwt = std::str::from_utf8(&jwt)
                    .ok()
                    .map(str::trim)
                    .filter(|jwt| !jwt.is_empty())
                    .ok_or_else(|| DestinationError::misconfigured(place, what))?;
                (mount, json(&[("role", role), ("jwt", jwt)]))
            }
        };
        let path = format!("/v1/auth/{}/login", mount.trim_matches('/'));
        let answer = self.send(place, Method::POST, &path, Some(&body), None);
        let answer = answer.await?;
        if answer.status != 200 {
            return Err(self.not_logged_in(place, &answer));
        }
        let login: LoginAnswer = serde_json::from_slice(&answer.body).map_err(|_| {
            DestinationError::unreachable(place, "the answer to the login is no Vault's")
        })?;
        let lifetime = Duration::from_secs(login.auth.lease_duration);
        Ok(Session {
            token: login.auth.client_token,
            until: self.usable_for(lifetime),
            is_ours: true,
            keeper: (login.auth.renewable && lifetime > SHORTEST_RENEWAL)
                .then(|| self.keep_alive(lifetime)),
        })
    }

    fn not_logged_in(&self, place: &str, answer: &Answer) -> DestinationError {
        let mut trouble = answer.trouble(place);
        trouble.what = match &self.login {
            Login::AppRole { secret_id_file, .. } if answer.status == 400 => format!(
                "the login is refused (400): the role's id is wrong, or the secret id in {} is wrong, used up or expired. \
                 Write a new secret id there",
                secret_id_file.display()
            ),
            _ => format!("logging in: {}", trouble.what),
        };
        trouble
    }

    /// When a session of this length is no longer relied on; none for one without an end.
    fn usable_for(&self, lifetime: Duration) -> Option<BootInstant> {
        let nanos = u64::try_from(lifetime.as_nanos()).unwrap_or(u64::MAX) / 10 * 9;
        (nanos > 0).then(|| BootInstant(self.clock.boot().0.saturating_add(nanos)))
    }

    /// Renews the session in the background for as long as it and the connection are there.
    fn keep_alive(self: &Arc<Self>, lifetime: Duration) -> tokio::task::AbortHandle {
        let connection = Arc::downgrade(self);
        let task = tokio::spawn(async move {
            let mut pause = lifetime / 3 * 2;
            loop {
                if timer::sleep_through_suspend(pause).await.is_err() {
                    return;
                }
                let Some(connection) = connection.upgrade() else {
                    return;
                };
                let Some(next) = connection.renew().await else {
                    return;
                };
                pause = next;
            }
        });
        task.abort_handle()
    }

    /// Renews the session once; answers with the pause before the next time, or none when it is to run out.
    async fn renew(&self) -> Option<Duration> {
        let (token, until) = {
            let session = self.session.lock().await;
            let session = session.as_ref()?;
            (session.token.clone(), session.until?)
        };
        let left = Duration::from_nanos(until.0.saturating_sub(self.clock.boot().0));
        let again = || (!left.is_zero()).then(|| (left / 3).max(SHORTEST_RENEWAL));
        let path = "/v1/auth/token/renew-self";
        let answer = self.send(self.address(), Method::POST, path, Some("{}"), Some(&token));
        let answer = match answer.await {
            Ok(answer) => answer,
            Err(trouble) => {
                tracing::debug!(%trouble, "a session is not renewed yet");
                return again();
            }
        };
        let renewed: Option<LoginAnswer> = serde_json::from_slice(&answer.body).ok();
        match (answer.status, renewed) {
            (200, Some(renewed)) => {
                let lifetime = Duration::from_secs(renewed.auth.lease_duration);
                let mut session = self.session.lock().await;
                let session = session.as_mut().filter(|session| session.token == token)?;
                session.until = self.usable_for(lifetime);
                // At the role's longest time there is nothing left to renew: it runs out, and the next call logs in.
                (lifetime > SHORTEST_RENEWAL).then(|| (lifetime / 3 * 2).max(SHORTEST_RENEWAL))
            }
            (500.. | 412 | 429, _) => again(),
            (status, _) => {
                tracing::debug!(status, "a session is not renewed; it runs out");
                None
            }
        }
    }

    /// One exchange; a standby is followed to the active node, and a node that lags behind is given a moment.
    async fn send(
        &self,
        place: &str,
        method: Method,
        path: &str,
        body: Option<&str>,
        token: Option<&str>,
    ) -> Result<Answer, DestinationError> {
        let mut base = self.address().to_owned();
        let mut redirects = 0;
        let mut lags = 0;
        loop {
            let url = format!("{base}{path}");
            let answer = self.send_to(place, &method, url, body, token).await?;
            match answer.status {
                307 | 308 if redirects < MOST_REDIRECTS => {
                    redirects += 1;
                    base = self.redirected(place, answer.location.as_deref())?;
                }
                412 if lags < MOST_LAGS => {
                    lags += 1;
                    timer::rest(LAG_REST).await;
                }
                _ => return Ok(answer),
            }
        }
    }

    /// The node that a standby names, if a token may be sent there: by the same scheme, to a host that is listed.
    fn redirected(&self, place: &str, location: Option<&str>) -> Result<String, DestinationError> {
        let named = location.and_then(|location| self.address.join(location).ok());
        let Some((named, host)) = named
            .as_ref()
            .and_then(|named| Some((named, named.host_str()?)))
        else {
            let what = "a standby answers there (307) and names no active node: give the active node's address";
            return Err(DestinationError::unreachable(place, what));
        };
        let port = named.port_or_known_default().unwrap_or(0);
        let authority = format!("{host}:{port}");
        let is_itself = named.origin() == self.address.origin();
        let is_listed = self
            .redirect_hosts
            .iter()
            .any(|listed| *listed == host || *listed == authority);
        if named.scheme() != self.address.scheme() {
            let what = format!(
                "a standby answers there (307) and names the active node with {}:// instead of {}://: correct api_addr in \
                 its configuration, or give the active node's address",
                named.scheme(),
                self.address.scheme()
            );
            return Err(DestinationError::misconfigured(place, what));
        }
        if !is_itself && (!is_listed || safe_url(named.as_str()).is_err()) {
            let what = format!(
                "a standby answers there (307) and names {authority} as the active node, which is not in redirect_hosts: \
                 add it there, or give the active node's address"
            );
            return Err(DestinationError::misconfigured(place, what));
        }
        Ok(named.origin().ascii_serialization())
    }

    async fn send_to(
        &self,
        place: &str,
        method: &Method,
        url: String,
        body: Option<&str>,
        token: Option<&str>,
    ) -> Result<Answer, DestinationError> {
        let mut request = self
            .http
            .request(method.clone(), url)
            .header("x-vault-request", "true");
        if let Some(token) = token {
            let mut value = reqwest::header::HeaderValue::from_str(token.trim()).map_err(|_| {
                DestinationError::misconfigured(place, "the login's token fits no header")
            })?;
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
        let response = request
            .send()
            .await
            .map_err(|error| DestinationError::unreachable(place, transport(&error)))?;
        self.clock.heard_in(&response);
        let status = response.status().as_u16();
        let location = response.headers().get("location");
        let location = location.and_then(|location| Some(location.to_str().ok()?.to_owned()));
        Ok(Answer {
            status,
            body: body_of(response, place).await?,
            location,
        })
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

    fn is_near(&self) -> bool {
        false
    }

    async fn close(&self) {
        self.connection.close().await;
    }

    async fn secret(&self) -> Result<ClientSecret, SecretError> {
        let from = self.name();
        let url = format!(
            "/v1/{}/data/{}",
            self.mount.trim_matches('/'),
            self.path.trim_matches('/')
        );
        let trouble = |trouble: DestinationError| SecretError {
            passing: trouble.kind == crate::destination::Kind::Unreachable,
            ..SecretError::new(&from, trouble.what)
        };
        let answer = self
            .connection
            .call(&from, Method::GET, &url, None)
            .await
            .map_err(trouble)?;
        if answer.status == 404 {
            return Err(SecretError::new(
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
            .ok_or_else(|| SecretError::new(&from, "it has no field client_secret"))?;
        parse(&from, &text)
    }
}
