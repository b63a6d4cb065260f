//! The walk: the life of an access token in the order a newcomer meets it. Each chapter does what its people would do and
//! demands the answer the wire contract promises; anything else is a panic.

use std::{cell::Cell, fs, path::Path, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use tokenward_proof::secrets::Scanner;
use tokenward_testkit::{Answer, ApiClient, NewClient, expect_status};

use crate::{
    stage::{GSTIN_PATH, INVOICES_PATH, SECRET_HEADER, Stage, TOKEN_HEADER, invoice},
    story::{Stopwatch, Story, heading, note, shortened},
};

/// Lifetime of the ERP's tokens.
const LIFETIME_SECONDS: u64 = 3_600;
/// Characters of the random part that ends every secret and token, checksum included.
const TAIL_LENGTH: usize = 64;
/// Lifetime of the token whose end is waited for: the shortest there is.
const SHORT_LIFETIME_SECONDS: u64 = 1;
/// How late a token of [`SHORT_LIFETIME_SECONDS`] may still pass, counted from when its answer was here:
/// the lifetime itself, and a second for a `valid_till` rounded to whole seconds.
const SHORT_LIFETIME_LIMIT: Duration = Duration::from_secs(2);
/// Rest between two looks at the short-lived token.
const PAUSE: Duration = Duration::from_millis(20);

/// A live access token, as its caller got it.
struct LiveToken {
    text: String,
    generation: u64,
}

/// The walk under way.
struct Walk<'a> {
    stage: &'a Stage,
    story: &'a mut Story,
    workspace: String,
    /// Every secret and token seen, to be looked for at the end where none may lie.
    held: Vec<String>,
}

/// Walks from the first administrator's call to the deleted client.
pub(crate) async fn walk(stage: &Stage, story: &mut Story) {
    heading("Tokenward: the life of an access token, on this machine");
    for (what, address, role) in [
        ("server ", stage.server.public(), "public"),
        ("", stage.server.internal(), "internal: checks, health"),
        (
            "product",
            stage.product("production"),
            "a sample API, production",
        ),
        ("", stage.product("sandbox"), "the same, sandbox"),
    ] {
        note(format_args!("{what:<9} {address}   {role}"));
    }
    let mut walk = Walk {
        stage,
        story,
        workspace: String::new(),
        held: Vec::new(),
    };
    walk.administration().await;
    let erp = walk.api_client().await;
    let first = walk.first_token(&erp).await;
    walk.product(&erp, &first).await;
    walk.bad_invoice(&first).await;
    walk.wrong_product(&first).await;
    walk.each_in_its_place(&erp, &first).await;
    walk.environments().await;
    let second = walk.regenerate(&erp, &first).await;
    walk.expiry().await;
    walk.delete(&erp, &second).await;
    walk.nothing_at_rest();
    walk.story.summary();
}

impl Walk<'_> {
    /// A call of the admin API.
    async fn admin(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.stage.api.admin(method, path).json(&body);
        self.stage.api.send(request).await.expect("an answer")
    }

    async fn administration(&mut self) {
        self.story.chapter(
            "An administrator makes a workspace and two products",
            "The first admin key lies in the server's data directory, readable by its owner only.",
        );
        let name = "Sahyadri Tools";
        let answer = self
            .admin(Method::POST, "/workspaces", json!({ "name": name }))
            .await
            .expect(201);
        let body = answer.json();
        assert_eq!(body["name"], name);
        self.workspace = text(&body["id"]);
        self.story.saw("POST /admin/v1/workspaces", answer.status);
        for (slug, name) in [("e-invoice", "E-Invoice"), ("gst", "GST")] {
            let path = format!("/products/{slug}");
            let answer =
                expect_status(self.admin(Method::PUT, &path, json!({ "name": name })), 201).await;
            self.story
                .saw(&format!("PUT /admin/v1{path}"), answer.status);
        }
    }

    /// Makes an API client that may use `e-invoice` only.
    async fn new_client(&mut self, new: NewClient) -> ApiClient {
        let client = self
            .stage
            .api
            .client(&self.workspace, new.products(&["e-invoice"]));
        let client = client.await.expect("an answer");
        self.held.push(client.secret.clone());
        client
    }

    async fn api_client(&mut self) -> ApiClient {
        self.story.chapter(
            "... and an API client for the ERP: production, e-invoice only",
            "The client secret is shown this one time. It can do one thing: generate access tokens.",
        );
        let new = NewClient::production("sahyadri-erp").lifetime(LIFETIME_SECONDS);
        let client = self.new_client(new).await;
        demand_shape(
            &client.secret,
            &format!("tw-secret.production.{}.", client.id),
        );
        self.story
            .saw("POST /admin/v1/workspaces/{id}/clients", 201);
        note(format_args!("client secret  {}", shortened(&client.secret)));
        let answer = self.stage.api.read_client(&client.id).await;
        let body = answer.expect("an answer").expect(200).body;
        assert!(
            !body.contains(tail(&client.secret)),
            "the secret is told again: {body}"
        );
        let did = "GET /admin/v1/clients/{id}: the secret is not told again";
        self.story.saw(did, 200);
        client
    }

    async fn first_token(&mut self, erp: &ApiClient) -> LiveToken {
        self.story.chapter(
            "The ERP generates its access token",
            format_args!("GET /integration/v1/authz/token with the secret in {SECRET_HEADER}."),
        );
        let token = self.generate(erp, LIFETIME_SECONDS).await;
        assert_eq!(token.generation, 1, "a client's first token");
        token
    }

    /// What comes back for what should be a client secret.
    async fn authz(&self, secret: &str) -> Answer {
        let request = self.stage.api.authz(Method::GET, "", secret);
        self.stage.api.send(request).await.expect("an answer")
    }

    /// Generates a token and demands everything the contract says of the answer.
    async fn generate(&mut self, client: &ApiClient, lifetime_seconds: u64) -> LiveToken {
        let answer = self.authz(&client.secret).await.expect(200);
        let [etag, cache] = ["etag", "cache-control"].map(|name| answer.header(name).to_owned());
        let token = answer.token();
        let begins = match client.environment.as_str() {
            "production" => format!("1.{}_", client.id),
            other => format!("{other}.1.{}_", client.id),
        };
        demand_shape(&token.access_token, &begins);
        let generation = token.generation;
        assert_eq!(
            (etag, cache.as_str()),
            (format!("\"{generation}\""), "no-store")
        );
        assert_eq!(token.expires_in, Some(lifetime_seconds));
        // 2026-11-23T10:15:30+00:00, exactly
        let till = token.valid_till.unwrap_or_default();
        assert!(
            till.len() == 25 && till.ends_with("+00:00"),
            "valid_till is {till:?}"
        );
        let text = token.access_token;
        self.held.push(text.clone());
        self.story.saw(
            &format!("{} generates a token", client.label),
            format_args!("200, generation {generation}"),
        );
        note(format_args!(
            "access token   {}   till {till}",
            shortened(&text)
        ));
        LiveToken { text, generation }
    }

    /// Sends an invoice with what should be a token and demands this refusal; what came back.
    async fn refused(&mut self, did: &str, token: Option<&str>, code: &str) -> Value {
        let error = refusal(self.stage.register(token).await, 401, code);
        self.story.saw(did, format_args!("401 {code}"));
        error
    }

    /// Sends an invoice with a token and demands that it is taken.
    async fn passes(&mut self, did: &str, token: &LiveToken) {
        self.stage.register(Some(&token.text)).await.expect(200);
        self.story.saw(did, 200);
    }

    async fn product(&mut self, erp: &ApiClient, token: &LiveToken) {
        self.story.chapter(
            "The ERP sends an invoice to the E-Invoice product",
            format_args!(
                "The token goes into {TOKEN_HEADER}; the product asks Tokenward's check, then works."
            ),
        );
        let answer = self.stage.register(Some(&token.text)).await.expect(200);
        let body = answer.json();
        assert_eq!(body["number"], "TW/26-27/1");
        let admitted = &body["admitted"];
        for (name, expected) in [
            ("client", erp.id.as_str()),
            ("client_label", &erp.label),
            ("environment", "production"),
            ("product", "e-invoice"),
            ("generation", &token.generation.to_string()),
        ] {
            assert_eq!(admitted[name], expected, "{name} in {body}");
        }
        self.story.saw("POST /e-invoice/v1/invoices", 200);
        note(format_args!(
            "the product knows its caller: {}, generation {}",
            erp.label, token.generation
        ));
    }

    async fn bad_invoice(&mut self, token: &LiveToken) {
        self.story.chapter(
            "An invoice that the product refuses",
            "The token is valid and the invoice is not: the error comes from the product.",
        );
        let body = json!({"number": ""});
        let answer = self
            .stage
            .call("production", INVOICES_PATH, Some(&token.text), Some(&body))
            .await;
        let error = refusal(answer, 422, "INVALID_NUMBER");
        assert_eq!(error["error_source"], "E-INVOICE");
        assert_eq!(error["field"], "number");
        let did = "POST /e-invoice/v1/invoices, no invoice number";
        self.story.saw(did, "422 INVALID_NUMBER");
    }

    async fn wrong_product(&mut self, token: &LiveToken) {
        self.story.chapter(
            "The same token at another product",
            "This client was made for e-invoice only; so are all its tokens.",
        );
        let answer = self
            .stage
            .call("production", GSTIN_PATH, Some(&token.text), None)
            .await;
        refusal(answer, 403, "PRODUCT_NOT_ALLOWED");
        self.story
            .saw("GET /gst/v1/gstins/{gstin}", "403 PRODUCT_NOT_ALLOWED");
    }

    async fn each_in_its_place(&mut self, erp: &ApiClient, token: &LiveToken) {
        self.story.chapter(
            "Secret and token, each where the other belongs",
            "Two credentials with one use each; a mix-up is refused, and the answer says what it was.",
        );
        let did = "the client secret as access token, at the product";
        self.refused(did, Some(&erp.secret), "CLIENT_SECRET_USED_AS_TOKEN")
            .await;
        refusal(
            self.authz(&token.text).await,
            401,
            "ACCESS_TOKEN_USED_AS_SECRET",
        );
        let did = "the access token as client secret, to generate";
        self.story.saw(did, "401 ACCESS_TOKEN_USED_AS_SECRET");
        let did = "no token at all, at the product";
        self.refused(did, None, "ACCESS_TOKEN_MISSING").await;
        let did = "the token once more: the mix-ups did it no harm";
        self.passes(did, token).await;
    }

    async fn environments(&mut self) {
        self.story.chapter(
            "Sandbox and production",
            "Each environment has its own clients, secrets and tokens; none opens the other.",
        );
        let new = NewClient::sandbox("sahyadri-erp").lifetime(LIFETIME_SECONDS);
        let client = self.new_client(new).await;
        self.story.saw("a sandbox client of the same name", 201);
        let token = self.generate(&client, LIFETIME_SECONDS).await;
        let answer = self
            .stage
            .call(
                "sandbox",
                INVOICES_PATH,
                Some(&token.text),
                Some(&invoice()),
            )
            .await
            .expect(200);
        assert_eq!(answer.json()["admitted"]["environment"], "sandbox");
        self.story
            .saw("the sandbox token at the sandbox product", 200);
        let did = "the sandbox token at the production product";
        self.refused(did, Some(&token.text), "ENVIRONMENT_MISMATCH")
            .await;
    }

    async fn regenerate(&mut self, erp: &ApiClient, old: &LiveToken) -> LiveToken {
        self.story.chapter(
            "The ERP generates again",
            "One live token a client: the new answer is the end of the old token, at once.",
        );
        let new = self.generate(erp, LIFETIME_SECONDS).await;
        let answered = Stopwatch::start();
        let did = "the old token, right after";
        let error = self.refused(did, Some(&old.text), "TOKEN_SUPERSEDED").await;
        let took = answered.elapsed();
        assert!(
            names_generation(&error, new.generation),
            "{error} names no generation {}",
            new.generation
        );
        note(&error["error_message"]);
        note(format_args!(
            "refused {took:.1?} after the new token's answer"
        ));
        assert_eq!(new.generation, old.generation + 1);
        assert_ne!(new.text, old.text);
        self.passes("the new token", &new).await;
        new
    }

    async fn expiry(&mut self) {
        self.story.chapter(
            "A token that lives for one second",
            "Lifetimes are set per client, from a second to ten years, or none.",
        );
        let new = NewClient::production("mayfly").lifetime(SHORT_LIFETIME_SECONDS);
        let client = self.new_client(new).await;
        let token = self.generate(&client, SHORT_LIFETIME_SECONDS).await;
        let answered = Stopwatch::start();
        let mut passed = 0;
        let mut rests = tokio::time::interval(PAUSE);
        let lived = loop {
            rests.tick().await;
            let asked_after = answered.elapsed();
            let answer = self.stage.register(Some(&token.text)).await;
            if answer.status != 200 {
                refusal(answer, 401, "TOKEN_EXPIRED");
                break asked_after;
            }
            assert!(
                asked_after <= SHORT_LIFETIME_LIMIT,
                "valid after {asked_after:.1?}"
            );
            passed += 1;
        };
        self.story.saw(
            "the mayfly's token, again and again",
            format_args!("{passed} times 200, then 401 TOKEN_EXPIRED"),
        );
        note(format_args!("refused {lived:.1?} after its answer"));
    }

    async fn delete(&mut self, erp: &ApiClient, token: &LiveToken) {
        self.story.chapter(
            "The administrator deletes the API client, for good",
            "The label has to be typed back. Secret and token are dead from the answer on.",
        );
        let path = format!("/clients/{}", erp.id);
        let answer = self
            .admin(Method::DELETE, &path, json!({"label": "sahyadri-rep"}))
            .await;
        assert!(
            (400..500).contains(&answer.status),
            "another label: {}",
            answer.body
        );
        let did = "DELETE /admin/v1/clients/{id} with another label";
        self.story.saw(did, answer.status);
        self.passes("the token, still alive", token).await;

        let answer = self
            .admin(Method::DELETE, &path, json!({ "label": erp.label }))
            .await;
        assert!((200..300).contains(&answer.status), "{}", answer.body);
        let answered = Stopwatch::start();
        self.story
            .saw("DELETE /admin/v1/clients/{id}", answer.status);
        let did = "the token, right after";
        self.refused(did, Some(&token.text), "CLIENT_DELETED").await;
        let took = answered.elapsed();
        note(format_args!("refused {took:.1?} after the answer"));
        refusal(self.authz(&erp.secret).await, 401, "CLIENT_DELETED");
        self.story
            .saw("the secret, to generate", "401 CLIENT_DELETED");
    }

    /// Looks through everything the server wrote for every secret and token of this walk.
    fn nothing_at_rest(&mut self) {
        self.story.chapter(
            "What lies on the disk",
            "Tokenward stores keyed digests. Neither its data nor its log holds a secret or a token.",
        );
        let (files, bytes) = (Cell::new(0), Cell::new(0));
        let count = |path: &Path| {
            // The server runs and may tidy up its own files meanwhile.
            if let Ok(seen) = fs::symlink_metadata(path)
                && seen.is_file()
            {
                files.set(files.get() + 1);
                bytes.set(bytes.get() + seen.len());
            }
            false
        };
        let scanner = Scanner::new(&self.held);
        let server = &self.stage.server;
        let (stdout, stderr) = (server.stdout_file(), server.stderr_file());
        for place in [server.data_dir(), &stdout, &stderr] {
            let found = scanner.scan_path(place, &count);
            let found = found.unwrap_or_else(|why| panic!("{}: {why}", place.display()));
            assert!(found.is_empty(), "{} holds {:?}", found[0].place, found[0]);
        }
        let (files, kib) = (files.get(), bytes.get().div_ceil(1024));
        let sought = self.held.len();
        self.story.saw(
            &format!("{files} files, {kib} KiB, {sought} credentials sought"),
            "none found",
        );
    }
}

/// Demands a refusal in the errors envelope: this status, exactly one error, this code. Returns the error.
#[track_caller]
fn refusal(answer: Answer, status: u16, code: &str) -> Value {
    let mut body = answer.expect_error(status, code).json();
    let errors = body["errors"].as_array_mut().expect("errors");
    assert_eq!(errors.len(), 1);
    let error = errors.remove(0);
    for field in ["error_message", "error_source", "error_id"] {
        assert!(!text(&error[field]).is_empty(), "{field} in {error}");
    }
    error
}

/// A text in a body.
#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Demands that a credential is `begins` and then 64 small hexadecimal digits.
#[track_caller]
fn demand_shape(credential: &str, begins: &str) {
    let fits = credential.strip_prefix(begins).is_some_and(|rest| {
        rest.len() == TAIL_LENGTH && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    });
    assert!(fits, "{credential} is not {begins}<64 hexadecimal digits>");
}

/// The random part of a credential.
fn tail(credential: &str) -> &str {
    &credential[credential.len().saturating_sub(TAIL_LENGTH)..]
}

/// Whether a refusal says which generation took over, in its sentence or in a field of its own.
fn names_generation(error: &Value, generation: u64) -> bool {
    let in_a_field = error
        .as_object()
        .is_some_and(|error| error.values().any(|value| value == generation));
    let word = generation.to_string();
    in_a_field
        || text(&error["error_message"])
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|part| part == word)
}
