//! The command line.

use crate::config::{self, Settings};
use crate::doctor::Verdict;
use crate::exec::{AtRenewal, Wish, signal_number};
use crate::exit::End;
use crate::output::print;
use crate::{daemon, doctor, exec, get, init, logs, revoke, status};
use clap::{CommandFactory as _, Parser, Subcommand};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokenward_client::TokenSource;
use tokenward_client::config::{Parts, find};
use tokenward_client::destination::dotenv::{DEFAULT_VARIABLE, check_name};
use tracing::Level;

/// Keeps an access token for programs: fetched with a client secret, renewed in time, shared by all who need it
#[derive(Debug, Parser)]
#[command(name = "tokenward-agent", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Configuration file [default: ~/.config/tokenward/agent.toml, then /etc/tokenward/agent.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which client of the configuration; needed when there are several
    #[arg(long, global = true, value_name = "ALIAS")]
    client: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print the access token; the kept one while it will do, else a new one
    Get {
        /// Print JSON, with generation and validity
        #[arg(long)]
        json: bool,
        /// A product answered 401: read the token it refused from standard input and give another
        #[arg(long)]
        refused: bool,
    },
    /// Run a program with the token in an environment variable
    Exec {
        /// The variable; NAME_FILE names the token's own file, where a `credential` destination keeps one
        #[arg(long, value_name = "NAME", default_value = DEFAULT_VARIABLE, value_parser = variable)]
        variable: String,
        /// End the program and start it anew with each new token
        #[arg(long, conflicts_with = "signal_on_renewal")]
        restart_on_renewal: bool,
        /// Seconds the program has to end before it is killed, when it is restarted
        #[arg(long, value_name = "SECONDS", default_value_t = 10)]
        grace: u64,
        /// Send the program this signal at each new token (HUP, USR1, ...)
        #[arg(long, value_name = "SIGNAL", value_parser = signal_number)]
        signal_on_renewal: Option<i32>,
        /// The program and its arguments
        #[arg(required = true, last = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Renew every client's token ahead of time and keep every destination told, until ended
    Run,
    /// Show what is kept and what the server says; never generates
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke the token kept, and take it out of every place
    Revoke,
    /// Look for what is wrong and say how to mend it; never generates
    Doctor {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Write a commented configuration by asking
    Init {
        /// The file to write
        #[arg(default_value = "agent.toml")]
        path: PathBuf,
    },
    /// Print a script that completes commands and flags in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write a manual page for each command into a folder
    Man {
        /// The folder; it must exist
        folder: PathBuf,
    },
}

fn variable(text: &str) -> Result<String, String> {
    check_name(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// Carries a command line out.
pub(crate) fn carry_out(arguments: Arguments) -> Result<ExitCode, End> {
    let mut command = Arguments::command();
    let done = match &arguments.verb {
        Verb::Completions { shell } => {
            // Into memory first: the generator panics when it can't write.
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command, "tokenward-agent", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
        Verb::Man { folder } => clap_mangen::generate_to(command, folder)
            .map_err(|error| End::failed(format!("{}: {error}", folder.display()))),
        Verb::Init { path } => init::init(path),
        _ => return configured(arguments),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Carries out what needs the configuration.
fn configured(arguments: Arguments) -> Result<ExitCode, End> {
    let path = find(arguments.config.as_deref())?;
    let settings = config::load(&path)?;
    if let Some(level) = settings.log_level.or(usual_level(&arguments.verb)) {
        logs::start(level, settings.log_format);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| End::failed(error.to_string()))?;
    runtime.block_on(async {
        let clients = settings.clients.clients.values();
        let sources: Vec<TokenSource> = clients.map(|parts| parts.source.clone()).collect();
        let ended = verb(&path, settings, arguments).await;
        // Sessions taken for this run are given back, however it ended.
        for source in sources {
            source.close().await;
        }
        ended
    })
}

async fn verb(path: &Path, settings: Settings, arguments: Arguments) -> Result<ExitCode, End> {
    let config = settings.clients;
    let alias = arguments.client.as_deref();
    match arguments.verb {
        Verb::Get { json, refused } => get::get(config.client(alias)?, json, refused).await?,
        Verb::Exec {
            variable,
            restart_on_renewal,
            grace,
            signal_on_renewal,
            command,
        } => {
            let at_renewal = match signal_on_renewal {
                Some(signal) => AtRenewal::Signal(signal),
                None if restart_on_renewal => AtRenewal::Restart(Duration::from_secs(grace)),
                None => AtRenewal::Nothing,
            };
            let wish = Wish {
                command,
                variable,
                at_renewal,
            };
            return exec::exec(config.client(alias)?, &wish).await;
        }
        Verb::Run => daemon::run(config, settings.listen).await?,
        Verb::Status { json } => {
            let status = status::status(config.client(alias)?).await?;
            print(&if json {
                format!("{status:#}\n")
            } else {
                status::lines(&status)
            })?;
        }
        Verb::Revoke => {
            let done = revoke::revoke(config.client(alias)?).await?;
            // It is done, whether anybody reads it or not.
            let _ = print(&format!("{done}\n"));
        }
        Verb::Doctor { json } => {
            let chosen: Vec<&Parts> = match alias {
                Some(_) => vec![config.client(alias)?],
                None => config.clients.values().collect(),
            };
            return examine(path, &chosen, json).await;
        }
        Verb::Init { .. } | Verb::Completions { .. } | Verb::Man { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn examine(path: &Path, chosen: &[&Parts], json: bool) -> Result<ExitCode, End> {
    let mut bad = false;
    for parts in chosen {
        if !json {
            print(&format!("client {}\n", parts.alias))?;
        }
        for finding in doctor::look(path, parts).await {
            bad |= finding.verdict == Verdict::Bad;
            let told = match json {
                true => finding.json(&parts.alias).to_string(),
                false => finding.line(),
            };
            print(&format!("{told}\n"))?;
        }
    }
    Ok(match bad {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// The level without a setting: the daemon logs what it does; a command that prints a result prints its own errors.
fn usual_level(verb: &Verb) -> Option<Level> {
    match verb {
        Verb::Run => Some(Level::INFO),
        Verb::Exec { .. } => Some(Level::WARN),
        _ => None,
    }
}
