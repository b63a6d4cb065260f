//! Who may do what: every role against every act, on its own things and on others'. What belongs to
//! others looks exactly like what does not exist.

use crate::acts::acts;
use crate::check::forge;
use crate::house::{House, slowed, until};
use crate::seen::seen;
use insta::assert_snapshot;
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_testkit::{Answer, Api, NewClient, expect_error, expect_json, text};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

impl House {
    /// An admin key; its id and a caller with it.
    pub(crate) async fn key(&self, body: Value) -> (String, Api) {
        let made = expect_json(self.admin(Method::POST, "/admin-keys", &body), 201).await;
        let api = self.api.with_admin_key(&text(&made, "/key"));
        (text(&made, "/admin_key/id"), api)
    }
}

/// The roles of the table's columns: operator, admin of acme, admin of acme's gst, auditor of acme,
/// auditor of all.
async fn roles(house: &House) -> [Api; 5] {
    let acme = &house.acme;
    let mut roles = vec![house.api.clone()];
    for role in [
        json!({ "name": "w", "role": "workspace_admin", "workspace_id": acme }),
        json!({ "name": "p", "role": "product_admin", "workspace_id": acme, "products": ["gst"] }),
        json!({ "name": "a", "role": "auditor", "workspace_id": acme }),
        json!({ "name": "o", "role": "auditor" }),
    ] {
        roles.push(house.key(role).await.1);
    }
    roles.try_into().unwrap()
}

/// A call of the admin API, with a JSON body if there is one.
pub(crate) async fn call(api: &Api, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let mut request = api.admin(method.parse().unwrap(), path);
    if let Some(body) = body {
        request = request.json(body);
    }
    api.send(request).await.unwrap()
}

#[tokio::test]
async fn every_role_may_do_what_the_table_says_and_nothing_else() {
    let house = House::new().await;
    let other = house.api.workspace("other").await.unwrap();
    let roles = roles(&house).await;
    let spare = json!({ "name": "spare", "role": "auditor" });
    let (key, _) = house.key(spare).await;
    let mut wrong = Vec::new();
    for (nth, (method, path, body, expected)) in acts().into_iter().enumerate() {
        for (column, (role, expected)) in roles.iter().zip(expected).enumerate() {
            // New things for every cell: no act leans on what one before did.
            let label = |which: &str| format!("{which}-{nth}-{column}");
            let gst = NewClient::sandbox(&label("gst")).products(&["gst"]);
            let gst = house.client(gst).await;
            let all = house.client(told(&label("all"), path)).await;
            let far = told(&label("far"), path).products(&["gst"]);
            let far = house.api.client(&other, far).await.unwrap();
            // Made for the acts about them only: a workspace has few.
            let (hook, far_hook) = match path.contains("hook}") {
                true => (
                    webhook(&house, &house.acme).await,
                    webhook(&house, &other).await,
                ),
                false => (NOBODY.to_owned(), NOBODY.to_owned()),
            };
            let people = match path.contains("member}") || path.contains("invitation}") {
                true => People::new(&house, &other).await,
                false => People::default(),
            };
            let named = [
                ("{acme}", &house.acme),
                ("{other}", &other),
                ("{gst}", &gst.id),
                ("{all}", &all.id),
                ("{far}", &far.id),
                ("{key}", &key),
                ("{member}", &people.member),
                ("{far_member}", &people.far_member),
                ("{invitation}", &people.invitation),
                ("{far_invitation}", &people.far_invitation),
                ("{hook}", &hook),
                ("{far_hook}", &far_hook),
            ];
            let fill = |text: &str| match text.contains("?label=") {
                true => label(&filled(text, &named)),
                false => filled(text, &named),
            };
            let mut body = body.clone();
            if let Some(label) = body.as_mut().and_then(|body| body.get_mut("label")) {
                *label = json!(format!("new {nth} {column}"));
            }
            let body = body.map(|body| serde_json::from_str(&fill(&body.to_string())).unwrap());
            let answer = call(role, method, &fill(path), body.as_ref()).await;
            if answer.status != expected {
                let (status, body) = (answer.status, &answer.body);
                wrong.push(format!(
                    "{method} {path} by role {column}: {status} not {expected}: {body}"
                ));
            }
            // What is another's and what is nobody's are one answer.
            if answer.status == 404 && path.contains("/{") {
                let ids = [&house.acme, &other, &gst.id, &all.id, &far.id, &far_hook];
                let ids = ids
                    .into_iter()
                    .chain([&people.far_member, &people.far_invitation]);
                let unknown = ids.fold(fill(path), |path, id| path.replace(id, NOBODY));
                let unknown = call(role, method, &unknown, body.as_ref()).await;
                if seen(&answer) != seen(&unknown) {
                    wrong.push(format!(
                        "{method} {path} by role {column} tells another's from nobody's"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    house.verifies().await;
}

/// A text with the names of things filled in.
pub(crate) fn filled(text: &str, named: &[(&str, &String)]) -> String {
    let fill = |text: String, (name, value): &(&str, &String)| text.replace(name, value);
    named.iter().fold(text.to_owned(), fill)
}

/// An auditor of acme and one of another workspace, and as many who are invited, in the place of any that are there.
pub(crate) struct People {
    pub(crate) member: String,
    far_member: String,
    pub(crate) invitation: String,
    far_invitation: String,
}

impl Default for People {
    fn default() -> Self {
        let nobody = || NOBODY.to_owned();
        Self {
            member: nobody(),
            far_member: nobody(),
            invitation: nobody(),
            far_invitation: nobody(),
        }
    }
}

impl People {
    pub(crate) async fn new(house: &House, other: &str) -> Self {
        Self {
            member: house.member("near@example.com", &house.acme).await,
            far_member: house.member("far@example.com", other).await,
            invitation: house.invited("soon@example.com", &house.acme).await.0,
            far_invitation: house.invited("later@example.com", other).await.0,
        }
    }
}

/// A client whose notices go to an address, for the acts about addresses only: others find none to confirm.
fn told(label: &str, path: &str) -> NewClient {
    let new = NewClient::sandbox(label);
    match path.contains("notification-addresses") {
        true => new.emails(&["told@example.com"]),
        false => new,
    }
}

/// A webhook in the place of any that is there.
pub(crate) async fn webhook(house: &House, workspace: &str) -> String {
    let path = format!("/workspaces/{workspace}/webhooks");
    for old in house.api.items(&path).await {
        let old = format!("/webhooks/{}", text(&old, "/id"));
        house.ask(Method::DELETE, &old).await.expect(204);
    }
    let body = json!({ "url": "https://hook.invalid/" });
    let made = expect_json(house.admin(Method::POST, &path, &body), 201).await;
    text(&made, "/webhook/id")
}

#[tokio::test]
async fn lists_and_the_audit_log_show_only_what_is_ones_own() {
    let house = House::new().await;
    let other = house.api.workspace("other").await.unwrap();
    let gst = NewClient::sandbox("gst").products(&["gst"]);
    house.client(gst).await;
    house.client(NewClient::sandbox("all")).await;
    let far = house.api.client(&other, NewClient::sandbox("far")).await;
    let far = far.unwrap();
    let [operator, workspace_admin, product_admin, auditor, overseer] = roles(&house).await;
    let count = async |api: &Api, path: &str| api.items(path).await.len();
    let clients = format!("/workspaces/{}/clients", house.acme);
    for (api, workspaces, seen) in [
        (&operator, 2, 2),
        (&workspace_admin, 1, 2),
        (&product_admin, 1, 1),
        (&auditor, 1, 2),
        (&overseer, 2, 2),
    ] {
        assert_eq!(count(api, "/workspaces").await, workspaces);
        assert_eq!(count(api, &clients).await, seen);
    }
    let whole = count(&operator, "/audit").await;
    assert_eq!(count(&overseer, "/audit").await, whole);
    for api in [&workspace_admin, &auditor] {
        let items = api.items("/audit").await;
        assert!(!items.is_empty() && items.len() < whole);
        for entry in items {
            assert_eq!(entry["workspace_id"], house.acme);
        }
        let path = format!("/audit?client_id={}", far.id);
        assert_eq!(count(api, &path).await, 0);
    }
}

#[tokio::test]
async fn what_a_role_does_not_allow_is_told_with_the_reason() {
    let house = House::new().await;
    let [_, workspace_admin, product_admin, auditor, _] = roles(&house).await;
    let body = json!({ "name": "another" });
    let reads_only = call(&auditor, "POST", "/workspaces", Some(&body)).await;
    assert_snapshot!(seen(&reads_only), @"403 FORBIDDEN (Not allowed): Not allowed: an auditor reads only.");
    let operators = call(&workspace_admin, "POST", "/workspaces", Some(&body)).await;
    assert_snapshot!(seen(&operators), @"403 FORBIDDEN (Not allowed): Not allowed: only an operator may do this.");
    let path = format!("/workspaces/{}/clients", house.acme);
    let body = json!({ "label": "x", "environment": "sandbox", "products": ["e-invoice"] });
    let others = call(&product_admin, "POST", &path, Some(&body)).await;
    assert_snapshot!(seen(&others), @"403 FORBIDDEN (Not allowed): Not allowed: a product admin's clients must be restricted to the admin's own products.");
}

#[tokio::test]
async fn an_admin_key_must_be_there_real_and_alive() {
    let (house, erp, token) = House::with_token().await;
    let bare = house.api.public(Method::GET, "/admin/v1/workspaces");
    let missing = house.send(bare).await;
    assert_snapshot!(seen(&missing), @r#"401 [www-authenticate: Bearer realm="tokenward-admin"] ADMIN_KEY_INVALID (The admin key is missing or not valid): Send an admin key that is neither revoked nor expired as Authorization: Bearer."#);
    let real = house.server.admin_key();
    for key in [
        "x",
        "",
        &token,
        &erp.secret,
        &crate::house::cut(&real),
        &forge(&real),
        &real.to_uppercase(),
    ] {
        let refused = call(&house.api.with_admin_key(key), "GET", "/workspaces", None).await;
        assert_eq!(seen(&refused), seen(&missing), "{key}");
    }
    let twice = house.api.admin(Method::GET, "/workspaces");
    let twice = twice.header("authorization", format!("Bearer {real}"));
    expect_error(house.send(twice), 401, "ADMIN_KEY_INVALID").await;
    // The admin key opens nothing else.
    expect_error(house.generate(&real), 401, "CLIENT_SECRET_INVALID").await;
    house.denies(&real, "ACCESS_TOKEN_MALFORMED").await;

    let (id, api) = house.key(json!({ "name": "k", "role": "operator" })).await;
    call(&api, "GET", "/workspaces", None).await.expect(200);
    let revoked = expect_json(house.ask(Method::DELETE, &format!("/admin-keys/{id}")), 200).await;
    assert!(revoked["revoked_at"].is_string());
    let refused = call(&api, "GET", "/workspaces", None).await;
    assert_eq!(seen(&refused), seen(&missing));

    let brief = json!({ "name": "brief", "role": "operator", "expires_in_seconds": 1 });
    let (_, api) = house.key(brief).await;
    let ask = || call(&api, "GET", "/workspaces", None);
    let over = |answer: &Answer| answer.status == 401;
    until("the admin key to expire", ask, over).await;
}

#[tokio::test]
async fn guessing_an_admin_key_is_slowed_and_its_owner_is_not() {
    let house = House::with(&["--trusted-proxy", "127.0.0.0/8"]).await;
    let real = house.server.admin_key();
    let guess = forge(&real);
    let from = async |address: &str, key: &str| {
        let api = house.api.with_admin_key(key);
        let request = api.admin(Method::GET, "/workspaces");
        house.send(request.header("x-forwarded-for", address)).await
    };
    let slowed = slowed(|| from("203.0.113.1", &guess), "ADMIN_KEY_INVALID").await;
    assert!(matches!(slowed.header("retry-after"), "1" | "2"));
    from("203.0.113.1", &real).await.expect(200);
    expect_error(from("203.0.113.1", &guess), 429, "TOO_MANY_ATTEMPTS").await;
    from("203.0.113.2", &real).await.expect(200);
}

#[tokio::test]
async fn the_last_operators_key_stays() {
    let house = House::new().await;
    let keys = house.ask(Method::GET, "/admin-keys").await.expect(200);
    assert_snapshot!(seen(&keys), @r#"200 {"items":[{"created_at":"[time]","created_by":null,"expires_at":null,"id":"[uuid]","last_used_at":"[time]","last_used_from":"127.0.0.1","name":"First operator","note":"","products":null,"revoked_at":null,"role":"operator","workspace_id":null}],"next_cursor":null}"#);
    let own = format!("/admin-keys/{}", text(&keys.json(), "/items/0/id"));
    let refused = house.ask(Method::DELETE, &own).await;
    assert_snapshot!(seen(&refused), @"409 LAST_OPERATOR (The state does not allow this): Not done: this is the last operator's key without an end; make another first.");
    // One that ends does not count.
    let brief = json!({ "name": "brief", "role": "operator", "expires_in_seconds": 3600 });
    house.key(brief).await;
    expect_error(house.ask(Method::DELETE, &own), 409, "LAST_OPERATOR").await;
    let next = json!({ "name": "next", "role": "operator" });
    let (_, next) = house.key(next).await;
    house.ask(Method::DELETE, &own).await.expect(200);
    let ended = house.ask(Method::GET, "/workspaces");
    expect_error(ended, 401, "ADMIN_KEY_INVALID").await;
    call(&next, "GET", "/workspaces", None).await.expect(200);
}

#[tokio::test]
async fn a_role_is_written_whole_or_refused() {
    let house = House::new().await;
    for body in [
        json!({ "name": "k", "role": "king" }),
        json!({ "name": "k", "role": "operator", "workspace_id": house.acme }),
        json!({ "name": "k", "role": "workspace_admin" }),
        json!({ "name": "k", "role": "workspace_admin", "workspace_id": NOBODY }),
        json!({ "name": "k", "role": "product_admin", "workspace_id": house.acme }),
        json!({ "name": "k", "role": "product_admin", "workspace_id": house.acme, "products": [] }),
        json!({ "name": "k", "role": "product_admin", "workspace_id": house.acme, "products": ["nothing"] }),
        json!({ "name": "k", "role": "auditor", "products": ["gst"] }),
        json!({ "name": "k", "role": "operator", "expires_in_seconds": 0 }),
        json!({ "name": "k", "role": "operator", "expires_in_seconds": u64::MAX }),
        json!({ "name": "", "role": "operator" }),
        json!({ "name": "k", "role": "operator", "colour": "red" }),
    ] {
        let refused = house.admin(Method::POST, "/admin-keys", &body).await;
        refused.expect_error(400, "INVALID_REQUEST");
    }
    let whole = json!({ "name": "k", "role": "product_admin", "workspace_id": house.acme, "products": ["gst"] });
    let made = house.admin(Method::POST, "/admin-keys", &whole).await;
    assert_snapshot!(seen(&made), @r#"201 {"admin_key":{"created_at":"[time]","created_by":"[admin key's id]","expires_at":null,"id":"[uuid]","last_used_at":null,"last_used_from":null,"name":"k","note":"","products":["gst"],"revoked_at":null,"role":"product_admin","workspace_id":"[uuid]"},"key":"[admin key]"}"#);
    let path = format!("/admin-keys/{NOBODY}");
    let unknown = house.ask(Method::DELETE, &path).await;
    assert_snapshot!(seen(&unknown), @"404 NOT_FOUND (Not found): There is no such admin key.");
}

#[tokio::test]
async fn product_that_a_role_names_is_neither_deleted_nor_made_again() {
    let house = House::new().await;
    let role = json!({ "name": "p", "role": "product_admin", "workspace_id": house.acme, "products": ["gst"] });
    let (key, _) = house.key(role.clone()).await;
    let delete = || house.ask(Method::DELETE, "/products/gst");
    let refused = delete().await;
    assert_snapshot!(seen(&refused), @"409 PRODUCT_IN_USE (The state does not allow this): Not done: the role of an admin key, a member or an invitation names this product; revoke or change it first.");
    let revoke = format!("/admin-keys/{key}");
    house.ask(Method::DELETE, &revoke).await.expect(200);
    let mut invited = role.clone();
    invited.as_object_mut().unwrap().remove("name");
    invited["email"] = json!("p@example.com");
    let made = expect_json(house.admin(Method::POST, "/members", &invited), 201).await;
    delete().await.expect_error(409, "PRODUCT_IN_USE");
    let withdraw = format!("/invitations/{}", text(&made, "/invitation/id"));
    house.ask(Method::DELETE, &withdraw).await.expect(204);
    delete().await.expect(204);

    // A role from before this rule may name a product that is gone.
    let name = json!({ "name": "GST" });
    let put = || house.admin(Method::PUT, "/products/gst", &name);
    let connection = house.database();
    let alter = |revoked: &str| {
        let sql = format!("UPDATE admin_key SET revoked_at = {revoked} WHERE name = 'p'");
        assert_eq!(connection.execute(&sql, []).unwrap(), 1);
    };
    alter("NULL");
    put().await.expect_error(409, "PRODUCT_IN_USE");
    alter("1");
    put().await.expect(201);
}
