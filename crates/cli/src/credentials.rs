//! `tokenward secret` and `tokenward token`.

use super::confirm::{Agreement, Sure};
use super::error::CliError;
use super::impact::{Act, has_live_token, on_client};
use super::once::Once;
use super::session::{ClientName, Session, id_of};
use super::views;
use reqwest::Method;
use serde_json::Value;
use std::path::PathBuf;

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
    Revoke {
        #[command(flatten)]
        client: ClientName,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Carries out one command on a secret.
pub(crate) async fn run_secret(verb: SecretVerb, session: &Session) -> Result<(), CliError> {
    let Session { api, out } = session;
    match verb {
        SecretVerb::Rotate {
            client,
            secret_file,
        } => {
            let once = Once::new(secret_file.as_deref())?;
            let id = session.client_id(&client).await?;
            let mut made = api
                .send(Method::POST, &format!("/clients/{id}/secrets"), None)
                .await?;
            once.deliver(&mut made, "client_secret", "client secret", out)
        }
        SecretVerb::Delete { client, n, sure } => {
            let client = session.client(&client).await?;
            has_secret(&client, n)?;
            session
                .confirm(
                    sure,
                    &on_client(Act::DeleteSecret(n), &client, api.server_time()),
                    Agreement::Yes,
                )
                .await?;
            let path = format!("/clients/{}/secrets/{n}", id_of(client)?);
            let answer = api.send(Method::DELETE, &path, None).await?;
            out.note("Deleted.");
            done(session, &answer)
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
                session
                    .confirm(
                        sure,
                        &on_client(Act::Generate, &client, api.server_time()),
                        Agreement::Yes,
                    )
                    .await?;
            }
            let path = format!("/clients/{}/token", id_of(client)?);
            let mut made = api.send(Method::POST, &path, None).await?;
            out.note(&format!(
                "generation {}, valid till {}",
                views::text(&made["generation"]),
                till(&made)
            ));
            once.deliver(&mut made, "access_token", "access token", out)
        }
        TokenVerb::Revoke { client, sure } => {
            let client = session.client(&client).await?;
            // That of a disabled client is refused now, and would be accepted again when it is enabled.
            if !has_live_token(&client) && client["token"]["state"] != "disabled" {
                out.note("No access token is live, so there is nothing to revoke.");
                return if out.json { out.json(&client) } else { Ok(()) };
            }
            session
                .confirm(
                    sure,
                    &on_client(Act::Revoke, &client, api.server_time()),
                    Agreement::Yes,
                )
                .await?;
            let path = format!("/clients/{}/token", id_of(client)?);
            let answer = api.send(Method::DELETE, &path, None).await?;
            out.note("Revoked.");
            done(session, &answer)
        }
    }
}

fn has_secret(client: &Value, n: u32) -> Result<(), CliError> {
    let mut secrets = client["secrets"].as_array().into_iter().flatten();
    if secrets.any(|secret| secret["n"] == n) {
        return Ok(());
    }
    Err(CliError::Failed(format!(
        "the client has no secret {n}; `tokenward client show` lists those it has"
    )))
}

fn till(token: &Value) -> String {
    token["valid_till"]
        .as_str()
        .map_or("further notice".to_owned(), str::to_owned)
}

/// Whatever was answered; a client as a client.
fn done(session: &Session, answer: &Value) -> Result<(), CliError> {
    match answer {
        Value::Null => Ok(()),
        answer if answer["label"].is_string() => session.out.object(answer, views::client),
        answer => session.out.object(answer, views::members),
    }
}
