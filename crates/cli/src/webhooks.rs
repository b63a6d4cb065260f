//! `tokenward webhook` and `tokenward notice`.

use super::api::Answer;
use super::confirm::Sure;
use super::error::CliError;
use super::once::Once;
use super::pages::Portion;
use super::session::Session;
use super::table::printable;
use super::views;
use reqwest::Method;
use std::path::PathBuf;
use tokenward_api::{
    AddressChange, NoticeMade, PreferenceChange, Usage, Webhook, WebhookChange, WebhookCreate,
    WebhookWithSecret, WorkspaceAddress,
};
use uuid::Uuid;

/// Commands on webhooks.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Verb {
    /// List the webhooks of a workspace.
    #[command(after_help = "Example:\n  tokenward webhook list --workspace acme")]
    List(InWorkspace),
    /// Create a webhook; its signing secret goes to standard output, once.
    #[command(
        after_help = "Example:\n  tokenward webhook create -w acme https://hooks.example.com/tokenward --secret-file hook.secret"
    )]
    Create {
        #[command(flatten)]
        within: InWorkspace,
        /// The address that notices are sent to.
        #[arg(value_name = "URL")]
        to: String,
        #[command(flatten)]
        secret: SecretTo,
        #[command(flatten)]
        events: Events,
        /// What to recognise the webhook by.
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Choose the events of which a webhook is notified, or change its note.
    #[command(
        after_help = "Events that are not given stay as they are; `tokenward webhook list` shows what is off.\n\n\
                            Example:\n  tokenward webhook set 0198c0de-0000-7000-8000-0000000000aa --event token.generated=off"
    )]
    Set {
        /// The webhook's id.
        webhook: Uuid,
        #[command(flatten)]
        events: Events,
        /// What to recognise the webhook by; empty for none.
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Make another signing secret; it goes to standard output, once. The former one signs for a day more.
    Rotate {
        /// The webhook's id.
        webhook: Uuid,
        #[command(flatten)]
        secret: SecretTo,
        #[command(flatten)]
        sure: Sure,
    },
    /// Send a test notice.
    Test(One),
    /// Send nothing more until it is enabled again. What happens meanwhile is not sent later.
    Disable(SureOne),
    /// Send notices again.
    Enable(One),
    /// Delete a webhook with its signing secret.
    Delete(SureOne),
}

/// A webhook.
#[derive(clap::Args, Debug)]
pub(crate) struct One {
    /// The webhook's id.
    webhook: Uuid,
}

/// A webhook, and whether something that ends is meant.
#[derive(clap::Args, Debug)]
pub(crate) struct SureOne {
    /// The webhook's id.
    webhook: Uuid,
    #[command(flatten)]
    sure: Sure,
}

/// Commands on notices.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum NoticeVerb {
    /// List what was sent by webhook and e-mail, and what waits, the newest first.
    #[command(after_help = "Example:\n  tokenward notice list --workspace acme --limit 20")]
    List {
        #[command(flatten)]
        within: InWorkspace,
        #[command(flatten)]
        portion: Portion,
    },
    /// List the notification emails of a workspace with their preferences.
    #[command(after_help = "Example:\n  tokenward notice addresses --workspace acme")]
    Addresses(InWorkspace),
    /// Choose the events of which a notification email is notified, and when.
    #[command(
        after_help = "Holds for every API client of the workspace that names the address. Events that are not given stay as they are.\n\n\
                            Example:\n  tokenward notice set -w acme ops@example.com --event token.generated=immediate --event client.unused=off"
    )]
    Set {
        #[command(flatten)]
        within: InWorkspace,
        /// The address.
        email: String,
        #[command(flatten)]
        events: Events,
    },
}

/// Deliveries of single events.
#[derive(clap::Args, Debug)]
pub(crate) struct Events {
    /// An event, such as token.generated or quota.reached, and its delivery: immediate, daily (emails only) or off.
    #[arg(long = "event", value_name = "EVENT=DELIVERY", value_parser = preference)]
    events: Vec<PreferenceChange>,
}

impl Events {
    /// What a change consists of.
    ///
    /// # Errors
    /// [`CliError::Usage`] when it changes nothing.
    fn changes(self) -> Result<Vec<PreferenceChange>, CliError> {
        match self.events.is_empty() {
            true => Err(CliError::Usage(
                "nothing to change: give --event, such as --event token.generated=off".into(),
            )),
            false => Ok(self.events),
        }
    }
}

fn preference(text: &str) -> Result<PreferenceChange, String> {
    let (event, delivery) = text
        .split_once('=')
        .ok_or("give an event and a delivery, such as token.generated=off")?;
    Ok(PreferenceChange {
        event: event.to_owned(),
        delivery: delivery.to_owned(),
    })
}

/// Of which workspace.
#[derive(clap::Args, Debug)]
pub(crate) struct InWorkspace {
    /// The workspace: id or exact name.
    #[arg(long, short = 'w')]
    workspace: String,
}

/// Where a signing secret goes.
#[derive(clap::Args, Debug)]
pub(crate) struct SecretTo {
    /// Write the signing secret into this new file, readable by you alone, instead of to standard output.
    #[arg(long, value_name = "PATH")]
    secret_file: Option<PathBuf>,
}

/// Carries out one command on a webhook.
pub(crate) async fn run(verb: Verb, session: &Session) -> Result<(), CliError> {
    let Session { api, out } = session;
    match verb {
        Verb::List(within) => {
            let path = format!("{}/webhooks", path(session, &within).await?);
            session.list(&path, None, views::webhooks).await
        }
        Verb::Create {
            within,
            to,
            secret,
            events,
            note,
        } => {
            let once = Once::new(secret.secret_file.as_deref())?;
            let path = format!("{}/webhooks", path(session, &within).await?);
            let body = WebhookCreate {
                url: to,
                preferences: Some(events.events).filter(|events| !events.is_empty()),
                note,
            };
            let mut made: Answer<WebhookWithSecret> = api.send(Method::POST, &path, body).await?;
            out.note(&format!("webhook {}", made.webhook.id));
            once.deliver(&mut made.json, "secret", "signing secret", out)
        }
        Verb::Set {
            webhook,
            events,
            note,
        } => {
            let preferences = match &note {
                Some(_) => Some(events.events).filter(|events| !events.is_empty()),
                None => Some(events.changes()?),
            };
            let change = WebhookChange {
                preferences,
                note,
                ..WebhookChange::default()
            };
            let path = format!("/webhooks/{webhook}");
            let changed: Answer<Webhook> = api.send(Method::PATCH, &path, change).await?;
            out.note("Saved.");
            out.object(&changed, |one| views::webhooks(std::slice::from_ref(one)))
        }
        Verb::Rotate {
            webhook,
            secret,
            sure,
        } => {
            let impact = format!(
                "This makes a new signing secret of the webhook {webhook}. The current one signs for one more day; one from an \
                 earlier rotation stops at once."
            );
            session.confirm(sure, &impact).await?;
            let once = Once::new(secret.secret_file.as_deref())?;
            let path = format!("/webhooks/{webhook}/secret");
            let mut made: Answer<WebhookWithSecret> = api.send(Method::POST, &path, ()).await?;
            once.deliver(&mut made.json, "secret", "signing secret", out)
        }
        Verb::Test(One { webhook }) => {
            let path = format!("/webhooks/{webhook}/test");
            let sent: Answer<NoticeMade> = api.send(Method::POST, &path, ()).await?;
            out.note("Test notice sent. `tokenward notice list` shows whether it was delivered.");
            out.program(&sent)
        }
        Verb::Disable(SureOne { webhook, sure }) => {
            let impact = format!(
                "This disables the webhook {webhook}. What happens while it is disabled is not sent, also not later."
            );
            session.confirm(sure, &impact).await?;
            switch(session, webhook, true).await
        }
        Verb::Enable(One { webhook }) => switch(session, webhook, false).await,
        Verb::Delete(SureOne { webhook, sure }) => {
            let impact = format!(
                "This deletes the webhook {webhook} and its signing secret. Notices that wait for it are not sent."
            );
            session.confirm(sure, &impact).await?;
            let path = format!("/webhooks/{webhook}");
            session.delete(&path, "Deleted.").await
        }
    }
}

/// Carries out one command on notices.
pub(crate) async fn run_notice(verb: NoticeVerb, session: &Session) -> Result<(), CliError> {
    let Session { api, out } = session;
    match verb {
        NoticeVerb::List { within, portion } => {
            let path = format!("{}/notices", path(session, &within).await?);
            session.list(&path, portion.limit, views::notices).await
        }
        NoticeVerb::Addresses(within) => {
            let path = format!("{}/notification-addresses", path(session, &within).await?);
            session.list(&path, None, views::addresses).await
        }
        NoticeVerb::Set {
            within,
            email,
            events,
        } => {
            let preferences = events.changes()?;
            let path = format!("{}/notification-addresses", path(session, &within).await?);
            let change = AddressChange { email, preferences };
            let set: Answer<WorkspaceAddress> = api.send(Method::PATCH, &path, change).await?;
            out.note("Saved.");
            out.object(&set, |one| views::addresses(std::slice::from_ref(one)))
        }
    }
}

async fn path(session: &Session, within: &InWorkspace) -> Result<String, CliError> {
    let id = session.workspace_id(&within.workspace).await?;
    Ok(format!("/workspaces/{id}"))
}

async fn switch(session: &Session, webhook: Uuid, disabled: bool) -> Result<(), CliError> {
    let path = format!("/webhooks/{webhook}");
    let change = WebhookChange {
        disabled: Some(disabled),
        ..WebhookChange::default()
    };
    let changed = session.api.send(Method::PATCH, &path, change).await;
    let changed: Answer<Webhook> = changed?;
    let out = &session.out;
    out.note(&format!(
        "{} {}.",
        if disabled { "Disabled:" } else { "Enabled:" },
        printable(&changed.url)
    ));
    out.program(&changed)
}

/// `tokenward usage`.
pub(crate) async fn usage(
    client: &super::session::ClientName,
    days: u32,
    session: &Session,
) -> Result<(), CliError> {
    let id = session.client_id(client).await?;
    let query = vec![("days", days.to_string())];
    let figures: Answer<Usage> = session
        .api
        .read(&format!("/clients/{id}/usage"), &query)
        .await?;
    let out = &session.out;
    if out.json {
        return out.json(&figures.json);
    }
    for (title, table) in views::usage(&figures) {
        out.line(&format!("{title} from {} to {}", figures.from, figures.to))?;
        out.line(&table.draw(out.style))?;
    }
    Ok(())
}
