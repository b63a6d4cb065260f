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
mod revoke;
mod status;

use clap::Parser as _;
use std::process::ExitCode;

/// Runs the command line of this process.
pub(crate) fn run() -> ExitCode {
    let arguments = cli::Arguments::parse();
    match cli::carry_out(arguments) {
        Ok(code) => code,
        Err(end) => {
            eprintln!("tokenward-agent: {end}");
            end.code()
        }
    }
}
