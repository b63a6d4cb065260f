//! A server with people, and ways to send it what browsers and attackers send.

use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::panic::Location;
use tokenward_testkit::{Api, Server, assert_contains_all, assert_lacks, expect_json, text};

pub(crate) const PASSWORD: &str = "plum-tractor-7-galaxy";

/// What came back.
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Page {
    /// Where a redirect leads.
    pub(crate) fn location(&self) -> &str {
        let location = self.headers.get(LOCATION);
        location.map_or("", |value| value.to_str().unwrap())
    }

    /// The cookie that it sets, as a browser sends it back.
    pub(crate) fn cookie(&self) -> String {
        let set = self.headers.get(SET_COOKIE).expect("a cookie");
        let set = set.to_str().unwrap();
        set.split(';').next().unwrap().to_owned()
    }

    /// The value of the first hidden field of that name.
    pub(crate) fn hidden(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        self.between(&start, "\"")
    }

    /// The ids that follow `before` in links and forms, each once.
    pub(crate) fn ids(&self, before: &str) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        for rest in self.text.split(before).skip(1) {
            let id = rest.get(..36).unwrap_or("");
            if id.matches('-').count() == 4 && !ids.iter().any(|known| known == id) {
                ids.push(id.to_owned());
            }
        }
        ids
    }

    /// What follows `before` up to `until`.
    pub(crate) fn between(&self, before: &str, until: &str) -> String {
        let at = self.text.find(before);
        let at = at.unwrap_or_else(|| panic!("no {before:?} in\n{}", self.text));
        let rest = &self.text[at + before.len()..];
        rest[..rest.find(until).unwrap()].to_owned()
    }

    /// All of these are on the page.
    #[track_caller]
    pub(crate) fn says(&self, parts: &[&str]) {
        assert_contains_all(&self.text, parts);
    }

    /// This is not on the page.
    #[track_caller]
    pub(crate) fn lacks(&self, part: &str) {
        assert_lacks(&self.text, part);
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16, says: &str) -> Self {
        self.expect_at(status, says, Location::caller())
    }

    fn expect_at(self, status: u16, says: &str, at: &Location<'_>) -> Self {
        let said = self.text.contains(says);
        assert!(
            self.status.as_u16() == status && said,
            "{at}: {} instead of {status} with {says:?}:\n{:?}\n{}",
            self.status,
            self.headers,
            self.text
        );
        self
    }
}

/// The page that a call is answered with, which must have this status and say this; a failure names the caller's line.
#[track_caller]
pub(crate) fn expect(
    call: impl Future<Output = Page>,
    status: u16,
    says: &str,
) -> impl Future<Output = Page> {
    let at = Location::caller();
    async move { call.await.expect_at(status, says, at) }
}

/// The page at `path`, which must be shown and say this.
#[track_caller]
pub(crate) fn shows(browser: &Browser, path: &str, says: &str) -> impl Future<Output = Page> {
    expect(browser.get(path), 200, says)
}

/// The answer to a form of this session, which must be taken: a redirect.
#[track_caller]
pub(crate) fn done(
    browser: &Browser,
    path: &str,
    form: &[(&str, &str)],
) -> impl Future<Output = Page> {
    expect(browser.send(path, form), 303, "")
}

/// A running server whose first operator has joined.
pub(crate) struct House {
    pub(crate) server: Server,
    pub(crate) api: Api,
    http: Client,
}

/// A browser of somebody signed in.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) base: String,
    http: Client,
    pub(crate) cookie: String,
    pub(crate) word: String,
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::of(Server::builder().start())
    }

    pub(crate) fn of(server: Server) -> Self {
        let http = tokenward_testkit::http().redirect(reqwest::redirect::Policy::none());
        let http = http.build().unwrap();
        let api = server.api();
        Self { server, api, http }
    }

    /// Ends the server in good order and starts it again.
    pub(crate) fn restart(&mut self) {
        assert!(self.server.terminate().success());
        self.server.restart();
        self.api = self.server.api();
    }

    /// A server and its first operator, signed in.
    pub(crate) async fn with_operator() -> (Self, Browser) {
        let house = Self::new().await;
        let operator = house.operator().await;
        (house, operator)
    }

    /// The same, and the workspace `Acme`.
    pub(crate) async fn with_workspace() -> (Self, Browser, String) {
        let (house, operator) = Self::with_operator().await;
        let acme = house.workspace("Acme").await;
        (house, operator, acme)
    }

    /// Makes every proof of who somebody is an hour old, behind the server's back.
    pub(crate) fn age_proofs(&self) {
        self.in_database("UPDATE session SET proved_at = proved_at - 3600000000");
    }

    /// Changes rows behind the server's back, at least one.
    pub(crate) fn in_database(&self, sql: &str) {
        let database = self.server.data_dir().join("tokenward.sqlite");
        let connection = rusqlite::Connection::open(database).unwrap();
        let limit = std::time::Duration::from_secs(10);
        connection.busy_timeout(limit).unwrap();
        assert!(connection.execute(sql, []).unwrap() > 0, "{sql}");
    }

    pub(crate) fn link(&self) -> String {
        let path = self.server.data_dir().join("console-link");
        let link = std::fs::read_to_string(path).unwrap();
        let at = link.find("/console/").unwrap();
        link.trim()[at..].to_owned()
    }

    /// Nobody in particular.
    pub(crate) fn stranger(&self) -> Browser {
        Browser {
            base: self.server.public().to_string(),
            http: self.http.clone(),
            cookie: String::new(),
            word: String::new(),
        }
    }

    /// The first operator, signed in.
    pub(crate) async fn operator(&self) -> Browser {
        self.joined(&self.link(), "asha@example.com").await
    }

    /// Somebody who joins by a link.
    pub(crate) async fn joined(&self, link: &str, email: &str) -> Browser {
        let form = [
            ("email", email),
            ("name", "Somebody"),
            ("password", PASSWORD),
            ("password_again", PASSWORD),
        ];
        let answer = self.stranger().post(link, &form).await.expect(303, "");
        self.with(&answer).await
    }

    /// The browser whose cookie an answer sets.
    pub(crate) async fn with(&self, answer: &Page) -> Browser {
        let mut browser = self.stranger();
        browser.cookie = answer.cookie();
        let account = browser.get("/console/account").await.expect(200, "");
        browser.word = account.hidden("csrf_token");
        browser
    }

    pub(crate) async fn signed_in(&self, email: &str) -> Page {
        let form = [("email", email), ("password", PASSWORD)];
        self.stranger().post("/console/sign-in", &form).await
    }

    /// Somebody with a role, invited by the operator through the pages.
    pub(crate) async fn invited(
        &self,
        operator: &Browser,
        email: &str,
        role: &[(&str, &str)],
    ) -> Browser {
        let mut form = vec![("email", email)];
        form.extend(role);
        let page = operator.send("/console/members/invite", &form).await;
        let page = page.expect(200, "invited");
        let link = page.between("/console/join/", "</code>");
        self.joined(&format!("/console/join/{link}"), email).await
    }

    /// The id of the member with this address.
    pub(crate) async fn member(&self, email: &str) -> String {
        let mut all = self.api.items("/members").await;
        all.retain(|member| member["email"] == email);
        text(&all[0], "/id")
    }

    /// One more operator of all workspaces.
    pub(crate) async fn new_operator(&self, operator: &Browser, email: &str) -> Browser {
        self.invited(operator, email, &[("role", "operator")]).await
    }

    /// An auditor of all workspaces.
    pub(crate) async fn new_auditor(&self, operator: &Browser, email: &str) -> Browser {
        self.invited(operator, email, &[("role", "auditor")]).await
    }

    /// Something made by the API: its id, which is at this place of the answer.
    pub(crate) async fn made(&self, path: &str, body: Value, id: &str) -> String {
        let made = expect_json(self.api.tell(Method::POST, path, &body), 201).await;
        text(&made, id)
    }

    /// A workspace by the API.
    pub(crate) async fn workspace(&self, name: &str) -> String {
        self.api.workspace(name).await.unwrap()
    }

    /// The workspaces `acme` and `other`.
    pub(crate) async fn two_workspaces(&self) -> (String, String) {
        (self.workspace("acme").await, self.workspace("other").await)
    }

    /// A client by the API, in the sandbox, for some products or all.
    pub(crate) async fn client(
        &self,
        workspace: &str,
        label: &str,
        products: Option<&[&str]>,
    ) -> String {
        let body = json!({ "label": label, "environment": "sandbox", "products": products });
        let path = format!("/workspaces/{workspace}/clients");
        self.made(&path, body, "/client/id").await
    }
}

impl Browser {
    async fn ask(&self, request: reqwest::RequestBuilder) -> Page {
        let request = match self.cookie.is_empty() {
            true => request,
            false => request.header(COOKIE, &self.cookie),
        };
        let answer = request.send().await.unwrap();
        Page {
            status: answer.status(),
            headers: answer.headers().clone(),
            text: answer.text().await.unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Page {
        self.ask(self.http.get(format!("{}{path}", self.base)))
            .await
    }

    /// A form as this server's own pages send it, without the session's word.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Page {
        self.post_with(path, form, &[("sec-fetch-site", "same-origin")])
            .await
    }

    pub(crate) async fn post_with(
        &self,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&'static str, &str)],
    ) -> Page {
        let mut request = self.http.post(format!("{}{path}", self.base)).form(form);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request).await
    }

    /// Signs in as the first operator at a page that asks for it, and sends what that page kept.
    pub(crate) async fn sign_in_at(&self, asked: &Page) -> Page {
        let form = [
            ("email", "asha@example.com"),
            ("password", PASSWORD),
            ("next", &asked.hidden("next")),
            ("kept", &asked.hidden("kept")),
        ];
        self.post("/console/sign-in", &form).await
    }

    /// Proves the identity with a password at a page that asks for it, and sends what that page kept.
    pub(crate) async fn prove_at(&self, asked: &Page, password: &str) -> Page {
        let form = [
            ("proof", password),
            ("next", &asked.hidden("next")),
            ("kept", &asked.hidden("kept")),
        ];
        self.send("/console/step-up", &form).await
    }

    /// Adds an authenticator app to the account; its key.
    pub(crate) async fn add_app(&self) -> String {
        let page = self.get("/console/account/app").await.expect(200, "");
        let (sealed, key) = (page.hidden("sealed"), page.between("id=\"app-key\">", "<"));
        let code = totp(&key);
        let form = [("sealed", sealed.as_str()), ("code", code.as_str())];
        let page = self.send("/console/account/app", &form).await;
        page.expect(200, "Recovery codes");
        key
    }

    /// A form of this session, with values of its own.
    pub(crate) async fn send_owned(&self, path: &str, form: &[(&str, String)]) -> Page {
        let form = form.iter().map(|(name, value)| (*name, value.as_str()));
        self.send(path, &form.collect::<Vec<_>>()).await
    }

    /// A form of this session.
    pub(crate) async fn send(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let mut whole = vec![("csrf_token", self.word.as_str())];
        whole.extend(form);
        self.post(path, &whole).await
    }
}

/// The code an authenticator app shows for a key as it is typed.
pub(crate) fn totp(key: &str) -> String {
    let secret = totp_rs::Secret::try_from_base32(key.replace(' ', "")).unwrap();
    let builder = totp_rs::Builder::new().with_secret(secret);
    builder.build_noncompliant().generate_current().to_string()
}
