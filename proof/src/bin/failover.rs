//! `make failover`: promotes a standby, or makes the database read-only for a while, many times, and measures how long
//! writes take to go on.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokenward_proof::failover::{Fault, run};
use tokenward_testkit::fresh_binary;

/// The longest that writes may take to go on.
const PROMISED: Duration = Duration::from_secs(5);

/// Takes the database away from a running node, again and again, and verifies that writes go on within 5 s of its return
/// without a restart and without losing anything acknowledged.
#[derive(Parser)]
struct Arguments {
    /// How many times for each fault.
    #[arg(long, default_value_t = 50)]
    rounds: u32,
    /// What is done to the database; without it each in turn.
    #[arg(long, value_enum)]
    fault: Vec<Fault>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let faults = match arguments.fault.as_slice() {
        [] => vec![Fault::Failover, Fault::ReadOnly],
        some => some.to_vec(),
    };
    // What is proved must be what stands in the tree.
    let _ = fresh_binary();
    let mut kept = true;
    for fault in faults {
        let report = run(fault, arguments.rounds, |round, delay| {
            eprintln!(
                "{fault:?} {round}: writes go on after {} ms",
                delay.as_millis()
            );
        })
        .await;
        println!(
            "{fault:?}: {} rounds, writes go on after {} ms (median), {} ms (longest)",
            report.delays.len(),
            report.median().as_millis(),
            report.longest().as_millis()
        );
        if let Some(longest) = report.promotions.iter().max() {
            println!(
                "PostgreSQL itself took {} ms at most to promote",
                longest.as_millis()
            );
        }
        kept &= report.longest() <= PROMISED;
    }
    if !kept {
        eprintln!("longer than the {} s that are promised", PROMISED.as_secs());
    }
    ExitCode::from(u8::from(!kept))
}
