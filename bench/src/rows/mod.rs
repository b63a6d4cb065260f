//! The rows of the performance table, each a module that can run alone.

mod calls;
pub(crate) mod check;
pub(crate) mod console;
pub(crate) mod gateways;
pub(crate) mod generate;
pub(crate) mod growth;
pub(crate) mod http_check;
mod jwt;
pub(crate) mod memory;
pub(crate) mod start;
pub(crate) mod tower;
pub(crate) mod writer;

use crate::report::Report;
use anyhow::Result;

/// Clients where nothing else is said.
const CLIENTS: u32 = 1_000_000;
/// Changes a second beside the readers.
const CHANGES: u32 = 10_000;

/// Clients in the stores that generate.
const GENERATING: u32 = 100_000;

/// Rounds of a comparison that takes seconds, not milliseconds.
fn few(rounds: usize) -> usize {
    (rounds / 3).max(3)
}

/// Every row in turn.
pub(crate) fn all(report: &mut Report, rounds: usize) -> Result<()> {
    http_check::run(report, few(rounds), CLIENTS)?;
    check::run(report, rounds, CLIENTS)?;
    writer::run(report, rounds, CLIENTS, CHANGES)?;
    generate::run(report, few(rounds), GENERATING)?;
    memory::run(report)?;
    start::run(report, CLIENTS)?;
    gateways::run(report, few(rounds), None)?;
    tower::run(report, rounds, CLIENTS)?;
    console::run(report, rounds, GENERATING)?;
    growth::run(report, rounds)
}
