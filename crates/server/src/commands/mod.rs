//! The command line: every command of the program. Commands that run on the server's own machine are in `server`; those
//! that call a server are in the crate `tokenward-cli`. No key, secret or token is ever a command-line argument.

mod backup;
mod s3;
mod server;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use std::io::Write as _;
use std::process::ExitCode;
use tokenward_cli::{CliError, exit};

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
    Server(server::ServerCommand),
    #[command(flatten)]
    Client(Box<tokenward_cli::Command>),
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

/// Reads the command line and carries it out.
#[must_use]
pub fn main() -> ExitCode {
    let matches = command_line().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match cli.command {
        Command::Server(command) => command.run(),
        Command::Client(command) => command.run(),
        Command::Completions { shell } => exit(completions(shell), cli.json),
        Command::Man { folder } => exit(man(&folder), cli.json),
    }
}

/// Every command and flag; a flag whose environment variable is empty is not given.
fn command_line() -> clap::Command {
    crate::config::without_empty_variables(Cli::command())
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
    const ASKING: &str = "restore, digest-key remove, workspace disable, product delete, client disable, client delete, \
        secret delete, token generate, token revoke, admin-key revoke, member invite, member change, \
        member remove, member withdraw, webhook rotate, webhook disable, webhook delete";

    /// Commands that end nothing. `move` closes a store whose copy serves in its place, `serve --new-digest-keys` says by its name what it is for, a canary's client is its own,
    /// and a setting that `client change` narrows, or what `webhook set` and `notice set` turn off, can be widened again.
    const ENDING_NOTHING: &str = "serve, hold, config check, health, backup, move, digest-key add, digest-key list, \
        digest-key for-replicas, status, workspace list, workspace create, workspace show, \
        workspace rename, workspace enable, product list, product put, client list, client create, \
        client show, client tag, client untag, secret note, admin-key note, client change, client enable, \
        secret rotate, admin-key list, admin-key create, client resend-confirmation, member list, \
        webhook list, webhook create, webhook test, webhook set, webhook enable, node list, notice list, \
        notice addresses, notice set, usage, audit list, audit export, audit verify, canary, scan, \
        completions, man";

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
        let [asking, ending_nothing] =
            [ASKING, ENDING_NOTHING].map(|all| all.split(", ").collect::<Vec<_>>());
        for (name, yes) in &found {
            let asks = asking.contains(&name.as_str());
            assert_eq!(asks, *yes, "{name}: --yes");
            let listed = asks || ending_nothing.contains(&name.as_str());
            assert!(listed, "{name}: say in this test whether it ends something");
        }
        assert_eq!(found.len(), asking.len() + ending_nothing.len());
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
