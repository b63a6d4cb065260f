//! The part of the command line that calls a server: admin commands over its admin API, the canary through a gateway, and
//! `scan`, which finds credentials in files and needs no server. It holds no knowledge of its own about what is allowed.

mod admin_keys;
mod api;
mod audit;
mod audit_file;
mod canary;
mod clients;
mod confirm;
mod credentials;
mod error;
mod impact;
mod members;
mod nodes;
mod once;
mod output;
mod pages;
mod place;
mod products;
mod progress;
mod role;
mod scan;
mod session;
mod settings;
mod status;
mod table;
mod views;
mod webhooks;
mod workspaces;

pub use confirm::Sure;
pub use error::CliError;
use session::Group;
use std::io::Write as _;
use std::process::ExitCode;

/// Commands that call a server, and `scan`.
#[derive(Debug)]
pub struct Command(Verb);

#[derive(clap::Subcommand, Debug)]
enum Verb {
    #[command(flatten)]
    Admin(AdminCommand),
    /// Prove through the real gateway that a revoked token is refused at once.
    #[command(after_help = canary::HELP)]
    Canary(Box<canary::CanaryArgs>),
    /// Find our tokens, secrets and admin keys in files.
    Scan(scan::ScanArgs),
}

/// Commands that speak to the admin API of a running server.
#[derive(clap::Subcommand, Debug)]
enum AdminCommand {
    /// What runs at the other end: version, clients, state.
    Status(status::StatusArgs),
    /// Nodes of the database: list.
    Node(Group<nodes::Verb>),
    /// Workspaces: list, create, show, rename, disable, enable.
    Workspace(Group<workspaces::Verb>),
    /// Products: list, put, delete.
    Product(Group<products::Verb>),
    /// API clients: list, create, show, change, disable, enable, delete.
    Client(Group<clients::Verb>),
    /// Client secrets: rotate, delete.
    Secret(Group<credentials::SecretVerb>),
    /// Access tokens: generate, revoke.
    Token(Group<credentials::TokenVerb>),
    /// Admin keys: list, create, revoke.
    AdminKey(Group<admin_keys::Verb>),
    /// Members, who may sign in to the console: list, invite, change, remove, withdraw.
    Member(Group<members::Verb>),
    /// Webhooks of a workspace: list, create, set, rotate, test, disable, enable, delete.
    Webhook(Group<webhooks::Verb>),
    /// Notices sent by webhook and e-mail: list, addresses, set.
    Notice(Group<webhooks::NoticeVerb>),
    /// How often and from where an API client's tokens were used, by day.
    #[command(
        after_help = "Sources are the first 16 IP addresses of a day, and `others`. Figures appear within seconds.\n\n\
                            Example:\n  tokenward usage -w acme -e production erp --days 7"
    )]
    Usage(UsageArgs),
    /// The audit log: list, export, verify.
    Audit(Group<audit::Verb>),
}

/// What `tokenward usage` takes.
#[derive(clap::Args, Debug)]
struct UsageArgs {
    #[command(flatten)]
    common: session::Common,
    #[command(flatten)]
    client: session::ClientName,
    /// How many days, today included: 1 to 35.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=35))]
    days: u32,
}

impl Command {
    /// Carries the command out.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self.0 {
            Verb::Admin(command) => command.run(),
            Verb::Canary(args) => {
                let json = args.common.json;
                blocking(canary::run(*args)).unwrap_or_else(|error| fail(&error, json))
            }
            Verb::Scan(args) => scan::main(args),
        }
    }
}

impl clap::FromArgMatches for Command {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        Verb::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl clap::Subcommand for Command {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        Verb::augment_subcommands(command)
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Verb::augment_subcommands_for_update(command)
    }

    fn has_subcommand(name: &str) -> bool {
        Verb::has_subcommand(name)
    }
}

/// The exit code of a command that ended so, once its error is reported on standard error; as JSON if wanted.
#[must_use]
pub fn exit(outcome: Result<(), CliError>, json: bool) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, json),
    }
}

/// Reports an error.
fn fail(error: &CliError, json: bool) -> ExitCode {
    if let Some(text) = error.report(json) {
        // Ignore EPIPE.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
    error.exit_code()
}

/// Runs one command to its end on this thread.
fn blocking<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => Err(CliError::Failed(format!(
            "this machine refuses to start anything: {error}"
        ))),
    }
}

impl AdminCommand {
    fn run(self) -> ExitCode {
        match self {
            Self::Status(args) => args.common.run(status::run),
            Self::Node(group) => group.run(nodes::run),
            Self::Workspace(group) => group.run(workspaces::run),
            Self::Product(group) => group.run(products::run),
            Self::Client(group) => group.run(clients::run),
            Self::Secret(group) => group.run(credentials::run_secret),
            Self::Token(group) => group.run(credentials::run_token),
            Self::AdminKey(group) => group.run(admin_keys::run),
            Self::Member(group) => group.run(members::run),
            Self::Webhook(group) => group.run(webhooks::run),
            Self::Notice(group) => group.run(webhooks::run_notice),
            Self::Usage(args) => args
                .common
                .run(async |session| webhooks::usage(&args.client, args.days, session).await),
            Self::Audit(group) => {
                let json = group.common.json;
                exit(blocking(audit::run(group)), json)
            }
        }
    }
}
