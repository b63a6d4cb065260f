//! The program: one file a verb, and what they share. Nothing here decides when to renew; that is the protocol's.

mod cli;
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

/// Runs the command line of this process.
pub(crate) fn run() -> ExitCode {
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
