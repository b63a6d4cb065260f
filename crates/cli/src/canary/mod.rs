//! `tokenward canary`: proves from outside that revoking works. It generates a new token for a client of
//! its own, shows the old one to a product through the real gateway, and tells how long that was still
//! accepted. What it must find is a cache, or a gateway that does not ask. It must hold no token longer
//! than one round, and print none.

mod report;
mod round;

use super::api::http_client;
use super::error::CliError;
use super::session::{ClientName, Common, Session};
use report::Tally;
use reqwest::Url;
use round::{Canary, Verdict};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Exit code after an old token was accepted, so that a timer's alarm can tell it from a fault.
const EXIT_ALARM: u8 = 3;

/// Arguments of `tokenward canary`.
#[derive(clap::Args, Debug)]
pub(crate) struct CanaryArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    client: ClientName,
    /// An address of a product behind the gateway that answers 2xx to a good token
    #[arg(long, value_name = "URL")]
    through: String,
    /// Seconds from one round to the next
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// One round, then end with what it found
    #[arg(long)]
    once: bool,
    /// Keep figures for Prometheus in this file (the text collector of its node exporter reads it)
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
}

/// What `tokenward canary --help` says besides.
pub(crate) const HELP: &str = "The client must be the canary's alone: each round revokes its token. An admin key that may manage\n\
this one workspace is enough, and its tokens count against no quota.\n\n\
Exit codes: 0 the old token was refused at once; 3 it was accepted (an alarm); 1 nothing was proved,\n\
because something on the way failed. Without --once it goes on until it is stopped (SIGTERM), one line\n\
a round, and ends with 3 if any round raised the alarm.\n\n\
Example:\n  tokenward canary -w monitoring -e production canary \\\n      \
--through https://api.example.com/e-invoice/ping --metrics-file /var/lib/node-exporter/canary.prom";

/// Runs rounds until told to stop, or one.
pub(crate) async fn run(args: CanaryArgs) -> Result<ExitCode, CliError> {
    let session = Session::new(&args.common)?;
    let through: Url = args.common.at.address.fit(&args.through)?;
    let id = session.client_id(&args.client).await?;
    let http = http_client(&args.common.at.address, &through)?;
    let mut canary = Canary::new(&session.api, id, http, through);
    let mut tally = Tally::default();
    let mut every = tokio::time::interval(Duration::from_secs(args.every));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    loop {
        tokio::select! {
            _ = every.tick() => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
        let verdict = canary.round().await;
        tally.add(&verdict);
        report::tell(&session.out, &verdict)?;
        if let Some(path) = &args.metrics_file {
            tally.write(path)?;
        }
        if args.once {
            return Ok(exit_code(&verdict));
        }
    }
    Ok(match tally.alarms {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(EXIT_ALARM),
    })
}

fn exit_code(verdict: &Verdict) -> ExitCode {
    match verdict {
        Verdict::Unclear(_) => ExitCode::from(super::error::EXIT_FAILED),
        shown if shown.is_alarm() => ExitCode::from(EXIT_ALARM),
        Verdict::Shown { .. } => ExitCode::SUCCESS,
    }
}
