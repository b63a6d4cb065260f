//! Forms that change what somebody else may have changed meanwhile, and what of it needs a fresh proof.

use crate::house::{House, PASSWORD, Page, done, expect, shows};
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_testkit::{expect_json, expect_status};

/// The edit form of a client as its page shows it, with some fields typed anew.
fn typed(page: &Page, change: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let opened = page.hidden("opened").replace("&#38;", "&");
    let mut form: Vec<(&'static str, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(opened.as_bytes()) {
        let name: &'static str = Box::leak(name.into_owned().into_boxed_str());
        if !change.iter().any(|(changed, _)| *changed == name) {
            form.push((name, value.into_owned()));
        }
    }
    form.extend(
        change
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    form.push(("version", page.hidden("version")));
    form.push(("opened", opened));
    form
}

async fn settings(house: &House, client: &str) -> Value {
    expect_json(house.api.read_client(client), 200).await
}

/// Where a form is sent, its fields, and those of them that are wrong.
type Sent = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
);

#[tokio::test]
async fn every_form_shows_all_that_is_wrong_each_at_its_field() {
    let house = House::new().await;
    let link = house.link();
    // Each form, what is sent, and the fields that the page finds wrong.
    let forms: [Sent; 5] = [
        (
            "/console/admin-keys/new",
            &[
                ("name", ""),
                ("role", "product_admin"),
                ("days", "x"),
                ("products", "no slug!"),
            ],
            &["name", "products", "workspace_id", "days"],
        ),
        (
            "/console/members/invite",
            &[("email", "nobody"), ("role", "product_admin")],
            &["email", "products", "workspace_id"],
        ),
        (
            "/console/products",
            &[("slug", "No Slug"), ("name", "")],
            &["slug", "name"],
        ),
        (
            "/console/w/{acme}/notices",
            &[("url", "ftp://x"), ("note", "\u{7}")],
            &["url", "note"],
        ),
        (
            "/console/inspect",
            &[("token", "nonsense"), ("address", "here")],
            &["token", "address"],
        ),
    ];
    let join = [
        ("email", "nobody"),
        ("name", ""),
        ("password", "short"),
        ("password_again", "other"),
    ];
    let page = house.stranger().post(&link, &join).await;
    let page = page.expect(422, "Couldn't save changes.");
    for (field, _) in join {
        page.says(&[&format!("id=\"e-{field}\"")]);
    }
    let operator = house.operator().await;
    let acme = house.workspace("Acme").await;
    for (path, form, wrong) in forms {
        let path = path.replace("{acme}", &acme);
        let page = expect(operator.send(&path, form), 422, "Couldn't save changes.").await;
        for field in wrong {
            let there = format!("id=\"e-{field}\"");
            page.says(&[&there, &format!("href=\"#f-{field}\"")]);
        }
        let faults = page.text.matches("class=\"fault\"").count();
        assert_eq!(faults, wrong.len(), "{path}");
    }
}

#[tokio::test]
async fn acts_that_cannot_work_are_not_offered() {
    let (house, operator, acme) = House::with_workspace().await;
    let client = house.client(&acme, "erp", None).await;
    let page = format!("/console/clients/{client}");
    let offers = async |act: &str| {
        let shown = shows(&operator, &page, "erp").await;
        let link = format!("href=\"{page}/{act}\"");
        let asked = operator.get(&format!("{page}/{act}")).await;
        let (linked, asks) = (shown.text.contains(&link), asked.status == 200);
        assert_eq!(linked, asks, "{act}: {}", asked.text);
        linked
    };
    for (act, offered) in [
        ("generate", true),
        ("revoke", false),
        ("rotate", true),
        ("disable", true),
        ("enable", false),
        ("delete", true),
        ("delete-secret-1", true),
        ("delete-secret-2", false),
    ] {
        assert_eq!(offers(act).await, offered, "{act}");
    }
    expect(operator.send(&format!("{page}/rotate"), &[]), 200, "").await;
    assert!(!offers("rotate").await, "with two secrets");
    done(&operator, &format!("{page}/disable"), &[]).await;
    for (act, offered) in [("generate", false), ("disable", false), ("enable", true)] {
        assert_eq!(offers(act).await, offered, "{act} of a disabled client");
    }
    done(&operator, &format!("{page}/enable"), &[]).await;
    let disable = format!("/console/workspaces/{acme}/disable");
    done(&operator, &disable, &[]).await;
    assert!(!offers("generate").await, "in a disabled workspace");
    // The last operator's key that does not expire stays, so its revocation is not offered.
    let keys = shows(&operator, "/console/admin-keys", "First operator").await;
    keys.lacks("/revoke\"");
    let form = [("name", "second"), ("role", "operator")];
    let made = operator.send("/console/admin-keys/new", &form).await;
    made.expect(200, "created");
    let keys = operator.get("/console/admin-keys").await;
    assert_eq!(keys.ids("/console/admin-keys/").len(), 2);
    // A product in use can't be deleted, and is not offered once that is known.
    house.api.product("gst", "GST").await.unwrap();
    house.client(&acme, "bound", Some(&["gst"])).await;
    let refused = operator.send("/console/products/gst/delete", &[]).await;
    let refused = refused.expect(422, "Back</a>");
    refused.lacks("<button class=\"destroy\"");
}

#[tokio::test]
async fn an_old_edit_form_undoes_no_newer_restriction() {
    let (house, operator) = House::with_operator().await;
    house.api.product("gst", "GST").await.unwrap();
    let acme = house.workspace("Acme").await;
    let client = house.client(&acme, "erp", None).await;
    let path = format!("/console/clients/{client}/edit");
    let opened = shows(&operator, &path, "Settings of erp").await;
    let form = typed(&opened, &[("label", "erp <new>")]);
    let narrow = json!({ "products": ["gst"], "token_networks": ["10.0.0.0/8"] });
    expect_status(house.api.patch_client(&client, &narrow), 200).await;
    // The old form is not taken, shows what changed, and keeps what was typed.
    let page = operator.send_owned(&path, &form).await;
    let page = page.expect(409, "changed while you were editing");
    page.says(&[
        "All current and future products",
        "10.0.0.0/8",
        "erp &#60;new&#62;",
    ]);
    let now = settings(&house, &client).await;
    assert_eq!(now["label"], "erp");
    assert_eq!(now["products"], json!(["gst"]));
    // Sent once more from there, it changes what was typed and nothing else.
    page.says(&["value=\"gst\" checked"]);
    let again = typed(&page, &[("label", "erp <new>")]);
    expect(operator.send_owned(&path, &again), 303, "").await;
    let now = settings(&house, &client).await;
    assert_eq!(now["label"], "erp <new>");
    assert_eq!(now["products"], json!(["gst"]));
    assert_eq!(now["token_networks"], json!(["10.0.0.0/8"]));
    // A form that does not say what it was opened on is an old one.
    let bare = [("label", "bare"), ("scope", "all"), ("lifetime", "never")];
    let page = operator.send(&path, &bare);
    expect(page, 409, "changed while you were editing").await;
    assert_eq!(settings(&house, &client).await["products"], json!(["gst"]));
}

#[tokio::test]
async fn an_old_form_gives_no_role_back_that_was_taken_away() {
    let (house, operator) = House::with_operator().await;
    house.new_operator(&operator, "ravi@example.com").await;
    let ravi = house.member("ravi@example.com").await;
    let path = format!("/console/members/{ravi}");
    let page = shows(&operator, &path, "Change role").await;
    let opened = page.hidden("opened").replace("&#38;", "&");
    let api = format!("/members/{ravi}");
    let body = json!({ "role": "auditor" });
    expect_status(house.api.tell(Method::PATCH, &api, &body), 200).await;
    let role = async || {
        let member = expect_json(house.api.ask(Method::GET, &api), 200).await;
        member["role"].as_str().unwrap().to_owned()
    };
    for old in [opened.as_str(), ""] {
        let form = [("role", "operator"), ("opened", old)];
        let page = operator.send(&path, &form).await;
        let page = page.expect(409, "It is now: Auditor, all workspaces.");
        page.says(&["value=\"operator\" selected"]);
        assert_eq!(role().await, "auditor");
    }
    let page = operator.get(&path).await;
    let opened = page.hidden("opened").replace("&#38;", "&");
    let form = [("role", "operator"), ("opened", opened.as_str())];
    let page = operator.send(&path, &form).await;
    page.expect(200, "Role of ravi@example.com changed");
    assert_eq!(role().await, "operator");
}

#[tokio::test]
async fn only_a_change_that_allows_more_needs_a_fresh_proof() {
    let (house, operator) = House::with_operator().await;
    house.api.product("gst", "GST").await.unwrap();
    let acme = house.workspace("Acme").await;
    let client = house.client(&acme, "erp", None).await;
    let path = format!("/console/clients/{client}/edit");
    house.age_proofs();
    for narrow in [
        &[("label", "renamed")][..],
        &[("lifetime", "900")],
        &[("scope", "some"), ("products", "gst")],
        &[("token_networks", "10.0.0.0/8")],
        &[("secret_networks", "10.0.0.0/8")],
    ] {
        let page = shows(&operator, &path, "Settings of").await;
        expect(operator.send_owned(&path, &typed(&page, narrow)), 303, "").await;
    }
    for wide in [
        &[("lifetime", "never")][..],
        &[("scope", "all")],
        &[("token_networks", "")],
        &[("secret_networks", "10.0.0.0/8\n192.0.2.1")],
        &[("notification_emails", "m@evil.example")],
        &[("on_repeat", "return")],
        &[("handover_max_seconds", "60")],
    ] {
        let page = shows(&operator, &path, "Settings of").await;
        let page = operator.send_owned(&path, &typed(&page, wide)).await;
        page.expect(403, "Change the settings of API client “renamed”");
    }
    let now = settings(&house, &client).await;
    assert_eq!(now["token_lifetime_seconds"], 900);
    assert_eq!(now["products"], json!(["gst"]));
    // Once proved, the same form is confirmed and sent.
    let page = operator.get(&path).await;
    let form = typed(&page, &[("lifetime", "never")]);
    let asked = expect(operator.send_owned(&path, &form), 403, "Confirm").await;
    let page = operator.prove_at(&asked, PASSWORD).await;
    let page = page.expect(200, "Confirm: Change the settings of API client “renamed”?");
    let names = form.iter().map(|(name, _)| *name);
    let kept: Vec<(&'static str, String)> = names
        .map(|name| (name, page.hidden(name).replace("&#38;", "&")))
        .collect();
    expect(operator.send_owned(&path, &kept), 303, "").await;
    let now = settings(&house, &client).await;
    assert_eq!(now["token_lifetime_seconds"], Value::Null);
}

#[tokio::test]
async fn a_form_shows_everything_that_is_wrong_at_once_each_at_its_field() {
    let (house, operator, acme) = House::with_workspace().await;
    let form = [
        ("label", ""),
        ("scope", "some"),
        ("lifetime", "other"),
        ("other_lifetime", ""),
        ("secret_networks", "10.0.0.0/99"),
        ("token_networks", "anywhere"),
        ("notification_emails", "no address"),
        ("renew_before_seconds", "soon"),
        ("handover_max_seconds", "-1"),
    ];
    let fields = [
        "label",
        "products",
        "token_lifetime_seconds",
        "secret_networks",
        "token_networks",
        "notification_emails",
        "renew_before_seconds",
        "handover_max_seconds",
    ];
    let client = house.client(&acme, "erp", None).await;
    let edit = format!("/console/clients/{client}/edit");
    let opened = shows(&operator, &edit, "Settings of").await;
    let create = format!("/console/w/{acme}/sandbox/new");
    let created = operator.send(&create, &form).await;
    let edited = operator.send_owned(&edit, &typed(&opened, &form)).await;
    for page in [created, edited] {
        let page = page.expect(422, "Select at least one product");
        for field in fields {
            page.says(&[&format!("<li><a href=\"#f-{field}\">")]);
        }
        let faults = page.text.matches("class=\"fault\"").count();
        assert_eq!(faults, fields.len(), "{}", page.text);
    }
}
