//! Off-the-shelf OAuth clients, unchanged, over real TLS: discovery where they have it, the client
//! credentials grant by both methods with a scope, introspection and revocation; and how many tokens each
//! makes of an API client whose tokens expire, never expire, or expire sooner than the library likes.

use oauth2::basic::BasicClient;
use oauth2::{
    AccessToken, AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, IntrospectionUrl,
    RevocationUrl, Scope, StandardRevocableToken, TokenIntrospectionResponse, TokenResponse,
    TokenUrl,
};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokenward_testkit::{SelfSigned, Server, finish_child, set_up, text};

/// Longest time a script may take: Go compiles, Groovy starts a Java, and the machine may be busy.
const SCRIPT_LIMIT: Duration = Duration::from_secs(300);
/// What every script asks for.
const SCOPE: &str = "e-invoice gst";
/// Uses of a token in a row, as the scripts have it.
const USES: u64 = 20;
/// The API clients of the scripts: a token lifetime of an hour; one without end; and one shorter than the margin of some
/// libraries, which replaces its token at each call or returns the live one.
const CLIENTS: [(&str, Option<u64>, &str); 4] = [
    ("hour", Some(3_600), "replace"),
    ("never", None, "replace"),
    ("short", Some(59), "replace"),
    ("shared", Some(59), "return"),
];

/// A server whose public listener speaks TLS, and one client of it.
struct Secure {
    server: Server,
    _folder: TempDir,
    certificate: PathBuf,
    http: reqwest::Client,
    id: String,
    secret: String,
    /// Those of [`CLIENTS`] by name: `id` and `secret`.
    clients: Map<String, Value>,
}

impl Secure {
    async fn new() -> Secure {
        let folder = tempfile::tempdir().expect("a folder");
        let own = SelfSigned::new(folder.path(), &["127.0.0.1"]);
        let server = Server::builder().args(&own.arguments("public")).start();
        let root = reqwest::Certificate::from_pem(own.pem.as_bytes()).expect("a certificate");
        let http = tokenward_testkit::http()
            .tls_certs_only([root])
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("an HTTP client");
        let mut secure = Secure {
            server,
            _folder: folder,
            certificate: own.certificate,
            http,
            id: String::new(),
            secret: String::new(),
            clients: Map::new(),
        };
        for slug in SCOPE.split(' ') {
            let put = secure.admin(reqwest::Method::PUT, &format!("/products/{slug}"));
            let put = put.json(&json!({ "name": slug })).send().await;
            assert!(put.expect("an answer").status().is_success());
        }
        let workspace = secure.make("/workspaces", &json!({ "name": "Acme" })).await;
        let path = format!("/workspaces/{}/clients", text(&workspace, "/id"));
        let erp = json!({ "label": "erp", "environment": "sandbox" });
        let made = secure.make(&path, &erp).await;
        secure.id = text(&made, "/client/id");
        secure.secret = text(&made, "/client_secret");
        for (name, lifetime, on_repeat) in CLIENTS {
            let mut new = json!({
                "label": name, "environment": "sandbox", "products": ["e-invoice", "gst"],
                "token_lifetime_seconds": lifetime, "on_repeat": on_repeat,
            });
            if on_repeat == "return" {
                new["renew_before_seconds"] = json!(0);
            }
            let made = secure.make(&path, &new).await;
            let client = json!({ "id": made["client"]["id"], "secret": made["client_secret"] });
            secure.clients.insert(name.to_owned(), client);
        }
        secure
    }

    fn admin(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/admin/v1{path}", self.server.public());
        let request = self.http.request(method, url);
        request.bearer_auth(self.server.admin_key())
    }

    async fn make(&self, path: &str, body: &Value) -> Value {
        let request = self.admin(reqwest::Method::POST, path).json(body);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 201, "{path} {body}");
        answer.json().await.expect("JSON")
    }

    /// How many tokens each of [`CLIENTS`] has made, by its order.
    async fn made(&self) -> Vec<u64> {
        let mut made = Vec::new();
        for (name, ..) in CLIENTS {
            let id = self.clients[name]["id"].as_str().expect("an id");
            let asked = self.admin(reqwest::Method::GET, &format!("/clients/{id}"));
            let answer = asked.send().await.expect("an answer");
            let client: Value = answer.json().await.expect("JSON");
            made.push(client["token"]["generation"].as_u64().expect("a number"));
        }
        made
    }

    /// Runs a script that is told of the server on its standard input and ends well or says why not.
    fn run(&self, command: &mut Command) {
        let given = json!({
            "issuer": self.server.public(),
            "client_id": self.id,
            "client_secret": self.secret,
            "check": format!("{}/check/sandbox/e-invoice", self.server.internal()),
            "scope": SCOPE,
            "clients": self.clients,
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
        // A script that has ended says why on standard error.
        let _ = input.write_all(given.to_string().as_bytes());
        drop(input);
        let name = command.get_program().to_string_lossy().into_owned();
        let output = finish_child(child, &name, SCRIPT_LIMIT);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, complained) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success() && said.contains("all well"),
            "{command:?}\n{said}{complained}"
        );
    }
}

/// Runs a library's script. Then each API client has made as many tokens as it should: over an hour and over 24 days one and
/// the renewal when it was due, `short` for a lifetime that is shorter than the library's margin, and one where the server
/// returns the live token.
async fn uses(command: Command, short: u64) {
    let secure = Secure::new().await;
    let mut command = command;
    for name in ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"] {
        command.env(name, &secure.certificate);
    }
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
        command.env_remove(name);
    }
    let ran = tokio::task::spawn_blocking(move || {
        secure.run(&mut command);
        secure
    });
    let secure = ran.await.expect("the script's end");
    assert_eq!(secure.made().await, [2, 2, short, 1]);
}

/// A folder beside this file.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/oauth")
        .join(name)
}

fn python(script: &str) -> Command {
    let mut python = Command::new(set_up(".cache/venv/bin/python"));
    python
        .arg(folder("python").join(script))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    python
}

/// It keeps no token: its caller does, by the answer's `expiresIn()`.
#[tokio::test]
async fn openid_client_of_node_works_unchanged() {
    let _ = set_up("crates/server/tests/oauth/node/node_modules/openid-client");
    let mut node = Command::new("node");
    node.arg(folder("node").join("client.mjs"));
    uses(node, 1).await;
}

/// It renews 60 s before the end, so a lifetime below that is a token for each use, and one for the first request.
#[tokio::test]
async fn authlib_of_python_works_unchanged() {
    uses(python("with_authlib.py"), USES + 1).await;
}

#[tokio::test]
async fn requests_oauthlib_of_python_works_unchanged() {
    uses(python("with_requests_oauthlib.py"), 1).await;
}

/// It renews 10 s before the end.
#[tokio::test]
async fn oauth2_of_go_works_unchanged() {
    let packages = set_up("/usr/share/gocode");
    let _ = set_up("/usr/share/gocode/src/golang.org/x/oauth2/clientcredentials");
    let mut go = Command::new("go");
    go.arg("run")
        .arg(folder("go").join("with_oauth2.go"))
        .env("GOPATH", packages)
        .env("GO111MODULE", "off")
        .env("GOFLAGS", "")
        .env("GOPROXY", "off")
        .env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go"));
    uses(go, 1).await;
}

#[tokio::test]
async fn oauth2_of_ruby_works_unchanged() {
    let mut ruby = Command::new("ruby");
    ruby.arg(folder("ruby").join("with_oauth2.rb"));
    uses(ruby, 1).await;
}

/// A stand-in by its rules: 60 s before the end, as Authlib does.
#[tokio::test]
async fn a_stand_in_for_spring_security_works() {
    let java = std::fs::canonicalize(set_up("/usr/bin/java")).expect("a Java");
    let home = java.parent().and_then(Path::parent);
    let mut groovy = Command::new("groovy");
    groovy
        .env("JAVA_HOME", home.expect("JAVA_HOME/bin/java"))
        .arg(folder("groovy").join("spring_stand_in.groovy"));
    uses(groovy, USES).await;
}

/// The crate takes any function from its request to its response.
async fn send(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let response = http.execute(reqwest::Request::try_from(request)?).await?;
    let mut answer = http::Response::builder().status(response.status());
    for (name, value) in response.headers() {
        answer = answer.header(name, value);
    }
    let body = response.bytes().await?.to_vec();
    Ok(answer.body(body).expect("a response"))
}

#[tokio::test]
async fn oauth2_of_rust_works_unchanged() {
    let secure = Secure::new().await;
    let http = |request: HttpRequest| send(secure.http.clone(), request);
    let url = |path: &str| format!("{}/oauth2/{path}", secure.server.public());
    let scopes = || -> Vec<_> {
        let slugs = SCOPE.split(' ');
        slugs.map(|slug| Scope::new(slug.into())).collect()
    };
    for method in [AuthType::BasicAuth, AuthType::RequestBody] {
        let client = BasicClient::new(ClientId::new(secure.id.clone()))
            .set_client_secret(ClientSecret::new(secure.secret.clone()))
            .set_auth_type(method)
            .set_token_uri(TokenUrl::new(url("token")).expect("an address"))
            .set_introspection_url(IntrospectionUrl::new(url("introspect")).expect("an address"))
            .set_revocation_url(RevocationUrl::new(url("revoke")).expect("an address"));
        let generate = async || {
            let request = client.exchange_client_credentials();
            let request = request.add_scopes(scopes());
            request.request_async(&http).await.expect("a token")
        };
        let told = async |token: &AccessToken| {
            let answer = client.introspect(token).request_async(&http).await;
            answer.expect("an answer")
        };

        let first = generate().await;
        assert_eq!(first.expires_in(), Some(Duration::from_secs(3600)));
        assert_eq!(first.scopes(), Some(&scopes()));
        let live = told(first.access_token()).await;
        assert!(live.active());
        assert_eq!(live.client_id().map(|id| &**id), Some(&secure.id));

        let second = generate().await;
        assert!(!told(first.access_token()).await.active());

        let token = StandardRevocableToken::AccessToken(second.access_token().clone());
        let revoke = client.revoke_token(token).expect("https");
        revoke.request_async(&http).await.expect("revoked");
        assert!(!told(second.access_token()).await.active());

        let secret = ClientSecret::new("not-the-secret".to_owned());
        let wrong = client.clone().set_client_secret(secret);
        let request = wrong.exchange_client_credentials();
        let refused = request.request_async(&http).await.expect_err("refused");
        let oauth2::RequestTokenError::ServerResponse(refused) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(refused.error().as_ref(), "invalid_client");
    }
}
