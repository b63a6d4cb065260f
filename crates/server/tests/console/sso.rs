//! Single sign-on against a provider that claims whatever a test wants.

use crate::house::{House, Page, expect};
use reqwest::header::{COOKIE, SET_COOKIE};
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokenward_testkit::{
    PROGRAM_LIMIT, Ran, Server, address_of, assert_contains, assert_contains_all, first_line,
    wait_until,
};

/// The provider; it ends with its input.
struct Provider {
    child: Child,
    base: String,
    http: reqwest::Client,
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let end = || self.child.try_wait().ok().flatten();
        // It ends with its input; while a test fails nothing is waited for.
        if std::thread::panicking() {
            let _ = self.child.kill();
        } else {
            wait_until("the end of the provider", PROGRAM_LIMIT, end);
        }
    }
}

impl Provider {
    /// A provider whose issuer ends with `end`.
    fn start(end: &str) -> Self {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/console/node");
        let mut child = Command::new("node")
            .arg(folder.join("claims.mjs"))
            .env("ISSUER_END", end)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node runs; `make setup` installs it");
        let said = child.stdout.take().unwrap();
        let base = first_line(said, "the provider", PROGRAM_LIMIT);
        Self {
            child,
            base,
            http: tokenward_testkit::http().build().unwrap(),
        }
    }

    async fn told(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.base));
        let answer = request.json(body).send().await.unwrap();
        answer.json().await.unwrap()
    }

    async fn counts(&self) -> (u64, u64, u64) {
        let counts = self.told("/counts", &json!({})).await;
        let count = |name: &str| counts[name].as_u64().unwrap();
        (count("metadata"), count("keys"), count("tokens"))
    }
}

async fn house(provider: &Provider, more: &[&str]) -> House {
    let builder = Server::builder().arg("--sso-client-id=tokenward");
    let builder = builder.args(&["--sso-issuer", &provider.base]).args(more);
    let house = House::of(builder.start());
    house.joined(&house.link(), "kate@example.com").await;
    house
}

/// Goes to the provider and comes back with its word for somebody: `claims`, and the nonce that was asked for.
async fn through(house: &House, provider: &Provider, claims: Value) -> Page {
    let start = expect(house.stranger().get("/console/sso/start"), 303, "").await;
    let asked = reqwest::Url::parse(start.location()).unwrap();
    let asked = |name: &str| {
        let found = asked.query_pairs().find(|(known, _)| known == name);
        found.unwrap().1.into_owned()
    };
    let mut claims = claims;
    claims["nonce"] = asked("nonce").into();
    let code = provider.told("/code", &claims).await;
    let code = code["code"].as_str().unwrap();
    let mut browser = house.stranger();
    browser.cookie = start.cookie();
    let state = asked("state");
    let path = format!("/console/sso/return?code={code}&state={state}");
    browser.get(&path).await
}

#[tokio::test]
async fn an_address_counts_when_the_provider_has_verified_it() {
    let provider = Provider::start("");
    let house = house(&provider, &[]).await;
    let claims = |email: &str, verified: Value| {
        let mut claims = json!({ "sub": "somebody", "email": email });
        if !verified.is_null() {
            claims["email_verified"] = verified;
        }
        claims
    };
    let unverified = "did not confirm a verified email address";
    for (email, verified, says) in [
        ("kate@example.com", Value::Null, unverified),
        ("kate@example.com", json!(false), unverified),
        ("kate@example.com", json!("false"), unverified),
        // Another letter that folds to a k, and blanks, make another address.
        ("\u{212a}ate@example.com", json!(true), unverified),
        (" kate@example.com ", json!(true), unverified),
        ("ravi@example.com", json!(true), "You have no account here"),
    ] {
        let page = through(&house, &provider, claims(email, verified.clone())).await;
        assert_eq!(page.status, 403, "{email:?} {verified}: {}", page.text);
        page.says(&[says]);
        assert!(page.headers.get(SET_COOKIE).is_none());
    }
    let log = wait_until("the lines", Duration::from_secs(20), || {
        let log = house.server.output();
        log.contains("not_a_member").then_some(log)
    });
    let refused = log.lines().filter(|line| line.contains("single_sign_on"));
    let named = refused.filter(|line| line.contains("credential refused"));
    assert_eq!(named.count(), 6, "{log}");
    assert!(log.contains("email_not_verified"), "{log}");
    // Cognito sends its booleans as strings.
    let page = through(&house, &provider, claims("Kate@Example.com", json!("true"))).await;
    page.expect(200, "You are signed in");
    // From now on the provider's own name for her counts, whatever it says of their address.
    let page = through(&house, &provider, claims("other@example.com", Value::Null)).await;
    page.expect(200, "You are signed in");
}

#[tokio::test]
async fn a_provider_without_the_claim_is_believed_when_a_setting_says_so() {
    let provider = Provider::start("");
    let house = house(&provider, &["--sso-assume-email-verified", "true"]).await;
    let claims = json!({ "sub": "a", "email": "kate@example.com", "email_verified": false });
    let page = through(&house, &provider, claims).await;
    page.expect(403, "did not confirm a verified email address");
    let claims = json!({ "sub": "a", "email": "kate@example.com" });
    let page = through(&house, &provider, claims).await;
    page.expect(200, "You are signed in");
}

#[tokio::test]
async fn the_provider_is_asked_about_itself_once_for_many_strangers() {
    let provider = Provider::start("");
    let house = house(&provider, &[]).await;
    let starts = (0..20).map(|_| {
        let stranger = house.stranger();
        async move { stranger.get("/console/sso/start").await.expect(303, "") }
    });
    futures_util::future::join_all(starts).await;
    for _ in 0..20 {
        expect(house.stranger().get("/console/sso/start"), 303, "").await;
    }
    assert_eq!(provider.counts().await, (1, 1, 0));
    // An answer that belongs to no question makes no call of the provider, and not every other does.
    let mut browser = house.stranger();
    expect(browser.get("/console/sso/return?code=x&state=y"), 403, "").await;
    let mut refused = false;
    for _ in 0..300 {
        let start = house.stranger().get("/console/sso/start").await;
        let asked = reqwest::Url::parse(start.location()).unwrap();
        let state = asked.query_pairs().find(|(name, _)| name == "state");
        browser.cookie = start.cookie();
        let path = format!("/console/sso/return?code=x&state={}", state.unwrap().1);
        let page = browser.get(&path).await;
        if page.status == 429 {
            refused = page.headers.contains_key("retry-after");
            break;
        }
        page.expect(409, "");
    }
    assert!(refused);
    let (metadata, keys, tokens) = provider.counts().await;
    assert_eq!((metadata, keys), (1, 1));
    assert!((40..300).contains(&tokens), "{tokens}");
}

#[tokio::test]
async fn refusals_of_a_disabled_member_are_limited_like_other_failures() {
    let provider = Provider::start("");
    let house = house(&provider, &[]).await;
    let claims = json!({ "sub": "k", "email": "kate@example.com", "email_verified": true });
    let page = through(&house, &provider, claims.clone()).await;
    page.expect(200, "You are signed in");
    // Behind the server's back: she is the last operator.
    house.in_database("UPDATE member SET disabled_at = created_at");
    let mut refused = 0;
    // Bounded: each attempt takes less than the five seconds after which one more is allowed.
    while refused < 300 {
        let page = through(&house, &provider, claims.clone()).await;
        if page.status == 429 {
            break;
        }
        page.expect(403, "can&#39;t sign in");
        refused += 1;
    }
    assert!((40..300).contains(&refused), "{refused}");
}

fn check(issuer: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
    let data = folder.path().display();
    let check =
        format!("config check --online --sso-client-id x --data-dir {data} --sso-issuer {issuer}");
    let ran = Ran::of(&mut command, &check);
    (ran.code == 0, ran.stderr)
}

#[tokio::test]
async fn an_issuer_that_calls_itself_otherwise_is_found_before_somebody_signs_in() {
    for end in ["", "/"] {
        let provider = Provider::start(end);
        let own = format!("{}{end}", provider.base);
        let other = match end {
            "" => format!("{}/", provider.base),
            _ => provider.base.clone(),
        };
        assert_eq!(check(&own), (true, String::new()));
        let (good, said) = check(&other);
        assert!(!good);
        let both = [format!("`{own}`"), format!("`{other}`")];
        assert_contains_all(&said, &[&both[0], &both[1], "Set sso_issuer to exactly"]);
    }
    let (good, said) = check("http://127.0.0.1:9");
    assert!(!good && said.contains("127.0.0.1:9"), "{said}");
}

/// HTTP/2 has no Host header; the pages go by the authority of the request as they do by the header.
#[tokio::test]
async fn the_console_knows_its_host_under_http_2() {
    let provider = Provider::start("");
    let house = house(&provider, &[]).await;
    let address = address_of(house.server.public());
    let address: std::net::SocketAddr = address.parse().unwrap();
    let client = |second: bool| {
        let builder = tokenward_testkit::http()
            .resolve("tokens.example.com", address)
            .redirect(reqwest::redirect::Policy::none());
        match second {
            true => builder.http2_prior_knowledge().build().unwrap(),
            false => builder.http1_only().build().unwrap(),
        }
    };
    let host = format!("tokens.example.com:{}", address.port());
    for second in [false, true] {
        let ask = async |path: &str| {
            let request = client(second).get(format!("http://{host}{path}"));
            request.header(COOKIE, "a=b").send().await.unwrap()
        };
        let start = ask("/console/sso/start").await;
        let to = start.headers()["location"].to_str().unwrap().to_owned();
        let back = format!("https://{host}/console/sso/return");
        let back: String = form_urlencoded::byte_serialize(back.as_bytes()).collect();
        assert!(to.contains(&back), "HTTP/2: {second}: {to}");
        let text = ask("/console/sign-in").await.text().await.unwrap();
        assert_contains(&text, "on an insecure (HTTP) connection");
    }
}
