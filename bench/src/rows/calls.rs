//! Calls over gRPC without a gateway, beside tonic and beside hyper's HTTP/2 alone.

use super::gateways::{House, ratio, told};
use crate::ext_authz::{answer, framed, question};
use crate::process::Bare;
use crate::report::{Goal, Report};
use crate::rounds::interleave;
use anyhow::{Context as _, Result, ensure};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::process::Command;

/// Connections of the calls over gRPC, and calls under way on each.
const CALLS: (usize, usize) = (16, 16);
const METHOD: &str = "envoy.service.auth.v3.Authorization/Check";

/// Measures with h2load.
pub(super) fn calls(report: &mut Report, rounds: usize, house: &House) -> Result<()> {
    let message = answer(&house.identity);
    let tonic = Bare::told(&["bare-grpc", "tonic"], &message)?;
    let hyper = Bare::told(&["bare-grpc", "hyper"], &message)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("question");
    std::fs::write(&file, framed(&question(&house.token)))?;
    let before = house.permits()?;
    let failed = RefCell::new(None);
    let call = |address: SocketAddr| {
        h2load(address, &file).unwrap_or_else(|why| {
            *failed.borrow_mut() = Some(why);
            f64::NAN
        })
    };
    let ours = house.internal()?;
    let (mut first, mut second, mut third) = (
        || call(tonic.address),
        || call(ours),
        || call(hyper.address),
    );
    let measures = interleave(rounds, &mut [&mut first, &mut second, &mut third]);
    failed.into_inner().map_or(Ok(()), Err)?;
    ensure!(house.permits()? != before, "no call was permitted");
    report.section(
        "Calls over gRPC",
        &format!(
            "h2load, {} connections with {} calls under way on each, {rounds} interleaved rounds of a second, servers and load on the same cores. Tonic and hyper answer each call with the same bytes and decode nothing.",
            CALLS.0, CALLS.1
        ),
    );
    let names = ["bare tonic", "our check", "bare hyper, HTTP/2"];
    told(report, &measures, &names);
    let mut rate = |what: &str, of_to, goal| ratio(report, &measures, what, of_to, goal);
    rate("our check, of bare tonic", (1, 0), Goal::AtLeast(0.95));
    rate("our check, of bare hyper", (1, 2), Goal::None);
    rate("bare hyper, of bare tonic", (2, 0), Goal::None);
    Ok(())
}

fn h2load(address: SocketAddr, question: &std::path::Path) -> Result<f64> {
    let output = Command::new("h2load")
        .args(["-c", &CALLS.0.to_string(), "-m", &CALLS.1.to_string()])
        .args(["-D", "1", "-d"])
        .arg(question)
        .args(["-H", "content-type: application/grpc", "-H", "te: trailers"])
        .arg(format!("http://{address}/{METHOD}"))
        .output()
        .context("h2load (Debian's nghttp2-client) did not start")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find(|line| line.starts_with("finished in"));
    let rate = line.and_then(|line| line.split(", ").nth(1)?.strip_suffix(" req/s"));
    let whole = said.contains(" 0 4xx, 0 5xx") && said.contains(" 0 failed, 0 errored");
    let rate = rate.filter(|_| whole).and_then(|rate| rate.parse().ok());
    rate.with_context(|| format!("h2load said:\n{said}"))
}
