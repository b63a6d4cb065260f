//! A server with a workspace and products, and short ways to call it.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::time::Duration;
use tokenward_testkit::{Answer, Api, ApiClient, NewClient, Server, ServerBuilder, Token, text};

/// Longer than anything awaited here takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A running server with the workspace `acme` and the products `gst`, `max-itc` and `e-invoice`.
pub(crate) struct House {
    pub(crate) server: Server,
    pub(crate) api: Api,
    pub(crate) acme: String,
}

impl House {
    pub(crate) async fn new() -> House {
        House::of(Server::builder()).await
    }

    /// With arguments after `serve`.
    pub(crate) async fn with(arguments: &[&str]) -> House {
        House::of(Server::builder().args(arguments)).await
    }

    /// With the sandbox client `erp`.
    pub(crate) async fn with_erp() -> (House, ApiClient) {
        let house = House::new().await;
        let erp = house.client(NewClient::sandbox("erp")).await;
        (house, erp)
    }

    /// With the sandbox client `erp` and its access token.
    pub(crate) async fn with_token() -> (House, ApiClient, String) {
        let house = House::new().await;
        let (erp, token) = house.erp().await;
        (house, erp, token)
    }

    /// Makes the sandbox client `erp`, and an access token of it.
    pub(crate) async fn erp(&self) -> (ApiClient, String) {
        let erp = self.client(NewClient::sandbox("erp")).await;
        let token = self.token(&erp).await.access_token;
        (erp, token)
    }

    pub(crate) async fn of(builder: ServerBuilder) -> House {
        let server = builder.start();
        let api = server.api();
        let acme = api.workspace("acme").await.unwrap();
        for slug in ["gst", "max-itc", "e-invoice"] {
            api.product(slug, slug).await.unwrap();
        }
        House { server, api, acme }
    }

    /// Ends the server in good order and starts it again on its data.
    pub(crate) fn restart(&mut self) {
        assert!(self.server.terminate().success());
        self.start_again();
    }

    /// Starts a server of another kind in the place of the one that ended.
    pub(crate) fn start(&mut self, builder: ServerBuilder) {
        self.server = builder.start();
        self.api = self.server.api();
    }

    /// Starts the server that ended.
    pub(crate) fn start_again(&mut self) {
        self.server.restart();
        self.api = self.server.api();
    }

    pub(crate) async fn client(&self, new: NewClient) -> ApiClient {
        self.api.client(&self.acme, new).await.unwrap()
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        self.api.send(request).await.unwrap()
    }

    /// The Generate Access Token API; `suffix` follows its path.
    pub(crate) async fn authz(&self, method: Method, suffix: &str, secret: &str) -> Answer {
        self.send(self.api.authz(method, suffix, secret)).await
    }

    /// `POST` on the Generate Access Token API.
    pub(crate) async fn generate(&self, secret: &str) -> Answer {
        self.authz(Method::POST, "", secret).await
    }

    /// A token that must be given.
    pub(crate) async fn token(&self, client: &ApiClient) -> Token {
        self.generate(&client.secret).await.token()
    }

    pub(crate) async fn generate_if(&self, secret: &str, tag: &str) -> Answer {
        let request = self.api.authz(Method::POST, "", secret);
        self.send(request.header("if-match", tag)).await
    }

    /// A token beside which the one before stays valid for so many seconds.
    pub(crate) async fn handover(&self, client: &ApiClient, seconds: u32) -> Answer {
        let suffix = format!("?handover={seconds}");
        self.authz(Method::POST, &suffix, &client.secret).await
    }

    pub(crate) async fn status(&self, secret: &str) -> Value {
        let status = self.authz(Method::GET, "/status", secret).await;
        status.expect(200).json()
    }

    /// The check of a product in the sandbox.
    pub(crate) async fn check(&self, product: &str, token: &str) -> Answer {
        self.api.check("sandbox", product, token).await.unwrap()
    }

    /// A check that must permit.
    #[track_caller]
    pub(crate) fn permits(&self, token: &str) -> impl Future<Output = Answer> {
        let checking = self.api.clone();
        let token = token.to_owned();
        async move {
            let answer = checking.check("sandbox", "gst", &token).await.unwrap();
            answer.expect(200)
        }
    }

    /// A check that must deny with 401 and this code.
    pub(crate) async fn denies(&self, token: &str, code: &str) -> Answer {
        self.check("gst", token).await.expect_error(401, code)
    }

    /// A call of the admin API with a JSON body.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.send(self.api.admin(method, path).json(body)).await
    }

    /// A call of the admin API without a body.
    pub(crate) async fn ask(&self, method: Method, path: &str) -> Answer {
        self.send(self.api.admin(method, path)).await
    }

    /// A change of a client that must be made.
    pub(crate) async fn patch(&self, client: &ApiClient, change: Value) -> Value {
        let answer = self.api.patch_client(&client.id, &change).await.unwrap();
        answer.expect(200).json()
    }

    /// A second secret for a client, with its number.
    pub(crate) async fn rotate(&self, client: &ApiClient) -> (u64, String) {
        let path = format!("/clients/{}/secrets", client.id);
        let made = self.ask(Method::POST, &path).await.expect(201).json();
        (made["n"].as_u64().unwrap(), text(&made, "/client_secret"))
    }

    /// Disables or enables the workspace `acme`.
    pub(crate) async fn disable_workspace(&self, disabled: bool) {
        let path = format!("/workspaces/{}", self.acme);
        let change = json!({ "disabled": disabled });
        self.admin(Method::PATCH, &path, &change).await.expect(200);
    }

    /// Waits until the day is far enough from its end that a count of the day can be told.
    pub(crate) async fn away_from_midnight(&self, secret: &str) {
        let what = "a time away from midnight";
        let status = || self.authz(Method::GET, "/status", secret);
        until(what, status, |answer| {
            let left = || answer.header("ratelimit").rsplit_once("t=")?.1.parse().ok();
            answer.status != 429 && left().is_some_and(|seconds: u64| seconds > 30)
        })
        .await;
    }

    /// The first answer of the check that is no permit.
    pub(crate) async fn until_ended(&self, token: &str) -> Answer {
        let ended = |answer: &Answer| answer.status != 200;
        until("the token to end", || self.check("gst", token), ended).await
    }

    /// Every audit entry, oldest first.
    pub(crate) async fn entries(&self) -> Vec<Value> {
        self.api.items("/audit?limit=1000").await
    }

    /// Every audit entry's action, oldest first.
    pub(crate) async fn actions(&self) -> Vec<String> {
        let entries = self.entries().await;
        entries.iter().map(|one| text(one, "/action")).collect()
    }

    /// The audit log must verify.
    pub(crate) async fn verifies(&self) {
        let verified = self.api.verify_audit().await.unwrap().expect(200);
        assert_eq!(verified.json()["ok"], true);
    }

    /// The database, for changes behind the server's back.
    pub(crate) fn database(&self) -> rusqlite::Connection {
        let file = self.server.data_dir().join("tokenward.sqlite");
        let connection = rusqlite::Connection::open(file).unwrap();
        connection.busy_timeout(LIMIT).unwrap();
        connection
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let log = self.server.output();
            assert!(!log.contains("panicked"), "{log}");
        }
    }
}

/// Calls again and again until the answer fits; a call is the pause.
pub(crate) async fn until<F: Future<Output = Answer>>(
    what: &str,
    mut call: impl FnMut() -> F,
    fits: impl Fn(&Answer) -> bool,
) -> Answer {
    let waiting = async {
        loop {
            let answer = call().await;
            if fits(&answer) {
                return answer;
            }
        }
    };
    let waited = tokio::time::timeout(LIMIT, waiting).await;
    waited.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Guesses until one is answered 429, the others being refused with this code; that answer.
pub(crate) async fn slowed<F: Future<Output = Answer>>(
    mut guess: impl FnMut() -> F,
    code: &str,
) -> Answer {
    for _ in 0..60 {
        let answer = guess().await;
        if answer.status == 429 {
            return answer;
        }
        answer.expect_error(401, code);
    }
    panic!("60 guesses were not slowed");
}

/// HTTP Basic with a user name and a password.
pub(crate) fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {pair}")
}

/// The same credential with its last character changed, so that its checksum is wrong.
pub(crate) fn cut(text: &str) -> String {
    let last = if text.ends_with('0') { '1' } else { '0' };
    format!("{}{last}", &text[..text.len() - 1])
}
