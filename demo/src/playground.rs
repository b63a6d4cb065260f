//! What a newcomer gets to play with after the walk: a client of their own and three lines for a shell. The unattended run
//! tries the very same lines, so that what is printed works.

use std::process::Command;

use tokenward_testkit::{NewClient, PROGRAM_LIMIT, finish};

use crate::{
    stage::{
        GENERATE_PATH, GSTIN_PATH, INVOICES_PATH, SECRET_HEADER, Stage, TOKEN_HEADER, invoice,
    },
    story::{Story, heading, plain},
};

/// Three lines for a shell: generate a token, call the product, call the wrong product.
async fn lines(stage: &Stage) -> [String; 3] {
    let workspace = stage.api.workspace("Playground").await.expect("an answer");
    let new = NewClient::production("playground").products(&["e-invoice"]);
    let client = stage.api.client(&workspace, new.lifetime(3_600)).await;
    let secret = client.expect("an answer").secret;
    let public = stage.server.public();
    let product = stage.product("production");
    let invoice = invoice();
    let generate = format!("curl -sS -H '{SECRET_HEADER}: {secret}' {public}{GENERATE_PATH}");
    let pick = r#"sed 's/.*"access_token": *"\([^"]*\)".*/\1/'"#;
    [
        format!("TOKEN=$({generate} | {pick}); echo \"$TOKEN\""),
        format!(
            "curl -sS -i -H \"{TOKEN_HEADER}: $TOKEN\" -H 'content-type: application/json' \
             -d '{invoice}' {product}{INVOICES_PATH}; echo"
        ),
        format!("curl -sS -i -H \"{TOKEN_HEADER}: $TOKEN\" {product}{GSTIN_PATH}; echo"),
    ]
}

/// Prints the lines and where the rest is to be found.
pub(crate) async fn invite(stage: &Stage) {
    let [generate, call, wrong] = lines(stage).await;
    let public = stage.server.public();
    let key = stage.server.data_dir().join("admin-key");
    let key = key.display();
    let link = read_link(stage);
    let log = stage.server.stderr_file();
    let log = log.display();
    heading("Everything stays up. Try it, in another terminal:");
    plain(format_args!(
        "\n# a token; run it again, and the first token is revoked\n{generate}"
    ));
    plain(format_args!("\n# an invoice: 200\n{call}"));
    plain(format_args!(
        "\n# another product: 403 PRODUCT_NOT_ALLOWED\n{wrong}"
    ));
    heading("Administration");
    plain(format_args!(
        "console    {link}\n\
         admin API  {public}/admin/v1   (described at {public}/admin/v1/openapi.json)\n\
         admin key  {key}\n           \
         curl -H \"Authorization: Bearer $(cat '{key}')\" {public}/admin/v1/workspaces\n\
         server log {log}"
    ));
    heading("Ctrl-C ends server and product and removes their data.");
}

/// The link with which the first operator joins the console.
fn read_link(stage: &Stage) -> String {
    let path = stage.server.data_dir().join("console-link");
    let link = std::fs::read_to_string(path).expect("the console's link");
    link.trim().to_owned()
}

/// Opens the console's link, runs the lines in a shell and demands 200 and 403.
pub(crate) async fn try_lines(stage: &Stage, story: &mut Story) {
    stage.open(&read_link(stage)).await.expect(200);
    let script = lines(stage).await.join("\n");
    let output = finish(Command::new("sh").arg("-c").arg(script), PROGRAM_LIMIT);
    let out = String::from_utf8_lossy(&output.stdout);
    let statuses: Vec<&str> = out
        .lines()
        .filter_map(|line| line.strip_prefix("HTTP/1.1 "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        statuses,
        ["200", "403"],
        "the printed lines wrote\n{out}\n{errors}"
    );
    heading("The lines the demo prints for a newcomer");
    story.saw("three curl lines in a shell", "200 and 403");
    story.saw("the link of the console", 200);
}
