//! Schemathesis reads the document and calls the real server by it: with what the document allows, with
//! what it forbids, in chains of calls that hand on what earlier ones made.

use crate::document::PATH;
use std::process::Command;
use std::time::Duration;
use tokenward_testkit::{NewClient, Server, assert_lacks, finish, set_up, write_with_mode};

/// Longest time for one run over the whole document.
const RUN_LIMIT: Duration = Duration::from_secs(1_200);

/// What must hold of every answer. Left out are `positive_data_acceptance`, since a schema can't say
/// everything (which products exist, bytes rather than characters, which members belong to a role), and
/// the checks of a tool's own conventions.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,negative_data_rejection,missing_required_header,\
    unsupported_method,allow_header_conformance,ignored_auth,use_after_free,ensure_resource_availability";

/// Calls of one operation in one phase: enough to meet every constraint, few enough for half a minute.
const EXAMPLES: &str = "20";

/// What is tried on a server of its own: whoever tries a wrong key on every operation at once guesses too often
/// for one server.
const TELLING: &str = "/webhooks|/notices|/usage|/members|/invitations|/tags|/admin-keys";

#[tokio::test]
async fn a_stranger_who_believes_the_document_meets_no_surprise() {
    believe(&["--exclude-path-regex", TELLING]).await;
}

#[tokio::test]
async fn nor_does_one_who_wants_to_be_told() {
    let workspaces = format!("{TELLING}|^/admin/v1/(workspaces|clients)$");
    believe(&["--include-path-regex", &workspaces]).await;
}

async fn believe(which: &[&str]) {
    // Chains of calls make more tokens than a day's quota.
    let server = Server::builder().arg("--quota-per-day=1000000").start();
    let api = server.api();
    let workspace = api.workspace("Acme").await.expect("a workspace");
    let product = api.product("e-invoice", "E-Invoice").await;
    product.expect("a product");
    let new = NewClient::sandbox("erp").handover(60);
    let client = api.client(&workspace, new).await.expect("a client");

    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("schemathesis.toml");
    let settings = format!(
        "[auth.openapi.adminKey]\nbearer = \"{}\"\n\
         [auth.openapi.clientSecret]\napi_key = \"{secret}\"\n\
         [auth.openapi.clientBasic]\nusername = \"{}\"\npassword = \"{secret}\"\n",
        server.admin_key(),
        client.id,
        secret = client.secret,
    );
    write_with_mode(&config, &settings, 0o600);

    let mut command = Command::new(set_up(".cache/venv/bin/schemathesis"));
    command.current_dir(folder.path());
    command.arg("--config-file").arg(&config);
    command.arg("run").arg(format!("{}{PATH}", server.public()));
    // A seed of its own choice each time would find more, and would fail other people's changes.
    command.args(["--seed", "1", "--max-examples", EXAMPLES]);
    command.args(["--checks", CHECKS, "--no-color"]).args(which);
    let output = tokio::task::spawn_blocking(move || finish(&mut command, RUN_LIMIT));
    let output = output.await.expect("an end");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    assert!(said.contains("passed"), "it tested nothing:\n{said}");
    assert_lacks(&server.output(), "panicked");
}
