//! Generating over HTTP, durable, by 64 concurrent callers, against the engine's own group commit of
//! the same rows: the same statements on tables of the same size, 64 tokens a commit, nothing else.

use super::http_check::address;
use crate::clock;
use crate::floor_server;
use crate::group_commit::{Bare, Postgres, Sqlite};
use crate::load;
use crate::population::{self, Numbers};
use crate::report::{Goal, Report};
use crate::rounds::median;
use crate::seed;
use anyhow::Result;
use std::net::SocketAddr;
use std::time::Duration;
use tokenward_testkit::{PgCluster, Server};

/// Concurrent callers, and tokens a bare commit.
pub(crate) const CALLERS: usize = 64;
/// How long each side runs in a round.
const SPAN: Duration = Duration::from_secs(3);
/// Clients whose requests are drawn; as many requests are prepared.
const DRAWN: usize = 50_000;

/// Callers generate more here than in a day of a real one.
const UNLIMITED: [&str; 4] = [
    "--quota-per-day",
    "1000000",
    "--secret-calls-per-second",
    "0",
];

pub(crate) fn run(report: &mut Report, rounds: usize, clients: u32) -> Result<()> {
    report.section(
        "Generate",
        &format!(
            "{clients} clients, {CALLERS} concurrent callers over HTTP, random secrets, {rounds} interleaved rounds of {} s. The floor is the engine's own commit of the same rows (slot, change, audit entry, head), {CALLERS} tokens each, made by one thread with prepared statements and no HTTP; server, load and engine share the cores. The floor over HTTP is a server that does nothing else: 64 callers as here, groups of the callers that wait, each group read before it is written.",
            SPAN.as_secs()
        ),
    );
    let (_data, ours) = seed::store(None, clients)?;
    let (floor, _) = seed::store(None, clients)?;
    let server = ours.args(&UNLIMITED).start();
    let file = floor.path().join("tokenward.sqlite");
    let mut bare = Sqlite::open(&file, clients, 1)?;
    let over_http = floor_server::start(Sqlite::open(&file, clients, 2)?)?;
    let floors = (&mut bare as &mut dyn Bare, over_http);
    compare(report, "SQLite", rounds, clients, &server, floors)?;
    drop((server, bare));

    let cluster = PgCluster::start();
    let floor = cluster.new_database("floor");
    drop(seed::store(Some(&floor), clients)?);
    let (_data, ours) = seed::store(Some(&cluster.url()), clients)?;
    let server = ours.args(&UNLIMITED).start();
    let mut bare = Postgres::open(&floor, clients, 1)?;
    let over_http = floor_server::start(Postgres::open(&floor, clients, 2)?)?;
    let floors = (&mut bare as &mut dyn Bare, over_http);
    compare(report, "PostgreSQL", rounds, clients, &server, floors)
}

/// Refusals that the writer decides and that write nothing: of callers whose quota is used up. To compare two servers, run it
/// with one and the other as `TOKENWARD_BIN` in turns.
pub(crate) fn refusals(report: &mut Report, rounds: usize, clients: u32) -> Result<()> {
    report.section(
        "Refusals",
        &format!(
            "{clients} clients whose quota of one token is used up, {CALLERS} concurrent callers over HTTP, {rounds} rounds of {} s.",
            SPAN.as_secs()
        ),
    );
    let one = ["--quota-per-day", "1", "--secret-calls-per-second", "0"];
    let (_data, builder) = seed::store(None, clients)?;
    refused(
        report,
        "SQLite",
        rounds,
        clients,
        builder.args(&one).start(),
    )?;
    let cluster = PgCluster::start();
    let (_data, builder) = seed::store(Some(&cluster.url()), clients)?;
    refused(
        report,
        "PostgreSQL",
        rounds,
        clients,
        builder.args(&one).start(),
    )
}

fn refused(
    report: &mut Report,
    engine: &str,
    rounds: usize,
    clients: u32,
    server: Server,
) -> Result<()> {
    let address = address(server.public())?;
    let requests = requests(clients);
    let mut next = 0;
    let mut run = || {
        load::run(address, CALLERS, SPAN, |out| {
            next = (next + 1) % requests.len();
            out.extend_from_slice(&requests[next]);
        })
    };
    // Until no client has a token left.
    for _ in 0..10 {
        if run()?.statuses.keys().eq([&429]) {
            break;
        }
    }
    let mut rates = Vec::new();
    for _ in 0..rounds {
        rates.push(run()?.all(429)?.rate());
    }
    let rate = median(rates);
    report.figure(format!("{engine}: refusals a second"), format!("{rate:.0}"));
    Ok(())
}

/// Requests of random clients.
fn requests(clients: u32) -> Vec<Vec<u8>> {
    let keyring = population::keyring();
    let mut numbers = Numbers(5);
    (0..DRAWN.min(clients as usize))
        .map(|_| {
            let secret = population::secret(&keyring, numbers.below(clients)).expose();
            format!("POST /integration/v1/authz/token HTTP/1.1\r\nhost: tokenward\r\ncontent-length: 0\r\nx-clear-client-secret: {}\r\n\r\n", *secret).into_bytes()
        })
        .collect()
}

fn compare(
    report: &mut Report,
    engine: &str,
    rounds: usize,
    clients: u32,
    server: &Server,
    (bare, over_http): (&mut dyn Bare, SocketAddr),
) -> Result<()> {
    let goal = if engine == "SQLite" { 0.75 } else { 0.6 };
    let address = address(server.public())?;
    let requests = requests(clients);
    let mut next = 0;
    let (mut rates, mut floors, mut p99, mut p50, mut commits) =
        (vec![], vec![], vec![], vec![], vec![]);
    let (mut http_rates, mut http_p99) = (vec![], vec![]);
    for round in 0..=rounds {
        for turn in 0..3 {
            match (round + turn) % 3 {
                0 => {
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
                }
                1 => {
                    let begin = clock::wall();
                    let mut took = Vec::new();
                    while clock::wall() - begin < SPAN {
                        let start = clock::wall();
                        bare.commit(CALLERS, false)?;
                        took.push((clock::wall() - start).as_secs_f64() * 1000.0);
                    }
                    if round > 0 {
                        let span = (clock::wall() - begin).as_secs_f64();
                        floors.push((took.len() * CALLERS) as f64 / span);
                        commits.push(median(took));
                    }
                }
                _ => {
                    let outcome = load::run(over_http, CALLERS, SPAN, |out| {
                        out.extend_from_slice(&requests[0]);
                    })?
                    .all(200)?;
                    if round > 0 {
                        http_rates.push(outcome.rate());
                        http_p99.push(outcome.quantile_ms(0.99));
                    }
                }
            }
        }
    }
    let of = |ours: &[f64], floors: &[f64]| {
        let pairs = ours.iter().zip(floors);
        median(pairs.map(|(ours, floor)| ours / floor).collect())
    };
    let ratio = of(&rates, &floors);
    let (http_ratio, of_http) = (of(&http_rates, &floors), of(&rates, &http_rates));
    let (http_rate, http_p99) = (median(http_rates), median(http_p99));
    let (p99, p50, commit) = (median(p99), median(p50), median(commits));
    let mut line = |what: &str, figure: String, value: f64, goal| {
        report.line(&format!("{engine}: {what}"), &figure, value, goal);
    };
    let mut figure = |what: &str, figure: String| line(what, figure, 0.0, Goal::None);
    figure(
        "bare group commit, tokens a second",
        format!("{:.0}", median(floors)),
    );
    figure(
        &format!("one bare commit of {CALLERS}"),
        format!("{commit:.2} ms"),
    );
    figure(
        "floor over HTTP, tokens a second",
        format!("{http_rate:.0}"),
    );
    figure(
        "floor over HTTP, of bare group commit",
        format!("{http_ratio:.2}"),
    );
    figure(
        "floor over HTTP, p99 in bare commits",
        format!("{:.1}", http_p99 / commit),
    );
    figure(
        "generate over HTTP, tokens a second",
        format!("{:.0}", median(rates)),
    );
    figure("p50 and p99", format!("{p50:.2} and {p99:.2} ms"));
    let what = "generate, of bare group commit";
    line(what, format!("{ratio:.2}"), ratio, Goal::AtLeast(goal));
    line(
        "generate, of the floor over HTTP",
        format!("{of_http:.2}"),
        0.0,
        Goal::None,
    );
    let p99 = p99 / commit;
    line(
        "p99, in bare commits",
        format!("{p99:.1}"),
        p99,
        Goal::AtMost(5.0),
    );
    Ok(())
}
