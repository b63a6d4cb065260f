//! A coherence run of any length: racing changes and checks, then the history checker's report.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokenward_proof::coherence::{Plan, run};
use tokenward_proof::driver::Nodes;
use tokenward_proof::history::check;
use tokenward_testkit::{Broken, PgCluster, Server, fresh_binary};

/// Loads a tokenward with racing changes and checks and judges every verdict.
#[derive(Parser)]
struct Arguments {
    /// How long the load lasts.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Stores in PostgreSQL instead of SQLite.
    #[arg(long)]
    postgres: bool,
    /// Repeats the choices of an earlier run.
    #[arg(long)]
    seed: Option<u64>,
    /// Writes the report as JSON to standard output.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode, Broken> {
    let arguments = Arguments::parse();
    let cluster = arguments.postgres.then(PgCluster::start);
    let builder = match &cluster {
        Some(cluster) => Server::builder().database(&cluster.url()),
        None => Server::builder(),
    };
    let server = builder.binary(&fresh_binary()).start();
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("seed {seed}, {} s", arguments.seconds);
    let plan = Plan::new(seed, Duration::from_secs(arguments.seconds));
    let history = run(&Arc::new(Nodes::new(vec![server.api()])), &plan).await?;
    let report = check(&history);
    if arguments.json {
        let text = serde_json::to_string_pretty(&report).expect("a report is plain data");
        println!("{text}");
    } else {
        println!("{report}");
    }
    Ok(ExitCode::from(u8::from(!report.violations.is_empty())))
}
