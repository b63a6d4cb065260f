//! Calls over gRPC without a gateway, beside tonic and beside hyper's HTTP/2 alone.

use super::gateways::{House, ratio, told};
use crate::ext_authz::{answer, framed, hexadecimal, question};
use crate::process::Bare;
use crate::report::{Goal, Report};
use crate::rounds::interleave;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::process::Command;

/// Connections of the calls over gRPC, and calls under way on each.
const CALLS: (usize, usize) = (16, 16);
const METHOD: &str = "envoy.service.auth.v3.Authorization/Check";

/// Measures with h2load.
pub(super) fn calls(report: &mut Report, rounds: usize, house: &House) -> Result<(), String> {
    let message = hexadecimal(&answer(&house.identity));
    let tonic = Bare::told(&["bare-grpc", "tonic"], &message)?;
    let hyper = Bare::told(&["bare-grpc", "hyper"], &message)?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("question");
    std::fs::write(&file, framed(&question(&house.token))).map_err(|error| error.to_string())?;
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
    if let Some(why) = failed.into_inner() {
        return Err(why);
    }
    if house.permits()? == before {
        return Err("no call was permitted".to_owned());
    }
    report.section(
        "Calls over gRPC",
        &format!(
            "h2load, {} connections with {} calls under way on each, {rounds} interleaved rounds of a second, servers and load on the same cores. Tonic and hyper answer each call with the same bytes and decode nothing.",
            CALLS.0, CALLS.1
        ),
    );
    told(
        report,
        &measures,
        &["bare tonic", "our check", "bare hyper, HTTP/2"],
    );
    ratio(
        report,
        &measures,
        "our check, of bare tonic",
        (1, 0),
        Goal::AtLeast(0.95),
    );
    ratio(
        report,
        &measures,
        "our check, of bare hyper",
        (1, 2),
        Goal::None,
    );
    ratio(
        report,
        &measures,
        "bare hyper, of bare tonic",
        (2, 0),
        Goal::None,
    );
    Ok(())
}

fn h2load(address: SocketAddr, question: &std::path::Path) -> Result<f64, String> {
    let output = Command::new("h2load")
        .args([
            "-c",
            &CALLS.0.to_string(),
            "-m",
            &CALLS.1.to_string(),
            "-D",
            "1",
            "-d",
        ])
        .arg(question)
        .args(["-H", "content-type: application/grpc", "-H", "te: trailers"])
        .arg(format!("http://{address}/{METHOD}"))
        .output()
        .map_err(|error| format!("h2load (Debian's nghttp2-client) did not start: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let rate = said
        .lines()
        .find(|line| line.starts_with("finished in"))
        .and_then(|line| {
            line.split(", ")
                .nth(1)?
                .trim_end_matches(" req/s")
                .parse()
                .ok()
        });
    let whole = said.contains(" 0 4xx, 0 5xx") && said.contains(" 0 failed, 0 errored");
    match rate {
        Some(rate) if whole => Ok(rate),
        _ => Err(format!("h2load said:\n{said}")),
    }
}
