//! `make crash`: kills the node, and its database, many times and counts what did not survive.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser;
use tokenward_proof::crash::{self, Engine, Plan, Tally};
use tokenward_testkit::fresh_binary;

/// Without a terminal a progress line is written only every so many rounds.
const LINE_EVERY: u32 = 50;

/// Kills tokenward at random moments under load and verifies that nothing acknowledged is lost,
/// nothing revoked comes back and no client has two live tokens.
#[derive(Parser)]
struct Arguments {
    /// How many kills for each engine.
    #[arg(long, default_value_t = 1000)]
    rounds: u32,
    /// What stores the data and what is killed; without it each in turn.
    #[arg(long, value_enum)]
    engine: Vec<Engine>,
    /// Repeats the choices of an earlier run.
    #[arg(long)]
    seed: Option<u64>,
    /// Writes the result as JSON to standard output.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let engines = match arguments.engine.as_slice() {
        [] => vec![Engine::Sqlite, Engine::Postgres, Engine::PostgresDatabase],
        some => some.to_vec(),
    };
    // What is proved must be what stands in the tree.
    let _ = fresh_binary();
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("seed {seed}");
    let mut tallies = Vec::new();
    for engine in engines {
        let plan = Plan {
            engine,
            rounds: arguments.rounds,
            seed,
        };
        let tally = crash::run(&plan, |tally| show_progress(tally, &plan)).await;
        if std::io::stderr().is_terminal() {
            eprintln!();
        }
        for violation in &tally.violations {
            eprintln!("{violation}");
        }
        if !arguments.json {
            println!("{tally}");
        }
        tallies.push(tally);
    }
    if arguments.json {
        let text = serde_json::to_string_pretty(&tallies).expect("a tally is plain data");
        println!("{text}");
    }
    let broken = tallies.iter().any(|tally| tally.violation_count() > 0);
    ExitCode::from(u8::from(broken))
}

fn show_progress(tally: &Tally, plan: &Plan) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{tally} (of {})", plan.rounds);
    } else if tally.rounds.is_multiple_of(LINE_EVERY) {
        eprintln!("{tally} (of {})", plan.rounds);
    }
}
