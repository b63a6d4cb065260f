//! The calls of the walk, each as the person or program in it would make it.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    story::{Surprise, While as _},
};

/// Longer than any honest answer takes.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Clear's header for a client secret.
pub(crate) const SECRET_HEADER: &str = "x-clear-client-secret";
/// Clear's header for an access token.
pub(crate) const TOKEN_HEADER: &str = "x-cleartax-auth-token";
/// The Generate Access Token API.
pub(crate) const GENERATE_PATH: &str = "/integration/v1/authz/token";
/// The sample product.
pub(crate) const INVOICES_PATH: &str = "/e-invoice/v1/invoices";
/// The other sample product.
pub(crate) const GSTIN_PATH: &str = "/gst/v1/gstins/27AAPFU0939F1ZV";

/// A caller of the server's public listener and of the products.
pub(crate) struct Api {
    http: Client,
    public: String,
    admin_key: String,
}

/// A new API client, as its creator sees it the one time.
pub(crate) struct NewClient {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) secret: String,
}

impl Api {
    pub(crate) fn new(public: &str, admin_key: &str) -> Result<Self, Surprise> {
        let http = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_LIMIT)
            .build()
            .during("making an HTTP client")?;
        Ok(Self {
            http,
            public: public.to_owned(),
            admin_key: admin_key.to_owned(),
        })
    }

    /// A call of the admin API; `path` follows `/admin/v1`.
    pub(crate) async fn admin(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Surprise> {
        let path = format!("/admin/v1{path}");
        let did = format!("{method} {path}");
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.public))
            .bearer_auth(&self.admin_key);
        if let Some(body) = body {
            request = request.json(body);
        }
        send(did, request).await
    }

    /// Makes an API client that may use `e-invoice` only.
    pub(crate) async fn new_client(
        &self,
        workspace: &str,
        label: &str,
        environment: &str,
        token_lifetime_seconds: u64,
    ) -> Result<(NewClient, Answer), Surprise> {
        let body = json!({
            "label": label,
            "environment": environment,
            "products": ["e-invoice"],
            "token_lifetime_seconds": token_lifetime_seconds,
        });
        let path = format!("/workspaces/{workspace}/clients");
        let answer = self.admin(Method::POST, &path, Some(&body)).await?;
        answer.demand(201)?;
        let client = NewClient {
            id: answer.text("/client/id")?.to_owned(),
            label: label.to_owned(),
            secret: answer.text("/client_secret")?.to_owned(),
        };
        Ok((client, answer))
    }

    /// Generates an access token with what should be a client secret.
    pub(crate) async fn generate(&self, did: &str, secret: &str) -> Result<Answer, Surprise> {
        let request = self
            .http
            .get(format!("{}{GENERATE_PATH}", self.public))
            .header(SECRET_HEADER, secret);
        send(did.to_owned(), request).await
    }

    /// Registers an invoice at the product at `base` with what should be an access token.
    pub(crate) async fn register(
        &self,
        did: &str,
        base: &str,
        token: Option<&str>,
        invoice: &Value,
    ) -> Result<Answer, Surprise> {
        let mut request = self
            .http
            .post(format!("{base}{INVOICES_PATH}"))
            .json(invoice);
        if let Some(token) = token {
            request = request.header(TOKEN_HEADER, token);
        }
        send(did.to_owned(), request).await
    }

    /// Asks the GST product at `base` about a GSTIN.
    pub(crate) async fn gst(&self, did: &str, base: &str, token: &str) -> Result<Answer, Surprise> {
        let request = self
            .http
            .get(format!("{base}{GSTIN_PATH}"))
            .header(TOKEN_HEADER, token);
        send(did.to_owned(), request).await
    }

    /// Opens a page as a browser would.
    pub(crate) async fn open(&self, url: &str) -> Result<Answer, Surprise> {
        send("opening the console's link".to_owned(), self.http.get(url)).await
    }

    /// Whether the server says that it is ready.
    pub(crate) async fn is_ready(&self, internal: &str) -> bool {
        let answer = self
            .http
            .get(format!("{internal}/health/ready"))
            .send()
            .await;
        answer.is_ok_and(|answer| answer.status() == 200)
    }
}

async fn send(did: String, request: RequestBuilder) -> Result<Answer, Surprise> {
    let response = request.send().await.during(&did)?;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let text = response.text().await.during(&did)?;
    let body = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    };
    Ok(Answer {
        did,
        status,
        headers,
        body,
    })
}

/// An invoice that the sample product accepts.
pub(crate) fn invoice() -> Value {
    json!({"number": "TW/26-27/1"})
}
