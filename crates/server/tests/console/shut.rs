//! What the console must not let in: other sites, planted scripts, foreign ids, forged forms, links that lead out.

use crate::house::{Browser, House, PASSWORD, done, expect, shows};
use reqwest::header::SET_COOKIE;
use serde_json::json;
use tokenward_testkit::{NewClient, assert_contains_all};

const OWN: (&str, &str) = ("sec-fetch-site", "same-origin");

#[tokio::test]
async fn a_form_from_elsewhere_does_nothing() {
    let (house, operator) = House::with_operator().await;
    let form = [("csrf_token", operator.word.as_str()), ("name", "Evil")];
    let host = operator.base.clone();
    let refused: &[&[(&'static str, &str)]] = &[
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site"), ("origin", host.as_str())],
    ];
    for headers in refused {
        let answer = operator
            .post_with("/console/workspaces/new", &form, headers)
            .await;
        answer.expect(403, "Action not completed");
    }
    // From the right place, but not from this session.
    let other = house.new_operator(&operator, "ravi@example.com").await;
    for word in ["", "x", other.word.as_str()] {
        let form = [("csrf_token", word), ("name", "Evil")];
        let answer = operator
            .post_with("/console/workspaces/new", &form, &[OWN])
            .await;
        answer.expect(403, "sent from a page of your session");
    }
    let all = operator.get("/console/workspaces").await;
    all.lacks("Evil");
    done(&operator, "/console/workspaces/new", &[("name", "Good")]).await;
    // A sign-in that another site sends would put its victim into the attacker's account.
    let form = [("email", "asha@example.com"), ("password", PASSWORD)];
    let forged = [("sec-fetch-site", "cross-site")];
    let answer = house
        .stranger()
        .post_with("/console/sign-in", &form, &forged)
        .await;
    let answer = answer.expect(403, "Action not completed");
    assert!(answer.headers.get(SET_COOKIE).is_none());
}

#[tokio::test]
async fn every_page_is_sent_shut() {
    let (_house, operator) = House::with_operator().await;
    for path in "sign-in account workspaces no/such/page join/nothing".split(' ') {
        let page = operator.get(&format!("/console/{path}")).await;
        let header = |name: &str| page.headers[name].to_str().unwrap();
        let policy = header("content-security-policy");
        assert_contains_all(
            policy,
            &[
                "default-src 'none'",
                "frame-ancestors 'none'",
                "base-uri 'none'",
                "form-action 'self'",
            ],
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert!(
            !page.text.contains("style=\"") && !page.text.contains("onclick"),
            "{path}"
        );
    }
}

/// A text in every field that shows up again.
const SCRIPT: &str = "\"'><script>alert(1)</script>{{label}}";

#[tokio::test]
async fn what_people_type_is_never_a_script() {
    let (house, operator) = House::with_operator().await;
    done(&operator, "/console/workspaces/new", &[("name", SCRIPT)]).await;
    let listed = shows(&operator, "/console/workspaces", "&#60;script&#62;").await;
    let workspace = listed.between("/console/w/", "/overview");
    expect(
        operator.send("/console/products", &[("slug", "gst"), ("name", SCRIPT)]),
        303,
        "",
    )
    .await;
    let base = format!("/console/w/{workspace}/sandbox");
    let form = [("label", SCRIPT), ("scope", "all"), ("lifetime", "3600")];
    let made = expect(
        operator.send(&format!("{base}/new"), &form),
        200,
        "Copy the client secret now",
    )
    .await;
    let client = made.between("href=\"/console/clients/", "\"");
    let mut pages = vec![made];
    for path in [
        base.clone(),
        format!("{base}?q={}", urlencoded(SCRIPT)),
        format!(
            "{base}?state={}&product={}",
            urlencoded(SCRIPT),
            urlencoded(SCRIPT)
        ),
        format!("/console/clients/{client}"),
        format!("/console/clients/{client}/edit"),
        format!("/console/clients/{client}/generate"),
        format!("/console/clients/{client}/delete"),
        format!("/console/clients/{client}?done={}", urlencoded(SCRIPT)),
        "/console/products".into(),
        format!("/console/products/{}/delete", urlencoded(SCRIPT)),
        "/console/audit".into(),
        format!(
            "/console/audit?action={0}&client={0}&actor={0}",
            urlencoded(SCRIPT)
        ),
        format!("/console/sign-in?next={}", urlencoded(SCRIPT)),
        format!("/console/{}", urlencoded(SCRIPT)),
        format!("/console/members/invite?email={}", urlencoded(SCRIPT)),
    ] {
        pages.push(operator.get(&path).await);
    }
    let bad = [
        ("label", SCRIPT),
        ("scope", "some"),
        ("lifetime", SCRIPT),
        ("secret_networks", SCRIPT),
        ("notification_emails", SCRIPT),
    ];
    pages.push(
        operator
            .send(&format!("{base}/new"), &bad)
            .await
            .expect(422, ""),
    );
    pages.push(
        operator
            .send(
                &format!("/console/clients/{client}/delete"),
                &[("label", SCRIPT), ("x", "")],
            )
            .await,
    );
    let form = [("email", SCRIPT), ("password", "x")];
    pages.push(house.stranger().post("/console/sign-in", &form).await);
    let kept = [("label", SCRIPT), (SCRIPT, SCRIPT)];
    pages.push(
        house
            .stranger()
            .post(&format!("{base}/new"), &kept)
            .await
            .expect(401, ""),
    );
    let escaped = pages
        .iter()
        .filter(|page| page.text.contains("&#60;script&#62;"));
    assert!(escaped.count() >= 14, "most pages show what was typed");
    for page in pages {
        page.lacks("<script>alert");
        page.lacks("\"'><");
    }
}

fn urlencoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        out.push_str(&format!("%{byte:02X}"));
    }
    out
}

#[tokio::test]
async fn a_sign_in_leads_nowhere_else() {
    let house = House::new().await;
    house.operator().await;
    for next in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/console//evil.example",
        "/console/\r\nx: y",
        "javascript:alert(1)",
        "/oauth2/token",
    ] {
        let form = [
            ("email", "asha@example.com"),
            ("password", PASSWORD),
            ("next", next),
        ];
        let answer = expect(house.stranger().post("/console/sign-in", &form), 303, "").await;
        assert_eq!(answer.location(), "/console", "{next}");
        let form = [
            ("email", "asha@example.com"),
            ("password", PASSWORD),
            ("next", next),
            ("kept", "a=b"),
        ];
        let answer = expect(house.stranger().post("/console/sign-in", &form), 303, "").await;
        assert_eq!(answer.location(), "/console", "{next}");
    }
}

#[tokio::test]
async fn nothing_typed_is_lost_when_the_session_is_over() {
    let (house, operator) = House::with_operator().await;
    done(&operator, "/console/workspaces/new", &[("name", "Acme")]).await;
    let listed = operator.get("/console/workspaces").await;
    let workspace = listed.between("/console/w/", "/overview");
    done(&operator, "/console/sign-out", &[]).await;
    let path = format!("/console/w/{workspace}/sandbox/new");
    let form = [
        ("label", "Abrechnung Süd"),
        ("scope", "all"),
        ("lifetime", "86400"),
        ("notification_emails", "a@b.example\nc@d.example"),
    ];
    let page = expect(operator.send(&path, &form), 401, "What you entered is kept").await;
    let mut same = house.stranger();
    same.cookie = page.cookie();
    let page = same.sign_in_at(&page).await;
    let page = page.expect(200, "Confirm: Create API client “Abrechnung Süd”?");
    page.lacks("autofocus");
    assert!(
        !page.text.contains(&operator.word),
        "the old session's word is not sent again"
    );
    let back = house.with(&page).await;
    let notices = page.hidden("notification_emails");
    assert_eq!(notices, "a@b.example\nc@d.example");
    let form = [
        ("label", page.hidden("label")),
        ("scope", page.hidden("scope")),
        ("lifetime", page.hidden("lifetime")),
        ("notification_emails", notices),
    ];
    let form: Vec<(&str, &str)> = form
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    back.send(&path, &form)
        .await
        .expect(200, "API client “Abrechnung Süd” created");
    expect(back.send(&path, &form), 422, "already has this name").await;
}

#[tokio::test]
async fn a_link_begins_no_act() {
    let (house, operator, acme) = House::with_workspace().await;
    let client = house.client(&acme, "erp", None).await;
    let all = operator.get("/console/members").await;
    let [asha] = all.ids("/console/members/").try_into().unwrap();
    let old = "resume=role%3Dauditor&kept=x&email=m%40evil.example&url=https%3A%2F%2Fevil.example";
    for path in [
        format!("/console/members/{asha}"),
        format!("/console/clients/{client}/revoke"),
        "/console/members/invite".to_owned(),
        format!("/console/w/{acme}/notices"),
    ] {
        // Signed out: the sign-in page takes nothing from the link but where to go.
        let link = format!("/console/sign-in?resume_path={path}&{old}");
        let shown = shows(&house.stranger(), &link, "Sign in").await;
        shown.lacks("role=");
        shown.lacks("evil.example");
        assert_eq!(shown.hidden("kept"), "");
        assert_eq!(shown.hidden("next"), "/console");
        // Signed in: neither does any page with a form.
        for link in [
            format!("{path}?{old}"),
            format!("/console/step-up?resume_path={path}&{old}"),
        ] {
            let shown = operator.get(&link).await;
            shown.lacks("evil.example");
            shown.lacks("value=\"x\"");
        }
    }
}

#[tokio::test]
async fn a_kept_form_opens_only_in_the_browser_that_sent_it() {
    let house = House::new().await;
    house.operator().await;
    let attacker = house.stranger();
    let form = [("email", "m@evil.example"), ("role", "operator")];
    let page = attacker.post("/console/members/invite", &form).await;
    let page = page.expect(401, "Invite member");
    let (kept, named) = (page.hidden("kept"), page.cookie());
    let sign_in = [
        ("email", "asha@example.com"),
        ("password", PASSWORD),
        ("kept", kept.as_str()),
    ];
    // In another browser it is nothing.
    let page = house.stranger().post("/console/sign-in", &sign_in).await;
    assert_eq!(page.expect(303, "").location(), "/console");
    let mut other = house.stranger();
    let form = [("name", "Acme")];
    let page = other.post("/console/workspaces/new", &form).await;
    other.cookie = page.expect(401, "Create workspace").cookie();
    let page = other.post("/console/sign-in", &sign_in).await;
    assert_eq!(page.expect(303, "").location(), "/console");
    // Altered it is nothing either.
    let mut same = house.stranger();
    same.cookie = named;
    let altered = kept.replacen(
        &kept[60..61],
        if &kept[60..61] == "A" { "B" } else { "A" },
        1,
    );
    let mut forged = sign_in;
    forged[2].1 = &altered;
    let page = same.post("/console/sign-in", &forged).await;
    assert_eq!(page.expect(303, "").location(), "/console");
    // In its own it waits for its sender.
    let page = same.post("/console/sign-in", &sign_in).await;
    let page = page.expect(200, "Confirm: Invite member “m@evil.example”?");
    page.says(&[">Invite member</button>"]);
    page.lacks("autofocus");
    // At the step-up page of a session it is nothing.
    let asha = house.signed_in("asha@example.com").await;
    let asha = house.with(&asha).await;
    let proof = [("proof", PASSWORD), ("kept", kept.as_str())];
    let page = asha.send("/console/step-up", &proof).await;
    assert_eq!(page.expect(303, "").location(), "/console");
}

#[tokio::test]
async fn an_act_that_takes_something_away_goes_to_its_confirmation() {
    let (house, operator) = House::with_operator().await;
    house.new_operator(&operator, "ravi@example.com").await;
    let acme = house.workspace("Acme").await;
    // One with a token that can be revoked.
    let made = house.api.client(&acme, NewClient::sandbox("erp")).await;
    let made = made.unwrap();
    house.api.generate(&made.secret).await.unwrap().expect(200);
    let client = made.id;
    let own = operator.get("/console/account").await;
    own.says(&["asha@example.com"]);
    let ravi = house.member("ravi@example.com").await;
    let remove = format!("/console/members/{ravi}/remove");
    for (path, says) in [
        (remove.clone(), "Remove member “Somebody”"),
        (
            format!("/console/clients/{client}/revoke"),
            "Revoke the access token of API client “erp”",
        ),
        (
            format!("/console/workspaces/{acme}/disable"),
            "Disable workspace “Acme”",
        ),
    ] {
        // Without a session.
        let page = expect(house.stranger().post(&path, &[]), 401, "Sign in").await;
        let page = house.stranger().sign_in_at(&page).await;
        assert_eq!(page.expect(303, "").location(), path);
        // With a session whose proof is old.
        house.age_proofs();
        let asked = expect(operator.send(&path, &[]), 403, says).await;
        let page = operator.prove_at(&asked, PASSWORD).await;
        assert_eq!(page.expect(303, "").location(), path);
        let page = shows(&operator, &path, "Cancel").await;
        page.lacks("autofocus");
    }
    // Nothing was done.
    shows(&operator, &remove, "ravi@example.com").await;
}

/// Each act that breaks something: the page that leads to it, where it is, the title of its own page, and what it breaks.
const BREAKING: &str = "
admin-keys | admin-keys/{key}/revoke | Revoke admin key “ci” | Programs that use this key get 401 immediately.
w/{acme}/notices | {hook}/delete | Delete webhook “https://hooks.example.com/one” | gets no more notifications
w/{acme}/notices | {hook}/disable | Disable webhook “https://hooks.example.com/one” | gets no notifications until
w/{acme}/notices | {hook}/rotate | Rotate the signing secret of webhook | For 24 hours
members/{member} | members/{member}/disable | Disable member Somebody (ravi@example.com) | signed out everywhere immediately
members/{member} | members/{member}/remove | Remove member Somebody (ravi@example.com) | signed out everywhere immediately
members | invitations/{invitation}/withdraw | Revoke invitation for i@example.com | stops working immediately
workspaces/{acme} | workspaces/{acme}/disable | Disable workspace “Acme” | Disables all API clients
";

#[tokio::test]
async fn every_act_that_breaks_something_has_a_page_that_names_it() {
    let (house, operator, acme) = House::with_workspace().await;
    let body = json!({ "name": "ci", "role": "operator" });
    let key = house.made("/admin-keys", body, "/admin_key/id").await;
    let body = json!({ "url": "https://hooks.example.com/one" });
    let path = format!("/workspaces/{acme}/webhooks");
    let hook = house.made(&path, body, "/webhook/id").await;
    let body = json!({ "email": "i@example.com", "role": "auditor" });
    let invitation = house.made("/members", body, "/invitation/id").await;
    house.new_auditor(&operator, "ravi@example.com").await;
    let member = house.member("ravi@example.com").await;
    let hook = format!("w/{acme}/webhooks/{hook}");
    for line in BREAKING.trim().lines() {
        let line = line
            .replace("{key}", &key)
            .replace("{acme}", &acme)
            .replace("{hook}", &hook)
            .replace("{member}", &member)
            .replace("{invitation}", &invitation);
        let cells: Vec<&str> = line.split(" | ").collect();
        let [from, path, title, breaks] = cells.try_into().unwrap();
        let (from, path) = (format!("/console/{from}"), format!("/console/{path}"));
        // No page has a button that acts at once.
        let list = shows(&operator, &from, &format!("href=\"{path}\"")).await;
        assert!(!list.text.contains(&format!("action=\"{path}\"")), "{path}");
        let page = shows(&operator, &path, title).await;
        page.says(&[breaks]);
        assert!(
            page.text
                .contains(&format!("<form method=\"post\" action=\"{path}\">"))
        );
    }
    let revoke = format!("/console/admin-keys/{key}/revoke");
    done(&operator, &revoke, &[]).await;
}

/// Every form that a session can send, and whether it needs a fresh proof.
const FORMS: &[(&str, bool)] = &[
    ("/console/account/app", true),
    ("/console/account/app/remove", true),
    ("/console/account/recovery", true),
    ("/console/account/passkeys", true),
    ("/console/account/passkeys/options", true),
    ("/console/account/passkeys/{none}/remove", true),
    ("/console/workspaces/{acme}/disable", true),
    ("/console/workspaces/{acme}/enable", true),
    ("/console/w/{acme}/sandbox/new", true),
    ("/console/clients/{client}/generate", true),
    ("/console/clients/{client}/revoke", true),
    ("/console/clients/{client}/disable", true),
    ("/console/clients/{client}/enable", true),
    ("/console/clients/{client}/delete", true),
    ("/console/clients/{client}/rotate", true),
    ("/console/clients/{client}/delete-secret-1", true),
    ("/console/w/{acme}/notices", true),
    ("/console/w/{acme}/webhooks/{none}/disable", true),
    ("/console/w/{acme}/webhooks/{none}/enable", true),
    ("/console/w/{acme}/webhooks/{none}/rotate", true),
    ("/console/w/{acme}/webhooks/{none}/delete", true),
    ("/console/products/gst/delete", true),
    ("/console/members/invite", true),
    ("/console/members/{none}", true),
    ("/console/members/{none}/disable", true),
    ("/console/members/{none}/enable", true),
    ("/console/members/{none}/remove", true),
    ("/console/admin-keys/new", true),
    ("/console/admin-keys/{none}/revoke", true),
    // These narrow, rename or read, or hold a proof themselves.
    ("/console/account/password", false),
    ("/console/account/sessions/{none}/end", false),
    ("/console/workspaces/new", false),
    ("/console/workspaces/{acme}", false),
    ("/console/products", false),
    ("/console/w/{acme}/webhooks/{none}/test", false),
    ("/console/invitations/{none}/withdraw", false),
    ("/console/audit/verify", false),
    ("/console/inspect", false),
    ("/console/search", false),
];

#[tokio::test]
async fn what_shows_a_secret_or_lifts_a_restriction_needs_a_fresh_proof() {
    let (house, operator, acme) = House::with_workspace().await;
    let client = house.client(&acme, "erp", None).await;
    house.age_proofs();
    for (path, fresh) in FORMS {
        let path = path
            .replace("{acme}", &acme)
            .replace("{client}", &client)
            .replace("{none}", "00000000-0000-4000-8000-000000000000");
        let answer = operator.send(&path, &[("name", "x")]).await;
        let asks = answer.status == 403 && answer.text.contains("Confirm it&#39;s you");
        assert_eq!(asks, *fresh, "{path}: {} {}", answer.status, answer.text);
    }
    // The pages that lead there ask before anything is typed.
    for path in [
        format!("/console/clients/{client}/rotate"),
        format!("/console/clients/{client}/generate"),
        format!("/console/w/{acme}/sandbox/new"),
        "/console/admin-keys/new".to_owned(),
        "/console/members/invite".to_owned(),
    ] {
        let answer = expect(operator.get(&path), 303, "").await;
        let next = urlencoded_path(&path);
        let asks = format!("/console/step-up?next={next}");
        assert_eq!(answer.location(), asks);
    }
}

fn urlencoded_path(path: &str) -> String {
    path.replace('/', "%2F")
}

#[tokio::test]
async fn a_destructive_act_wants_a_fresh_proof() {
    let (house, operator, acme) = House::with_workspace().await;
    let client = house.client(&acme, "erp", None).await;
    let path = format!("/console/clients/{client}/delete");
    shows(&operator, &path, "Type the API client name").await;
    house.age_proofs();
    let page = expect(operator.get(&path), 303, "").await;
    shows(&operator, page.location(), "Delete API client “erp”").await;
    let asked = expect(
        operator.send(&path, &[("label", "erp")]),
        403,
        "Delete API client “erp”",
    )
    .await;
    shows(
        &operator,
        &format!("/console/clients/{client}"),
        "No token yet",
    )
    .await;
    let wrong = operator.prove_at(&asked, "wrong").await;
    wrong.expect(422, "Delete API client “erp”");
    let page = operator.prove_at(&asked, PASSWORD).await;
    assert_eq!(page.expect(303, "").location(), path);
    done(&operator, &path, &[("label", "erp")]).await;
    // What was typed is kept, and shown with what it does.
    house.age_proofs();
    let form = [("name", "ci"), ("role", "operator")];
    let asked = operator.send("/console/admin-keys/new", &form).await;
    let asked = asked.expect(403, "Create admin key “ci”");
    let page = operator.prove_at(&asked, PASSWORD).await;
    let page = page.expect(200, "Confirm: Create admin key “ci”?");
    assert_eq!(page.hidden("role"), "operator");
    page.lacks("autofocus");
    let _: Browser = operator;
}
