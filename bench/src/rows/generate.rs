//! Generating over HTTP, durable, by 64 concurrent callers, against the engine's own group commit of
//! the same rows: the same statements on tables of the same size, 64 tokens a commit, nothing else.

use super::http_check::address;
use crate::clock;
use crate::group_commit::{Bare, Postgres, Sqlite};
use crate::load;
use crate::population::{self, Numbers};
use crate::report::{Goal, Report};
use crate::rounds::median;
use crate::seed;
use std::time::Duration;
use tokenward_testkit::{PgCluster, Server};

/// Concurrent callers, and tokens a bare commit.
pub(crate) const CALLERS: usize = 64;
/// How long each side runs in a round.
const SPAN: Duration = Duration::from_secs(3);
/// Clients whose requests are drawn; as many requests are prepared.
const DRAWN: usize = 50_000;

pub(crate) fn run(report: &mut Report, rounds: usize, clients: u32) -> Result<(), String> {
    report.section(
        "Generate",
        &format!(
            "{clients} clients, {CALLERS} concurrent callers over HTTP, random secrets, {rounds} interleaved rounds of {} s. The floor is the engine's own commit of the same rows (slot, change, audit entry, head), {CALLERS} tokens each, made by one thread with prepared statements and no HTTP; server, load and engine share the cores.",
            SPAN.as_secs()
        ),
    );
    let folder = || tempfile::tempdir().map_err(|error| format!("no folder: {error}"));
    let (ours, floor) = (folder()?, folder()?);
    for data in [&ours, &floor] {
        seed::keys(data.path())?;
        drop(Server::builder().data_dir(data.path()).start());
        seed::sqlite(&data.path().join("tokenward.sqlite"), clients)?;
    }
    let server = Server::builder()
        .data_dir(ours.path())
        .arg("--quota-per-day")
        .arg("1000000")
        .arg("--secret-calls-per-second")
        .arg("0")
        .start();
    let mut bare = Sqlite::open(&floor.path().join("tokenward.sqlite"), clients)?;
    compare(report, "SQLite", rounds, clients, &server, &mut bare)?;
    drop((server, bare));

    let cluster = PgCluster::start();
    let (ours, floor) = (cluster.url(), cluster.new_database("floor"));
    let mut server = None;
    for url in [&floor, &ours] {
        let data = folder()?;
        seed::keys(data.path())?;
        let builder = || Server::builder().data_dir(data.path()).database(url);
        drop(builder().start());
        seed::postgres(url, clients)?;
        if *url == ours {
            server = Some((
                builder()
                    .arg("--quota-per-day")
                    .arg("1000000")
                    .arg("--secret-calls-per-second")
                    .arg("0")
                    .start(),
                data,
            ));
        }
    }
    let Some((server, _data)) = server else {
        return Err("no server".into());
    };
    let mut bare = Postgres::open(&floor, clients)?;
    compare(report, "PostgreSQL", rounds, clients, &server, &mut bare)
}

fn compare(
    report: &mut Report,
    engine: &str,
    rounds: usize,
    clients: u32,
    server: &Server,
    bare: &mut dyn Bare,
) -> Result<(), String> {
    let address = address(server.public())?;
    let keyring = population::keyring();
    let mut numbers = Numbers(5);
    let requests: Vec<Vec<u8>> = (0..DRAWN.min(clients as usize))
        .map(|_| {
            let secret = population::secret(&keyring, numbers.below(clients)).expose();
            format!("POST /integration/v1/authz/token HTTP/1.1\r\nhost: tokenward\r\ncontent-length: 0\r\nx-clear-client-secret: {}\r\n\r\n", *secret).into_bytes()
        })
        .collect();
    let mut next = 0;
    let (mut rates, mut floors, mut p99, mut p50, mut commits) =
        (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..=rounds {
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                let outcome = load::run(address, CALLERS, SPAN, |out| {
                    next = (next + 1) % requests.len();
                    out.extend_from_slice(&requests[next]);
                })?
                .all(200)?;
                if round > 0 {
                    rates.push(outcome.rate());
                    p99.push(outcome.quantile_ms(0.99));
                    p50.push(outcome.quantile_ms(0.5));
                }
            } else {
                let begin = clock::wall();
                let mut took = Vec::new();
                while clock::wall() - begin < SPAN {
                    let start = clock::wall();
                    bare.commit(CALLERS)?;
                    took.push((clock::wall() - start).as_secs_f64() * 1000.0);
                }
                if round > 0 {
                    floors.push(
                        (took.len() * CALLERS) as f64 / (clock::wall() - begin).as_secs_f64(),
                    );
                    commits.push(median(took));
                }
            }
        }
    }
    let ratio = median(
        rates
            .iter()
            .zip(&floors)
            .map(|(ours, floor)| ours / floor)
            .collect(),
    );
    let (p99, p50, commit) = (median(p99), median(p50), median(commits));
    report.line(
        &format!("{engine}: bare group commit, tokens a second"),
        &format!("{:.0}", median(floors)),
        0.0,
        Goal::None,
    );
    report.line(
        &format!("{engine}: one bare commit of {CALLERS}"),
        &format!("{commit:.2} ms"),
        0.0,
        Goal::None,
    );
    report.line(
        &format!("{engine}: generate over HTTP, tokens a second"),
        &format!("{:.0}", median(rates)),
        0.0,
        Goal::None,
    );
    report.line(
        &format!("{engine}: p50 and p99"),
        &format!("{p50:.2} and {p99:.2} ms"),
        0.0,
        Goal::None,
    );
    report.line(
        &format!("{engine}: generate, of bare group commit"),
        &format!("{ratio:.2}"),
        ratio,
        Goal::AtLeast(0.8),
    );
    report.line(
        &format!("{engine}: p99, in bare commits"),
        &format!("{:.1}", p99 / commit),
        p99 / commit,
        Goal::AtMost(3.0),
    );
    Ok(())
}
