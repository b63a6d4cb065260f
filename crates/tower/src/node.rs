//! Asking a node about each request, over HTTP/1 on TCP, with TLS or without, or a unix socket. Nothing is cached; whatever
//! is not a clear yes or no within the time is "cannot vouch".

use crate::checker::Verdict;
use crate::endpoint::{Endpoint, Speech};
use crate::permit::{Permit, Told};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::Environment;
use tokenward_core::check::Denial;
use tokenward_core::token_header::TOKEN_HEADER;
use uuid::Uuid;

/// How long a check may take before nobody vouches: a request stalled longer is better tried again.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections kept for the next checks.
const IDLE_MAX: usize = 64;
/// The most of an answer's body that is read, in bytes, to have the connection back.
const BODY_MAX: usize = 64 * 1024;

type Connection = SendRequest<Empty<Bytes>>;

/// A node that is asked about each request.
///
/// The caller's address is sent in `X-Forwarded-For`, so the node must have this service's address among its trusted
/// proxies.
pub struct Node {
    endpoint: Endpoint,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({})", self.endpoint)
    }
}

/// The node gave no answer worth the name.
struct NoAnswer;

impl Node {
    /// The node at `endpoint`. Connections are made when requests come, on the runtime that handles them.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            idle: Arc::default(),
        }
    }

    /// Asks about a request that presents these tokens.
    pub(crate) async fn ask(
        &self,
        environment: Environment,
        product: &Arc<str>,
        tokens: &[&str],
        address: Option<IpAddr>,
    ) -> Verdict {
        let asked = self.exchange(environment, product, tokens, address);
        match tokio::time::timeout(CHECK_TIMEOUT, asked).await {
            Ok(Ok(response)) => {
                read(&response, environment, product).unwrap_or(Verdict::CannotVouch)
            }
            Ok(Err(NoAnswer)) | Err(_) => Verdict::CannotVouch,
        }
    }

    async fn exchange(
        &self,
        environment: Environment,
        product: &str,
        tokens: &[&str],
        address: Option<IpAddr>,
    ) -> Result<Response<()>, NoAnswer> {
        loop {
            let kept = self.idle.lock().pop();
            let fresh = kept.is_none();
            let mut connection = match kept {
                Some(kept) => kept,
                None => self.connect().await?,
            };
            // RFC 7239 calls it so, and the node reads it as no address.
            let address = address.map_or_else(|| "unknown".to_owned(), |known| known.to_string());
            let mut request = Request::get(format!("/check/{}/{product}", environment.as_str()))
                .header(header::HOST, self.endpoint.host())
                .header("x-forwarded-for", address)
                .body(Empty::new())
                .map_err(|_| NoAnswer)?;
            for token in tokens {
                let mut value = HeaderValue::from_str(token).map_err(|_| NoAnswer)?;
                value.set_sensitive(true);
                request.headers_mut().append(TOKEN_HEADER, value);
            }
            if connection.ready().await.is_err() {
                if fresh {
                    return Err(NoAnswer);
                }
                // It was closed while it lay idle: nothing has been asked.
                continue;
            }
            match connection.send_request(request).await {
                Ok(response) => return self.finish(connection, response).await,
                // Never sent, so not a check tried twice.
                Err(error) if error.is_canceled() && !fresh => {}
                Err(_) => return Err(NoAnswer),
            }
        }
    }

    async fn connect(&self) -> Result<Connection, NoAnswer> {
        let socket = self.endpoint.connect(Speech::Questions).await;
        let socket = TokioIo::new(socket.map_err(|_| NoAnswer)?);
        let (connection, driver) = handshake(socket).await.map_err(|_| NoAnswer)?;
        tokio::spawn(driver);
        Ok(connection)
    }

    /// Reads the answer to its end and keeps the connection.
    async fn finish(
        &self,
        connection: Connection,
        response: Response<Incoming>,
    ) -> Result<Response<()>, NoAnswer> {
        let (parts, body) = response.into_parts();
        let read = Limited::new(body, BODY_MAX).collect().await;
        read.map_err(|_| NoAnswer)?;
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        Ok(Response::from_parts(parts, ()))
    }
}

/// What the node's answer means; none when it is not one of a node.
fn read(response: &Response<()>, environment: Environment, product: &Arc<str>) -> Option<Verdict> {
    let headers = response.headers();
    if response.status() == StatusCode::OK {
        let told = told(headers, environment, product)?;
        return Some(Verdict::Permit(Permit::of_node(told, Arc::clone(product))));
    }
    let denial = Denial::parse(text(headers, "x-tokenward-denial")?)?;
    Some(Verdict::Deny(denial))
}

/// The identity headers, all of which a node always sends; a 200 without them is somebody else's.
fn told(headers: &HeaderMap, environment: Environment, product: &str) -> Option<Told> {
    let same = text(headers, "x-tokenward-environment")? == environment.as_str()
        && text(headers, "x-tokenward-product")? == product;
    let till = text(headers, "x-tokenward-valid-till")?;
    let told = Told {
        workspace: Uuid::try_parse(text(headers, "x-tokenward-workspace")?).ok()?,
        client: Uuid::try_parse(text(headers, "x-tokenward-client")?).ok()?,
        label: text(headers, "x-tokenward-client-label")?.to_owned(),
        environment,
        generation: text(headers, "x-tokenward-generation")?.parse().ok()?,
        valid_till: (!till.is_empty()).then(|| till.to_owned()),
    };
    same.then_some(told)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
