//! The command line.

use super::exit::End;
use super::{get, logs};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use tokenward_client::config::{self, Config};
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
    },
}

/// Carries a command line out.
pub(crate) fn carry_out(arguments: Arguments) -> Result<ExitCode, End> {
    let path = config::find(arguments.config.as_deref())?;
    let config = config::load(&path)?;
    logs::start(level(&config, &arguments.verb), config.log_format);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| End::failed(error.to_string()))?;
    let client = || config.client(arguments.client.as_deref());
    match arguments.verb {
        Verb::Get { json } => runtime.block_on(get::get(client()?, json))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A daemon tells what it does; a command that prints a result only what went wrong.
fn level(config: &Config, verb: &Verb) -> Level {
    let usual = match verb {
        Verb::Get { .. } => Level::ERROR,
    };
    config.log_level.unwrap_or(usual)
}
