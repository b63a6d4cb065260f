//! A caller of the admin API. It follows no redirect and repeats no request: a key goes where the
//! operator said, and an act happens once.

use super::error::{CliError, Problem};
use super::place::{Address, Connection, is_loopback};
use super::table::printable;
use reqwest::header::{AUTHORIZATION, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, Url, redirect};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::cell::Cell;
use std::time::Duration;
use uuid::Uuid;
use zeroize::Zeroizing;

/// How long a connection may take to stand.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long the server may be silent; verifying a long audit chain is the slow case.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);
/// Longest answer taken: a page of a list is far shorter.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Query parameters of a call.
pub(crate) type Query = Vec<(&'static str, String)>;

/// The parameters that have a value.
pub(crate) fn query<const N: usize>(all: [(&'static str, Option<String>); N]) -> Query {
    let given = |(name, value): (_, Option<_>)| Some((name, value?));
    all.into_iter().filter_map(given).collect()
}

/// A body of an answer, with the JSON as the server wrote it.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value", bound = "T: DeserializeOwned")]
pub(crate) struct Answer<T> {
    /// What a program reads.
    pub(crate) json: Value,
    /// What it says.
    body: T,
}

impl<T: DeserializeOwned> TryFrom<Value> for Answer<T> {
    type Error = serde_json::Error;

    fn try_from(json: Value) -> Result<Self, Self::Error> {
        let body = T::deserialize(&json)?;
        Ok(Self { json, body })
    }
}

impl<T: DeserializeOwned> Answer<T> {
    /// Reads a body.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice::<Value>(bytes)?.try_into()
    }
}

impl<T> std::ops::Deref for Answer<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.body
    }
}

/// The admin API of one server with one key.
pub(crate) struct Api {
    http: Client,
    base: String,
    key: HeaderValue,
    key_id: Uuid,
    server_time: Cell<Option<jiff::Timestamp>>,
}

impl Api {
    /// Prepares to call; nothing is sent yet.
    pub(crate) fn new(at: &Connection) -> Result<Api, CliError> {
        let (url, key) = at.resolve()?;
        let bearer = Zeroizing::new(format!("Bearer {}", *key.expose()));
        let mut header = HeaderValue::from_str(&bearer)
            .map_err(|_| CliError::Failed("the admin key fits no header".to_owned()))?;
        header.set_sensitive(true);
        Ok(Api {
            http: http_client(&at.address, &url)?,
            base: base(&url),
            key: header,
            key_id: key.id(),
            server_time: Cell::new(None),
        })
    }

    /// The server's public address as used here, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The id of the key in use.
    pub(crate) fn key_id(&self) -> Uuid {
        self.key_id
    }

    /// The server's clock at its latest answer.
    pub(crate) fn server_time(&self) -> Option<jiff::Timestamp> {
        self.server_time.get()
    }

    /// Reads; `path` follows `/admin/v1` and needs no escaping.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, CliError> {
        self.read(path, &Vec::new()).await
    }

    /// Reads something of a known shape.
    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query,
    ) -> Result<T, CliError> {
        let request = self.request(Method::GET, path).query(query);
        let bytes = self.bytes(request).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            CliError::Failed(format!(
                "{}{path} answered what is not its contract: {error}",
                self.base
            ))
        })
    }

    /// Acts. `body` is one of the API's; what is null in it is left out.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: impl Serialize,
    ) -> Result<Answer<T>, CliError> {
        let mut request = self.request(method, path);
        let failed = |error: serde_json::Error| CliError::Failed(error.to_string());
        match serde_json::to_value(body).map_err(failed)? {
            Value::Null => {}
            Value::Object(mut members) => {
                members.retain(|_, member| !member.is_null());
                request = request.json(&members);
            }
            other => request = request.json(&other),
        }
        let mut bytes = self.bytes(request).await?;
        if bytes.is_empty() {
            bytes.extend_from_slice(b"null");
        }
        Answer::read(&bytes).map_err(|error| {
            // The act has happened: say so, for it must not be repeated blindly.
            CliError::Failed(format!(
                "the server did it, but its answer can't be read: {error}"
            ))
        })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/admin/v1{path}", self.base);
        self.http
            .request(method, url)
            .header(AUTHORIZATION, self.key.clone())
    }

    async fn bytes(&self, request: RequestBuilder) -> Result<Vec<u8>, CliError> {
        let response = request
            .send()
            .await
            .map_err(|error| no_answer(&self.base, &error))?;
        if let Some(time) = date(response.headers()) {
            self.server_time.set(Some(time));
        }
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER);
        let retry_after_seconds = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let bytes = body(response, &self.base).await?;
        if status.is_success() {
            return Ok(bytes);
        }
        if status.is_redirection() {
            return Err(CliError::Failed(format!(
                "{} redirects elsewhere; the key is not sent after it. Give the final address with --url",
                self.base
            )));
        }
        let problem = Problem {
            retry_after_seconds,
            ..Problem::read(status.as_u16(), &bytes)
        };
        if problem.code().is_some() {
            return Err(CliError::Refused(Box::new(problem)));
        }
        Err(CliError::Failed(not_ours(&self.base, &problem)))
    }
}

/// What to say of a refusal that is no problem document of the admin API.
fn not_ours(base: &str, problem: &Problem) -> String {
    let status = problem.status;
    // A fault outside the API's own code is answered in the token API's form.
    let error = &problem
        .members
        .get("errors")
        .and_then(|errors| errors.get(0));
    let of = |name: &str| error.and_then(|error| error[name].as_str()).map(printable);
    match (of("error_message"), of("error_id")) {
        (Some(message), Some(id)) if status >= 500 => {
            format!("{message}\n  status    {status}\n  error id  {id}")
        }
        (Some(_), Some(_)) => format!(
            "{base} answered {status}: the admin API is not served there. It looks like Tokenward's internal listener; \
             give the public listener's address with --url"
        ),
        _ => format!(
            "{base} answered {status}, but not as Tokenward's admin API does. A gateway, a proxy or another server is at \
             this address; give the public listener's address with --url"
        ),
    }
}

/// The text to put before a path.
pub(crate) fn base(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// An HTTP client for calls to `url` that carry a credential.
pub(crate) fn http_client(at: &Address, url: &Url) -> Result<Client, CliError> {
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_LIMIT)
        .read_timeout(SILENCE_LIMIT)
        .user_agent(concat!("tokenward/", env!("CARGO_PKG_VERSION")));
    if is_loopback(url) {
        // A proxy of the environment is another machine.
        builder = builder.no_proxy();
    }
    if let Some(path) = &at.ca_file {
        let failed = |why: String| CliError::Failed(format!("{}: {why}", path.display()));
        let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let certificates =
            Certificate::from_pem_bundle(&pem).map_err(|error| failed(error.to_string()))?;
        if certificates.is_empty() {
            return Err(failed("holds no certificate in PEM form".to_owned()));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder
        .build()
        .map_err(|error| CliError::Failed(format!("no HTTP client: {}", causes(&error))))
}

/// The whole body of an answer from `base`, up to a limit.
pub(crate) async fn body(mut response: Response, base: &str) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let broken = |error| no_answer(base, &error);
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(CliError::Failed(format!(
                "{base} answered with more than {ANSWER_BYTES_MAX} bytes"
            )));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// What to tell when nobody answers.
pub(crate) fn no_answer(base: &str, error: &reqwest::Error) -> CliError {
    let cause = causes(error);
    if let Some(why) = cause.strip_prefix("invalid peer certificate: ") {
        return CliError::Failed(bad_certificate(base, why));
    }
    if error.is_connect() {
        return CliError::Failed(format!(
            "no server answers at {base} ({}). Is `tokenward serve` running? Name another with --url or --data-dir",
            cause
        ));
    }
    CliError::Failed(format!("{base} gave no whole answer: {cause}"))
}

/// What to do about a server's certificate that is not accepted; `why` is the TLS library's word.
fn bad_certificate(base: &str, why: &str) -> String {
    let todo = if why.starts_with("UnknownIssuer") {
        "It was issued by an authority that this machine does not trust, or by itself. If it is yours, name the authority's \
         certificate with --ca-file"
    } else if why.contains("NotValidForName") || why.contains("not valid for name") {
        "It was issued for another host name. Use the name in the certificate with --url"
    } else if why.to_lowercase().contains("expired") {
        "It has expired. Renew it on the server, then send SIGHUP to the server"
    } else {
        "Look at the certificate on the server"
    };
    format!("the certificate of {base} is not accepted ({why}). {todo}")
}

/// The last cause says what happened; the ones above it only where.
fn causes(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

fn date(headers: &HeaderMap) -> Option<jiff::Timestamp> {
    let text = headers.get(DATE)?.to_str().ok()?;
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_clock_is_read_from_its_answers() {
        let mut headers = HeaderMap::new();
        headers.insert(
            DATE,
            HeaderValue::from_static("Mon, 23 Nov 2026 10:15:30 GMT"),
        );
        assert_eq!(date(&headers).unwrap().as_second(), 1_795_428_930);
        headers.insert(DATE, HeaderValue::from_static("soon"));
        assert_eq!(date(&headers), None);
    }
}
