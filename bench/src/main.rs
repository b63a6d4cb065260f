//! The benchmarks: each figure beside its floor, from the same interleaved rounds, on the machine at
//! hand. Nothing here judges by absolute figures; ratios carry over from machine to machine.

mod bare;
mod bare_grpc;
mod clock;
mod ext_authz;
mod floor;
mod floor_server;
mod group_commit;
mod load;
mod machine;
mod population;
mod process;
mod report;
mod rounds;
mod rows;
mod seed;

use anyhow::Result;
use clap::{Parser, Subcommand};
use report::Report;
use std::path::PathBuf;

#[derive(Parser)]
#[command(
    about = "Measures Tokenward, each figure beside its floor in the same interleaved rounds"
)]
struct Arguments {
    #[command(subcommand)]
    row: Row,
    /// Replaces the rows measured in this file of results.
    #[arg(long, global = true)]
    out: Option<PathBuf>,
    /// Rounds of each comparison; the medians are told.
    #[arg(long, global = true, default_value_t = 21)]
    rounds: usize,
}

#[derive(Subcommand, Clone, Copy)]
enum Row {
    /// Every row.
    All,
    /// The check over HTTP against a bare hyper server.
    HttpCheck {
        /// API clients in the store.
        #[arg(long, default_value_t = 1_000_000)]
        clients: u32,
    },
    /// The check in process against its floor, and an RS256 verification.
    Check {
        /// API clients in the replica.
        #[arg(long, default_value_t = 1_000_000)]
        clients: u32,
    },
    /// Two readers with and without a writer.
    Writer {
        /// API clients in the replica.
        #[arg(long, default_value_t = 1_000_000)]
        clients: u32,
        /// Changes a second.
        #[arg(long, default_value_t = 10_000)]
        changes: u32,
    },
    /// Resident memory a client, at 1 and 10 million.
    Memory,
    /// The check among 10 million clients against the check among 10,000.
    Growth,
    /// Generating over HTTP against the engines' own group commit.
    Generate {
        /// API clients in the stores.
        #[arg(long, default_value_t = 100_000)]
        clients: u32,
    },
    /// Refusals that the writer decides, over HTTP.
    Refusals {
        /// API clients in the stores.
        #[arg(long, default_value_t = 2_000)]
        clients: u32,
    },
    /// From the start of a server to its being ready.
    Start {
        /// API clients in the stores.
        #[arg(long, default_value_t = 1_000_000)]
        clients: u32,
    },
    /// Gateways with our check, without, and with a bare server in our place; calls over gRPC.
    Gateways {
        /// One section alone.
        #[arg(long)]
        only: Option<rows::gateways::Section>,
    },
    /// The layer for Rust services with its live replica, beside the check in process.
    Tower {
        /// API clients in the store.
        #[arg(long, default_value_t = 1_000_000)]
        clients: u32,
    },
    /// The console's pages with many clients, at rest and while checks run.
    Console {
        /// API clients in the one workspace.
        #[arg(long, default_value_t = 100_000)]
        clients: u32,
    },
    /// The bare servers of `gateways`: tonic, and hyper's HTTP/2 alone.
    #[command(hide = true)]
    BareGrpc {
        /// Which of the two.
        which: bare_grpc::Which,
    },
    /// The bare server of `http-check`.
    #[command(hide = true)]
    BareServer,
    /// One measurement of `memory`, in a process of its own.
    #[command(hide = true)]
    MemoryOf {
        /// API clients in the replica.
        clients: u32,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let rounds = arguments.rounds.max(3);
    let mut report = Report::new();
    match arguments.row {
        Row::All => rows::all(&mut report, rounds),
        Row::HttpCheck { clients } => rows::http_check::run(&mut report, rounds, clients),
        Row::Generate { clients } => rows::generate::run(&mut report, rounds, clients),
        Row::Refusals { clients } => rows::generate::refusals(&mut report, rounds, clients),
        Row::Start { clients } => rows::start::run(&mut report, clients),
        Row::Console { clients } => rows::console::run(&mut report, rounds, clients),
        Row::BareServer => bare::serve(),
        Row::Gateways { only } => rows::gateways::run(&mut report, rounds, only),
        Row::Tower { clients } => rows::tower::run(&mut report, rounds, clients),
        Row::BareGrpc { which } => bare_grpc::serve(which),
        Row::Check { clients } => rows::check::run(&mut report, rounds, clients),
        Row::Writer { clients, changes } => {
            rows::writer::run(&mut report, rounds, clients, changes)
        }
        Row::Memory => rows::memory::run(&mut report),
        Row::Growth => rows::growth::run(&mut report, rounds),
        Row::MemoryOf { clients } => {
            println!("{}", rows::memory::measure(clients));
            return Ok(());
        }
    }?;
    arguments.out.map_or(Ok(()), |path| report.write(&path))
}
