//! Acts on workspaces, products and clients, seen from the outside: the server does what was said.

use crate::lists::names;
use crate::run::{erp, run, server};
use serde_json::json;
use tokenward_testkit::{
    PROGRAM_LIMIT, assert_contains_all, assert_lacks, expect_error, expect_status, text, wait_until,
};

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

    let shown = run(&server, "client show @erp --json").json();
    assert_eq!(shown["token"]["generation"], 1);
    assert_eq!(shown["token"]["state"], "live");
    let by_id = format!("client show {} --json", text(&shown, "/id"));
    assert_eq!(run(&server, &by_id).json()["label"], "erp");

    // A restriction binds the live token at once; lifting it does too.
    let change = "client change @erp --json --product gst --token-lifetime 12h";
    let changed = run(&server, change).json();
    assert_eq!(changed["products"], json!(["gst"]));
    assert_eq!(changed["token_lifetime_seconds"], 43_200);
    let check = api.check("sandbox", "e-invoice", &token);
    expect_error(check, 403, "PRODUCT_NOT_ALLOWED").await;
    run(&server, "client change @erp --json --all-products").expect(0);
    expect_status(api.check("sandbox", "e-invoice", &token), 200).await;

    let disabled = run(&server, "client disable @erp --json --yes").json();
    assert_eq!(disabled["state"], "disabled");
    expect_error(api.generate(&secret), 401, "CLIENT_DISABLED").await;
    let enabled = run(&server, "client enable @erp --json").json();
    assert_eq!(enabled["state"], "enabled");
    api.generate(&secret).await.unwrap().expect(200);

    run(&server, "client delete @erp --json --yes").expect(0);
    expect_error(api.generate(&secret), 401, "CLIENT_DELETED").await;
    expect_status(api.check("sandbox", "e-invoice", &token), 401).await;
    run(&server, "client show @erp --json").refused(1, &["no sandbox client is called"]);
}

#[test]
fn a_client_is_made_with_every_setting() {
    let server = server();
    let words = "client create -w acme -e production --product gst --product e-invoice --token-lifetime never \
                 --secret-network 10.0.0.0/8 --token-network 10.1.0.0/16 --notify ops@example.com \
                 --on-repeat return --renew-before 10m --handover-max 30s --json billing";
    let made = run(&server, words).json();
    assert!(text(&made, "/client_secret").starts_with("tw-secret.production."));
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

    let told = ["\"erp\"", "generation 1, live", "last used"];
    let delete = run(&server, "client delete @erp --json");
    delete.refused(1, &told);
    delete.refused(1, &["permanently", "not a terminal"]);
    run(&server, "client disable @erp --json").refused(1, &told);
    run(&server, "token revoke @erp --json").refused(1, &told);
    run(&server, "token generate @erp --json").refused(1, &told);
    run(&server, "secret delete @erp --json 1").refused(1, &["only secret", "not a terminal"]);
    run(&server, "workspace disable acme").refused(1, &["1 enabled, 1 with a live token"]);
    run(&server, "product delete gst").refused(1, &["PRODUCT_UNKNOWN"]);

    expect_status(api.check("sandbox", "gst", &token), 200).await;
    let again = api.generate(&secret).await.unwrap().token();
    assert_eq!(again.generation, 2, "no generation was used up");
}

#[tokio::test]
async fn a_workspace_is_renamed_stopped_and_started() {
    let server = server();
    let secret = erp(&server);
    let renamed = run(&server, "workspace rename acme 'Acme Trading' --json").json();
    assert_eq!(renamed["name"], "Acme Trading");
    run(&server, "workspace show acme").refused(1, &["no workspace is called"]);
    let shown = run(&server, "workspace show 'Acme Trading' --json").json();
    assert_eq!(shown["id"], renamed["id"]);

    run(&server, "workspace disable 'Acme Trading' --yes").expect(0);
    server.api().generate(&secret).await.unwrap().expect(401);
    run(&server, "workspace enable 'Acme Trading'").expect(0);
    server.api().generate(&secret).await.unwrap().expect(200);
}

#[test]
fn a_product_in_use_stays() {
    let server = server();
    run(
        &server,
        "client create -w acme -e sandbox --product gst erp",
    )
    .expect(0);
    run(&server, "product delete gst --yes").refused(1, &["status    409", "code "]);
    run(&server, "product delete e-invoice --yes").expect(0);
    let left = run(&server, "product list --json").json();
    assert_eq!(names(&left, "slug"), ["gst"]);
    let renamed = run(&server, "product put gst 'GST 2' --json").json();
    assert_eq!(renamed["name"], "GST 2");
}

#[test]
fn the_server_tells_its_state() {
    let server = server();
    let status = run(&server, "status --json").json();
    assert!(status["version"].is_string(), "{status}");
    run(&server, "status").says("version");
}

#[tokio::test]
async fn revoking_nothing_and_enabling_a_token_say_so() {
    let server = server();
    let secret = erp(&server);
    let nothing = run(&server, "token revoke @erp");
    assert_eq!(nothing.expect(0), "");
    let says = "No access token is live, so there is nothing to revoke.\n";
    assert_eq!(nothing.stderr, says);
    let api = server.api();
    api.generate(&secret).await.unwrap().expect(200);
    let quiet = run(&server, "client disable @erp --yes");
    quiet.says("1 disabled, refused until the client is enabled");
    // It asks nothing.
    assert_lacks(&quiet.stderr, "This disables");
    let enabled = run(&server, "client enable @erp");
    enabled.warns("generation 1, is accepted again, valid till");
    // A disabled client's token would come back, so it can be revoked.
    run(&server, "client disable @erp --yes").expect(0);
    run(&server, "token revoke @erp --yes").says("1 revoked 20");
    run(&server, "client delete @erp --yes").says("1 revoked 20");
}

#[test]
fn auditor_is_refused_before_being_asked() {
    let folder = tempfile::tempdir().unwrap();
    let server = server();
    erp(&server);
    let key = folder.path().join("auditor.key");
    let key = key.display();
    let words = format!("admin-key create --role auditor --key-file {key} audit");
    run(&server, &words).expect(0);
    for act in [
        "client disable @erp",
        "workspace disable acme",
        "product delete gst",
    ] {
        let told = run(&server, &format!("{act} --admin-key-file {key}"));
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
    let shown = wait_until("the use", PROGRAM_LIMIT, || {
        let shown = run(&server, "usage -w acme -e sandbox erp")
            .expect(0)
            .to_owned();
        (shown.matches("PERMIT").count() == 2).then_some(shown)
    });
    assert_contains_all(&shown, &["GENERATED", "gst", "127.0.0.1", "SOURCE"]);
    let figures = run(&server, "usage --days=1 @erp --json").json();
    assert_eq!(figures["sources"][0]["source"], "127.0.0.1");

    let url = "https://hooks.example.com/tokenward";
    let made = run(&server, &format!("webhook create -w acme {url}"));
    assert!(made.expect(0).starts_with("whsec_") && made.stderr.contains("signing secret"));
    let listed = run(&server, "webhook list -w acme --json").json();
    let id = text(&listed, "/items/0/id");
    run(&server, "webhook list -w acme").says(url);
    run(&server, &format!("webhook disable {id}")).refused(1, &["This disables", "not a terminal"]);
    run(&server, &format!("webhook disable {id} --yes")).expect(0);
    run(&server, &format!("webhook enable {id}")).expect(0);
    let rotated = run(&server, &format!("webhook rotate {id} --yes"));
    assert!(rotated.expect(0).starts_with("whsec_"));
    run(&server, &format!("webhook test {id}")).expect(0);
    let set = |more: &str| run(&server, &format!("webhook set {id} {more}"));
    set("--event client.unused=off").says("client.unused");
    set("--event client.unused").refused(2, &["token.generated=off"]);
    set("").refused(2, &["nothing to change"]);
    assert_eq!(run(&server, "notice addresses -w acme").expect(0), "");
    let email = "notice set -w acme x@example.com";
    let unknown = run(&server, &format!("{email} --event client.unused=off"));
    unknown.refused(1, &["notification address"]);
    run(&server, email).refused(2, &["nothing to change"]);
    run(&server, "notice list -w acme").says(&id);
    run(&server, &format!("webhook delete {id}")).refused(1, &["This deletes", "not a terminal"]);
    run(&server, &format!("webhook delete {id} --yes")).expect(0);
    let none = run(&server, "webhook list -w acme");
    assert_eq!((none.expect(0), &*none.stderr), ("", "No results.\n"));
}

#[tokio::test]
async fn tags_and_notes_are_written_found_and_shown() {
    let server = server();
    erp(&server);
    let tagged = run(&server, "client tag @erp --json south plant-2");
    assert_eq!(tagged.json()["tags"], json!(["plant-2", "south"]));
    run(&server, "client tag @erp --json No/Tag").refused(2, &["lowercase letters"]);
    let by_tag = |tag: &str| {
        let listed = run(&server, &format!("client list --tag {tag} --json")).json();
        listed["items"].as_array().unwrap().len()
    };
    assert_eq!((by_tag("south"), by_tag("north")), (1, 0));
    let left = run(&server, "client untag @erp --json south");
    assert_eq!(left.json()["tags"], json!(["plant-2"]));
    assert_eq!(by_tag("south"), 0);

    run(&server, "secret note @erp --json 1 'in the vault'").expect(0);
    run(&server, "secret note @erp --json 7 x").refused(1, &["There is no such"]);
    run(&server, "secret rotate @erp --json --note 'plant 2'").expect(0);
    let shown = run(&server, "client show @erp --json").json();
    let notes = [&shown["secrets"][0]["note"], &shown["secrets"][1]["note"]];
    assert_eq!(notes, ["in the vault", "plant 2"]);

    let key = "admin-key create --role auditor portal --note 'of 2026'";
    run(&server, key).expect(0);
    run(&server, "admin-key note portal 'of 2027'").expect(0);
    run(&server, "admin-key list").says("of 2027");
    let hook = "webhook create -w acme https://hook.invalid/ --note 'to the chat'";
    run(&server, hook).expect(0);
    let hooks = run(&server, "webhook list -w acme --json").json();
    assert_eq!(hooks["items"][0]["note"], "to the chat");
    let id = text(&hooks, "/items/0/id");
    run(&server, &format!("webhook set {id} --note 'to the desk'")).says("to the desk");
}
