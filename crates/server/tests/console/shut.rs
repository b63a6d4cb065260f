//! What the console must not let in: other sites, planted scripts, foreign ids, forged forms, links that lead out.

use crate::house::{Browser, House, PASSWORD};
use reqwest::header::SET_COOKIE;

const OWN: (&str, &str) = ("sec-fetch-site", "same-origin");

#[tokio::test]
async fn a_form_from_elsewhere_does_nothing() {
    let house = House::new().await;
    let operator = house.operator().await;
    let form = [("form_word", operator.word.as_str()), ("name", "Evil")];
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
        answer.expect(403, "Nothing was done");
    }
    // From the right place, but not from this session.
    let other = house
        .invited(&operator, "ravi@example.com", &[("role", "operator")])
        .await;
    for word in ["", "x", other.word.as_str()] {
        let form = [("form_word", word), ("name", "Evil")];
        let answer = operator
            .post_with("/console/workspaces/new", &form, &[OWN])
            .await;
        answer.expect(403, "did not come from a page of your session");
    }
    let all = operator.get("/console/workspaces").await;
    assert!(!all.text.contains("Evil"));
    operator
        .send("/console/workspaces/new", &[("name", "Good")])
        .await
        .expect(303, "");
    // A sign-in that another site sends would put its victim into the attacker's account.
    let form = [("email", "asha@example.com"), ("password", PASSWORD)];
    let forged = [("sec-fetch-site", "cross-site")];
    let answer = house
        .stranger()
        .post_with("/console/sign-in", &form, &forged)
        .await;
    let answer = answer.expect(403, "Nothing was done");
    assert!(answer.headers.get(SET_COOKIE).is_none());
}

#[tokio::test]
async fn every_page_is_sent_shut() {
    let house = House::new().await;
    let operator = house.operator().await;
    for path in [
        "/console/sign-in",
        "/console/account",
        "/console/workspaces",
        "/console/no/such/page",
        "/console/join/nothing",
    ] {
        let page = operator.get(path).await;
        let header = |name: &str| {
            let value = page.headers.get(name);
            value
                .unwrap_or_else(|| panic!("{path}: no {name}"))
                .to_str()
                .unwrap()
                .to_owned()
        };
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
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
    let house = House::new().await;
    let operator = house.operator().await;
    operator
        .send("/console/workspaces/new", &[("name", SCRIPT)])
        .await
        .expect(303, "");
    let listed = operator
        .get("/console/workspaces")
        .await
        .expect(200, "&#60;script&#62;");
    let workspace = listed.between("/console/w/", "/sandbox");
    operator
        .send("/console/products", &[("slug", "gst"), ("name", SCRIPT)])
        .await
        .expect(303, "");
    let base = format!("/console/w/{workspace}/sandbox");
    let form = [("label", SCRIPT), ("scope", "all"), ("lifetime", "3600")];
    let made = operator
        .send(&format!("{base}/new"), &form)
        .await
        .expect(200, "only time");
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
        assert!(!page.text.contains("<script>alert"), "{}", page.text);
        assert!(!page.text.contains("\"'><"), "{}", page.text);
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
        let answer = house
            .stranger()
            .post("/console/sign-in", &form)
            .await
            .expect(303, "");
        assert_eq!(answer.location(), "/console", "{next}");
        let form = [
            ("email", "asha@example.com"),
            ("password", PASSWORD),
            ("resume_path", next),
            ("resume", "a=b"),
        ];
        let answer = house
            .stranger()
            .post("/console/sign-in", &form)
            .await
            .expect(303, "");
        assert_eq!(answer.location(), "/console", "{next}");
    }
}

#[tokio::test]
async fn nothing_typed_is_lost_when_the_session_is_over() {
    let house = House::new().await;
    let operator = house.operator().await;
    operator
        .send("/console/workspaces/new", &[("name", "Acme")])
        .await
        .expect(303, "");
    let listed = operator.get("/console/workspaces").await;
    let workspace = listed.between("/console/w/", "/sandbox");
    operator
        .send("/console/sign-out", &[])
        .await
        .expect(303, "");
    let path = format!("/console/w/{workspace}/sandbox/new");
    let form = [
        ("label", "Abrechnung Süd"),
        ("scope", "all"),
        ("lifetime", "86400"),
        ("notification_emails", "a@b.example\nc@d.example"),
    ];
    let page = operator
        .send(&path, &form)
        .await
        .expect(401, "What you typed is kept");
    let sign_in = [
        ("email", "asha@example.com"),
        ("password", PASSWORD),
        ("resume_path", &page.hidden("resume_path")),
        ("resume", &page.hidden("resume").replace("&#38;", "&")),
    ];
    let page = house
        .stranger()
        .post("/console/sign-in", &sign_in)
        .await
        .expect(200, "Abrechnung Süd");
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
        .expect(200, "“Abrechnung Süd” is created");
    back.send(&path, &form).await.expect(422, "has this label");
}

#[tokio::test]
async fn a_destructive_act_wants_a_fresh_proof() {
    let house = House::new().await;
    let operator = house.operator().await;
    let acme = house.workspace("Acme").await;
    let client = house.client(&acme, "erp", None).await;
    let path = format!("/console/clients/{client}/delete");
    operator.get(&path).await.expect(200, "Type the label");
    house.age_proofs();
    let page = operator.get(&path).await.expect(303, "");
    assert!(
        page.location().starts_with("/console/step-up?next="),
        "{}",
        page.location()
    );
    operator
        .get(page.location())
        .await
        .expect(200, "Prove that it is you");
    let asked = operator
        .send(&path, &[("label", "erp")])
        .await
        .expect(403, "Prove that it is you");
    operator
        .get(&format!("/console/clients/{client}"))
        .await
        .expect(200, "No token yet");
    let again = [
        ("proof", "wrong"),
        ("resume_path", &asked.hidden("resume_path")),
        ("resume", &asked.hidden("resume")),
    ];
    operator
        .send("/console/step-up", &again)
        .await
        .expect(422, "is wrong");
    let mut again = again;
    again[0].1 = PASSWORD;
    let page = operator
        .send("/console/step-up", &again)
        .await
        .expect(200, "Send it now");
    assert_eq!(page.hidden("label"), "erp");
    operator
        .send(&path, &[("label", "erp")])
        .await
        .expect(303, "");
    for (path, form) in [
        (
            "/console/members/invite",
            vec![("email", "x@example.com"), ("role", "operator")],
        ),
        (
            "/console/admin-keys/new",
            vec![("name", "x"), ("role", "operator")],
        ),
        ("/console/account/app", vec![("sealed", ""), ("code", "")]),
        ("/console/products/gst/delete", vec![]),
    ] {
        house.age_proofs();
        operator
            .send(path, &form)
            .await
            .expect(403, "Prove that it is you");
    }
    let _: Browser = operator;
}
