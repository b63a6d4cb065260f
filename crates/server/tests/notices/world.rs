//! A server with a workspace, and the programs that are told.

use reqwest::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokenward_testkit::{
    Answer, Api, ApiClient, NewClient, Process, Server, ServerBuilder, expect_status, wait_until,
};

/// Where a confirmation link leads.
pub(crate) const CONFIRM: &str = "/console/email/confirm/";
/// Where the link that stops notices leads.
pub(crate) const STOP: &str = "/console/email/stop/";

/// Longer than anything awaited here takes: some of it is tried a third time.
const LIMIT: Duration = Duration::from_secs(60);

/// A running server with the workspace `acme` and the product `gst`.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) api: Api,
    pub(crate) acme: String,
}

impl World {
    /// One whose webhooks may lead to this machine.
    pub(crate) async fn on_loopback(arguments: &[&str]) -> World {
        let mut all = vec!["--webhook-allow-network", "127.0.0.0/8"];
        all.extend(arguments);
        World::with(&all).await
    }

    pub(crate) async fn with(arguments: &[&str]) -> World {
        let add = |builder: ServerBuilder, argument: &&str| builder.arg(argument);
        World::of(arguments.iter().fold(Server::builder(), add)).await
    }

    pub(crate) async fn of(builder: ServerBuilder) -> World {
        let server = builder.start();
        let api = server.api();
        let acme = api.workspace("acme").await.unwrap();
        api.product("gst", "GST").await.unwrap();
        World { server, api, acme }
    }

    /// Kills the server and starts it again.
    pub(crate) fn kill_and_start(&mut self) {
        self.server.kill9();
        self.start_again();
    }

    pub(crate) fn start_again(&mut self) {
        self.server.restart();
        self.api = self.server.api();
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.api.admin(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.api.send(request).await.unwrap()
    }

    pub(crate) async fn client(&self, label: &str) -> ApiClient {
        let new = NewClient::sandbox(label);
        self.api.client(&self.acme, new).await.unwrap()
    }

    /// A client whose notices go to these addresses.
    pub(crate) async fn mailed(&self, label: &str, emails: &[&str]) -> ApiClient {
        let new = NewClient::sandbox(label).emails(emails);
        self.api.client(&self.acme, new).await.unwrap()
    }

    /// Chooses what an address is told, and when.
    pub(crate) async fn choose(&self, email: &str, event: &str, delivery: &str) -> Answer {
        let path = format!("/workspaces/{}/notification-addresses", self.acme);
        let preferences = json!([{ "event": event, "delivery": delivery }]);
        let body = json!({ "email": email, "preferences": preferences });
        self.call(Method::PATCH, &path, Some(body)).await
    }

    /// The same, confirmed by the links that were sent to them, and told of each token when it is generated.
    pub(crate) async fn confirmed(
        &self,
        mails: &MailServer,
        label: &str,
        emails: &[&str],
    ) -> ApiClient {
        let client = self.mailed(label, emails).await;
        for email in emails {
            let link = mails.link(email, CONFIRM, 1);
            assert_eq!(self.open(Method::POST, &link).await.0, 200, "{email}");
            expect_status(self.choose(email, "token.generated", "immediate"), 200).await;
        }
        client
    }

    /// Opens a page, or sends its form, as somebody without a session: status and text.
    pub(crate) async fn open(&self, method: Method, path: &str) -> (u16, String) {
        let url = format!("{}{path}", self.server.public());
        let sent = reqwest::Client::new().request(method, url).send().await;
        let answer = sent.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The states of a client's addresses, in order.
    pub(crate) async fn states(&self, client: &ApiClient) -> Vec<String> {
        let path = format!("/clients/{}", client.id);
        let shown = self.call(Method::GET, &path, None).await.expect(200).json();
        let addresses = shown["notification_addresses"].as_array().unwrap().iter();
        let state = |one: &Value| one["state"].as_str().unwrap().to_owned();
        addresses.map(state).collect()
    }

    /// The notices of a kind, the newest first.
    pub(crate) async fn notices_of(&self, kind: &str) -> Vec<Value> {
        let mut all = self.notices().await;
        all.retain(|one| one["type"] == kind);
        all
    }

    pub(crate) async fn generate(&self, client: &ApiClient) -> String {
        let answer = self.api.generate(&client.secret).await.unwrap();
        answer.token().access_token
    }

    /// A webhook's id and secret.
    pub(crate) async fn webhook(&self, url: &str) -> (String, String) {
        let path = format!("/workspaces/{}/webhooks", self.acme);
        let made = self
            .call(Method::POST, &path, Some(json!({ "url": url })))
            .await;
        let made = made.expect(201).json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&made["webhook"]["id"]), text(&made["secret"]))
    }

    /// The outbox, the newest first.
    pub(crate) async fn notices(&self) -> Vec<Value> {
        let path = format!("/workspaces/{}/notices?limit=1000", self.acme);
        let page = self.call(Method::GET, &path, None).await.expect(200).json();
        page["items"].as_array().unwrap().clone()
    }

    /// Waits until the outbox is as it should be.
    pub(crate) async fn outbox(&self, what: &str, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        until(what, async || {
            let notices = self.notices().await;
            fits(&notices).then_some(notices)
        })
        .await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let log = self.server.output();
        if !std::thread::panicking() {
            assert!(!log.contains("panicked"), "{log}");
        }
    }
}

/// Looks again and again until there is a value; a look is the pause.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(value) = look().await {
                return value;
            }
        }
    };
    let waited = tokio::time::timeout(LIMIT, waiting).await;
    waited.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// A Python program of this folder, once it listens.
fn python(script: &str, folder: &Path, arguments: &[String]) -> (Process, u16) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = here.join("../../.cache/venv/bin/python");
    assert!(
        program.exists(),
        "{} is missing: run `make setup`",
        program.display()
    );
    let (stdout, stderr) = (folder.join("stdout"), folder.join("stderr"));
    let mut process = Process::start(&program, None, &stdout, &stderr, |command| {
        command.arg(here.join("tests/notices/python").join(script));
        command.args(arguments);
    })
    .unwrap();
    let port = wait_until(script, LIMIT, || {
        if process.ended().is_some() {
            panic!(
                "{script}: {}",
                std::fs::read_to_string(&stderr).unwrap_or_default()
            );
        }
        let said = std::fs::read_to_string(&stdout).ok()?;
        let port = said.strip_prefix("listening ")?.strip_suffix('\n')?;
        port.parse().ok()
    });
    (process, port)
}

/// A receiver of webhooks.
pub(crate) struct Receiver {
    _process: Process,
    _folder: TempDir,
    pub(crate) base: String,
    http: reqwest::Client,
}

impl Receiver {
    pub(crate) fn start() -> Receiver {
        Receiver::on(0)
    }

    pub(crate) fn on(port: u16) -> Receiver {
        let folder = tempfile::tempdir().unwrap();
        let (process, port) = python("receiver.py", folder.path(), &[port.to_string()]);
        Receiver {
            _process: process,
            _folder: folder,
            base: format!("http://127.0.0.1:{port}"),
            http: tokenward_testkit::http().build().unwrap(),
        }
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The secrets that signatures are verified with.
    pub(crate) async fn knows(&self, secrets: &[&str]) {
        let put = self
            .http
            .put(self.at("/secrets"))
            .json(secrets)
            .send()
            .await;
        assert_eq!(put.unwrap().status(), 204);
    }

    pub(crate) async fn received(&self) -> Vec<Value> {
        let answer = self.http.get(self.at("/received")).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// Waits until this many messages of a kind have come.
    pub(crate) async fn messages(&self, kind: &str, count: usize) -> Vec<Value> {
        until(&format!("{count} times {kind}"), async || {
            let all = self.received().await;
            let of_kind: Vec<_> = all
                .into_iter()
                .filter(|one| one["body"]["type"] == kind)
                .collect();
            (of_kind.len() >= count).then_some(of_kind)
        })
        .await
    }
}

/// A mail server.
pub(crate) struct MailServer {
    _process: Process,
    folder: TempDir,
}

impl MailServer {
    pub(crate) fn on(port: u16) -> MailServer {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("letters");
        let arguments = [port.to_string(), kept.to_string_lossy().into_owned()];
        let (process, _) = python("smtpd.py", folder.path(), &arguments);
        MailServer {
            _process: process,
            folder,
        }
    }

    fn kept(&self) -> PathBuf {
        self.folder.path().join("letters")
    }

    pub(crate) fn letters(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.kept()).unwrap_or_default();
        let whole = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        whole.collect()
    }

    /// The letters to an address.
    pub(crate) fn letters_to(&self, email: &str) -> Vec<Value> {
        let mut letters = self.letters();
        letters.retain(|letter| letter["to"][0] == email);
        letters
    }

    /// Waits until this many letters to an address hold a link of a kind; the path of the newest.
    pub(crate) fn link(&self, email: &str, kind: &str, count: usize) -> String {
        wait_until(kind, LIMIT, || {
            let texts = self.letters_to(email).into_iter();
            let texts = texts.map(|letter| letter["text"].as_str().unwrap().to_owned());
            let links: Vec<String> = texts
                .filter_map(|text| {
                    let link = &text[text.find(kind)?..];
                    link.split_whitespace().next().map(str::to_owned)
                })
                .collect();
            (links.len() >= count).then(|| links.last().unwrap().clone())
        })
    }

    /// Waits until this many letters about something have come.
    pub(crate) fn letters_about(&self, what: &str, count: usize) -> Vec<Value> {
        wait_until(what, LIMIT, || {
            let about = |letter: &Value| letter["subject"].as_str().unwrap().contains(what);
            let letters: Vec<_> = self.letters().into_iter().filter(about).collect();
            (letters.len() >= count).then_some(letters)
        })
    }
}
