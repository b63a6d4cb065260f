//! `tokenward secret` and `tokenward token`.

use super::api::Answer;
use super::confirm::Sure;
use super::error::CliError;
use super::impact::{Act, has_live_token};
use super::once::Once;
use super::session::{ClientName, Session, SureClient};
use super::views;
use reqwest::Method;
use std::path::PathBuf;
use tokenward_api::{Client, SecretChange, SecretCreate, SecretCreated, TokenByAdmin, TokenState};

/// Commands on client secrets.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum SecretVerb {
    /// Make a second client secret; it goes to standard output, once. Delete the first when every
    /// job holds the new one.
    #[command(
        after_help = "Example:\n  tokenward secret rotate -w acme -e production erp --secret-file erp.secret"
    )]
    Rotate {
        #[command(flatten)]
        client: ClientName,
        /// Write the client secret into this new file, readable by you alone, instead of to standard output.
        #[arg(long, value_name = "PATH")]
        secret_file: Option<PathBuf>,
        /// What to recognise the secret by, such as who holds it.
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Change what a client secret is recognised by.
    #[command(
        after_help = "Example:\n  tokenward secret note -w acme -e production erp 1 \"in the vault of plant 2\""
    )]
    Note {
        #[command(flatten)]
        client: ClientName,
        /// The secret's number, as `tokenward client show` tells it.
        n: u32,
        /// The new note; empty for none.
        note: String,
    },
    /// Delete one of a client's secrets.
    #[command(after_help = "Example:\n  tokenward secret delete -w acme -e production erp 1")]
    Delete {
        #[command(flatten)]
        client: ClientName,
        /// The secret's number, as `tokenward client show` tells it.
        n: u32,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Commands on access tokens.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum TokenVerb {
    /// Make an access token; it goes to standard output, once. The live one is revoked.
    #[command(
        after_help = "Example:\n  tokenward token generate -w acme -e sandbox erp --token-file erp.token"
    )]
    Generate {
        #[command(flatten)]
        client: ClientName,
        /// Write the access token into this new file, readable by you alone, instead of to standard output.
        #[arg(long, value_name = "PATH")]
        token_file: Option<PathBuf>,
        #[command(flatten)]
        sure: Sure,
    },
    /// Revoke the live access token without making another.
    Revoke(SureClient),
}

/// Carries out one command on a secret.
pub(crate) async fn run_secret(verb: SecretVerb, session: &Session) -> Result<(), CliError> {
    let Session { api, out } = session;
    match verb {
        SecretVerb::Rotate {
            client,
            secret_file,
            note,
        } => {
            let once = Once::new(secret_file.as_deref())?;
            let id = session.client_id(&client).await?;
            let path = format!("/clients/{id}/secrets");
            let body = note.map(|note| SecretCreate { note: Some(note) });
            let mut made: Answer<SecretCreated> = api.send(Method::POST, &path, body).await?;
            once.deliver(&mut made.json, "client_secret", "client secret", out)
        }
        SecretVerb::Note { client, n, note } => {
            let id = session.client_id(&client).await?;
            let path = format!("/clients/{id}/secrets/{n}");
            let body = SecretChange { note };
            let answer = api.send(Method::PATCH, &path, body).await?;
            out.object(&answer, views::client)
        }
        SecretVerb::Delete { client, n, sure } => {
            let client = session.client(&client).await?;
            has_secret(&client, n)?;
            session
                .confirm_act(sure, Act::DeleteSecret(n), &client)
                .await?;
            let path = format!("/clients/{}/secrets/{n}", client.id);
            let answer = api.send(Method::DELETE, &path, ()).await?;
            out.note("Deleted.");
            out.object(&answer, views::client)
        }
    }
}

/// Carries out one command on a token.
pub(crate) async fn run_token(verb: TokenVerb, session: &Session) -> Result<(), CliError> {
    let Session { api, out } = session;
    match verb {
        TokenVerb::Generate {
            client,
            token_file,
            sure,
        } => {
            let once = Once::new(token_file.as_deref())?;
            let client = session.client(&client).await?;
            if has_live_token(&client) {
                session.confirm_act(sure, Act::Generate, &client).await?;
            }
            let path = format!("/clients/{}/token", client.id);
            let mut made: Answer<TokenByAdmin> = api.send(Method::POST, &path, ()).await?;
            out.note(&format!(
                "generation {}, valid till {}",
                made.generation,
                made.valid_till.as_deref().unwrap_or("further notice")
            ));
            once.deliver(&mut made.json, "access_token", "access token", out)
        }
        TokenVerb::Revoke(SureClient { client, sure }) => {
            let client = session.client(&client).await?;
            // That of a disabled client is refused now, and would be accepted again when it is enabled.
            if !has_live_token(&client) && client.token.state != TokenState::Disabled {
                out.note("No access token is live, so there is nothing to revoke.");
                return out.program(&client);
            }
            session.confirm_act(sure, Act::Revoke, &client).await?;
            let path = format!("/clients/{}/token", client.id);
            let answer = api.send(Method::DELETE, &path, ()).await?;
            out.note("Revoked.");
            out.object(&answer, views::client)
        }
    }
}

fn has_secret(client: &Client, n: u32) -> Result<(), CliError> {
    if client.secrets.iter().any(|secret| secret.n == n) {
        return Ok(());
    }
    Err(CliError::Failed(format!(
        "the client has no secret {n}; `tokenward client show` lists those it has"
    )))
}
