//! `tokenward workspace`.

use super::confirm::{Agreement, Sure};
use super::error::CliError;
use super::impact::has_live_token;
use super::pages::{Pages, Portion, parsed};
use super::session::Session;
use super::table::printable;
use super::views;
use reqwest::Method;
use serde_json::{Value, json};

/// Clients looked at before a workspace is disabled; beyond them the warning says "at least".
const CLIENTS_LOOKED_AT_MAX: u64 = 1_000;

/// Commands on workspaces.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Verb {
    /// List workspaces.
    List(Portion),
    /// Create a workspace and print its id.
    #[command(after_help = "Example:\n  tokenward workspace create acme")]
    Create {
        /// Its name.
        name: String,
    },
    /// Show one workspace.
    Show {
        /// Its id or exact name.
        workspace: String,
    },
    /// Give a workspace another name.
    #[command(after_help = "Example:\n  tokenward workspace rename acme \"Acme Trading\"")]
    Rename {
        /// Its id or exact name.
        workspace: String,
        /// The new name.
        name: String,
    },
    /// Stop every client of a workspace until it is enabled again.
    Disable {
        /// Its id or exact name.
        workspace: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Let the clients of a disabled workspace work again.
    Enable {
        /// Its id or exact name.
        workspace: String,
    },
}

/// Carries out one command.
pub(crate) async fn run(verb: Verb, session: &Session) -> Result<(), CliError> {
    let Session { api, out } = session;
    match verb {
        Verb::List(portion) => {
            let pages = Pages::new(api, "/workspaces", Vec::new(), portion.limit);
            out.lists(&mut [pages], |_| true, views::workspaces).await
        }
        Verb::Create { name } => {
            let made = api
                .send(Method::POST, "/workspaces", Some(&json!({"name": name})))
                .await?;
            if out.json {
                out.json(&made)
            } else {
                out.line(&views::text(&made["id"]))
            }
        }
        Verb::Show { workspace } => {
            let id = session.workspace_id(&workspace).await?;
            out.object(
                &api.get(&format!("/workspaces/{id}")).await?,
                views::workspace,
            )
        }
        Verb::Rename { workspace, name } => {
            change(session, &workspace, json!({"name": name})).await
        }
        Verb::Enable { workspace } => change(session, &workspace, json!({"disabled": false})).await,
        Verb::Disable { workspace, sure } => {
            session
                .confirm(sure, &impact(session, &workspace).await?, Agreement::Yes)
                .await?;
            change(session, &workspace, json!({"disabled": true})).await
        }
    }
}

async fn change(session: &Session, workspace: &str, change: Value) -> Result<(), CliError> {
    let id = session.workspace_id(workspace).await?;
    let changed = session
        .api
        .send(Method::PATCH, &format!("/workspaces/{id}"), Some(&change))
        .await?;
    session.out.object(&changed, views::workspace)
}

async fn impact(session: &Session, workspace: &str) -> Result<String, CliError> {
    let id = session.workspace_id(workspace).await?;
    let found = session.api.get(&format!("/workspaces/{id}")).await?;
    let path = format!("/workspaces/{id}/clients");
    let mut pages = Pages::new(&session.api, &path, Vec::new(), Some(CLIENTS_LOOKED_AT_MAX));
    let mut clients = Vec::new();
    while let Some(items) = pages.next().await? {
        for item in &items {
            clients.push(parsed(item)?);
        }
    }
    Ok(warning(&found, &clients))
}

/// What disabling breaks.
fn warning(workspace: &Value, clients: &[Value]) -> String {
    let enabled = clients
        .iter()
        .filter(|client| client["state"] == "enabled")
        .count();
    let live = clients
        .iter()
        .filter(|client| has_live_token(client))
        .count();
    let least = if clients.len() as u64 >= CLIENTS_LOOKED_AT_MAX {
        "at least "
    } else {
        ""
    };
    // One form of time, in UTC, so the texts sort as the times do.
    let latest = clients
        .iter()
        .max_by_key(|client| client["last_used_at"].as_str());
    let latest = latest.filter(|client| client["last_used_at"].is_string());
    let latest = latest.map_or("never".to_owned(), |client| {
        format!(
            "{}, by \"{}\"",
            views::last_used(client),
            views::text(&client["label"])
        )
    });
    format!(
        "This disables the workspace \"{}\" ({}) until it is enabled again.\n  clients      {least}{enabled} enabled, {least}{live} with a live token\n  last used    {}\nEvery one of them is refused from that moment, tokens and secrets alike.",
        printable(&views::text(&workspace["name"])),
        printable(&views::text(&workspace["id"])),
        printable(&latest),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::tests::example;

    #[test]
    fn disabling_names_the_number_of_clients_and_the_latest_use() {
        let workspace = json!({"id": "0198c0de-0000-7000-8000-000000000001", "name": "acme"});
        let mut idle = example();
        idle["label"] = json!("idle");
        idle["token"]["state"] = json!("expired");
        idle["last_used_at"] = json!("2026-01-01T00:00:00+00:00");
        let told = [
            warning(&workspace, &[idle, example()]),
            warning(&workspace, &[]),
        ];
        insta::assert_snapshot!(told.join("\n\n"));
    }
}
