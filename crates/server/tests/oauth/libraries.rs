//! Off-the-shelf OAuth clients, unchanged, over real TLS: discovery where they have it, the client
//! credentials grant by both methods, introspection and revocation.

use oauth2::basic::BasicClient;
use oauth2::{
    AccessToken, AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, IntrospectionUrl,
    RevocationUrl, StandardRevocableToken, TokenIntrospectionResponse, TokenResponse, TokenUrl,
};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use tokenward_testkit::Server;

/// A server whose public listener speaks TLS, and one client of it.
struct Secure {
    server: Server,
    folder: TempDir,
    http: reqwest::Client,
    id: String,
    secret: String,
}

impl Secure {
    async fn new() -> Secure {
        let folder = tempfile::tempdir().expect("a folder");
        let made =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let certificate = folder.path().join("certificate.pem");
        let key = folder.path().join("key.pem");
        std::fs::write(&certificate, made.cert.pem()).expect("a written certificate");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("a written key");
        let text = |path: &Path| path.to_str().expect("a path").to_owned();
        let server = Server::builder()
            .arg("--public-tls-certificate")
            .arg(&text(&certificate))
            .arg("--public-tls-key")
            .arg(&text(&key))
            .start();
        let root =
            reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).expect("a certificate");
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([root])
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("an HTTP client");
        let mut secure = Secure {
            server,
            folder,
            http,
            id: String::new(),
            secret: String::new(),
        };
        let workspace = secure.make("/workspaces", &json!({ "name": "Acme" })).await;
        let path = format!(
            "/workspaces/{}/clients",
            workspace["id"].as_str().expect("an id")
        );
        let made = secure
            .make(&path, &json!({ "label": "erp", "environment": "sandbox" }))
            .await;
        secure.id = made["client"]["id"].as_str().expect("an id").to_owned();
        secure.secret = made["client_secret"].as_str().expect("a secret").to_owned();
        secure
    }

    async fn make(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}/admin/v1{path}", self.server.public());
        let request = self
            .http
            .post(url)
            .bearer_auth(self.server.admin_key())
            .json(body);
        request
            .send()
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON")
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// Runs a script that is told of the server on its standard input and ends well or says why not.
    fn run(&self, command: &mut Command) {
        let given = json!({
            "issuer": self.server.public(),
            "client_id": self.id,
            "client_secret": self.secret,
        });
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{command:?}: {error}; `make setup` installs what it needs")
            });
        let mut input = child.stdin.take().expect("an input");
        input
            .write_all(given.to_string().as_bytes())
            .expect("the script reads");
        drop(input);
        let output = child.wait_with_output().expect("an end");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, complained) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success() && said.contains("all well"),
            "{command:?}\n{said}{complained}"
        );
    }
}

/// A file of this folder, or one that `make setup` puts into the repository's.
fn there(path: &Path) -> &Path {
    assert!(
        path.exists(),
        "{} is missing: run `make setup`",
        path.display()
    );
    path
}

#[tokio::test]
async fn openid_client_of_node_works_unchanged() {
    let secure = Secure::new().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oauth/node");
    there(&folder.join("node_modules/openid-client"));
    let mut node = Command::new("node");
    node.arg(folder.join("client.mjs"))
        .env("NODE_EXTRA_CA_CERTS", secure.certificate());
    tokio::task::spawn_blocking(move || secure.run(&mut node))
        .await
        .expect("the script's end");
}

#[tokio::test]
async fn authlib_of_python_works_unchanged() {
    let secure = Secure::new().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new(there(&folder.join("../../.cache/venv/bin/python")));
    python
        .arg(folder.join("tests/oauth/python/client.py"))
        .env("REQUESTS_CA_BUNDLE", secure.certificate());
    tokio::task::spawn_blocking(move || secure.run(&mut python))
        .await
        .expect("the script's end");
}

/// The crate takes any function from its request to its response.
async fn send(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let response = http.execute(reqwest::Request::try_from(request)?).await?;
    let mut answer = http::Response::builder().status(response.status());
    for (name, value) in response.headers() {
        answer = answer.header(name, value);
    }
    Ok(answer
        .body(response.bytes().await?.to_vec())
        .expect("a response"))
}

#[tokio::test]
async fn oauth2_of_rust_works_unchanged() {
    let secure = Secure::new().await;
    let http = |request: HttpRequest| send(secure.http.clone(), request);
    let url = |path: &str| format!("{}/oauth2/{path}", secure.server.public());
    for method in [AuthType::BasicAuth, AuthType::RequestBody] {
        let client = BasicClient::new(ClientId::new(secure.id.clone()))
            .set_client_secret(ClientSecret::new(secure.secret.clone()))
            .set_auth_type(method)
            .set_token_uri(TokenUrl::new(url("token")).expect("an address"))
            .set_introspection_url(IntrospectionUrl::new(url("introspect")).expect("an address"))
            .set_revocation_url(RevocationUrl::new(url("revoke")).expect("an address"));
        let generate = async || {
            client
                .exchange_client_credentials()
                .request_async(&http)
                .await
                .expect("a token")
        };
        let told = async |token: &AccessToken| {
            client
                .introspect(token)
                .request_async(&http)
                .await
                .expect("an answer")
        };

        let first = generate().await;
        assert_eq!(
            first.expires_in(),
            Some(std::time::Duration::from_secs(3600))
        );
        let live = told(first.access_token()).await;
        assert!(live.active());
        assert_eq!(
            live.client_id().map(|id| id.as_str()),
            Some(secure.id.as_str())
        );

        let second = generate().await;
        assert!(!told(first.access_token()).await.active());

        let token = StandardRevocableToken::AccessToken(second.access_token().clone());
        client
            .revoke_token(token)
            .expect("https")
            .request_async(&http)
            .await
            .expect("revoked");
        assert!(!told(second.access_token()).await.active());

        let wrong = client
            .clone()
            .set_client_secret(ClientSecret::new("not-the-secret".to_owned()));
        let refused = wrong
            .exchange_client_credentials()
            .request_async(&http)
            .await
            .expect_err("refused");
        let oauth2::RequestTokenError::ServerResponse(refused) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(refused.error().as_ref(), "invalid_client");
    }
}
