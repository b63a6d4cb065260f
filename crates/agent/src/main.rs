//! `tokenward-agent`: an access token for programs that use none of our libraries. One module a command, and what they
//! share. It never takes a secret from the command line, and it prints a token only when asked to. When to renew is
//! decided by `tokenward_client::protocol`, not here.

mod cli;
mod config;
mod daemon;
mod doctor;
mod exec;
mod exit;
mod get;
mod health;
mod init;
mod logs;
mod output;
mod revoke;
mod status;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    let ended = cli::carry_out(arguments);
    logs::finish();
    match ended {
        Ok(code) => code,
        Err(end) => {
            if let Some(what) = end.what() {
                output::complain(what);
            }
            end.code()
        }
    }
}
