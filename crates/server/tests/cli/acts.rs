//! Acts on workspaces, products and clients, seen from the outside: the server does what was said.

use crate::run::{erp, on_erp, run, server};
use serde_json::json;

#[tokio::test]
async fn a_client_lives_from_create_to_delete() {
    let server = server();
    let secret = erp(&server);
    assert!(
        secret.starts_with("tw-secret.sandbox.") && !secret.contains('\n'),
        "the secret and nothing else"
    );

    let api = server.api();
    let token = api.generate(&secret).await.unwrap().token().access_token;
    api.check("sandbox", "e-invoice", &token)
        .await
        .unwrap()
        .expect(200);

    let shown = on_erp(&server, "client", "show", &[]).json();
    assert_eq!(
        (&shown["token"]["generation"], &shown["token"]["state"]),
        (&json!(1), &json!("live"))
    );
    let id = shown["id"].as_str().unwrap().to_owned();
    assert_eq!(
        run(&server, &["client", "show", &id, "--json"]).json()["label"],
        "erp"
    );

    // A restriction binds the live token at once; lifting it does too.
    let changed = on_erp(
        &server,
        "client",
        "change",
        &["--product", "gst", "--token-lifetime", "12h"],
    )
    .json();
    assert_eq!(
        (&changed["products"], &changed["token_lifetime_seconds"]),
        (&json!(["gst"]), &json!(43_200))
    );
    api.check("sandbox", "e-invoice", &token)
        .await
        .unwrap()
        .expect_error(403, "PRODUCT_NOT_ALLOWED");
    on_erp(&server, "client", "change", &["--all-products"]).expect(0);
    api.check("sandbox", "e-invoice", &token)
        .await
        .unwrap()
        .expect(200);

    assert_eq!(
        on_erp(&server, "client", "disable", &["--yes"]).json()["state"],
        "disabled"
    );
    api.generate(&secret)
        .await
        .unwrap()
        .expect_error(401, "CLIENT_DISABLED");
    assert_eq!(
        on_erp(&server, "client", "enable", &[]).json()["state"],
        "enabled"
    );
    api.generate(&secret).await.unwrap().expect(200);

    on_erp(&server, "client", "delete", &["--yes"]).expect(0);
    api.generate(&secret)
        .await
        .unwrap()
        .expect_error(401, "CLIENT_DELETED");
    api.check("sandbox", "e-invoice", &token)
        .await
        .unwrap()
        .expect(401);
    on_erp(&server, "client", "show", &[]).refused(1, &["no sandbox client is called"]);
}

#[test]
fn a_client_is_made_with_every_setting() {
    let server = server();
    let words = "client create -w acme -e production --product gst --product e-invoice --token-lifetime never \
                 --secret-network 10.0.0.0/8 --token-network 10.1.0.0/16 --notify ops@example.com \
                 --on-repeat return --renew-before 10m --handover-max 30s --json billing";
    let words: Vec<&str> = words.split_whitespace().collect();
    let made = run(&server, &words).json();
    assert!(
        made["client_secret"]
            .as_str()
            .unwrap()
            .starts_with("tw-secret.production.")
    );
    let expect = json!({
        "label": "billing", "environment": "production", "token_lifetime_seconds": null,
        "secret_networks": ["10.0.0.0/8"], "token_networks": ["10.1.0.0/16"], "notification_emails": ["ops@example.com"],
        "on_repeat": "return", "renew_before_seconds": 600, "handover_max_seconds": 30, "state": "enabled",
    });
    for (name, value) in expect.as_object().unwrap() {
        assert_eq!(&made["client"][name], value, "{name}");
    }
    let mut products: Vec<_> = made["client"]["products"].as_array().unwrap().clone();
    products.sort_by_key(|slug| slug.as_str().map(str::to_owned));
    assert_eq!(products, [json!("e-invoice"), json!("gst")]);
}

#[tokio::test]
async fn what_breaks_is_told_and_nothing_is_done_unasked() {
    let server = server();
    let secret = erp(&server);
    let api = server.api();
    let token = api.generate(&secret).await.unwrap().token().access_token;
    api.check("sandbox", "gst", &token)
        .await
        .unwrap()
        .expect(200);

    let told = [
        "\"erp\"",
        "generation 1, live",
        "last used",
        "nothing was done; give --yes",
    ];
    on_erp(&server, "client", "delete", &[]).refused(
        1,
        &["for good", told[0], told[1], told[2], "nobody is here"],
    );
    on_erp(&server, "client", "disable", &[]).refused(1, &told[..3]);
    on_erp(&server, "token", "revoke", &[]).refused(1, &told[..3]);
    on_erp(&server, "token", "generate", &[]).refused(1, &told[..3]);
    on_erp(&server, "secret", "delete", &["1"]).refused(1, &["only secret", "nobody is here"]);
    run(&server, &["workspace", "disable", "acme"]).refused(1, &["1 enabled, 1 with a live token"]);
    run(&server, &["product", "delete", "gst"]).refused(1, &["PRODUCT_UNKNOWN"]);

    api.check("sandbox", "gst", &token)
        .await
        .unwrap()
        .expect(200);
    let again = api.generate(&secret).await.unwrap().token();
    assert_eq!(again.generation, 2, "no generation was used up");
}

#[tokio::test]
async fn a_workspace_is_renamed_stopped_and_started() {
    let server = server();
    let secret = erp(&server);
    let renamed = run(
        &server,
        &["workspace", "rename", "acme", "Acme Trading", "--json"],
    )
    .json();
    assert_eq!(renamed["name"], "Acme Trading");
    run(&server, &["workspace", "show", "acme"]).refused(1, &["no workspace is called"]);
    let shown = run(&server, &["workspace", "show", "Acme Trading", "--json"]).json();
    assert_eq!(shown["id"], renamed["id"]);

    run(&server, &["workspace", "disable", "Acme Trading", "--yes"]).expect(0);
    server.api().generate(&secret).await.unwrap().expect(401);
    run(&server, &["workspace", "enable", "Acme Trading"]).expect(0);
    server.api().generate(&secret).await.unwrap().expect(200);
}

#[test]
fn a_product_in_use_stays() {
    let server = server();
    run(
        &server,
        &[
            "client",
            "create",
            "-w",
            "acme",
            "-e",
            "sandbox",
            "--product",
            "gst",
            "erp",
        ],
    )
    .expect(0);
    run(&server, &["product", "delete", "gst", "--yes"]).refused(1, &["status    409", "code "]);
    run(&server, &["product", "delete", "e-invoice", "--yes"]).expect(0);
    let left = run(&server, &["product", "list", "--json"]).json();
    let slugs: Vec<_> = left["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["slug"].clone())
        .collect();
    assert_eq!(slugs, [json!("gst")]);
    assert_eq!(
        run(&server, &["product", "put", "gst", "GST 2", "--json"]).json()["name"],
        "GST 2"
    );
}

#[test]
fn the_server_tells_its_state() {
    let server = server();
    let status = run(&server, &["status", "--json"]).json();
    assert!(status["version"].is_string(), "{status}");
    assert!(run(&server, &["status"]).expect(0).contains("version"));
}
