//! What a newcomer gets to play with after the walk: a client of his own and three lines for a shell. The
//! unattended run tries the very same lines, so that what is printed works.

use std::process::Stdio;

use reqwest::Method;
use serde_json::json;
use tokio::process::Command;

use crate::{
    api::{GENERATE_PATH, GSTIN_PATH, INVOICES_PATH, SECRET_HEADER, TOKEN_HEADER, invoice},
    stage::Stage,
    story::{Story, Surprise, While as _},
};

const LIFETIME_SECONDS: u64 = 3_600;

/// Three lines for a shell: generate a token, call the product, call the wrong product.
fn lines(stage: &Stage, secret: &str) -> [String; 3] {
    let public = &stage.listening.public;
    let product = stage.production();
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

async fn new_secret(stage: &Stage) -> Result<String, Surprise> {
    let body = json!({"name": "Playground"});
    let answer = stage
        .api
        .admin(Method::POST, "/workspaces", Some(&body))
        .await?;
    let workspace = answer.demand(201)?.text("/id")?;
    let (client, _) = stage
        .api
        .new_client(workspace, "playground", "production", LIFETIME_SECONDS)
        .await?;
    Ok(client.secret)
}

/// Prints the lines and where the rest is to be found.
pub(crate) async fn invite(stage: &Stage, story: &Story) -> Result<(), Surprise> {
    let [generate, call, wrong] = lines(stage, &new_secret(stage).await?);
    let public = &stage.listening.public;
    let key = stage.data_dir().join("admin-key");
    let link = read_link(stage)?;
    story.heading("Everything stays up. Try it, in another terminal:");
    story.plain(format_args!(
        "\n# a token; run it again, and the first token is revoked\n{generate}"
    ));
    story.plain(format_args!("\n# an invoice: 200\n{call}"));
    story.plain(format_args!(
        "\n# another product: 403 PRODUCT_NOT_ALLOWED\n{wrong}"
    ));
    story.heading("Administration");
    story.plain(format_args!("console    {link}"));
    story.plain(format_args!(
        "admin API  {public}/admin/v1   (described at {public}/admin/v1/openapi.json)"
    ));
    story.plain(format_args!("admin key  {}", key.display()));
    story.plain(format_args!(
        "           curl -H \"Authorization: Bearer $(cat '{}')\" {public}/admin/v1/workspaces",
        key.display()
    ));
    story.plain(format_args!("server log {}", stage.log_file().display()));
    story.heading("Ctrl-C ends server and product and removes their data.");
    Ok(())
}

/// The link with which the first operator joins the console.
fn read_link(stage: &Stage) -> Result<String, Surprise> {
    let path = stage.data_dir().join("console-link");
    let link = std::fs::read_to_string(&path).during(format_args!(
        "reading the console link at {}",
        path.display()
    ))?;
    Ok(link.trim().to_owned())
}

/// Opens the console's link, runs the lines in a shell and demands 200 and 403.
pub(crate) async fn try_lines(stage: &Stage, story: &mut Story) -> Result<(), Surprise> {
    stage.api.open(&read_link(stage)?).await?.demand(200)?;
    let lines = lines(stage, &new_secret(stage).await?);
    let output = Command::new("sh")
        .arg("-c")
        .arg(lines.join("\n"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .during("running the printed lines with sh")?;
    let out = String::from_utf8_lossy(&output.stdout);
    let statuses: Vec<&str> = out
        .lines()
        .filter_map(|line| line.strip_prefix("HTTP/1.1 "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    if statuses != ["200", "403"] {
        return Err(Surprise::new(format!(
            "the printed curl lines should answer 200 and 403; they wrote\n{out}\n{}",
            String::from_utf8_lossy(&output.stderr)
        )));
    }
    story.heading("The lines the demo prints for a newcomer");
    story.saw("three curl lines in a shell", "200 and 403");
    story.saw("the link of the console", "200");
    Ok(())
}
