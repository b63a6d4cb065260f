//! Several nodes under load while what can fail does, for as long as wanted; then the history checker's report.

use clap::Parser;
use std::process::ExitCode;
use tokenward_proof::cluster::{Act, Seen, run};
use tokenward_proof::history::check;
use tokenward_testkit::Broken;

/// Kills, stops and cuts off nodes, and promotes standbys, under load.
#[derive(Parser)]
struct Arguments {
    /// How many nodes.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// How many replicas attached to them.
    #[arg(long, default_value_t = 2)]
    replicas: usize,
    /// How many acts, chosen by the seed.
    #[arg(long, default_value_t = 50)]
    acts: usize,
    /// Repeats the choices of an earlier run.
    #[arg(long)]
    seed: Option<u64>,
    /// Only this act, such as '"kill"' or '{"freeze":13}'.
    #[arg(long)]
    only: Option<String>,
    /// Writes the report as JSON to standard output.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode, Broken> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    let acts = match &arguments.only {
        None => Act::program(seed, arguments.acts),
        Some(text) => {
            let act: Act = serde_json::from_str(text).expect("an act as the help shows it");
            vec![act; arguments.acts]
        }
    };
    eprintln!(
        "seed {seed}, {} nodes, {} replicas, {} acts",
        arguments.nodes,
        arguments.replicas,
        acts.len()
    );
    let mut number = 0;
    let count = (arguments.nodes, arguments.replicas);
    let seen = run(count, seed, &acts, |act, node, took| {
        number += 1;
        eprintln!("{number}: {act:?} at node {node}: ready after {took} ms");
    })
    .await?;
    let report = check(&seen.history);
    let Seen {
        acts,
        longest_change,
        ended,
        silent_elsewhere,
        silent_replicas,
        ..
    } = seen;
    let longest = acts.iter().map(|(_, took)| *took).max().unwrap_or_default();
    if arguments.json {
        let all = serde_json::json!({
            "seed": seed, "report": report, "longest_change_ms": longest_change, "longest_recovery_ms": longest, "ended": ended, "silent_elsewhere": silent_elsewhere,
            "silent_replicas": silent_replicas,
        });
        println!("{all:#}");
    } else {
        println!(
            "{report}; longest change {longest_change} ms, longest recovery {longest} ms, {ended} nodes ended and came back; \
             {silent_elsewhere} times silent where nothing was done; replicas {silent_replicas} times silent"
        );
    }
    Ok(ExitCode::from(u8::from(!report.violations.is_empty())))
}
