//! What people recognise credentials by: how each begins, a fingerprint, a note, and who made it.

use crate::house::{House, done, expect, shows};
use tokenward_testkit::text;

/// The fingerprint that a page shows.
fn fingerprint(text: &str) -> String {
    let at = text.to_lowercase().find("fingerprint <code>").expect(text);
    let rest = &text[at + "fingerprint <code>".len()..];
    let found = &rest[..rest.find('<').unwrap()];
    let hex = found.chars().all(|c| c.is_ascii_hexdigit());
    assert!(found.len() == 8 && hex, "{found}");
    found.to_owned()
}

#[tokio::test]
async fn secret_is_recognised_by_fingerprint_note_and_maker() {
    let (house, operator) = House::with_operator().await;
    house.api.product("gst", "GST").await.unwrap();
    let acme = house.workspace("Acme").await;
    let form = [
        ("label", "SAP ECC"),
        ("scope", "some"),
        ("products", "gst"),
        ("lifetime", "3600"),
        ("on_repeat", "replace"),
    ];
    let path = format!("/console/w/{acme}/production/new");
    let created = expect(operator.send(&path, &form), 200, "created").await;
    let first = fingerprint(&created.text);
    let client = created.ids("/console/clients/").remove(0);
    let page = format!("/console/clients/{client}");
    let rotated = [("note", "for the new billing system")];
    let rotated = operator.send(&format!("{page}/rotate"), &rotated).await;
    let rotated = rotated.expect(200, "Client secret 2");
    let second = fingerprint(&rotated.text);
    let secret = rotated.between("<code id=\"secret-1\" tabindex=\"0\">", "</code>");
    assert_ne!(first, second);
    let shown = shows(&operator, &page, "for the new billing system").await;
    let begins = format!("tw-secret.production.{}…", &client[..8]);
    shown.says(&[
        first.as_str(),
        &second,
        &begins,
        "by Somebody",
        "No token requested yet",
    ]);
    // Nothing of the secret's random part is on the page.
    let random = secret.rsplit('.').next().unwrap();
    for at in 0..random.len() - 8 {
        assert!(!shown.text.contains(&random[at..at + 8]), "{at}");
    }
    house.api.generate(&secret).await.unwrap().expect(200);
    shows(&operator, &page, "Last token requested today").await;
    // The note is changed by itself, is in the audit log, and goes with the secret.
    let note = format!("/console/credentials/secret/{client}/2");
    shows(&operator, &note, "value=\"for the new billing system\"").await;
    let too_long = "x".repeat(200);
    let refused = operator.send(&note, &[("note", too_long.as_str())]).await;
    refused.expect(422, "id=\"e-note\"");
    done(&operator, &note, &[("note", "spare")]).await;
    let shown = shows(&operator, &page, "spare").await;
    shown.says(&["changed the note of a client secret of"]);
    assert!(shown.text.contains("by Somebody"), "the maker stays");
    let missing = format!("/console/credentials/secret/{client}/7");
    expect(operator.get(&missing), 404, "").await;
    expect(operator.send(&missing, &[("note", "x")]), 404, "").await;
    // A pasted secret is recognised.
    let pasted = [("token", secret.as_str()), ("product", "gst")];
    let answer = operator.send("/console/inspect", &pasted).await;
    let answer = answer.expect(200, "This is client secret 2 of “SAP ECC”");
    answer.says(&[&second]);
    answer.lacks(random);
    done(&operator, &format!("{page}/delete-secret-2"), &[]).await;
    let answer = operator.send("/console/inspect", &pasted).await;
    answer.expect(200, "none of its client secrets");
    // A product admin sees the note, but not who made it; of other clients nothing.
    let role = [
        ("role", "product_admin"),
        ("workspace_id", &acme),
        ("products", "gst"),
    ];
    let theirs = house.invited(&operator, "p@example.com", &role).await;
    let shown = shows(&theirs, &page, &first).await;
    shown.lacks("by Somebody");
    let far = house.client(&acme, "far", None).await;
    let far = format!("/console/credentials/secret/{far}/1");
    expect(theirs.get(&far), 404, "").await;
    expect(theirs.send(&far, &[("note", "x")]), 404, "").await;
    let auditor = [("role", "auditor"), ("workspace_id", acme.as_str())];
    let auditor = house.invited(&operator, "a@example.com", &auditor).await;
    let own = format!("/console/credentials/secret/{client}/1");
    expect(auditor.send(&own, &[("note", "x")]), 403, "").await;
}

#[tokio::test]
async fn admin_keys_and_webhooks_are_recognised_the_same_way() {
    let (house, operator) = House::with_operator().await;
    let form = [
        ("name", "Deploy"),
        ("role", "operator"),
        ("note", "runs in CI"),
    ];
    let made = operator.send("/console/admin-keys/new", &form).await;
    let made = made.expect(200, "Admin key “Deploy” created");
    let key = made.between("<code id=\"secret-1\" tabindex=\"0\">", "</code>");
    let print = fingerprint(&made.text);
    let list = shows(&operator, "/console/admin-keys", "runs in CI").await;
    list.says(&[print.as_str(), "tw-admin.", "by Somebody"]);
    let pasted = [("token", key.as_str()), ("product", "")];
    let answer = operator.send("/console/inspect", &pasted).await;
    answer.expect(200, "This is the admin key “Deploy”. It works.");
    let edit = list.between("<span class=\"note-text\">runs in CI", "Revoke");
    let edit = edit.split("href=\"").nth(1).unwrap();
    let edit = edit.split('"').next().unwrap();
    let saved = operator.send(edit, &[("note", "runs at night")]).await;
    assert_eq!(saved.location(), "/console/admin-keys?done=note");
    shows(&operator, "/console/admin-keys", "runs at night").await;

    let acme = house.workspace("Acme").await;
    let notices = format!("/console/w/{acme}/notices");
    let form = [("url", "https://hooks.example.com/a"), ("note", "pager")];
    let made = operator.send(&notices, &form).await;
    let print = fingerprint(&made.expect(200, "Webhook added").text);
    let shown = shows(&operator, &notices, "pager").await;
    shown.says(&[
        print.as_str(),
        "whsec_…",
        "by Somebody",
        "No recent delivery",
    ]);
    let hook = shown.ids("/console/credentials/webhook/").remove(0);
    let edit = format!("/console/credentials/webhook/{hook}/0");
    done(&operator, &edit, &[("note", "")]).await;
    let shown = shows(&operator, &notices, &print).await;
    shown.lacks("<p>pager</p>");
    // A rotated secret has another fingerprint.
    let rotate = format!("/console/w/{acme}/webhooks/{hook}/rotate");
    let rotated = expect(operator.send(&rotate, &[]), 200, "").await;
    assert_ne!(fingerprint(&rotated.text), print);
    // Who does not see webhooks or admin keys sees no note of theirs, and changes none.
    let role = [
        ("role", "workspace_admin"),
        ("workspace_id", &house.workspace("Far").await),
    ];
    let other = house.invited(&operator, "w@example.com", &role).await;
    expect(other.get(&edit), 404, "").await;
    expect(other.send(&edit, &[("note", "x")]), 404, "").await;
    let keys = house.api.items("/admin-keys").await;
    let id = text(&keys[0], "/id");
    let key = format!("/console/credentials/admin-key/{id}/0");
    expect(other.get(&key), 403, "").await;
    expect(other.send(&key, &[("note", "x")]), 403, "").await;
}
