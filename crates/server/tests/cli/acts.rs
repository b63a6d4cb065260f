//! Acts on workspaces, products and clients, seen from the outside: the server does what was said.

use crate::run::{erp, on_erp, run, server, words};
use serde_json::json;
use tokenward_testkit::{expect_error, expect_status};

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
    expect_status(api.check("sandbox", "e-invoice", &token), 200).await;

    let shown = on_erp(&server, "client", "show", &[]).json();
    assert_eq!(shown["token"]["generation"], 1);
    assert_eq!(shown["token"]["state"], "live");
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
    assert_eq!(changed["products"], json!(["gst"]));
    assert_eq!(changed["token_lifetime_seconds"], 43_200);
    api.check("sandbox", "e-invoice", &token)
        .await
        .unwrap()
        .expect_error(403, "PRODUCT_NOT_ALLOWED");
    on_erp(&server, "client", "change", &["--all-products"]).expect(0);
    expect_status(api.check("sandbox", "e-invoice", &token), 200).await;

    assert_eq!(
        on_erp(&server, "client", "disable", &["--yes"]).json()["state"],
        "disabled"
    );
    expect_error(api.generate(&secret), 401, "CLIENT_DISABLED").await;
    assert_eq!(
        on_erp(&server, "client", "enable", &[]).json()["state"],
        "enabled"
    );
    api.generate(&secret).await.unwrap().expect(200);

    on_erp(&server, "client", "delete", &["--yes"]).expect(0);
    expect_error(api.generate(&secret), 401, "CLIENT_DELETED").await;
    expect_status(api.check("sandbox", "e-invoice", &token), 401).await;
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
    expect_status(api.check("sandbox", "gst", &token), 200).await;

    let told = ["\"erp\"", "generation 1, live", "last used", "Give --yes"];
    on_erp(&server, "client", "delete", &[]).refused(
        1,
        &["permanently", told[0], told[1], told[2], "not a terminal"],
    );
    on_erp(&server, "client", "disable", &[]).refused(1, &told[..3]);
    on_erp(&server, "token", "revoke", &[]).refused(1, &told[..3]);
    on_erp(&server, "token", "generate", &[]).refused(1, &told[..3]);
    on_erp(&server, "secret", "delete", &["1"]).refused(1, &["only secret", "not a terminal"]);
    run(&server, &["workspace", "disable", "acme"]).refused(1, &["1 enabled, 1 with a live token"]);
    run(&server, &["product", "delete", "gst"]).refused(1, &["PRODUCT_UNKNOWN"]);

    expect_status(api.check("sandbox", "gst", &token), 200).await;
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
        &words("client create -w acme -e sandbox --product gst erp"),
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

#[tokio::test]
async fn revoking_nothing_and_enabling_a_token_say_so() {
    let server = server();
    let secret = erp(&server);
    let words = ["token", "revoke", "-w", "acme", "-e", "sandbox", "erp"];
    let nothing = run(&server, &words);
    assert_eq!(nothing.expect(0), "");
    assert_eq!(
        nothing.stderr,
        "No access token is live, so there is nothing to revoke.\n"
    );
    let api = server.api();
    api.generate(&secret).await.unwrap().expect(200);
    let on = |group: &str, verb: &str, more: &[&str]| {
        let words = [&[group, verb, "-w", "acme", "-e", "sandbox", "erp"], more].concat();
        run(&server, &words)
    };
    let quiet = on("client", "disable", &["--yes"]);
    assert!(
        quiet
            .expect(0)
            .contains("1 disabled, refused until the client is enabled"),
        "{quiet:?}"
    );
    assert!(
        !quiet.stderr.contains("This disables"),
        "--yes asks nothing: {quiet:?}"
    );
    let enabled = on("client", "enable", &[]);
    assert!(
        enabled
            .stderr
            .contains("generation 1, is accepted again, valid till"),
        "{enabled:?}"
    );
    // A disabled client's token would come back, so it can be revoked.
    on("client", "disable", &["--yes"]).expect(0);
    let revoked = on("token", "revoke", &["--yes"]);
    assert!(revoked.expect(0).contains("1 revoked 20"), "{revoked:?}");
    let gone = on("client", "delete", &["--yes"]);
    assert!(gone.expect(0).contains("1 revoked 20"), "{gone:?}");
}

#[test]
fn auditor_is_refused_before_being_asked() {
    let folder = tempfile::tempdir().unwrap();
    let server = server();
    erp(&server);
    let key = folder.path().join("auditor.key");
    let key = key.to_str().unwrap();
    let words = [
        "admin-key",
        "create",
        "--role",
        "auditor",
        "--key-file",
        key,
        "audit",
    ];
    run(&server, &words).expect(0);
    for act in [
        &["client", "disable", "-w", "acme", "-e", "sandbox", "erp"][..],
        &["workspace", "disable", "acme"],
        &["product", "delete", "gst"],
    ] {
        let told = run(&server, &[act, &["--admin-key-file", key]].concat());
        told.refused(1, &["may only read. Nothing was done"]);
        assert!(!told.stderr.contains("This d"), "{told:?}");
    }
}

#[tokio::test]
async fn usage_webhooks_and_notices_are_shown() {
    let server = server();
    let secret = erp(&server);
    let api = server.api();
    let token = api.generate(&secret).await.unwrap().token().access_token;
    expect_status(api.check("sandbox", "gst", &token), 200).await;
    let usage = || run(&server, &["usage", "-w", "acme", "-e", "sandbox", "erp"]);
    let shown =
        tokenward_testkit::wait_until("the use", std::time::Duration::from_secs(20), || {
            let shown = usage();
            (shown.expect(0).matches("PERMIT").count() == 2).then_some(shown)
        });
    for words in ["GENERATED", "gst", "127.0.0.1", "SOURCE"] {
        assert!(shown.stdout.contains(words), "{words}: {shown:?}");
    }
    let figures = on_erp(&server, "usage", "--days=1", &[]).json();
    assert_eq!(figures["sources"][0]["source"], "127.0.0.1");

    let url = "https://hooks.example.com/tokenward";
    let made = run(&server, &["webhook", "create", "-w", "acme", url]);
    assert!(made.expect(0).starts_with("whsec_") && made.stderr.contains("signing secret"));
    let listed = run(&server, &["webhook", "list", "-w", "acme", "--json"]).json();
    let id = listed["items"][0]["id"].as_str().unwrap().to_owned();
    assert!(
        run(&server, &["webhook", "list", "-w", "acme"])
            .expect(0)
            .contains(url)
    );
    run(&server, &["webhook", "disable", &id]).refused(1, &["This disables", "not a terminal"]);
    run(&server, &["webhook", "disable", &id, "--yes"]).expect(0);
    run(&server, &["webhook", "enable", &id]).expect(0);
    assert!(
        run(&server, &["webhook", "rotate", &id, "--yes"])
            .expect(0)
            .starts_with("whsec_")
    );
    run(&server, &["webhook", "test", &id]).expect(0);
    let off = ["webhook", "set", &id, "--event", "client.unused=off"];
    assert!(run(&server, &off).expect(0).contains("client.unused"));
    let none = ["webhook", "set", &id, "--event", "client.unused"];
    run(&server, &none).refused(2, &["token.generated=off"]);
    let addresses = run(&server, &["notice", "addresses", "-w", "acme"]);
    assert_eq!(addresses.expect(0), "");
    let email = ["notice", "set", "-w", "acme", "x@example.com"];
    let off = ["--event", "client.unused=off"];
    let unknown = [&email[..], &off].concat();
    run(&server, &unknown).refused(1, &["notification address"]);
    run(&server, &email).refused(2, &["nothing to change"]);
    run(&server, &["webhook", "set", &id]).refused(2, &["nothing to change"]);
    let notices = run(&server, &["notice", "list", "-w", "acme"]);
    assert!(notices.expect(0).contains(&id), "{notices:?}");
    run(&server, &["webhook", "delete", &id]).refused(1, &["This deletes", "not a terminal"]);
    run(&server, &["webhook", "delete", &id, "--yes"]).expect(0);
    let none = run(&server, &["webhook", "list", "-w", "acme"]);
    assert_eq!(
        (none.expect(0), none.stderr.as_str()),
        ("", "No results.\n")
    );
}

#[tokio::test]
async fn tags_and_notes_are_written_found_and_shown() {
    let server = server();
    erp(&server);
    let tagged = on_erp(&server, "client", "tag", &["south", "plant-2"]);
    assert_eq!(tagged.json()["tags"], json!(["plant-2", "south"]));
    on_erp(&server, "client", "tag", &["No/Tag"]).refused(2, &["lowercase letters"]);
    let by_tag = |tag: &str| {
        let listed = run(&server, &["client", "list", "--tag", tag, "--json"]).json();
        listed["items"].as_array().unwrap().len()
    };
    assert_eq!((by_tag("south"), by_tag("north")), (1, 0));
    let left = on_erp(&server, "client", "untag", &["south"]);
    assert_eq!(left.json()["tags"], json!(["plant-2"]));
    assert_eq!(by_tag("south"), 0);

    on_erp(&server, "secret", "note", &["1", "in the vault"]).expect(0);
    on_erp(&server, "secret", "note", &["7", "x"]).refused(1, &["There is no such"]);
    on_erp(&server, "secret", "rotate", &["--note", "plant 2"]).expect(0);
    let shown = on_erp(&server, "client", "show", &[]).json();
    let notes = [&shown["secrets"][0]["note"], &shown["secrets"][1]["note"]];
    assert_eq!(notes, ["in the vault", "plant 2"]);

    let key = [
        "admin-key",
        "create",
        "--role",
        "auditor",
        "portal",
        "--note",
    ];
    run(&server, &[&key[..], &["of 2026"]].concat()).expect(0);
    run(&server, &["admin-key", "note", "portal", "of 2027"]).expect(0);
    let keys = run(&server, &["admin-key", "list"]);
    assert!(keys.expect(0).contains("of 2027"), "{keys:?}");
    let hook = [
        "webhook",
        "create",
        "-w",
        "acme",
        "https://hook.invalid/",
        "--note",
    ];
    run(&server, &[&hook[..], &["to the chat"]].concat()).expect(0);
    let hooks = run(&server, &["webhook", "list", "-w", "acme", "--json"]).json();
    assert_eq!(hooks["items"][0]["note"], "to the chat");
    let id = hooks["items"][0]["id"].as_str().unwrap();
    let set = run(&server, &["webhook", "set", id, "--note", "to the desk"]);
    assert!(set.expect(0).contains("to the desk"), "{set:?}");
}
