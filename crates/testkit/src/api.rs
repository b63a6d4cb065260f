//! A caller of a running server, one method a call of the wire contract. Every method returns the
//! answer as it is, good or bad; only the three that make things for a test to stand on
//! ([`Api::workspace`], [`Api::product`], [`Api::client`]) insist on success.

use std::time::Duration;

use reqwest::{Client, ClientBuilder, Method, RequestBuilder, redirect};
use serde_json::{Value, json};

use crate::{Answer, ApiClient, Broken, NewClient};

/// Longer than any honest answer takes; a hung server is then a failure and not a hung test.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The Generate Access Token API.
const GENERATE: &str = "/integration/v1/authz/token";

/// What every HTTP client of a test begins with: no proxy of the machine, and a deadline for each answer.
pub fn http() -> ClientBuilder {
    Client::builder().no_proxy().timeout(ANSWER_LIMIT)
}

/// A caller with its own pool of kept-alive connections; clones share the pool. A call is an error when no whole answer
/// arrives.
#[derive(Debug, Clone)]
pub struct Api {
    http: Client,
    public: String,
    internal: String,
    admin_key: String,
}

impl Api {
    /// A caller of the two base URLs, which have no slash at the end.
    ///
    /// # Panics
    /// When no HTTP client can be made.
    #[must_use]
    pub fn new(public: &str, internal: &str, admin_key: &str) -> Api {
        let http = http()
            .redirect(redirect::Policy::none())
            // A retry behind the test's back would hide a broken connection.
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .build()
            .expect("an HTTP client");
        Api {
            http,
            public: public.to_owned(),
            internal: internal.to_owned(),
            admin_key: admin_key.to_owned(),
        }
    }

    /// The same caller with another admin key.
    #[must_use]
    pub fn with_admin_key(&self, key: &str) -> Api {
        Api {
            admin_key: key.to_owned(),
            ..self.clone()
        }
    }

    /// The same caller with no connection open yet.
    #[must_use]
    pub fn with_new_connections(&self) -> Api {
        Api::new(&self.public, &self.internal, &self.admin_key)
    }

    /// A request to the public listener, without credentials.
    pub fn public(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.public))
    }

    /// A request to the internal listener.
    pub fn internal(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.internal))
    }

    /// A request to the admin API with the admin key; `path` follows `/admin/v1`.
    pub fn admin(&self, method: Method, path: &str) -> RequestBuilder {
        self.public(method, &format!("/admin/v1{path}"))
            .bearer_auth(&self.admin_key)
    }

    /// A request to the Generate Access Token API with a client secret; `suffix` follows the path,
    /// for instance `?force=true` or `/status`.
    pub fn authz(&self, method: Method, suffix: &str, secret: &str) -> RequestBuilder {
        self.public(method, &format!("{GENERATE}{suffix}"))
            .header("x-clear-client-secret", secret)
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, Broken> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let bytes = response.bytes().await?;
        Ok(Answer {
            status,
            headers,
            body: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }

    /// A call of the admin API without a body.
    pub async fn ask(&self, method: Method, path: &str) -> Result<Answer, Broken> {
        self.send(self.admin(method, path)).await
    }

    /// A call of the admin API with a JSON body.
    pub async fn tell(&self, method: Method, path: &str, body: &Value) -> Result<Answer, Broken> {
        self.send(self.admin(method, path).json(body)).await
    }

    /// Makes a workspace and returns its id.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn workspace(&self, name: &str) -> Result<String, Broken> {
        let request = self
            .admin(Method::POST, "/workspaces")
            .json(&json!({"name": name}));
        Ok(text(&self.send(request).await?.expect(201).json(), "/id"))
    }

    /// Makes or renames a product.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn product(&self, slug: &str, name: &str) -> Result<(), Broken> {
        let request = self
            .admin(Method::PUT, &format!("/products/{slug}"))
            .json(&json!({"name": name}));
        let answer = self.send(request).await?;
        assert!(
            matches!(answer.status, 200 | 201),
            "unexpected answer: {}",
            answer.body
        );
        Ok(())
    }

    /// Makes an API client and keeps the secret shown.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn client(&self, workspace: &str, new: NewClient) -> Result<ApiClient, Broken> {
        let made = self.create_client(workspace, &new).await?;
        Ok(shown(&made.expect(201).json(), new))
    }

    /// Makes an API client; none when the server refuses, or does not answer.
    pub async fn try_client(&self, workspace: &str, new: NewClient) -> Option<ApiClient> {
        let made = self.create_client(workspace, &new).await.ok()?;
        (made.status == 201).then(|| shown(&made.json(), new))
    }

    /// Asks for a new API client.
    pub async fn create_client(&self, workspace: &str, new: &NewClient) -> Result<Answer, Broken> {
        let path = format!("/workspaces/{workspace}/clients");
        self.send(self.admin(Method::POST, &path).json(new)).await
    }

    /// Generates an access token with a client secret.
    pub async fn generate(&self, secret: &str) -> Result<Answer, Broken> {
        self.send(self.authz(Method::POST, "", secret)).await
    }

    /// Asks the check whether a token may call a product.
    pub async fn check(
        &self,
        environment: &str,
        product: &str,
        token: &str,
    ) -> Result<Answer, Broken> {
        let request = self
            .internal(Method::GET, &format!("/check/{environment}/{product}"))
            .header("x-cleartax-auth-token", token);
        self.send(request).await
    }

    /// Reads a client.
    pub async fn read_client(&self, id: &str) -> Result<Answer, Broken> {
        self.send(self.admin(Method::GET, &format!("/clients/{id}")))
            .await
    }

    /// Changes a client, for instance its restrictions: `json!({"products": ["gst"]})`.
    pub async fn patch_client(&self, id: &str, changes: &Value) -> Result<Answer, Broken> {
        let request = self
            .admin(Method::PATCH, &format!("/clients/{id}"))
            .json(changes);
        self.send(request).await
    }

    /// Disables a client.
    pub async fn disable(&self, id: &str) -> Result<Answer, Broken> {
        self.send(self.admin(Method::POST, &format!("/clients/{id}/disable")))
            .await
    }

    /// Enables a client again.
    pub async fn enable(&self, id: &str) -> Result<Answer, Broken> {
        self.send(self.admin(Method::POST, &format!("/clients/{id}/enable")))
            .await
    }

    /// Revokes a client's live token without a new one.
    pub async fn revoke(&self, id: &str) -> Result<Answer, Broken> {
        self.send(self.admin(Method::DELETE, &format!("/clients/{id}/token")))
            .await
    }

    /// Deletes a client for good, with its label typed back.
    pub async fn delete(&self, client: &ApiClient) -> Result<Answer, Broken> {
        let request = self
            .admin(Method::DELETE, &format!("/clients/{}", client.id))
            .query(&[("label", &client.label)]);
        self.send(request).await
    }

    /// Asks for the audit chain to be verified.
    pub async fn verify_audit(&self) -> Result<Answer, Broken> {
        self.send(self.admin(Method::GET, "/audit/verify")).await
    }

    /// A form to one of the OAuth endpoints on the public listener (`/oauth2/token`,
    /// `/oauth2/revoke`, `/oauth2/introspect`) with the client's own credentials as HTTP Basic.
    pub async fn oauth(
        &self,
        path: &str,
        client: &ApiClient,
        form: &[(&str, &str)],
    ) -> Result<Answer, Broken> {
        let request = self
            .public(Method::POST, path)
            .basic_auth(&client.id, Some(&client.secret))
            .form(form);
        self.send(request).await
    }

    /// The Prometheus figures as text.
    pub async fn metrics(&self) -> Result<Answer, Broken> {
        self.send(self.internal(Method::GET, "/metrics")).await
    }

    /// The value of one series of the metrics, with its labels if it has some; `None` while there is none.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn figure(&self, series: &str) -> Option<f64> {
        let text = self.metrics().await.expect("an answer").expect(200).body;
        let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(value)
    }

    /// The items of a list of the admin API.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn items(&self, path: &str) -> Vec<Value> {
        let answer = self.ask(Method::GET, path).await.expect("an answer");
        let items = answer.expect(200).json()["items"].take();
        serde_json::from_value(items).expect("a list")
    }
}

/// A client with the secret that the answer shows.
fn shown(body: &Value, new: NewClient) -> ApiClient {
    ApiClient {
        id: text(body, "/client/id"),
        secret: text(body, "/client_secret"),
        label: new.label,
        environment: new.environment,
    }
}

/// A text in a JSON body, by its JSON pointer.
///
/// # Panics
/// When there is none.
#[must_use]
#[track_caller]
pub fn text(body: &Value, pointer: &str) -> String {
    body.pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no text at {pointer} in {body}"))
        .to_owned()
}
