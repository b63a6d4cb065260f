//! What every test here stands on: a running server, a client or two, and short ways to call.

use reqwest::{Method, RequestBuilder};
use std::panic::Location;
use tokenward_testkit::{
    Answer, Api, ApiClient, NewClient, Server, ServerBuilder, expect_status, text,
};

pub(crate) const TOKEN: &str = "/oauth2/token";
pub(crate) const INTROSPECT: &str = "/oauth2/introspect";
pub(crate) const REVOKE: &str = "/oauth2/revoke";
pub(crate) const METADATA: &str = "/.well-known/oauth-authorization-server";

/// The three that take forms from clients.
pub(crate) const FORMS: [&str; 3] = [TOKEN, INTROSPECT, REVOKE];

/// The form of a token request.
pub(crate) const GRANT: [(&str, &str); 1] = [("grant_type", "client_credentials")];

/// A server with one product and two sandbox clients in one workspace.
pub(crate) struct World {
    /// Kept alive as long as the test.
    pub(crate) server: Server,
    pub(crate) api: Api,
    pub(crate) workspace: String,
    pub(crate) client: ApiClient,
    pub(crate) other: ApiClient,
}

impl World {
    pub(crate) async fn new() -> World {
        World::of(Server::builder()).await
    }

    pub(crate) async fn of(builder: ServerBuilder) -> World {
        let server = builder.start();
        let api = server.api();
        let workspace = api.workspace("Acme").await.expect("a workspace");
        let product = api.product("e-invoice", "E-Invoice").await;
        product.expect("a product");
        let make = async |label| {
            let made = api.client(&workspace, NewClient::sandbox(label)).await;
            made.expect("a client")
        };
        let (client, other) = (make("erp").await, make("crm").await);
        World {
            server,
            api,
            workspace,
            client,
            other,
        }
    }

    /// A further client.
    pub(crate) async fn make(&self, new: NewClient) -> ApiClient {
        let made = self.api.client(&self.workspace, new).await;
        made.expect("a client")
    }

    pub(crate) async fn product(&self, slug: &str) {
        self.api.product(slug, slug).await.expect("a product");
    }

    pub(crate) async fn disable(&self, client: &ApiClient) {
        expect_status(self.api.disable(&client.id), 200).await;
    }

    pub(crate) async fn enable(&self, client: &ApiClient) {
        expect_status(self.api.enable(&client.id), 200).await;
    }

    pub(crate) async fn revoke(&self, client: &ApiClient) {
        expect_status(self.api.revoke(&client.id), 200).await;
    }

    pub(crate) async fn delete(&self, client: &ApiClient) {
        expect_status(self.api.delete(client), 200).await;
    }

    /// The check of the product in the sandbox.
    pub(crate) async fn check(&self, token: &str) -> Answer {
        let answer = self.api.check("sandbox", "e-invoice", token).await;
        answer.expect("an answer")
    }

    /// A check that must permit.
    pub(crate) async fn permits(&self, token: &str) {
        self.check(token).await.expect(200);
    }

    /// A request that must fail with 401 `invalid_client`.
    #[track_caller]
    pub(crate) fn invalid_client(&self, request: RequestBuilder) -> impl Future<Output = ()> {
        self.refuses(request, 401, "invalid_client")
    }

    /// A request that must fail with 400 `invalid_request`.
    #[track_caller]
    pub(crate) fn invalid_request(&self, request: RequestBuilder) -> impl Future<Output = ()> {
        self.refuses(request, 400, "invalid_request")
    }

    #[track_caller]
    fn refuses(
        &self,
        request: RequestBuilder,
        status: u16,
        code: &'static str,
    ) -> impl Future<Output = ()> {
        let (at, sent) = (Location::caller(), self.send(request));
        async move { refused_at(&sent.await, status, code, at) }
    }

    /// Sends a request and reads the answer, which is never a fault of the server.
    #[track_caller]
    pub(crate) fn send(&self, request: RequestBuilder) -> impl Future<Output = Answer> {
        let api = self.api.clone();
        async move {
            let answer = api.send(request).await.expect("an answer");
            assert!(answer.status < 500, "{}: {}", answer.status, answer.body);
            answer
        }
    }

    /// A POST to the public listener.
    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.api.public(Method::POST, path)
    }

    /// A POST with a client's credentials by HTTP Basic.
    pub(crate) fn signed(&self, path: &str, client: &ApiClient) -> RequestBuilder {
        self.post(path).basic_auth(&client.id, Some(&client.secret))
    }

    /// A form signed by HTTP Basic, and its answer.
    pub(crate) async fn form(
        &self,
        path: &str,
        client: &ApiClient,
        form: &[(&str, &str)],
    ) -> Answer {
        self.send(self.signed(path, client).form(form)).await
    }

    /// A new access token of a client.
    pub(crate) async fn generate(&self, client: &ApiClient) -> String {
        let answer = self.form(TOKEN, client, &GRANT).await.expect(200);
        text(&answer.json(), "/access_token")
    }

    /// Whether a client is told that a token is active.
    pub(crate) async fn is_active(&self, client: &ApiClient, token: &str) -> bool {
        self.told(client, token).await.json()["active"] == true
    }

    /// What a client is told about a token.
    pub(crate) async fn told(&self, client: &ApiClient, token: &str) -> Answer {
        let answer = self.form(INTROSPECT, client, &[("token", token)]).await;
        answer.expect(200)
    }
}

/// An error in OAuth's form: JSON, not to be stored, with a challenge exactly at 401.
#[track_caller]
pub(crate) fn refused(answer: &Answer, status: u16, code: &str) {
    refused_at(answer, status, code, Location::caller());
}

fn refused_at(answer: &Answer, status: u16, code: &str, at: &Location<'_>) {
    let seen = (answer.status, answer.code().unwrap_or_default());
    assert_eq!(seen, (status, code.to_owned()), "{at}: {}", answer.body);
    let body = answer.json();
    let members: Vec<_> = body.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["error", "error_description"], "{at}: {body}");
    let challenge = match status {
        401 => "Basic realm=\"tokenward\"",
        _ => "",
    };
    for (name, value) in [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("www-authenticate", challenge),
    ] {
        assert_eq!(answer.header(name), value, "{at}: {name} of {body}");
    }
}
