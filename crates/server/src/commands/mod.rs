//! The command line. Server commands run on the server's own machine. Admin commands speak to a running
//! server over its admin API and hold no knowledge of their own about what is allowed; `scan` looks
//! for credentials in files. No key, secret or token is ever a command-line argument.

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
mod once;
mod output;
mod pages;
mod place;
mod products;
mod progress;
mod role;
mod scan;
mod server_commands;
mod session;
mod settings;
mod status;
mod table;
mod views;
mod webhooks;
mod workspaces;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use error::CliError;
use session::{Group, Session};
use std::io::Write as _;
use std::process::ExitCode;

/// Issues, checks and revokes access tokens.
#[derive(Parser, Debug)]
#[command(
    name = "tokenward",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done; 1 refused or failed; 2 the command line was wrong. `canary`, `scan`: more.\n\
                  Every command: tokenward COMMAND --help"
)]
struct Cli {
    /// Print JSON, for programs, where a command prints something.
    // The commands' own flag of this name takes its value from here.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    #[command(flatten)]
    Server(server_commands::ServerCommand),
    #[command(flatten)]
    Admin(AdminCommand),
    /// Prove through the real gateway that a revoked token is refused at once.
    #[command(after_help = canary::HELP)]
    Canary(Box<canary::CanaryArgs>),
    /// Find our tokens, secrets and admin keys in files.
    Scan(scan::ScanArgs),
    /// Print a script that completes commands and flags in a shell.
    #[command(
        after_help = "Example, for bash:\n  tokenward completions bash > /etc/bash_completion.d/tokenward"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write a manual page for each command into a folder.
    #[command(after_help = "Example:\n  tokenward man /usr/local/share/man/man1")]
    Man {
        /// The folder; it must exist.
        folder: std::path::PathBuf,
    },
}

/// Commands that speak to the admin API of a running server.
#[derive(clap::Subcommand, Debug)]
enum AdminCommand {
    /// What runs at the other end: version, clients, state.
    Status(status::StatusArgs),
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
    /// Webhooks of a workspace: list, create, rotate, test, disable, enable, delete.
    Webhook(Group<webhooks::Verb>),
    /// Notices sent by webhook and e-mail: list.
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

/// Reads the command line and carries it out.
#[must_use]
pub fn main() -> ExitCode {
    let matches = command_line().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match cli.command {
        Command::Server(command) => command.run(),
        Command::Admin(command) => admin(command),
        Command::Canary(args) => {
            let json = args.common.json;
            blocking(canary::run(*args)).unwrap_or_else(|error| fail(&error, json))
        }
        Command::Scan(args) => scan::main(args),
        Command::Completions { shell } => ended(completions(shell), cli.json),
        Command::Man { folder } => ended(man(&folder), cli.json),
    }
}

/// Every command and flag; a flag whose environment variable is empty is not given.
fn command_line() -> clap::Command {
    crate::config::without_empty_variables(Cli::command())
}

/// Carries out an admin command.
fn admin(command: AdminCommand) -> ExitCode {
    let json = command.json();
    ended(blocking(command.run()), json)
}

fn ended(outcome: Result<(), CliError>, json: bool) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, json),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<(), CliError> {
    // Into memory first: the generator panics when it can't write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tokenward", &mut script);
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&script)?;
    Ok(stdout.flush()?)
}

fn man(folder: &std::path::Path) -> Result<(), CliError> {
    let failed = |error| CliError::Failed(format!("{}: {error}", folder.display()));
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)
}

/// Tells what went wrong.
fn fail(error: &CliError, json: bool) -> ExitCode {
    if let Some(text) = error.report(json) {
        // Nothing can be done about a person who does not listen.
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
    fn json(&self) -> bool {
        match self {
            Self::Status(args) => args.common.json,
            Self::Workspace(group) => group.common.json,
            Self::Product(group) => group.common.json,
            Self::Client(group) => group.common.json,
            Self::Secret(group) => group.common.json,
            Self::Token(group) => group.common.json,
            Self::AdminKey(group) => group.common.json,
            Self::Member(group) => group.common.json,
            Self::Audit(group) => group.common.json,
            Self::Webhook(group) => group.common.json,
            Self::Notice(group) => group.common.json,
            Self::Usage(args) => args.common.json,
        }
    }

    async fn run(self) -> Result<(), CliError> {
        match self {
            Self::Status(args) => status::run(&Session::new(&args.common)?).await,
            Self::Workspace(group) => {
                workspaces::run(group.verb, &Session::new(&group.common)?).await
            }
            Self::Product(group) => products::run(group.verb, &Session::new(&group.common)?).await,
            Self::Client(group) => clients::run(group.verb, &Session::new(&group.common)?).await,
            Self::Secret(group) => {
                credentials::run_secret(group.verb, &Session::new(&group.common)?).await
            }
            Self::Token(group) => {
                credentials::run_token(group.verb, &Session::new(&group.common)?).await
            }
            Self::AdminKey(group) => {
                admin_keys::run(group.verb, &Session::new(&group.common)?).await
            }
            Self::Member(group) => members::run(group.verb, &Session::new(&group.common)?).await,
            Self::Audit(group) => audit::run(group).await,
            Self::Webhook(group) => webhooks::run(group.verb, &Session::new(&group.common)?).await,
            Self::Notice(group) => {
                webhooks::run_notice(group.verb, &Session::new(&group.common)?).await
            }
            Self::Usage(args) => {
                webhooks::usage(&args.client, args.days, &Session::new(&args.common)?).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself() {
        fn walk(command: &clap::Command) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name} has no explanation");
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{name}: {} has no explanation",
                    argument.get_id()
                );
            }
            command
                .get_subcommands()
                .filter(|command| command.get_name() != "help")
                .for_each(walk);
        }
        let mut command = Cli::command();
        command.build();
        walk(&command);
    }

    /// Commands that end something, and so ask or want `--yes`. `tests/cli/confirmations.rs` runs each of them.
    const ASKING: &[&str] = &[
        "restore",
        "digest-key remove",
        "workspace disable",
        "product delete",
        "client disable",
        "client delete",
        "secret delete",
        "token generate",
        "token revoke",
        "admin-key revoke",
        "member invite",
        "member change",
        "member remove",
        "member withdraw",
        "webhook rotate",
        "webhook disable",
        "webhook delete",
    ];

    /// Commands that end nothing. `serve --new-digest-keys` says by its name what it is for, a canary's client is its own,
    /// and a setting that `client change` narrows can be widened again.
    const ENDING_NOTHING: &[&str] = &[
        "serve",
        "config check",
        "backup",
        "digest-key add",
        "digest-key list",
        "digest-key for-replicas",
        "status",
        "workspace list",
        "workspace create",
        "workspace show",
        "workspace rename",
        "workspace enable",
        "product list",
        "product put",
        "client list",
        "client create",
        "client show",
        "client change",
        "client enable",
        "secret rotate",
        "admin-key list",
        "admin-key create",
        "client resend-confirmation",
        "member list",
        "webhook list",
        "webhook create",
        "webhook test",
        "webhook enable",
        "notice list",
        "usage",
        "audit list",
        "audit export",
        "audit verify",
        "canary",
        "scan",
        "completions",
        "man",
    ];

    #[test]
    fn every_command_that_ends_something_takes_yes() {
        fn walk(command: &clap::Command, before: &str, found: &mut Vec<(String, bool)>) {
            for one in command.get_subcommands() {
                let name = format!("{before}{}", one.get_name());
                if one.has_subcommands() {
                    walk(one, &format!("{name} "), found);
                } else {
                    let yes = one.get_arguments().any(|arg| arg.get_id() == "yes");
                    found.push((name, yes));
                }
            }
        }
        let mut found = Vec::new();
        walk(&Cli::command(), "", &mut found);
        for (name, yes) in &found {
            let asks = ASKING.contains(&name.as_str());
            assert_eq!(asks, *yes, "{name}: --yes");
            let listed = asks || ENDING_NOTHING.contains(&name.as_str());
            assert!(listed, "{name}: say in this test whether it ends something");
        }
        assert_eq!(found.len(), ASKING.len() + ENDING_NOTHING.len());
    }

    #[test]
    fn no_credential_can_be_an_argument() {
        for name in ["--admin-key", "--key", "--secret", "--token"] {
            let line = ["tokenward", "workspace", "list", name, "x"];
            assert!(Cli::try_parse_from(line).is_err(), "{name}");
        }
    }

    #[test]
    fn the_helps_read_well() {
        let mut texts = Vec::new();
        for line in [
            &["tokenward", "--help"][..],
            &["tokenward", "client", "create", "--help"],
            &["tokenward", "scan", "--help"],
        ] {
            let mut command = Cli::command().term_width(100);
            let help = command.try_get_matches_from_mut(line).unwrap_err();
            texts.push(help.render().to_string());
        }
        insta::assert_snapshot!(texts.join("\n==\n"));
    }
}
