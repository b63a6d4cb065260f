//! A middleware for `reqwest-middleware` clients: sets the token, renews on 401 as the protocol says, sends a
//! request at most twice. The token goes to the origins named and nowhere else.

use crate::protocol::Entry;
use crate::source::TokenSource;
use async_trait::async_trait;
use http::Extensions;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Client, Request, Response, StatusCode, Url, redirect};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next, Result};
use zeroize::Zeroizing;

/// Clear's header.
const CLEAR_HEADER: HeaderName = HeaderName::from_static("x-cleartax-auth-token");

/// Where the token stands in a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Carrier {
    /// `x-cleartax-auth-token: TOKEN`.
    #[default]
    ClearHeader,
    /// `Authorization: Bearer TOKEN`.
    Bearer,
}

/// Sets the token on requests to some origins.
#[derive(Clone, Debug)]
pub struct TokenMiddleware {
    source: TokenSource,
    carrier: Carrier,
    origins: Vec<String>,
}

/// Scheme, host and port.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

impl TokenMiddleware {
    /// For requests to the origins of these addresses (scheme, host and port). Others pass without a token.
    #[must_use]
    pub fn new(source: TokenSource, carrier: Carrier, origins: &[Url]) -> Self {
        Self {
            source,
            carrier,
            origins: origins.iter().map(origin).collect(),
        }
    }

    /// A client with this middleware that follows redirects only within an origin: the HTTP library takes
    /// `Authorization` off a request that is sent on elsewhere, but does not know Clear's header.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn into_client(
        self,
        builder: reqwest::ClientBuilder,
    ) -> reqwest::Result<ClientWithMiddleware> {
        let within = redirect::Policy::custom(|attempt| {
            let before = attempt.previous().last().map(origin);
            if before == Some(origin(attempt.url())) && attempt.previous().len() < 10 {
                attempt.follow()
            } else {
                attempt.stop()
            }
        });
        let client: Client = builder.redirect(within).build()?;
        Ok(ClientBuilder::new(client).with(self).build())
    }

    fn set(&self, request: &mut Request, entry: &Entry) -> Result<()> {
        let token = entry.token.expose();
        let (name, text) = match self.carrier {
            Carrier::ClearHeader => (CLEAR_HEADER, token.to_owned()),
            Carrier::Bearer => (AUTHORIZATION, format!("Bearer {token}")),
        };
        let text = Zeroizing::new(text);
        let mut value = HeaderValue::from_str(&text).map_err(Error::middleware)?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
        Ok(())
    }
}

#[async_trait]
impl Middleware for TokenMiddleware {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        if !self.origins.contains(&origin(request.url())) {
            return next.run(request, extensions).await;
        }
        let entry = self.source.token().await.map_err(Error::middleware)?;
        // A body that is a stream cannot be sent twice; its 401 is the caller's to see.
        let again = request.try_clone();
        self.set(&mut request, &entry)?;
        let response = next.clone().run(request, extensions).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let Ok(another) = self.source.after_refusal(&entry).await else {
            return Ok(response);
        };
        match again {
            Some(mut request) => {
                self.set(&mut request, &another)?;
                next.run(request, extensions).await
            }
            None => Ok(response),
        }
    }
}
