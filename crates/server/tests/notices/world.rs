//! A server with a workspace, and the programs that are told.

use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokenward_testkit::{
    Answer, Api, ApiClient, NewClient, PythonServer, Server, ServerBuilder, expect_json,
    expect_status, text, wait_until,
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
        World::of(Server::builder().args(arguments)).await
    }

    /// One that sends mail through this port, with more arguments.
    pub(crate) async fn mailing(port: u16, more: &[&str]) -> World {
        World::of(mailing(port).args(more)).await
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
        let shown = expect_json(self.api.read_client(&client.id), 200).await;
        let addresses = shown["notification_addresses"].as_array().unwrap().iter();
        addresses.map(|one| text(one, "/state")).collect()
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
        let made = self.call(Method::POST, &path, Some(json!({ "url": url })));
        let made = expect_json(made, 201).await;
        (text(&made, "/webhook/id"), text(&made, "/secret"))
    }

    /// The outbox, the newest first.
    pub(crate) async fn notices(&self) -> Vec<Value> {
        let path = format!("/workspaces/{}/notices?limit=1000", self.acme);
        self.api.items(&path).await
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

/// A server that sends mail through this port. Links in mails lead to its public URL; the tests follow them on the
/// server's own address.
pub(crate) fn mailing(port: u16) -> ServerBuilder {
    Server::builder().args(&[
        &*format!("--mail-url=smtp://127.0.0.1:{port}"),
        "--mail-from=Tokenward <tokens@example.com>",
        "--public-url=https://tokens.example.com",
    ])
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
fn python(script: &str, arguments: &[&str]) -> PythonServer {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/notices/python");
    PythonServer::start(&folder.join(script), LIMIT, arguments)
}

/// The machine's clock, from which libfaketime counts, in seconds.
#[expect(
    clippy::disallowed_methods,
    reason = "libfaketime counts from the machine's clock"
)]
pub(crate) fn machine_seconds() -> i64 {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_secs().try_into().unwrap()
}

/// The path of a link of this kind in a letter.
pub(crate) fn link_in(letter: &Value, kind: &str) -> Option<String> {
    let text = letter["text"].as_str()?;
    let link = &text[text.find(kind)?..];
    link.split_whitespace().next().map(str::to_owned)
}

/// A receiver of webhooks.
pub(crate) struct Receiver {
    _program: PythonServer,
    base: String,
    http: reqwest::Client,
}

impl Receiver {
    pub(crate) fn start() -> Receiver {
        Receiver::on(0)
    }

    pub(crate) fn on(port: u16) -> Receiver {
        let program = python("receiver.py", &[&port.to_string()]);
        Receiver {
            base: format!("http://127.0.0.1:{}", program.port),
            _program: program,
            http: tokenward_testkit::http().build().unwrap(),
        }
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The secrets that signatures are verified with.
    pub(crate) async fn knows(&self, secrets: &[&str]) {
        let put = self.http.put(self.at("/secrets")).json(secrets);
        assert_eq!(put.send().await.unwrap().status(), 204);
    }

    pub(crate) async fn received(&self) -> Vec<Value> {
        let answer = self.http.get(self.at("/received")).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// Waits until this many messages of a kind have come.
    pub(crate) async fn messages(&self, kind: &str, count: usize) -> Vec<Value> {
        until(&format!("{count} times {kind}"), async || {
            let mut of_kind = self.received().await;
            of_kind.retain(|one| one["body"]["type"] == kind);
            (of_kind.len() >= count).then_some(of_kind)
        })
        .await
    }
}

/// A mail server.
pub(crate) struct MailServer {
    _program: PythonServer,
    folder: TempDir,
}

impl MailServer {
    pub(crate) fn on(port: u16) -> MailServer {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("letters");
        let arguments = [&*port.to_string(), kept.to_str().unwrap()];
        MailServer {
            _program: python("smtpd.py", &arguments),
            folder,
        }
    }

    pub(crate) fn letters(&self) -> Vec<Value> {
        let kept = self.folder.path().join("letters");
        let text = std::fs::read_to_string(kept).unwrap_or_default();
        let whole = |line| serde_json::from_str(line).ok();
        text.lines().filter_map(whole).collect()
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
            let letters = self.letters_to(email);
            let links = letters.iter().filter_map(|letter| link_in(letter, kind));
            let links: Vec<String> = links.collect();
            links.get(count.max(links.len()) - 1).cloned()
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
