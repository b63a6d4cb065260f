//! The rows of the performance table, each a module that can run alone.

pub(crate) mod check;
pub(crate) mod growth;
mod jwt;
pub(crate) mod memory;
pub(crate) mod writer;

use crate::report::Report;

/// Clients where nothing else is said.
const CLIENTS: u32 = 1_000_000;
/// Changes a second beside the readers.
const CHANGES: u32 = 10_000;

/// Every row in turn.
pub(crate) fn all(report: &mut Report, rounds: usize) -> Result<(), String> {
    check::run(report, rounds, CLIENTS)?;
    writer::run(report, rounds, CLIENTS, CHANGES)?;
    memory::run(report)?;
    growth::run(report, rounds)
}
