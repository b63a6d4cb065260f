//! `tokenward workspace`.

use super::api::Answer;
use super::confirm::Sure;
use super::error::CliError;
use super::impact::has_live_token;
use super::pages::{Pages, Portion, parsed};
use super::session::Session;
use super::table::printable;
use super::views;
use reqwest::Method;
use tokenward_api::{Client, ClientState, Name, Workspace, WorkspaceChange, WorkspaceCreate};

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
            let limit = portion.limit;
            session.list("/workspaces", limit, views::workspaces).await
        }
        Verb::Create { name } => {
            let body = WorkspaceCreate { name: Name(name) };
            let made: Answer<Workspace> = api.send(Method::POST, "/workspaces", body).await?;
            if out.json {
                out.json(&made.json)
            } else {
                out.line(&made.id.to_string())
            }
        }
        Verb::Show { workspace } => {
            out.object(&found(session, &workspace).await?, views::workspace)
        }
        Verb::Rename { workspace, name } => {
            let body = WorkspaceChange {
                name: Some(Name(name)),
                disabled: None,
            };
            change(session, &workspace, body).await
        }
        Verb::Enable { workspace } => change(session, &workspace, switch(false)).await,
        Verb::Disable { workspace, sure } => {
            let impact = impact(session, &workspace).await?;
            session.confirm(sure, &impact).await?;
            change(session, &workspace, switch(true)).await
        }
    }
}

fn switch(disabled: bool) -> WorkspaceChange {
    WorkspaceChange {
        disabled: Some(disabled),
        name: None,
    }
}

async fn change(
    session: &Session,
    workspace: &str,
    change: WorkspaceChange,
) -> Result<(), CliError> {
    let id = session.workspace_id(workspace).await?;
    let path = format!("/workspaces/{id}");
    let changed = session.api.send(Method::PATCH, &path, change).await?;
    session.out.object(&changed, views::workspace)
}

async fn found(session: &Session, workspace: &str) -> Result<Answer<Workspace>, CliError> {
    let id = session.workspace_id(workspace).await?;
    session.api.get(&format!("/workspaces/{id}")).await
}

async fn impact(session: &Session, workspace: &str) -> Result<String, CliError> {
    let found = found(session, workspace).await?;
    let path = format!("/workspaces/{}/clients", found.id);
    let mut pages = Pages::new(&session.api, &path, Vec::new(), Some(CLIENTS_LOOKED_AT_MAX));
    let mut clients: Vec<Answer<Client>> = Vec::new();
    while let Some(items) = pages.next().await? {
        for item in &items {
            clients.push(parsed(item)?);
        }
    }
    Ok(warning(&found, &clients))
}

/// What disabling breaks.
fn warning(workspace: &Workspace, clients: &[impl std::ops::Deref<Target = Client>]) -> String {
    let count = |of: fn(&Client) -> bool| clients.iter().filter(|client| of(client)).count();
    let enabled = count(|client| client.state == ClientState::Enabled);
    let live = count(has_live_token);
    let least = if clients.len() as u64 >= CLIENTS_LOOKED_AT_MAX {
        "at least "
    } else {
        ""
    };
    // One form of time, in UTC, so the texts sort as the times do.
    let latest = clients
        .iter()
        .max_by_key(|client| client.last_used_at.as_ref());
    let latest = latest.filter(|client| client.last_used_at.is_some());
    let latest = latest.map_or("never".to_owned(), |client| {
        format!("{}, by \"{}\"", views::last_used(client), client.label)
    });
    format!(
        "This disables the workspace \"{}\" ({}) until it is enabled again.\n  clients      {least}{enabled} enabled, {least}{live} with a live token\n  last used    {}\nEvery one of them is refused from that moment, tokens and secrets alike.",
        printable(&workspace.name),
        workspace.id,
        printable(&latest),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::tests::example;
    use tokenward_api::{Label, Time, TokenState};

    #[test]
    fn disabling_names_the_number_of_clients_and_the_latest_use() {
        let workspace = Workspace {
            id: example().workspace_id,
            name: Name::of("acme"),
            ..Workspace::default()
        };
        let mut idle = example();
        idle.label = Label::of("idle");
        idle.token.state = TokenState::Expired;
        idle.last_used_at = Some(Time::of("2026-01-01T00:00:00+00:00"));
        let told = [
            warning(&workspace, &[&idle, &example()]),
            warning(&workspace, &[] as &[&Client]),
        ];
        insta::assert_snapshot!(told.join("\n\n"));
    }
}
