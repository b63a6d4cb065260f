//! Calls of a tenant's OData API: a login by OAuth client credentials, again when it has run out; a token against
//! cross-site forgery for writes; at most ten calls a second. No body is repeated outside, for it may hold a token.

use super::super::DestinationError;
use crate::issuer::{Refusal, broken, http_client, read, safe_url};
use crate::secret::private_file;
use crate::timer::rest;
use reqwest::header::{
    ACCEPT, CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, RETRY_AFTER, SET_COOKIE,
};
use reqwest::{Client, Method, RequestBuilder, Url};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// Header of the token against cross-site forgery.
const CSRF: &str = "x-csrf-token";
/// Pause before each call: a tenant takes twelve a second.
const PACE: Duration = Duration::from_millis(100);
/// Times a call is sent again after "too many".
const MOST_TRIES: u32 = 5;
/// Longest pause that a tenant can ask for; longer is trouble to be told.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The OAuth client that may write Security Material.
#[derive(Clone, Debug)]
pub struct Login {
    /// Where it logs in.
    pub token_url: String,
    /// Its id; no secret.
    pub client_id: String,
    /// The file with its secret, which only its owner reads.
    pub secret_file: PathBuf,
}

/// A tenant and a login.
#[derive(Debug)]
pub(super) struct Tenant {
    http: Client,
    api: Url,
    token_url: Url,
    login: Login,
    session: Mutex<Option<Session>>,
}

/// What a login gave.
#[derive(Clone)]
struct Session {
    authorization: HeaderValue,
    forgery: Option<Forgery>,
}

/// The token against cross-site forgery, and the cookies it goes with.
#[derive(Clone)]
struct Forgery {
    token: HeaderValue,
    cookies: HeaderValue,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session(redacted)")
    }
}

#[derive(Deserialize)]
struct LoginAnswer {
    access_token: Zeroizing<String>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Zeroizing<Vec<u8>>,
    headers: HeaderMap,
}

impl Answer {
    /// What the status means.
    pub(super) fn trouble(&self, place: &str) -> DestinationError {
        let misconfigured = |what| DestinationError::misconfigured(place, what);
        let unreachable = |what| DestinationError::unreachable(place, what);
        match self.status {
            400 => misconfigured(
                "the tenant refuses the artifact (400): is there one of this name and another kind?",
            ),
            401 => misconfigured(
                "the tenant does not take the login (401): is the OAuth client of a service key of plan api of this tenant?",
            ),
            403 if self.wants_forgery_token() => {
                unreachable("the tenant wants another CSRF token than it gave (403)")
            }
            403 => misconfigured(
                "the OAuth client may not write Security Material (403): give its service key the role CredentialsEdit",
            ),
            404 => misconfigured("no such API (404): the address ends in /api/v1"),
            429 => unreachable("too many calls (429)"),
            status => DestinationError::unreachable(place, format!("status {status}")),
        }
    }

    fn wants_forgery_token(&self) -> bool {
        let told = self.headers.get(CSRF).and_then(|value| value.to_str().ok());
        self.status == 403 && told.is_some_and(|told| told.eq_ignore_ascii_case("required"))
    }

    /// Whether the call is sent again after a pause, when it has been sent so often.
    fn is_to_be_repeated(&self, tries: u32) -> bool {
        self.status == 429 && tries < MOST_TRIES && self.pause() <= LONGEST_PAUSE
    }

    fn pause(&self) -> Duration {
        let told = self.headers.get(RETRY_AFTER);
        let seconds = told.and_then(|value| value.to_str().ok()?.parse().ok());
        seconds.map_or(Duration::from_secs(1), Duration::from_secs)
    }
}

impl Tenant {
    pub(super) fn new(
        api: &str,
        login: Login,
        authority: Option<&[u8]>,
        answer_limit: Duration,
    ) -> Result<Self, String> {
        let api = safe_url(api).map_err(|error| format!("api: {error}"))?;
        let token_url =
            safe_url(&login.token_url).map_err(|error| format!("token_url: {error}"))?;
        let http = http_client(&api, authority, answer_limit).map_err(|error| error.to_string())?;
        Ok(Self {
            http,
            api,
            token_url,
            login,
            session: Mutex::new(None),
        })
    }

    /// The tenant's host, for people.
    pub(super) fn host(&self) -> &str {
        self.api.host_str().unwrap_or_default()
    }

    /// One call with a valid login and, unless it reads, a valid forgery token; each is fetched anew once.
    pub(super) async fn call(
        &self,
        place: &str,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<Answer, DestinationError> {
        let changes = method != Method::GET;
        let mut slot = self.session.lock().await;
        let (mut logged_in, mut fetched) = (false, false);
        let mut tries = 0;
        loop {
            let mut session = match slot.take() {
                Some(session) => session,
                None => {
                    logged_in = true;
                    self.log_in(place).await?
                }
            };
            if changes && session.forgery.is_none() {
                fetched = true;
                session.forgery = self.fetch_forgery(place, &session).await?;
            }
            let mut request = self
                .request(method.clone(), path, &session)
                .header(CONTENT_TYPE, "application/json");
            if let Some(forgery) = session.forgery.as_ref().filter(|_| changes) {
                request = request
                    .header(CSRF, forgery.token.clone())
                    .header(COOKIE, forgery.cookies.clone());
            }
            if let Some(body) = body {
                request = request.body(body.to_vec());
            }
            let answer = self.send(place, request).await?;
            tries += 1;
            if answer.status == 401 && !logged_in {
                continue;
            }
            if answer.wants_forgery_token() && !fetched {
                session.forgery = None;
                *slot = Some(session);
                continue;
            }
            *slot = Some(session);
            if !answer.is_to_be_repeated(tries) {
                return Ok(answer);
            }
            rest(answer.pause()).await;
        }
    }

    async fn log_in(&self, place: &str) -> Result<Session, DestinationError> {
        let secret = private_file(&self.login.secret_file).map_err(|what| {
            DestinationError::misconfigured(place, format!("secret_file: {what}"))
        })?;
        let request = self
            .http
            .post(self.token_url.clone())
            .basic_auth(&self.login.client_id, Some(secret.trim()))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials");
        let answer = self.send(place, request).await?;
        match answer.status {
            200 => {}
            status @ (400 | 401 | 403) => {
                let what = format!(
                    "the login server refuses the OAuth client ({status}): check client_id and secret_file"
                );
                return Err(DestinationError::misconfigured(place, what));
            }
            status => {
                let what = format!("the login server answers {status}");
                return Err(DestinationError::unreachable(place, what));
            }
        }
        let strange =
            || DestinationError::misconfigured(place, "token_url is no OAuth token endpoint");
        let told: LoginAnswer = serde_json::from_slice(&answer.body).map_err(|_| strange())?;
        let text = Zeroizing::new(format!("Bearer {}", told.access_token.as_str()));
        let mut authorization = HeaderValue::from_str(&text).map_err(|_| strange())?;
        authorization.set_sensitive(true);
        Ok(Session {
            authorization,
            forgery: None,
        })
    }

    /// Asks for a token against cross-site forgery; none where the tenant wants none.
    async fn fetch_forgery(
        &self,
        place: &str,
        session: &Session,
    ) -> Result<Option<Forgery>, DestinationError> {
        let mut tries = 0;
        let answer = loop {
            let request = self.request(Method::GET, "", session);
            let answer = self.send(place, request.header(CSRF, "Fetch")).await?;
            tries += 1;
            if !answer.is_to_be_repeated(tries) {
                break answer;
            }
            rest(answer.pause()).await;
        };
        let Some(token) = answer.headers.get(CSRF).cloned() else {
            return Ok(None);
        };
        let cookies: Vec<&str> = answer
            .headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok()?.split(';').next())
            .collect();
        let Ok(cookies) = HeaderValue::from_str(&cookies.join("; ")) else {
            return Ok(None);
        };
        Ok(Some(Forgery { token, cookies }))
    }

    fn request(&self, method: Method, path: &str, session: &Session) -> RequestBuilder {
        let base = self.api.as_str().trim_end_matches('/');
        self.http
            .request(method, format!("{base}/{path}"))
            .header(
                reqwest::header::AUTHORIZATION,
                session.authorization.clone(),
            )
            .header(ACCEPT, "application/json")
    }

    async fn send(&self, place: &str, request: RequestBuilder) -> Result<Answer, DestinationError> {
        rest(PACE).await;
        let response = request
            .send()
            .await
            .map_err(|error| DestinationError::unreachable(place, broken(&error)))?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = read(response, false)
            .await
            .map_err(|refusal| match refusal {
                Refusal::Later { .. } => {
                    DestinationError::unreachable(place, "the answer broke off")
                }
                _ => DestinationError::misconfigured(
                    place,
                    "the answer is too long for a tenant's OData API",
                ),
            })?;
        Ok(Answer {
            status,
            body,
            headers,
        })
    }
}
