//! `tokenward client`.

use super::api::{Answer, query};
use super::confirm::Agreement;
use super::error::CliError;
use super::impact::{Act, has_live_token, on_client};
use super::once::Once;
use super::pages::{Pages, Portion, parsed};
use super::session::{ClientName, Session, SureClient, environment};
use super::settings::{Lifted, Settings};
use super::views;
use reqwest::Method;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tokenward_api::{
    Client, ClientCreate, ClientCreated, ClientDelete, ClientPatch, ClientSettings,
    ConfirmationMails, Workspace,
};
use tokenward_core::Environment;
use tokenward_core::label::Slug;
use uuid::Uuid;

/// Commands on API clients.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Verb {
    /// List API clients, of one workspace or of all.
    #[command(
        after_help = "Example:\n  tokenward client list --workspace acme --environment production"
    )]
    List(ListArgs),
    /// Create an API client; its first client secret goes to standard output, once.
    #[command(after_help = "Examples:\n  \
        tokenward client create --workspace acme --environment sandbox erp\n  \
        tokenward client create -w acme -e production --product e-invoice --token-lifetime 12h \\\n      \
        --secret-file erp.secret \"erp south\"")]
    Create(CreateArgs),
    /// Show an API client: settings, secrets, live token, last use.
    #[command(after_help = "Examples:\n  \
        tokenward client show 0198c0de-0000-7000-8000-00000000000a\n  \
        tokenward client show --workspace acme --environment production \"erp south\"")]
    Show(ClientName),
    /// Change settings. A restriction binds the live token at once.
    #[command(
        after_help = "Example:\n  tokenward client change -w acme -e production erp --product gst --any-token-network"
    )]
    Change(ChangeArgs),
    /// Disable an API client. Its secrets and token are refused until it is enabled again.
    Disable(SureClient),
    /// Enable a disabled API client. Its token is accepted again if it has time left.
    Enable(ClientName),
    /// Add tags to an API client, for finding it in lists. No check reads them.
    #[command(
        after_help = "Example:\n  tokenward client tag -w acme -e production erp south billing"
    )]
    Tag(Tags),
    /// Remove tags from an API client.
    #[command(after_help = "Example:\n  tokenward client untag -w acme -e production erp south")]
    Untag(Tags),
    /// Send the confirmation mail again to notification addresses that are pending.
    #[command(
        after_help = "An address gets notices once its owner has confirmed it.\n\n\
        Example:\n  tokenward client resend-confirmation -w acme -e production erp --email ops@example.com"
    )]
    ResendConfirmation {
        #[command(flatten)]
        client: ClientName,
        /// To this address alone.
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
    },
    /// Permanently delete an API client. Its secrets and token stop working at once.
    Delete(SureClient),
}

/// A client and tags.
#[derive(clap::Args, Debug)]
pub(crate) struct Tags {
    #[command(flatten)]
    client: ClientName,
    /// The tags: lowercase letters and digits, in groups joined by single hyphens.
    #[arg(required = true, value_name = "TAG", value_parser = tag_name)]
    tags: Vec<Slug>,
}

/// Which clients to list.
#[derive(clap::Args, Debug)]
pub(crate) struct ListArgs {
    /// Of this workspace alone: id or exact name.
    #[arg(long, short = 'w')]
    workspace: Option<String>,
    /// Of this environment alone.
    #[arg(long, short = 'e', value_parser = environment)]
    environment: Option<Environment>,
    /// In this state alone: enabled, disabled or deleted [default: all but deleted ones].
    #[arg(long, value_parser = ["enabled", "disabled", "deleted"])]
    state: Option<String>,
    /// With this tag alone.
    #[arg(long)]
    tag: Option<String>,
    #[command(flatten)]
    portion: Portion,
}

/// A new client.
#[derive(clap::Args, Debug)]
pub(crate) struct CreateArgs {
    /// Its label, unique in its workspace and environment.
    label: String,
    /// Its workspace: id or exact name.
    #[arg(long, short = 'w')]
    workspace: String,
    /// Its environment: sandbox or production.
    #[arg(long, short = 'e', value_parser = environment)]
    environment: Environment,
    /// Write the client secret into this new file, readable by you alone, instead of to standard output.
    #[arg(long, value_name = "PATH")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// A change of settings.
#[derive(clap::Args, Debug)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    client: ClientName,
    /// Give it another label.
    #[arg(long, value_name = "LABEL")]
    new_label: Option<String>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    lifted: Lifted,
}

/// Carries out one command.
pub(crate) async fn run(verb: Verb, session: &Session) -> Result<(), CliError> {
    let Session { api, out } = session;
    match verb {
        Verb::List(args) => list(args, session).await,
        Verb::Create(args) => create(args, session).await,
        Verb::Show(client) => out.object(&session.client(&client).await?, views::client),
        Verb::Change(args) => change(args, session).await,
        Verb::Disable(SureClient { client, sure }) => {
            let client = session.client(&client).await?;
            session.confirm_act(sure, Act::Disable, &client).await?;
            show(session, &switch(session, client.id, "disable").await?)
        }
        Verb::Enable(client) => {
            let id = session.client_id(&client).await?;
            let enabled = switch(session, id, "enable").await?;
            if has_live_token(&enabled) {
                out.note(&format!(
                    "Enabled. Its access token, generation {}, is accepted again{}.",
                    enabled.token.generation,
                    views::validity(&enabled.token)
                ));
            }
            show(session, &enabled)
        }
        Verb::Tag(tags) => tag(session, Method::PUT, tags).await,
        Verb::Untag(tags) => tag(session, Method::DELETE, tags).await,
        Verb::ResendConfirmation { client, email } => {
            let id = session.client_id(&client).await?;
            let path = format!("/clients/{id}/confirmation-mails");
            let body = email.map(|email| ConfirmationMails { email: Some(email) });
            let answer = api.send(Method::POST, &path, body).await?;
            out.note("Confirmation mails are on their way to the pending addresses.");
            show(session, &answer)
        }
        Verb::Delete(SureClient { client, sure }) => {
            let client = session.client(&client).await?;
            let label = client.label.to_string();
            let warning = on_client(Act::Delete, &client, api.server_time());
            session
                .ask(sure, &warning, Agreement::Typed(&label))
                .await?;
            let path = format!("/clients/{}", client.id);
            let answer = api
                .send(Method::DELETE, &path, ClientDelete { label })
                .await?;
            out.note("API client deleted. Its secrets and token no longer work.");
            show(session, &answer)
        }
    }
}

async fn list(args: ListArgs, session: &Session) -> Result<(), CliError> {
    let limit = args.portion.limit;
    let environment = args.environment.map(|one| one.as_str().to_owned());
    let deleted = args.state.as_deref() == Some("deleted");
    let query = query([
        ("environment", environment),
        ("tag", args.tag),
        ("deleted", deleted.then(|| "true".to_owned())),
    ]);
    let mut lists = Vec::new();
    let workspaces = workspaces(args.workspace.as_deref(), session).await?;
    for id in workspaces.keys() {
        // With a filter the limit counts what is left over, so pages are read until it is reached.
        let path = format!("/workspaces/{id}/clients");
        lists.push(Pages::new(&session.api, &path, query.clone(), None));
    }
    let wanted = |client: &Client| {
        args.environment
            .is_none_or(|environment| client.environment == environment.into())
            && args
                .state
                .as_ref()
                .is_none_or(|state| client.state.as_str() == state)
    };
    session
        .out
        .lists(&mut lists, limit, wanted, |items| {
            views::clients(items, &workspaces)
        })
        .await
}

/// The workspaces to look into: their names by id.
async fn workspaces(
    named: Option<&str>,
    session: &Session,
) -> Result<BTreeMap<Uuid, String>, CliError> {
    let mut names = BTreeMap::new();
    if let Some(name) = named {
        names.insert(session.workspace_id(name).await?, name.to_owned());
        return Ok(names);
    }
    let mut pages = Pages::new(&session.api, "/workspaces", Vec::new(), None);
    while let Some(items) = pages.next().await? {
        for item in &items {
            let item = parsed::<Workspace>(item)?;
            names.insert(item.id, item.name.to_string());
        }
    }
    Ok(names)
}

async fn create(args: CreateArgs, session: &Session) -> Result<(), CliError> {
    let once = Once::new(args.secret_file.as_deref())?;
    let workspace = session.workspace_id(&args.workspace).await?;
    let body = ClientSettings {
        label: Some(args.label),
        environment: Some(args.environment.as_str().to_owned()),
        ..args.settings.body()
    };
    let path = format!("/workspaces/{workspace}/clients");
    let body = ClientCreate(body);
    let mut made: Answer<ClientCreated> = session.api.send(Method::POST, &path, body).await?;
    session.out.note(&format!("client {}", made.client.id));
    let answer = &mut made.json;
    once.deliver(answer, "client_secret", "client secret", &session.out)
}

async fn change(args: ChangeArgs, session: &Session) -> Result<(), CliError> {
    let mut body = args.settings.body();
    args.lifted.add_to(&mut body);
    body.label = args.new_label;
    if body == ClientSettings::default() {
        return Err(CliError::Usage(
            "nothing to change was given; see --help for the settings".to_owned(),
        ));
    }
    let id = session.client_id(&args.client).await?;
    let path = format!("/clients/{id}");
    let changed = session
        .api
        .send(Method::PATCH, &path, ClientPatch(body))
        .await?;
    show(session, &changed)
}

async fn switch(session: &Session, id: Uuid, to: &str) -> Result<Answer<Client>, CliError> {
    let path = format!("/clients/{id}/{to}");
    session.api.send(Method::POST, &path, ()).await
}

fn tag_name(text: &str) -> Result<Slug, String> {
    let wrong = "use lowercase letters and digits, in groups joined by single hyphens";
    Slug::parse(text).map_err(|_| wrong.to_owned())
}

/// Adds tags with PUT, or removes them with DELETE.
async fn tag(session: &Session, method: Method, tags: Tags) -> Result<(), CliError> {
    let id = session.client_id(&tags.client).await?;
    let mut changed = None;
    for tag in &tags.tags {
        let path = format!("/clients/{id}/tags/{tag}");
        changed = Some(session.api.send(method.clone(), &path, ()).await?);
    }
    // clap demands at least one.
    changed.map_or(Ok(()), |answer| show(session, &answer))
}

fn show(session: &Session, answer: &Answer<Client>) -> Result<(), CliError> {
    session.out.object(answer, views::client)
}
