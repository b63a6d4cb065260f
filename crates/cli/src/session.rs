//! One command's dealings with one server: the API, the output, and the names people give to
//! workspaces and clients.

use super::api::{Answer, Api};
use super::confirm::{Agreement, Sure};
use super::error::CliError;
use super::impact::{Act, on_client};
use super::output::Output;
use super::pages::{Found, Pages};
use super::place::Connection;
use super::table::{Table, printable};
use super::{blocking, exit};
use reqwest::Method;
use serde::de::DeserializeOwned;
use std::process::ExitCode;
use tokenward_api::{Client, RoleName, Status, Workspace};
use tokenward_core::Environment;
use uuid::Uuid;

/// What every admin command takes.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Common {
    /// Print the API's own JSON, for programs.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) at: Connection,
}

/// A group of commands about one kind of thing.
#[derive(clap::Args, Debug)]
pub(crate) struct Group<V: clap::Subcommand> {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) verb: V,
}

impl<V: clap::Subcommand> Group<V> {
    /// Carries one of its commands out.
    pub(crate) fn run(
        self,
        act: impl AsyncFnOnce(V, &Session) -> Result<(), CliError>,
    ) -> ExitCode {
        self.common
            .run(async |session| act(self.verb, session).await)
    }
}

impl Common {
    /// Carries a command out in a session.
    pub(crate) fn run(&self, act: impl AsyncFnOnce(&Session) -> Result<(), CliError>) -> ExitCode {
        let done = blocking(async { act(&Session::new(self)?).await });
        exit(done, self.json)
    }
}

/// A server to speak to and a way to show what it says.
pub(crate) struct Session {
    /// The server.
    pub(crate) api: Api,
    /// The output.
    pub(crate) out: Output,
}

impl Session {
    /// Finds out which server with which key; sends nothing yet.
    pub(crate) fn new(common: &Common) -> Result<Session, CliError> {
        Ok(Session {
            api: Api::new(&common.at)?,
            out: Output::new(common.json),
        })
    }

    /// Shows the list at `path`, up to `limit` items of it.
    pub(crate) async fn list<T: DeserializeOwned + Clone>(
        &self,
        path: &str,
        limit: Option<u64>,
        view: impl Fn(&[T]) -> Table,
    ) -> Result<(), CliError> {
        let pages = Pages::new(&self.api, path, Vec::new(), limit);
        self.out.lists(&mut [pages], None, |_| true, view).await
    }

    /// The only item of the list at `path` that `wanted` accepts; `what` and `name` are for the person.
    pub(crate) async fn find<T: DeserializeOwned>(
        &self,
        path: &str,
        (what, name): (&str, &str),
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Answer<T>, CliError> {
        let mut pages = Pages::new(&self.api, path, Vec::new(), None);
        only(pages.find(wanted).await?, what, name)
    }

    /// Deletes what is at `path`, and says so.
    pub(crate) async fn delete(&self, path: &str, done: &str) -> Result<(), CliError> {
        self.api.send::<()>(Method::DELETE, path, ()).await?;
        self.out.note(done);
        Ok(())
    }

    /// A workspace's id, from its id or its exact name.
    pub(crate) async fn workspace_id(&self, name: &str) -> Result<Uuid, CliError> {
        if let Ok(id) = Uuid::try_parse(name) {
            return Ok(id);
        }
        let wanted = |one: &Workspace| *one.name == *name;
        let found = self.find("/workspaces", ("workspace", name), wanted);
        Ok(found.await?.id)
    }

    /// A client as it is now.
    pub(crate) async fn client(&self, named: &ClientName) -> Result<Answer<Client>, CliError> {
        match named.parse()? {
            Named::Id(id) => self.api.get(&format!("/clients/{id}")).await,
            Named::Label {
                workspace,
                environment,
            } => {
                let workspace = self.workspace_id(workspace).await?;
                let path = format!("/workspaces/{workspace}/clients");
                let query = vec![
                    ("environment", environment.as_str().to_owned()),
                    ("label", named.client.clone()),
                ];
                let mut pages = Pages::new(&self.api, &path, query, None);
                // Deleted clients are not among them: their labels are free for others.
                let found = pages
                    .find(|client: &Client| {
                        *client.label == *named.client && client.environment == environment.into()
                    })
                    .await?;
                only(found, &format!("{environment} client"), &named.client)
            }
        }
    }

    /// A client's id.
    pub(crate) async fn client_id(&self, named: &ClientName) -> Result<Uuid, CliError> {
        match named.parse()? {
            Named::Id(id) => Ok(id),
            Named::Label { .. } => Ok(self.client(named).await?.id),
        }
    }
}

/// How a client is named on the command line.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct ClientName {
    /// The client's id; or its label, together with --workspace and --environment.
    #[arg(value_name = "CLIENT")]
    pub(crate) client: String,
    /// The workspace of a client named by its label: id or exact name.
    #[arg(long, short = 'w', value_name = "WORKSPACE")]
    pub(crate) workspace: Option<String>,
    /// The environment of a client named by its label: sandbox or production.
    #[arg(long, short = 'e', value_name = "ENVIRONMENT", value_parser = environment)]
    pub(crate) environment: Option<Environment>,
}

/// A client, and whether something that ends is meant.
#[derive(clap::Args, Debug)]
pub(crate) struct SureClient {
    #[command(flatten)]
    pub(crate) client: ClientName,
    #[command(flatten)]
    pub(crate) sure: Sure,
}

enum Named<'a> {
    Id(Uuid),
    Label {
        workspace: &'a str,
        environment: Environment,
    },
}

impl ClientName {
    fn parse(&self) -> Result<Named<'_>, CliError> {
        match (&self.workspace, self.environment) {
            (Some(workspace), Some(environment)) => Ok(Named::Label { workspace, environment }),
            (workspace, environment) => Uuid::try_parse(&self.client).map(Named::Id).map_err(|_| {
                let missing = match (workspace, environment) {
                    (None, None) => "--workspace and --environment",
                    (None, _) => "--workspace",
                    _ => "--environment",
                };
                CliError::Usage(format!(
                    "{:?} isn't a client id. A label is unique in its workspace and environment only: add {missing}, or give \
                     the id that `tokenward client list` shows",
                    self.client
                ))
            }),
        }
    }
}

impl Session {
    /// Refuses an act before a person is asked to confirm it when the key in use may only read. The server decides about
    /// everything else.
    pub(crate) async fn must_write(&self) -> Result<(), CliError> {
        let status: Answer<Status> = self.api.get("/status").await?;
        if status.role == RoleName::Auditor {
            return Err(CliError::Failed(
                "not allowed: this admin key has the role auditor, which may only read. Nothing was done".to_owned(),
            ));
        }
        Ok(())
    }

    /// Asks for the word `yes`, after seeing that the key in use may act at all.
    pub(crate) async fn confirm(&self, sure: Sure, impact: &str) -> Result<(), CliError> {
        self.ask(sure, impact, Agreement::Yes).await
    }

    /// The same for an act on a client, with what it breaks.
    pub(crate) async fn confirm_act(
        &self,
        sure: Sure,
        act: Act,
        client: &Client,
    ) -> Result<(), CliError> {
        let impact = on_client(act, client, self.api.server_time());
        self.confirm(sure, &impact).await
    }

    /// Asks for what `agreement` says.
    pub(crate) async fn ask(
        &self,
        sure: Sure,
        impact: &str,
        agreement: Agreement<'_>,
    ) -> Result<(), CliError> {
        if !sure.yes {
            self.must_write().await?;
        }
        sure.ask(impact, agreement)
    }
}

/// Reads an environment for clap.
pub(crate) fn environment(word: &str) -> Result<Environment, String> {
    Environment::parse(word).ok_or_else(|| "it is sandbox or production".to_owned())
}

/// Reads a product slug for clap; a slug goes into a path.
pub(crate) fn slug(text: &str) -> Result<String, String> {
    tokenward_core::label::Slug::parse(text)
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

/// The one thing found.
fn only<T>(found: Found<T>, what: &str, name: &str) -> Result<Answer<T>, CliError> {
    let name = printable(name);
    match found {
        Found::One(value) => Ok(value),
        Found::None => Err(CliError::Failed(format!(
            "no {what} is called {name:?}. `list` shows the existing ones"
        ))),
        Found::Several(ids) => Err(CliError::Failed(format!(
            "several are called {name:?}. Name the {what} by its id, such as {}",
            ids.join(" or ")
        ))),
    }
}
