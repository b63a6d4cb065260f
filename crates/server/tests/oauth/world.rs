//! What every test here stands on: a running server, a client or two, and short ways to call.

use reqwest::{Method, RequestBuilder};
use tokenward_testkit::{Answer, Api, ApiClient, NewClient, Server, ServerBuilder};

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
        api.product("e-invoice", "E-Invoice")
            .await
            .expect("a product");
        let make = async |label| {
            api.client(&workspace, NewClient::sandbox(label))
                .await
                .expect("a client")
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
        let answer = self.form(TOKEN, client, &GRANT).await.expect(200).json();
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    /// What a client is told about a token.
    pub(crate) async fn told(&self, client: &ApiClient, token: &str) -> Answer {
        self.form(INTROSPECT, client, &[("token", token)])
            .await
            .expect(200)
    }
}

/// An error in OAuth's form: JSON, not to be stored, with a challenge exactly at 401.
#[track_caller]
pub(crate) fn refused(answer: &Answer, status: u16, code: &str) {
    answer.clone().expect_error(status, code);
    let body = answer.json();
    let members: Vec<_> = body.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["error", "error_description"], "{body}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let challenge = if status == 401 {
        "Basic realm=\"tokenward\""
    } else {
        ""
    };
    assert_eq!(answer.header("www-authenticate"), challenge, "{body}");
}
