//! Resident memory of a full replica, each size in a process of its own.

use crate::machine;
use crate::population;
use crate::report::{Goal, Report};
use anyhow::{Context as _, Result};
use std::hint::black_box;
use std::process::Command;

/// Bytes that a replica of `clients` adds to this process.
pub(crate) fn measure(clients: u32) -> u64 {
    let before = machine::resident();
    let replica = population::replica(clients);
    let after = machine::resident();
    black_box(&replica);
    after.saturating_sub(before)
}

pub(crate) fn run(report: &mut Report) -> Result<()> {
    report.section(
        "Memory of a replica",
        "Resident memory before and after filling a replica, each size in a process of its own; labels like `erp-0000001`; half of the clients restricted to two products.",
    );
    for clients in [1_000_000_u32, 10_000_000] {
        let output = Command::new(std::env::current_exe()?)
            .args(["memory-of", &clients.to_string()])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let bytes = text.trim().parse::<u64>();
        let bytes = bytes.with_context(|| format!("memory-of answered {text:?}"))?;
        let each = bytes as f64 / f64::from(clients);
        let (millions, mebibytes) = (clients / 1_000_000, bytes >> 20);
        let what = format!("{millions} million clients ({mebibytes} MiB)");
        let figure = format!("{each:.1} B a client");
        report.line(&what, &figure, each, Goal::AtMost(130.0));
    }
    Ok(())
}
